//! The machines that Tepui is built for besides the usual one: what building for each takes, and what is run on it.

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
    /// `cargo test` with these arguments.
    Test(&'static [&'static str]),
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

const fn test(title: &'static str, smoke: bool, args: &'static [&'static str]) -> Step {
    Step {
        title,
        smoke,
        what: What::Test(args),
    }
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[Target {
    name: "aarch64",
    triple: "aarch64-unknown-linux-gnu",
    about: "all tiers but the baseline compiler",
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
    linker: "aarch64-linux-gnu-gcc",
    runner: "qemu-aarch64-static -L /usr/aarch64-linux-gnu",
    steps: &[
        test(
            "native code: stubs, signals, slots, code memory",
            true,
            &["-p", "tepui-native"],
        ),
        test(
            "contract, decoder, interpreter, compilers",
            false,
            &[
                "-p",
                "tepui-abi",
                "-p",
                "tepui-module",
                "-p",
                "tepui-interpreter",
                "-p",
                "tepui-optimizing",
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
    ],
}];
