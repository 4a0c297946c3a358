//! A PostgreSQL server of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ServerError;
use super::process::{Supervised, free_port, in_path, last_lines, new_directory};

/// A PostgreSQL server of a test's own, from the newest version that is installed.
///
/// It listens on a Unix socket in its own directory, where it believes everyone, and on a loopback port, where roles
/// need a password. It is gone when it is dropped or the process ends.
///
/// ```no_run
/// use auth_testing::servers::PostgresServer;
///
/// # fn main() -> Result<(), auth_testing::servers::ServerError> {
/// let server = PostgresServer::start()?;
/// let url = server.create_database()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    process: Mutex<Supervised>,
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    databases: AtomicUsize,
}

impl PostgresServer {
    /// Starts a server with the defaults.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Begins a server, to set what is not to be as by default; [`start`](PostgresServerBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> PostgresServerBuilder {
        PostgresServerBuilder::default()
    }

    /// The URL of the database `postgres` for the superuser, `postgres`, through the socket.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres", "postgres")
    }

    /// The URL of a database for a role, through the socket. Neither is made by this.
    #[must_use]
    pub fn url_of(&self, role: &str, database: &str) -> String {
        format!(
            "postgres://{role}@localhost:{}/{database}?host={}",
            self.port,
            self.directory.display()
        )
    }

    /// The port on 127.0.0.1, where roles need a password.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database of a new name, and gives its URL for the superuser, through the socket.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where the server does not make it.
    pub fn create_database(&self) -> Result<String, ServerError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url_of("postgres", &name))
    }

    /// Runs SQL as the superuser in a database, and gives the rows as text: `|` between columns, a line each.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where the server does not run it.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, ServerError> {
        run(Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-h",
            ])
            .arg(&self.directory)
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql]))
    }

    /// Kills all processes of the server at once, as a crash would.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where they do not go.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.process().signal("KILL")
    }

    /// Starts the server again after [`kill`](Self::kill), with the same port and data.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where it does not start.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.process().start(READY)
    }

    /// Stops all processes of the server where they are: it keeps its connections and answers nothing.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where they cannot be stopped.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process().signal("STOP")
    }

    /// Lets the server go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`ServerError`] where it cannot go on.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process().signal("CONT")
    }

    fn process(&self) -> MutexGuard<'_, Supervised> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settings of a [`PostgresServer`].
#[derive(Debug, Default)]
pub struct PostgresServerBuilder {
    durable: bool,
    tls: Option<(PathBuf, PathBuf)>,
}

impl PostgresServerBuilder {
    /// Lets the server wait for the disk as in production, for a test that kills it. It is slower. Default: it does not wait.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Lets the server speak TLS, beside plain text, with this certificate chain and key, PEM files both. Default: no TLS.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where PostgreSQL is not installed or does not start, or a file of [`tls`](Self::tls) cannot be read.
    pub fn start(self) -> Result<PostgresServer, ServerError> {
        let programs = programs()?;
        let directory = new_directory("auth-postgres")?;
        let started = self.start_in(&programs, &directory);
        if started.is_err() {
            let _ = fs::remove_dir_all(&directory);
        }
        started
    }

    fn start_in(&self, programs: &Path, directory: &Path) -> Result<PostgresServer, ServerError> {
        let user = User::to_run_as()?;
        user.give(directory)?;
        let data = directory.join("data");
        run(user.run(
            Command::new(programs.join("initdb"))
                .args([
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "--no-sync",
                    "-D",
                ])
                .arg(&data)
                .current_dir("/"),
        ))?;
        let write = |path: &Path, text: &str| {
            fs::write(path, text).map_err(ServerError::io(format!("cannot write {}", path.display())))?;
            user.give(path)
        };
        write(
            &data.join("pg_hba.conf"),
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
        )?;

        let port = free_port()?;
        let mut settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             lc_messages = 'C'\nmax_connections = 300\n",
            directory.display()
        );
        if !self.durable {
            settings.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
        }
        if let Some((certificate, key)) = &self.tls {
            for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
                let text = fs::read_to_string(from)
                    .map_err(ServerError::io(format!("cannot read {}", from.display())))?;
                let to = data.join(name);
                write(&to, &text)?;
                #[cfg(unix)]
                fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                    .map_err(ServerError::io(format!("cannot write {}", to.display())))?;
            }
            settings.push_str("ssl = on\n");
        }
        write(&data.join("postgresql.auto.conf"), &settings)?;

        let (program, data) = (programs.join("postgres"), data.display().to_string());
        let program = program.display().to_string();
        let mut process = Supervised::new(directory.to_owned(), &[&program, "-D", &data], |shell| {
            user.run(shell);
        })?;
        process.start(READY)?;
        Ok(PostgresServer {
            process: Mutex::new(process),
            directory: directory.to_owned(),
            programs: programs.to_owned(),
            port,
            databases: AtomicUsize::new(0),
        })
    }
}

const READY: &str = "database system is ready to accept connections";

/// The directory of the newest PostgreSQL. Debian keeps the versions apart and puts none in `PATH`.
fn programs() -> Result<PathBuf, ServerError> {
    let version =
        |directory: &PathBuf| -> Option<u32> { directory.parent()?.file_name()?.to_str()?.parse().ok() };
    let packaged = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|directory| directory.join("initdb").is_file())
        .max_by_key(version);
    packaged
        .or_else(|| Some(in_path("initdb")?.canonicalize().ok()?.parent()?.to_owned()))
        .ok_or(ServerError::Missing {
            program: "PostgreSQL",
            install: "apt-get install postgresql",
        })
}

/// PostgreSQL refuses to run as root. Root lets the user that its package has made run it.
#[derive(Clone, Copy)]
struct User(Option<(u32, u32)>);

impl User {
    fn to_run_as() -> Result<Self, ServerError> {
        if id(&["-u"])? != 0 {
            return Ok(Self(None));
        }
        Ok(Self(Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?))))
    }

    fn give(self, path: &Path) -> Result<(), ServerError> {
        match self.0 {
            #[cfg(unix)]
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group))
                .map_err(ServerError::io(format!("cannot give {} away", path.display()))),
            _ => Ok(()),
        }
    }

    fn run(self, command: &mut Command) -> &mut Command {
        #[cfg(unix)]
        if let Some((user, group)) = self.0 {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(group);
        }
        command
    }
}

fn id(arguments: &[&str]) -> Result<u32, ServerError> {
    let number = run(Command::new("id").args(arguments))?;
    number.trim().parse().map_err(|_| ServerError::Failed {
        program: PathBuf::from("id"),
        output: number,
    })
}

fn run(command: &mut Command) -> Result<String, ServerError> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::io(format!("cannot run {}", program.display())))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr);
        return Err(ServerError::Failed {
            program,
            output: last_lines(&output),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
