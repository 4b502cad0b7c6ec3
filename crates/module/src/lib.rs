//! Decodes and validates WebAssembly modules for the Tepui runtime.
