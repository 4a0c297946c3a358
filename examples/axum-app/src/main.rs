//! examples/axum-app
fn main() {}
