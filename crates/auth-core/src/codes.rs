//! Every failure's code, with its cause and its mend: what the pages and the documentation say.

use crate::{id_token, userinfo};

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The stable code.
    pub code: &'static str,
    /// What happened.
    pub cause: &'static str,
    /// What mends it.
    pub mend: &'static str,
}

/// Finds what a code means.
#[must_use]
pub fn explain(code: &str) -> Option<Explanation> {
    all().find(|explanation| explanation.code == code)
}

/// Every code.
pub fn all() -> impl Iterator<Item = Explanation> {
    CODES
        .iter()
        .chain(id_token::CODES)
        .chain(userinfo::CODES)
        .map(|&(code, cause, mend)| Explanation { code, cause, mend })
}

static CODES: &[(&str, &str, &str)] = &[
    ("session.none", "Nobody is signed in in this browser.", "Sign in."),
    (
        "session.ended",
        "The session has ended: it was signed out, it was not used for too long, or it has reached its longest life.",
        "Sign in again.",
    ),
    (
        "session.token_expired",
        "The access token has expired, and the provider gave no refresh token to get another one with.",
        "Sign in again. To stay signed in for longer, ask for the scope `offline_access` and allow refresh tokens for this client at the provider.",
    ),
    (
        "session.grant_ended",
        "The provider has ended the sign-in: it does not accept the refresh token any more.",
        "Sign in again.",
    ),
    (
        "session.id_token_refused",
        "At the refresh of the tokens the provider sent an ID token that does not verify, or somebody else's.",
        "Sign in again. If it happens again, the provider's configuration for this client is wrong.",
    ),
    (
        "access.role_missing",
        "You are signed in, but your account does not have the role that this page needs.",
        "Ask whoever grants roles, then sign in again so that the new role counts.",
    ),
    (
        "access.claim_missing",
        "You are signed in, but your account does not have what this page asks for.",
        "Ask whoever manages accounts, then sign in again.",
    ),
    (
        "access.scope_missing",
        "This needs a permission (a scope) that was not asked for when you signed in.",
        "Sign in again and agree to it.",
    ),
    (
        "access.scope_denied",
        "This needs a permission (a scope) that the provider was asked for and did not grant.",
        "Sign in again and agree to it, or have it allowed for your account at the provider.",
    ),
    (
        "access.not_fresh",
        "This needs you to have signed in just now.",
        "Sign in again.",
    ),
    (
        "access.only_guests",
        "This page is for people who are not signed in.",
        "Go on to the application.",
    ),
    (
        "request.cross_site",
        "A request that changes something came from another web site, or from a page that hides where it is from.",
        "Use the application's own pages. Developers: the request's `Origin` must be `AUTH_BASE_URL`, as the browser shows it in its address bar.",
    ),
    (
        "request.unknown_code",
        "There is no failure with this code.",
        "Check the address.",
    ),
    (
        "request.method",
        "This address does not answer this kind of request.",
        "Use the application's own links and buttons.",
    ),
    (
        "request.body",
        "The form that was sent is too large or is no form.",
        "Start again from the application's own page.",
    ),
    (
        "request.frontchannel_logout",
        "A sign-out was announced without naming a session of this application's provider.",
        "Providers send `iss` and `sid`, each once. Developers: the client's registration at the provider must ask for both (`frontchannel_logout_session_required`).",
    ),
    (
        "login.signed_out",
        "While you were signing in, the provider has signed you out.",
        "Sign in again.",
    ),
    (
        "login.state_missing",
        "The answer from the sign-in page does not say which sign-in it belongs to.",
        "Start again. If it stays, something between provider and application removes the `state` parameter.",
    ),
    (
        "login.parameter_repeated",
        "The answer from the sign-in page holds a parameter twice, which an honest one never does.",
        "Start again from the application's own page.",
    ),
    (
        "login.state_cookie_missing",
        "This browser has no sign-in under way that this answer belongs to: it was finished before, it was begun in another browser or under another address, more than five were begun since, or the cookie was blocked.",
        "Start again, and allow cookies for this site. Developers: open the application under exactly `AUTH_BASE_URL` (127.0.0.1 and localhost are two sites).",
    ),
    (
        "login.attempt_unreadable",
        "The cookie of this sign-in was made with a key that this server does not have.",
        "Start again. Operators: give all instances the same `AUTH_SECRET`, and keep an old key in the list for a while.",
    ),
    (
        "login.attempt_expired",
        "This sign-in was begun more than 15 minutes ago.",
        "Start again.",
    ),
    (
        "login.state_replayed",
        "This answer was used before: the page was reloaded, or came back from the browser's history.",
        "Start again.",
    ),
    (
        "login.issuer_mismatch",
        "The answer comes from another provider than the one that was asked.",
        "Start again from the application's own page. Developers: `AUTH_ISSUER` must be exactly what the provider calls itself.",
    ),
    (
        "login.issuer_missing",
        "The answer does not say which provider it comes from, though this provider always says so.",
        "Start again from the application's own page.",
    ),
    (
        "login.code_missing",
        "The answer from the sign-in page holds neither a code nor an error.",
        "Start again. If it stays, something between provider and application changes its answers.",
    ),
    (
        "login.access_denied",
        "Access was denied: you said no at the sign-in page, or the provider does not let you in.",
        "Sign in again if that was a mistake.",
    ),
    (
        "login.provider_error",
        "The provider says that it has failed.",
        "Try again in a while. Operators: the provider's own log says why.",
    ),
    (
        "login.provider_unavailable",
        "The provider says that it cannot sign anybody in at present.",
        "Try again in a while.",
    ),
    (
        "login.interaction_required",
        "The provider needs to ask you something and was told not to.",
        "Sign in again. Developers: remove `prompt=none` from `AUTH_AUTHORIZE_PARAMS`.",
    ),
    (
        "login.scope_refused",
        "The provider does not know a permission (a scope) that the application asks for, or does not allow it.",
        "Developers: compare `AUTH_SCOPES` with what the client may ask for at the provider.",
    ),
    (
        "login.client_refused",
        "The provider does not accept this application: its client id, its secret or the way it authenticates is not what is registered.",
        "Developers: compare `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` and `AUTH_CLIENT_AUTH` with the client's registration, and see that the authorization code grant is allowed for it.",
    ),
    (
        "login.refused",
        "The provider refused the sign-in request.",
        "Developers: compare redirect URI, scopes and `AUTH_AUTHORIZE_PARAMS` with the client's registration; the provider's own log says more.",
    ),
    (
        "login.token_unavailable",
        "The provider's token endpoint is down, too slow or overloaded.",
        "Try again in a while.",
    ),
    (
        "login.token_malformed",
        "The provider's token endpoint answered with something that is no token response.",
        "Try again. Developers: check that the token endpoint is the provider's own and that nothing in between changes its answers.",
    ),
    (
        "login.token_refused",
        "The provider's token endpoint refused the request.",
        "Developers: compare grant types, scopes and resource indicators with the client's registration.",
    ),
    (
        "login.code_refused",
        "The provider does not accept its own code: it was used before, has expired, or was meant for another redirect URI or client.",
        "Sign in again. Developers: the redirect URI registered must be exactly `AUTH_BASE_URL` and `/auth/callback`.",
    ),
    (
        "login.token_type",
        "The provider sent a token that is no bearer token.",
        "Developers: turn sender-constrained tokens off for this client at the provider.",
    ),
    (
        "login.id_token_missing",
        "The provider sent no ID token, so nobody knows who you are.",
        "Developers: the client must be an OpenID Connect client and may use the scope `openid`.",
    ),
    (
        "login.token_inactive",
        "The provider says that the access token it has just issued is not active.",
        "Sign in again. Developers: check that the introspection endpoint belongs to the same provider.",
    ),
    (
        "login.refused_by_app",
        "You have signed in at the provider, but this application does not let you in.",
        "Ask whoever runs the application, or sign in with another account.",
    ),
    (
        "login.unknown_issuer",
        "A sign-in was asked for at a provider that this application does not use.",
        "Start from the application's own page.",
    ),
    (
        "login.unsupported",
        "The provider demands something of the sign-in request that this application cannot do.",
        "Developers: the log names it; change the client's registration at the provider.",
    ),
    (
        "provider.unavailable",
        "The provider is down, too slow or overloaded.",
        "Try again in a while. You stay signed in meanwhile if you were.",
    ),
    (
        "provider.discovery_missing",
        "There is no provider at the configured address: its description (discovery document) is not there.",
        "Developers: set `AUTH_ISSUER` to exactly the issuer that the provider documents.",
    ),
    (
        "provider.discovery_malformed",
        "The provider's description of itself (discovery document) is malformed.",
        "Developers: open `AUTH_ISSUER` followed by `/.well-known/openid-configuration`; it must be JSON with all required members.",
    ),
    (
        "provider.discovery_insufficient",
        "The provider's description of itself (discovery document) lacks something, or names an address that is not safe.",
        "Developers: the log names the member; every endpoint must be https, and PKCE with S256 must be supported.",
    ),
    (
        "provider.issuer_mismatch",
        "The provider's description of itself (discovery document) names another issuer than the configured one.",
        "Developers: set `AUTH_ISSUER` to exactly the document's `issuer`, down to the last slash.",
    ),
    (
        "provider.keys_malformed",
        "The provider's key set is missing or malformed.",
        "Developers: open the discovery document's `jwks_uri`; it must be a JSON Web Key Set.",
    ),
    (
        "refresh.unavailable",
        "Your access has to be renewed, and the provider is down, too slow or overloaded. You stay signed in.",
        "Try again in a while.",
    ),
    (
        "refresh.unanswered",
        "Your access has to be renewed, and the provider gave no answer in time. You stay signed in, unless it turns out that it has done its part: then you sign in again.",
        "Try again in a while. Operators: the provider is slow, or connections to it break; compare its times with `HTTP_TIMEOUT_SECS`.",
    ),
    (
        "refresh.failed_elsewhere",
        "Your access has to be renewed, and another server of this application has just tried that in vain. You stay signed in.",
        "Try again in a moment. Operators: the other server's log has the cause.",
    ),
    (
        "refresh.client_refused",
        "Your access has to be renewed, and the provider does not accept this application any more. You stay signed in.",
        "Operators: compare `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` and `AUTH_CLIENT_AUTH` with the client's registration.",
    ),
    (
        "refresh.busy",
        "Your access is being renewed by another server, and that takes too long. You stay signed in.",
        "Try again in a moment.",
    ),
    (
        "refresh.interrupted",
        "The application broke off what it was doing: it is being restarted, or something in it has failed.",
        "Try again in a moment.",
    ),
    (
        "store.unavailable",
        "The application cannot reach its session store. Nobody is signed out by that.",
        "Try again in a while. Operators: check the server behind `AUTH_STORE`.",
    ),
    (
        "api.unreachable",
        "A service that this page needs cannot be reached.",
        "Try again in a while. Operators: check `API_URL`.",
    ),
    (
        "api.timeout",
        "A service that this page needs did not answer in time.",
        "Try again in a while.",
    ),
    (
        "api.status",
        "A service that this page needs answered with a failure.",
        "Try again in a while.",
    ),
    (
        "api.malformed",
        "A service that this page needs answered with something that does not make sense.",
        "Try again in a while. Operators: check that `API_URL` is the right service.",
    ),
    (
        "api.bad_request",
        "The application could not make its request to a service.",
        "Developers: check the URL, the headers and the body, and set `API_URL` for relative URLs.",
    ),
    (
        "api.origin_not_allowed",
        "The application wanted to send an access token to a service that is not on its list.",
        "Developers: add the service with `AuthBuilder::api` or `API_URL`.",
    ),
    (
        "api.shutting_down",
        "The application is being restarted.",
        "Try again in a moment.",
    ),
    (
        "setup.layer_missing",
        "The application is put together wrongly: a route asks who is signed in, and `auth.layer()` is not around it.",
        "Developers: add `auth.layer()` outside of everything that needs it.",
    ),
    (
        "setup.carrier_missing",
        "The application is put together wrongly: its own session layer was chosen to carry the session identifier, and is missing or failed.",
        "Developers: add the session layer outside of `auth.layer()`, and look into its log.",
    ),
    (
        "setup.app_data_unsupported",
        "The application is put together wrongly: its session layer is to use the session store, which keeps sessions only.",
        "Developers: use one of the library's stores, or implement `AppDataStore` and return it from `SessionStore::app_data`.",
    ),
    (
        "setup.app_data_type",
        "What the application's own session holds does not fit the type that the application asks for.",
        "Developers: use one type for an entry, or another name for another type; JSON has to be able to hold it.",
    ),
    (
        "setup.claims_type",
        "The provider's claims do not fit the type that the application asks for.",
        "Developers: make the fields that may be missing optional, or ask for the scopes that bring them.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_explained_in_sentences() {
        let mut seen = HashSet::new();
        for Explanation { code, cause, mend } in all() {
            assert!(seen.insert(code), "{code} stands twice");
            assert!(cause.ends_with('.') && mend.ends_with('.'), "{code}");
        }
    }

    /// Every code that stands anywhere in this crate's sources is explained.
    #[test]
    fn no_code_is_left_unexplained() {
        let sources = [
            include_str!("error.rs"),
            include_str!("login.rs"),
            include_str!("refresh.rs"),
            include_str!("client.rs"),
            include_str!("metadata.rs"),
            include_str!("respond.rs"),
        ];
        let mut found = 0;
        for text in sources
            .iter()
            .flat_map(|source| source.split('"').skip(1).step_by(2))
        {
            let area = text.split('.').next().unwrap_or_default();
            let is_code = text.contains('.')
                && !text.ends_with('.')
                && [
                    "session", "access", "request", "login", "provider", "refresh", "store", "api", "setup",
                ]
                .contains(&area)
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_'));
            if is_code {
                found += 1;
                assert!(explain(text).is_some(), "{text} is not explained");
            }
        }
        assert!(found > 50, "only {found} codes found");
    }
}
