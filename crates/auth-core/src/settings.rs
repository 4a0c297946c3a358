//! Every setting, in one table: its methods, its variable, what it does, and the default from the constant that the code has.
//!
//! `docs/settings.md` and the README's short list are made of it, and tests hold it against the sources: a method of a
//! builder or a variable that is read and is in no row fails them, and so does a row of what is not there.

use std::time::Duration;

use crate::bearer::INTROSPECTION_KEPT;
use crate::config::{
    ATTEMPT_LIFETIME, CLOCK_TOLERANCE, HTTP_TIMEOUT, MAX_ATTEMPTS, POST_LOGOUT_REDIRECT, ParPolicy,
    ResponseMode, SESSION_IDLE, SESSION_MAX, STORE, UserinfoPolicy,
};
use crate::http::CONNECT_TIMEOUT;
use crate::metadata::{KEYS_FRESH, METADATA_FRESH, UNKNOWN_KEY_INTERVAL};
use crate::party::SCOPES;
use crate::proxy::{CSRF_HEADER, IDLE_TIMEOUT};
use crate::refresh::{LEASE, LEEWAY, WAIT_FOR_HOLDER};
use crate::roles::ROLES;

/// Settings that are made in one place.
struct Group {
    title: &'static str,
    about: &'static str,
    /// The types that have the methods, each with the crate that one finds it in.
    types: &'static [(&'static str, &'static str)],
    rows: Vec<Row>,
}

/// One setting.
struct Row {
    methods: &'static [&'static str],
    /// The one type of the group's that has them, where the others do not.
    only: Option<&'static str>,
    variables: &'static [&'static str],
    /// One line, with links as they are in the README.
    what: &'static str,
    /// What is given: its form, and its unit in code and in the variable.
    value: &'static str,
    default: String,
    /// Whether most people need it, so that the README names it.
    is_first: bool,
}

fn row(
    methods: &'static [&'static str],
    variables: &'static [&'static str],
    what: &'static str,
    value: &'static str,
    default: impl Into<String>,
) -> Row {
    Row {
        methods,
        only: None,
        variables,
        what,
        value,
        default: default.into(),
        is_first: false,
    }
}

impl Row {
    fn first(self) -> Self {
        Self {
            is_first: true,
            ..self
        }
    }

    fn only(self, name: &'static str) -> Self {
        Self {
            only: Some(name),
            ..self
        }
    }
}

/// What cannot be set: a limit, what it is, and where it comes from.
fn fixed() -> Vec<(&'static str, String)> {
    vec![
        (
            "how far apart the clocks of the app and of the provider may be",
            length(CLOCK_TOLERANCE),
        ),
        (
            "how long a sign-in may take, from the redirect to the callback",
            length(ATTEMPT_LIFETIME),
        ),
        (
            "sign-ins that one browser may have open; the oldest goes",
            MAX_ATTEMPTS.to_string(),
        ),
        (
            "what is left of an access token when its refresh begins in the background, at most a quarter of its life",
            length(LEEWAY),
        ),
        (
            "how long an instance that refreshes holds the record, renewed while it works",
            length(LEASE),
        ),
        (
            "how long a request waits for the instance that refreshes",
            length(WAIT_FOR_HOLDER),
        ),
        (
            "how long a discovery document is fresh; it is fetched again behind the requests",
            length(METADATA_FRESH),
        ),
        ("how long a provider's keys are fresh", length(KEYS_FRESH)),
        (
            "how often keys are fetched for one that is not known",
            format!("once in {}", length(UNKNOWN_KEY_INTERVAL)),
        ),
        (
            "how long connecting to the provider or an API may take",
            length(CONNECT_TIMEOUT),
        ),
    ]
}

/// `8 hours`, and how many seconds that is where it is a minute or more.
fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (count, unit) = match seconds {
        0..=119 => return format!("{seconds} seconds"),
        _ if seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} (`{seconds}`)")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

const UNSET: &str = "unset";
const REQUIRED: &str = "required";

