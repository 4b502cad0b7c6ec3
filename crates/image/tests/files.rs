//! Image files: round trips, and everything that must be refused.

#[allow(dead_code, reason = "each test file uses a part")]
mod common;

use common::{Random, caller, func};
use tepui_abi::target::Endianness;
use tepui_abi::{Architecture, Target, Tunables};
use tepui_image::{CodeBuilder, CodeContents, CodeImage, Error, Image, ImageContents, write};

const KEY: [u8; 32] = [7; 32];
const MODULE: &[u8] =
    b"\0asm\x01\0\0\0 not looked at by this crate, only kept: 0123456789 0123456789";

/// A batch of three functions, pushed in ascending order or not.
fn code(target: Target, ascending: bool) -> CodeImage {
    let mut builder = CodeBuilder::new(target);
    let architecture = target.architecture;
    let mut functions = [(1, vec![2, 3]), (2, vec![1]), (3, vec![1, 2, 3])];
    if !ascending {
        functions.reverse();
    }
    for (function, targets) in functions {
        builder.push(
            func(function),
            caller(architecture, &targets, 3, function * 10),
        );
    }
    builder.finish().unwrap()
}

/// An image with two compilations.
fn image(target: Target, key: Option<&[u8; 32]>) -> Vec<u8> {
    let first = code(target, true);
    let second = code(target, false);
    let contents = ImageContents {
        target,
        module: &[MODULE],
        code: &[
            CodeContents {
                tier: "optimizing",
                fingerprint: "compiler 1.2, avx2",
                tunables: Tunables::guarded(12),
                code: &first,
            },
            CodeContents {
                tier: "baseline",
                fingerprint: "",
                tunables: Tunables {
                    fuel: true,
                    deterministic: true,
                    spectre: false,
                    ..Tunables::guarded(14).checked()
                },
                code: &second,
            },
        ],
    };
    write(&contents, key).unwrap()
}

fn x86() -> Target {
    Target::of(Architecture::X86_64)
}

/// Makes the digest fit again, and the tag, so that only the structure is left
/// to be refused.
fn reseal(bytes: &mut [u8]) {
    let body = bytes.len() - 64;
    let mut hasher = blake3::Hasher::new();
    let hash = hasher.update(&bytes[..body]).finalize();
    let mut tag = [0; 32];
    if bytes[27] == 1 {
        let mut keyed = blake3::Hasher::new_keyed(&KEY);
        tag = *keyed
            .update(b"tepui image tag")
            .update(hash.as_bytes())
            .finalize()
            .as_bytes();
    }
    let digest = hasher.update(&tag).finalize();
    bytes[body..body + 32].copy_from_slice(&tag);
    bytes[body + 32..].copy_from_slice(digest.as_bytes());
}

/// Asks an accepted image everything; its tables must keep their promises.
fn explore(bytes: &[u8]) {
    let image = Image::parse(bytes).unwrap();
    for section in image.code_sections() {
        let code = section.to_code_image();
        assert_eq!(code.text(), section.text());
        let mut end = 0;
        for record in code.functions() {
            assert!(end <= record.start && record.start < record.end);
            end = record.end;
            assert_eq!(code.entry(record.function), Some(record.start));
            assert_eq!(code.function_at(record.start), Some(*record));
            assert_eq!(code.function_at(record.end - 1), Some(*record));
        }
        assert!(end <= code.text_len());
        for site in code.traps() {
            assert_eq!(code.trap_at(site.offset), Some(site.trap));
            assert!(code.function_at(site.offset).is_some());
        }
        for position in code.positions() {
            let wasm = code.position_at(position.offset);
            assert_eq!(wasm.unwrap_or(u32::MAX), position.wasm);
            assert!(wasm.is_none_or(|wasm| (wasm as usize) < image.module().len()));
        }
    }
}

