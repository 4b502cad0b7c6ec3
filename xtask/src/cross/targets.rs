//! The machines that Tepui is built for besides the usual one: what building for each takes, and what is run on it.

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
    /// Whether it belongs to the small set.
    pub(crate) smoke: bool,
    /// How it is done.
    pub(crate) what: What,
}

/// How a step is done.
pub(crate) enum What {
    /// `cargo build` with these arguments, in one or several commands.
    Build(&'static [&'static [&'static str]]),
    /// `cargo test` with these arguments.
    Test(&'static [&'static str]),
    /// Guests of the command inside of the command.
    Programs,
    /// The official suite in the command inside of the command.
    Suite,
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
/// What machines without a system have of it.
const CORE: &str = "-Zbuild-std=core,alloc";

const fn test(title: &'static str, smoke: bool, args: &'static [&'static str]) -> Step {
    Step {
        title,
        smoke,
        what: What::Test(args),
    }
}

/// What a step tests, and of which packages.
const NATIVE: Step = test(
    "native code: stubs, signals, slots, code memory",
    true,
    &["-p", "tepui-native"],
);
/// See [`NATIVE`].
const FOUNDATIONS: Step = test(
    "contract, decoder, interpreter",
    false,
    &[
        "-p",
        "tepui-abi",
        "-p",
        "tepui-module",
        "-p",
        "tepui-interpreter",
    ],
);

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
        runner: "qemu-aarch64-static -L /usr/aarch64-linux-gnu",
        steps: &[
            NATIVE,
            FOUNDATIONS,
            test(
                "compilers and images",
                false,
                &[
                    "-p",
                    "tepui-optimizing",
                    "-p",
                    "tepui-baseline",
                    "-p",
                    "tepui-image",
                ],
            ),
            test("runtime", false, &["-p", "tepui", "-p", "tepui-wasi"]),
            test(
                "official suite",
                false,
                &["-p", "tepui-wast", "--", "--nocapture"],
            ),
            test("command", false, &["-p", "tepui-cli"]),
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
        runner: "qemu-i386-static -L /usr/i686-linux-gnu",
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
        name: "wasi",
        triple: "wasm32-wasip1",
        about: "the command with the interpreter, as a guest of the command",
        needs: &[RUST, toolchain::NEEDED],
        libraries: STD,
        linker: "",
        runner: "",
        steps: &[
            Step {
                title: "guests inside of the command inside of the command",
                smoke: true,
                what: What::Programs,
            },
            Step {
                title: "official suite inside of the command inside of the command",
                smoke: false,
                what: What::Suite,
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
        about: "the interpreter without a system: built, not run",
        needs: &[RUST],
        libraries: CORE,
        linker: "",
        runner: "",
        steps: &[BARE],
    },
];

/// What is built where there is no system.
const BARE: Step = Step {
    title: "decoder, contract, interpreter without a system",
    smoke: true,
    what: What::Build(&[&[
        "-p",
        "tepui-module",
        "-p",
        "tepui-abi",
        "-p",
        "tepui-interpreter",
        "--no-default-features",
        "--features",
        "tepui-interpreter/libm",
    ]]),
};

/// What is run where the interpreter is the only tier.
const INTERPRETED: &[Step] = &[
    test(
        "official suite",
        true,
        &[
            "-p",
            "tepui-wast",
            "--no-default-features",
            "--features",
            "tepui/interpreter",
            "--test",
            "official",
            "--",
            "--nocapture",
        ],
    ),
    FOUNDATIONS,
    NATIVE,
];
