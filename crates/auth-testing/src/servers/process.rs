//! A server process that ends with the process that started it, however that ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ServerError;

/// A server, started by a small shell that waits for this process to end.
///
/// `Drop` does not run for a static or in a process that is killed. But the shell reads from a pipe that only this
/// process holds: when the pipe closes, it stops the server and removes its directory.
#[derive(Debug)]
pub(super) struct Supervised {
    shell: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
    server: u32,
}

/// Starts the server for each line that it reads, once the one before has ended, and says its process id. SIGQUIT is the
/// quick end for PostgreSQL and for others; a server that is stopped needs SIGCONT first, and one that does not heed
/// it SIGKILL. The shell itself is not to end by Ctrl-C, which reaches all of the terminal's processes.
const SHELL: &str = r#"
trap '' INT TERM HUP
directory=$1; shift
server=
while read -r _; do
    wait
    "$@" </dev/null >>"$directory/log" 2>&1 &
    server=$!
    echo "$server"
done
if [ -n "$server" ]; then
    kill -s CONT "$server"
    kill -s QUIT "$server"
    ( sleep 8; kill -s KILL "$server" ) &
    watch=$!
    wait "$server"
    kill -s KILL "$watch"
fi
rm -rf "$directory"
"#;

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

impl Supervised {
    /// The shell, and no server yet. `directory` is removed in the end. `prepare` may change the user.
    pub(super) fn new(
        directory: PathBuf,
        command: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self, ServerError> {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", SHELL, "supervisor"])
            .arg(&directory)
            .args(command)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        prepare(&mut shell);
        let mut shell = shell.spawn().map_err(ServerError::io("cannot start /bin/sh"))?;
        let missing = || ServerError::io("cannot talk to /bin/sh")(io::ErrorKind::BrokenPipe.into());
        let commands = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().ok_or_else(missing)?);
        Ok(Self {
            shell,
            commands,
            answers,
            directory,
            server: 0,
        })
    }

    /// Starts the server, which must not run, and waits until it has written `ready` to its log.
    pub(super) fn start(&mut self, ready: &str) -> Result<(), ServerError> {
        let before = self.log().len();
        let talk = |source| ServerError::io("cannot talk to /bin/sh")(source);
        if let Some(commands) = &mut self.commands {
            commands.write_all(b"start\n").map_err(talk)?;
        }
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(talk)?;
        self.server = answer
            .trim()
            .parse()
            .map_err(|_| talk(io::ErrorKind::InvalidData.into()))?;
        let started = Instant::now();
        loop {
            let log = self.log();
            let log = log.get(before..).unwrap_or_default();
            if log.contains(ready) {
                return Ok(());
            }
            if !is_alive(self.server) {
                return Err(ServerError::Failed {
                    program: PathBuf::from("the server"),
                    output: last_lines(log),
                });
            }
            if started.elapsed() > PATIENCE {
                return Err(ServerError::TooSlow {
                    output: last_lines(log),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the server and all its processes, and with `KILL` waits until they are gone.
    pub(super) fn signal(&self, signal: &str) -> Result<(), ServerError> {
        let mut processes = children(self.server);
        processes.insert(0, self.server);
        // The shell's own `kill`: there may be no other. A process that has ended meanwhile is no error.
        Command::new("/bin/sh")
            .args([
                "-c",
                r#"signal=$1; shift; for p; do kill -s "$signal" "$p"; done"#,
                "kill",
                signal,
            ])
            .args(processes.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status()
            .map_err(ServerError::io("cannot run /bin/sh"))?;
        let started = Instant::now();
        while signal == "KILL" && processes.iter().any(|process| is_alive(*process)) {
            if started.elapsed() > PATIENCE {
                return Err(ServerError::TooSlow {
                    output: last_lines(&self.log()),
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read(self.directory.join("log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Its children may be stopped, and they are not the shell's to wake.
        let _ = self.signal("CONT");
        drop(self.commands.take());
        let _ = self.shell.wait();
    }
}

/// A new directory, its owner's alone.
pub(super) fn new_directory(name: &str) -> Result<PathBuf, ServerError> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("{name}-{}-{count}", std::process::id()));
    let failed = |source| ServerError::io(format!("cannot make {}", path.display()))(source);
    // What an earlier process of the same number has left, if it had no shell yet.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).map_err(failed)?;
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
    Ok(path)
}

/// A port that is free now. Another process may take it before the server does; then the server says so.
pub(super) fn free_port() -> Result<u16, ServerError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(ServerError::io("cannot find a free port"))
}

/// The end of what a program wrote.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// A program in a directory of `PATH`.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Whether the process is there and has not ended. On systems without `/proc` it counts as there.
fn is_alive(process: u32) -> bool {
    match stat(process) {
        Some((state, _)) => !matches!(state, 'Z' | 'X'),
        None => !Path::new("/proc/self").exists(),
    }
}

fn children(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|other| stat(*other).is_some_and(|(_, parent)| parent == process))
        .collect()
}

/// The state and the parent of a process.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