fn groups() -> Vec<Group> {
    vec![
        application(),
        provider(),
        further(),
        resource_server(),
        proxy(),
        stores(),
        layers(),
    ]
}

fn application() -> Group {
    Group {
        title: "The application",
        about: "Of the whole application, however many providers it has.",
        types: &[("auth-core", "AuthBuilder")],
        rows: vec![
            row(&["base_url"], &["AUTH_BASE_URL"], "the app's own public origin; the redirect URI to register is `{AUTH_BASE_URL}/auth/callback`, the post-logout one `{AUTH_BASE_URL}/`", "an origin, `https://app.example`", "required (the example apps: the address listened on)").first(),
            row(&["further_base_url"], &["AUTH_FURTHER_BASE_URLS"], "further public origins of the app: the same scheme, and a host of its own each. See [a host for each tenant](#a-host-for-each-tenant)", "an origin, called for each; the variable: separated by commas", UNSET),
            row(&["provider"], &["AUTH_PROVIDERS"], "several providers to sign in with, each under a name. See [several providers](#several-providers)", "a name of letters, digits, `-`, `_`, 64 at most, and a `SignInProvider`; the variable: names separated by commas", "unset: one provider").first(),
            row(&["providers_from"], &[], "looks providers up by name while the application runs, one for each tenant", "an async function of the name", "none is looked up"),
            row(&["choose_provider"], &[], "chooses the provider of a sign-in by the place that it leads back to", "a function of the `Place`", "the user chooses"),
            row(&["further_provider"], &[], "a provider that nobody signs in with, for token exchange and other grants there", "a name and a `FurtherProvider`", "none"),
            row(&["store"], &[], "where sessions are kept, opened already or one of the app's own", "a `SessionStore`", "as `store_url`"),
            row(&["store_url"], &["AUTH_STORE"], "where sessions are kept: `memory:`, `sqlite:PATH`, `redis://…`, `rediss://…` or `postgres://…` (the last three with the features `redis`, `postgres`)", "a URL", code(STORE)).first(),
            row(&["secret"], &["AUTH_SECRET"], "key for cookies and for tokens at rest (`openssl rand -hex 32`); of several the first seals and all open; several instances change keys in [two rounds](docs/deployment.md#keys-and-how-to-change-them)", "64 or more hex digits; several separated by commas", "random at each start, with a warning: sessions end with the process").first(),
            row(&["session_idle"], &["AUTH_SESSION_IDLE"], "how long without a request a session lives", "a `Duration` of a second or more; the variable: whole seconds", length(SESSION_IDLE)).first(),
            row(&["session_max"], &["AUTH_SESSION_MAX"], "how long a session lives in all", "a `Duration` of a second or more; the variable: whole seconds", length(SESSION_MAX)).first(),
            row(&["api", "other_api"], &["API_URL", "API2_URL"], "APIs that may be shown a token; the first `api` is the base of relative URLs", "base URLs, https or loopback", UNSET).first(),
            row(&["http_timeout"], &["HTTP_TIMEOUT_SECS"], "limit for one call of the provider or an API, in all", "a `Duration` of a second or more; the variable: whole seconds", length(HTTP_TIMEOUT)),
            row(&["ca_pem"], &["AUTH_CA_FILE"], "extra roots for calls to the provider and the APIs; the system's are always used", "PEM; the variable: the path of a file", UNSET),
            row(&["post_logout_redirect"], &[], "the page of this app that a sign-out ends on; registered at the provider with the origin in front", "a path of this app, with a query perhaps", code(POST_LOGOUT_REDIRECT)),
            row(&["trusted_proxies"], &["AUTH_TRUSTED_PROXIES"], "proxies whose `X-Forwarded-For` is believed, for the list of a user's sessions alone (on axum with `into_make_service_with_connect_info::<SocketAddr>()`)", "addresses and networks, separated by commas", "none"),
            row(&["on_sign_in"], &[], "shapes what a session keeps of a sign-in, or refuses the user", "an async function of the `SignIn`", "the ID token's claims are kept"),
            row(&["session_view"], &[], "changes what `GET /auth/session` shows", "a function of the `Session` and the usual answer", "the usual answer"),
            row(&["on_event"], &[], "is told of everything that happens to sign-ins and sessions, for an audit log", "a function of the `Event`, called for each", "nobody is told"),
            row(&["problems_for_signed_out_forms"], &[], "answers a form that a person sends without being signed in with 401 `application/problem+json`", "nothing", "a page with a button that signs in"),
            row(&["share_machine_tokens"], &[], "keeps the application's own tokens in the store, sealed, for all instances", "nothing", "each instance has its own"),
            row(&["clock"], &[], "the clock, for tests", "a `Clock`", "the system's"),
            row(&["runtime"], &[], "the runtime of refreshes and sign-ins, which has to outlive the requests", "a tokio `Handle`", "the one that `build` is called on"),
        ],
    }
}

