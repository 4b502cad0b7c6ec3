//! The machines that Tepui is built for besides the usual one: what building for each takes, and what is run on it.

use super::wine;
use crate::toolchain;

/// A machine.
pub(crate) struct Target {
    /// What the command calls it.
    pub(crate) name: &'static str,
    /// What the compiler calls it.
    pub(crate) triple: &'static str,
    /// What works there, in a few words.
    pub(crate) about: &'static str,
    /// Files and the Debian packages that bring them.
    pub(crate) needs: &'static [&'static [(&'static str, &'static str)]],
    /// Which libraries are built for it.
    pub(crate) libraries: &'static str,
    /// The linker; the compiler's own choice when empty.
    pub(crate) linker: &'static str,
    /// The command that programs of the machine are put behind; none when empty.
    pub(crate) runner: &'static str,
    /// What is run.
    pub(crate) steps: &'static [Step],
}

/// One thing to run.
pub(crate) struct Step {
    /// What it is called on the screen.
    pub(crate) title: &'static str,
    /// When it is run.
    pub(crate) set: Set,
    /// How it is done.
    pub(crate) what: What,
}

/// What a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// The small set and the full one.
    Both,
    /// The small set.
    Small,
    /// The full set.
    Full,
}

/// How a step is done.
pub(crate) enum What {
    /// `cargo build` with these arguments, in one or several commands.
    Build(&'static [&'static [&'static str]]),
    /// `cargo test` with these arguments. The interpreter is as its users have it: its handlers reach one another by tail
    /// calls where the machine allows it, which takes a build without assertions.
    Test(&'static [&'static str]),
    /// The same with the interpreter's assertions, and so with a loop.
    Asserting(&'static [&'static str]),
    /// The official suite.
    Suite(Suite),
    /// Guests of the command inside of the command.
    Programs,
    /// The official suite in the command inside of the command.
    InnerSuite,
    /// The firmware among the examples.
    Firmware,
}

/// How the official suite is run: in processes that each take a part of its files, because an emulator keeps books on
/// all the addresses that a process ever had.
pub(crate) struct Suite {
    /// Arguments of `cargo test` that name the tiers of the build.
    pub(crate) features: &'static [&'static str],
    /// The tier, as `--tier` takes it, or several.
    pub(crate) tiers: &'static str,
    /// How many parts the files are dealt into.
    pub(crate) parts: usize,
    /// How many of these parts are run.
    pub(crate) run: usize,
}

/// The compiler, and the sources of its standard library.
const RUST: &[(&str, &str)] = &[
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/bin/cargo", "cargo-web"),
    (
        "/usr/lib/rustlib/src/rust/library/Cargo.toml",
        "rust-web-src",
    ),
];

/// All that the standard library has.
const STD: &str = "-Zbuild-std";
/// The same where nothing unwinds.
const STD_ABORTING: &str = "-Zbuild-std=std,panic_abort";
/// What machines without a system have of it.
const CORE: &str = "-Zbuild-std=core,alloc";

