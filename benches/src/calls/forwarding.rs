//! A body of 1 GiB down and up through an application, which is a process of its own, so that its memory can be read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::apps::{self, Framework, Handler};
use crate::report::{Field, Spread, Table};
use crate::upstream::{self, Connection, SIZE};

/// How often each application gets its turn; all once, then all again.
const ROUNDS: usize = 7;
/// What takes longer without a byte has got lost.
const PATIENCE: Duration = Duration::from_secs(20);
const MIB: f64 = (1 << 20) as f64;

/// Which way the body goes.
#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

/// The two applications of a framework and way, and what their turns gave: MiB per second, round by round.
struct Case {
    framework: Framework,
    way: Way,
    apps: [App; 2],
    rates: [Vec<f64>; 2],
}

pub(crate) fn measure() -> Result<Table, Failure> {
    let upstream = upstream::start()?;
    let mut cases = Vec::new();
    for framework in Framework::ALL {
        for way in [Way::Down, Way::Up] {
            cases.push(Case {
                framework,
                way,
                apps: [
                    App::start(framework, Handler::Plain, upstream)?,
                    App::start(framework, Handler::Proxy, upstream)?,
                ],
                rates: [Vec::new(), Vec::new()],
            });
        }
    }
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        for case in &mut cases {
            for turn in 0..2 {
                // Who begins changes, round by round.
                let which = (round + turn) % 2;
                case.rates[which].push(case.apps[which].take_turn(case.way)?);
            }
        }
    }
    let mut table = Table::new(
        format!(
            "1 GiB through an application, {ROUNDS} rounds; MiB per second, median (min–max); resident memory in MiB: \
             after the start, and the peak of all rounds"
        ),
        &[
            "framework",
            "way",
            "by hand",
            "proxy",
            "ratio",
            "memory by hand",
            "its peak",
            "memory of the proxy",
            "its peak",
        ],
    );
    for case in &cases {
        let mut row = vec![
            Field::text(case.framework.name()),
            Field::text(match case.way {
                Way::Down => "down",
                Way::Up => "up",
            }),
        ];
        row.extend(
            case.rates
                .iter()
                .map(|rates| Field::Spread(Spread::of(rates.iter().copied()), 0)),
        );
        row.push(Field::Spread(
            Spread::of_ratios(&case.rates[1], &case.rates[0]),
            2,
        ));
        for app in &case.apps {
            row.push(Field::Number(app.at_start, 1));
            row.push(Field::Number(app.peak()?, 1));
        }
        table.add(row);
    }
    Ok(table)
}

/// An application in a process of its own, which ends with this value.
struct App {
    process: Child,
    address: SocketAddr,
    cookie: String,
    /// Its peak of resident memory before the first turn, in MiB.
    at_start: f64,
}

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl App {
    fn start(framework: Framework, handler: Handler, upstream: SocketAddr) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([apps::SERVE, framework.name(), handler.name()])
            .arg(format!("http://{upstream}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the application has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (address, cookie) = line
            .trim()
            .split_once(' ')
            .ok_or("the application did not start")?;
        let mut app = Self {
            process,
            address: address.parse()?,
            cookie: cookie.to_owned(),
            at_start: 0.0,
        };
        // Connections and threads are made with the first request.
        let mut connection = app.ask("GET", "short", "")?;
        let head = connection.head()?;
        connection.skip(upstream::length(&head)?)?;
        app.at_start = app.peak()?;
        Ok(app)
    }

    /// Sends the head of a request over a connection of its own.
    fn ask(&self, method: &str, path: &str, lines: &str) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Connection::new(stream);
        let head = format!(
            "{method} /proxy/{path} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nx-csrf: 1\r\n{lines}\r\n",
            self.address, self.cookie
        );
        connection.stream.write_all(head.as_bytes())?;
        Ok(connection)
    }

    /// MiB per second of one body.
    fn take_turn(&self, way: Way) -> Result<f64, Failure> {
        let begun = Instant::now();
        let mut connection = match way {
            Way::Down => self.ask("GET", "large", "")?,
            Way::Up => {
                let mut connection = self.ask("PUT", "large", &format!("content-length: {SIZE}\r\n"))?;
                connection.send_large()?;
                connection
            }
        };
        let head = connection.head()?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("an answer failed: {}", head.lines().next().unwrap_or_default()).into());
        }
        let length = upstream::length(&head)?;
        if length != if let Way::Down = way { SIZE } else { 0 } {
            return Err(format!("an answer has {length} bytes").into());
        }
        connection.skip(length)?;
        Ok(SIZE as f64 / MIB / begun.elapsed().as_secs_f64())
    }

    /// The most memory that was ever resident, in MiB (proc_pid_status(5), `VmHWM`).
    fn peak(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let kib: f64 = kib
            .ok_or("the kernel does not tell the peak of memory")?
            .parse()?;
        Ok(kib / 1024.0)
    }
}
