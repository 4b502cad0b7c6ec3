//! The inputs of the programs: text, Markdown, JSON and a tree of files that look like what people have, the same on
//! every machine (a generator with a fixed seed, no clock, no system randomness).

use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::programs::{self, Origin, Programs};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// To be raised when a generator changes, so that inputs made by the old one are made again.
const GENERATION: u32 = 1;

/// Makes the inputs that are not there, or were made otherwise.
pub(crate) fn make(list: &Programs, folder: &Folder) -> Result<()> {
    let here = folder.inputs();
    fs::create_dir_all(&here).at("cannot make", &here)?;
    for input in &list.inputs {
        let path = here.join(&input.name);
        // What made the file; when that changed, the file is made again.
        let stamp = format!("{GENERATION} {:?}", input.origin);
        let stamp_path = folder.at(&format!("stamps/{}.input", input.name))?;
        let fresh = path.exists() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp);
        match &input.origin {
            Origin::Copy(file) => {
                let from = programs::root().join("bench/guests/inputs").join(file);
                fs::copy(&from, &path).at("cannot copy", &from)?;
            }
            _ if fresh => {}
            Origin::Generate(generator, size) => generate(generator, *size, &path)?,
            Origin::Output { guest, args } => {
                let native = folder.native(guest);
                if !native.exists() {
                    println!("note: {} is left out until {guest} is built", input.name);
                    continue;
                }
                let output = Command::new(&native)
                    .args(args)
                    .current_dir(&here)
                    .output()
                    .at("cannot run", &native)?;
                if !output.status.success() {
                    return Err(format!("{} failed: {}", native.display(), output.status).into());
                }
                fs::write(&path, output.stdout).at("cannot write", &path)?;
            }
        }
        fs::write(&stamp_path, stamp).at("cannot write", &stamp_path)?;
    }
    Ok(())
}

fn generate(generator: &str, size: u64, path: &Path) -> Result<()> {
    // A seed of its own for each generator, the same for ever.
    let mut random = Random(generator.bytes().fold(0x9e37_79b9, |seed: u64, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    }));
    let bytes = size as usize * 1024;
    let text = match generator {
        "text" => text(&mut random, bytes),
        "markdown" => markdown(&mut random, bytes),
        "json" => json(&mut random, bytes),
        "tree" => return tree(&mut random, size, path),
        other => return Err(format!("no generator is called `{other}`").into()),
    };
    fs::write(path, text).at("cannot write", path)
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const SYLLABLES: [&str; 40] = [
    "the", "th", "ing", "er", "an", "re", "on", "at", "en", "nd", "ti", "es", "or", "te", "of",
    "ed", "is", "it", "al", "ar", "st", "to", "nt", "wh", "ve", "le", "me", "de", "co", "ra", "li",
    "ce", "ri", "io", "ne", "ro", "ma", "sa", "po", "lu",
];
const GREEK: [&str; 8] = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "theta", "omega",
];

/// A word; short ones and a few favourites come up often, as they do in a language.
fn word(random: &mut Random) -> String {
    match random.below(100) {
        0..=29 => [
            "the", "of", "and", "to", "in", "a", "is", "that", "for", "it",
        ][random.below(10)]
        .into(),
        30..=33 => GREEK[random.below(GREEK.len())].into(),
        34 => format!("{}-{:04}", 100 + random.below(900), random.below(10_000)),
        35 => format!(
            "{}-{}-{}",
            1900 + random.below(150),
            1 + random.below(12),
            1 + random.below(28)
        ),
        36 => format!(
            "{}@{}.org",
            SYLLABLES[random.below(40)],
            GREEK[random.below(8)]
        ),
        n => {
            // Few distinct words are made of few syllables: what a compressor finds in real text.
            let skewed = random.below(2000) * random.below(2000) / 2000;
            let mut maker = Random(skewed as u64);
            let mut out: String = (0..=n % 3).map(|_| SYLLABLES[maker.below(40)]).collect();
            if maker.below(5) == 0 {
                out.push_str("ing");
            }
            out
        }
    }
}

fn sentence(random: &mut Random) -> String {
    let words = 4 + random.below(14);
    let mut out = String::new();
    for i in 0..words {
        let next = word(random);
        if i == 0 {
            out.extend(next.chars().take(1).flat_map(char::to_uppercase));
            out.extend(next.chars().skip(1));
        } else {
            out.push_str(if random.below(12) == 0 { ", " } else { " " });
            out.push_str(&next);
        }
    }
    out.push('.');
    out
}

