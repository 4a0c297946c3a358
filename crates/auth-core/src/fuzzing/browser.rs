//! What browsers send.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{LazyLock, Mutex, PoisonError};

use http::HeaderValue;
use http::uri::PathAndQuery;
use url::{Url, form_urlencoded};

use super::{APP, AUTHORIZATION, BASE, CLIENT, ISSUER, NOW, RUNTIME, TOKEN, bit, case};
use crate::config::{EndpointOverrides, paths};
use crate::csrf;
use crate::forwarded::TrustedProxies;
use crate::login::{self, LoginOptions};
use crate::metadata::{self, Metadata};
use crate::proxy::path;
use crate::reply::Reply;
use crate::request::{Parameters, RequestHead, RequestKind};
use crate::secret::SessionId;
use crate::types::{BaseUrl, Issuer, ReturnTo};

/// Where to go after signing in: whatever comes out is a path of the app's own origin, for the URL standard and for who
/// reads no further than the first characters.
pub fn return_path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let path = ReturnTo::parse(&text);
    check_return_path(&path);
    assert!(
        path.as_str() == text || !text.bytes().all(|b| b.is_ascii_graphic()) || path.as_str() == "/",
        "{text:?} became {path:?}"
    );
}

fn check_return_path(path: &ReturnTo) {
    let text = path.as_str();
    let base = Url::parse(BASE).expect("a URL");
    let url = base.join(text).expect("a return path is a relative URL");
    assert_eq!(url.origin(), base.origin(), "{text:?}");
    assert!(url.username().is_empty() && url.password().is_none(), "{text:?}");
    assert!(text.starts_with('/') && !text.starts_with("//"), "{text:?}");
    assert!(!url.path().starts_with("//"), "{text:?}");
    assert!(
        text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'),
        "{text:?}"
    );
    assert_eq!(
        ReturnTo::parse(text).as_str(),
        text,
        "a return path is kept as it is"
    );
    // Written behind the origin by hand, as a `Location` may be, it leads to the same place.
    let absolute = Url::parse(&format!("{BASE}{text}")).expect("a URL");
    assert_eq!(absolute, url);
}

/// The target of a request that a proxy forwards: what passes is kept to the byte, and stays on the upstream's host and below its
/// base path by the URL standard, as it is and with its percent-encoding undone however often.
pub fn proxy_target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let is_plain = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'/');
    if path::check(&text).is_err() {
        assert!(!is_plain, "{text:?}");
        return;
    }
    let whole = format!("/base/v1{text}");
    if let Ok(kept) = PathAndQuery::try_from(whole.as_str()) {
        assert_eq!(kept.as_str(), whole);
    }
    let mut path = text.split('?').next().unwrap_or_default().to_owned();
    loop {
        let url = Url::parse(&format!("http://upstream.example/base/v1{path}")).expect("a URL");
        assert_eq!(url.host_str(), Some("upstream.example"), "{text:?}");
        assert!(url.path().starts_with("/base/v1/"), "{text:?} is read as {url}");
        // A form is decoded alike, but for its `+`.
        let form = format!("={}", path.replace('+', "%2B").replace('&', "%26"));
        let (_, plain) = url::form_urlencoded::parse(form.as_bytes()).next().expect("one");
        if plain == path {
            return;
        }
        path = plain.into_owned();
    }
}

/// Parameters of a query or a form: they agree with `form_urlencoded`, a repeated one is seen, an empty one is absent.
pub fn parameters(data: &[u8]) {
    let (case, encoded) = case(data);
    let head = Head {
        method: if bit(case, 0) { "POST" } else { "GET" },
        query: String::from_utf8_lossy(encoded).into_owned(),
        headers: vec![(
            "content-type",
            if bit(case, 1) {
                "Application/X-WWW-Form-urlencoded ; charset=utf-8"
            } else {
                "text/plain"
            }
            .to_owned(),
        )],
        ..Head::default()
    };
    let request = APP.route_request(&head, encoded.to_vec(), None);
    check_parameters(&request.query_parameters(), head.query.as_bytes());
    let form: &[u8] = if bit(case, 1) { encoded } else { b"" };
    check_parameters(&request.form_parameters(), form);
}

fn check_parameters(parameters: &Parameters, encoded: &[u8]) {
    let pairs: Vec<_> = form_urlencoded::parse(encoded).into_owned().collect();
    for (name, _) in pairs.iter().take(50) {
        let mut values = pairs
            .iter()
            .filter(|(held, _)| held == name)
            .map(|(_, value)| value);
        let first = values
            .next()
            .map(String::as_str)
            .filter(|value| !value.is_empty());
        assert_eq!(parameters.get(name), first);
        assert!(parameters.names(name));
        assert_eq!(parameters.repeats(&[name]), values.next().is_some());
    }
    let absent = "no such parameter";
    if pairs.iter().all(|(name, _)| name != absent) {
        assert!(!parameters.names(absent) && parameters.get(absent).is_none());
    }
}

