//! What the provider says of itself, over which connections, and by which clock.
//!
//! Whether the application can use the discovery document is the library's own judgement: a sign-in is begun, in this process,
//! as `GET /auth/login` begins it. What it refuses is looked at here once more for what a person needs to know.

use std::collections::BTreeMap;

use auth_core::clock::Clock;
use auth_core::jose::Algorithm;
use auth_core::login::ClockSkew;
use auth_core::types::Issuer;
use serde_json::{Map, Value};
use url::Url;

use crate::browser::Browser;
use crate::catalogue as c;
use crate::finding::Findings;
use crate::http::{Answer, Http, NoAnswer, Tls, ends_at, shown, words};
use crate::settings::{SOON, Settings, url};
use crate::variables::Variables;
use crate::{SLOW, keys};

/// Endpoints of a discovery document that are asked by the application or opened by browsers.
const ENDPOINTS: [&str; 8] = [
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "end_session_endpoint",
    "pushed_authorization_request_endpoint",
];

/// What else can be at a host: the discovery document, and endpoints for clients with a certificate (RFC 8705 §5).
const ISSUER: &str = "issuer";
const ALIASES: &str = "mtls_endpoint_aliases";

/// A discovery document, read member by member.
#[derive(Debug, Default)]
pub(crate) struct Document(Map<String, Value>);

impl Document {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn url(&self, name: &str) -> Option<Url> {
        Url::parse(self.text(name)?).ok()
    }

    /// A list of names; `None` where the document does not have it.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&str>> {
        let list = self.0.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// The endpoints for clients with a certificate.
    fn aliases(&self) -> Vec<Url> {
        let aliases = self.0.get(ALIASES).and_then(Value::as_object);
        let urls = aliases.into_iter().flat_map(Map::values);
        urls.filter_map(|url| Url::parse(url.as_str()?).ok()).collect()
    }

    fn lists(&self, name: &str, value: &str) -> bool {
        self.list(name).is_some_and(|list| list.contains(&value))
    }
}

/// What was seen of the provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) document: Document,
    /// Whether a sign-in can be begun with it.
    pub(crate) is_usable: bool,
}

/// Looks at the provider. Nothing that it is asked needs the client's authentication.
pub(crate) async fn examine(
    settings: &Settings,
    http: &Http,
    clock: &Clock,
    findings: &mut Findings,
) -> Provider {
    let provider = match settings.issuer() {
        Some(issuer) => discover(settings, &issuer, http, clock, findings).await,
        None => {
            let document = given(settings);
            Provider {
                is_usable: settings.auth.is_some() && document.url("token_endpoint").is_some(),
                document,
            }
        }
    };
    let mut hosts = Hosts::default();
    for name in ENDPOINTS {
        if let Some(url) = provider.document.url(name) {
            hosts.add(&url, name);
        }
    }
    if settings.uses_certificate() {
        for url in provider.document.aliases() {
            hosts.add(&url, ALIASES);
        }
    }
    for (name, url) in settings.apis() {
        hosts.add(&url, name);
    }
    let issuer = url(&settings.variables, "AUTH_ISSUER");
    if let Some(issuer) = &issuer {
        let others = hosts.others(issuer);
        if !others.is_empty() {
            findings.say(
                &c::ENDPOINTS_OTHER_HOST,
                format!("They are {}.", others.join(", ")),
            );
        }
        if provider.is_usable {
            hosts.add(issuer, ISSUER);
        }
    }
    hosts.examine(settings, http, clock, findings).await;
    if settings.issuer().is_some() && provider.is_usable {
        judge(settings, &provider.document, findings);
        keys::examine(settings, &provider.document, http, findings).await;
    }
    provider
}

impl Provider {
    pub(crate) fn unknown() -> Self {
        Self {
            document: Document::default(),
            is_usable: false,
        }
    }
}

/// Endpoints given by hand, under the names that a document has for them.
fn given(settings: &Settings) -> Document {
    let names = [
        ("AUTH_AUTHORIZATION_URL", "authorization_endpoint"),
        ("AUTH_TOKEN_URL", "token_endpoint"),
        ("AUTH_USERINFO_URL", "userinfo_endpoint"),
        ("AUTH_REVOCATION_URL", "revocation_endpoint"),
        ("AUTH_INTROSPECTION_URL", "introspection_endpoint"),
        ("AUTH_END_SESSION_URL", "end_session_endpoint"),
    ];
    let members = names.into_iter().filter_map(|(variable, member)| {
        Some((member.to_owned(), Value::from(settings.variables.get(variable)?)))
    });
    Document(members.collect())
}