fn provider() -> Group {
    Group {
        title: "A provider, and this client's registration there",
        about: "On `AuthBuilder` for the one provider; on `SignInProvider` for each of several, whose variables have its name in them, \
                `AUTH_ACME_ISSUER` ([several providers](#several-providers)).",
        types: &[("auth-core", "AuthBuilder"), ("auth-core", "SignInProvider")],
        rows: vec![
            row(&["issuer"], &["AUTH_ISSUER"], "OpenID Connect issuer, to the byte; endpoints come from discovery", "a URL, https or loopback", "required, or `endpoints` (the example apps: the development provider)").first(),
            row(&["preset"], &[], "what one of the providers in [docs/providers](docs/providers/README.md) asks for", "a `Preset`", "none"),
            row(&["endpoints"], &["AUTH_AUTHORIZATION_URL", "AUTH_TOKEN_URL"], "a plain OAuth 2.0 provider, without discovery and ID tokens", "two URLs", UNSET).first(),
            row(&["client"], &["AUTH_CLIENT_ID", "AUTH_CLIENT_SECRET"], "the client's registration: its id, and its secret if it has one", "two texts", "required; without a secret a public client").first(),
            row(&["client_auth"], &["AUTH_CLIENT_AUTH"], "how the client authenticates", "a `ClientAuthMethod`; the variable: `client_secret_basic`, `client_secret_post`, `private_key_jwt`, `tls_client_auth`, `self_signed_tls_client_auth`, `none`", "`client_secret_basic`, or `none` without a secret"),
            row(&["client_key_pem"], &["AUTH_CLIENT_KEY"], "private key for `private_key_jwt` and signed requests; of several the first signs", "PKCS#8 PEM (RSA of 2048 bits or more, P-256, Ed25519); the variable: the path of a file", UNSET),
            row(&["client_certificate_pem"], &["AUTH_CLIENT_CERT"], "the client's certificate, its own first, then those that vouch for it (mutual TLS, RFC 8705); its private key is in the same file, or else `AUTH_CLIENT_KEY`", "PEM; the variable: the path of a file", UNSET),
            row(&["certificate_bound_tokens"], &["AUTH_CERT_BOUND_TOKENS"], "access tokens are bound to the client's certificate, which the APIs see too (RFC 8705 §3); a provider that does not bind them cannot be used", "the variable: `true` or `false`", code("false")),
            row(&["decryption_key_pem"], &["AUTH_DECRYPTION_KEY"], "private key that decrypts ID tokens, signed userinfo answers, signed authorization responses and logout tokens; several while keys change", "PKCS#8 PEM (RSA of 2048 bits or more, P-256); the variable: the path of a file", "unset: what is encrypted is refused"),
            row(&["scopes"], &["AUTH_SCOPES"], "scopes to ask for", "separated by spaces", code(SCOPES)).first(),
            row(&["authorize_param"], &["AUTH_AUTHORIZE_PARAMS"], "extra authorization request parameters; the library's own are refused", "name and value, called for each; the variable: a query string", UNSET),
            row(&["claims"], &[], "single claims to ask for (`claims`, OpenID Connect Core §5.5)", "a JSON object", UNSET),
            row(&["authorization_details"], &[], "what the access token is to be good for in detail (RFC 9396)", "a JSON array", UNSET),
            row(&["resource"], &["AUTH_RESOURCE"], "resource indicators (RFC 8707)", "a URI, called for each; the variable: separated by commas", UNSET),
            row(&["roles_claims"], &["AUTH_ROLES_CLAIM"], "where the provider puts roles: names of claims (`groups`) or JSON pointers (`/realm_access/roles`, `/resource_access/{client_id}/roles`)", "a list; the variable: separated by commas", format!("the claim `{ROLES}`")).first(),
            row(&["profile"], &["AUTH_PROFILE"], "a security profile; it switches on what [the profile](docs/profiles.md) demands, and refuses what contradicts it", "a `Profile`; the variable: `fapi2_security` or `fapi2_message_signing`", UNSET),
            row(&["dpop"], &["AUTH_DPOP"], "the tokens of every session are bound to a key of its own (DPoP, RFC 9449); a sign-in with other tokens fails. The APIs have to take `Authorization: DPoP`", "the variable: `true` or `false`", code("false")),
            row(&["par"], &["AUTH_PAR"], "whether authorization requests are pushed to the provider first (RFC 9126): `auto`, where its discovery document demands it; `always`; `never`", "a `ParPolicy`; the variable: `auto`, `always`, `never`", code(par(ParPolicy::default()))),
            row(&["response_mode"], &["AUTH_RESPONSE_MODE"], "how the answer comes back: `query`; `form_post`; `jwt`: signed by the provider (JARM, `query.jwt`)", "a `ResponseMode`; the variable: `query`, `form_post`, `jwt`", code(ResponseMode::default().as_str())),
            row(&["sign_requests"], &["AUTH_REQUEST_OBJECT"], "authorization requests are signed with the client's key (JAR, RFC 9101)", "the variable: `none` or `signed`", code("none")),
            row(&["userinfo"], &["AUTH_USERINFO"], "whether the userinfo endpoint is asked once at sign-in, where there is one", "a `UserinfoPolicy`; the variable: `always` or `never`", code(userinfo(UserinfoPolicy::default()))),
            row(&["id_token_algorithms"], &["AUTH_ID_TOKEN_ALG"], "signature algorithms allowed on ID tokens", "`RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`; the variable: separated by commas", "those that the provider advertises, less `none` and `HS*`"),
            row(&["user_from_access_token"], &[], "takes the user of a plain OAuth 2.0 provider from the access token, a JWT that is verified (RFC 9068 §4)", "the token's issuer, the URL of its keys, its audience", "userinfo, or else introspection, says who the user is"),
            row(&["dangerous_user_from_unverified_access_token"], &[], "**believes whatever the access token says, without any check**; its documentation says what that lets in", "nothing", "off"),
            row(&["userinfo_url", "revocation_url", "introspection_url"], &["AUTH_USERINFO_URL", "AUTH_REVOCATION_URL", "AUTH_INTROSPECTION_URL"], "endpoints that discovery does not name; who a plain OAuth 2.0 user is comes from userinfo, or else from introspection", "URLs", "from discovery"),
            row(&["pushed_authorization_request_url"], &[], "the endpoint for pushed requests (RFC 9126), where discovery does not name it", "a URL", "from discovery"),
            row(&["end_session_url"], &["AUTH_END_SESSION_URL"], "the provider's sign-out, where discovery does not name it", "a URL", "from discovery"),
            row(&["end_session_parameter"], &["AUTH_END_SESSION_PARAM"], "for a sign-out that is not RP-Initiated Logout: the parameter that takes the address to come back to, `logout_uri` for example", "a name", UNSET),
            row(&["provider_api"], &[], "the provider's own API (SCIM, a directory), which may be shown its users' tokens, and is the base of relative URLs where no `api` is", "a base URL", UNSET),
            row(&["label"], &["AUTH_LABEL"], "what people know the provider by, on the page to choose one of several on", "a few words", "its name").only("SignInProvider"),
            row(&["only_at"], &["AUTH_ONLY_AT"], "those of the app's origins that users of this provider sign in at", "an origin, called for each; the variable: separated by commas", "all"),
        ],
    }
}

