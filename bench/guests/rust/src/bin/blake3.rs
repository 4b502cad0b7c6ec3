//! BLAKE3 of a file, hashed again and again, the last hash going in first. Usage: `blake3 FILE ROUNDS`.

fn main() {
    let mut args = std::env::args().skip(1);
    let bytes = std::fs::read(args.next().expect("FILE")).expect("a readable file");
    let rounds: usize = args.next().expect("ROUNDS").parse().expect("a number");
    let mut hash = [0; 32];
    for _ in 0..rounds {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&hash).update(&bytes);
        hash = *hasher.finalize().as_bytes();
    }
    println!("{}", blake3::Hash::from_bytes(hash));
}