/// The `Cookie` header: ours are found among whatever else is there, and nothing else is taken for ours.
pub fn cookies(data: &[u8]) {
    let (case, rest) = case(data);
    let text = String::from_utf8_lossy(rest);
    let own = SessionId::parse(&"A".repeat(43)).expect("32 bytes of zero");
    let session = format!("__Host-auth_session={}", own.expose());
    let (attempt, attempt_value) = ("__Host-auth_attempt_x", "y");

    let foreign: Vec<_> = text.lines().map(|line| ("cookie", line.to_owned())).collect();
    let names_session = text.contains("__Host-auth_session=");
    let head = Head {
        headers: foreign.clone(),
        ..Head::default()
    };
    if !names_session {
        assert!(APP.session_id(&head).is_none(), "nothing is taken for ours");
    }

    // Ours as a field of its own, or between others of one field.
    let mut headers = foreign;
    let at = usize::from(case) % (headers.len() + 1);
    let ours = format!("{session}; {attempt}={attempt_value}");
    match headers.get_mut(at) {
        Some((_, line)) if bit(case, 7) => *line = format!("{line}; {ours}"),
        Some((_, line)) if bit(case, 6) => *line = format!("{ours};{line}"),
        _ => headers.insert(at, ("cookie", ours)),
    }
    let head = Head {
        headers,
        ..Head::default()
    };
    let found = APP.session_id(&head);
    assert!(found.is_some());
    if !names_session {
        assert_eq!(found, Some(own));
    }
    let request = APP.route_request(&head, Vec::new(), found);
    if text.matches("__Host-auth_attempt_").count() < 200 && !text.contains(attempt) {
        assert_eq!(request.cookie(attempt), Some(attempt_value));
    }
    for (name, _) in &request.cookies {
        assert!(name.starts_with("__Host-auth_attempt_"), "{name}");
    }
}

/// The head of a request: who is taken for a person, and what is refused as another site's.
pub fn request_head(data: &[u8]) {
    const NAMES: [&str; 9] = [
        "accept",
        "sec-fetch-mode",
        "sec-fetch-site",
        "origin",
        "hx-request",
        "x-requested-with",
        "sec-purpose",
        "purpose",
        "x-moz",
    ];
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let mut target = lines.next().unwrap_or_default().split(' ');
    let mut head = Head {
        method: target.next().unwrap_or_default(),
        path: target.next().unwrap_or_default().to_owned(),
        query: target.next().unwrap_or_default().to_owned(),
        ..Head::default()
    };
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_default();
        if let Some(name) = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name)) {
            head.headers.push((name, value.trim().to_owned()));
        }
    }
    let values = |wanted: &'static str| {
        let held = head.headers.iter().filter(move |(name, _)| *name == wanted);
        held.map(|(_, value)| value.as_str())
    };
    let incoming = APP.incoming(&head);

    if incoming.kind != RequestKind::Script {
        let is_form = incoming.kind == RequestKind::Form;
        assert_eq!(head.method, if is_form { "POST" } else { "GET" });
        assert!(!is_form || values("sec-fetch-mode").next().is_some());
        assert!(values("accept").any(|accept| accept.to_ascii_lowercase().contains("text/html")));
        assert!(values("sec-fetch-mode").all(|mode| mode.eq_ignore_ascii_case("navigate")));
        assert!(
            values("hx-request")
                .chain(values("x-requested-with"))
                .next()
                .is_none()
        );
    } else {
        assert!(incoming.target.is_empty());
    }
    check_return_path(&incoming.return_to());

    let changes_something = !["GET", "HEAD", "OPTIONS", "TRACE"].contains(&head.method);
    let is_foreign = values("origin").any(|origin| origin != BASE)
        || values("sec-fetch-site").any(|site| site != "same-origin" && site != "none");
    assert_eq!(incoming.same_site().is_err(), changes_something && is_foreign);
    let base = BaseUrl::new(BASE).expect("an origin");
    assert_eq!(
        csrf::check(&head, &base).is_err(),
        changes_something && is_foreign
    );
}

