//! What answers in the place of the network: the providers, and the APIs that the application calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auth_core::testing::NoAnswer;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use serde_json::{Map, Value};

use super::{API_URL, API2_URL};
use crate::params::words;
use crate::provider::DevProvider;
use crate::provider::dpop::{ProofSide, challenging_proofs, with_nonce};
use crate::provider::userinfo::{AccessToken, BearerError, is_dpop};

/// A provider and the name that the application has for it.
pub(super) struct Known {
    pub(super) name: Option<String>,
    pub(super) provider: DevProvider,
}

/// All that can be reached.
pub(super) struct World {
    /// One at least.
    pub(super) providers: Vec<Known>,
    apis: Mutex<HashMap<String, Arc<Api>>>,
}

/// What an API has been asked, and what it is to answer.
#[derive(Default)]
struct Api(Mutex<Data>);

#[derive(Default)]
struct Data {
    answers: HashMap<(Method, String), Answer>,
    requests: Vec<ApiRequest>,
}

type Answer = Arc<dyn Fn(&ApiRequest) -> ApiAnswer + Send + Sync>;

impl Api {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub(super) fn new(providers: Vec<Known>) -> Self {
        let apis = HashMap::from([(API_URL.to_owned(), Arc::default())]);
        Self {
            providers,
            apis: Mutex::new(apis),
        }
    }

    fn api(&self, origin: &str) -> Option<Arc<Api>> {
        let apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        apis.get(origin).cloned()
    }

    /// Whether anybody can be reached there.
    pub(super) fn reaches(&self, uri: &Uri) -> bool {
        let origin = origin(uri);
        let provider = self
            .providers
            .iter()
            .find(|known| known.provider.issuer() == origin);
        let demo = &self.providers[0].provider.control().servers;
        match provider {
            Some(known) => known.provider.control().servers.provider.is_up(),
            None if origin == API2_URL => demo.api2.is_up(),
            None => self.api(&origin).is_some(),
        }
    }

    pub(super) async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let origin = origin(request.uri());
        for Known { provider, .. } in &self.providers {
            if provider.issuer() == origin {
                return provider.control().servers.provider.answer(request).await;
            }
        }
        let demo = &self.providers[0].provider.control().servers;
        match self.api(&origin) {
            Some(api) => match self.answer_of_api(&api, &request)? {
                Some(answer) => Ok(collect(answer).await),
                None if origin == API_URL => demo.api.answer(request).await,
                None => Ok(collect(StatusCode::NOT_FOUND.into_response()).await),
            },
            None if origin == API2_URL => demo.api2.answer(request).await,
            None => Err(NoAnswer::Unreachable),
        }
    }

    /// What the test has said that the API answers, to requests with a good token.
    fn answer_of_api(&self, api: &Api, request: &Request<Bytes>) -> Result<Option<Response<Body>>, NoAnswer> {
        let presented = self.presented(request);
        let came = ApiRequest {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            body: request.body().clone(),
            token: presented
                .as_ref()
                .map_or_else(|_| Map::new(), |(token, _)| token.claims.clone()),
        };
        let answer = {
            let mut data = api.data();
            data.requests.push(came.clone());
            data.answers
                .get(&(came.method.clone(), came.path.clone()))
                .cloned()
        };
        let Some(answer) = answer else {
            return Ok(None);
        };
        // Out of the lock: it may ask for the requests.
        let answer = answer(&came).0?;
        Ok(Some(match presented {
            Ok((_, nonce)) => with_nonce(answer.map(Body::from), nonce),
            Err(error) if is_dpop(request.headers()) => challenging_proofs(error.into_response()),
            Err(error) => error.into_response(),
        }))
    }

    /// The token of the request, of whichever provider it is.
    fn presented(&self, request: &Request<Bytes>) -> Result<(AccessToken, Option<String>), BearerError> {
        let url = format!("{}{}", origin(request.uri()), request.uri().path());
        let asked = (request.method().as_str(), url.as_str());
        let mut refused = BearerError::NoToken;
        for Known { provider, .. } in &self.providers {
            match provider
                .provider()
                .presented(request.headers(), asked, ProofSide::Api)
            {
                Ok(presented) => return Ok(presented),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

async fn collect(response: Response<Body>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    // It was made here of bytes that are there.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    Response::from_parts(head, body)
}

/// An API that the application calls with the user's token; see [`TestAuth::api`](super::TestAuth::api).
///
/// It demands a good access token of the test's provider, whomever that is for, with its proof where it is bound to a key:
/// without one the answer is 401.
///
/// ```
/// use auth_testing::{ApiAnswer, TestAuth};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::new().await;
/// let ada = auth.user("ada").signed_in().await;
/// let api = auth.api();
/// api.on("GET", "/orders", ApiAnswer::json(&json!([{ "id": 7 }])));
///
/// // In a handler:
/// let client = auth.auth().client(&ada.session().await?.ok_or("ada is signed in")?);
/// let orders: serde_json::Value = client.get("/orders").send().await?.json().await?;
///
/// assert_eq!(orders[0]["id"], 7);
/// assert_eq!(api.requests()[0].subject(), Some("ada"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TestApi {
    api: Arc<Api>,
    origin: String,
}

impl fmt::Debug for TestApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApi")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl TestApi {
    pub(super) fn new(world: &World, origin: &str) -> Self {
        let origin = origin.trim_end_matches('/').to_owned();
        let mut apis = world.apis.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            api: Arc::clone(apis.entry(origin.clone()).or_default()),
            origin,
        }
    }

    /// Its origin, such as `https://api.test`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.origin
    }

    /// Gives this answer from now on to requests with this method and path, whatever their query; in place of an earlier one.
    ///
    /// The path is the whole one, as it comes: there are no patterns.
    ///
    /// # Panics
    ///
    /// Where `method` is no method.
    pub fn on(&self, method: &str, path: &str, answer: ApiAnswer) {
        self.on_each(method, path, move |_| answer.clone());
    }

    /// Lets a function answer requests with this method and path from now on, whatever their query.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    pub fn on_each(
        &self,
        method: &str,
        path: &str,
        answer: impl Fn(&ApiRequest) -> ApiAnswer + Send + Sync + 'static,
    ) {
        let method = Method::from_bytes(method.as_bytes());
        let method = method.unwrap_or_else(|error| panic!("no such method: {error}"));
        let place = (method, path.to_owned());
        self.api.data().answers.insert(place, Arc::new(answer));
    }

    /// All requests that have come so far, oldest first, whatever was answered.
    #[must_use]
    pub fn requests(&self) -> Vec<ApiRequest> {
        self.api.data().requests.clone()
    }
}

