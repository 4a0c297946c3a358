//! A body of 1 GiB down and up through an application, which is a process of its own, so that its memory can be read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::apps::{self, Handler};
use super::upstream::{self, Connection};
use crate::Failure;
use crate::effort::Effort;
use crate::framework::Framework;
use crate::report::{Field, Section, Table};
use crate::setup::peak_bytes;

/// How large the body is that goes up or down.
const SIZE: u64 = 1 << 30;

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

pub(super) fn measure(effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let rounds = effort.rounds(ROUNDS);
    let size = match effort {
        Effort::Full => SIZE,
        Effort::Quick => SIZE >> 6,
    };
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
    for round in 0..rounds {
        for case in &mut cases {
            for turn in 0..2 {
                // Who begins changes, round by round.
                let which = (round + turn) % 2;
                case.rates[which].push(case.apps[which].take_turn(case.way, size)?);
            }
        }
    }
    let mut table = Table::new(
        format!(
            "{} MiB through an application, {rounds} rounds; MiB per second, median (min–max); resident memory in MiB: \
             after the start, and the peak of all rounds",
            size >> 20
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
            "the proxy's peak",
        ],
    );
    for case in &cases {
        let mut row = vec![
            Field::text(case.framework),
            Field::text(match case.way {
                Way::Down => "down",
                Way::Up => "up",
            }),
        ];
        row.extend(case.rates.iter().map(|rates| Field::spread(rates, 0)));
        row.push(Field::ratio(&case.rates[1], &case.rates[0], 2));
        for app in &case.apps {
            row.push(Field::Number(app.at_start, 1));
            row.push(Field::Number(app.peak()?, 1));
        }
        table.add(row);
    }
    section.tables.push(table);
    Ok(())
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
            .args([apps::SERVE, &framework.to_string(), handler.name()])
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
    fn take_turn(&self, way: Way, size: u64) -> Result<f64, Failure> {
        let begun = Instant::now();
        let path = format!("large/{size}");
        let mut connection = match way {
            Way::Down => self.ask("GET", &path, "")?,
            Way::Up => {
                let mut connection = self.ask("PUT", &path, &format!("content-length: {size}\r\n"))?;
                connection.send_large(size)?;
                connection
            }
        };
        let head = connection.head()?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("an answer failed: {}", head.lines().next().unwrap_or_default()).into());
        }
        let length = upstream::length(&head)?;
        if length != if let Way::Down = way { size } else { 0 } {
            return Err(format!("an answer has {length} bytes").into());
        }
        connection.skip(length)?;
        Ok(size as f64 / MIB / begun.elapsed().as_secs_f64())
    }

    /// The most memory that was ever resident, in MiB.
    fn peak(&self) -> Result<f64, Failure> {
        Ok(peak_bytes(self.process.id())? / MIB)
    }
}
