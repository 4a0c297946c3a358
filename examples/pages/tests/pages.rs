//! What holds on every page, and what each one says.

mod samples;

use std::time::Duration;

use example_pages::{
    Call, Dashboard, DevProvider, Home, LINKS, Organization, Person, Profile, SIGNED_OUT, STYLE, SignedIn,
    TokenLife, dashboard, home, profile,
};
use samples::{ALICE, LIFE, NOW, Values, pages};

/// Breaks out of text, of both kinds of attribute, of comments, and of the style element.
const HOSTILE: &str = r#""'><script>alert(1)</script><img src=x onerror=alert(1)>--></style>&lt;"#;
const HOSTILE_ESCAPED: &str = "&quot;'&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;--&gt;&lt;/style&gt;&amp;lt;";

#[test]
fn hostile_values_are_escaped_in_every_field() {
    let harmless = pages(Values::all("harmless"));
    for ((name, hostile), (_, harmless)) in pages(Values::all(HOSTILE)).into_iter().zip(harmless) {
        assert!(
            !hostile.contains("<script") && !hostile.contains("<img"),
            "{name}: {hostile}"
        );
        // Every place that showed the harmless text shows the hostile one, escaped.
        assert_eq!(
            hostile.matches(HOSTILE_ESCAPED).count(),
            harmless.matches("harmless").count(),
            "{name}"
        );
        assert_eq!(tags(&hostile), tags(&harmless), "{name}: a value became markup");
    }
}

#[test]
fn every_field_of_a_page_is_shown() {
    // One distinct text per field; `fields` are those that the page has.
    let all = Values {
        name: "f-name",
        given_name: "f-given",
        family_name: "f-family",
        email: "f-email",
        subject: "f-subject",
        issuer: "f-issuer",
        scope: "f-scope",
        organization: "f-organization",
        url: "f-url",
        notice: "f-notice",
        about: "f-about",
        detail: "f-detail",
    };
    let fields: &[(&str, &[&str])] = &[
        ("home-signed-out", &["f-notice", "f-issuer", "f-name", "f-about"]),
        (
            "home-signed-in",
            &[
                "f-name",
                "f-email",
                "f-subject",
                "f-issuer",
                "f-scope",
                "f-detail",
            ],
        ),
        (
            "profile",
            &[
                "f-given’s access token",
                "f-email",
                "f-given",
                "f-family",
                "f-url",
            ],
        ),
        (
            "dashboard",
            &[
                "f-given’s",
                "f-email",
                "f-family",
                "f-organization",
                "f-detail",
                "f-url",
            ],
        ),
    ];
    let pages = pages(all);
    for (name, fields) in fields {
        let (_, page) = pages
            .iter()
            .find(|(found, _)| found == name)
            .expect("a sample of that name");
        for field in *fields {
            assert!(page.contains(field), "{name} lacks {field}");
        }
    }
}

#[test]
fn pages_are_balanced_documents() {
    for (name, page) in pages(ALICE) {
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{name}");
        let mut open = Vec::new();
        for tag in tags(&page) {
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed), "{name}"),
                None if ["meta", "link", "input", "!DOCTYPE"].contains(&tag.as_str()) => {}
                None => open.push(tag),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?} left open");
    }
}

