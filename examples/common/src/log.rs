//! The log on standard error.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

const LEVELS: &str = "info,tower_sessions=error,tower_sessions_core=error,actix_session=error";

/// A log that keeps its lines back until the settings are known to be good, so that a wrong one is the only thing that
/// is printed.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<Option<Vec<u8>>>>);

impl Log {
    /// Starts the log, lines held back. `RUST_LOG` sets the level; the default is `info`, but for the session layers:
    /// they warn of each browser that comes with the cookie of a session that has ended.
    #[must_use]
    pub fn held_back() -> Self {
        let log = Self(Arc::new(Mutex::new(Some(Vec::new()))));
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LEVELS)))
            .with_ansi(io::stderr().is_terminal())
            .with_writer(log.clone())
            .init();
        log
    }

    /// Prints what was held back, and from now on every line as it comes.
    pub fn release(&self) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Standard error may be closed; the application runs all the same.
        let _ = io::stderr().write_all(&held.unwrap_or_default());
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(held) => held.write(line),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
