//! The contract between generated code, the interpreter and the Tepui runtime.
