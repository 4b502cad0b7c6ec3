//! Tepui's optimizing compiler: WebAssembly to Cranelift IR.
