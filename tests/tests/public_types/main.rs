//! No public type shows a secret in `Debug`, and no error in its text or in one of its causes.
//!
//! Every public type stands in one of two lists: a value of it, made with secrets that are known, is formatted here and searched; or it
//! is named in [`HOLDS_NO_SECRET`] with the reason. A new type that is in neither fails the test. That each type has a `Debug` is seen to by
//! the lint `missing_debug_implementations`, which is denied in the workspace.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod listing;
mod values;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;

use auth_tests::leaks::{Kind, Searcher};

const CRATES: [&str; 5] = [
    "auth-core",
    "auth-axum",
    "auth-actix",
    "auth-doctor",
    "auth-testing",
];

/// Types that need no value, each with what makes that so.
const HOLDS_NO_SECRET: &[(&str, &[&str])] = &[
    (
        "names of things, without a value from outside",
        &[
            "auth_core::Algorithm",
            "auth_core::AnswerBroken",
            "auth_core::AppData",
            "auth_core::AuthorizationErrorCode",
            "auth_core::BodyBroken",
            "auth_core::ClientAuthMethod",
            "auth_core::CrossSite",
            "auth_core::EndReason",
            "auth_core::EventKind",
            "auth_core::Explanation",
            "auth_core::Fault",
            "auth_core::IdTokenError",
            "auth_core::Inserted",
            "auth_core::InvalidProof",
            "auth_core::InvalidRequest",
            "auth_core::InvalidToken",
            "auth_core::JwsError",
            "auth_core::KeyKind",
            "auth_core::KeySetError",
            "auth_core::MissingCookie",
            "auth_core::NotASessionKey",
            "auth_core::NotSignedIn",
            "auth_core::ParPolicy",
            "auth_core::Profile",
            "auth_core::RequestKind",
            "auth_core::ResponseJwtError",
            "auth_core::ResponseMode",
            "auth_core::Setting",
            "auth_core::SetupError",
            "auth_core::SignError",
            "auth_core::TokenErrorCode",
            "auth_core::TokenType",
            "auth_core::Turn",
            "auth_core::UnsupportedAlgorithm",
            "auth_core::Upgrade",
            "auth_core::UrlError",
            "auth_core::UserinfoError",
            "auth_core::UserinfoPolicy",
            "auth_doctor::Check",
            "auth_doctor::Demands",
            "auth_doctor::Depth",
            "auth_doctor::Options",
            "auth_doctor::Paint",
            "auth_doctor::Profile",
            "auth_doctor::Severity",
            "auth_doctor::Summary",
            "auth_doctor::Verdict",
            "auth_testing::DpopNonces",
            "auth_testing::Endpoint",
            "auth_testing::OldKeys",
            "auth_testing::PublicKeyError",
            "auth_testing::SigningAlgorithm",
            "auth_testing::Versions",
        ],
    ),
    (
        "times, counts and random numbers that name a trace",
        &[
            "auth_core::Clock",
            "auth_core::ClockSkew",
            "auth_core::Lease",
            "auth_core::LeaseOwner",
            "auth_core::TestClock",
            "auth_core::Timestamp",
            "auth_core::TraceContext",
            "auth_testing::Hold",
            "auth_testing::HoldTimeout",
        ],
    ),
    (
        "settings and rules that the application's author wrote into its code",
        &[
            "auth_actix::Providers",
            "auth_actix::RequireLayer",
            "auth_actix::RequireService",
            "auth_axum::Providers",
            "auth_axum::RequireLayer",
            "auth_axum::RequireService",
            "auth_core::BaseUrl",
            "auth_core::ClientCredentials",
            "auth_core::BearerGate",
            "auth_core::Gate",
            "auth_core::Issuer",
            "auth_core::LookupError",
            "auth_core::NotAllowed",
            "auth_core::OnRefusal",
            "auth_core::Place",
            "auth_core::Preset",
            "auth_core::ProviderInfo",
            "auth_core::Refused",
            "auth_core::Scopes",
        ],
    ),
    (
        "what a gate or an API demands of a sign-in: names of scopes and of ways to sign in, which every browser is sent",
        &["auth_core::StepUp"],
    ),
    (
        "a path that the browser shows in its address bar",
        &["auth_core::ReturnTo", "auth_core::TryAgain"],
    ),
    (
        "four bytes of a hash that lets nobody in",
        &[
            "auth_core::AppDataKey",
            "auth_core::IndexKey",
            "auth_core::Notice",
            "auth_core::NoticeSender",
            "auth_core::Notices",
            "auth_core::OnceKey",
            "auth_core::SessionKey",
            "auth_core::UntilEnded",
        ],
    ),
    ("a connection, of which nothing is shown", &["auth_core::Tunnel"]),
    (
        "derived from a layer that is formatted here, and from the application's own service",
        &[
            "auth_actix::AppSessionService",
            "auth_actix::AuthService",
            "auth_actix::BearerService",
            "auth_axum::AppSessionService",
            "auth_axum::AuthService",
            "auth_axum::BearerService",
        ],
    ),
    (
        "shows the session alone, which is formatted here",
        &["auth_actix::SwitchSession", "auth_axum::SwitchSession"],
    ),
    (
        "handed out by no public function; `id_token::tests::debug_shows_issuer_and_subject_only` formats it",
        &["auth_core::IdTokenClaims"],
    ),
    (
        "what a test wrote itself, or the servers and keys of one",
        &[
            "auth_testing::ApproveError",
            "auth_testing::Fault",
            "auth_testing::HostileAnswer",
            "auth_testing::PostgresServer",
            "auth_testing::PostgresServerBuilder",
            "auth_testing::PublicKey",
            "auth_testing::ServerError",
            "auth_testing::StartError",
            "auth_testing::User",
            "auth_testing::Wire",
        ],
    ),
];