fn further() -> Group {
    Group {
        title: "A provider that nobody signs in with",
        about: "For `AuthBuilder::further_provider`: token exchange and other grants there.",
        types: &[("auth-core", "FurtherProvider")],
        rows: vec![
            row(
                &["issuer", "token_endpoint"],
                &[],
                "where it is: by discovery, or by its token endpoint",
                "a URL",
                REQUIRED,
            ),
            row(
                &["client"],
                &[],
                "the client's registration there",
                "its id, and its secret if it has one",
                REQUIRED,
            ),
            row(
                &["client_auth"],
                &[],
                "how the client authenticates there",
                "a `ClientAuthMethod`",
                "`client_secret_basic`, or `none` without a secret",
            ),
            row(
                &["client_key_pem"],
                &[],
                "private key for `private_key_jwt`",
                "PKCS#8 PEM",
                UNSET,
            ),
            row(
                &["client_certificate_pem"],
                &[],
                "the client's certificate there",
                "PEM",
                UNSET,
            ),
            row(
                &["certificate_bound_tokens"],
                &[],
                "its tokens are bound to the certificate (RFC 8705 §3)",
                "nothing",
                "they are not",
            ),
            row(
                &["dpop"],
                &[],
                "its tokens are bound to a key (RFC 9449)",
                "nothing",
                "they are bearer tokens",
            ),
        ],
    }
}