#[test]
fn images_come_back_as_they_were_for_every_target() {
    let small = Target {
        pointer_bytes: 4,
        endianness: Endianness::Big,
        ..Target::of(Architecture::Interpreted)
    };
    for target in Architecture::NATIVE.map(Target::of) {
        for key in [None, Some(&KEY)] {
            let bytes = image(target, key);
            assert!(Image::is_image(&bytes));
            assert_eq!(bytes, image(target, key), "writing is reproducible");
            explore(&bytes);
            let parsed = Image::parse(&bytes).unwrap();
            assert_eq!(parsed.target(), target);
            assert_eq!(parsed.module(), MODULE);
            assert_eq!(parsed.version(), env!("CARGO_PKG_VERSION"));
            let [first, second] = parsed.code_sections() else {
                panic!("two code sections");
            };
            assert_eq!(first.tier(), "optimizing");
            assert_eq!(first.fingerprint(), "compiler 1.2, avx2");
            assert_eq!(first.tunables(), Tunables::guarded(12));
            assert_eq!(second.tier(), "baseline");
            assert_eq!(second.fingerprint(), "");
            assert!(second.tunables().fuel && second.tunables().deterministic);
            assert!(!second.tunables().epoch && !second.tunables().spectre);
            assert_eq!(first.to_code_image(), code(target, true));
            assert_eq!(second.to_code_image(), code(target, false));
            let mut released = code(target, false);
            released.take_text();
            assert_eq!(second.to_tables(), released);
            for section in [first, second] {
                let offset = section.text_file_offset();
                let page = if target.architecture == Architecture::Aarch64 {
                    16384
                } else {
                    4096
                };
                assert_eq!(offset % page, 0);
                assert_eq!(
                    bytes[offset as usize..][..section.text().len()],
                    *section.text()
                );
            }
            assert_eq!(parsed.into_code_image().unwrap(), code(target, true));
        }
    }
    let contents = ImageContents {
        target: small,
        module: &[MODULE],
        code: &[],
    };
    let bytes = write(&contents, None).unwrap();
    let parsed = Image::parse(&bytes).unwrap();
    assert_eq!(parsed.target(), small);
    assert!(matches!(
        parsed.into_code_image(),
        Err(Error::Invalid { .. })
    ));
}

#[test]
fn code_is_checked_against_the_engine() {
    let bytes = image(x86(), None);
    let parsed = Image::parse(&bytes).unwrap();
    let section = &parsed.code_sections()[0];
    let tunables = Tunables::guarded(12);
    section.check(x86(), &tunables).unwrap();
    let arm = Target::of(Architecture::Aarch64);
    let error = section.check(arm, &tunables).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image is for x86_64 (64-bit, little-endian), this is aarch64 (64-bit, little-endian)"
    );
    let error = section.check(x86(), &tunables.checked()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image was compiled with memory reservation = 4294967296, the engine has 0"
    );
    let with_fuel = Tunables {
        fuel: true,
        ..tunables
    };
    assert!(matches!(
        section.check(x86(), &with_fuel),
        Err(Error::WrongSettings { what: "fuel", .. })
    ));
}

