//! Debian's `redis-server` on a loopback port.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ServerError;
use super::process::{Supervised, free_port, in_path, new_directory};

/// A Redis server of a test's own, on a loopback port. It is gone when it is dropped or the process ends.
///
/// ```
/// use auth_testing::servers::RedisServer;
///
/// let server = RedisServer::start()?;
/// assert!(server.url().starts_with("redis://127.0.0.1:"));
/// # Ok::<(), auth_testing::servers::ServerError>(())
/// ```
#[derive(Debug)]
pub struct RedisServer {
    options: RedisServerBuilder,
    port: u16,
    directory: PathBuf,
    process: Mutex<Supervised>,
}

/// Settings of a [`RedisServer`]. Of `durable`, `tls` and `cluster` the last one that is called counts.
#[derive(Clone, Default)]
pub struct RedisServerBuilder {
    mode: Mode,
    password: Option<String>,
}

impl fmt::Debug for RedisServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServerBuilder")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    InMemory,
    Durable,
    Tls,
    Cluster,
}

impl RedisServer {
    /// Starts a server that keeps everything in memory and has 1,000 databases.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when the server is not installed or does not start.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Begins a server, to set what is not to be as by default; [`start`](RedisServerBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// The URL of database 0, with the password where there is one.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    /// The URL of a database of this server: 0 to 999, and 0 alone in a [cluster](RedisServerBuilder::cluster).
    #[must_use]
    pub fn url_of(&self, database: u16) -> String {
        let (scheme, host) = match self.options.mode {
            Mode::Tls => ("rediss", "localhost"),
            _ => ("redis", "127.0.0.1"),
        };
        let password = self.options.password.as_deref();
        let login = password
            .map(|password| format!(":{password}@"))
            .unwrap_or_default();
        format!("{scheme}://{login}{host}:{}/{database}", self.port)
    }

    /// The file with the authority that signed the certificate of a server with [`tls`](RedisServerBuilder::tls).
    #[must_use]
    pub fn certificate_authority(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Kills the server at once, as a crash would.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when it does not go.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.process().signal("KILL")
    }

    /// Starts the server again after [`kill`](Self::kill), on the same port and with what it had saved: nothing, unless it is
    /// [durable](RedisServerBuilder::durable).
    ///
    /// # Errors
    ///
    /// [`ServerError`] when it does not start.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.process().start(READY)?;
        if self.options.mode == Mode::Cluster {
            // After a restart the slots are there, and the answer is an error.
            let asked = self.ask("CLUSTER ADDSLOTSRANGE 0 16383");
            asked.map_err(ServerError::io("cannot talk to the server"))?;
            self.wait_until("CLUSTER INFO", |answer| answer.contains("cluster_state:ok"))?;
        }
        Ok(())
    }

    /// Stops the server where it is: it keeps its connections and answers nothing.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when it cannot be stopped.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process().signal("STOP")
    }

    /// Lets the server go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`ServerError`] when it cannot go on.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process().signal("CONT")
    }

    fn process(&self) -> MutexGuard<'_, Supervised> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, question: &str, good: impl Fn(&str) -> bool) -> Result<(), ServerError> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if self.ask(question).is_ok_and(|answer| good(&answer)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(ServerError::TooSlow {
            output: format!("no good answer to {question}"),
        })
    }

    /// Asks a question on a connection of its own.
    fn ask(&self, question: &str) -> io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("{question}\r\n").as_bytes())?;
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

impl RedisServerBuilder {
    /// Lets each write be on the disk before it is answered, so that [`RedisServer::restart`] finds it. Default: nothing is written there.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.mode = Mode::Durable;
        self
    }

    /// Lets the server speak TLS only, with a certificate for `localhost` and `127.0.0.1` by an
    /// [authority](RedisServer::certificate_authority) of its own. It takes `openssl`. Default: no TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.mode = Mode::Tls;
        self
    }

    /// Makes the server the only node of a cluster, with all slots: it refuses commands and scripts with keys of two slots.
    /// Default: no cluster.
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.mode = Mode::Cluster;
        self
    }

    /// Lets clients in that know this password, and no others. Default: everybody.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The command line of a server on this port with its files in this directory.
    fn arguments(&self, port: u16, directory: &Path) -> Vec<String> {
        let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let port = port.to_string();
        let (folder, certificate, key, authority) =
            (path(""), path("server.pem"), path("server.key"), path("ca.pem"));
        let mut arguments = vec![
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--databases",
            "1000",
            "--dir",
            &folder,
        ];
        arguments.extend(match self.mode {
            Mode::Tls => vec!["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"],
            _ => vec!["--port", &port],
        });
        arguments.extend(match self.mode {
            Mode::InMemory => vec![],
            Mode::Durable => vec!["--appendonly", "yes", "--appendfsync", "always"],
            Mode::Cluster => vec!["--cluster-enabled", "yes"],
            Mode::Tls => vec![
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
                "--tls-ca-cert-file",
                &authority,
            ],
        });
        if let Some(password) = &self.password {
            arguments.extend(["--requirepass", password]);
        }
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when a program is not installed or the server does not start.
    pub fn start(self) -> Result<RedisServer, ServerError> {
        let program = in_path("redis-server").ok_or(ServerError::Missing {
            program: "redis-server",
            install: "apt-get install redis-server",
        })?;
        let directory = new_directory("auth-redis")?;
        let started = self.start_in(&program, &directory);
        if started.is_err() {
            let _ = fs::remove_dir_all(&directory);
        }
        started
    }

    fn start_in(self, program: &Path, directory: &Path) -> Result<RedisServer, ServerError> {
        if self.mode == Mode::Tls {
            make_certificates(directory)?;
        }
        let port = free_port()?;
        let program = program.display().to_string();
        let arguments = self.arguments(port, directory);
        let mut command = vec![program.as_str()];
        command.extend(arguments.iter().map(String::as_str));
        let server = RedisServer {
            port,
            process: Mutex::new(Supervised::new(directory.to_owned(), &command, |_| {})?),
            directory: directory.to_owned(),
            options: self,
        };
        server.restart()?;
        Ok(server)
    }
}

const READY: &str = "Ready to accept connections";

/// Makes an authority, and a certificate of it for `localhost`.
fn make_certificates(directory: &Path) -> Result<(), ServerError> {
    let openssl = in_path("openssl").ok_or(ServerError::Missing {
        program: "openssl",
        install: "apt-get install openssl",
    })?;
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
    fs::write(directory.join("names"), names).map_err(ServerError::io("cannot write a file"))?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for command in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names"
            .to_owned(),
    ] {
        let output = Command::new(&openssl)
            .args(command.split(' '))
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .map_err(ServerError::io("cannot run openssl"))?;
        if !output.status.success() {
            return Err(ServerError::Failed {
                program: openssl,
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
    }
    Ok(())
}
