//! Where does chance come from? From a seed, or from the bytes of a fuzzer.

/// Numbers that look random and follow from where they began.
#[derive(Clone, Debug)]
pub struct Numbers {
    state: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Numbers {
    /// Numbers that follow from `seed`.
    pub fn from_seed(seed: u64) -> Numbers {
        Numbers {
            state: seed,
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// Numbers of which each one follows from the next four of `bytes`, so that
    /// a change of a byte changes one decision. What comes after their end
    /// follows from all of them.
    pub fn from_bytes(bytes: &[u8]) -> Numbers {
        let state = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Numbers {
            state,
            bytes: bytes.to_vec(),
            at: 0,
        }
    }

    /// The next number (SplitMix64).
    pub fn draw(&mut self) -> u64 {
        if let Some(bytes) = self.bytes.get(self.at..self.at + 4) {
            self.at += 4;
            let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            return mix(u64::from(number));
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        (self.draw() % bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `items`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A number at which operations change what they do, more often than not.
    pub fn i32(&mut self) -> i32 {
        const EDGES: &[i32] = &[
            0,
            1,
            -1,
            2,
            i32::MIN,
            i32::MAX,
            i32::MIN + 1,
            31,
            32,
            33,
            127,
            128,
            -128,
            255,
            256,
            32767,
            -32768,
            65535,
            65536,
            0x7fff_0000,
            0x5555_5555,
        ];
        match self.below(10) {
            0..=3 => self.pick(EDGES),
            4..=6 => self.below(64) as i32,
            7 => 1_i32.rotate_left(self.below(32) as u32),
            _ => self.draw() as i32,
        }
    }

    /// As [`Numbers::i32`].
    pub fn i64(&mut self) -> i64 {
        const EDGES: &[i64] = &[
            0,
            1,
            -1,
            2,
            i64::MIN,
            i64::MAX,
            i64::MIN + 1,
            63,
            64,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x1_0000_0000,
            -0x8000_0000,
            -0x8000_0001,
        ];
        match self.below(10) {
            0..=3 => self.pick(EDGES),
            4..=5 => self.below(64) as i64,
            6 => i64::from(self.i32()),
            7 => 1_i64.rotate_left(self.below(64) as u32),
            _ => self.draw() as i64,
        }
    }

    /// The bits of a float; as [`Numbers::i32`].
    pub fn f32(&mut self) -> u32 {
        const EDGES: &[f32] = &[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::MIN,
            2147483648.0,
            -2147483648.0,
            4294967296.0,
            9223372036854775808.0,
            18446744073709551616.0,
            16777216.0,
            f32::EPSILON,
        ];
        match self.below(10) {
            0..=4 => self.pick(EDGES).to_bits(),
            5 => (self.below(2000) as f32 / 8.0 - 100.0).to_bits(),
            // A denormal, a NaN with a payload, quiet or not.
            6 => self.pick(&[1, 0x8000_0001, 0x007f_ffff, 0x7fa0_0001, 0xffc1_2345]),
            7 => (self.i32() as f32).to_bits(),
            _ => self.draw() as u32,
        }
    }

    /// The bits of a float; as [`Numbers::i32`].
    pub fn f64(&mut self) -> u64 {
        const EDGES: &[f64] = &[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            2147483647.0,
            2147483648.0,
            -2147483649.0,
            4294967295.5,
            9223372036854775808.0,
            18446744073709551616.0,
            9007199254740993.0,
            3.4028235677973366e38,
        ];
        match self.below(10) {
            0..=4 => self.pick(EDGES).to_bits(),
            5 => (self.below(2000) as f64 / 8.0 - 100.0).to_bits(),
            6 => self.pick(&[
                1,
                0x8000_0000_0000_0001,
                0x7ff4_0000_0000_0001,
                0xfff8_1234_5678_9abc,
            ]),
            7 => (self.i64() as f64).to_bits(),
            _ => self.draw(),
        }
    }

    /// The bits of a vector whose lanes are like the others' values.
    pub fn v128(&mut self) -> u128 {
        let mut lanes = |count: usize, bits: u32, lane: fn(&mut Numbers) -> u64| {
            (0..count).fold(0_u128, |vector, _| {
                (vector << bits) | u128::from(lane(self) & (u64::MAX >> (64 - bits)))
            })
        };
        match lanes(1, 8, |numbers| numbers.below(7) as u64) {
            0 => lanes(16, 8, |numbers| numbers.i32() as u64),
            1 => lanes(8, 16, |numbers| numbers.i32() as u64),
            2 => lanes(4, 32, |numbers| numbers.i32() as u64),
            3 => lanes(2, 64, |numbers| numbers.i64() as u64),
            4 => lanes(4, 32, |numbers| u64::from(numbers.f32())),
            5 => lanes(2, 64, |numbers| numbers.f64()),
            _ => {
                if self.chance(50) {
                    0
                } else {
                    u128::MAX
                }
            }
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
