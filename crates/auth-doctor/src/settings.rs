//! What the settings say by themselves, before anybody is asked: first the library's own reading, then what it lets pass and
//! should still be known.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use auth_core::clock::{Clock, Timestamp};
use auth_core::jose::{Algorithm, SigningKey};
use auth_core::{Auth, ConfigError};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::browser::callback;
use crate::catalogue as c;
use crate::finding::Findings;
use crate::http::{Http, Tls, ends_at};
use crate::provider::FAPI;
use crate::variables::{NEVER_SHARED, Variables};

/// Where the example applications listen.
const DEFAULT_ADDRESS: &str = "127.0.0.1:3000";
/// What a client is called of which nothing is known; it is shown to nobody.
const NOBODY: &str = "auth-doctor";

/// A certificate that ends within so many seconds ends soon.
pub(crate) const SOON: i64 = 14 * 24 * 3600;

/// Settings that say that there is an application: without any of them, only the provider is looked at.
const OF_THE_APP: [&str; 5] = [
    "AUTH_CLIENT_ID",
    "AUTH_CLIENT_SECRET",
    "AUTH_BASE_URL",
    "AUTH_SECRET",
    "AUTH_STORE",
];

/// Settings without which the rest still makes sense: a wrong one is said, left out, and the rest is looked at.
const CAN_BE_LEFT_OUT: [&str; 31] = [
    "API2_URL",
    "API_URL",
    "AUTH_AUTHORIZE_PARAMS",
    "AUTH_BASE_URL",
    "AUTH_CA_FILE",
    "AUTH_CERT_BOUND_TOKENS",
    "AUTH_DECRYPTION_KEY",
    "AUTH_DPOP",
    "AUTH_END_SESSION_PARAM",
    "AUTH_END_SESSION_URL",
    "AUTH_FURTHER_BASE_URLS",
    "AUTH_ID_TOKEN_ALG",
    "AUTH_INTROSPECTION_URL",
    "AUTH_LABEL",
    "AUTH_ONLY_AT",
    "AUTH_PAR",
    "AUTH_PROFILE",
    "AUTH_REQUEST_OBJECT",
    "AUTH_RESOURCE",
    "AUTH_RESPONSE_MODE",
    "AUTH_REVOCATION_URL",
    "AUTH_ROLES_CLAIM",
    "AUTH_SCOPES",
    "AUTH_SECRET",
    "AUTH_SESSION_IDLE",
    "AUTH_SESSION_MAX",
    "AUTH_STORE",
    "AUTH_TRUSTED_PROXIES",
    "AUTH_USERINFO",
    "AUTH_USERINFO_URL",
    "HTTP_TIMEOUT_SECS",
];