async fn discover(
    settings: &Settings,
    issuer: &str,
    http: &Http,
    clock: &Clock,
    findings: &mut Findings,
) -> Provider {
    // OpenID Connect Discovery §4.
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    // One that the library does not take is asked for nothing; the settings say why.
    let (Ok(_), Ok(address)) = (Issuer::new(issuer), Url::parse(&address)) else {
        return Provider::unknown();
    };
    let answer = http.get(&address, "application/json").await;
    if let Ok(answer) = &answer {
        if answer.took() > SLOW {
            findings.say(
                &c::DISCOVERY_SLOW,
                format!("It took {:.1} seconds.", answer.took().as_secs_f32()),
            );
        }
        compare_clocks(answer, findings);
    }
    let members = answer
        .as_ref()
        .ok()
        .filter(|answer| answer.status == 200)
        .and_then(|answer| serde_json::from_slice(&answer.body).ok());
    let mut document = Document(members.unwrap_or_default());
    let is_usable = match refusal(settings, issuer, clock).await {
        None => true,
        Some((code, detail)) => {
            say(
                &code,
                detail.as_deref().unwrap_or_default(),
                &address,
                &answer,
                &document,
                findings,
            );
            false
        }
    };
    // Endpoints given by hand take the place of the document's.
    for (name, value) in given(settings).0 {
        document.0.insert(name, value);
    }
    if is_usable {
        findings.add(&c::DISCOVERY_GOOD);
        if address.scheme() == "http" {
            findings.add(&c::TLS_NONE);
        }
    }
    Provider { document, is_usable }
}

/// Whether the library begins a sign-in with this issuer: its code and what it adds, where it does not. The client is left out,
/// so that it is asked for no more than the document.
async fn refusal(settings: &Settings, issuer: &str, clock: &Clock) -> Option<(String, Option<String>)> {
    let mut variables = Variables::of_table([
        ("AUTH_ISSUER", issuer),
        ("AUTH_CLIENT_ID", "auth-doctor"),
        ("AUTH_PAR", "never"),
    ]);
    for name in ["AUTH_BASE_URL", "AUTH_CA_FILE", "HTTP_TIMEOUT_SECS"] {
        if let Some(value) = settings.variables.get(name) {
            variables.set(name, value);
        }
    }
    let builder = match variables.builder() {
        Ok(builder) => builder.clock(clock.clone()),
        Err(error) => return Some(("settings".to_owned(), Some(error.to_string()))),
    };
    let auth = match builder.build().await {
        Ok(auth) => auth,
        // It has been said by the settings.
        Err(error) => return Some(("settings".to_owned(), Some(error.to_string()))),
    };
    match Browser::new(auth).begin().await {
        Ok(_) => None,
        // The document can be used, and demands what was left out here.
        Err(refused) if refused.code == "login.push_required" => None,
        Err(refused) => Some((refused.code.to_owned(), refused.detail)),
    }
}

