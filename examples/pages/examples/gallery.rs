//! Writes every page to a directory, to look at them in a browser: `cargo run -p example-pages --example gallery DIR`.

use std::path::PathBuf;
use std::{env, fs, io};

#[path = "../tests/samples/mod.rs"]
mod samples;

use samples::{ALICE, Values};

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "give the directory to write to",
        ));
    };
    fs::create_dir_all(&directory)?;

    for (name, page) in samples::pages(ALICE) {
        fs::write(directory.join(name).with_extension("html"), page)?;
    }
    let long = "a".repeat(200);
    for (name, page) in samples::pages(Values::all(&long)) {
        fs::write(directory.join(format!("{name}-long.html")), page)?;
    }
    Ok(())
}
