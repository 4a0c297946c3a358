//! Instructions and heap allocations per request, counted by valgrind's callgrind.
//!
//! The binary that measures runs under valgrind with N requests and again with 2N, in process and without a network.
//! What the longer run has more, divided by N, is what one request costs: the start and the first requests cancel out.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::effort::Effort;

/// The first argument of the run under valgrind.
pub(crate) const IN_PROCESS: &str = "in-process";
/// N. Every run makes 2N requests ready and answers some of them: callgrind counts instructions in [`counted_requests`]
/// only but calls everywhere, so all runs have to do the same outside of it.
const REQUESTS: usize = 2000;
/// What takes memory from the heap.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// What one request costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

/// Why there are no counts.
#[derive(Debug)]
enum CountError {
    /// valgrind is not installed.
    Missing,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for CountError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs `requests`; callgrind counts what happens in here and nothing else. It finds the function by its name.
#[inline(never)]
pub(crate) fn counted_requests(requests: &mut dyn FnMut()) {
    requests();
    // No tail call: the function has to be left for the counting to end.
    std::hint::black_box(());
}

/// Counts for what these arguments name. Behind them stand, for the run under valgrind, how many requests it answers and
/// how many it makes ready.
fn measure(what: &[&str], effort: Effort) -> Result<Counts, CountError> {
    let requests = effort.count(REQUESTS);
    // What else the machine does changes no count, so both runs may go at once.
    let (once, twice) = std::thread::scope(|scope| {
        let once = scope.spawn(|| run(what, requests, 2 * requests));
        let twice = run(what, 2 * requests, 2 * requests);
        (once.join(), twice)
    });
    let (once, twice) = (once.map_err(|_| "a run under valgrind panicked")??, twice?);
    let per_request = |once: u64, twice: u64| (twice as f64 - once as f64) / requests as f64;
    Ok(Counts {
        instructions: per_request(once.instructions, twice.instructions),
        allocations: per_request(once.allocations, twice.allocations),
    })
}

/// Counts of several cases, in their order; `None` where valgrind is not installed.
pub(crate) fn measure_all<C: Copy>(
    cases: impl IntoIterator<Item = C>,
    arguments: impl Fn(C) -> Vec<String>,
    effort: Effort,
) -> Result<Option<Vec<(C, Counts)>>, Failure> {
    let mut all = Vec::new();
    for case in cases {
        let arguments = arguments(case);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match measure(&arguments, effort) {
            Ok(counts) => all.push((case, counts)),
            Err(CountError::Missing) => {
                eprintln!(
                    "valgrind is not installed (Debian: apt-get install valgrind), so instructions and allocations \
                     are left out"
                );
                return Ok(None);
            }
            Err(CountError::Failed(failure)) => return Err(failure),
        }
    }
    Ok(Some(all))
}

/// Where cargo puts what it makes: the directory above that of this binary.
pub(crate) fn target_directory() -> Result<PathBuf, Failure> {
    let binary = std::env::current_exe()?;
    let directory = binary.ancestors().nth(2);
    Ok(directory.ok_or("this binary lies in no directory")?.to_owned())
}

/// One run under valgrind. Its profile stays in the target directory, for `callgrind_annotate`.
fn run(what: &[&str], requests: usize, prepared: usize) -> Result<Profile, CountError> {
    let directory = target_directory()?.join("callgrind");
    std::fs::create_dir_all(&directory)?;
    let file = directory.join(format!("{}-{requests}.out", what.join("-")));
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--quiet",
            "--toggle-collect=*counted_requests*",
        ])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .arg(IN_PROCESS)
        .args(what)
        .args([requests.to_string(), prepared.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(CountError::Missing),
        output => output?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the run under valgrind failed: {said}").into());
    }
    Ok(Profile::read(&file)?)
}

/// The totals of a profile (<https://valgrind.org/docs/manual/cl-format.html>).
#[derive(Debug, Default)]
struct Profile {
    instructions: u64,
    allocations: u64,
}

impl Profile {
    fn read(file: &Path) -> Result<Self, Failure> {
        let mut profile = Self::default();
        // A name stands after its number the first time, `(12) malloc`, and later the number stands alone.
        let mut is_allocator: HashMap<String, bool> = HashMap::new();
        let mut calls_allocator = false;
        for line in BufReader::new(std::fs::File::open(file)?).lines() {
            let line = line?;
            let Some((key, value)) = line.split_once(['=', ':']) else {
                continue;
            };
            match key {
                "fn" | "cfn" => {
                    let (number, name) = value.split_once(' ').unwrap_or((value, ""));
                    if !name.is_empty() {
                        is_allocator.insert(number.to_owned(), ALLOCATORS.contains(&name));
                    }
                    calls_allocator = key == "cfn" && is_allocator.get(number).copied().unwrap_or_default();
                }
                "calls" if calls_allocator => {
                    let count = value.split(' ').next().unwrap_or_default();
                    profile.allocations += count.parse::<u64>()?;
                }
                "totals" => profile.instructions = value.trim().parse()?,
                _ => {}
            }
        }
        if profile.instructions == 0 {
            return Err("callgrind counted nothing".into());
        }
        Ok(profile)
    }
}