const fn test(title: &'static str, set: Set, args: &'static [&'static str]) -> Step {
    Step {
        title,
        set,
        what: What::Test(args),
    }
}

/// The whole suite in one tier of a build with all of them.
const fn suite(title: &'static str, tiers: &'static str) -> Step {
    Step {
        title,
        set: Set::Full,
        what: What::Suite(Suite {
            features: &[],
            tiers,
            parts: PARTS,
            run: PARTS,
        }),
    }
}

/// Into how many parts the suite is dealt: some 35 files in each.
const PARTS: usize = 10;
/// The tiers of a build without a compiler.
const INTERPRETER: &[&str] = &[
    "--no-default-features",
    "--features",
    "tepui/decoder,tepui/fused,tepui/interpreter,tepui/simd",
];

/// What a step tests, and of which packages.
const NATIVE: Step = test(
    "native code: stubs, signals, slots, code memory",
    Set::Both,
    &["-p", "tepui-native"],
);
/// See [`NATIVE`].
const FOUNDATIONS: Step = Step {
    title: "contract, decoder, interpreter",
    set: Set::Full,
    what: What::Asserting(&[
        "-p",
        "tepui-abi",
        "-p",
        "tepui-module",
        "-p",
        "tepui-interpreter",
    ]),
};

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        about: "every tier that the machine has, and the command",
        needs: &[
            RUST,
            &[
                ("/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
                (
                    "/usr/aarch64-linux-gnu/lib/libc.so.6",
                    "libc6-dev-arm64-cross",
                ),
                ("/usr/bin/qemu-aarch64-static", "qemu-user-static"),
            ],
        ],
        libraries: STD,
        linker: "aarch64-linux-gnu-gcc",
        // The emulator keeps books on every page that a process ever reserved, and gives new addresses to each mapping as
        // long as there are some: guarded memories would take all the memory of the machine. With 256 GiB of addresses,
        // they are used again, and the books stay below 3 GB.
        runner: "qemu-aarch64-static -R 0x4000000000 -L /usr/aarch64-linux-gnu",
        steps: &[
            NATIVE,
            FOUNDATIONS,
            test(
                "compilers and images",
                Set::Full,
                &[
                    "-p",
                    "tepui-optimizing",
                    "-p",
                    "tepui-baseline",
                    "-p",
                    "tepui-image",
                ],
            ),
            suite("official suite, interpreter", "interpreter"),
            suite("official suite, baseline", "baseline"),
            suite("official suite, optimizing", "optimizing"),
            suite("official suite, mixed:1", "mixed:1"),
            suite("official suite, mixed:2", "mixed:2"),
            suite("official suite, mixed:3", "mixed:3"),
            suite("official suite, tiering up", "tiering-up"),
            test("runtime", Set::Full, &["-p", "tepui", "-p", "tepui-wasi"]),
            test("command", Set::Full, &["-p", "tepui-cli", "--test", "cli"]),
        ],
    },
    Target {
        name: "i686",
        triple: "i686-unknown-linux-gnu",
        about: "the interpreter, with 32-bit addresses",
        needs: &[
            RUST,
            &[
                ("/usr/bin/i686-linux-gnu-gcc", "gcc-i686-linux-gnu"),
                ("/usr/i686-linux-gnu/lib/libc.so.6", "libc6-dev-i386-cross"),
                ("/usr/bin/qemu-i386-static", "qemu-user-static"),
            ],
        ],
        libraries: STD,
        linker: "i686-linux-gnu-gcc",
        // Without the path, an amd64 machine's own 32-bit libraries may be found first: of another version, with which
        // the loader hangs.
        runner: "qemu-i386-static -L /usr/i686-linux-gnu -E LD_LIBRARY_PATH=/lib",
        steps: INTERPRETED,
    },
    Target {
        name: "armv7",
        triple: "armv7-unknown-linux-gnueabihf",
        about: "the interpreter, with 32-bit addresses",
        needs: &[
            RUST,
            &[
                (
                    "/usr/bin/arm-linux-gnueabihf-gcc",
                    "gcc-arm-linux-gnueabihf",
                ),
                (
                    "/usr/arm-linux-gnueabihf/lib/libc.so.6",
                    "libc6-dev-armhf-cross",
                ),
                ("/usr/bin/qemu-arm-static", "qemu-user-static"),
            ],
        ],
        libraries: STD,
        linker: "arm-linux-gnueabihf-gcc",
        runner: "qemu-arm-static -L /usr/arm-linux-gnueabihf",
        steps: INTERPRETED,
    },
    Target {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        about: "the interpreter, on a big-endian machine",
        needs: &[
            RUST,
            &[
                ("/usr/bin/s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu"),
                (
                    "/usr/s390x-linux-gnu/lib/libc.so.6",
                    "libc6-dev-s390x-cross",
                ),
                ("/usr/bin/qemu-s390x-static", "qemu-user-static"),
            ],
        ],
        libraries: STD,
        linker: "s390x-linux-gnu-gcc",
        runner: "qemu-s390x-static -L /usr/s390x-linux-gnu",
        steps: INTERPRETED,
    },
    Target {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        about: "the interpreter",
        needs: &[
            RUST,
            &[
                ("/usr/bin/riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
                (
                    "/usr/riscv64-linux-gnu/lib/libc.so.6",
                    "libc6-dev-riscv64-cross",
                ),
                ("/usr/bin/qemu-riscv64-static", "qemu-user-static"),
            ],
        ],
        libraries: STD,
        linker: "riscv64-linux-gnu-gcc",
        runner: "qemu-riscv64-static -L /usr/riscv64-linux-gnu",
        steps: INTERPRETED,
    },
    Target {
        name: "windows",
        triple: "x86_64-pc-windows-gnu",
        about: "every tier and the command, under Wine",
        needs: &[
            RUST,
            &[
                ("/usr/bin/x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64"),
                ("/usr/bin/wine", "wine"),
                ("/usr/lib/wine/wine64", "wine64"),
            ],
        ],
        libraries: STD,
        linker: wine::LINKER,
        runner: wine::RUNNER,
        steps: &[
            NATIVE,
            test(
                "services and the command",
                Set::Full,
                &[
                    "-p",
                    "tepui-wasi",
                    "-p",
                    "tepui-cli",
                    "--test",
                    "names",
                    "--test",
                    "functions",
                    "--test",
                    "cli",
                ],
            ),
            suite("official suite, interpreter", "interpreter"),
            suite("official suite, baseline", "baseline"),
            suite("official suite, optimizing", "optimizing"),
            suite("official suite, mixed:1", "mixed:1"),
        ],
    },
    Target {
        name: "wasi",
        triple: "wasm32-wasip1",
        about: "the command with the interpreter, as a guest of the command",
        needs: &[RUST, toolchain::NEEDED],
        libraries: STD_ABORTING,
        linker: "",
        runner: "",
        steps: &[
            Step {
                title: "guests inside of the command inside of the command",
                set: Set::Both,
                what: What::Programs,
            },
            Step {
                title: "official suite inside of the command inside of the command",
                set: Set::Full,
                what: What::InnerSuite,
            },
        ],
    },
    Target {
        name: "x86_64-none",
        triple: "x86_64-unknown-none",
        about: "the interpreter without a system: built, not run",
        needs: &[RUST],
        libraries: CORE,
        linker: "",
        runner: "",
        steps: &[BARE],
    },
    Target {
        name: "riscv32-none",
        triple: "riscv32imac-unknown-none-elf",
        about: "the interpreter without a system, as a firmware",
        needs: &[
            RUST,
            &[
                ("/usr/bin/ld.lld-19", "lld-19"),
                ("/usr/bin/qemu-system-riscv32", "qemu-system-misc"),
            ],
        ],
        libraries: CORE,
        linker: "ld.lld-19",
        runner: "",
        steps: &[
            BARE,
            Step {
                title: "firmware: size, and what it prints",
                set: Set::Both,
                what: What::Firmware,
            },
        ],
    },
];

/// What is built where there is no system: the parts that a program may take alone, then the runtime with all that it
/// has there.
const BARE: Step = Step {
    title: "decoder, contract, interpreter, runtime without a system",
    set: Set::Both,
    what: What::Build(&[
        &[
            "-p",
            "tepui-module",
            "-p",
            "tepui-abi",
            "-p",
            "tepui-interpreter",
            "--no-default-features",
            "--features",
            "tepui-interpreter/decoder,tepui-interpreter/libm",
        ],
        &[
            "-p",
            "tepui-native",
            "-p",
            "tepui",
            "--no-default-features",
            "--features",
            "tepui/decoder,tepui/fused,tepui/images,tepui/interpreter,tepui/libm,tepui/simd",
        ],
    ]),
};

/// What is run where the interpreter is the only tier.
const INTERPRETED: &[Step] = &[
    Step {
        title: "official suite",
        set: Set::Full,
        what: What::Suite(Suite {
            features: INTERPRETER,
            tiers: "interpreter",
            parts: PARTS,
            run: PARTS,
        }),
    },
    Step {
        title: "a part of the official suite",
        set: Set::Small,
        what: What::Suite(Suite {
            features: INTERPRETER,
            tiers: "interpreter",
            parts: 20,
            run: 1,
        }),
    },
    FOUNDATIONS,
    NATIVE,
];
