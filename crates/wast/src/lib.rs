//! Runs WebAssembly specification test scripts.
