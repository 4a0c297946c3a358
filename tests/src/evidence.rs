//! What one test's applications have printed, answered and sent, and the secrets that must not stand there.
//!
//! The exceptions are the whole list of places where a secret belongs:
//!
//! | secret | may stand in |
//! | --- | --- |
//! | a cookie's value | `Set-Cookie` |
//! | `state`, `nonce`, `code_challenge` | these parameters of `Location` with an authorization request, of the request itself and of a pushed one |
//! | the same, signed | `request` there |
//! | the name of a pushed request | `request_uri` of `Location` with an authorization request, and of the request itself |
//! | the ID token | `id_token_hint` of `Location` to the end-session endpoint, and of the request itself; `subject_token` of an exchange of ID tokens |
//! | the access token | `Authorization` to userinfo and the APIs; `token` to revocation and introspection; `subject_token` of an exchange of access tokens, `token` of a switch |
//! | a proof (RFC 9449) | `DPoP` to userinfo, the APIs, and endpoints for tokens and pushed requests |
//! | code, verifier, refresh token | the form to the token endpoint, each under its own name; `token` to revocation and introspection |
//! | the client's secret, an assertion | `Authorization: Basic` or the form to endpoints that authenticate the client |
//!
//! Nothing secret may stand in what an application prints, in a status line, in any other header, in a body or in a URL.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use auth_testing::{Control, Endpoint, RecordedRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use http::header::{LOCATION, SET_COOKIE};
use url::Url;

use crate::answer::Answer;
use crate::app::Output;
use crate::leaks::{Kind, Searcher};
use crate::routes::Visit;

/// Everything there is to search. Clones are the same evidence.
#[derive(Clone, Debug, Default)]
pub struct Evidence(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    secrets: Vec<(Kind, String)>,
    outputs: Vec<Arc<Mutex<Output>>>,
    controls: Vec<Control>,
    answers: Vec<Answer>,
    visits: Vec<Visit>,
}

/// Texts that only a program that has lost its way prints.
const PANICS: [&str; 3] = ["panicked at", "stack backtrace", "RUST_BACKTRACE"];

impl Evidence {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    /// Adds a secret.
    pub fn secret(&self, kind: Kind, value: impl Into<String>) {
        self.kept().secrets.push((kind, value.into()));
    }

    /// Adds what an application prints from now on.
    pub fn output(&self, output: Arc<Mutex<Output>>) {
        self.kept().outputs.push(output);
    }

    /// Adds what a provider gives out, and the requests that reach it and its APIs.
    pub fn provider(&self, control: Control) {
        self.kept().controls.push(control);
    }

    /// Adds an application's answer, and the secrets in it.
    pub fn answer(&self, answer: &Answer) {
        for header in answer.headers.get_all(SET_COOKIE) {
            let text = header.to_str().expect("Set-Cookie is text");
            let pair = text.split(';').next().unwrap_or_default();
            if let Some((_, value)) = pair.split_once('=')
                && value.len() >= 16
            {
                self.secret(Kind::Cookie, value);
            }
        }
        if let Some(location) = location(answer) {
            self.url(&location);
        }
        self.kept().answers.push(answer.clone());
    }

    /// Adds a request of an application: the browser's own, or one that somebody else is known to have made.
    pub fn visit(&self, method: &Method, path: &str, status: u16) {
        self.kept().visits.push(Visit {
            method: method.clone(),
            path: path.to_owned(),
            status,
        });
    }

    /// What the applications were asked, in order.
    #[must_use]
    pub fn visits(&self) -> Vec<Visit> {
        self.kept().visits.clone()
    }

    /// Adds the secrets in a URL that a browser asks for or is sent to.
    pub fn url(&self, url: &Url) {
        for (name, value) in url.query_pairs() {
            let kind = match &*name {
                "state" | "nonce" | "code_challenge" => Kind::Binding,
                "id_token_hint" => Kind::IdToken,
                "code" | "response" => Kind::Grant,
                _ => continue,
            };
            if value.len() >= 16 {
                self.secret(kind, value);
            }
        }
    }

