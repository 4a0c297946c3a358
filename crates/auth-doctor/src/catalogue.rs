//! Every finding that there can be: its stable id, how much it matters, what it says, what mends it, and where that is written.
//!
//! `docs/doctor.md` is made of this file; a test holds the two equal.

use crate::finding::{Profile, Severity};

use Profile::{Fapi2, OAuth21, Rfc9700};
use Severity::{Error, Note, Ok, Warning};

/// What there is to say about a finding, whoever has it. All texts are plain sentences; what stands between backticks is code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The stable id, such as `discovery.issuer_mismatch`. What stands before the point is the area.
    pub id: &'static str,
    /// How much it matters as a rule; an error where the profile that is asked for does not allow it.
    pub severity: Severity,
    /// What was found, in one sentence.
    pub title: &'static str,
    /// What mends it; empty where nothing has to be mended.
    pub mend: &'static str,
    /// The specification and its section that it goes by; empty where there is none.
    pub reference: &'static str,
    /// The profiles that a set-up with this finding does not fit.
    pub against: &'static [Profile],
}

impl Check {
    /// The area that it belongs to, such as `discovery`.
    #[must_use]
    pub fn area(&self) -> &'static str {
        self.id.split('.').next().unwrap_or_default()
    }
}

/// The areas in the order of a report: each with its name and its headline.
pub const AREAS: &[(&str, &str)] = &[
    ("settings", "Settings"),
    ("cookies", "Cookies and base URL"),
    ("session", "Sessions"),
    ("secret", "Keys of this application"),
    ("store", "Session store"),
    ("api", "APIs"),
    ("issuer", "Issuer"),
    ("discovery", "Discovery"),
    ("tls", "TLS"),
    ("clock", "Clocks"),
    ("endpoints", "Endpoints"),
    ("keys", "The provider's keys"),
    ("algorithms", "Signature algorithms"),
    ("requests", "Authorization requests"),
    ("scopes", "Scopes and grants"),
    ("client", "The client's registration"),
    ("sign_in", "Trying it out"),
];

macro_rules! checks {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $mend:literal, $reference:literal, [$($profile:ident),*];)*) => {
        $(
            pub(crate) const $name: Check = Check {
                id: $id,
                severity: $severity,
                title: $title,
                mend: $mend,
                reference: $reference,
                against: &[$($profile),*],
            };
        )*

        /// Every check, area by area.
        pub const ALL: &[Check] = &[$($name),*];
    };
}

