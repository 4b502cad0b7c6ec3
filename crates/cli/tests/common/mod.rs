//! How do tests start the command?

use std::process::Command;

/// The command `tepui`. `TEPUI_TEST_COMMAND` names another one to test in its
/// place; `TEPUI_TEST_RUNNER` names an emulator that it is put behind, because the
/// system cannot start a program of another machine by itself.
pub(crate) fn tepui() -> Command {
    let words = |name: &str| -> Vec<String> {
        let value = std::env::var(name).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let mut line = words("TEPUI_TEST_COMMAND");
    if line.is_empty() {
        line = words("TEPUI_TEST_RUNNER");
        line.push(env!("CARGO_BIN_EXE_tepui").to_owned());
    }
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    command
}
