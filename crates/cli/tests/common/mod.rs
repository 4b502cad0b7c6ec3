//! How do tests start the command?

use std::process::Command;

/// The command `tepui`. `TEPUI_TEST_COMMAND` names another one to test in its place.
pub(crate) fn tepui() -> Command {
    let other = std::env::var("TEPUI_TEST_COMMAND").unwrap_or_default();
    let mut words = other.split_whitespace();
    let Some(name) = words.next() else {
        return tepui_testing::process::program(env!("CARGO_BIN_EXE_tepui"));
    };
    let mut command = Command::new(name);
    command.args(words);
    command
}
