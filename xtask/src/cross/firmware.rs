//! The firmware of `examples/firmware`: how large is it, and does it run?
//!
//! Two variants are built for size: one with decoder, validator and translation, and one that has an image of its guest
//! and none of these. Each may have so many bytes, and has to say what its README says on the serial port of an emulated
//! machine.

use super::run::{self, Count};
use super::targets::Target;
use crate::build;
use crate::error::{Context, Result};
use crate::programs;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What is built: its name, what cargo is told, and how many bytes it may have.
const VARIANTS: [(&str, &[&str], usize); 2] = [
    ("with decoder and validator", &[], 600_000),
    (
        "images only",
        &["--no-default-features", "--features", "image"],
        250_000,
    ),
];

/// What the firmware prints.
const EXPECTED: [&str; 3] = [
    "the guest sieves",
    "the sum of the primes below 1000 is 76127",
    "a recursion without end is a trap",
];

/// The longest that a run may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Builds, measures and runs the variants.
pub(crate) fn run(target: &Target) -> Result<Count> {
    let mut count = Count::default();
    for (name, args, limit) in VARIANTS {
        let mut command = run::cargo(target, "build")?;
        command
            .current_dir(programs::root().join("examples/firmware"))
            .arg("--release")
            .args(args);
        build::execute(&mut command)?;
        let program = run::folder()?
            .join(target.triple)
            .join("release/tepui-example-firmware");
        let elf = fs::read(&program).at("cannot read", &program)?;
        let bytes =
            image_size(&elf).ok_or("the firmware is not in the format that was expected")?;
        let said = emulate(&program)?;
        let is_right = said.lines().map(str::trim_end).eq(EXPECTED);
        println!("  {name}: {bytes} bytes of at most {limit}");
        if !is_right {
            println!("  {name}: it says\n{said}");
        }
        if is_right && bytes <= limit {
            count.passed += 1;
        } else {
            count.failed += 1;
        }
    }
    Ok(count)
}

/// The bytes that a 32-bit little-endian program puts into memory: code, constants and initialized data, from the
/// first to the last.
fn image_size(elf: &[u8]) -> Option<usize> {
    const LOAD: u32 = 1;
    let half = |at: usize| Some(u16::from_le_bytes(*elf.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_le_bytes(*elf.get(at..)?.first_chunk()?));
    if !elf.starts_with(b"\x7fELF\x01\x01") {
        return None;
    }
    let (first, size, count) = (word(0x1c)?, half(0x2a)?, half(0x2c)?);
    let (mut low, mut high) = (u32::MAX, 0);
    for index in 0..count {
        let header = first as usize + usize::from(index) * usize::from(size);
        let (address, in_file) = (word(header + 0x0c)?, word(header + 0x10)?);
        if word(header)? == LOAD && in_file > 0 {
            low = low.min(address);
            high = high.max(address.checked_add(in_file)?);
        }
    }
    Some(high.checked_sub(low)? as usize)
}

/// Runs a firmware; gives what it says.
fn emulate(program: &Path) -> Result<String> {
    let mut child = Command::new("qemu-system-riscv32")
        .args([
            "-machine",
            "virt",
            "-m",
            "16M",
            "-bios",
            "none",
            "-nographic",
        ])
        .arg("-kernel")
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .doing("cannot run qemu-system-riscv32")?;
    let began = Instant::now();
    while child.try_wait().doing("cannot wait for QEMU")?.is_none() {
        if began.elapsed() > TIMEOUT {
            child.kill().doing("cannot end QEMU")?;
            child.wait().doing("cannot wait for QEMU")?;
            return Err(format!("the firmware runs for more than {} s", TIMEOUT.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output
            .read_to_string(&mut said)
            .doing("cannot read what the firmware says")?;
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::image_size;

    #[test]
    fn sizes_are_those_of_what_is_loaded() {
        let mut elf = vec![0; 0x100];
        elf[..6].copy_from_slice(b"\x7fELF\x01\x01");
        elf[0x1c] = 0x40;
        elf[0x2a] = 0x20;
        elf[0x2c] = 3;
        // Kind, address in memory, bytes in the file.
        for (index, [kind, address, bytes]) in
            [[1u32, 0x1000, 0x30], [1, 0x2000, 0], [1, 0x1100, 7]]
                .into_iter()
                .enumerate()
        {
            let at = 0x40 + 0x20 * index;
            elf[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            elf[at + 0x0c..at + 0x10].copy_from_slice(&address.to_le_bytes());
            elf[at + 0x10..at + 0x14].copy_from_slice(&bytes.to_le_bytes());
        }
        assert_eq!(image_size(&elf), Some(0x107));
        assert_eq!(image_size(&elf[..0x50]), None);
        assert_eq!(image_size(b"\x7fELF\x02\x01"), None);
    }
}
