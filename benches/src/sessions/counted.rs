//! Bytes per session, counted by valgrind's memcheck: what is in use at the end of a run with N sessions and of one with 2N.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use auth_core::clock::Clock;
use auth_core::store::{MemoryStore, SessionStore as _};
use tokio::runtime::Runtime;

use super::LIFE;
use crate::effort::Effort;
use crate::setup::{Shared, Template, key};
use crate::{Failure, Part, callgrind};

/// In place of a number of sessions, for the run under valgrind.
pub(super) const COUNTED: &str = "counted";
/// N.
const SESSIONS: usize = 8_192;

/// `None` where valgrind is not installed.
pub(super) fn bytes_per_session(effort: Effort) -> Result<Option<f64>, Failure> {
    let sessions = effort.count(SESSIONS);
    let (once, twice) = std::thread::scope(|scope| {
        let once = scope.spawn(|| in_use_at_exit(sessions));
        let twice = in_use_at_exit(2 * sessions);
        (once.join(), twice)
    });
    let once = once.map_err(|_| "a run under valgrind panicked")??;
    Ok(match (once, twice?) {
        (Some(once), Some(twice)) => Some((twice - once) / sessions as f64),
        _ => None,
    })
}

fn in_use_at_exit(sessions: usize) -> Result<Option<f64>, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"])
        .arg(std::env::current_exe()?)
        .args([callgrind::IN_PROCESS, Part::Memory.name(), COUNTED])
        .arg(sessions.to_string())
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // `==7== in use at exit: 1,234 bytes in 56 blocks`
    let bytes = said.lines().find_map(|line| line.split_once("in use at exit: "));
    let bytes = bytes.and_then(|(_, rest)| rest.split(' ').next());
    match bytes {
        Some(bytes) if output.status.success() => Ok(Some(bytes.replace(',', "").parse()?)),
        _ => Err(format!("the run under valgrind failed: {said}").into()),
    }
}

/// What runs under valgrind.
pub(super) fn fill(sessions: u64) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let store = Shared(Arc::new(MemoryStore::new()));
    runtime.block_on(async {
        let template = Template::of_a_sign_in().await?;
        let now = Clock::system().now();
        for number in 0..sessions {
            let record = template.record(number, now, LIFE);
            let _ = store.insert(&key(number), record, now).await?;
        }
        Ok::<_, Failure>(())
    })?;
    // Nothing of it is given back.
    std::mem::forget(store);
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}