/// What has been formatted.
#[derive(Default)]
pub(crate) struct Shown {
    texts: Vec<(String, String)>,
}

impl Shown {
    /// Formats a value as `{:?}` and as `{:#?}`.
    pub(crate) fn value<T: Debug + ?Sized>(&mut self, value: &T) {
        let name = type_name::<T>();
        self.texts.push((name.clone(), format!("{value:?}")));
        self.texts.push((name, format!("{value:#?}")));
    }

    /// Formats an error and all its causes, as text and as `Debug`.
    pub(crate) fn error<E: Error + 'static>(&mut self, error: &E) {
        self.value(error);
        let name = type_name::<E>();
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            self.texts
                .push((name.clone(), format!("{error} {error:?} {error:#?}")));
            cause = error.source();
        }
    }

    fn names(&self) -> BTreeSet<String> {
        self.texts.iter().map(|(name, _)| name.clone()).collect()
    }

    fn assert_none_of(&self, secrets: &[String]) {
        let searcher = Searcher::new(secrets.iter().map(|secret| (Kind::Setting, secret.as_str())));
        let shown: Vec<_> = self
            .texts
            .iter()
            .filter_map(|(name, text)| Some((name, searcher.find(text, &[])?, text)))
            .collect();
        assert!(shown.is_empty(), "secrets are shown: {shown:#?}");
    }
}

/// `crate::Name`, without the modules between and without parameters.
fn type_name<T: ?Sized>() -> String {
    let whole = std::any::type_name::<T>();
    let path = whole.split('<').next().unwrap();
    let krate = path.split("::").next().unwrap();
    let name = path.rsplit("::").next().unwrap();
    format!("{krate}::{name}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_public_type_shows_a_secret() {
    let (shown, secrets) = values::shown().await;
    assert!(secrets.len() > 20, "only {} secrets to look for", secrets.len());
    shown.assert_none_of(&secrets);

    let public: BTreeSet<String> = CRATES.into_iter().flat_map(listing::public_types).collect();
    let excused: BTreeSet<String> = HOLDS_NO_SECRET
        .iter()
        .flat_map(|(_, names)| names.iter().map(|&name| name.to_owned()))
        .collect();
    let shown = shown.names();
    let known: BTreeSet<String> = shown.union(&excused).cloned().collect();
    let new: Vec<_> = public.difference(&known).collect();
    assert!(
        new.is_empty(),
        "public types that nobody has looked at: format a value in values.rs, or say why there is none: {new:#?}"
    );
    let gone: Vec<_> = excused.difference(&public).collect();
    assert!(gone.is_empty(), "excused, but there is no such type: {gone:?}");
    let both: Vec<_> = excused.intersection(&shown).collect();
    assert!(both.is_empty(), "excused, but formatted: {both:?}");
}

#[test]
fn the_lint_that_demands_debug_is_denied() {
    let manifest = std::fs::read_to_string(auth_tests::named_tests::workspace().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("missing_debug_implementations = \"deny\""));
}
