//! How do tests start the command?

use std::process::Command;

/// The command `tepui`, behind the emulator that `TEPUI_TEST_RUNNER` names: the
/// system cannot start a program of another machine by itself.
pub(crate) fn tepui() -> Command {
    let program = env!("CARGO_BIN_EXE_tepui");
    let runner = std::env::var("TEPUI_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else {
        return Command::new(program);
    };
    let mut command = Command::new(emulator);
    command.args(words).arg(program);
    command
}
