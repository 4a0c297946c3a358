//! Database servers of a test's own (feature `servers`): started from the programs that are installed, on loopback and
//! in a directory of their own, and gone with the process that started them, however that ends.
//!
//! They are for tests. What a server holds is gone with it, and unless asked it does not wait for the disk.

use std::io;
use std::path::PathBuf;

mod postgres;
mod process;
mod redis;

pub use postgres::{PostgresServer, PostgresServerBuilder};
pub use redis::{RedisServer, RedisServerBuilder};

/// A server was not started, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A program is not installed.
    #[error("{program} is not installed: `{install}`")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The command that gets it on Debian.
        install: &'static str,
    },
    /// A program could not be run, or a file could not be read or written.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program.
        program: PathBuf,
        /// The last that it wrote.
        output: String,
    },
    /// The server is not ready, or not gone, after 30 s (the slots of a cluster: after 20 s).
    #[error("the server took too long: {output}")]
    TooSlow {
        /// The last that it wrote.
        output: String,
    },
}

impl ServerError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