/// The settings, less those that are wrong.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) variables: Variables,
    /// The application as it would start; `None` where it does not, whatever is left out.
    pub(crate) auth: Option<Auth>,
    /// Whether anything is known of the application besides its provider.
    pub(crate) has_app: bool,
    /// Whether the client is known.
    pub(crate) has_client: bool,
    /// Roots of `AUTH_CA_FILE`.
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Reads everything. The store is opened where `opens_store` says so.
    pub(crate) async fn read(
        variables: &Variables,
        opens_store: bool,
        clock: &Clock,
        findings: &mut Findings,
    ) -> Self {
        let mut variables = variables.clone();
        if variables.leave_client_out() {
            findings.add(&c::SETTINGS_OTHER_ISSUER);
        }
        let has_client = variables.get("AUTH_CLIENT_ID").is_some();
        // Who has named several providers has an application.
        let has_app = !variables.are_whole() || OF_THE_APP.iter().any(|name| variables.get(name).is_some());
        if !has_app {
            findings.add(&c::SETTINGS_PROVIDER_ONLY);
        }
        // Several providers have a client each, and no application starts without.
        let needs_client = !has_client && variables.are_whole();
        if needs_client && variables.get("AUTH_CLIENT_SECRET").is_none() {
            if has_app {
                findings.add(&c::SETTINGS_NO_CLIENT);
            }
            variables.set("AUTH_CLIENT_ID", NOBODY);
        }
        if variables.get("AUTH_BASE_URL").is_none() {
            let url = assume_base_url(&mut variables);
            if has_app {
                findings.say(&c::SETTINGS_BASE_URL_ASSUMED, format!("It is {url}."));
            }
        }
        let given = variables.clone();
        if let Some(path) = sqlite_file(&variables).filter(|path| !Path::new(path).exists()) {
            // Opening it would make it.
            let directory = Path::new(&path).parent().filter(|path| *path != Path::new(""));
            if directory.is_none_or(Path::is_dir) {
                findings.add(&c::STORE_NOT_THERE_YET);
                variables.set("AUTH_STORE", "memory:");
            }
        } else if !opens_store && store_scheme(&variables).is_some() {
            variables.set("AUTH_STORE", "memory:");
        }
        let auth = start(&mut variables, clock, findings).await;
        if variables.get("AUTH_STORE") == Some("memory:".to_owned()) {
            // Left out for the doctor's sake: the other checks see what is set.
            variables.set(
                "AUTH_STORE",
                given.get("AUTH_STORE").unwrap_or_else(|| "memory:".to_owned()),
            );
        }
        let ca = variables
            .get("AUTH_CA_FILE")
            .and_then(|path| std::fs::read(path).ok());
        let settings = Self {
            auth,
            has_app,
            has_client,
            ca,
            timeout: Duration::from_secs(seconds(&variables, "HTTP_TIMEOUT_SECS").unwrap_or(10)),
            variables,
        };
        settings.judge(clock, findings);
        settings
    }

    /// What the doctor asks with. `None` where the certificates of `AUTH_CA_FILE` cannot be used; that has been said.
    pub(crate) fn http(&self, tls: Tls, clock: &Clock) -> Option<Http> {
        Http::new(self.ca.as_deref(), self.timeout, tls, clock.clone())
    }

    /// `AUTH_BASE_URL`, or what was assumed.
    pub(crate) fn base_url(&self) -> Option<Url> {
        url(&self.variables, "AUTH_BASE_URL")
    }

    /// The origin that users of the provider sign in at; of several, the first.
    pub(crate) fn base_url_of_provider(&self) -> Option<Url> {
        let only_at = self.variables.get("AUTH_ONLY_AT");
        let first = only_at.as_deref().and_then(|list| list.split(',').next());
        let first = first.and_then(|text| Url::parse(text.trim()).ok());
        first.or_else(|| self.base_url())
    }

    /// The redirect URI to register.
    pub(crate) fn redirect_uri(&self) -> Option<String> {
        let origin = self
            .base_url_of_provider()
            .filter(|_| self.has_app)?
            .origin()
            .ascii_serialization();
        Some(format!("{origin}{}", callback(self.variables.provider())))
    }

    pub(crate) fn issuer(&self) -> Option<String> {
        self.variables.get("AUTH_ISSUER")
    }

    /// How the client authenticates, by the name that it has in discovery documents.
    pub(crate) fn client_auth(&self) -> String {
        self.variables.get("AUTH_CLIENT_AUTH").unwrap_or_else(|| {
            let has_secret = self.variables.get("AUTH_CLIENT_SECRET").is_some();
            match (self.profile(), has_secret) {
                (Some(_), _) => "private_key_jwt",
                (None, true) => "client_secret_basic",
                (None, false) => "none",
            }
            .to_owned()
        })
    }

    /// The profile in `AUTH_PROFILE`: what it demands counts as set.
    pub(crate) fn profile(&self) -> Option<String> {
        self.variables.get("AUTH_PROFILE")
    }

    /// Whether the profile is FAPI 2.0 Message Signing.
    fn signs_messages(&self) -> bool {
        self.variables.is("AUTH_PROFILE", "fapi2_message_signing")
    }

    /// `AUTH_PAR`, where it is set.
    pub(crate) fn par(&self) -> Option<String> {
        match self.profile() {
            Some(_) => Some("always".to_owned()),
            None => self.variables.get("AUTH_PAR"),
        }
    }

    /// How answers come.
    pub(crate) fn response_mode(&self) -> String {
        let mode = self.variables.get("AUTH_RESPONSE_MODE");
        mode.unwrap_or_else(|| if self.signs_messages() { "jwt" } else { "query" }.to_owned())
    }

    /// Whether authorization requests are signed.
    pub(crate) fn signs_requests(&self) -> bool {
        self.signs_messages() || self.variables.is("AUTH_REQUEST_OBJECT", "signed")
    }

    /// Whether tokens are bound to the client's certificate.
    pub(crate) fn binds_to_certificate(&self) -> bool {
        self.variables.is("AUTH_CERT_BOUND_TOKENS", "true")
    }

    /// Whether tokens are bound to a key.
    pub(crate) fn uses_dpop(&self) -> bool {
        self.variables.is("AUTH_DPOP", "true") || self.profile().is_some() && !self.binds_to_certificate()
    }

    /// Whether the provider is shown a certificate, or tokens are bound to one.
    pub(crate) fn uses_certificate(&self) -> bool {
        self.binds_to_certificate()
            || matches!(
                &*self.client_auth(),
                "tls_client_auth" | "self_signed_tls_client_auth"
            )
    }

    /// The algorithms that the client's key can sign with, and may.
    pub(crate) fn key_algorithms(&self) -> Option<Vec<Algorithm>> {
        let pem = std::fs::read_to_string(self.variables.get("AUTH_CLIENT_KEY")?).ok()?;
        let mut algorithms = SigningKey::from_pem(&pem).ok()?.algorithms().to_vec();
        if self.profile().is_some() {
            algorithms.retain(|algorithm| FAPI.contains(algorithm));
        }
        Some(algorithms)
    }

    /// The scopes that are asked for.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let scopes = self.variables.get("AUTH_SCOPES");
        scopes
            .as_deref()
            .unwrap_or("openid profile email offline_access")
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect()
    }

    /// The APIs that tokens go to: the variable and the URL.
    pub(crate) fn apis(&self) -> Vec<(&'static str, Url)> {
        ["API_URL", "API2_URL"]
            .into_iter()
            .filter_map(|name| Some((name, url(&self.variables, name)?)))
            .collect()
    }

    fn judge(&self, clock: &Clock, findings: &mut Findings) {
        self.judge_issuer(findings);
        self.judge_form_post(findings);
        if self.has_client {
            self.judge_client(findings);
            self.judge_certificate(clock, findings);
        }
        if self.variables.have_application() {
            self.judge_application(findings);
        }
    }

    fn judge_application(&self, findings: &mut Findings) {
        if self.has_app {
            self.judge_base_url(findings);
            self.judge_sessions(findings);
            self.judge_secret(findings);
        }
        if seconds(&self.variables, "HTTP_TIMEOUT_SECS").is_some_and(|length| length > 30) {
            findings.say(
                &c::SETTINGS_TIMEOUT_LONG,
                format!("It is {} seconds.", self.timeout.as_secs()),
            );
        }
        if let Some(list) = self.variables.get("AUTH_TRUSTED_PROXIES")
            && list
                .split(',')
                .filter_map(|text| text.trim().parse::<IpNet>().ok())
                .any(|network| network.prefix_len() == 0)
        {
            findings.add(&c::SETTINGS_PROXIES_EVERYBODY);
        }
        if self.auth.is_some() && self.variables.are_whole() && findings.is_good("settings") {
            findings.add(&c::SETTINGS_GOOD);
        }
    }

    fn judge_base_url(&self, findings: &mut Findings) {
        let Some(base) = self.base_url() else { return };
        let Some(host) = base.host() else { return };
        if base.scheme() == "https" {
            findings.add(&c::COOKIES_GOOD);
        } else if is_loopback(&host) {
            findings.add(&c::COOKIES_LOOPBACK);
        } else {
            findings.add(&c::COOKIES_HTTP);
        }
        if !matches!(host, Host::Domain(_)) && !is_loopback(&host) {
            findings.add(&c::COOKIES_ADDRESS);
        }
        let listens_on = self.variables.get("APP_ADDR");
        let listens_on = listens_on.and_then(|address| Url::parse(&format!("http://{address}")).ok());
        if let Some(other) = listens_on.as_ref().and_then(Url::host)
            && is_loopback(&host)
            && is_loopback(&other)
            && host != other
        {
            findings.say(
                &c::COOKIES_TWO_ADDRESSES,
                format!("They are {other} (APP_ADDR) and {host}."),
            );
        }
    }

    fn judge_form_post(&self, findings: &mut Findings) {
        let Some(base) = self.base_url().filter(|_| self.has_app) else {
            return;
        };
        let provider = url(&self.variables, "AUTH_ISSUER");
        // Browsers count as one site what has one scheme and one host, whatever the ports are.
        let is_one_site =
            provider.is_some_and(|provider| provider.scheme() == "http" && provider.host() == base.host());
        if base.scheme() == "http" && self.response_mode() == "form_post" && !is_one_site {
            findings.add(&c::COOKIES_FORM_POST_HTTP);
        }
    }

    fn judge_sessions(&self, findings: &mut Findings) {
        const DAY: u64 = 24 * 3600;
        let idle = seconds(&self.variables, "AUTH_SESSION_IDLE").unwrap_or(8 * 3600);
        let max = seconds(&self.variables, "AUTH_SESSION_MAX").unwrap_or(7 * DAY);
        if idle > DAY && max > DAY {
            findings.say(&c::SESSION_IDLE_LONG, format!("It is {idle} seconds."));
        }
        if max > 30 * DAY {
            findings.say(&c::SESSION_MAX_LONG, format!("It is {max} seconds."));
        }
        if idle < 60 || max < 60 {
            findings.say(&c::SESSION_SHORT, format!("It is {} seconds.", idle.min(max)));
        } else if idle > max {
            findings.add(&c::SESSION_IDLE_BEYOND_MAX);
        }
    }

    fn judge_secret(&self, findings: &mut Findings) {
        let Some(list) = self.variables.get("AUTH_SECRET") else {
            // One that is wrong has been said.
            if !findings.has(&c::SETTINGS_INVALID) {
                let is_kept = store_scheme(&self.variables).is_some_and(|scheme| scheme != "memory");
                let sessions = "The sessions in the store cannot be opened after a restart.";
                findings.say(&c::SECRET_UNSET, if is_kept { sessions } else { "" });
            }
            return;
        };
        let keys: Vec<_> = list.split(',').map(str::trim).collect();
        if keys.iter().any(|key| is_guessable(key)) {
            findings.add(&c::SECRET_GUESSABLE);
        } else {
            findings.add(&c::SECRET_GOOD);
        }
        if keys.len() > 1 {
            findings.say(&c::SECRET_OLD_KEYS, format!("There are {}.", keys.len()));
        }
    }

    fn judge_issuer(&self, findings: &mut Findings) {
        let Some(issuer) = self.issuer() else {
            if self.variables.get("AUTH_TOKEN_URL").is_some() {
                findings.add(&c::ISSUER_PLAIN_OAUTH);
            }
            return;
        };
        if issuer.contains("/.well-known/") {
            findings.add(&c::ISSUER_WELL_KNOWN);
        }
        let Ok(url) = Url::parse(&issuer) else { return };
        let host = url.host_str().unwrap_or_default();
        let is_asgardeo = host == "asgardeo.io" || host.ends_with(".asgardeo.io");
        if is_asgardeo && !url.path().ends_with("/oauth2/token") && !findings.has(&c::ISSUER_WELL_KNOWN) {
            findings.add(&c::ISSUER_ASGARDEO_PATH);
        }
        let tenant = url
            .path_segments()
            .and_then(|mut segments| segments.next())
            .unwrap_or_default();
        if host == "login.microsoftonline.com" && matches!(tenant, "common" | "organizations" | "consumers") {
            findings.add(&c::ISSUER_MANY_TENANTS);
        }
    }

    fn judge_certificate(&self, clock: &Clock, findings: &mut Findings) {
        let Some(path) = self.variables.get("AUTH_CLIENT_CERT") else {
            return;
        };
        let Some(ends_at) = certificate_ends_at(&path) else {
            return;
        };
        let left = ends_at.as_secs() - clock.now().as_secs();
        if left < 0 {
            findings.add(&c::CLIENT_CERTIFICATE_EXPIRED);
        } else if left < SOON {
            let days = left / (24 * 3600);
            findings.say(&c::CLIENT_CERTIFICATE_EXPIRES_SOON, format!("In {days} days."));
        }
    }

    fn judge_client(&self, findings: &mut Findings) {
        // 128 bits in base64url.
        const SHORTEST_SECRET: usize = 22;
        let method = self.client_auth();
        match method.as_str() {
            "none" => findings.add(&c::CLIENT_PUBLIC),
            "client_secret_basic" | "client_secret_post" | "client_secret_jwt" => {
                findings.add(&c::CLIENT_SYMMETRIC);
                if method == "client_secret_post" {
                    findings.add(&c::CLIENT_SECRET_POST);
                }
                let secret = self.variables.get("AUTH_CLIENT_SECRET").unwrap_or_default();
                if !secret.is_empty() && secret.chars().count() < SHORTEST_SECRET {
                    findings.add(&c::CLIENT_SECRET_SHORT);
                }
            }
            _ => {}
        }
    }
}

