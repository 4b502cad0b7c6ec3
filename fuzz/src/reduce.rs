//! How does a module become a small one that still shows the same flaw? What can
//! go is tried, function by function and instruction by instruction.

use std::time::{Duration, Instant};

use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// A module with its code taken apart.
#[derive(Clone)]
struct Parts {
    before: Vec<u8>,
    after: Vec<u8>,
    bodies: Vec<Body>,
}

#[derive(Clone)]
struct Body {
    locals: Vec<u8>,
    /// The bytes of each instruction, the last `end` included.
    instructions: Vec<Vec<u8>>,
}

fn leb(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

impl Parts {
    /// `None` when there is no code or it cannot be read.
    fn new(bytes: &[u8]) -> Option<Parts> {
        let mut parts = Parts {
            before: Vec::new(),
            after: Vec::new(),
            bodies: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.ok()? {
                Payload::CodeSectionStart {
                    unchecked_range: range,
                    ..
                } => {
                    // The section's id and its size stand before its range.
                    let (start, end) = (range.start as usize, range.end as usize);
                    let mut size = Vec::new();
                    leb(end - start, &mut size);
                    let mut at = start - size.len() - 1;
                    while bytes[at] != 10 {
                        at -= 1;
                    }
                    parts.before = bytes[..at].to_vec();
                    parts.after = bytes[end..].to_vec();
                }
                Payload::CodeSectionEntry(body) => {
                    let mut reader = body.get_operators_reader().ok()?;
                    let first = reader.original_position() as usize;
                    let mut at = first;
                    let mut instructions = Vec::new();
                    while !reader.eof() {
                        reader.read().ok()?;
                        let next = reader.original_position() as usize;
                        instructions.push(bytes[at..next].to_vec());
                        at = next;
                    }
                    parts.bodies.push(Body {
                        locals: bytes[body.range().start as usize..first].to_vec(),
                        instructions,
                    });
                }
                _ => {}
            }
        }
        (!parts.bodies.is_empty()).then_some(parts)
    }

    fn build(&self) -> Vec<u8> {
        let mut code = Vec::new();
        leb(self.bodies.len(), &mut code);
        for body in &self.bodies {
            let length: usize = body.instructions.iter().map(Vec::len).sum();
            leb(body.locals.len() + length, &mut code);
            code.extend_from_slice(&body.locals);
            code.extend(body.instructions.iter().flatten());
        }
        let mut bytes = self.before.clone();
        bytes.push(10);
        leb(code.len(), &mut bytes);
        bytes.extend(code);
        bytes.extend_from_slice(&self.after);
        bytes
    }
}

/// What may stand for one instruction: nothing, or operands dropped and a
/// constant given.
fn substitutes() -> Vec<Vec<Vec<u8>>> {
    let constants: [&[u8]; 8] = [
        &[0x41, 0],
        &[0x42, 0],
        &[0x43, 0, 0, 0, 0],
        &[0x44, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xfd, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xd0, 0x70],
        &[0xd0, 0x6f],
        &[],
    ];
    let mut all = vec![Vec::new()];
    for drops in 0..4 {
        for constant in constants {
            let mut list = vec![vec![0x1a]; drops];
            if !constant.is_empty() {
                list.push(constant.to_vec());
            }
            all.push(list);
        }
    }
    all.push(vec![vec![0x00]]);
    all
}

/// A smaller module for which `is_flawed` still holds, found by trying for as
/// long as something gets smaller, and not much longer than `time`.
pub fn reduce(bytes: &[u8], time: Duration, mut is_flawed: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let end = Instant::now() + time;
    let Some(mut parts) = Parts::new(bytes) else {
        return bytes.to_vec();
    };
    let mut holds = |parts: &Parts| {
        let bytes = parts.build();
        Validator::new_with_features(WasmFeatures::all())
            .validate_all(&bytes)
            .is_ok()
            && Instant::now() < end
            && is_flawed(&bytes)
    };
    if !holds(&parts) {
        return bytes.to_vec();
    }
    for index in 0..parts.bodies.len() {
        let mut smaller = parts.clone();
        smaller.bodies[index].instructions = vec![vec![0x00], vec![0x0b]];
        if smaller.bodies[index].instructions.len() < parts.bodies[index].instructions.len()
            && holds(&smaller)
        {
            parts = smaller;
        }
    }
    let substitutes = substitutes();
    loop {
        let length = |parts: &Parts| parts.build().len();
        let before = length(&parts);
        for index in 0..parts.bodies.len() {
            // Runs of instructions, long ones first; blocks go as such.
            for run in [1000, 500, 250, 120, 60, 30, 15, 8, 4, 3, 2] {
                let mut at = 0;
                while at + run < parts.bodies[index].instructions.len() {
                    let mut removed = false;
                    for substitute in &substitutes {
                        let mut smaller = parts.clone();
                        let instructions = &mut smaller.bodies[index].instructions;
                        instructions.splice(at..at + run, substitute.iter().cloned());
                        if instructions.len() < parts.bodies[index].instructions.len()
                            && holds(&smaller)
                        {
                            parts = smaller;
                            removed = true;
                            break;
                        }
                    }
                    if !removed {
                        at += (run / 4).max(1);
                    }
                }
            }
            let mut at = 0;
            while at + 1 < parts.bodies[index].instructions.len() {
                let old = &parts.bodies[index].instructions[at];
                let mut better = None;
                for substitute in &substitutes {
                    let size: usize = substitute.iter().map(Vec::len).sum();
                    if size >= old.len() && !(old[0] >= 0x20 && substitute.len() > 1) {
                        continue;
                    }
                    if size > old.len() + 3 || old == &[0x1a] && !substitute.is_empty() {
                        continue;
                    }
                    let mut smaller = parts.clone();
                    smaller.bodies[index]
                        .instructions
                        .splice(at..=at, substitute.iter().cloned());
                    if holds(&smaller) {
                        better = Some(smaller);
                        break;
                    }
                }
                match better {
                    Some(smaller) => parts = smaller,
                    None => at += 1,
                }
            }
            // A block and its end.
            let mut at = 0;
            while at + 1 < parts.bodies[index].instructions.len() {
                if matches!(parts.bodies[index].instructions[at][0], 0x02..=0x04) {
                    let end = matching_end(&parts.bodies[index].instructions, at);
                    let mut smaller = parts.clone();
                    smaller.bodies[index].instructions.remove(end);
                    smaller.bodies[index].instructions.remove(at);
                    if holds(&smaller) {
                        parts = smaller;
                        continue;
                    }
                }
                at += 1;
            }
        }
        if length(&parts) >= before {
            return parts.build();
        }
    }
}

fn matching_end(instructions: &[Vec<u8>], start: usize) -> usize {
    let mut depth = 0;
    for (index, instruction) in instructions.iter().enumerate().skip(start) {
        match instruction[0] {
            0x02..=0x04 => depth += 1,
            0x0b => {
                depth -= 1;
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    instructions.len() - 1
}