/// What the library's refusal means for a person.
fn say(
    code: &str,
    detail: &str,
    address: &Url,
    answer: &Result<Answer, NoAnswer>,
    document: &Document,
    findings: &mut Findings,
) {
    let asked = shown(address);
    match (code, answer) {
        (_, Err(NoAnswer::Tls(check, reason))) => {
            findings.say(check, format!("{asked}: {reason}."));
        }
        ("provider.unreachable", answer) => {
            let reason = match answer {
                Err(reason) => reason.in_words(),
                Ok(_) => "no connection can be made",
            };
            findings.say(&c::DISCOVERY_UNREACHABLE, format!("{asked}: {reason}."));
        }
        ("provider.unavailable", answer) => {
            let what = match answer {
                Ok(answer) => format!("status {}", answer.status),
                Err(reason) => reason.in_words().to_owned(),
            };
            findings.say(&c::DISCOVERY_UNAVAILABLE, format!("{asked}: {what}."));
        }
        ("provider.discovery_missing", Ok(answer)) if (300..400).contains(&answer.status) => {
            let to = answer.location(address).map(|to| shown(&to));
            findings.say(
                &c::DISCOVERY_REDIRECTED,
                match to {
                    Some(to) => format!("{asked} leads to {}.", words(&to)),
                    None => format!("{asked} answers with status {}.", answer.status),
                },
            );
        }
        ("provider.discovery_missing", _) => {
            findings.say(&c::DISCOVERY_MISSING, format!("{asked}: {detail}"));
        }
        ("provider.discovery_malformed", _) => {
            findings.say(&c::DISCOVERY_MALFORMED, format!("{asked}: {detail}"));
        }
        ("provider.issuer_mismatch", _) => {
            let found = words(document.text("issuer").unwrap_or("nothing"));
            let configured = issuer_of(address);
            let hint = if found.trim_end_matches('/') == configured.trim_end_matches('/') {
                " They differ by the slash at the end."
            } else {
                ""
            };
            findings.say(
                &c::DISCOVERY_ISSUER_MISMATCH,
                format!("The document of {asked} says {found}.{hint}"),
            );
        }
        ("provider.discovery_insufficient", _) if detail.contains("PKCE") => {
            let methods = document.list("code_challenge_methods_supported");
            let methods = words(&methods.unwrap_or_default().join(", "));
            findings.say(&c::REQUESTS_PKCE_UNSUPPORTED, format!("It lists: {methods}."));
        }
        ("provider.discovery_insufficient", _)
            if document
                .list("id_token_signing_alg_values_supported")
                .is_some_and(|list| !list.is_empty())
                && detail.contains("id_token_signing_alg_values_supported") =>
        {
            let listed = document.list("id_token_signing_alg_values_supported");
            let listed = words(&listed.unwrap_or_default().join(", "));
            findings.say(&c::ALGORITHMS_NONE_USABLE, format!("It lists: {listed}."));
        }
        ("provider.discovery_insufficient", _) => findings.say(&c::DISCOVERY_INSUFFICIENT, detail),
        // An issuer that is none has been said by the settings.
        ("settings", _) if findings.has(&c::SETTINGS_INVALID) => {}
        ("settings", _) => findings.say(&c::SETTINGS_INVALID, detail),
        (code, _) => findings.say(&c::DISCOVERY_INSUFFICIENT, format!("{code}. {detail}")),
    }
}

fn issuer_of(address: &Url) -> String {
    let whole = shown(address);
    whole
        .strip_suffix("/.well-known/openid-configuration")
        .unwrap_or(&whole)
        .to_owned()
}

/// Compares this machine's clock with the server's.
fn compare_clocks(answer: &Answer, findings: &mut Findings) {
    let Some(date) = answer.date() else { return };
    let (before, after) = answer.between;
    let skew = ClockSkew::measured(date, before, after);
    let by = skew.by();
    let how = match skew {
        ClockSkew::Behind(_) => "behind",
        ClockSkew::Ahead(_) => "ahead of",
    };
    let detail = format!(
        "This machine's clock is {} seconds {how} the provider's.",
        by.as_secs()
    );
    if by.as_secs() > 60 {
        findings.say(&c::CLOCK_FAR_OFF, detail);
    } else if by.as_secs() > 5 {
        findings.say(&c::CLOCK_OFF, detail);
    } else {
        findings.add(&c::CLOCK_GOOD);
    }
}

/// What the document says that a sign-in does not fail for, or not before somebody tries.
fn judge(settings: &Settings, document: &Document, findings: &mut Findings) {
    for (name, check) in [
        ("revocation_endpoint", &c::ENDPOINTS_NO_REVOCATION),
        ("end_session_endpoint", &c::ENDPOINTS_NO_END_SESSION),
        ("userinfo_endpoint", &c::ENDPOINTS_NO_USERINFO),
        ("introspection_endpoint", &c::ENDPOINTS_NO_INTROSPECTION),
    ] {
        if document.text(name).is_none() {
            findings.add(check);
        }
    }
    if !document.is_true("backchannel_logout_supported") {
        findings.add(&c::ENDPOINTS_NO_BACKCHANNEL_LOGOUT);
    }
    judge_algorithms(settings, document, findings);
    judge_requests(settings, document, findings);
    judge_scopes(settings, document, findings);
    if settings.has_client {
        judge_client(settings, document, findings);
    }
}

