//! What reaches the servers, and what stands in its way: counts, recorded requests, faults, gates.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;

use crate::control::{Endpoint, Fault, Hold, RecordedRequest};
use crate::params::Params;
use crate::provider::error::no_store;
use crate::server::Connection;

/// Counts, faults and gates of all endpoints.
pub(crate) struct Traffic {
    data: Mutex<Data>,
    /// How often each endpoint's faults were cleared: requests that hang wait for their number to change.
    cleared: watch::Sender<HashMap<Endpoint, u64>>,
}

#[derive(Default)]
struct Data {
    counts: HashMap<Endpoint, u64>,
    refresh_count: u64,
    recorded: VecDeque<(Endpoint, RecordedRequest)>,
    faults: HashMap<Endpoint, VecDeque<(Fault, Option<u64>)>>,
    gates: HashMap<(Endpoint, Side), Arc<Gate>>,
}

/// On which side of the work a gate stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// Nothing has happened yet.
    Request,
    /// The work is done; the answer is not sent yet.
    Answer,
}

/// Makes requests wait until it opens.
pub(crate) struct Gate {
    pub(crate) waiting: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn pass(&self) {
        let mut open = self.open.subscribe();
        if *open.borrow_and_update() {
            return;
        }
        self.waiting.send_modify(|n| *n += 1);
        // The sender lives as long as `self`, so this waits for the gate to open.
        let _ = open.wait_for(|open| *open).await;
    }
}

/// So many requests are kept for [`crate::Control::requests`]; older ones go.
pub(crate) const RECORDED_REQUESTS: usize = 10_000;
/// Bodies of requests to the provider may have this many bytes.
const BODY_LIMIT: usize = 1 << 20;

impl Traffic {
    pub(crate) fn new() -> Self {
        Self {
            data: Mutex::default(),
            cleared: watch::Sender::new(HashMap::new()),
        }
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> u64 {
        let endpoint = endpoint.canonical();
        self.data().counts.get(&endpoint).copied().unwrap_or(0)
    }

    pub(crate) fn refresh_count(&self) -> u64 {
        self.data().refresh_count
    }

    pub(crate) fn requests(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        let endpoint = endpoint.canonical();
        self.data()
            .recorded
            .iter()
            .filter(|(at, _)| *at == endpoint)
            .map(|(_, request)| request.clone())
            .collect()
    }

    pub(crate) fn all_requests(&self) -> Vec<(Endpoint, RecordedRequest)> {
        self.data().recorded.iter().cloned().collect()
    }

    pub(crate) fn fail(&self, endpoint: Endpoint, fault: Fault, times: Option<u64>) {
        let endpoint = endpoint.canonical();
        let mut data = self.data();
        let queue = data.faults.entry(endpoint).or_default();
        // Counted faults come first, in their order; at most one lasting fault stands behind them.
        let lasting = queue.iter().position(|(_, times)| times.is_none());
        match (times, lasting) {
            (Some(_), Some(place)) => queue.insert(place, (fault, times)),
            (None, Some(place)) => queue[place] = (fault, times),
            (_, None) => queue.push_back((fault, times)),
        }
    }

    pub(crate) fn clear(&self, endpoint: Endpoint) {
        let endpoint = endpoint.canonical();
        self.data().faults.remove(&endpoint);
        self.cleared
            .send_modify(|cleared| *cleared.entry(endpoint).or_default() += 1);
    }

    pub(crate) fn clear_all(&self) {
        let endpoints: Vec<Endpoint> = self.data().counts.keys().copied().collect();
        self.data().faults.clear();
        self.cleared.send_modify(|cleared| {
            for endpoint in endpoints {
                *cleared.entry(endpoint).or_default() += 1;
            }
        });
    }

    fn times_cleared(&self, endpoint: Endpoint) -> u64 {
        self.cleared.borrow().get(&endpoint).copied().unwrap_or(0)
    }

    async fn hang(&self, endpoint: Endpoint, seen: u64) {
        let mut cleared = self.cleared.subscribe();
        let changed = |cleared: &HashMap<Endpoint, u64>| cleared.get(&endpoint).copied().unwrap_or(0) != seen;
        // The sender lives as long as `self`.
        let _ = cleared.wait_for(changed).await;
    }

    pub(crate) fn has_fault(&self, endpoint: Endpoint) -> bool {
        self.data().faults.contains_key(&endpoint.canonical())
    }

    pub(crate) fn hold(&self, endpoint: Endpoint, side: Side) -> Hold {
        let gate = Arc::new(Gate {
            waiting: watch::Sender::new(0),
            open: watch::Sender::new(false),
        });
        let key = (endpoint.canonical(), side);
        if let Some(old) = self.data().gates.insert(key, Arc::clone(&gate)) {
            old.open();
        }
        Hold { gate }
    }

    /// Notes a request that did not come over HTTP.
    pub(crate) async fn note(&self, endpoint: Endpoint, request: RecordedRequest) {
        self.record(endpoint, request);
        self.pass_gate(endpoint, Side::Request).await;
    }

    fn record(&self, endpoint: Endpoint, request: RecordedRequest) {
        let mut data = self.data();
        *data.counts.entry(endpoint).or_default() += 1;
        if endpoint == Endpoint::Token && request.form("grant_type") == Some("refresh_token") {
            data.refresh_count += 1;
        }
        if data.recorded.len() == RECORDED_REQUESTS {
            data.recorded.pop_front();
        }
        data.recorded.push_back((endpoint, request));
    }

    async fn pass_gate(&self, endpoint: Endpoint, side: Side) {
        let gate = self.data().gates.get(&(endpoint, side)).cloned();
        if let Some(gate) = gate {
            gate.pass().await;
        }
    }

    fn next_fault(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut data = self.data();
        let queue = data.faults.get_mut(&endpoint)?;
        let (fault, times) = queue.front_mut()?;
        let fault = fault.clone();
        if let Some(times) = times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                queue.pop_front();
            }
        }
        if queue.is_empty() {
            data.faults.remove(&endpoint);
        }
        Some(fault)
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the middleware of one server needs: the shared traffic and which server this is.
#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) classify: fn(&str) -> Option<Endpoint>,
    /// Whether to read the body before the handler does. The APIs stream theirs.
    pub(crate) read_body: bool,
}