/// What is wrong with the list of several providers, and what is set beside it and must not be. Whether each can be looked at
/// by itself.
pub(crate) fn judge_providers(variables: &Variables, findings: &mut Findings) -> bool {
    let mut variables = variables.clone();
    while let Err(error) = variables.builder() {
        if error.variable() == "AUTH_PROVIDERS" {
            say(&error, findings);
            return false;
        }
        let Some(name) = NEVER_SHARED.into_iter().find(|name| *name == error.variable()) else {
            break;
        };
        say(&error, findings);
        variables.hide(name);
    }
    true
}

/// What is wrong with several providers together, where none is wrong by itself.
pub(crate) async fn judge_together(variables: &Variables, clock: &Clock, findings: &mut Findings) {
    if findings.has(&c::SETTINGS_INVALID) {
        return;
    }
    let mut variables = variables.clone();
    // These have been looked at.
    variables.hide("AUTH_STORE");
    if variables.get("AUTH_BASE_URL").is_none() {
        assume_base_url(&mut variables);
    }
    let built = match variables.builder() {
        Ok(builder) => builder.clock(clock.clone()).build().await,
        Err(error) => Err(error),
    };
    match built {
        Ok(auth) => {
            auth.shutdown().await;
            findings.add(&c::SETTINGS_GOOD);
        }
        Err(error) => say(&error, findings),
    }
}

