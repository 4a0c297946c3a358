//! Where and when something was measured.

use std::fmt;
use std::process::Command;

use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Machine {
    /// `2026-11-27`.
    date: String,
    commit: String,
    rust: String,
    processor: String,
    cores: usize,
    memory_gib: f64,
    system: String,
    /// Other programs, where they are installed.
    programs: Vec<String>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let processor = line_of("/proc/cpuinfo", "model name");
        let memory = line_of("/proc/meminfo", "MemTotal");
        let memory: Option<f64> = memory.split(' ').next().and_then(|kib| kib.parse().ok());
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let mut commit = said("git", &["rev-parse", "--short=10", "HEAD"]);
        if changed {
            commit.push_str(", changed");
        }
        let programs = [
            ("redis-server", "--version"),
            ("psql", "--version"),
            ("valgrind", "--version"),
        ];
        let programs = programs.map(|(program, argument)| said(program, &[argument]));
        Self {
            date: time::OffsetDateTime::now_utc().date().to_string(),
            commit,
            rust: said("rustc", &["--version"]),
            processor,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory.unwrap_or(f64::NAN) / f64::from(1 << 20),
            system: said("uname", &["-sr"]),
            programs: programs.into_iter().filter(|said| !said.is_empty()).collect(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "date": self.date,
            "commit": self.commit,
            "rust": self.rust,
            "processor": self.processor,
            "cores": self.cores,
            "memory_gib": self.memory_gib,
            "system": self.system,
            "programs": self.programs,
        })
    }
}

/// A list in Markdown.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            commit,
            rust,
            processor,
            cores,
            memory_gib,
            system,
            programs,
        } = self;
        writeln!(f, "* {date}, commit {commit}")?;
        writeln!(
            f,
            "* {processor}, {cores} cores, {memory_gib:.0} GiB of memory, {system}"
        )?;
        write!(f, "* {rust}")?;
        for program in programs {
            write!(f, "; {program}")?;
        }
        writeln!(f)
    }
}

/// What stands behind the name and the colon in the first such line of a file.
fn line_of(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// The first line that a program says; nothing where it is missing or fails.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
