//! The binary; so far there is only the engine to build on.

fn main() {
    println!("doorward {}: the engine and the API, no service yet", env!("CARGO_PKG_VERSION"));
}
