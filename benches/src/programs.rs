//! The example applications as processes of their own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::Failure;
use crate::framework::Framework;

/// Where the programs are, once cargo has brought them up to date.
#[derive(Debug)]
pub(crate) struct Programs(HashMap<String, PathBuf>);

impl Programs {
    pub(crate) fn build() -> Result<Self, Failure> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--message-format=json-render-diagnostics"]);
        for framework in Framework::ALL {
            cargo.args(["-p", &package(framework)]);
        }
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let output = cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("the example applications do not compile".into());
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let messages = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let programs = messages.filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.into()))
        });
        Ok(Self(programs.collect()))
    }

    /// Starts an application with these variables and no others, and waits until it listens.
    pub(crate) fn start(
        &self,
        framework: Framework,
        environment: &[(&str, String)],
    ) -> Result<Program, Failure> {
        let name = package(framework);
        let path = self.0.get(&name).ok_or("cargo has not told where a program is")?;
        let started_at = Instant::now();
        let mut process = Command::new(path)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().ok_or("the application has no output")?;
        let mut program = Program {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            started_at,
        };
        let mut lines = BufReader::new(output);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        program.address = address
            .ok_or_else(|| format!("{name} did not start"))?
            .trim_end_matches('/')
            .parse()?;
        // What else it prints must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(program)
    }
}

fn package(framework: Framework) -> String {
    format!("{framework}-app")
}

/// An application, which ends with this value.
#[derive(Debug)]
pub(crate) struct Program {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) started_at: Instant,
}

impl Program {
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
