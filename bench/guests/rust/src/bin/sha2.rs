//! SHA-256 and SHA-512 of a file, hashed again and again. Usage: `sha2 FILE ROUNDS`.

use sha2::{Digest, Sha256, Sha512};

fn main() {
    let mut args = std::env::args().skip(1);
    let bytes = std::fs::read(args.next().expect("FILE")).expect("a readable file");
    let rounds: usize = args.next().expect("ROUNDS").parse().expect("a number");
    let (mut short, mut long) = ([0u8; 32], [0u8; 64]);
    for _ in 0..rounds {
        short = Sha256::new()
            .chain_update(short)
            .chain_update(&bytes)
            .finalize()
            .into();
        long = Sha512::new()
            .chain_update(long)
            .chain_update(&bytes)
            .finalize()
            .into();
    }
    for byte in short.iter().chain(&long) {
        print!("{byte:02x}");
    }
    println!();
}
