//! Nothing: this package is its benchmark, `benches/start.rs`.
