//! Wine, which runs programs for Windows on this machine: a folder of its own for what it takes for the system's drive,
//! and the one library that old versions lack.

use super::run::folder;
use crate::build;
use crate::error::{Context, Result};
use crate::programs;
use std::fs;
use std::process::Command;

/// What programs for Windows are put behind.
pub(super) const RUNNER: &str = "wine";

/// The linker for Windows, which compiles C too.
pub(super) const LINKER: &str = "x86_64-w64-mingw32-gcc";

/// Has the command find what programs run under Wine need.
pub(super) fn prepare(command: &mut Command) -> Result<()> {
    let place = folder()?.join("wine");
    fs::create_dir_all(&place).at("cannot make", &place)?;
    let library = place.join("bcryptprimitives.dll");
    if !library.exists() {
        let source = programs::root().join("xtask/src/cross/bcryptprimitives.c");
        build::execute(
            Command::new(LINKER)
                .args(["-shared", "-O2", "-o"])
                .arg(&library)
                .arg(source)
                .arg("-ladvapi32"),
        )?;
    }
    command
        .env("WINEPREFIX", place.join("prefix"))
        .env("WINEPATH", &place)
        .env("WINEDEBUG", "-all");
    Ok(())
}