#[test]
fn pages_have_landmarks_and_one_heading_each() {
    for (name, page) in pages(ALICE) {
        let tags = tags(&page);
        for once in ["title", "header", "nav", "main", "footer", "h1", "style"] {
            assert_eq!(
                tags.iter().filter(|tag| *tag == once).count(),
                1,
                "{name}: {once}"
            );
        }
        assert!(
            page.contains(r#"name="viewport" content="width=device-width, initial-scale=1""#),
            "{name}"
        );
        assert_eq!(page.matches("aria-current=\"page\"").count(), 1, "{name}");
    }
}

// WCAG 2.2, 2.4.1
#[test]
fn the_first_link_of_a_page_skips_the_header() {
    for (name, page) in pages(ALICE) {
        let body = page.split("<body>").nth(1).expect("a body");
        assert!(
            body.starts_with("<a class=\"skip\" href=\"#main\">Skip to content</a><header>"),
            "{name}"
        );
        assert_eq!(page.matches("<main id=\"main\">").count(), 1, "{name}");
        assert_eq!(page.matches("id=\"main\"").count(), 1, "{name}");
    }
}

#[test]
fn pages_need_no_script_and_no_inline_style_but_the_one_sheet() {
    for (name, page) in pages(ALICE) {
        assert!(!page.contains("<script"), "{name}");
        assert!(!page.contains("style="), "{name}");
        let tags = page
            .split('<')
            .filter_map(|rest| rest.split_once('>'))
            .map(|(tag, _)| tag);
        for tag in tags {
            // Without the values, which may say anything.
            let names: String = tag.split('"').step_by(2).collect();
            assert!(!names.contains(" on"), "{name} has an event handler: {tag}");
        }
        assert!(
            page.contains(&format!("<style>{STYLE}</style>")),
            "{name}: the sheet's hash would not match"
        );
    }
}

#[test]
fn links_lead_to_the_web_or_stay_here() {
    let users = [];
    for address in [
        "javascript:alert(1)",
        "data:text/html,x",
        " http://x",
        "//evil.example",
    ] {
        let page = home(&Home {
            framework: "axum",
            notice: None,
            session: None,
            dev_provider: Some(DevProvider {
                address,
                users: &users,
            }),
        });
        assert!(
            page.contains(address) && !page.contains(&format!("href=\"{address}")),
            "{address}"
        );
    }
}

#[test]
fn visitors_are_invited_to_sign_in() {
    let page = home(&Home {
        framework: "axum",
        notice: Some(SIGNED_OUT),
        session: None,
        dev_provider: None,
    });
    assert!(page.contains(r#"<a class="button large" href="/auth/login?return_to=/profile">Sign in</a>"#));
    assert!(page.contains(r#"<p class="notice" role="status">You are signed out.</p>"#));
    assert!(!page.contains("<form"), "nobody to sign out");
    assert!(!page.contains("development provider"));
    for link in LINKS {
        assert!(page.contains(&format!("href=\"{}\"", link.path)), "{}", link.path);
    }
}

#[test]
fn signed_in_users_can_sign_out_and_see_their_session() {
    let scopes = ["openid", "email"];
    let page = home(&Home {
        framework: "axum",
        notice: None,
        session: Some(SignedIn {
            name: Some("Alice"),
            email: None,
            subject: Some("248289761001"),
            issuer: "https://op.example",
            scopes: &scopes,
            token: LIFE,
            session_expires_at: NOW + 28_740,
            note: None,
        }),
        dev_provider: None,
    });
    assert!(page.contains(r#"<form method="post" action="/auth/logout"><button>Sign out</button></form>"#));
    assert!(!page.contains("/auth/login"));
    let text = text(&page);
    for expected in [
        "Hello, Alice",
        "E-mail not given",
        "Subject 248289761001",
        "Provider https://op.example",
        "Scopes openid , email",
        "Lives until 14:04:43 UTC , in 83 s",
        "3 times since you signed in, last at 14:03:08 UTC , 12 s ago",
        "Session ends 22:02:20 UTC , in 7 h 59 min",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn profile_tells_what_happened() {
    let page = profile(&Profile {
        name: Some("Alice"),
        person: Person {
            email: Some("alice@example.com"),
            given_name: Some("Alice"),
            family_name: None,
        },
        call: Call {
            url: "http://api.example/scim2/Me",
            took: Duration::from_millis(41),
        },
        token: LIFE,
    });
    let text = text(&page);
    for expected in [
        "E-mail alice@example.com Given name Alice Family name not given",
        "This page called http://api.example/scim2/Me with Alice’s access token, which this browser never sees.",
        "The answer took 41 ms. The token lives 83 s more; it was refreshed 12 s ago, before this call.",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert!(page.contains(r#"<form method="post" action="/auth/logout"><button>Sign out</button></form>"#));
}

#[test]
fn dashboard_shows_both_calls_and_how_long_they_took() {
    let organizations = [Organization {
        name: "Orchard",
        detail: Some("member"),
    }];
    let mut values = Dashboard {
        name: None,
        person: Person::default(),
        organizations: &organizations,
        profile_call: Call {
            url: "http://api.example/users/me",
            took: Duration::from_millis(100),
        },
        organizations_call: Call {
            url: "http://api.example/organizations",
            took: Duration::from_millis(150),
        },
        took: Duration::from_millis(200),
        token: TokenLife {
            now: NOW,
            ..TokenLife::default()
        },
    };
    let page = dashboard(&values);
    for bar in ["width=\"50.0%\"", "width=\"75.0%\"", "width=\"100.0%\""] {
        assert_eq!(page.matches(bar).count(), 1, "{bar}");
    }
    let shown = text(&page);
    for expected in [
        "with your access token",
        "Orchard member",
        "100 ms http://api.example/users/me",
        "150 ms http://api.example/organizations",
        "200 ms Both together",
    ] {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }

    values.organizations = &[];
    assert!(text(&dashboard(&values)).contains("You belong to none."));
}

/// The names of all tags in order, closing ones with their slash. The style sheet is left out.
fn tags(page: &str) -> Vec<String> {
    page.replace(STYLE, "")
        .split('<')
        .skip(1)
        .map(|rest| rest.split([' ', '>']).next().unwrap_or_default().to_owned())
        .collect()
}

/// What a reader sees: text without tags, white space collapsed, entities left as they are.
fn text(page: &str) -> String {
    let page = page.replace(STYLE, "");
    let words: Vec<&str> = page
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .flat_map(|(_, text)| text.split_whitespace())
        .collect();
    words.join(" ")
}