/// When the client's certificate ends: the first in the file.
fn certificate_ends_at(path: &str) -> Option<Timestamp> {
    let pem = Zeroizing::new(std::fs::read(path).ok()?);
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    ends_at(&certificate)
}

/// Makes the application of these settings. Each setting that is wrong is said; where the rest makes sense without it, it is
/// left out.
async fn start(variables: &mut Variables, clock: &Clock, findings: &mut Findings) -> Option<Auth> {
    loop {
        let error = match variables.builder() {
            Ok(builder) => match builder.clock(clock.clone()).build().await {
                Ok(auth) => return Some(auth),
                Err(error) => error,
            },
            Err(error) => error,
        };
        say(&error, findings);
        let wrong = variables.plain_name(error.variable());
        let name = CAN_BE_LEFT_OUT
            .into_iter()
            .find(|name| (*name == error.variable() || *name == wrong) && variables.get(name).is_some())?;
        variables.hide(name);
        if name == "AUTH_BASE_URL" {
            assume_base_url(variables);
        }
    }
}

fn say(error: &ConfigError, findings: &mut Findings) {
    let text = error.to_string();
    if error.variable() == "AUTH_STORE" && text.contains("cannot be opened") {
        findings.say(&c::STORE_UNREACHABLE, text);
    } else {
        findings.say_also(&c::SETTINGS_INVALID, text);
    }
}

