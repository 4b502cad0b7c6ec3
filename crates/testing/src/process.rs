//! How does a test start a program: a command of the project, or its own binary once more?

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};

/// Names, to a process that a test started, the test whose case it is to be.
const CASE: &str = "TEPUI_TEST_CASE";

/// The command of the emulator that programs of the machine that is tested are put behind;
/// empty if they need none.
fn emulator() -> String {
    std::env::var("TEPUI_TEST_RUNNER").unwrap_or_default()
}

/// Whether programs are put behind an emulator: what is slow then, and what takes memory,
/// may be that.
pub fn is_emulated() -> bool {
    !emulator().is_empty()
}

/// A program of the machine that is tested, as a command: behind the emulator that
/// `TEPUI_TEST_RUNNER` names, because the system cannot start a program of another machine
/// by itself.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let runner = emulator();
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else {
        return Command::new(path);
    };
    let mut command = Command::new(emulator);
    command.args(words).arg(path);
    command
}

/// The binary of the test that runs, as a command.
///
/// # Panics
///
/// When the system does not tell where it is.
pub fn this_binary() -> Command {
    program(std::env::current_exe().expect("this binary"))
}

/// A command that runs the test `name` of this binary alone, as a case of its own: there
/// [`is_case`] says so.
pub fn case(name: &str) -> Command {
    let mut command = this_binary();
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CASE, name);
    command
}

/// Runs the test `name` of this binary in a process of its own, which may die; what it
/// says is not heard.
///
/// # Panics
///
/// When the process cannot be started.
pub fn run_case(name: &str) -> ExitStatus {
    case(name)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the case runs")
}

/// Whether this process is the case of the test `name`.
pub fn is_case(name: &str) -> bool {
    std::env::var_os(CASE).is_some_and(|case| case == name)
}

/// Whether this process is the case of some test.
pub fn is_any_case() -> bool {
    std::env::var_os(CASE).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_knows_that_it_is_one() {
        if is_any_case() {
            let knows = is_case("process::tests::a_case_knows_that_it_is_one");
            std::process::exit(if knows && !is_case("another") { 42 } else { 1 });
        }
        let status = run_case("process::tests::a_case_knows_that_it_is_one");
        assert_eq!(status.code(), Some(42));
        // A test that there is not is none that runs.
        assert_eq!(run_case("no_such_test").code(), Some(0));
    }
}