/// The parameters of `/auth/login`: whatever they say, the browser goes to the provider, with a request of ours, and comes
/// back to this app.
pub fn login(data: &[u8]) {
    let (case, encoded) = case(data);
    let query = String::from_utf8_lossy(encoded).into_owned();
    let head = Head {
        method: if bit(case, 0) { "POST" } else { "GET" },
        path: paths::LOGIN.to_owned(),
        query: query.clone(),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        peer: None,
    };
    let request = APP.route_request(&head, query.clone().into_bytes(), None);
    let reply = RUNTIME.block_on(APP.login(request));
    check_headers(&reply);

    let asked: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut issuers = asked.iter().filter(|(name, _)| name == "iss");
    let is_ours = match (issuers.next(), issuers.next()) {
        (None, _) => true,
        (Some((_, issuer)), None) => issuer == TOKEN,
        _ => false,
    };
    // There is one provider, without a name.
    let mut providers = asked.iter().filter(|(name, _)| name == "provider");
    let is_there = match (providers.next(), providers.next()) {
        (None, _) => true,
        (Some((_, name)), None) => name.is_empty(),
        _ => false,
    };
    if !is_ours || !is_there {
        assert!(matches!(reply.status, 400 | 404));
        assert!(header(&reply, "location").is_none());
        return;
    }
    let location = header(&reply, "location").expect("a redirect");
    let url = Url::parse(location).expect("an absolute URL");
    assert!(location.starts_with(AUTHORIZATION));
    assert_eq!(url.fragment(), None);
    let value = |wanted: &str| {
        let values: Vec<_> = url.query_pairs().filter(|(name, _)| name == wanted).collect();
        assert!(values.len() <= 1, "{wanted} stands there more than once");
        values.into_iter().next().map(|(_, value)| value.into_owned())
    };
    let callback = format!("{BASE}{}", paths::CALLBACK);
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", &callback),
        // No step-up can be made without the app's key.
        ("scope", "profile mail"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(value(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(value("max_age"), None);
    let hint = asked
        .iter()
        .find(|(name, _)| name == "login_hint")
        .map(|(_, hint)| hint.clone().into_owned());
    assert_eq!(value("login_hint"), hint.filter(|hint| !hint.is_empty()));

    // The cookie that went along opens for the state that went along, and leads to a path of this app.
    let state = value("state").expect("a state");
    let cookie = header(&reply, "set-cookie").expect("the attempt's cookie");
    let answer = Head {
        query: format!("state={state}"),
        headers: vec![("cookie", cookie.split(';').next().unwrap_or_default().to_owned())],
        ..Head::default()
    };
    let request = APP.route_request(&answer, Vec::new(), None);
    let response = login::receive(
        &APP.core().config,
        APP.core().config.parties.first(),
        &request,
        NOW,
    )
    .expect("the attempt that was just begun");
    let return_to = &response.attempt.return_to;
    check_return_path(return_to);
    assert!(![paths::LOGIN, paths::CALLBACK, paths::LOGOUT].contains(&return_to.path().as_str()));
}

/// The provider's answer at the callback, in a query or a form, with and without the cookie of its attempt. `STATE` in the
/// input stands for the attempt's `state`, which is random.
pub fn callback(data: &[u8]) {
    struct Begun {
        state: String,
        cookie: String,
        metadata: Metadata,
    }
    static BEGUN: LazyLock<Begun> = LazyLock::new(|| {
        let metadata = metadata();
        let request = login::begin(
            &APP.core().config,
            APP.core().config.parties.first(),
            &metadata,
            LoginOptions::default(),
            &APP.route_request(&Head::default(), Vec::new(), None),
            NOW,
        );
        let mut parameters = request.parameters.into_iter();
        let state = parameters.find(|(name, _)| name == "state");
        Begun {
            state: state.map(|(_, state)| state).unwrap_or_default(),
            cookie: request.cookies[0]
                .split(';')
                .next()
                .unwrap_or_default()
                .to_owned(),
            metadata,
        }
    });
    let begun = &*BEGUN;
    let (case, encoded) = case(data);
    let (is_post, is_form, has_cookie) = (bit(case, 0), bit(case, 1), bit(case, 2));
    let encoded = String::from_utf8_lossy(encoded).replace("STATE", &begun.state);
    let mut head = Head {
        method: if is_post { "POST" } else { "GET" },
        path: paths::CALLBACK.to_owned(),
        query: if is_post { String::new() } else { encoded.clone() },
        headers: Vec::new(),
        peer: None,
    };
    if is_form {
        let form = "application/x-www-form-urlencoded".to_owned();
        head.headers.push(("content-type", form));
    }
    if has_cookie {
        head.headers.push(("cookie", format!("a=b; {}", begun.cookie)));
    }
    let request = APP.route_request(&head, encoded.clone().into_bytes(), None);
    let now = if bit(case, 3) {
        NOW.plus(std::time::Duration::from_secs(900))
    } else {
        NOW
    };
    let response = match login::receive(
        &APP.core().config,
        APP.core().config.parties.first(),
        &request,
        now,
    ) {
        Ok(response) => response,
        Err(error) => return check_error(&error),
    };
    assert!(has_cookie && now == NOW && (is_form || !is_post));
    let pairs: Vec<_> = form_urlencoded::parse(encoded.as_bytes()).into_owned().collect();
    let values = |wanted: &str| -> Vec<&str> {
        let held = pairs.iter().filter(|(name, _)| name == wanted);
        held.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("state"), [begun.state.as_str()]);

    let mut metadata = begun.metadata.clone();
    metadata.names_issuer_in_response = bit(case, 4);
    let code = match response.code(&response.parameters, &metadata, false) {
        Ok(code) => code,
        Err(error) => return check_error(&error),
    };
    assert_eq!(values("code"), [code.expose()]);
    assert!(!code.expose().is_empty());
    assert!(values("error").iter().all(|error| error.is_empty()));
    match values("iss")[..] {
        [] | [""] => assert!(!metadata.names_issuer_in_response),
        [issuer] => assert_eq!(issuer, ISSUER),
        _ => panic!("iss is repeated"),
    }
}

/// An error's text is ours, not the request's: it is the same for all that fail in the same way.
fn check_error(error: &login::LoginError) {
    static TEXTS: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());
    let text = error.to_string();
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(texts.entry(error.code()).or_insert_with(|| text.clone()), &text);
}

/// The code in `/auth/errors/<code>`: the page of one that is not known is the same for all of them.
pub fn error_code(data: &[u8]) {
    let code = String::from_utf8_lossy(data);
    let request = APP.route_request(&Head::default(), Vec::new(), None);
    let reply = APP.explain_error(&code, &request);
    check_headers(&reply);
    if reply.status != 200 {
        let other = APP.explain_error("no.such.code", &request);
        assert_eq!((reply.status, &reply.body), (other.status, &other.body));
        assert_eq!(reply.headers, other.headers);
    } else {
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b)));
    }
}