/// A request that an API was sent; see [`TestApi::requests`] and [`TestApi::on_each`].
#[derive(Clone)]
pub struct ApiRequest {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    token: Map<String, Value>,
}

/// Shows neither headers nor body.
impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ApiRequest {
    /// The method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The path as it came.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as it came, without the question mark; empty where there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON; `None` where it is no JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The text of the access token that came along, good or bad; `None` where there was none.
    #[must_use]
    pub fn access_token(&self) -> Option<&str> {
        let header = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        header.split_once(' ').map(|(_, token)| token)
    }

    /// A claim of the access token; `None` where that is not good, or has none of this name.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.token.get(name)
    }

    /// Whose access token it is (`sub`); `None` where it is not good.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claim("sub")?.as_str()
    }

    /// The scopes of the access token; empty where it is not good.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        self.claim("scope")
            .and_then(Value::as_str)
            .map_or_else(Vec::new, words)
    }
}

/// What an API answers; see [`TestApi::on`].
///
/// ```
/// use auth_testing::{ApiAnswer, TestAuth};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let auth = TestAuth::new().await;
/// let api = auth.api();
/// api.on("GET", "/orders", ApiAnswer::json(&json!([{ "id": 7 }])));
/// api.on("POST", "/orders", ApiAnswer::status(201).header("location", "/orders/8"));
/// api.on("GET", "/orders/8", ApiAnswer::broken_off());
/// api.on_each("GET", "/mine", |request| match request.subject() {
///     Some("ada") => ApiAnswer::new(200, "text/plain", "all of ada's"),
///     _ => ApiAnswer::status(404),
/// });
/// # }
/// ```
#[derive(Clone)]
pub struct ApiAnswer(Result<Response<Bytes>, NoAnswer>);

/// Shows no body.
impl fmt::Debug for ApiAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0.as_ref().map(Response::status);
        f.debug_tuple("ApiAnswer").field(&status).finish()
    }
}

impl ApiAnswer {
    /// 200 with this value as JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::new(200, "application/json", value.to_string())
    }

    /// This status without a body.
    ///
    /// # Panics
    ///
    /// Where it is no status, 100 to 999.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let mut response = Response::new(Bytes::new());
        let status = StatusCode::from_u16(status);
        *response.status_mut() = status.unwrap_or_else(|error| panic!("no such status: {error}"));
        Self(Ok(response))
    }

    /// This status, content type and body.
    ///
    /// # Panics
    ///
    /// As [`status`](Self::status) and [`header`](Self::header).
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::status(status).header("content-type", content_type);
        if let Ok(response) = &mut answer.0 {
            *response.body_mut() = body.into();
        }
        answer
    }

    /// Adds a header, beside those of the same name. Without an answer ([`unreachable`](Self::unreachable),
    /// [`broken_off`](Self::broken_off)) nothing happens.
    ///
    /// # Panics
    ///
    /// Where name or value cannot stand in an answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(response) = &mut self.0 {
            let name = header::HeaderName::try_from(name).unwrap_or_else(|error| panic!("{error}"));
            let value = header::HeaderValue::try_from(value).unwrap_or_else(|error| panic!("{error}"));
            response.headers_mut().append(name, value);
        }
        self
    }

    /// No answer, for nobody is there: no connection is made.
    #[must_use]
    pub fn unreachable() -> Self {
        Self(Err(NoAnswer::Unreachable))
    }

    /// No answer, for the connection breaks off once the request is sent.
    #[must_use]
    pub fn broken_off() -> Self {
        Self(Err(NoAnswer::BrokenOff))
    }
}