fn resource_server() -> Group {
    Group {
        title: "A resource server: the tokens of an API's callers",
        about: "Begun by `Auth::resource_server`, which brings the `Auth`'s provider along, or by `ResourceServer::builder`.",
        types: &[("auth-core", "ResourceServerBuilder")],
        rows: vec![
            row(
                &["issuer", "issuer_with_keys"],
                &[],
                "issuers whose JWTs are trusted: keys by discovery, or at a URL given by hand",
                "a URL, called for each",
                "that of the `Auth`",
            ),
            row(
                &["audience"],
                &[],
                "names of this resource, one of which has to be in `aud` (RFC 9068 §4)",
                "a text, called for each",
                REQUIRED,
            ),
            row(
                &["algorithms"],
                &[],
                "signature algorithms that a JWT may have",
                "`Algorithm`s",
                "all that `Algorithm` names; none is symmetric",
            ),
            row(
                &["declared_types_only"],
                &[],
                "accepts only JWTs whose header says `at+jwt` (RFC 9068 §2.1)",
                "nothing",
                "also `JWT` or nothing, where nothing else speaks against an access token",
            ),
            row(
                &["introspection", "introspection_of_provider"],
                &[],
                "looks up tokens that are no signed JWTs (RFC 7662)",
                "a URL and an `IntrospectionClient`; or the `Auth`'s",
                "nobody is asked, unless the `Auth` has an introspection endpoint set by hand",
            ),
            row(
                &["introspection_kept"],
                &[],
                "how long it is believed that an introspected token is active",
                "a `Duration`; zero asks each time",
                length(INTROSPECTION_KEPT),
            ),
            row(
                &["introspection_needs_audience"],
                &[],
                "refuses an introspected token whose answer has no `aud`",
                "nothing",
                "`aud` is checked where it is there",
            ),
            row(
                &["dpop"],
                &[],
                "accepts tokens that are bound to a key (RFC 9449), at this address",
                "the server's public URL",
                "the `Auth`'s base URL; without one, bound tokens are refused",
            ),
            row(
                &["dpop_store"],
                &[],
                "where proofs are remembered",
                "a `SessionStore`",
                "the `Auth`'s, or each process its own",
            ),
            row(
                &["dpop_nonces"],
                &[],
                "demands a nonce of this server in every proof (RFC 9449 §9)",
                "nothing",
                "no nonce is demanded",
            ),
            row(
                &["secret"],
                &[],
                "keys that nonces are sealed with",
                "`SecretKeys`",
                "the `Auth`'s, or random for this process",
            ),
            row(
                &["realm"],
                &[],
                "the `realm` of challenges (RFC 9110 §11.5)",
                "a text",
                "none",
            ),
            row(
                &["ca_pem"],
                &[],
                "extra roots for requests to issuers",
                "PEM",
                "none",
            ),
            row(
                &["http_timeout"],
                &[],
                "limit for one request to an issuer, in all",
                "a `Duration` of a second or more",
                length(HTTP_TIMEOUT),
            ),
            row(
                &["clock"],
                &[],
                "the clock, for tests",
                "a `Clock`",
                "the `Auth`'s, or the system's",
            ),
            row(
                &["runtime"],
                &[],
                "the runtime of requests to issuers",
                "a tokio `Handle`",
                "the `Auth`'s, or the one that `build` is called on",
            ),
        ],
    }
}

