//! A process that ends with ours, and a directory that goes with it.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::ServerError;

/// Waits for the end of its input, which comes with the end of the process that holds the other end of the pipe, be
/// it killed. Then it kills the server and removes the directory, unless it was told to keep that.
const GUARD: &str = r#"
    directory=$1; shift
    "$@" >"$directory/log" 2>&1 &
    server=$!
    echo "$server"
    read -r order
    kill -KILL "$server"
    wait "$server"
    [ "$order" = keep ] || rm -rf "$directory"
"#;

/// A server under guard. Dropping it kills the server.
#[derive(Debug)]
pub(super) struct Process {
    guard: Child,
    pid: String,
}

impl Process {
    /// Starts `program`; its output goes to the file `log` in `directory`.
    pub(super) fn start<I, A>(
        program: &'static str,
        package: &'static str,
        args: I,
        directory: &Path,
    ) -> Result<Self, ServerError>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        if !is_installed(program) {
            return Err(ServerError::Missing { program, package });
        }
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(directory)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut pid = String::new();
        if let Some(output) = guard.stdout.take() {
            BufReader::new(output).read_line(&mut pid)?;
        }
        Ok(Self {
            guard,
            pid: pid.trim().to_owned(),
        })
    }

    /// Kills the server; the directory stays.
    pub(super) fn kill(mut self) {
        if let Some(mut order) = self.guard.stdin.take() {
            let _ = order.write_all(b"keep\n");
        }
    }

    /// Sends the server a signal, `STOP` for example.
    pub(super) fn signal(&self, name: &str) -> io::Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(&self.pid)
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other("the server is not running"))
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Whether a program is in `PATH`.
pub(super) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// A new directory under the system's temporary one.
pub(super) fn new_directory(what: &str) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("auth-testing-{what}-{}-{n}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            // Left over from another process of this number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
