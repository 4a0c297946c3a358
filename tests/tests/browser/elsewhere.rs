//! Another site: pages that a test makes up, on a port of their own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse};
use tokio::task::JoinHandle;

#[derive(Clone, Default)]
struct Pages {
    pages: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The site. It ends with this value.
pub(crate) struct Elsewhere {
    address: SocketAddr,
    pages: Pages,
    server: JoinHandle<()>,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Elsewhere {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Pages::default();
        let router = Router::new().fallback(show).with_state(pages.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            pages,
            server,
        }
    }

    /// Puts a page there.
    pub(crate) fn page(&self, path: &str, body: &str) {
        let html = format!("<!doctype html><title>elsewhere</title><body>{body}");
        self.pages.pages.lock().unwrap().insert(path.to_owned(), html);
    }

    /// Whether somebody has asked for this path.
    pub(crate) fn was_asked_for(&self, path: &str) -> bool {
        self.pages.asked.lock().unwrap().iter().any(|asked| asked == path)
    }

    /// Its origin on another site than the applications, which are on 127.0.0.1.
    pub(crate) fn other_site(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Its origin on the site of the applications: another port only.
    pub(crate) fn same_site(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn show(State(pages): State<Pages>, uri: Uri) -> impl IntoResponse {
    pages.asked.lock().unwrap().push(uri.path().to_owned());
    let page = pages.pages.lock().unwrap().get(uri.path()).cloned();
    // A test changes its pages: what was there before is not shown again.
    let headers = [(CACHE_CONTROL, "no-store")];
    (headers, Html(page.unwrap_or_else(|| "nothing here".to_owned())))
}
