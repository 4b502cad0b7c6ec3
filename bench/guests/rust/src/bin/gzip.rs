//! A file compressed with gzip at levels 1, 6 and 9 and unpacked again. Usage: `gzip FILE`.

use flate2::{Compression, Crc, read::GzDecoder, write::GzEncoder};
use std::io::{Read, Write};

fn main() {
    let bytes = std::fs::read(std::env::args().nth(1).expect("FILE")).expect("a readable file");
    for level in [1, 6, 9] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(&bytes).expect("memory");
        let packed = encoder.finish().expect("memory");
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .expect("a whole stream");
        assert_eq!(
            unpacked, bytes,
            "level {level} does not give back what went in"
        );
        let mut crc = Crc::new();
        crc.update(&packed);
        println!(
            "{level}: {} -> {} bytes, crc {:08x}",
            bytes.len(),
            packed.len(),
            crc.sum()
        );
    }
}