/// No header can be broken out of.
fn check_headers(reply: &Reply) {
    for (name, value) in &reply.headers {
        let is_text = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        assert!(
            is_text && HeaderValue::from_str(value).is_ok(),
            "{name}: {value:?}"
        );
    }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let value = reply.headers.iter().find(|(held, _)| *held == name);
    value.map(|(_, value)| &**value)
}

fn metadata() -> Metadata {
    let document = format!(
        r#"{{"issuer":"{ISSUER}","authorization_endpoint":"{AUTHORIZATION}","token_endpoint":"{TOKEN}",
            "jwks_uri":"{ISSUER}/keys","response_types_supported":["code"],"subject_types_supported":["public"],
            "id_token_signing_alg_values_supported":["RS256"]}}"#
    );
    let issuer = Issuer::new(ISSUER).expect("an issuer");
    metadata::accept(document.as_bytes(), &issuer, EndpointOverrides::default()).expect("a document")
}

/// A request head of text that nobody has checked.
pub(super) struct Head<'a> {
    method: &'a str,
    path: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    peer: Option<IpAddr>,
}

impl Default for Head<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            path: "/".to_owned(),
            query: String::new(),
            headers: Vec::new(),
            peer: None,
        }
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        Some(&self.query)
            .filter(|query| !query.is_empty())
            .map(String::as_str)
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        for (held, value) in &self.headers {
            if *held == name {
                each(value);
            }
        }
    }
}

/// Where a request says that it comes from, by way of trusted proxies: an address that stands there, or a proxy's own.
pub fn forwarded(data: &[u8]) {
    static PROXIES: LazyLock<TrustedProxies> =
        LazyLock::new(|| TrustedProxies::parse("10.0.0.0/8, ::1").expect("a list"));
    let text = String::from_utf8_lossy(data);
    let head = Head {
        headers: text
            .lines()
            .map(|line| ("x-forwarded-for", line.to_owned()))
            .collect(),
        peer: Some(PROXY),
        ..Head::default()
    };
    let sender = PROXIES.sender(&head).expect("a sender");
    let stands_there = text.contains(&sender.to_string());
    let is_written_otherwise = sender.is_ipv6() || text.to_ascii_lowercase().contains("ffff");
    assert!(
        stands_there || is_written_otherwise || sender == PROXY,
        "{text:?} came from {sender}"
    );
    // Nobody who is not trusted is asked.
    assert_eq!(TrustedProxies::default().sender(&head), Some(PROXY));
}

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
