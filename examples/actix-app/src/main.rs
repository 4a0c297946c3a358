//! examples/actix-app
fn main() {}