/// The algorithms that ID tokens may be signed with: the provider's, less those that are never taken and those that the
/// setting leaves out; the setting's, where the provider lists none.
pub(crate) fn id_token_algorithms(settings: &Settings, document: &Document) -> Vec<Algorithm> {
    let advertised = document.list("id_token_signing_alg_values_supported");
    let mut algorithms: Vec<Algorithm> = parsed(advertised.unwrap_or_default());
    match settings.variables.get("AUTH_ID_TOKEN_ALG") {
        Some(list) => {
            let allowed: Vec<Algorithm> = parsed(list.split([',', ' ']).collect());
            if document.list("id_token_signing_alg_values_supported").is_none() {
                return allowed;
            }
            algorithms.retain(|algorithm| allowed.contains(algorithm));
        }
        None if settings.profile().is_some() => algorithms.retain(|algorithm| FAPI.contains(algorithm)),
        None => {}
    }
    algorithms
}

/// Those that FAPI 2.0 allows (§5.4.1).
pub(crate) const FAPI: [Algorithm; 3] = [Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

fn parsed(names: Vec<&str>) -> Vec<Algorithm> {
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

fn judge_algorithms(settings: &Settings, document: &Document, findings: &mut Findings) {
    const LIST: &str = "id_token_signing_alg_values_supported";
    if document.lists(LIST, "none") {
        findings.add(&c::ALGORITHMS_NONE_ALLOWED);
    }
    let algorithms = id_token_algorithms(settings, document);
    if algorithms.is_empty() {
        let listed = words(&document.list(LIST).unwrap_or_default().join(", "));
        findings.say(
            &c::ALGORITHMS_NOT_COMMON,
            format!("The provider lists: {listed}."),
        );
    } else if !algorithms.iter().any(|algorithm| FAPI.contains(algorithm)) {
        let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        findings.say(
            &c::ALGORITHMS_NOT_FAPI,
            format!("They are signed with {}.", names.join(", ")),
        );
    }
}

fn judge_requests(settings: &Settings, document: &Document, findings: &mut Findings) {
    match document.list("code_challenge_methods_supported") {
        None => findings.add(&c::REQUESTS_PKCE_UNKNOWN),
        Some(methods) => {
            findings.add(&c::REQUESTS_PKCE);
            if methods.contains(&"plain") {
                findings.add(&c::REQUESTS_PKCE_PLAIN);
            }
        }
    }
    let mode = settings.response_mode();
    let mode = mode.as_str();
    let is_signed = mode == "jwt";
    if !document.is_true("authorization_response_iss_parameter_supported") && !is_signed {
        findings.add(&c::REQUESTS_NO_ISS);
    }
    if pushes(settings, document) {
        if document.text("pushed_authorization_request_endpoint").is_none() {
            findings.add(&c::REQUESTS_PAR_UNSUPPORTED);
        }
    } else {
        if document.is_true("require_pushed_authorization_requests") {
            findings.add(&c::REQUESTS_PAR_REQUIRED);
        }
        let is_offered = document.text("pushed_authorization_request_endpoint").is_some();
        let offers = if is_offered { "offers" } else { "does not offer" };
        findings.say(
            &c::REQUESTS_NOT_PUSHED,
            format!("The provider {offers} to have them pushed."),
        );
    }
    if let Some(modes) = document.list("response_modes_supported") {
        let names: &[&str] = if mode == "jwt" {
            &["query.jwt", "jwt"]
        } else {
            &[mode]
        };
        if !names.iter().any(|name| modes.contains(name)) {
            let listed = words(&modes.join(", "));
            findings.say(
                &c::REQUESTS_RESPONSE_MODE,
                format!("It is {mode}; the provider lists: {listed}."),
            );
        }
    } else if mode == "jwt" {
        // JARM §4: a provider that can do it says so.
        findings.say(
            &c::REQUESTS_RESPONSE_MODE,
            "It is jwt; the provider lists no modes.",
        );
    }
    let signs = settings.signs_requests();
    let takes_objects = document.is_true("request_parameter_supported")
        || document.is_true("require_signed_request_object")
        || document
            .list("request_object_signing_alg_values_supported")
            .is_some();
    if signs && !takes_objects {
        findings.add(&c::REQUESTS_OBJECT_UNSUPPORTED);
    }
    if !signs && document.is_true("require_signed_request_object") {
        findings.add(&c::REQUESTS_OBJECT_REQUIRED);
    }
}

/// Whether the application pushes its authorization requests.
pub(crate) fn pushes(settings: &Settings, document: &Document) -> bool {
    match settings.par().as_deref() {
        Some("always") => true,
        Some("never") => false,
        _ => document.is_true("require_pushed_authorization_requests"),
    }
}

fn judge_scopes(settings: &Settings, document: &Document, findings: &mut Findings) {
    let asked = settings.scopes();
    if let Some(known) = document.list("scopes_supported").filter(|list| !list.is_empty()) {
        // A provider may keep some to itself (Discovery §3), but not this one.
        if !known.contains(&"openid") {
            findings.add(&c::SCOPES_NO_OPENID);
        }
        let unknown: Vec<_> = asked
            .iter()
            .filter(|scope| *scope != "openid" && !known.contains(&scope.as_str()))
            .map(String::as_str)
            .collect();
        if unknown.is_empty() {
            findings.add(&c::SCOPES_GOOD);
        } else {
            findings.say(
                &c::SCOPES_UNKNOWN,
                format!("It does not list: {}.", unknown.join(" ")),
            );
        }
        if known.contains(&"offline_access") && !asked.iter().any(|scope| scope == "offline_access") {
            findings.add(&c::SCOPES_NO_REFRESH);
        }
    }
    if let Some(grants) = document.list("grant_types_supported") {
        if !grants.contains(&"refresh_token") {
            findings.add(&c::SCOPES_GRANT_REFRESH);
        }
        let old: Vec<_> = ["implicit", "password"]
            .into_iter()
            .filter(|grant| grants.contains(grant))
            .collect();
        if !old.is_empty() {
            findings.say(&c::SCOPES_OLD_GRANTS, format!("It lists: {}.", old.join(", ")));
        }
    }
}

fn judge_client(settings: &Settings, document: &Document, findings: &mut Findings) {
    let method = settings.client_auth();
    // OpenID Connect Discovery §3: where the list is missing, it is `client_secret_basic`.
    let methods = document.list("token_endpoint_auth_methods_supported");
    let methods = methods.unwrap_or_else(|| vec!["client_secret_basic"]);
    // Many providers that have public clients do not list `none`.
    if method != "none" && !methods.contains(&method.as_str()) {
        let listed = words(&methods.join(", "));
        findings.say(
            &c::CLIENT_METHOD_UNSUPPORTED,
            format!("It is {method}; the provider lists: {listed}."),
        );
    }
    judge_certificate_use(settings, document, findings);
    // RFC 9449 §5.1. The library's keys sign with ES256.
    if settings.uses_dpop() && !document.lists("dpop_signing_alg_values_supported", "ES256") {
        findings.add(&c::CLIENT_DPOP_UNSUPPORTED);
    }
    let encrypts = ENCRYPTION
        .iter()
        .any(|name| document.list(name).is_some_and(|list| !list.is_empty()));
    if settings.variables.get("AUTH_DECRYPTION_KEY").is_some() && !encrypts {
        findings.add(&c::CLIENT_ENCRYPTION_UNSUPPORTED);
    }
    if method != "private_key_jwt" {
        return;
    }
    let Some(own) = settings.key_algorithms() else {
        return;
    };
    let advertised = document.list("token_endpoint_auth_signing_alg_values_supported");
    let advertised = advertised.map(parsed).unwrap_or_default();
    let chosen = own.iter().find(|algorithm| advertised.contains(algorithm));
    if !advertised.is_empty() && chosen.is_none() {
        let names: Vec<_> = own.iter().map(|algorithm| algorithm.as_str()).collect();
        findings.say(
            &c::CLIENT_ALGORITHM_UNSUPPORTED,
            format!("The key can make: {}.", names.join(", ")),
        );
    }
    // As the library chooses: RS256 for an RSA key where the provider names none.
    let is_weak = match chosen {
        Some(algorithm) => *algorithm == Algorithm::RS256,
        None => own.contains(&Algorithm::RS256),
    };
    if is_weak {
        findings.add(&c::CLIENT_ALGORITHM_WEAK);
    }
}

/// Where a provider lists what it encrypts with: ID tokens, userinfo answers, authorization responses (JARM §4).
const ENCRYPTION: [&str; 3] = [
    "id_token_encryption_alg_values_supported",
    "userinfo_encryption_alg_values_supported",
    "authorization_encryption_alg_values_supported",
];

/// Whether the provider can do with the client's certificate what the settings want (RFC 8705).
fn judge_certificate_use(settings: &Settings, document: &Document, findings: &mut Findings) {
    if settings.binds_to_certificate() && !document.is_true("tls_client_certificate_bound_access_tokens") {
        findings.add(&c::CLIENT_CERTIFICATE_BINDING_UNSUPPORTED);
    }
    if settings.uses_certificate() && document.aliases().is_empty() {
        findings.add(&c::ENDPOINTS_NO_MTLS_ALIASES);
    }
}

/// With a second provider, that answers do not say who they come from is more than a note.
pub(crate) fn judge_mix_up(findings: &mut Findings) {
    findings.replace(&c::REQUESTS_NO_ISS, &c::REQUESTS_MIX_UP);
}

/// Whether tokens are bound to whoever has the key, and whether they could be.
pub(crate) fn judge_binding(settings: &Settings, provider: &Provider, findings: &mut Findings) {
    let is_bound = settings.uses_dpop() || settings.binds_to_certificate();
    if is_bound || !settings.has_client {
        return;
    }
    let document = &provider.document;
    let mut offers = Vec::new();
    // RFC 9449 §5.1, RFC 8705 §3.3.
    if document.list("dpop_signing_alg_values_supported").is_some() {
        offers.push("DPoP");
    }
    if document.is_true("tls_client_certificate_bound_access_tokens") {
        offers.push("certificates");
    }
    let detail = match (provider.is_usable, offers.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "The provider offers neither.".to_owned(),
        (true, false) => format!("The provider offers {}.", offers.join(" and ")),
    };
    findings.say(&c::CLIENT_NOT_BOUND, detail);
}

/// The hosts that the application talks to, each with what is there.
#[derive(Debug, Default)]
struct Hosts(BTreeMap<String, (Url, Vec<&'static str>)>);

impl Hosts {
    fn add(&mut self, url: &Url, what: &'static str) {
        let origin = url.origin().ascii_serialization();
        let Ok(root) = Url::parse(&format!("{origin}/")) else {
            return;
        };
        let (_, there) = self.0.entry(origin).or_insert((root, Vec::new()));
        if !there.contains(&what) {
            there.push(what);
        }
    }

    /// Those of endpoints that are not the issuer's.
    fn others(&self, issuer: &Url) -> Vec<String> {
        let own = issuer.origin().ascii_serialization();
        self.0
            .iter()
            .filter(|(origin, (_, there))| {
                **origin != own && there.iter().any(|what| ENDPOINTS.contains(what))
            })
            .map(|(origin, _)| words(origin))
            .collect()
    }

    /// Opens a connection to each, and looks at its certificate. The page at `/` is nothing that an application asks for.
    async fn examine(&self, settings: &Settings, http: &Http, clock: &Clock, findings: &mut Findings) {
        let mut is_good = false;
        for (origin, (root, there)) in &self.0 {
            let what = there.join(", ");
            let is_api = !there
                .iter()
                .any(|what| ENDPOINTS.contains(what) || [ISSUER, ALIASES].contains(what));
            match http.get(root, "*/*").await {
                Ok(answer) => {
                    let Some(ends_at) = answer.certificate.as_deref().and_then(ends_at) else {
                        continue;
                    };
                    is_good = true;
                    let left = ends_at.as_secs() - clock.now().as_secs();
                    if left < SOON {
                        let days = left / (24 * 3600);
                        findings.say(&c::TLS_EXPIRES_SOON, format!("{origin}: in {days} days."));
                    }
                    if !is_api
                        && let Some(only_13) = settings.http(Tls::Only13, clock)
                        && let Err(NoAnswer::Tls(..)) = only_13.get(root, "*/*").await
                    {
                        findings.say(&c::TLS_NO_1_3, format!("{origin} ({what})."));
                    }
                }
                // It is there for clients with a certificate.
                Err(reason) if **there == [ALIASES] && reason.may_want_certificate() => {
                    let detail = format!("{origin} ({what}): {}.", reason.in_words());
                    findings.say(&c::TLS_CERTIFICATE_DEMANDED, detail);
                }
                Err(NoAnswer::Tls(check, reason)) => {
                    findings.say(check, format!("{origin} ({what}): {reason}."));
                }
                Err(NoAnswer::Connect(reason)) if is_api => {
                    findings.say(&c::API_UNREACHABLE, format!("{origin} ({what}): {reason}."));
                }
                Err(NoAnswer::Connect(reason)) => {
                    findings.say(&c::ENDPOINTS_UNREACHABLE, format!("{origin} ({what}): {reason}."));
                }
                // Nobody promises that something is at `/`.
                Err(NoAnswer::Broken(_)) => {}
            }
        }
        if is_good && findings.is_good("tls") {
            findings.add(&c::TLS_GOOD);
        }
    }
}
