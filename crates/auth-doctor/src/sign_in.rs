//! Trying it out, as far as that goes without a user: an authorization request that may ask nobody (`prompt=none`), pushed
//! where the provider takes that, and a token request with a code that is none.
//!
//! Nothing is changed by it: nobody is signed in, no token is issued, none is presented.

use auth_core::Auth;
use auth_core::clock::Clock;
use url::Url;

use crate::browser::{Browser, Refused};
use crate::catalogue as c;
use crate::finding::Findings;
use crate::http::{Http, NoAnswer, shown, words};
use crate::provider::{Provider, pushes};
use crate::settings::Settings;

/// A code that no provider issues.
const NO_CODE: &str = "auth-doctor-tries-a-code-that-is-none";

/// What is put behind the redirect URI to make one that nobody has registered.
const NOT_REGISTERED: &str = "/auth-doctor-tries-another";

/// How authorization requests get to the provider in a try.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As the settings say.
    AsSet,
    /// Pushed.
    Pushed,
    /// In the URL, as they are: they are made, and not sent.
    InUrl,
}

pub(crate) async fn try_out(
    settings: &Settings,
    provider: &Provider,
    http: &Http,
    clock: &Clock,
    findings: &mut Findings,
) {
    if !provider.is_usable || settings.auth.is_none() || !settings.has_client {
        findings.add(&c::SIGN_IN_NOT_TRIED);
        return;
    }
    let never = settings.variables.is("AUTH_PAR", "never");
    let is_offered = provider
        .document
        .text("pushed_authorization_request_endpoint")
        .is_some();
    if is_offered && !never && !pushes(settings, &provider.document) {
        // The application does not push; that it could is good to know.
        if let Some(auth) = instance(settings, Way::Pushed, clock).await {
            match Browser::of(settings, auth).begin().await {
                Ok(_) => accepted(settings, findings),
                // Said below, by what the application itself does.
                Err(refused) if says_client(refused.code) => {}
                Err(refused) => findings.say(&c::SIGN_IN_PUSH_REFUSED, refused.in_words()),
            }
        }
    }
    // A profile has them pushed, which shows whether the client is accepted.
    let in_url = match settings.profile() {
        None => instance(settings, Way::InUrl, clock).await,
        Some(_) => None,
    };
    let goes_in_url = !pushes(settings, &provider.document) && !settings.signs_requests();
    let as_set = match &in_url {
        Some(auth) if goes_in_url => Some(auth.clone()),
        _ => instance(settings, Way::AsSet, clock).await,
    };
    if let Some(auth) = as_set {
        authorize(settings, auth, provider, http, findings).await;
    }
    if let Some(auth) = in_url {
        loosen(settings, auth.clone(), http, findings).await;
        redeem(settings, auth, findings).await;
    }
}

/// A pushed request was accepted, and with it the client's authentication (RFC 9126 §2.1).
fn accepted(settings: &Settings, findings: &mut Findings) {
    findings.add(&c::SIGN_IN_PUSHED);
    if settings.client_auth() != "none" {
        findings.add(&c::CLIENT_GOOD);
    }
}

/// The application with its own client and another store: answers come in the query, so that they can be looked at, and the
/// user is not asked.
async fn instance(settings: &Settings, way: Way, clock: &Clock) -> Option<Auth> {
    let mut variables = settings.variables.clone();
    for name in ["AUTH_STORE", "AUTH_SECRET", "AUTH_RESPONSE_MODE"] {
        variables.hide(name);
    }
    // It would have the answers signed; the rest of what it demands stays.
    if settings.profile().is_some() && settings.signs_requests() {
        variables.set("AUTH_PROFILE", "fapi2_security");
        variables.set("AUTH_REQUEST_OBJECT", "signed");
    }
    match way {
        Way::AsSet => {}
        Way::Pushed => variables.set("AUTH_PAR", "always"),
        Way::InUrl => {
            variables.set("AUTH_PAR", "never");
            variables.hide("AUTH_REQUEST_OBJECT");
        }
    }
    let parameters = variables.get("AUTH_AUTHORIZE_PARAMS").unwrap_or_default();
    variables.set("AUTH_AUTHORIZE_PARAMS", without_asking(&parameters));
    variables.builder().ok()?.clock(clock.clone()).build().await.ok()
}

