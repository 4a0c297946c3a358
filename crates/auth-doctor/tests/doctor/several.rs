//! Several providers: each is examined, and what is found says whose it is.

use auth_core::clock::TestClock;
use auth_doctor::{Depth, Finding, Paint, Report, Severity, Variables, examine};
use auth_testing::{Client, DevProvider, Endpoint, SigningAlgorithm};
use serde_json::{Value, json};

use crate::world::{BASE, KEY, SECRET, has, options};

const OTHER_SECRET: &str = "0ther-secret-of-the-shop-0123456789";

/// Two providers, `staff` and `old-shop`, and an application that is healthy with both.
struct Two {
    staff: DevProvider,
    shop: DevProvider,
    clock: TestClock,
    settings: Vec<(String, String)>,
}

impl Two {
    async fn start() -> Self {
        let clock = TestClock::new();
        let provider = |name: &'static str, secret: &'static str| {
            DevProvider::builder()
                .clock(clock.clock())
                .client(
                    Client::confidential("app", secret).redirect_uri(format!("{BASE}/auth/callback/{name}")),
                )
                .signing_algorithm(SigningAlgorithm::Es256)
                .start()
        };
        let staff = provider("staff", SECRET).await.unwrap();
        let shop = provider("old-shop", OTHER_SECRET).await.unwrap();
        let settings = [
            ("AUTH_PROVIDERS", "staff, old-shop"),
            ("AUTH_STAFF_ISSUER", staff.issuer()),
            ("AUTH_STAFF_CLIENT_ID", "app"),
            ("AUTH_STAFF_CLIENT_SECRET", SECRET),
            ("AUTH_OLD_SHOP_ISSUER", shop.issuer()),
            ("AUTH_OLD_SHOP_CLIENT_ID", "app"),
            ("AUTH_OLD_SHOP_CLIENT_SECRET", OTHER_SECRET),
            ("AUTH_BASE_URL", BASE),
            ("AUTH_SECRET", KEY),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            settings: settings.to_vec(),
            staff,
            shop,
            clock,
        }
    }

    /// Changes a setting; an empty value takes it away.
    fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(held, _)| held != name);
        if !value.is_empty() {
            self.settings.push((name.to_owned(), value.to_owned()));
        }
    }

    async fn examine(&self) -> Report {
        self.examine_to(Depth::Try).await
    }

    async fn examine_to(&self, depth: Depth) -> Report {
        let variables = Variables::of_table(self.settings.clone());
        examine(&variables, &options(depth, self.clock.clock())).await
    }
}

/// Everything that is worse than a note: whose it is, and the id.
fn complaints(report: &Report) -> Vec<(&str, &'static str)> {
    let found = report.findings.iter();
    found
        .filter(|finding| finding.severity <= Severity::Warning)
        .map(|finding| (whose(finding), finding.id))
        .collect()
}

fn whose(finding: &Finding) -> &str {
    finding.provider.as_deref().unwrap_or("all")
}

