//! The examples do what they say: each asserts it, and is run here.

#[path = "../examples/call.rs"]
mod call;
#[path = "../examples/image.rs"]
mod image;
#[path = "../examples/limits.rs"]
mod limits;
#[path = "../examples/memory.rs"]
mod memory;
#[path = "../examples/wasi.rs"]
mod wasi;

#[test]
fn calls() -> tepui::Result<()> {
    call::main()
}

#[test]
fn memories() -> tepui::Result<()> {
    memory::main()
}

#[test]
fn limited_guests() -> tepui::Result<()> {
    limits::main()
}

#[test]
fn wasi_programs() -> tepui::Result<()> {
    wasi::main()
}

#[test]
fn images() -> tepui::Result<()> {
    image::main()
}
