//! Chores of the Tepui project: `cargo xtask help` lists them.

fn main() {}
