//! The pages speak the language of whoever sees them, on both frameworks.
#![allow(clippy::unwrap_used, reason = "tests")]

use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use auth_core::SignInProvider;
use auth_testing::{Guest, TestAuth};
use axum::Router;
use axum::body::to_bytes;
use axum::routing::any;
use tower::ServiceExt as _;
use translated::Language;

/// `Accept-Language`, and the language of the page.
const LANGUAGES: [(&str, Language); 8] = [
    ("de", Language::German),
    ("de-AT, de;q=0.9, en;q=0.8", Language::German),
    ("fr, DE-ch;q=0.7, en;q=0.3", Language::German),
    ("en-GB, de;q=0.9", Language::English),
    ("de;q=0.2, en;q=0.5", Language::English),
    ("de;q=0, *;q=0.5", Language::English),
    ("fr", Language::English),
    ("", Language::English),
];

/// What a page has to say, and what it must not.
struct Expected {
    /// A form is posted, and a page is opened.
    method: &'static str,
    path: &'static str,
    status: u16,
    german: &'static [&'static str],
    english: &'static [&'static str],
    absent: &'static [&'static str],
}

/// That a form was probably not carried out.
const UNSENT: [&str; 2] = [
    "<p>Was Sie abgeschickt haben, ist wahrscheinlich nicht ausgeführt worden.</p>",
    "<p>What you sent was probably not carried out.</p>",
];

const PAGES: [Expected; 4] = [
    Expected {
        method: "GET",
        path: "/auth/login?return_to=/orders",
        status: 200,
        german: &[
            "<h1>Anmelden</h1>",
            "Wählen Sie",
            "return_to=%2Forders",
            ">Bäcker &amp; &lt;Söhne&gt;</a>",
        ],
        english: &["<h1>Sign in</h1>", ">Bäcker &amp; &lt;Söhne&gt;</a>"],
        absent: &[],
    },
    // A code with a text of its own.
    Expected {
        method: "GET",
        path: "/unauthorized",
        status: 401,
        german: &[
            "Bitte melden Sie sich an",
            "Sie sind an der Reihe",
            "<a href=\"/auth/login?return_to=%2Funauthorized\">Anmelden</a>",
            "<code>session.none</code>",
        ],
        english: &["Please sign in", "It is your turn", "<code>session.none</code>"],
        absent: &UNSENT,
    },
    // A form that is refused says so besides.
    Expected {
        method: "POST",
        path: "/unauthorized",
        status: 401,
        german: &["Bitte melden Sie sich an", UNSENT[0], "<code>session.none</code>"],
        english: &["Please sign in", UNSENT[1], "<code>session.none</code>"],
        absent: &[],
    },
    // And a code without a text of its own.
    Expected {
        method: "GET",
        path: "/auth/login?provider=nobody",
        status: 404,
        german: &["Das ging nicht", "<code>provider.unknown</code>"],
        english: &["<code>provider.unknown</code>"],
        absent: &UNSENT,
    },
];

/// The application's users choose between two providers.
async fn auth() -> TestAuth {
    TestAuth::builder()
        .provider("bakery", SignInProvider::default().label("Bäcker & <Söhne>"))
        .provider("shop", SignInProvider::default())
        .build()
        .await
        .unwrap()
}

/// What a browser sends that opens a page, or posts a form of the application's own page.
fn headers(guest: &Guest, method: &str, accept_language: &str) -> Vec<(&'static str, String)> {
    let mut headers = guest.page_headers();
    headers.push(("accept-language", accept_language.to_owned()));
    if method == "POST" {
        headers.retain(|(name, _)| *name != "sec-fetch-site");
        headers.push(("sec-fetch-site", "same-origin".to_owned()));
        headers.push(("origin", "https://app.test".to_owned()));
        headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
    }
    headers
}

fn assert_says(expected: &Expected, language: Language, status: u16, tags: &str, body: &str) {
    let path = expected.path;
    assert_eq!(status, expected.status, "{path}: {body}");
    assert_eq!(tags, language.tag(), "{path}");
    let start = format!("<!doctype html><html lang=\"{}\">", language.tag());
    assert!(body.starts_with(&start), "{path}: {body}");
    let texts = match language {
        Language::German => expected.german,
        Language::English => expected.english,
    };
    for text in texts {
        assert!(body.contains(text), "{path} lacks {text}: {body}");
    }
    for text in expected.absent {
        assert!(!body.contains(text), "{path} has {text}: {body}");
    }
}

#[tokio::test]
async fn pages_are_translated_on_axum() {
    let test = auth().await;
    let auth = test.auth();
    let gate = auth_axum::require(auth_axum::Gate::signed_in().or_unauthorized());
    let app: Router = Router::new()
        .route("/unauthorized", any(async || "through").layer(gate))
        .merge(auth_axum::AuthExt::routes(&auth))
        .layer(translated::axum::layer(&auth));
    for expected in &PAGES {
        for (accept, language) in LANGUAGES {
            let mut request = axum::http::Request::builder()
                .method(expected.method)
                .uri(expected.path);
            for (name, value) in headers(&test.guest(), expected.method, accept) {
                request = request.header(name, value);
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            let (status, tag) = (
                answer.status().as_u16(),
                answer.headers()["content-language"].clone(),
            );
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            assert_says(
                expected,
                language,
                status,
                tag.to_str().unwrap(),
                &String::from_utf8_lossy(&body),
            );
        }
    }
}

#[actix_web::test]
async fn pages_are_translated_on_actix() {
    let test = auth().await;
    let auth = test.auth();
    let gate = auth_actix::require(auth_actix::Gate::signed_in().or_unauthorized());
    let app = init_service(
        App::new()
            .service(
                web::resource("/unauthorized")
                    .wrap(gate)
                    .route(web::route().to(async || "through")),
            )
            .configure(auth_actix::AuthExt::routes(&auth))
            .wrap(translated::actix::layer(&auth)),
    )
    .await;
    for expected in &PAGES {
        for (accept, language) in LANGUAGES {
            let method = Method::from_bytes(expected.method.as_bytes()).unwrap();
            let mut request = TestRequest::with_uri(expected.path).method(method);
            for header in headers(&test.guest(), expected.method, accept) {
                request = request.insert_header(header);
            }
            let answer = call_service(&app, request.to_request()).await;
            let (status, tag) = (
                answer.status().as_u16(),
                answer.headers().get("content-language").unwrap().clone(),
            );
            let body = read_body(answer).await;
            assert_says(
                expected,
                language,
                status,
                tag.to_str().unwrap(),
                &String::from_utf8_lossy(&body),
            );
        }
    }
}