fn proxy() -> Group {
    Group {
        title: "A proxy to an API",
        about: "For `AuthExt::proxy` of both adapters.",
        types: &[("auth-core", "Proxy")],
        rows: vec![
            row(
                &["to_api", "to"],
                &[],
                "where to: the first API, or a base URL of its own",
                "nothing, or a URL",
                REQUIRED,
            ),
            row(
                &["for_audience", "exchanging"],
                &[],
                "shows the upstream a token that the user's is exchanged for (RFC 8693)",
                "an audience, or a `TokenExchange`",
                "the user's own token",
            ),
            row(
                &["csrf_header"],
                &[],
                "the header that every request has to bring, with the value `1`",
                "a header's name",
                code(CSRF_HEADER),
            ),
            row(
                &["methods"],
                &[],
                "methods that are forwarded",
                "a list",
                "all but `TRACE` and `CONNECT`, which never are",
            ),
            row(
                &["set_header", "leave_out"],
                &[],
                "a header that the upstream gets from here, or one that stays behind both ways",
                "a header's name, and a value",
                "headers go on, but for cookies, credentials and those of one connection",
            ),
            row(
                &["first_byte_timeout"],
                &[],
                "how long the upstream may take to begin its answer; then 502",
                "a `Duration`",
                "`http_timeout`",
            ),
            row(
                &["idle_timeout"],
                &[],
                "how long a body may stand still, up or down",
                "a `Duration`",
                length(IDLE_TIMEOUT),
            ),
            row(
                &["max_request_body"],
                &[],
                "largest body of a request; beyond it 413",
                "bytes",
                "no limit",
            ),
            row(
                &["max_concurrent"],
                &[],
                "requests under way at once; beyond it 503",
                "a number",
                "no limit",
            ),
        ],
    }
}

fn stores() -> Group {
    Group {
        title: "The session stores",
        about: "What `AUTH_STORE` opens, in `auth_core::store`. A store has no settings but where it is.",
        types: &[
            ("auth-core", "MemoryStore"),
            ("auth-core", "SqliteStore"),
            ("auth-core", "RedisStore"),
            ("auth-core", "PostgresStore"),
        ],
        rows: vec![
            row(&["new"], &[], "sessions of this process, which end with it", "`memory:`", "the default").only("MemoryStore"),
            row(&["open"], &[], "an SQLite file, made where it is not there (feature `sqlite`)", "`sqlite:PATH`; the directory has to exist", "–").only("SqliteStore"),
            row(&["open"], &[], "a Redis server, 6.0 or later (feature `redis`); `?protocol=resp2` for a proxy that does not know RESP3", "`redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…` for TLS, `redis+unix:///PATH[?db=DATABASE]`", "port 6379, database 0").only("RedisStore"),
            row(&["open"], &[], "a PostgreSQL database, 14 or later (feature `postgres`); `?sslmode=verify-full` across a network, `?statement-cache-capacity=0` for old PgBouncers", "`postgres://ROLE:PASSWORD@HOST:PORT/DATABASE`", "what is left out comes from `PGHOST`, `PGUSER`, `PGPASSWORD` and their like; `sslmode=prefer`").only("PostgresStore"),
            row(&["migrate"], &[], "makes the tables with the owner's role, where the application's may not", "the owner's URL", "`open` makes them").only("PostgresStore"),
        ],
    }
}

