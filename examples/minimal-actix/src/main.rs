//! examples/minimal-actix
fn main() {}
