//! A picture drawn, encoded as PNG, decoded and encoded again. Usage: `png SIZE`; the PNG goes to standard output.

use std::io::{Cursor, Write};

fn encode(size: u32, pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, size, size);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_filter(png::Filter::Adaptive);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().expect("a valid header");
    writer.write_image_data(pixels).expect("memory");
    writer.finish().expect("memory");
    out
}

fn main() {
    let size: u32 = std::env::args()
        .nth(1)
        .expect("SIZE")
        .parse()
        .expect("a number");
    let mut pixels = Vec::with_capacity((size * size * 3) as usize);
    let mut noise = 1u32;
    for y in 0..size {
        for x in 0..size {
            noise = noise.wrapping_mul(1664525).wrapping_add(1013904223);
            let ring = (x * x + y * y) / 97;
            pixels.extend([
                (x ^ y) as u8,
                ring as u8,
                ((x * 255 / size) as u8).wrapping_add((noise >> 30) as u8),
            ]);
        }
    }
    let mut packed = encode(size, &pixels);
    for _ in 0..2 {
        let mut reader = png::Decoder::new(Cursor::new(&packed))
            .read_info()
            .expect("our own header");
        let mut back = vec![0; reader.output_buffer_size().expect("a size that fits")];
        reader.next_frame(&mut back).expect("our own picture");
        assert_eq!(back, pixels, "the picture came back changed");
        packed = encode(size, &back);
    }
    std::io::stdout()
        .write_all(&packed)
        .expect("a writable output");
}