fn layers() -> Group {
    Group {
        title: "The adapters' layer",
        about: "On what `auth.layer()` gives, in `auth-axum` and `auth-actix`.",
        types: &[("auth-axum", "AuthLayer"), ("auth-actix", "AuthLayer")],
        rows: vec![
            row(
                &["error_page"],
                &[],
                "pages of the app's own in the place of the library's pages of failures",
                "a function of the `Failure` and the request",
                "the library's pages",
            ),
            row(
                &["choice_page"],
                &[],
                "a page of the app's own to choose a provider on",
                "a function of the `SignInChoices` and the request",
                "the library's page",
            ),
            row(
                &["in_tower_session", "in_actix_session"],
                &[],
                "carries the identifier in the app's own framework session (features `tower-sessions`, `actix-session`)",
                "nothing",
                "a cookie of the library's own",
            ),
        ],
    }
}

const fn par(policy: ParPolicy) -> &'static str {
    match policy {
        ParPolicy::Auto => "auto",
        ParPolicy::Always => "always",
        ParPolicy::Never => "never",
    }
}

const fn userinfo(policy: UserinfoPolicy) -> &'static str {
    match policy {
        UserinfoPolicy::Always => "always",
        UserinfoPolicy::Never => "never",
    }
}

mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Group, Row, code, fixed, groups};
    use crate::AuthBuilder;

    /// Public methods that set nothing.
    const NO_SETTINGS: [(&str, &str); 9] = [
        ("AuthBuilder", "build"),
        ("AuthBuilder", "from_env"),
        ("AuthBuilder", "from_variables"),
        // With the feature `testing`, for `auth-testing`.
        ("AuthBuilder", "test_network"),
        ("ResourceServerBuilder", "build"),
        ("ResourceServerBuilder", "test_network"),
        ("Proxy", "target"),
        ("MemoryStore", "len"),
        ("MemoryStore", "is_empty"),
    ];

    const MARKERS: [&str; 2] = [
        "<!-- settings: made from crates/auth-core/src/settings.rs -->\n",
        "<!-- /settings -->\n",
    ];

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn sources(directory: &Path, texts: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, texts);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(&path).expect("a source"));
            }
        }
    }

    /// The names of the public functions in `impl <name> {` of a crate. rustfmt has formatted the sources: the block ends at the
    /// first brace that begins a line, and its functions are indented by four.
    fn functions(of_crate: &str, name: &str) -> BTreeSet<String> {
        let mut texts = Vec::new();
        sources(&workspace().join("crates").join(of_crate).join("src"), &mut texts);
        let begin = format!("impl {name} {{\n");
        (texts.iter())
            .flat_map(|text| text.split(&begin).skip(1))
            .flat_map(|rest| rest.split("\n}\n").next().unwrap_or_default().lines())
            .filter_map(|line| {
                let line = line.strip_prefix("    pub ")?;
                let line = line.strip_prefix("const ").unwrap_or(line);
                let line = line.strip_prefix("async ").unwrap_or(line);
                line.strip_prefix("fn ")?.split(['(', '<']).next()
            })
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_method_of_a_builder_is_in_the_table_and_nothing_else() {
        let mut listed = BTreeSet::new();
        let mut types = BTreeSet::new();
        for group in groups() {
            types.extend(group.types.iter().copied());
            for row in &group.rows {
                for (of_crate, name) in group.types {
                    // The adapters name this one after their framework's crate.
                    let is_of = |method: &str| match method {
                        "in_tower_session" => *of_crate == "auth-axum",
                        "in_actix_session" => *of_crate == "auth-actix",
                        _ => row.only.is_none_or(|only| only == *name),
                    };
                    let methods = row.methods.iter().filter(|method| is_of(method));
                    listed.extend(methods.map(|method| (*of_crate, *name, (*method).to_owned())));
                }
            }
        }
        let mut there = BTreeSet::new();
        for (of_crate, name) in types {
            let found = functions(of_crate, name);
            assert!(!found.is_empty(), "{of_crate}: {name}");
            there.extend(found.into_iter().map(|method| (of_crate, name, method)));
        }
        there.retain(|(_, name, method)| !NO_SETTINGS.contains(&(name, method.as_str())));
        let missing: Vec<_> = there.difference(&listed).collect();
        let unknown: Vec<_> = listed.difference(&there).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "in no row: {missing:?}; not there: {unknown:?}"
        );
    }

    #[test]
    fn every_variable_that_is_read_is_in_the_table_once_and_nothing_else() {
        let mut asked = BTreeSet::new();
        let read = AuthBuilder::from_variables(|name| {
            asked.insert(name.to_owned());
            Ok(None)
        });
        assert!(read.is_ok(), "nothing is set, and nothing is wrong");
        let mut listed = BTreeSet::new();
        for variable in groups()
            .iter()
            .flat_map(|group| &group.rows)
            .flat_map(|row| row.variables)
        {
            assert!(listed.insert((*variable).to_owned()), "{variable} is in two rows");
        }
        assert_eq!(listed, asked);
    }

    #[test]
    fn the_documentation_lists_every_setting() {
        let groups = groups();
        let page = groups.iter().map(section).collect::<String>() + &fixed_limits();
        check("docs/settings.md", &page);
        let first = groups
            .iter()
            .flat_map(|group| &group.rows)
            .filter(|row| row.is_first);
        let table = first.map(in_readme).collect::<String>();
        check(
            "README.md",
            &format!(
                "\n| variable | what it does | value, unit | default |\n| --- | --- | --- | --- |\n{table}\n"
            ),
        );
    }

    /// Compares what is between the markers of a page, or writes it.
    fn check(file: &str, expected: &str) {
        let path = workspace().join(file);
        let found = fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = found.split_once(MARKERS[0]).expect("the first marker");
        let (between, after) = rest.split_once(MARKERS[1]).expect("the second marker");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = [before, MARKERS[0], expected, MARKERS[1], after].concat();
            fs::write(&path, text).expect("it can be written");
            return;
        }
        assert!(
            between == expected,
            "{file} is not what the code says; write it anew with\n\
             UPDATE_DOCS=1 cargo test -p auth-core --all-features --lib the_documentation_lists_every_setting"
        );
    }

    fn section(group: &Group) -> String {
        let has_variables = group.rows.iter().any(|row| !row.variables.is_empty());
        let mut text = format!("\n## {}\n\n{}\n\n", group.title, from_docs(group.about));
        text += match has_variables {
            true => {
                "| method | variable | what it does | value, unit | default |\n| --- | --- | --- | --- | --- |\n"
            }
            false => "| method | what it does | value, unit | default |\n| --- | --- | --- | --- |\n",
        };
        for row in &group.rows {
            let methods = row.methods.iter().map(|method| match row.only {
                Some(only) => code(&format!("{only}::{method}")),
                None => code(method),
            });
            let methods = methods.collect::<Vec<_>>().join(", ");
            let variables = match (has_variables, row.variables.is_empty()) {
                (false, _) => String::new(),
                (true, true) => " – |".to_owned(),
                (true, false) => format!(" {} |", variables(row)),
            };
            let (what, default) = (from_docs(row.what), &row.default);
            writeln!(
                text,
                "| {methods} |{variables} {what} | {} | {default} |",
                row.value
            )
            .expect("a string takes it");
        }
        text
    }

    fn fixed_limits() -> String {
        let mut text = "\n## What is fixed\n\n| what | how much |\n| --- | --- |\n".to_owned();
        for (what, limit) in fixed() {
            writeln!(text, "| {what} | {limit} |").expect("a string takes it");
        }
        text + "\n"
    }

    fn in_readme(row: &Row) -> String {
        format!(
            "| {} | {} | {} | {} |\n",
            variables(row),
            row.what,
            row.value,
            row.default
        )
    }

    fn variables(row: &Row) -> String {
        row.variables
            .iter()
            .map(|name| code(name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Links that are written for the README, as seen from `docs`.
    fn from_docs(text: &str) -> String {
        text.replace("](#", "](../README.md#").replace("](docs/", "](")
    }
}