    /// Adds the settings of an application: its secrets, and what concerns its operator alone.
    pub fn settings(&self, environment: &[(String, String)]) {
        for (name, value) in environment {
            match name.as_str() {
                "AUTH_SECRET" => {
                    for key in value.split(',') {
                        self.secret(Kind::Setting, key);
                    }
                }
                // Also of one of several providers: `AUTH_ACME_CLIENT_SECRET`.
                name if name.ends_with("_CLIENT_SECRET") => self.secret(Kind::Setting, value),
                "AUTH_STORE" | "AUTH_CA_FILE" if value.len() >= 16 => self.secret(Kind::Private, value),
                name if value.len() >= 16
                    && ["_CLIENT_KEY", "_CLIENT_CERT", "_DECRYPTION_KEY"]
                        .iter()
                        .any(|end| name.ends_with(end)) =>
                {
                    self.secret(Kind::Private, value);
                }
                _ => {}
            }
        }
    }

    /// Nothing secret stands where it does not belong.
    ///
    /// # Panics
    ///
    /// When something does, with a list of it.
    pub fn assert_nothing_leaked(&self) {
        let leaks = self.leaks();
        assert!(
            leaks.is_empty(),
            "secrets are where they do not belong:\n{}",
            leaks[..leaks.len().min(10)].join("\n")
        );
    }

    /// Every place where something secret stands that does not belong there.
    #[must_use]
    pub fn leaks(&self) -> Vec<String> {
        let kept = self.kept();
        let requests: Vec<_> = kept.controls.iter().flat_map(Control::all_requests).collect();
        let secrets = all_secrets(&kept, &requests);
        let searcher = Searcher::new(secrets.iter().map(|(kind, secret)| (*kind, secret.as_str())));
        let mut search = Search {
            searcher,
            secrets: &secrets,
            leaks: Vec::new(),
        };
        for output in &kept.outputs {
            let output = output.lock().unwrap();
            search.printed("standard output", &output.stdout);
            search.printed("standard error", &output.stderr);
        }
        for answer in &kept.answers {
            search.answer(answer);
        }
        for (endpoint, request) in &requests {
            search.request(*endpoint, request);
        }
        search.leaks
    }
}

