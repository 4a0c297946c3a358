//! examples/minimal-axum
fn main() {}