checks! {
    // ---- settings
    SETTINGS_GOOD = "settings.good", Ok,
        "The settings can be read: an application starts with them.", "", "", [];
    SETTINGS_INVALID = "settings.invalid", Error,
        "A setting is wrong or missing: no application starts like this.",
        "Change the variable as it says.", "", [];
    SETTINGS_PROVIDER_ONLY = "settings.provider_only", Note,
        "Nothing but a provider is named, so nothing else is looked at.",
        "Set `AUTH_CLIENT_ID` and `AUTH_BASE_URL` (or `--client-id`, `--base-url`) to have the application's own set-up looked at.", "", [];
    SETTINGS_NO_CLIENT = "settings.no_client", Note,
        "No client id is set, so nothing is known of this application's registration.",
        "Set `AUTH_CLIENT_ID` (or `--client-id`) to the client id registered at the provider.", "RFC 6749 §2.2", [];
    SETTINGS_OTHER_ISSUER = "settings.other_issuer", Note,
        "The issuer on the command line is not the environment's, so the environment's client was left out: its secret is not for others.",
        "Give the client of this issuer: `--client-id`, and its secret in the environment together with `AUTH_ISSUER`.", "", [];
    SETTINGS_BASE_URL_ASSUMED = "settings.base_url_assumed", Note,
        "`AUTH_BASE_URL` is not set; the address that the example applications listen on was taken.",
        "Set `AUTH_BASE_URL` (or `--base-url`) to the application's public origin.", "", [];
    SETTINGS_TIMEOUT_LONG = "settings.timeout_long", Warning,
        "`HTTP_TIMEOUT_SECS` lets requests wait longer than browsers and proxies do.",
        "Set it to 30 or less; the default is 10.", "", [];
    SETTINGS_PROXIES_EVERYBODY = "settings.proxies_everybody", Warning,
        "`AUTH_TRUSTED_PROXIES` trusts every address: anybody can write any address into the list of sessions.",
        "Name the addresses of the proxies in front of the application, and nothing else.", "", [];

    // ---- cookies
    COOKIES_GOOD = "cookies.good", Ok,
        "The base URL is https: cookies are `Secure` and bound to this host (`__Host-`).", "", "RFC 6265 §4.1.2.5", [];
    COOKIES_LOOPBACK = "cookies.loopback", Note,
        "The base URL is http on this machine: good for development, and nobody else can use it.",
        "In production, set `AUTH_BASE_URL` to an https origin.", "", [Fapi2];
    COOKIES_HTTP = "cookies.http", Warning,
        "The base URL is http: whoever is on the way can read and set cookies, and authorization codes travel in the clear.",
        "Put the application behind https and set `AUTH_BASE_URL` to it.", "RFC 9700 §2.6", [OAuth21, Rfc9700, Fapi2];
    COOKIES_ADDRESS = "cookies.address", Note,
        "The base URL is an IP address: many providers refuse such a redirect URI, and certificates for it are rare.",
        "Give the application a name.", "", [];
    COOKIES_TWO_ADDRESSES = "cookies.two_addresses", Warning,
        "The application listens on one name of this machine and `AUTH_BASE_URL` is another: a sign-in that begins under the one ends without its cookie under the other.",
        "Use one of `localhost` and `127.0.0.1` everywhere, in the browser too.", "RFC 6265 §5.1.3", [];
    COOKIES_FORM_POST_HTTP = "cookies.form_post_http", Error,
        "Answers come as forms of another site, and over http the cookie of the sign-in does not come along: no sign-in can be finished.",
        "Make the base URL https, or set `AUTH_RESPONSE_MODE=query`.", "OAuth 2.0 Form Post Response Mode §4", [];

    // ---- sessions
    SESSION_IDLE_LONG = "session.idle_long", Warning,
        "Sessions that nobody uses stay alive for more than a day.",
        "Set `AUTH_SESSION_IDLE` to a working day or less (28800).", "", [];
    SESSION_MAX_LONG = "session.max_long", Warning,
        "Sessions live for more than 30 days, whatever has happened to the account since.",
        "Set `AUTH_SESSION_MAX` to 30 days or less (2592000).", "", [];
    SESSION_SHORT = "session.short", Warning,
        "Sessions end within a minute: people are sent to the provider again and again.",
        "Set `AUTH_SESSION_IDLE` and `AUTH_SESSION_MAX` to 300 or more.", "", [];
    SESSION_IDLE_BEYOND_MAX = "session.idle_beyond_max", Note,
        "`AUTH_SESSION_IDLE` is longer than `AUTH_SESSION_MAX` and has no effect.",
        "Set it to less than `AUTH_SESSION_MAX`.", "", [];

    // ---- keys of this application
    SECRET_GOOD = "secret.good", Ok,
        "`AUTH_SECRET` is set.", "", "", [];
    SECRET_UNSET = "secret.unset", Warning,
        "`AUTH_SECRET` is not set: every start makes a key of its own, so sessions end with the process, and two instances cannot read each other's.",
        "Make one with `openssl rand -hex 32`, and give all instances the same.", "", [];
    SECRET_GUESSABLE = "secret.guessable", Error,
        "A key in `AUTH_SECRET` is not random: sessions and cookies can be forged by whoever guesses it.",
        "Make one with `openssl rand -hex 32`.", "RFC 4086 §2", [];
    SECRET_OLD_KEYS = "secret.old_keys", Note,
        "`AUTH_SECRET` lists several keys: the old ones still open sessions.",
        "Once `AUTH_SESSION_MAX` has passed since the change, remove all but the first.", "", [];

    // ---- store
    STORE_GOOD = "store.good", Ok,
        "The session store can be opened and used.", "", "", [];
    STORE_UNREACHABLE = "store.unreachable", Error,
        "The session store cannot be opened: no application starts like this.",
        "Start the server or correct `AUTH_STORE`; see that host, port, user and password are right and that nothing in between blocks it.", "", [];
    STORE_MEMORY = "store.memory", Note,
        "Sessions are in memory: they end with the process.",
        "In production, set `AUTH_STORE` to sqlite, redis or postgres.", "", [];
    STORE_MEMORY_IN_PRODUCTION = "store.memory_in_production", Warning,
        "Sessions are in memory, and the base URL is a public one: every restart signs everybody out, and a second instance knows nobody.",
        "Set `AUTH_STORE` to `sqlite:PATH`, `rediss://…` or `postgres://…`.", "", [];
    STORE_NOT_THERE_YET = "store.not_there_yet", Note,
        "The SQLite file does not exist yet; the application makes it at its first start.", "", "", [];
    STORE_PLAINTEXT = "store.plaintext", Warning,
        "The way to the session store is not encrypted, and it leads to another machine.",
        "Use `rediss://`, or `sslmode=verify-full` for PostgreSQL.", "", [];
    STORE_NO_PASSWORD = "store.no_password", Warning,
        "The Redis server on another machine asks for no password: whoever reaches it can end every session.",
        "Set a password there (`requirepass`, or an access list) and in `AUTH_STORE`.", "", [];
    STORE_EVICTS = "store.evicts", Warning,
        "The Redis server drops keys when memory is short: people are signed out then.",
        "Set `maxmemory-policy noeviction` there.", "", [];

    // ---- APIs
    API_UNREACHABLE = "api.unreachable", Warning,
        "An API cannot be reached from here.",
        "See that `API_URL` is right and that this machine may go there.", "", [];

    // ---- issuer
    ISSUER_WELL_KNOWN = "issuer.well_known", Error,
        "The issuer is the address of its discovery document.",
        "Take `/.well-known/openid-configuration` off the end.", "OpenID Connect Discovery §4", [];
    ISSUER_ASGARDEO_PATH = "issuer.asgardeo_path", Error,
        "The issuer of Asgardeo and WSO2 Identity Server ends with `/oauth2/token`.",
        "Set `AUTH_ISSUER` to `https://api.asgardeo.io/t/ORGANISATION/oauth2/token`; see docs/providers/asgardeo.md.", "OpenID Connect Discovery §4.3", [];
    ISSUER_MANY_TENANTS = "issuer.many_tenants", Error,
        "`common`, `organizations` and `consumers` of Microsoft Entra ID are no issuers: the tokens name the tenant.",
        "Put the directory (tenant) ID there, a GUID; see docs/providers/entra.md.", "OpenID Connect Core §3.1.3.7", [];
    ISSUER_PLAIN_OAUTH = "issuer.plain_oauth", Note,
        "The endpoints are given by hand: without discovery little can be known of the provider, and there are no ID tokens.",
        "If the provider knows OpenID Connect, set `AUTH_ISSUER` instead.", "RFC 8414 §3", [Fapi2];

    // ---- discovery
    DISCOVERY_GOOD = "discovery.good", Ok,
        "The discovery document is there, and the application can use it.", "", "OpenID Connect Discovery §4.3", [];
    DISCOVERY_UNREACHABLE = "discovery.unreachable", Error,
        "No connection to the provider can be made.",
        "Check host and port of `AUTH_ISSUER`, and that this machine may go there (DNS, firewall, proxy).", "OpenID Connect Discovery §4.1", [];
    DISCOVERY_UNAVAILABLE = "discovery.unavailable", Error,
        "The provider is down, too slow or overloaded.",
        "The provider has to recover; its own log says why.", "", [];
    DISCOVERY_MISSING = "discovery.missing", Error,
        "There is no discovery document at the issuer.",
        "Check `AUTH_ISSUER` to the letter: most providers show it in the client's settings. docs/providers has what it looks like.", "OpenID Connect Discovery §4", [];
    DISCOVERY_REDIRECTED = "discovery.redirected", Error,
        "The provider sends the request for its discovery document elsewhere, and the application does not follow.",
        "Set `AUTH_ISSUER` to the address that it is sent to, if that is the issuer.", "OpenID Connect Discovery §4.2", [];
    DISCOVERY_MALFORMED = "discovery.malformed", Error,
        "What is at the issuer is no discovery document.",
        "Check that `AUTH_ISSUER` is the provider's own address and that no proxy or sign-in page answers in its place.", "OpenID Connect Discovery §4.2", [];
    DISCOVERY_ISSUER_MISMATCH = "discovery.issuer_mismatch", Error,
        "The discovery document names another issuer than the configured one.",
        "Set `AUTH_ISSUER` to what the document says, to the byte, if that is the provider that you mean.", "OpenID Connect Discovery §4.3", [];
    DISCOVERY_INSUFFICIENT = "discovery.insufficient", Error,
        "The discovery document lacks something that a sign-in needs, or something in it is not safe.",
        "Change it at the provider, or use another provider.", "OpenID Connect Discovery §3", [];
    DISCOVERY_SLOW = "discovery.slow", Warning,
        "The provider takes its time: every first sign-in waits for it.",
        "See what is between this machine and the provider.", "", [];

    // ---- TLS
    TLS_GOOD = "tls.good", Ok,
        "Certificates are good for their hosts, and TLS is new enough.", "", "RFC 9325 §3", [];
    TLS_NONE = "tls.none", Note,
        "The provider is asked over http, which is allowed on this machine only.",
        "In production, the issuer is https.", "RFC 6749 §3.1", [Fapi2];
    TLS_UNKNOWN_AUTHORITY = "tls.unknown_authority", Error,
        "A certificate comes from an authority that is not known here.",
        "For a private authority, set `AUTH_CA_FILE` to its root certificate in PEM form; otherwise have the server send its whole chain.", "RFC 5280 §6", [];
    TLS_WRONG_NAME = "tls.wrong_name", Error,
        "A certificate is for another host.",
        "Use the name that the certificate is for, or have the server get one for this name.", "RFC 9525 §6", [];
    TLS_EXPIRED = "tls.expired", Error,
        "A certificate has expired, or this machine's clock is wrong.",
        "Whoever runs the server has to renew it.", "RFC 5280 §6.1.3", [];
    TLS_NOT_YET_VALID = "tls.not_yet_valid", Error,
        "A certificate is not valid yet, or this machine's clock is wrong.",
        "Compare the clocks.", "RFC 5280 §6.1.3", [];
    TLS_TOO_OLD = "tls.too_old", Error,
        "A server speaks no version of TLS that is still safe (1.2 or 1.3).",
        "Whoever runs the server has to turn TLS 1.2 or 1.3 on.", "RFC 9325 §3.1.1", [OAuth21, Rfc9700, Fapi2];
    TLS_FAILED = "tls.failed", Error,
        "No TLS connection can be made.",
        "See that the port is one that speaks TLS, and what is in between.", "RFC 8446 §4", [];
    TLS_EXPIRES_SOON = "tls.expires_soon", Warning,
        "A certificate expires within 14 days.",
        "Whoever runs the server has to renew it; it should renew itself.", "", [];
    TLS_CERTIFICATE_DEMANDED = "tls.certificate_demanded", Note,
        "A server wants a certificate of whoever connects, and the doctor's own requests have none: this host could not be looked at.",
        "See that only the endpoints in `mtls_endpoint_aliases` are there: browsers have no certificate either.", "RFC 8705 §5", [];
    TLS_NO_1_3 = "tls.no_1_3", Note,
        "The provider does not speak TLS 1.3.",
        "Turn it on there.", "RFC 9325 §3.1.1", [];

    // ---- clocks
    CLOCK_GOOD = "clock.good", Ok,
        "The clocks of this machine and of the provider agree.", "", "", [];
    CLOCK_OFF = "clock.off", Warning,
        "The clocks of this machine and of the provider are more than five seconds apart.",
        "Keep this machine's clock right with NTP.", "OpenID Connect Core §3.1.3.7", [];
    CLOCK_FAR_OFF = "clock.far_off", Error,
        "The clocks of this machine and of the provider are more than a minute apart: sign-ins fail.",
        "Set this machine's clock and keep it right with NTP.", "OpenID Connect Core §3.1.3.7", [];

    // ---- endpoints
    ENDPOINTS_OTHER_HOST = "endpoints.other_host", Note,
        "Some of the provider's endpoints are on other hosts than its issuer.",
        "See that these are the provider's.", "", [];
    ENDPOINTS_UNREACHABLE = "endpoints.unreachable", Error,
        "A host that has an endpoint of the provider cannot be reached.",
        "See that this machine may go there (DNS, firewall, proxy).", "", [];
    ENDPOINTS_NO_REVOCATION = "endpoints.no_revocation", Warning,
        "The provider revokes no tokens: after a sign-out they stay good until they expire.",
        "Turn it on at the provider, or set `AUTH_REVOCATION_URL` if it has one that the document does not name.", "RFC 7009 §2", [];
    ENDPOINTS_NO_END_SESSION = "endpoints.no_end_session", Warning,
        "The provider has no sign-out of its own: who signs out here and in again is not asked anything.",
        "Turn it on at the provider, or set `AUTH_END_SESSION_URL`.", "OpenID Connect RP-Initiated Logout §2.1", [];
    ENDPOINTS_NO_USERINFO = "endpoints.no_userinfo", Note,
        "The provider has no userinfo endpoint: the user's claims are those of the ID token.", "", "OpenID Connect Core §5.3", [];
    ENDPOINTS_NO_INTROSPECTION = "endpoints.no_introspection", Note,
        "The provider does not say what a token is: opaque access tokens cannot be checked.", "", "RFC 7662 §2", [];
    ENDPOINTS_NO_MTLS_ALIASES = "endpoints.no_mtls_aliases", Note,
        "A client certificate is set, and the provider names no endpoints of their own for it: it has to ask for certificates at those that everybody uses.",
        "See that these endpoints ask for a certificate, or have the provider name `mtls_endpoint_aliases`.", "RFC 8705 §5", [];
    ENDPOINTS_NO_BACKCHANNEL_LOGOUT = "endpoints.no_backchannel_logout", Note,
        "The provider tells nobody that a user has signed out elsewhere: such sessions go on here.",
        "Keep `AUTH_SESSION_IDLE` short.", "OpenID Connect Back-Channel Logout §2.1", [];

    // ---- the provider's keys
    KEYS_GOOD = "keys.good", Ok,
        "The provider's keys can be read and fit its algorithms.", "", "RFC 7517 §5", [];
    KEYS_UNREACHABLE = "keys.unreachable", Error,
        "The provider's keys cannot be fetched: no ID token can be checked.",
        "See that `jwks_uri` answers from this machine.", "OpenID Connect Discovery §3", [];
    KEYS_MALFORMED = "keys.malformed", Error,
        "What is at `jwks_uri` is no key set.",
        "See that nothing in between answers in the provider's place.", "RFC 7517 §5", [];
    KEYS_EMPTY = "keys.empty", Error,
        "The provider publishes no key: no ID token can be checked.",
        "Have the provider make a signing key.", "RFC 7517 §5", [];
    KEYS_NONE_FOR_ALGORITHM = "keys.none_for_algorithm", Error,
        "None of the provider's keys fits the algorithms that ID tokens may be signed with.",
        "Compare the keys with `id_token_signing_alg_values_supported` and `AUTH_ID_TOKEN_ALG`.", "OpenID Connect Core §10.1", [];
    KEYS_WEAK = "keys.weak", Warning,
        "The provider publishes a key that is too weak; what it signs is refused.",
        "Have the provider use RSA keys of 2048 bits or more, or P-256.", "RFC 7518 §3.3", [OAuth21, Rfc9700, Fapi2];
    KEYS_NO_KID = "keys.no_kid", Warning,
        "The provider publishes several keys and not all have a `kid`: a change of keys can fail sign-ins.",
        "Have the provider name its keys.", "OpenID Connect Core §10.1", [];
    KEYS_PRIVATE = "keys.private", Error,
        "The provider publishes a private key: anybody can sign tokens in its name.",
        "Tell whoever runs the provider at once; the key has to be replaced.", "RFC 7517 §9.2", [OAuth21, Rfc9700, Fapi2];

    // ---- algorithms
    ALGORITHMS_NONE_USABLE = "algorithms.none_usable", Error,
        "The provider signs ID tokens with a shared secret or not at all, and such tokens are not taken.",
        "Have the provider sign this client's ID tokens with RS256, PS256, ES256 or EdDSA.", "OpenID Connect Core §3.1.3.7", [];
    ALGORITHMS_NONE_ALLOWED = "algorithms.none_allowed", Note,
        "The provider also issues unsigned ID tokens (`none`). This application refuses them; another one may not.",
        "Turn it off at the provider.", "RFC 8725 §3.2", [];
    ALGORITHMS_NOT_COMMON = "algorithms.not_common", Error,
        "The provider does not sign with any algorithm that `AUTH_ID_TOKEN_ALG` allows.",
        "Set `AUTH_ID_TOKEN_ALG` to what the provider signs with, or remove it.", "OpenID Connect Core §3.1.3.7", [];
    ALGORITHMS_NOT_FAPI = "algorithms.not_fapi", Note,
        "ID tokens are not signed with PS256, ES256 or EdDSA.",
        "Have the provider sign this client's ID tokens with one of these, and set `AUTH_ID_TOKEN_ALG` to it.", "FAPI 2.0 Security Profile §5.4.1", [Fapi2];

    // ---- authorization requests
    REQUESTS_PKCE = "requests.pkce", Ok,
        "The provider supports PKCE with S256.", "", "RFC 7636 §4.2", [];
    REQUESTS_PKCE_UNSUPPORTED = "requests.pkce_unsupported", Error,
        "The provider does not support PKCE with S256, and no sign-in is done without it.",
        "Turn it on at the provider.", "RFC 9700 §2.1.1", [OAuth21, Rfc9700, Fapi2];
    REQUESTS_PKCE_UNKNOWN = "requests.pkce_unknown", Warning,
        "The provider does not say whether it supports PKCE. This application sends it always; if the provider ignores it, it protects nobody.",
        "Have the provider name `code_challenge_methods_supported`, or ask whoever runs it.", "RFC 9700 §2.1.1", [OAuth21, Rfc9700, Fapi2];
    REQUESTS_PKCE_PLAIN = "requests.pkce_plain", Note,
        "The provider also takes PKCE with `plain`. This application does not use it.", "", "RFC 9700 §2.1.1", [];
    REQUESTS_NO_ISS = "requests.no_iss", Note,
        "The provider's answers do not say who they come from: an application with a second provider could take one for the other.",
        "Turn `authorization_response_iss_parameter_supported` on at the provider, or set `AUTH_RESPONSE_MODE=jwt` if it can sign its answers.", "RFC 9207 §2.4, RFC 9700 §4.4.2", [Fapi2];
    REQUESTS_MIX_UP = "requests.mix_up", Warning,
        "There are several providers, and this one's answers do not say who they come from: only the redirect URI tells them apart.",
        "Turn `authorization_response_iss_parameter_supported` on at the provider, or set `AUTH_RESPONSE_MODE=jwt` if it can sign its answers. Register no redirect URI but its own there.", "RFC 9207 §2.4, RFC 9700 §4.4.2", [Fapi2];
    REQUESTS_PAR_REQUIRED = "requests.par_required", Error,
        "The provider takes pushed authorization requests only, and `AUTH_PAR=never` forbids them.",
        "Remove `AUTH_PAR=never`.", "RFC 9126 §5", [];
    REQUESTS_PAR_UNSUPPORTED = "requests.par_unsupported", Error,
        "`AUTH_PAR=always` wants requests pushed, and the provider does not say where to.",
        "Remove `AUTH_PAR=always`, or have the provider name its `pushed_authorization_request_endpoint`.", "RFC 9126 §5", [];
    REQUESTS_NOT_PUSHED = "requests.not_pushed", Note,
        "Authorization requests go through the browser, where they can be read and changed.",
        "Set `AUTH_PAR=always` where the provider offers it.", "FAPI 2.0 Security Profile §5.3.3.2", [Fapi2];
    REQUESTS_RESPONSE_MODE = "requests.response_mode", Error,
        "The provider does not answer in the way that `AUTH_RESPONSE_MODE` asks for.",
        "Set `AUTH_RESPONSE_MODE` to one that it lists, or turn it on at the provider.", "OpenID Connect Discovery §3", [];
    REQUESTS_OBJECT_UNSUPPORTED = "requests.object_unsupported", Error,
        "Authorization requests are signed, and the provider takes no signed ones.",
        "Remove `AUTH_REQUEST_OBJECT=signed`, or turn request objects on at the provider.", "RFC 9101 §10.5", [];
    REQUESTS_OBJECT_REQUIRED = "requests.object_required", Error,
        "The provider takes signed authorization requests only.",
        "Set `AUTH_CLIENT_KEY` and `AUTH_REQUEST_OBJECT=signed`.", "RFC 9101 §10.5", [];

    // ---- scopes and grants
    SCOPES_GOOD = "scopes.good", Ok,
        "The provider knows all scopes that are asked for.", "", "RFC 6749 §3.3", [];
    SCOPES_NO_OPENID = "scopes.no_openid", Error,
        "The provider does not know the scope `openid`: it is no OpenID Connect provider.",
        "Use its endpoints as those of a plain OAuth 2.0 provider (`AUTH_AUTHORIZATION_URL`, `AUTH_TOKEN_URL`), or turn OpenID Connect on there.", "OpenID Connect Core §3.1.2.1", [];
    SCOPES_UNKNOWN = "scopes.unknown", Warning,
        "The provider does not list a scope that is asked for; some refuse the whole sign-in then.",
        "Set `AUTH_SCOPES` to scopes that the provider lists; docs/providers has what each provider takes.", "RFC 6749 §3.3", [];
    SCOPES_NO_REFRESH = "scopes.no_refresh", Note,
        "`offline_access` is not asked for, and the provider knows it: there may be no refresh token, and sessions end with the access token.",
        "If sessions end too soon, add `offline_access` to `AUTH_SCOPES`; some providers give refresh tokens without it.", "OpenID Connect Core §11", [];
    SCOPES_GRANT_REFRESH = "scopes.grant_refresh", Warning,
        "The provider issues no refresh tokens: sessions end with the access token.",
        "Turn the grant type `refresh_token` on at the provider.", "RFC 6749 §6", [];
    SCOPES_OLD_GRANTS = "scopes.old_grants", Note,
        "The provider still offers the implicit grant or passwords (`implicit`, `password`). This application uses neither.",
        "Turn them off at the provider, or at least for this client.", "RFC 9700 §2.1.2, §2.4", [];

    // ---- the client
    CLIENT_GOOD = "client.good", Ok,
        "The provider accepts this client's authentication.", "", "RFC 6749 §2.3", [];
    CLIENT_METHOD_UNSUPPORTED = "client.method_unsupported", Error,
        "The provider does not take the way in which the client authenticates.",
        "Set `AUTH_CLIENT_AUTH` to a method that it lists.", "OpenID Connect Core §9", [];
    CLIENT_ALGORITHM_UNSUPPORTED = "client.algorithm_unsupported", Error,
        "The provider takes no signature that the key in `AUTH_CLIENT_KEY` can make.",
        "Use a key of a kind that it lists: RSA for PS256 and RS256, P-256 for ES256, Ed25519 for EdDSA.", "RFC 8414 §2", [];
    CLIENT_ALGORITHM_WEAK = "client.algorithm_weak", Note,
        "Client assertions are signed with RS256.",
        "Use a P-256 or Ed25519 key, or have the provider list PS256.", "FAPI 2.0 Security Profile §5.4.1", [Fapi2];
    CLIENT_SECRET_SHORT = "client.secret_short", Warning,
        "The client's secret has fewer than 22 characters: it may be guessed.",
        "Have the provider make one of 128 random bits or more.", "RFC 6819 §5.1.4.2.2", [OAuth21, Rfc9700];
    CLIENT_SECRET_POST = "client.secret_post", Note,
        "The client's secret travels in the form.",
        "Use `private_key_jwt`, or `client_secret_basic` if the provider takes it.", "RFC 6749 §2.3.1", [];
    CLIENT_SYMMETRIC = "client.symmetric", Note,
        "The client authenticates with a secret that the provider knows as well.",
        "Set `AUTH_CLIENT_AUTH=private_key_jwt` and `AUTH_CLIENT_KEY`, and register the public key.", "RFC 9700 §2.5, FAPI 2.0 Security Profile §5.3.3.1", [Fapi2];
    CLIENT_PUBLIC = "client.public", Warning,
        "The client does not authenticate: whoever has a refresh token of it can use it.",
        "This application runs on a server and can keep a secret: register it as a confidential client, with a key (`AUTH_CLIENT_AUTH=private_key_jwt`) or a secret.", "RFC 9700 §2.2.2, §2.5", [OAuth21, Rfc9700, Fapi2];
    CLIENT_NOT_BOUND = "client.not_bound", Note,
        "Access tokens are bearer tokens: whoever has one can use it.",
        "Bind them to a key (DPoP) or a certificate, where provider and APIs can.", "RFC 9700 §2.2.1, FAPI 2.0 Security Profile §5.3.3.1", [Fapi2];
    CLIENT_CERTIFICATE_EXPIRED = "client.certificate_expired", Error,
        "The certificate in `AUTH_CLIENT_CERT` has expired, or this machine's clock is wrong.",
        "Get a new one, and register it at the provider if it is self-signed.", "RFC 5280 §6.1.3", [];
    CLIENT_CERTIFICATE_EXPIRES_SOON = "client.certificate_expires_soon", Warning,
        "The certificate in `AUTH_CLIENT_CERT` expires within 14 days.",
        "Get a new one, and register it at the provider if it is self-signed.", "", [];
    CLIENT_CERTIFICATE_BINDING_UNSUPPORTED = "client.certificate_binding_unsupported", Error,
        "`AUTH_CERT_BOUND_TOKENS` is set, and the provider does not say that it binds tokens to certificates: no sign-in is begun.",
        "Turn `tls_client_certificate_bound_access_tokens` on at the provider, or bind tokens to a key with `AUTH_DPOP=true`.", "RFC 8705 §3.3", [Fapi2];
    CLIENT_DPOP_UNSUPPORTED = "client.dpop_unsupported", Warning,
        "Tokens are to be bound to a key (DPoP), and the provider does not say that it can do that with ES256: it may issue bearer tokens.",
        "Turn DPoP on at the provider, which then lists `dpop_signing_alg_values_supported`.", "RFC 9449 §5.1", [Fapi2];
    CLIENT_ENCRYPTION_UNSUPPORTED = "client.encryption_unsupported", Warning,
        "`AUTH_DECRYPTION_KEY` is set, and the provider lists no algorithm that it encrypts with.",
        "Turn encryption on at the provider and register the public key there, or remove `AUTH_DECRYPTION_KEY`.", "OpenID Connect Discovery §3", [];
    CLIENT_REFUSED = "client.refused", Error,
        "The provider does not accept this client's authentication.",
        "Compare `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` or `AUTH_CLIENT_KEY`, and `AUTH_CLIENT_AUTH` with the client's registration. Has the secret expired?", "RFC 6749 §5.2", [];
    CLIENT_GRANT_REFUSED = "client.grant_refused", Error,
        "The provider does not let this client redeem authorization codes.",
        "Allow the authorization code grant (and, for long sessions, the refresh token grant) for this client at the provider.", "RFC 6749 §5.2", [];

    // ---- trying it out
    SIGN_IN_GOOD = "sign_in.good", Ok,
        "The provider knows this client and its redirect URI, and accepts the authorization request.", "", "OpenID Connect Core §3.1.2.6", [];
    SIGN_IN_PUSHED = "sign_in.pushed", Ok,
        "The provider accepts the pushed authorization request.", "", "RFC 9126 §2.2", [];
    SIGN_IN_NOT_TRIED = "sign_in.not_tried", Note,
        "Whether the provider knows this client, its redirect URI and its secret was not tried.", "", "", [];
    SIGN_IN_NOT_KNOWN = "sign_in.not_known", Note,
        "The provider does not say without asking a user whether it accepts the authorization request.",
        "Sign in with a browser once.", "OpenID Connect Core §3.1.2.1", [];
    SIGN_IN_REFUSED_AT_PROVIDER = "sign_in.refused_at_provider", Error,
        "The provider refuses the authorization request on a page of its own: it does not know the client, or not this redirect URI.",
        "Register the redirect URI at the provider, to the letter: scheme, host, port, path, no slash at the end; and compare the client id.", "RFC 6749 §4.1.2.1", [];
    SIGN_IN_REFUSED = "sign_in.refused", Error,
        "The provider refuses the authorization request.",
        "Compare redirect URI, scopes and parameters with the client's registration.", "RFC 6749 §4.1.2.1", [];
    SIGN_IN_REDIRECT_URI_LOOSE = "sign_in.redirect_uri_loose", Warning,
        "The provider sends its answers to redirect URIs that only begin like the registered one: a page of this application that redirects can leak codes.",
        "Register the whole redirect URI at the provider, without a wildcard, and have it compared to the letter.", "RFC 9700 §2.1, §4.1", [OAuth21, Rfc9700, Fapi2];
    SIGN_IN_PUSH_REFUSED = "sign_in.push_refused", Note,
        "The provider offers pushed authorization requests, and refuses this client's.",
        "Before `AUTH_PAR=always` is set, allow them for this client at the provider.", "RFC 9126 §2.3", [];
    SIGN_IN_ISS_WRONG = "sign_in.iss_wrong", Error,
        "The provider's answer does not name the issuer that it should: no sign-in can be finished.",
        "The provider has to send `iss` as it announces it, with the issuer of its discovery document.", "RFC 9207 §2.4", [OAuth21, Rfc9700, Fapi2];
    SIGN_IN_ANSWER_ODD = "sign_in.answer_odd", Error,
        "The provider's answer is none that a sign-in can be finished with.",
        "See what is between the provider and this application, and the provider's own log.", "RFC 6749 §4.1.2", [];
    SIGN_IN_UNAVAILABLE = "sign_in.unavailable", Error,
        "An endpoint that a sign-in needs is down, too slow or overloaded.",
        "The provider has to recover; its own log says why.", "", [];
    SIGN_IN_TOKEN_ODD = "sign_in.token_odd", Error,
        "The token endpoint answers with something that is no token response.",
        "See that the token endpoint is the provider's own and that nothing in between changes its answers.", "RFC 6749 §5.2", [];
}