/// The same parameters, but that the user is not asked (OpenID Connect Core §3.1.2.1).
fn without_asking(parameters: &str) -> String {
    let parameters = url::form_urlencoded::parse(parameters.trim_start_matches('?').as_bytes());
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters.filter(|(name, _)| name != "prompt"))
        .append_pair("prompt", "none")
        .finish()
}

/// A provider's answer with a code that is none.
fn answer_without_code(state: &str, issuer: Option<&str>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", NO_CODE)
        .append_pair("state", state)
        .extend_pairs(issuer.map(|issuer| ("iss", issuer)))
        .finish()
}

async fn authorize(
    settings: &Settings,
    auth: Auth,
    provider: &Provider,
    http: &Http,
    findings: &mut Findings,
) {
    let mut browser = Browser::of(settings, auth);
    let url = match browser.begin().await {
        Ok(url) => url,
        Err(refused) => return say(&refused, findings),
    };
    if pushes(settings, &provider.document) {
        accepted(settings, findings);
    }
    let answer = match http.get(&url, "text/html").await {
        Ok(answer) => answer,
        Err(NoAnswer::Tls(check, reason)) => {
            return findings.say(check, format!("{}: {reason}.", shown(&url)));
        }
        Err(reason) => {
            let detail = format!("{}: {}.", shown(&url), reason.in_words());
            return findings.say(&c::SIGN_IN_UNAVAILABLE, detail);
        }
    };
    let to = answer.location(&url);
    match (answer.status, to) {
        (300..400, Some(to)) if settings.redirect_uri().as_deref() == Some(&*shown(&to)) => {
            came_back(settings, &browser, &to, findings).await;
        }
        (300..400, Some(to)) => match error_in(&to) {
            Some(error) => findings.say(
                &c::SIGN_IN_REFUSED_AT_PROVIDER,
                format!("It leads to {} and says {}.", words(&shown(&to)), words(&error)),
            ),
            None => findings.add(&c::SIGN_IN_NOT_KNOWN),
        },
        (400..500, _) => {
            let mut detail = format!("{} answers with status {}.", shown(&url), answer.status);
            if let Some(redirect_uri) = settings.redirect_uri() {
                detail.push_str(&format!(" The redirect URI is {redirect_uri}"));
            }
            findings.say(&c::SIGN_IN_REFUSED_AT_PROVIDER, detail);
        }
        (500.., _) => findings.say(
            &c::SIGN_IN_UNAVAILABLE,
            format!("{} answers with status {}.", shown(&url), answer.status),
        ),
        _ => findings.add(&c::SIGN_IN_NOT_KNOWN),
    }
}

/// Asks for an answer at a redirect URI that nobody has registered, below the one of the application: a provider that sends
/// one there compares only how they begin (RFC 9700 §4.1.3).
async fn loosen(settings: &Settings, auth: Auth, http: &Http, findings: &mut Findings) {
    // What is refused with the right one shows nothing.
    if !findings.has(&c::SIGN_IN_GOOD) {
        return;
    }
    let Some(other) = settings
        .redirect_uri()
        .map(|uri| format!("{uri}{NOT_REGISTERED}"))
    else {
        return;
    };
    let Ok(mut url) = Browser::of(settings, auth).begin().await else {
        return;
    };
    let parameters: Vec<_> = url.query_pairs().into_owned().collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(parameters.into_iter().map(|(name, value)| match name.as_str() {
            "redirect_uri" => (name, other.clone()),
            _ => (name, value),
        }));
    if let Ok(answer) = http.get(&url, "text/html").await
        && (300..400).contains(&answer.status)
        && answer.location(&url).is_some_and(|to| shown(&to) == other)
    {
        findings.say(
            &c::SIGN_IN_REDIRECT_URI_LOOSE,
            format!("It sends answers to {other}, too."),
        );
    }
}