#[test]
fn the_tag_tells_whose_image_it_is() {
    let tagged = image(x86(), Some(&KEY));
    let parsed = Image::parse(&tagged).unwrap();
    assert!(parsed.is_tagged());
    assert!(parsed.authenticate(&KEY));
    assert_eq!(parsed.require(&KEY), Ok(()));
    for bit in 0..256 {
        let mut other = KEY;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!parsed.authenticate(&other));
        assert_eq!(parsed.require(&other), Err(Error::Forged));
    }

    let plain = image(x86(), None);
    let parsed = Image::parse(&plain).unwrap();
    assert!(!parsed.is_tagged());
    assert!(!parsed.authenticate(&KEY));
    assert_eq!(parsed.require(&KEY), Err(Error::Unauthenticated));

    // Somebody without the key changes the image and makes the digest fit.
    let fit = |bytes: &mut [u8]| {
        let (signed, digest) = bytes.split_at_mut(bytes.len() - 32);
        digest.copy_from_slice(blake3::hash(signed).as_bytes());
    };
    let text = Image::parse(&tagged).unwrap().code_sections()[0].text_file_offset();
    let mut forged = tagged.clone();
    forged[text as usize] ^= 1;
    fit(&mut forged);
    let parsed = Image::parse(&forged).unwrap();
    assert_eq!(parsed.require(&KEY), Err(Error::Forged));

    // Or moves the tag of one image to another one.
    let mut moved = plain;
    moved[27] = 1;
    moved[text as usize] ^= 1;
    let tag = tagged.len() - 64..tagged.len() - 32;
    moved[tag.clone()].copy_from_slice(&tagged[tag]);
    fit(&mut moved);
    let parsed = Image::parse(&moved).unwrap();
    assert!(parsed.is_tagged());
    assert_eq!(parsed.require(&KEY), Err(Error::Forged));

    // A tag without the flag that says so.
    let mut unflagged = image(x86(), None);
    let at = unflagged.len() - 40;
    unflagged[at] = 1;
    fit(&mut unflagged);
    assert!(matches!(
        Image::parse(&unflagged),
        Err(Error::Invalid { what: "flags", .. })
    ));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = image(x86(), Some(&KEY));
    for len in 0..bytes.len() {
        let expected = match len {
            0..8 => Error::NotAnImage,
            _ => Error::Truncated { offset: len as u64 },
        };
        assert_eq!(Image::parse(&bytes[..len]).unwrap_err(), expected, "{len}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(Image::parse(&longer), Err(Error::Invalid { .. })));
}

#[test]
fn every_truncation_that_calls_itself_whole_is_refused() {
    let bytes = image(x86(), None);
    for len in 96..bytes.len() {
        let mut shorter = bytes[..len].to_vec();
        shorter[16..24].copy_from_slice(&(len as u64).to_le_bytes());
        reseal(&mut shorter);
        assert!(Image::parse(&shorter).is_err(), "{len}");
    }
}

#[test]
fn every_changed_byte_is_refused() {
    for key in [None, Some(&KEY)] {
        let mut bytes = image(x86(), key);
        Image::parse(&bytes).unwrap();
        for at in 0..bytes.len() {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            let error = Image::parse(&bytes).unwrap_err();
            let expected = match at {
                0..8 => matches!(error, Error::NotAnImage),
                8..12 => matches!(error, Error::WrongVersion { .. }),
                16..24 => matches!(error, Error::Truncated { .. } | Error::Invalid { .. }),
                _ => matches!(error, Error::Corrupted),
            };
            assert!(expected, "{at}: {error:?}");
            bytes[at] ^= bit;
        }
    }
}

#[test]
fn changed_bytes_under_a_fitting_digest_never_panic() {
    let original = image(x86(), Some(&KEY));
    let mut random = Random(3);
    let (mut refused, mut accepted) = (0, 0);
    let mut attempt = |bytes: &mut Vec<u8>| {
        reseal(bytes);
        match Image::parse(bytes) {
            Ok(_) => {
                explore(bytes);
                accepted += 1;
            }
            Err(_) => refused += 1,
        }
    };
    let texts: Vec<_> = Image::parse(&original)
        .unwrap()
        .code_sections()
        .iter()
        .map(|s| s.text_file_offset() as usize..s.text_file_offset() as usize + s.text().len())
        .collect();
    for at in 0..original.len() - 64 {
        // Machine code and padding may be anything.
        if original[at] == 0
            && original[at.saturating_sub(16)..(at + 16).min(original.len())]
                .iter()
                .all(|&b| b == 0)
            || texts.iter().any(|text| text.contains(&at))
        {
            continue;
        }
        for value in [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            original[at] ^ 1,
            original[at].wrapping_add(1),
        ] {
            let mut bytes = original.clone();
            bytes[at] = value;
            attempt(&mut bytes);
        }
    }
    for _ in 0..3_000 {
        let mut bytes = original.clone();
        for _ in 0..1 + random.below(4) {
            let at = 24 + random.below(original.len() as u32 - 88) as usize;
            let len = [1, 2, 4, 8][random.below(4) as usize].min(original.len() - 64 - at);
            let value = match random.below(4) {
                0 => u64::MAX,
                1 => 0,
                2 => 1 << random.below(64),
                _ => random.next(),
            };
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
        attempt(&mut bytes);
    }
    assert!(refused > 500 && accepted > 100, "{refused} {accepted}");
}

#[test]
fn garbage_is_refused() {
    let mut random = Random(11);
    for len in (0..300).chain([4096, 10_000]) {
        let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        assert_eq!(Image::parse(&bytes).unwrap_err(), Error::NotAnImage);
        if len >= 8 {
            bytes[..8].copy_from_slice(&tepui_image::MAGIC);
            assert!(Image::parse(&bytes).is_err());
        }
        if len >= 96 {
            bytes[8..12].copy_from_slice(&tepui_image::FORMAT_VERSION.to_le_bytes());
            bytes[16..24].copy_from_slice(&(len as u64).to_le_bytes());
            bytes[24..32].copy_from_slice(&[1, 8, 0, 0, 0, 0, 0, 0]);
            reseal(&mut bytes);
            assert!(matches!(Image::parse(&bytes), Err(Error::Invalid { .. })));
        }
    }
    assert_eq!(Image::parse(MODULE).unwrap_err(), Error::NotAnImage);
}

#[test]
fn other_versions_are_named() {
    let mut bytes = image(x86(), None);
    bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let ours = tepui_image::FORMAT_VERSION;
    assert_eq!(
        Image::parse(&bytes).unwrap_err().to_string(),
        format!(
            "the image was made by image format 9, this is image format {ours}: compile the \
             module again"
        )
    );

    let mut bytes = image(x86(), None);
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let at = bytes
        .windows(version.len())
        .position(|w| w == version)
        .unwrap();
    bytes[at] = b'9';
    reseal(&mut bytes);
    let Err(Error::WrongVersion { found, expected }) = Image::parse(&bytes) else {
        panic!("accepted");
    };
    assert!(
        found.starts_with("Tepui 9") && expected == format!("Tepui {}", env!("CARGO_PKG_VERSION"))
    );
}

/// Where the counts of the first compilation stand: after its strings,
/// tunables, section number and alignment.
fn counts_offset(bytes: &[u8]) -> usize {
    let fingerprint = b"compiler 1.2, avx2";
    let at = bytes
        .windows(fingerprint.len())
        .position(|w| w == fingerprint);
    at.unwrap() + fingerprint.len() + 18 + 4 + 4
}

#[test]
fn oversized_counts_are_refused_before_anything_is_allocated() {
    let original = image(x86(), None);
    let counts = counts_offset(&original);
    // The count of sections, of the tables, and the lengths of strings.
    let fields = [
        12,
        counts,
        counts + 4,
        counts + 8,
        counts + 12,
        counts + 16,
        counts + 20,
        counts - 26 - 18 - 4,
    ];
    for at in fields {
        for value in [u32::MAX, u32::MAX / 16 + 1, 1 << 31, 1 << 28, 10_000] {
            let mut bytes = original.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            reseal(&mut bytes);
            assert!(
                matches!(Image::parse(&bytes), Err(Error::Invalid { .. })),
                "{at} {value}"
            );
        }
    }
}

#[test]
fn broken_tables_are_refused_with_their_place() {
    let original = image(x86(), None);
    let counts = counts_offset(&original);
    let tables = counts + 24;
    let count = |i: usize| {
        let at = counts + 4 * i;
        u32::from_le_bytes(original[at..at + 4].try_into().unwrap()) as usize
    };
    let (functions, order, traps, blocks) = (count(0), count(1), count(2), count(3));
    assert_eq!((functions, order, traps, blocks), (3, 0, 6, 1));
    let traps_at = tables + 16 * functions;
    let codes_at = traps_at + 4 * traps;
    let blocks_at = codes_at + traps;
    let refused = |change: &dyn Fn(&mut [u8]), expected: &str| {
        let mut bytes = original.clone();
        change(&mut bytes);
        reseal(&mut bytes);
        match Image::parse(&bytes) {
            Err(Error::Invalid { what, offset }) => {
                assert!(what.contains(expected), "{what}, not {expected}");
                assert!(offset < bytes.len() as u64);
            }
            other => panic!("{other:?} instead of: {expected}"),
        }
    };
    refused(&|b| b[24] = 2, "begin on a page");
    refused(&|b| b[24] = 0, "unknown architecture");
    refused(&|b| b[25] = 4, "no such target");
    refused(&|b| b[26] = 1, "no such target");
    refused(&|b| b[26] = 2, "byte order");
    refused(&|b| b[27] = 2, "flags");
    refused(&|b| b[28] = 1, "reserved");
    refused(&|b| b[32] = 2, "more than one");
    refused(&|b| b[32] = 77, "unknown kind");
    refused(&|b| b[32 + 24] = 1, "more than one");
    refused(&|b| b[40] = 1, "overlap");
    refused(&|b| b[40 + 24 + 7] = 0xff, "outside the file");
    refused(&|b| b[tables + 4] = 5, "trap sites");
    refused(&|b| b[blocks_at] = 22, "positions out of order");
    refused(&|b| b[blocks_at + 12] = 0x7f, "positions out of order");
    refused(&|b| b[tables + 8] = 0, "functions overlap");
    refused(&|b| b[tables + 11] = 1, "functions overlap");
    refused(&|b| b[tables] = 2, "not in order");
    refused(&|b| b[traps_at] = 0xff, "trap sites");
    refused(&|b| b[codes_at] = 0, "unknown trap");
    refused(&|b| b[codes_at] = 251, "unknown trap");
    refused(&|b| b[blocks_at + 8] = 1, "malformed position");
    refused(&|b| b[blocks_at + 12] = 0, "malformed position");
    refused(
        &|b| b[blocks_at + 4..blocks_at + 8].copy_from_slice(&[0, 1, 0, 0]),
        "outside the module",
    );
    refused(&|b| b[counts - 4] = 8, "alignment");
    refused(&|b| b[counts - 8] = 1, "no such code");
    refused(&|b| b[counts - 8] = 99, "no such code");
    refused(&|b| b[counts - 9] = 0x40, "tunables");
}

#[test]
fn contents_that_cannot_be_read_back_are_not_written() {
    let good = code(x86(), true);
    let mut released = good.clone();
    released.take_text();
    let attempt = |target, module, code| {
        let contents = ImageContents {
            target,
            module: &[module],
            code: &[CodeContents {
                tier: "optimizing",
                fingerprint: "",
                tunables: Tunables::guarded(12),
                code,
            }],
        };
        write(&contents, None).map(|_| ())
    };
    assert_eq!(attempt(x86(), MODULE, &good), Ok(()));
    assert_eq!(attempt(x86(), MODULE, &released), Err(Error::TextReleased));
    assert!(matches!(
        attempt(Target::of(Architecture::S390x), MODULE, &good),
        Err(Error::WrongTarget { .. })
    ));
    assert!(matches!(
        attempt(x86(), &MODULE[..9], &good),
        Err(Error::Invalid { .. })
    ));
}