fn owners<'a>(report: &'a Report, id: &str) -> Vec<&'a str> {
    let found = report.findings.iter().filter(|finding| finding.id == id);
    found.map(whose).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_provider_is_tried_out_and_what_they_share_is_looked_at_once() {
    let two = Two::start().await;
    let report = two.examine().await;
    let text = report.text(Paint::Plain);
    assert_eq!(complaints(&report), [], "{text}");
    for id in ["sign_in.good", "client.good", "discovery.good", "keys.good"] {
        assert_eq!(owners(&report, id), ["staff", "old-shop"], "{id}: {text}");
    }
    for id in ["settings.good", "cookies.loopback", "store.memory", "secret.good"] {
        assert_eq!(owners(&report, id), ["all"], "{id}: {text}");
    }
    let redirect_uris: Vec<_> = report
        .providers
        .iter()
        .map(|subject| (subject.name.as_deref(), subject.redirect_uri.as_deref()))
        .collect();
    assert_eq!(
        redirect_uris,
        [
            (Some("staff"), Some("http://127.0.0.1:3000/auth/callback/staff")),
            (
                Some("old-shop"),
                Some("http://127.0.0.1:3000/auth/callback/old-shop")
            ),
        ]
    );
    assert_eq!(report.verdicts[1].fits, Some(true), "{text}");
    // Each is shown its own secret, and not the other's.
    for (provider, other) in [(&two.staff, OTHER_SECRET), (&two.shop, SECRET)] {
        let tokens = provider.control().requests(Endpoint::Token);
        assert_eq!(tokens.len(), 1);
        assert_ne!(tokens[0].form("client_secret"), Some(other));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_bad_is_found_and_named() {
    let mut two = Two::start().await;
    two.set("AUTH_OLD_SHOP_CLIENT_SECRET", "another-secret-0123456789");
    let report = two.examine().await;
    assert_eq!(complaints(&report), [("old-shop", "client.refused")]);
    assert_eq!(report.exit_code, 1);
    let text = report.text(Paint::Plain);
    let (staff, shop) = (
        text.find("\nProvider staff\n").unwrap(),
        text.find("\nProvider old-shop\n").unwrap(),
    );
    let refused = text.find("client.refused").unwrap();
    assert!(staff < shop && shop < refused, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let document: Value = serde_json::from_str(&report.json()).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let of = |id: &str| findings.iter().find(|finding| finding["id"] == id).unwrap();
    assert_eq!(of("client.refused")["provider"], "old-shop");
    assert_eq!(of("secret.good")["provider"], Value::Null);
    assert_eq!(document["providers"][0]["name"], "staff");
    assert_eq!(document["providers"][1]["provider"], two.shop.issuer());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_uri_without_the_providers_name_is_not_the_one_to_register() {
    let mut two = Two::start().await;
    two.set("AUTH_PROVIDERS", "staff,shop");
    for rest in ["ISSUER", "CLIENT_ID", "CLIENT_SECRET"] {
        let from = format!("AUTH_OLD_SHOP_{rest}");
        let value = two.settings.iter().find(|(name, _)| *name == from);
        let value = value.unwrap().1.clone();
        two.set(&format!("AUTH_SHOP_{rest}"), &value);
    }
    let report = two.examine().await;
    assert_eq!(complaints(&report), [("shop", "sign_in.refused_at_provider")]);
}

/// RFC 9207: with a second provider, answers have to say who they come from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_do_not_say_who_they_come_from_are_a_warning() {
    let two = Two::start().await;
    two.shop.control().tamper_discovery(|document| {
        document.remove("authorization_response_iss_parameter_supported");
    });
    let report = two.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), [("old-shop", "requests.mix_up")]);
    assert!(!has(&report, "requests.no_iss"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_settings_is_said_of_whom_it_concerns() {
    for (name, value, whose) in [
        ("AUTH_STAFF_SCOPES", "openid \"x\"", "staff"),
        ("AUTH_OLD_SHOP_ISSUER", "nonsense", "old-shop"),
        ("AUTH_OLD_SHOP_CLIENT_ID", "", "old-shop"),
        ("AUTH_OLD_SHOP_PAR", "sometimes", "old-shop"),
        ("AUTH_SESSION_IDLE", "soon", "all"),
        ("AUTH_ISSUER", "https://id.example", "all"),
        ("AUTH_CLIENT_SECRET", "a-secret-of-nobody", "all"),
        ("AUTH_PROVIDERS", "staff,old-shop,", "all"),
        ("AUTH_PROVIDERS", "old-shop,old_shop", "all"),
    ] {
        let mut two = Two::start().await;
        two.set(name, value);
        let report = two.examine_to(Depth::Settings).await;
        assert_eq!(
            owners(&report, "settings.invalid"),
            [whose],
            "{name}={value}: {:?}",
            report.findings
        );
        let invalid = report.findings.iter().find(|one| one.id == "settings.invalid");
        assert!(invalid.unwrap().detail.contains(name), "{name}: {invalid:?}");
        assert!(!report.json().contains("of-nobody"));
        assert!(!has(&report, "settings.good"));
    }
    // What both share is wrong for both; a name that is not listed has nobody to be wrong for.
    let mut two = Two::start().await;
    two.set("AUTH_RESPONSE_MODE", "fragment");
    two.set("AUTH_GUESTS_ISSUER", "nonsense");
    let report = two.examine_to(Depth::Settings).await;
    assert_eq!(owners(&report, "settings.invalid"), ["staff", "old-shop"]);
}

/// A setting without a name is every provider's that has none of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_is_shared_counts_for_each_that_has_none_of_its_own() {
    let mut two = Two::start().await;
    two.set("AUTH_SCOPES", "openid nonsense");
    two.set("AUTH_STAFF_SCOPES", "openid");
    let report = two.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), [("old-shop", "scopes.unknown")]);
}

/// A profile is one provider's; the application around it has to be what it demands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_of_one_makes_no_errors_of_what_another_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let mut two = Two::start().await;
    two.set("AUTH_OLD_SHOP_CLIENT_SECRET", "");
    two.set("AUTH_OLD_SHOP_CLIENT_KEY", key.to_str().unwrap());
    two.set("AUTH_OLD_SHOP_PROFILE", "fapi2_security");
    let report = two.examine_to(Depth::Read).await;
    assert_eq!(
        complaints(&report),
        [("all", "cookies.loopback"), ("old-shop", "tls.none")],
        "{}",
        report.text(Paint::Plain)
    );
    assert_eq!(owners(&report, "client.not_bound"), ["staff"]);
}

