//! Database servers for tests, started from the system's packages (feature `servers`).
//!
//! Each ends with the process that started it, however that ends.

use std::io;

mod process;
mod redis;

pub use redis::{RedisServer, RedisServerBuilder};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A program is not installed.
    #[error("{program} is not installed: apt-get install {package}")]
    Missing {
        /// What is missing.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The system did not do what it was asked.
    #[error("cannot start the server")]
    Io(#[from] io::Error),
    /// The server ended or did not answer.
    #[error("the server did not get ready: {0}")]
    NotReady(String),
}
