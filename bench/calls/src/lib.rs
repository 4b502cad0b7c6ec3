//! Nothing: this package is its benchmark, `benches/calls.rs`.