/// Whatever name it is under, no secret gets out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_providers_secret_is_printed() {
    let mut two = Two::start().await;
    // A provider that says back what it was shown.
    let shown = json!({ "error": "invalid_client", "error_description": format!("not {OTHER_SECRET}") });
    two.shop.control().fail(
        Endpoint::Token,
        auth_testing::Fault::body(401, "application/json", shown.to_string()),
    );
    two.set(
        "AUTH_STAFF_ISSUER",
        "http://app:p4ssword-of-staff@127.0.0.1:1/\u{1b}",
    );
    let report = two.examine().await;
    for text in [report.json(), report.text(Paint::Plain)] {
        for secret in [SECRET, OTHER_SECRET, "p4ssword"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// An issuer on the command line is examined alone, and is shown nobody's secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_issuer_takes_the_place_of_all_of_them() {
    let two = Two::start().await;
    let mut variables = Variables::of_table(two.settings.clone());
    variables.use_issuer(two.shop.issuer());
    variables.set("AUTH_CLIENT_ID", "app");
    let report = examine(&variables, &options(Depth::Try, two.clock.clock())).await;
    assert!(report.providers.is_empty());
    assert!(has(&report, "settings.other_issuer"), "{:?}", report.findings);
    assert_eq!(two.staff.control().all_requests().len(), 0);
    for (_, request) in two.shop.control().all_requests() {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.form("client_secret"), None);
    }
}

/// The application's own surroundings are nobody's fault in particular, and are looked at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_and_apis_are_looked_at_once() {
    let mut two = Two::start().await;
    two.set("API_URL", "http://127.0.0.1:1");
    two.set("AUTH_STORE", "redis://127.0.0.1:1");
    let report = two.examine_to(Depth::Read).await;
    assert_eq!(
        complaints(&report),
        [("all", "store.unreachable"), ("all", "api.unreachable")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assumed_base_url_is_the_same_for_all() {
    let mut two = Two::start().await;
    two.set("AUTH_BASE_URL", "");
    let report = two.examine().await;
    assert_eq!(complaints(&report), []);
    assert_eq!(owners(&report, "settings.base_url_assumed"), ["all"]);
    assert_eq!(owners(&report, "settings.good"), ["all"]);
    assert_eq!(owners(&report, "sign_in.good"), ["staff", "old-shop"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_of_another_origin_is_tried_out_there() {
    let mut two = Two::start().await;
    let origin = "http://shop.localhost:3000";
    two.set("AUTH_FURTHER_BASE_URLS", origin);
    two.set("AUTH_OLD_SHOP_ONLY_AT", origin);
    let redirect_uri = format!("{origin}/auth/callback/old-shop");
    let report = two.examine().await;
    assert_eq!(
        owners(&report, "sign_in.refused_at_provider"),
        ["old-shop"],
        "{}",
        report.text(Paint::Plain)
    );
    two.shop.control().add_redirect_uri("app", &redirect_uri);
    let report = two.examine().await;
    let text = report.text(Paint::Plain);
    assert_eq!(complaints(&report), [], "{text}");
    assert_eq!(owners(&report, "sign_in.good"), ["staff", "old-shop"], "{text}");
    assert_eq!(report.providers[1].redirect_uri, Some(redirect_uri));
    // One that the application does not have is a mistake in the settings.
    two.set("AUTH_OLD_SHOP_ONLY_AT", "http://elsewhere.localhost:3000");
    let report = two.examine().await;
    assert!(
        complaints(&report)
            .iter()
            .any(|(_, id)| *id == "settings.invalid")
    );
}