fn assume_base_url(variables: &mut Variables) -> String {
    let address = variables.get("APP_ADDR");
    let url = format!("http://{}", address.as_deref().unwrap_or(DEFAULT_ADDRESS));
    // What is no address is refused by the application, too.
    let url = if Url::parse(&url).is_ok_and(|url| url.path() == "/") {
        url
    } else {
        format!("http://{DEFAULT_ADDRESS}")
    };
    variables.set("AUTH_BASE_URL", url.as_str());
    url
}

/// The store's kind, where it is one that the library knows.
pub(crate) fn store_scheme(variables: &Variables) -> Option<String> {
    const KNOWN: [&str; 7] = [
        "memory",
        "sqlite",
        "redis",
        "rediss",
        "redis+unix",
        "postgres",
        "postgresql",
    ];
    let Some(url) = variables.get("AUTH_STORE") else {
        return Some("memory".to_owned());
    };
    let (scheme, _) = url.split_once(':')?;
    KNOWN.contains(&scheme).then(|| scheme.to_owned())
}

fn sqlite_file(variables: &Variables) -> Option<String> {
    let url = variables.get("AUTH_STORE")?;
    let path = url.strip_prefix("sqlite:")?;
    (!path.is_empty() && !path.starts_with(':')).then(|| path.to_owned())
}

/// A key of 32 bytes that has hardly any different ones was typed by somebody.
fn is_guessable(hex: &str) -> bool {
    const FEWEST: usize = 9;
    let pairs: HashSet<_> = hex.as_bytes().chunks(2).collect();
    pairs.len() < FEWEST
}

pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

pub(crate) fn url(variables: &Variables, name: &'static str) -> Option<Url> {
    Url::parse(&variables.get(name)?).ok()
}

fn seconds(variables: &Variables, name: &'static str) -> Option<u64> {
    variables.get(name)?.parse().ok()
}
