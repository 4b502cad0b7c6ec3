//! Matches of several patterns counted in a text. Usage: `regex FILE`.

use regex::Regex;

const PATTERNS: [&str; 8] = [
    r"\b[a-z]+ing\b",
    r"(?i)the\s+(\w+)\s+of",
    r"[A-Z][a-z]+ [A-Z][a-z]+",
    r"(\d+)-(\d+)-(\d+)",
    r"\w+@\w+\.(com|org|net)",
    r"([aeiou])[^aeiou\s]{3,}([aeiou])",
    r"(alpha|beta|gamma|delta|epsilon|zeta)\w*",
    r"^\S+.*\S+$",
];

fn main() {
    let text =
        std::fs::read_to_string(std::env::args().nth(1).expect("FILE")).expect("a readable file");
    for pattern in PATTERNS {
        let regex = Regex::new(pattern).expect("a valid pattern");
        let (mut count, mut bytes, mut groups) = (0u64, 0u64, 0u64);
        for line in text.lines() {
            for found in regex.captures_iter(line) {
                count += 1;
                bytes += found[0].len() as u64;
                groups += found
                    .iter()
                    .skip(1)
                    .flatten()
                    .map(|group| group.len() as u64)
                    .sum::<u64>();
            }
        }
        println!("{pattern}: {count} matches, {bytes} bytes, {groups} in groups");
    }
}
