//! How long each thread has run, as the Linux kernel counts it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{AddAssign, Sub};
use std::path::{Path, PathBuf};

/// What threads of one name have had of the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) nanoseconds: u64,
    /// How often a thread was put on a processor.
    pub(crate) times: u64,
}

/// All threads of this process, of those that it has started, and so on, added up by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads(BTreeMap<String, Ran>);

impl AddAssign for Ran {
    fn add_assign(&mut self, other: Self) {
        self.nanoseconds += other.nanoseconds;
        self.times += other.times;
    }
}

impl Sub for Ran {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds.saturating_sub(other.nanoseconds),
            times: self.times.saturating_sub(other.times),
        }
    }
}

impl Threads {
    /// As it is now; empty where there is no `/proc`.
    pub(crate) fn now() -> Self {
        let processes: Vec<_> = entries(Path::new("/proc"))
            .filter_map(|process| Some((number(&process)?, parent(&process)?)))
            .collect();
        let mut family = vec![std::process::id()];
        let mut all = Self::default();
        while let Some(member) = family.pop() {
            all.add(&Path::new("/proc").join(member.to_string()));
            let children = processes.iter().filter(|(_, parent)| *parent == member);
            family.extend(children.map(|(child, _)| child));
        }
        all
    }

    fn add(&mut self, process: &Path) {
        for thread in entries(&process.join("task")) {
            // A thread may end meanwhile.
            let (Ok(name), Ok(ran)) = (
                fs::read_to_string(thread.join("comm")),
                fs::read_to_string(thread.join("schedstat")),
            ) else {
                continue;
            };
            if let Some(ran) = Ran::read(&ran) {
                *self.0.entry(name.trim().to_owned()).or_default() += ran;
            }
        }
    }

    /// What has come on top since `before`, for each name that has run at all.
    pub(crate) fn since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, Ran)> {
        self.0.iter().filter_map(|(name, ran)| {
            let more = *ran - before.0.get(name).copied().unwrap_or_default();
            (more.times > 0).then_some((name.as_str(), more))
        })
    }
}

impl Ran {
    /// Reads `schedstat`: nanoseconds on a processor, nanoseconds waiting for one, times on one.
    fn read(line: &str) -> Option<Self> {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        let nanoseconds = numbers.next()?.ok()?;
        let times = numbers.nth(1)?.ok()?;
        Some(Self { nanoseconds, times })
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn number(process: &Path) -> Option<u32> {
    process.file_name()?.to_str()?.parse().ok()
}

/// The process that has started this one.
fn parent(process: &Path) -> Option<u32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}
