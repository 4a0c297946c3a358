//! An example application as a process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Which of the two example applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// `axum-app`.
    Axum,
    /// `actix-app`.
    Actix,
}

impl Framework {
    /// Both, in the order of the README.
    pub const BOTH: [Self; 2] = [Self::Axum, Self::Actix];

    /// The package's and the binary's name.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Axum => "axum-app",
            Self::Actix => "actix-app",
        }
    }

    /// The path of the binary. The first call lets cargo bring both binaries up to date, since `cargo test` alone does not build them.
    ///
    /// # Panics
    ///
    /// When they do not compile.
    #[must_use]
    pub fn binary(self) -> &'static Path {
        static BINARIES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
        &BINARIES.get_or_init(|| build(&[]))[self.package()]
    }

    /// The program of this guide, of `docs/guides`. As [`binary`](Self::binary).
    ///
    /// # Panics
    ///
    /// When the programs do not compile, or there is no such guide.
    #[must_use]
    pub fn guide(self, number: u8) -> &'static Path {
        match self {
            Self::Axum => guide_program(&format!("{number}-axum")),
            Self::Actix => guide_program(&format!("{number}-actix")),
        }
    }

    /// The server of `examples/browser-app`. As [`binary`](Self::binary).
    ///
    /// # Panics
    ///
    /// When it does not compile.
    #[must_use]
    pub fn browser_app(self) -> &'static Path {
        static PROGRAMS: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
        let name = match self {
            Self::Axum => "browser-axum",
            Self::Actix => "browser-actix",
        };
        &PROGRAMS.get_or_init(|| build(&["browser-app"]))[name]
    }
}

/// A program of `examples/guides`, by its name. As [`Framework::binary`].
///
/// # Panics
///
/// When the programs do not compile, or there is none of that name.
#[must_use]
pub fn guide_program(name: &str) -> &'static Path {
    static PROGRAMS: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    &PROGRAMS.get_or_init(|| build(&["guides"]))[name]
}

/// Both applications and the programs of further packages, by name: cargo makes their dependencies once, whichever is asked for.
fn build(packages: &[&str]) -> HashMap<String, PathBuf> {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--message-format=json-render-diagnostics"]);
    for package in Framework::BOTH.map(Framework::package).iter().chain(packages) {
        cargo.args(["-p", package]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the example applications do not compile");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.into()))
        })
        .collect()
}

/// What a process has printed so far.
#[derive(Debug, Default)]
pub struct Output {
    /// Lines of its standard output.
    pub stdout: Vec<String>,
    /// Lines of its standard error.
    pub stderr: Vec<String>,
}

/// How much memory a process has, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// At this moment.
    pub now: u64,
    /// At most since its start.
    pub peak: u64,
}

/// A process started with a clean environment; killed on drop.
#[derive(Debug)]
pub struct App {
    /// Which application it is.
    pub framework: Framework,
    child: Child,
    output: Arc<Mutex<Output>>,
    readers: Vec<JoinHandle<()>>,
    address: Option<SocketAddr>,
}

impl App {
    /// Starts the binary with these variables and no others, without waiting for anything.
    ///
    /// # Panics
    ///
    /// When the binary cannot be started.
    #[must_use]
    pub fn spawn(framework: Framework, environment: &[(String, String)]) -> Self {
        Self::spawn_program(framework, framework.binary(), environment)
    }

    /// The same with another program of that framework.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn spawn_program(framework: Framework, program: &Path, environment: &[(String, String)]) -> Self {
        let mut child = Command::new(program)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let output = Arc::new(Mutex::new(Output::default()));
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&output), |output| {
                &mut output.stdout
            }),
            collect(child.stderr.take().unwrap(), Arc::clone(&output), |output| {
                &mut output.stderr
            }),
        ];
        Self {
            framework,
            child,
            output,
            readers,
            address: None,
        }
    }

    /// Waits for the line `listening on http://ADDR`.
    ///
    /// # Panics
    ///
    /// When the process ends instead or says nothing for 30 s.
    pub async fn ready(&mut self) -> SocketAddr {
        for _ in 0..1500 {
            let line = self.stdout().into_iter().find_map(|line| {
                line.strip_prefix("listening on http://")
                    .and_then(|address| address.trim_end_matches('/').parse().ok())
            });
            if let Some(address) = line {
                self.address = Some(address);
                return address;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "{} ended with {status}: {}",
                    self.framework.package(),
                    self.tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "{} does not say that it listens: {}",
            self.framework.package(),
            self.tail()
        );
    }

    /// The address it listens on.
    ///
    /// # Panics
    ///
    /// Before [`App::ready`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the application is ready")
    }

    /// The memory of the process that is not swapped out (Linux only).
    ///
    /// # Panics
    ///
    /// When the process has ended.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let id = self.child.id().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process has a status");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kib: u64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap();
            kib * 1024
        };
        Memory {
            now: bytes("VmRSS"),
            peak: bytes("VmHWM"),
        }
    }

    /// Lines of standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.output.lock().unwrap().stdout.clone()
    }

    /// Lines of standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.output.lock().unwrap().stderr.clone()
    }

    /// A handle to the output that outlives the process.
    #[must_use]
    pub fn output(&self) -> Arc<Mutex<Output>> {
        Arc::clone(&self.output)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("the process runs");
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).expect("the process can be signalled");
    }

    /// Waits for the end of the process and of its output.
    ///
    /// # Panics
    ///
    /// When it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let Ok(status) = status else {
            panic!(
                "{} still runs after {limit:?}: {}",
                self.framework.package(),
                self.tail()
            )
        };
        self.drain().await;
        status.unwrap()
    }

    /// Kills the process and takes in what it had printed.
    pub async fn kill(&mut self) {
        // An error here means that it has ended already.
        let _ = self.child.kill().await;
        self.drain().await;
    }

    async fn drain(&mut self) {
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
    }

    /// The last lines of standard error less the chatter of level TRACE and DEBUG, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.output.lock().unwrap())
    }
}

fn tail(output: &Output) -> String {
    let lines: Vec<_> = output
        .stderr
        .iter()
        .filter(|line| !line.contains("TRACE") && !line.contains("DEBUG"))
        .collect();
    lines[lines.len().saturating_sub(40)..]
        .iter()
        .map(|line| format!("\n    {line}"))
        .collect()
}

impl Drop for App {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("output of {}:{}", self.framework.package(), self.tail());
        }
    }
}

fn collect(
    stream: impl AsyncRead + Unpin + Send + 'static,
    output: Arc<Mutex<Output>>,
    field: fn(&mut Output) -> &mut Vec<String>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).into_owned();
            field(&mut output.lock().unwrap()).push(line);
        }
    })
}