fn text(random: &mut Random, bytes: usize) -> String {
    let mut out = String::new();
    while out.len() < bytes {
        for _ in 0..1 + random.below(4) {
            out.push_str(&sentence(random));
            out.push(' ');
        }
        out.push('\n');
        if random.below(8) == 0 {
            out.push('\n');
        }
    }
    out.truncate(bytes);
    out
}

fn markdown(random: &mut Random, bytes: usize) -> String {
    let mut out = String::new();
    while out.len() < bytes {
        let written = match random.below(8) {
            0 => writeln!(
                out,
                "{} {}\n",
                "#".repeat(1 + random.below(4)),
                sentence(random)
            ),
            1 => {
                for _ in 0..2 + random.below(5) {
                    out.push_str(&format!(
                        "{}- {}\n",
                        "  ".repeat(random.below(3)),
                        sentence(random)
                    ));
                }
                writeln!(out)
            }
            2 => writeln!(
                out,
                "```rust\nfn {}() {{ {} }}\n```\n",
                GREEK[random.below(8)],
                random.below(1000)
            ),
            3 => writeln!(out, "> {}\n> *{}*\n", sentence(random), word(random)),
            4 => {
                out.push_str("| one | two | three |\n|---|:-:|--:|\n");
                for _ in 0..1 + random.below(5) {
                    out.push_str(&format!(
                        "| {} | **{}** | {} |\n",
                        word(random),
                        word(random),
                        random.below(99)
                    ));
                }
                writeln!(out)
            }
            5 => writeln!(
                out,
                "[{}](https://example.org/{}) and `{}`\n",
                word(random),
                word(random),
                word(random)
            ),
            _ => writeln!(
                out,
                "{} _{}_ {}\n",
                sentence(random),
                word(random),
                sentence(random)
            ),
        };
        written.expect("a string takes every write");
    }
    out
}

fn json(random: &mut Random, bytes: usize) -> String {
    let mut out = String::from("[");
    let mut id = 0;
    while out.len() < bytes {
        if id > 0 {
            out.push(',');
        }
        let tags: Vec<String> = (0..random.below(5))
            .map(|_| format!("\"{}\"", word(random)))
            .collect();
        out.push_str(&format!(
            "\n{{\"id\":{id},\"name\":\"{} {}\",\"city\":\"{}{}\",\"age\":{},\"score\":{}.{},\"active\":{},\"tags\":[{}],\"note\":\"{}\\n\\u00e9\\\"\",\"parent\":{}}}",
            word(random),
            word(random),
            GREEK[random.below(8)],
            random.below(12),
            18 + random.below(70),
            random.below(100),
            [0, 25, 5, 75][random.below(4)],
            random.below(2) == 0,
            tags.join(","),
            sentence(random),
            if id == 0 { "null".to_owned() } else { random.below(id).to_string() },
        ));
        id += 1;
    }
    out.push_str("\n]\n");
    out
}

fn tree(random: &mut Random, files: u64, path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).at("cannot empty", path)?;
    }
    for i in 0..files {
        let folder = path
            .join(GREEK[random.below(8)])
            .join(format!("{:02}", random.below(12)));
        fs::create_dir_all(&folder).at("cannot make", &folder)?;
        let file = folder.join(format!("{i:04}.{}", ["txt", "md", "log"][random.below(3)]));
        let size = 256 << random.below(8);
        fs::write(&file, text(random, size)).at("cannot write", &file)?;
    }
    // What a search leaves out: a binary file and one that a rule file names.
    let (binary, rules) = (path.join("blob.bin"), path.join(".ignore"));
    let noise: Vec<u8> = (0..65_536).map(|_| random.next() as u8).collect();
    fs::write(&binary, noise).at("cannot write", &binary)?;
    fs::write(&rules, "*.log\n").at("cannot write", &rules)
}

#[cfg(test)]
mod tests {
    use super::{Random, json, text};

    #[test]
    fn the_same_on_every_machine() {
        let hash = |text: String| blake3::hash(text.as_bytes()).to_hex().to_string();
        assert_eq!(
            hash(text(&mut Random(1), 10_000)),
            hash(text(&mut Random(1), 10_000))
        );
        assert_ne!(
            hash(text(&mut Random(1), 10_000)),
            hash(text(&mut Random(2), 10_000))
        );
        assert_eq!(
            Random(0).next(),
            0xe220_a839_7b1d_cdaf,
            "the first number of SplitMix64 with seed 0"
        );
        assert!(json(&mut Random(3), 1000).ends_with("]\n"));
    }
}
