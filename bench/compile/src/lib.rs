//! Nothing: this package is its benchmark, `benches/compile.rs`.