/// The provider has answered to the redirect URI: it knows client and redirect URI. What it says is the library's to judge.
async fn came_back(settings: &Settings, browser: &Browser, to: &Url, findings: &mut Findings) {
    let query = to.query().unwrap_or_default().to_owned();
    // A code without anybody having been asked would be redeemed, and signs somebody in.
    if to.query_pairs().any(|(name, _)| name == "code") {
        return findings.add(&c::SIGN_IN_NOT_KNOWN);
    }
    match browser.come_back(query).await {
        // Nobody is signed in there, and it was told not to ask: all else is good.
        Some(refused) if refused.code == "login.interaction_required" => findings.add(&c::SIGN_IN_GOOD),
        // A signed answer would say it; this one was asked for as it can be looked at.
        Some(refused) if refused.code == "login.issuer_missing" && settings.response_mode() == "jwt" => {
            findings.add(&c::SIGN_IN_NOT_KNOWN);
        }
        Some(refused) => say(&refused, findings),
        None => findings.add(&c::SIGN_IN_NOT_KNOWN),
    }
}

/// A parameter of a page of the provider's own that says what is wrong.
fn error_in(page: &Url) -> Option<String> {
    page.query_pairs()
        .find(|(name, _)| name.to_ascii_lowercase().contains("error"))
        .map(|(_, value)| value.into_owned())
}

/// Whether a code is about the client's authentication.
fn says_client(code: &str) -> bool {
    matches!(
        code,
        "login.client_refused" | "login.client_secret_missing" | "login.client_key_refused"
    )
}

/// Presents a code that is none: a provider that says so has accepted the client's authentication (RFC 6749 §5.2).
async fn redeem(settings: &Settings, auth: Auth, findings: &mut Findings) {
    if findings.has(&c::CLIENT_REFUSED) {
        return;
    }
    let mut browser = Browser::of(settings, auth);
    // Where requests have to be pushed, that has shown whether the client is accepted.
    let Ok(url) = browser.begin().await else {
        return;
    };
    let state = url.query_pairs().find(|(name, _)| name == "state");
    let Some((_, state)) = state else { return };
    let query = answer_without_code(&state, settings.issuer().as_deref());
    let Some(refused) = browser.come_back(query).await else {
        return;
    };
    match refused.code {
        "login.code_refused" if settings.client_auth() != "none" => findings.add(&c::CLIENT_GOOD),
        "login.code_refused" => {}
        _ => say(&refused, findings),
    }
}

/// What the library's refusal of a sign-in means for the set-up.
fn say(refused: &Refused, findings: &mut Findings) {
    let words = refused.in_words();
    match refused.code {
        code if says_client(code) => findings.say(&c::CLIENT_REFUSED, words),
        "login.grant_not_allowed" => findings.say(&c::CLIENT_GRANT_REFUSED, words),
        // Of a code that makes no sense a provider may say anything of the kind.
        "login.token_refused" => {
            let detail = refused.detail.as_deref().unwrap_or_default();
            if detail.contains("unauthorized_client") || detail.contains("unsupported_grant_type") {
                findings.say(&c::CLIENT_GRANT_REFUSED, words);
            }
        }
        "login.token_malformed" => findings.say(&c::SIGN_IN_TOKEN_ODD, words),
        "login.token_unavailable"
        | "login.push_unavailable"
        | "login.provider_error"
        | "login.provider_unavailable"
        | "provider.unreachable"
        | "provider.unavailable" => findings.say(&c::SIGN_IN_UNAVAILABLE, words),
        "login.issuer_missing" | "login.issuer_mismatch" => findings.say(&c::SIGN_IN_ISS_WRONG, words),
        // These have findings of their own.
        "login.push_required" | "login.push_unsupported" => {}
        "provider.discovery_insufficient" if findings.has(&c::CLIENT_CERTIFICATE_BINDING_UNSUPPORTED) => {}
        // What of the document is for clients with a certificate.
        "provider.discovery_insufficient" | "provider.discovery_malformed" => {
            findings.say(&c::DISCOVERY_INSUFFICIENT, words);
        }
        "login.state_missing"
        | "login.state_unknown"
        | "login.parameter_repeated"
        | "login.state_cookie_missing"
        | "login.code_missing"
        | "login.push_malformed" => findings.say(&c::SIGN_IN_ANSWER_ODD, words),
        _ => findings.say(&c::SIGN_IN_REFUSED, words),
    }
}
