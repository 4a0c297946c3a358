//! The stores that instances share.

use auth_testing::servers::{PostgresServer, RedisServer};
use tempfile::TempDir;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Redis,
    Postgres,
}

/// A store of its own for one test; it ends with it.
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) server: Server,
}

pub(crate) enum Server {
    File { _folder: TempDir },
    Redis(RedisServer),
    Postgres(PostgresServer),
}

impl Backend {
    /// Starts a store that keeps what it has said is kept, over a crash of its own.
    pub(crate) fn start(self) -> Store {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                Store {
                    url: format!("sqlite:{}", folder.path().join("sessions.db").display()),
                    server: Server::File { _folder: folder },
                }
            }
            Self::Redis => {
                let server = RedisServer::builder()
                    .durable()
                    .start()
                    .unwrap_or_else(|error| panic!("{error}"));
                Store {
                    url: server.url(),
                    server: Server::Redis(server),
                }
            }
            Self::Postgres => {
                let server = PostgresServer::builder()
                    .durable()
                    .start()
                    .unwrap_or_else(|error| panic!("{error}"));
                Store {
                    url: server.url(),
                    server: Server::Postgres(server),
                }
            }
        }
    }
}

impl Store {
    /// Kills the server with SIGKILL. A file has none.
    pub(crate) fn kill(&self) {
        match &self.server {
            Server::File { .. } => {}
            Server::Redis(server) => server.kill().unwrap(),
            Server::Postgres(server) => server.kill().unwrap(),
        }
    }

    pub(crate) fn restart(&self) {
        match &self.server {
            Server::File { .. } => {}
            Server::Redis(server) => server.restart().unwrap(),
            Server::Postgres(server) => server.restart().unwrap(),
        }
    }
}
