//! A WebAssembly runtime: embedding API.
