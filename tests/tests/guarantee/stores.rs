//! The stores that instances share.

use auth_testing::servers::PostgresServer;
pub(crate) struct RedisServer;
macro_rules! stub { ($t:ident) => { impl $t { fn builder() -> Self { Self } fn durable(self) -> Self { self } fn start(self) -> Result<Self, String> { Err("stub".into()) } fn url(&self) -> String { String::new() } fn kill(&mut self)-> Result<(), String> { Ok(()) } fn restart(&mut self) -> Result<(), String> { Ok(()) } } } }
stub!(RedisServer);
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
    server: Server,
}

enum Server {
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
    /// Kills the server with SIGKILL, and says whether there is one.
    pub(crate) fn kill(&mut self) -> bool {
        match &mut self.server {
            Server::File { .. } => return false,
            Server::Redis(server) => server.kill().unwrap(),
            Server::Postgres(server) => server.kill().unwrap(),
        }
        true
    }

    pub(crate) fn restart(&mut self) {
        match &mut self.server {
            Server::File { .. } => {}
            Server::Redis(server) => server.restart().unwrap(),
            Server::Postgres(server) => server.restart().unwrap(),
        }
    }
}
