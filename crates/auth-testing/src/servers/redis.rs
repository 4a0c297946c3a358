//! Debian's `redis-server` on a loopback port.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::ServerError;
use super::process::{Process, is_installed, new_directory};

/// A Redis server of its own, on a loopback port. It ends when it is dropped, and with the process in any case.
///
/// ```
/// use auth_testing::servers::RedisServer;
///
/// let server = RedisServer::start()?;
/// assert!(server.url(0).starts_with("redis://127.0.0.1:"));
/// # Ok::<(), auth_testing::servers::ServerError>(())
/// ```
#[derive(Debug)]
pub struct RedisServer {
    options: RedisServerBuilder,
    port: u16,
    directory: PathBuf,
    process: Option<Process>,
}

/// What a [`RedisServer`] is like.
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    mode: Mode,
    password: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    InMemory,
    AppendOnly,
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

    /// A server to choose options for.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// The URL of a database of this server, with the password where there is one.
    #[must_use]
    pub fn url(&self, database: u16) -> String {
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

    /// Kills the server, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts the server again on the same port, with what it had saved.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when it does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.kill();
        self.run()
    }

    /// Stops the server without ending it: connections stay, nothing answers.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when it does not run.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.signal("STOP")
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when it does not run.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<(), ServerError> {
        match &self.process {
            Some(process) => Ok(process.signal(name)?),
            None => Err(io::Error::other("the server is not running").into()),
        }
    }

    fn run(&mut self) -> Result<(), ServerError> {
        let port = self.port.to_string();
        let path = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let mut args: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--databases", "1000"]
            .map(str::to_owned)
            .into();
        args.extend(["--dir".to_owned(), path("")]);
        let mode: Vec<String> = match self.options.mode {
            Mode::InMemory => vec!["--port".into(), port],
            Mode::AppendOnly => ["--port", &port, "--appendonly", "yes", "--appendfsync", "always"]
                .map(str::to_owned)
                .into(),
            Mode::Cluster => ["--port", &port, "--cluster-enabled", "yes"]
                .map(str::to_owned)
                .into(),
            Mode::Tls => {
                let (certificate, key, authority) = (path("server.pem"), path("server.key"), path("ca.pem"));
                ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]
                    .into_iter()
                    .chain(["--tls-cert-file", &certificate, "--tls-key-file", &key])
                    .chain(["--tls-ca-cert-file", &authority])
                    .map(str::to_owned)
                    .collect()
            }
        };
        args.extend(mode);
        if let Some(password) = &self.options.password {
            args.extend(["--requirepass".to_owned(), password.clone()]);
        }
        self.process = Some(Process::start(
            "redis-server",
            "redis-server",
            args,
            &self.directory,
        )?);
        self.wait_until("PING", |answer| {
            self.options.mode == Mode::Tls || answer.starts_with("+PONG") || answer.starts_with("-NOAUTH")
        })?;
        if self.options.mode == Mode::Cluster {
            // After a restart the slots are there, and the answer an error.
            self.ask("CLUSTER ADDSLOTSRANGE 0 16383")?;
            self.wait_until("CLUSTER INFO", |answer| answer.contains("cluster_state:ok"))?;
        }
        Ok(())
    }

    fn wait_until(&self, question: &str, good: impl Fn(&str) -> bool) -> Result<(), ServerError> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if self.ask(question).is_ok_and(|answer| good(&answer)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let end = log.lines().next_back().unwrap_or("it says nothing");
        Err(ServerError::NotReady(end.to_owned()))
    }

    /// Asks a question on a connection of its own. With TLS it only connects.
    fn ask(&self, question: &str) -> io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        if self.options.mode == Mode::Tls {
            return Ok(String::new());
        }
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("{question}\r\n").as_bytes())?;
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

impl RedisServerBuilder {
    /// Each write is on the disk before it is answered, so that [`RedisServer::restart`] finds it.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.mode = Mode::AppendOnly;
        self
    }

    /// TLS only, with a certificate for `localhost` by an [authority](RedisServer::certificate_authority) of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.mode = Mode::Tls;
        self
    }

    /// The only node of a cluster, with all slots: it refuses commands and scripts with keys of two slots.
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.mode = Mode::Cluster;
        self
    }

    /// Clients must know this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when a program is not installed or the server does not start.
    pub fn start(self) -> Result<RedisServer, ServerError> {
        let directory = new_directory("redis")?;
        if self.mode == Mode::Tls {
            make_certificates(&directory)?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = RedisServer {
            options: self,
            port,
            directory,
            process: None,
        };
        server.run()?;
        Ok(server)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.process.take());
        // Gone already unless the server was killed before.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Makes an authority, and a certificate of it for `localhost`.
fn make_certificates(directory: &Path) -> Result<(), ServerError> {
    if !is_installed("openssl") {
        return Err(ServerError::Missing {
            program: "openssl",
            package: "openssl",
        });
    }
    std::fs::write(
        directory.join("names"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
    )?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for command in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names"
            .to_owned(),
    ] {
        let status = Command::new("openssl")
            .args(command.split(' '))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(ServerError::NotReady("openssl makes no certificate".to_owned()));
        }
    }
    Ok(())
}