/// Records each request, then lets faults and gates have their way.
pub(crate) async fn observe(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let Some(endpoint) = (observer.classify)(request.uri().path()) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let (body, form) = if observer.read_body {
        match axum::body::to_bytes(body, BODY_LIMIT).await {
            Ok(bytes) => (Body::from(bytes.clone()), Params::parse(&bytes)),
            Err(_) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        }
    } else {
        (body, Params::default())
    };
    let traffic = &observer.traffic;
    traffic.record(
        endpoint,
        RecordedRequest {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers(&parts.headers),
            form: form.0,
        },
    );
    let connection = parts.extensions.get::<Connection>().cloned();
    let request = Request::from_parts(parts, body);
    traffic.pass_gate(endpoint, Side::Request).await;
    let times_cleared = traffic.times_cleared(endpoint);
    let response = match traffic.next_fault(endpoint) {
        None => next.run(request).await,
        Some(Fault::Delay(length)) => {
            tokio::time::sleep(length).await;
            next.run(request).await
        }
        Some(Fault::Hang) => {
            traffic.hang(endpoint, times_cleared).await;
            next.run(request).await
        }
        Some(Fault::Reset) => hang_up(connection).await,
        Some(Fault::LoseAnswer) => {
            drop(next.run(request).await);
            hang_up(connection).await
        }
        Some(fault) => answer(fault),
    };
    traffic.pass_gate(endpoint, Side::Answer).await;
    response
}

async fn hang_up(connection: Option<Connection>) -> Response {
    match connection {
        Some(connection) => match connection.hang_up().await {},
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn answer(fault: Fault) -> Response {
    let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match fault {
        Fault::Status {
            status: code,
            retry_after,
        } => match retry_after {
            Some(length) => {
                let seconds = length.as_secs().to_string();
                (status(code), [(header::RETRY_AFTER, seconds)]).into_response()
            }
            None => status(code).into_response(),
        },
        Fault::Body {
            status: code,
            content_type,
            body,
        } => (status(code), [(header::CONTENT_TYPE, content_type)], body).into_response(),
        Fault::Oauth { status: code, error } => no_store((status(code), Json(json!({ "error": error })))),
        Fault::Delay(_) | Fault::Hang | Fault::Reset | Fault::LoseAnswer => {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// The longest a test waits for requests to arrive at a gate.
pub(crate) const GATE_WAIT: Duration = Duration::from_secs(10);
