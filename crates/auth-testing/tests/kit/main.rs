//! What `TestAuth` gives is what production gives: sessions made by the library's routes, a provider that fails on demand, APIs
//! that look at the tokens they are shown, and nothing that leaves the process.
#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod provider;
mod session;
mod token;

use auth_core::request::RequestHead;
use auth_core::session::Session;
use auth_core::{Auth, Error};
use auth_testing::TestSession;
use http::Request;

/// A request as the core sees it.
struct Head(Request<String>);

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.uri().path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        for value in self.0.headers().get_all(name) {
            each(value.to_str().unwrap());
        }
    }
}

/// What a handler that asks for `RequireAuth` gets.
async fn require(auth: &Auth, user: &TestSession) -> Result<Session, Error> {
    let id = auth.session_id(&Head(user.get("/")));
    assert!(id.is_some(), "the cookie is read");
    auth.authenticate(id.as_ref()).await
}

async fn session(user: &TestSession) -> Session {
    user.session().await.unwrap().expect("the session lives")
}