/// Where a redirect leads.
fn location(answer: &Answer) -> Option<Url> {
    answer.url.join(answer.headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// The secrets that were told, those that the providers gave out, and those that reached them.
fn all_secrets(kept: &Kept, requests: &[(Endpoint, RecordedRequest)]) -> Vec<(Kind, String)> {
    let mut secrets = kept.secrets.clone();
    let issued = kept.controls.iter().flat_map(Control::issued_secrets);
    secrets.extend(issued.map(|secret| {
        // RFC 9126 §2.2: what stands before the name of a pushed request is the same for all, and in other names too.
        let name = secret.strip_prefix("urn:ietf:params:oauth:request_uri:");
        (kind_of_issued(&secret), name.unwrap_or(&secret).to_owned())
    }));
    for (endpoint, request) in requests {
        for (name, value) in &request.form {
            let kind = match name.as_str() {
                "code" | "code_verifier" | "refresh_token" | "client_assertion" => Kind::Grant,
                "client_secret" => Kind::Setting,
                _ => continue,
            };
            secrets.push((kind, value.clone()));
        }
        // Its signature: the claims are what everybody may know of the request.
        let proof = request.header("dpop").and_then(|proof| proof.rsplit('.').next());
        secrets.extend(proof.map(|signature| (Kind::Grant, signature.to_owned())));
        if *endpoint == Endpoint::PushedAuthorization {
            let bindings = ["state", "nonce", "code_challenge"];
            let bindings = bindings.iter().filter_map(|name| request.form(name));
            secrets.extend(bindings.map(|value| (Kind::Binding, value.to_owned())));
        }
        if *endpoint == Endpoint::Authorize {
            let challenge = request.query("code_challenge");
            secrets.extend(challenge.map(|challenge| (Kind::Binding, challenge)));
        }
    }
    secrets.sort_by(|(_, a), (_, b)| a.cmp(b));
    secrets.dedup();
    secrets
}

fn kind_of_issued(secret: &str) -> Kind {
    let header = secret.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let Ok(header) = serde_json::from_slice::<serde_json::Value>(&header) else {
        return Kind::Grant;
    };
    match header["typ"].as_str() {
        Some("at+jwt") => Kind::AccessToken,
        _ => Kind::IdToken,
    }
}

struct Search<'a> {
    searcher: Searcher,
    secrets: &'a [(Kind, String)],
    leaks: Vec<String>,
}

impl Search<'_> {
    fn text(&mut self, place: &str, text: &str, allowed: &[Kind]) {
        if let Some(found) = self.searcher.find(text, allowed) {
            let before = text[..found.start].chars().rev().take(120).collect::<Vec<_>>();
            let mut leak = format!("{place}: {:?}, {}: ", found.kind, found.form);
            leak.extend(before.iter().rev());
            let after: String = text[found.end..].chars().take(60).collect();
            let _ = write!(leak, "[…]{after}");
            self.leaks.push(leak.replace('\n', " | "));
        }
    }

    /// This very value belongs here, where it is not known as a secret of another kind.
    fn value(&mut self, place: &str, value: &str, kinds: &[Kind]) {
        let other = self
            .secrets
            .iter()
            .find(|(kind, secret)| secret == value && !kinds.contains(kind));
        if let Some((kind, _)) = other {
            self.leaks.push(format!("{place} holds {kind:?}"));
        }
    }

    fn printed(&mut self, place: &str, lines: &[String]) {
        let text = lines.join("\n");
        // What is private is the operator's, who reads this.
        self.text(place, &text, &[Kind::Private]);
        for line in lines {
            if PANICS.iter().any(|panic| line.contains(panic)) {
                self.leaks.push(format!("{place} tells of a panic: {line}"));
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let place = format!("{} from {}", answer.status, answer.url.path());
        for (name, value) in &answer.headers {
            let at = format!("{place}, header {name}");
            let text = String::from_utf8_lossy(value.as_bytes());
            match *name {
                SET_COOKIE => self.text(&at, &text, &[Kind::Cookie]),
                LOCATION => match location(answer) {
                    Some(url) if url.origin() != answer.url.origin() => self.departure(&at, &url),
                    _ => self.text(&at, &text, &[]),
                },
                _ => self.text(&at, &text, &[]),
            }
        }
        self.text(&format!("{place}, body"), &answer.body, &[]);
        if let Some(panic) = PANICS.iter().find(|panic| answer.body.contains(**panic)) {
            self.leaks.push(format!("{place}, body: {panic}"));
        }
    }

    /// A redirect to the provider: an authorization request or a sign-out.
    fn departure(&mut self, place: &str, url: &Url) {
        let has = |name: &str| url.query_pairs().any(|(other, _)| other == name);
        let allowed: &[(&str, Kind)] = if has("response_type") {
            &[
                ("state", Kind::Binding),
                ("nonce", Kind::Binding),
                ("code_challenge", Kind::Binding),
                ("request", Kind::Binding),
            ]
        } else if has("request_uri") {
            &[("request_uri", Kind::Grant)]
        } else if has("request") {
            &[("request", Kind::Binding)]
        } else if has("post_logout_redirect_uri") {
            &[("id_token_hint", Kind::IdToken)]
        } else {
            &[]
        };
        let mut rest = url.clone();
        rest.query_pairs_mut().clear();
        for (name, value) in url.query_pairs() {
            match allowed.iter().find(|(other, _)| *other == name) {
                Some((name, kind)) => self.value(&format!("{place}, {name}"), &value, &[*kind]),
                None => {
                    rest.query_pairs_mut().append_pair(&name, &value);
                    self.text(&format!("{place}, {name}"), &value, &[]);
                }
            }
        }
        self.text(place, rest.as_str(), &[]);
    }

    fn request(&mut self, endpoint: Endpoint, request: &RecordedRequest) {
        use Endpoint as E;
        let place = format!("{} {} at the provider or API", request.method, request.path);
        // A browser keeps cookies per host and not per port, so a test's browser brings those of the application.
        let may_be_browser = !matches!(
            endpoint,
            E::Api(_)
                | E::Api2(_)
                | E::Token
                | E::Userinfo
                | E::Revoke
                | E::Introspect
                | E::PushedAuthorization
        );
        let is_browser = matches!(endpoint, E::Authorize | E::EndSession)
            || (may_be_browser && request.header("sec-fetch-mode").is_some());
        self.text(&format!("{place}, path"), &request.path, &[]);

        let in_query: &[(&str, Kind)] = match endpoint {
            E::Authorize => &[
                ("state", Kind::Binding),
                ("nonce", Kind::Binding),
                ("code_challenge", Kind::Binding),
                ("request_uri", Kind::Grant),
                ("request", Kind::Binding),
            ],
            E::EndSession => &[("id_token_hint", Kind::IdToken)],
            _ => &[],
        };
        for (name, value) in url::form_urlencoded::parse(request.query.as_bytes()) {
            let at = format!("{place}, query {name}");
            match in_query.iter().find(|(other, _)| *other == name) {
                Some((_, kind)) => self.value(&at, &value, &[*kind]),
                None => self.text(&at, &value, &[]),
            }
        }

        for (name, value) in &request.headers {
            let at = format!("{place}, header {name}");
            match (name.as_str(), endpoint) {
                ("cookie", _) if is_browser => {}
                ("cookie", _) => self.leaks.push(format!("{at}: a cookie left the application")),
                ("authorization", E::Token | E::Revoke | E::Introspect | E::PushedAuthorization)
                    if value.starts_with("Basic ") => {}
                ("authorization", E::Userinfo | E::Api(_) | E::Api2(_)) => match value.split_once(' ') {
                    Some((_, token)) => self.value(&at, token, &[Kind::AccessToken]),
                    None => self.text(&at, value, &[]),
                },
                ("dpop", E::Token | E::PushedAuthorization | E::Userinfo | E::Api(_) | E::Api2(_)) => {
                    for part in value.split('.').take(2) {
                        let part = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
                        self.text(&at, &String::from_utf8_lossy(&part), &[]);
                    }
                }
                _ => self.text(&at, value, &[]),
            }
        }

        let subject = match request.form("subject_token_type") {
            Some("urn:ietf:params:oauth:token-type:id_token") => Kind::IdToken,
            _ => Kind::AccessToken,
        };
        let is_switch = request
            .form("grant_type")
            .is_some_and(|grant| grant.ends_with("_switch"));
        let in_form: &[(&str, &[Kind])] = match endpoint {
            E::Token => &[
                ("code", &[Kind::Grant]),
                ("code_verifier", &[Kind::Grant]),
                ("refresh_token", &[Kind::Grant]),
                ("client_assertion", &[Kind::Grant]),
                ("client_secret", &[Kind::Setting, Kind::Grant]),
                ("subject_token", &[subject]),
                ("token", if is_switch { &[Kind::AccessToken] } else { &[] }),
            ],
            E::Revoke | E::Introspect => &[
                ("token", &[Kind::AccessToken, Kind::Grant]),
                ("client_assertion", &[Kind::Grant]),
                ("client_secret", &[Kind::Setting, Kind::Grant]),
            ],
            E::PushedAuthorization => &[
                ("state", &[Kind::Binding]),
                ("nonce", &[Kind::Binding]),
                ("code_challenge", &[Kind::Binding]),
                ("request", &[Kind::Binding]),
                ("client_assertion", &[Kind::Grant]),
                ("client_secret", &[Kind::Setting, Kind::Grant]),
            ],
            E::EndSession => &[("id_token_hint", &[Kind::IdToken])],
            _ => &[],
        };
        for (name, value) in &request.form {
            let at = format!("{place}, form {name}");
            match in_form.iter().find(|(other, _)| other == name) {
                Some((_, kinds)) => self.value(&at, value, kinds),
                None => self.text(&at, value, &[]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use auth_testing::DevProvider;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const CODE: &str = "a-code-that-was-issued-0123456789";
    const STATE: &str = "a-state-of-an-attempt-0123456789ab";
    const COOKIE: &str = "a-session-identifier-0123456789abcd";
    const ID_TOKEN: &str = "an-id-token-that-was-issued-0123456";
    const ACCESS_TOKEN: &str = "an-access-token-that-was-issued-012";
    const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";

    fn evidence() -> Evidence {
        let evidence = Evidence::default();
        evidence.secret(Kind::Grant, CODE);
        evidence.secret(Kind::Binding, STATE);
        evidence.secret(Kind::Cookie, COOKIE);
        evidence.secret(Kind::IdToken, ID_TOKEN);
        evidence.secret(Kind::AccessToken, ACCESS_TOKEN);
        evidence.secret(Kind::Private, "/srv/app/sessions.db");
        evidence
    }

    fn answer(headers: &[(&str, String)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Answer {
            url: Url::parse("http://127.0.0.1:3000/auth/callback").unwrap(),
            status: 303,
            headers: map,
            body: body.to_owned(),
        }
    }

    #[track_caller]
    fn leaks(headers: &[(&str, String)], body: &str) {
        let evidence = evidence();
        evidence.answer(&answer(headers, body));
        assert!(!evidence.leaks().is_empty(), "overlooks {headers:?} {body}");
    }

    #[track_caller]
    fn passes(headers: &[(&str, String)], body: &str) {
        let evidence = evidence();
        evidence.answer(&answer(headers, body));
        assert_eq!(evidence.leaks(), Vec::<String>::new());
    }

    fn printed(line: &str) -> Vec<String> {
        let evidence = evidence();
        evidence.output(Arc::new(Mutex::new(Output {
            stdout: Vec::new(),
            stderr: vec!["an ordinary line".to_owned(), line.to_owned()],
        })));
        evidence.leaks()
    }

    #[test]
    fn nothing_secret_is_printed() {
        for secret in [CODE, STATE, COOKIE] {
            assert_eq!(printed(&format!("TRACE it is {secret}")).len(), 1, "{secret}");
        }
        assert_eq!(
            printed("INFO the store is /srv/app/sessions.db"),
            Vec::<String>::new()
        );
        assert_eq!(printed("thread 'main' panicked at src/main.rs:1:1").len(), 1);
    }

    #[test]
    fn nothing_secret_is_on_a_page() {
        for secret in [CODE, STATE, COOKIE, "/srv/app/sessions.db"] {
            leaks(&[], &format!("<p>{secret}</p>"));
        }
        leaks(&[], "thread 'main' panicked at src/main.rs:1:1");
        passes(&[], "<p>You are signed in.</p>");
    }

    #[test]
    fn a_cookie_is_in_set_cookie_and_in_no_other_header() {
        passes(&[("set-cookie", format!("auth_session={COOKIE}; Path=/"))], "");
        leaks(
            &[("set-cookie", format!("auth_session={CODE}; Path=/; x={STATE}"))],
            "",
        );
        leaks(&[("x-session", COOKIE.to_owned())], "");
        leaks(&[("location", format!("/?session={COOKIE}"))], "");
    }

    #[test]
    fn state_and_nonce_are_in_authorization_requests_and_in_no_other_redirect() {
        let request = "https://login.example/authorize?response_type=code&client_id=x";
        passes(
            &[("location", format!("{request}&state={STATE}&nonce={STATE}"))],
            "",
        );
        leaks(&[("location", format!("{request}&login_hint={STATE}"))], "");
        leaks(&[("location", format!("{request}&state={CODE}"))], "");
        leaks(&[("location", format!("{request}&state=1#{STATE}"))], "");
        leaks(
            &[(
                "location",
                format!("https://login.example/{STATE}?response_type=code"),
            )],
            "",
        );
        leaks(
            &[("location", format!("https://login.example/?state={STATE}"))],
            "",
        );
        leaks(
            &[("location", format!("/profile?response_type=code&state={STATE}"))],
            "",
        );
    }

    #[test]
    fn an_id_token_is_in_the_hint_of_a_sign_out_and_nothing_else_is() {
        let out = "https://login.example/end?post_logout_redirect_uri=x";
        let token = |header: &str, claims: &str| {
            let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
            format!("{}.{}.c2lnbmF0dXJlIHNpZ25hdHVyZQ", encode(header), encode(claims))
        };
        let id_token = token(r#"{"typ":"JWT"}"#, r#"{"sub":"alice","nonce":"n"}"#);
        let evidence = evidence();
        evidence.answer(&answer(
            &[("location", format!("{out}&id_token_hint={id_token}"))],
            "",
        ));
        assert_eq!(evidence.leaks(), Vec::<String>::new());
        leaks(&[("location", format!("{out}&id_token_hint={CODE}"))], "");
        leaks(
            &[(
                "location",
                format!("https://login.example/?id_token_hint={id_token}"),
            )],
            "",
        );
    }

    #[tokio::test]
    async fn what_is_sent_holds_secrets_only_where_they_belong() {
        let provider = DevProvider::builder().start().await.unwrap();
        let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let issuer = provider.issuer().to_owned();
        let jwks = format!("{issuer}/jwks");
        let token = format!("{issuer}/token");
        let me = format!("{}/scim2/Me", provider.api_url());
        let bad = [
            http.get(format!("{jwks}?code={CODE}")),
            http.get(&jwks).header("cookie", "a=b"),
            http.get(&jwks)
                .header("referer", format!("http://127.0.0.1/?code={CODE}")),
            http.get(&me).header("authorization", format!("Bearer {CODE}")),
            http.get(&me).header("x-token", CODE),
            http.get(&me).header("cookie", format!("auth_session={COOKIE}")),
            http.get(format!("{}/{CODE}", provider.api_url())),
            http.post(&token).form(&[("scope", CODE)]),
            http.post(&token).form(&[("code", COOKIE)]),
            http.post(&token).form(&[("subject_token", ID_TOKEN)]),
            http.post(&token).form(&[
                ("subject_token", ACCESS_TOKEN),
                ("subject_token_type", ID_TOKEN_TYPE),
            ]),
            http.post(&token)
                .form(&[("token", ACCESS_TOKEN), ("grant_type", "refresh_token")]),
            http.post(&token)
                .form(&[("token", ID_TOKEN), ("grant_type", "account_switch")]),
            http.post(format!("{issuer}/revoke"))
                .form(&[("code_verifier", CODE)]),
            http.post(format!("{token}?code={CODE}"))
                .form(&[("grant_type", "x")]),
        ];
        let good = [
            http.get(&jwks),
            http.get(&me)
                .header("authorization", "Bearer an-access-token-of-a-test"),
            http.post(&token)
                .form(&[("code", CODE), ("code_verifier", "a-verifier-0123456789abcdef")]),
            http.post(format!("{issuer}/revoke")).form(&[("token", CODE)]),
            http.post(&token).form(&[("subject_token", ACCESS_TOKEN)]),
            http.post(&token)
                .form(&[("subject_token", ID_TOKEN), ("subject_token_type", ID_TOKEN_TYPE)]),
            http.post(&token)
                .form(&[("token", ACCESS_TOKEN), ("grant_type", "account_switch")]),
        ];
        let evidence = evidence();
        evidence.provider(provider.control().clone());
        let count = bad.len();
        for request in good {
            request.send().await.unwrap();
        }
        assert_eq!(evidence.leaks(), Vec::<String>::new());
        for (n, request) in bad.into_iter().enumerate() {
            let what = format!("{request:?}");
            request.send().await.unwrap();
            assert_eq!(evidence.leaks().len(), n + 1, "{what}\n{:#?}", evidence.leaks());
        }
        assert_eq!(evidence.leaks().len(), count);
    }
}
