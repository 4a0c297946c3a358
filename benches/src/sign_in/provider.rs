//! A provider that answers from memory at once: what it has to sign was signed before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::json;

use super::signature::Keys;
use crate::Failure;

/// Who signs in.
pub(crate) const SUBJECT: &str = "ada";

/// The provider, on a thread of its own.
pub(crate) struct Provider {
    issuer: String,
    memory: Arc<Memory>,
}

struct Memory {
    discovery: String,
    keys: String,
    userinfo: String,
    /// Token responses by code.
    tokens: Mutex<HashMap<String, String>>,
    calls: AtomicU64,
}

impl Provider {
    pub(crate) fn start(keys: &Keys) -> Result<Self, Failure> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let memory = Arc::new(Memory {
            discovery: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "jwks_uri": format!("{issuer}/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            })
            .to_string(),
            keys: keys.public().to_string(),
            userinfo: json!({"sub": SUBJECT, "name": "Ada Lovelace", "email": "ada@example.com"}).to_string(),
            tokens: Mutex::default(),
            calls: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(key_set))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(Arc::clone(&memory));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::spawn(move || {
            let served = runtime
                .block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await });
            if let Err(error) = served {
                eprintln!("auth-benches: {error}");
            }
        });
        Ok(Self { issuer, memory })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// How many requests it has had for tokens and userinfo.
    pub(crate) fn calls(&self) -> u64 {
        self.memory.calls.load(Ordering::Relaxed)
    }

    /// What it answers for this code.
    pub(crate) fn prepare(&self, code: &str, id_token: &str) {
        let response = json!({
            "access_token": "an access token of the usual length, which is not looked into".replace(' ', "-"),
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": "a-refresh-token",
            "id_token": id_token,
        });
        let mut tokens = self.memory.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(code.to_owned(), response.to_string());
    }
}

async fn discovery(State(memory): State<Arc<Memory>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], memory.discovery.clone())
}

async fn key_set(State(memory): State<Arc<Memory>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], memory.keys.clone())
}

async fn token(State(memory): State<Arc<Memory>>, RawForm(form): RawForm) -> impl IntoResponse {
    memory.calls.fetch_add(1, Ordering::Relaxed);
    let code = url::form_urlencoded::parse(&form).find(|(name, _)| name == "code");
    let tokens = memory.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let response = code.and_then(|(_, code)| tokens.get(&*code).cloned());
    ([(CONTENT_TYPE, "application/json")], response.unwrap_or_default())
}

async fn userinfo(State(memory): State<Arc<Memory>>) -> impl IntoResponse {
    memory.calls.fetch_add(1, Ordering::Relaxed);
    ([(CONTENT_TYPE, "application/json")], memory.userinfo.clone())
}

/// The two requests that a sign-in makes, by reqwest alone: sent, answered, read, and nothing done with it.
pub(crate) struct Reference {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    issuer: String,
}

impl Reference {
    pub(crate) fn new(provider: &Provider) -> Result<Self, Failure> {
        Ok(Self {
            runtime: tokio::runtime::Runtime::new()?,
            http: reqwest::Client::new(),
            issuer: provider.issuer().to_owned(),
        })
    }

    pub(crate) fn exchange(&self, codes: &[String]) -> Result<Duration, Failure> {
        let (http, issuer, codes) = (self.http.clone(), self.issuer.clone(), codes.to_vec());
        // On a worker, as in the core: the thread that blocks would pay for a wake-up at each step.
        let exchanged = self.runtime.spawn(async move {
            let begun = Instant::now();
            for code in &codes {
                let form = [("grant_type", "authorization_code"), ("code", code)];
                let tokens = http.post(format!("{issuer}/token")).basic_auth("c", Some("s"));
                tokens.form(&form).send().await?.bytes().await?;
                let userinfo = http.get(format!("{issuer}/userinfo")).bearer_auth("a token");
                userinfo.send().await?.bytes().await?;
            }
            Ok::<_, reqwest::Error>(begun.elapsed())
        });
        Ok(self.runtime.block_on(exchanged)??)
    }
}
