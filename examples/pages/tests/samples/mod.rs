//! Every page in the states that matter, with the same text wherever a value comes from outside.

use std::time::Duration;

use example_pages::{
    Call, Dashboard, DemoUser, DevProvider, Device, Home, Organization, Person, Profile, Sessions, SignedIn,
    TokenLife,
};

/// 2026-11-21T14:03:20Z.
pub(crate) const NOW: i64 = 1_795_269_800;

/// A value for each field that comes from outside.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) name: &'a str,
    pub(crate) given_name: &'a str,
    pub(crate) family_name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) organization: &'a str,
    pub(crate) url: &'a str,
    pub(crate) notice: &'a str,
    pub(crate) about: &'a str,
    pub(crate) detail: &'a str,
}

/// What one expects to see.
pub(crate) const ALICE: Values<'static> = Values {
    name: "Alice Archer",
    given_name: "Alice",
    family_name: "Archer",
    email: "alice@example.com",
    subject: "6b1f0a52-8c1e-4a0e-9d1c-2f1f6e1c9a10",
    issuer: "http://127.0.0.1:41229",
    scope: "offline_access",
    organization: "Orchard Cooperative",
    url: "http://127.0.0.1:41229/scim2/Me",
    notice: "You are signed out.",
    about: "Has the role admin.",
    detail: "Member",
};

impl<'a> Values<'a> {
    /// The same text in every field.
    pub(crate) const fn all(text: &'a str) -> Self {
        Self {
            name: text,
            given_name: text,
            family_name: text,
            email: text,
            subject: text,
            issuer: text,
            scope: text,
            organization: text,
            url: text,
            notice: text,
            about: text,
            detail: text,
        }
    }
}

/// Refreshed three times, dies in 83 s.
pub(crate) const LIFE: TokenLife = TokenLife {
    now: NOW,
    expires_at: Some(NOW + 83),
    refresh_count: 3,
    refreshed_at: Some(NOW - 12),
    refreshable: true,
};

/// The name of a page's state, and the page.
pub(crate) fn pages(values: Values<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("home-signed-out", home_signed_out(values)),
        ("home-signed-in", home_signed_in(values)),
        ("home-sparse", home_sparse()),
        ("profile", profile(values)),
        ("profile-sparse", profile_sparse(values)),
        ("dashboard", dashboard(values)),
        ("sessions", sessions(values)),
        ("sessions-one", sessions_one()),
    ]
}

fn home_signed_out(values: Values<'_>) -> String {
    let users = [
        DemoUser {
            name: values.name,
            about: values.about,
        },
        DemoUser {
            name: "Bob Baker",
            about: "Has no role.",
        },
    ];
    example_pages::home(&Home {
        framework: "axum",
        notice: Some(values.notice),
        session: None,
        dev_provider: Some(DevProvider {
            address: values.issuer,
            users: &users,
        }),
    })
}

fn home_signed_in(values: Values<'_>) -> String {
    let scopes = ["openid", "profile", "email", values.scope];
    example_pages::home(&Home {
        framework: "actix-web",
        notice: None,
        session: Some(SignedIn {
            name: Some(values.name),
            email: Some(values.email),
            subject: Some(values.subject),
            issuer: values.issuer,
            scopes: &scopes,
            token: LIFE,
            session_expires_at: NOW + 28_740,
            note: Some(values.detail),
        }),
        dev_provider: Some(DevProvider {
            address: values.issuer,
            users: &[],
        }),
    })
}

fn home_sparse() -> String {
    example_pages::home(&Home {
        framework: "axum",
        notice: None,
        session: Some(SignedIn {
            name: None,
            email: None,
            subject: None,
            issuer: "corporate",
            scopes: &[],
            token: TokenLife {
                now: NOW,
                ..TokenLife::default()
            },
            session_expires_at: NOW + 600,
            note: None,
        }),
        dev_provider: None,
    })
}

fn person(values: Values<'_>) -> Person<'_> {
    Person {
        email: Some(values.email),
        given_name: Some(values.given_name),
        family_name: Some(values.family_name),
    }
}

fn profile(values: Values<'_>) -> String {
    example_pages::profile(&Profile {
        name: Some(values.given_name),
        person: person(values),
        call: Call {
            url: values.url,
            took: Duration::from_millis(41),
        },
        token: LIFE,
    })
}

fn profile_sparse(values: Values<'_>) -> String {
    example_pages::profile(&Profile {
        name: None,
        person: Person::default(),
        call: Call {
            url: values.url,
            took: Duration::ZERO,
        },
        token: TokenLife {
            now: NOW,
            ..TokenLife::default()
        },
    })
}

fn dashboard(values: Values<'_>) -> String {
    let organizations = [
        Organization {
            name: values.organization,
            detail: Some(values.detail),
        },
        Organization {
            name: "Weavers’ Guild",
            detail: None,
        },
    ];
    example_pages::dashboard(&Dashboard {
        name: Some(values.given_name),
        person: person(values),
        organizations: &organizations,
        profile_call: Call {
            url: values.url,
            took: Duration::from_millis(193),
        },
        organizations_call: Call {
            url: "http://127.0.0.1:41229/organizations",
            took: Duration::from_millis(208),
        },
        took: Duration::from_millis(211),
        token: LIFE,
    })
}

fn sessions(values: Values<'_>) -> String {
    let device = |id, created_at, last_seen_at, user_agent, address| Device {
        id,
        created_at,
        last_seen_at,
        user_agent,
        address,
        current: id == "a",
    };
    let phone = "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0";
    example_pages::sessions(&Sessions {
        sessions: &[
            device("a", NOW - 3_000, NOW - 5, Some(values.about), Some(values.detail)),
            device("b", NOW - 90_000, NOW - 7_300, Some(phone), Some("2001:db8::7")),
            device("c", NOW - 400_000, NOW - 20_000, None, None),
        ],
        now: NOW,
    })
}

fn sessions_one() -> String {
    example_pages::sessions(&Sessions {
        sessions: &[Device {
            id: "a",
            created_at: NOW,
            last_seen_at: NOW,
            user_agent: None,
            address: None,
            current: true,
        }],
        now: NOW,
    })
}
