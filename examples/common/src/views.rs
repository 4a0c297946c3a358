//! From a session and what an API answered to a page.

use std::time::Duration;

use auth_core::Auth;
use auth_core::clock::Timestamp;
use auth_core::devices::SessionInfo;
use auth_core::session::Session;
use auth_core::store::{NotASessionKey, SessionKey};
use example_pages::{
    ALL_OTHERS, Call, Dashboard, DemoUser, DevProvider, Device, Home, NOTE_KEPT, NOTE_MAX, NOTE_REMOVED,
    Organization, Person, Profile, Sessions, SignedIn, TokenLife,
};
use serde::Deserialize;
use serde_json::Value;

use crate::DevInfo;

/// What the application keeps in its own session: entries `note` and `flash`.
#[derive(Debug, Default)]
pub struct Own {
    /// The user's note to themselves.
    pub note: Option<String>,
    /// A message to show once.
    pub flash: Option<String>,
}

/// Whether somebody is about to see the page: the message is not spent on a `HEAD` or on a browser that prefetches.
#[must_use]
pub fn is_seen(method: &str, purposes: [Option<&[u8]>; 2]) -> bool {
    let is_prefetch = |purpose: &[u8]| {
        String::from_utf8_lossy(purpose)
            .to_ascii_lowercase()
            .contains("prefetch")
    };
    method == "GET" && !purposes.into_iter().flatten().any(is_prefetch)
}

/// The headers in which browsers say what they ask for a page for.
pub const PURPOSES: [&str; 2] = ["sec-purpose", "purpose"];

/// The note that a form sent, and the message about it: no note where it is empty.
///
/// # Errors
///
/// What is wrong with it, where it is too long.
pub fn note(text: &str) -> Result<(Option<&str>, &'static str), String> {
    match text.trim() {
        "" => Ok((None, NOTE_REMOVED)),
        text if text.chars().count() > NOTE_MAX => Err(format!("a note has {NOTE_MAX} characters at most")),
        text => Ok((Some(text), NOTE_KEPT)),
    }
}

/// `GET /`.
#[must_use]
pub fn home(
    framework: &str,
    auth: &Auth,
    session: Option<&Session>,
    own: &Own,
    dev: Option<&DevInfo>,
) -> String {
    let users: Vec<DemoUser<'_>> = dev
        .map(|dev| {
            dev.users
                .iter()
                .map(|(name, about)| DemoUser { name, about })
                .collect()
        })
        .unwrap_or_default();
    let scopes: Vec<&str> = session
        .map(|session| session.scopes().iter().collect())
        .unwrap_or_default();
    example_pages::home(&Home {
        framework,
        notice: own.flash.as_deref(),
        session: session.map(|session| SignedIn {
            name: session.claims().name(),
            email: session.claims().email(),
            subject: Some(session.subject()).filter(|subject| !subject.is_empty()),
            issuer: session.issuer().as_str(),
            scopes: &scopes,
            token: token(auth, session),
            session_expires_at: session.expires_at().as_secs(),
            note: own.note.as_deref(),
        }),
        dev_provider: dev.map(|dev| DevProvider {
            address: &dev.address,
            users: &users,
        }),
    })
}

/// `GET /profile`: `me` is what `/scim2/Me` answered, in `took`.
#[must_use]
pub fn profile(auth: &Auth, session: &Session, me: &Value, took: Duration) -> String {
    example_pages::profile(&Profile {
        name: session.claims().name(),
        person: person(me),
        call: Call {
            url: "/scim2/Me",
            took,
        },
        token: token(auth, session),
    })
}

/// `GET /dashboard`: what `/users/me` and `/organizations` answered, each with the time it took, and the time of both.
#[must_use]
pub fn dashboard(
    auth: &Auth,
    session: &Session,
    (user, user_took): (&Value, Duration),
    (organizations, organizations_took): (&Value, Duration),
    took: Duration,
) -> String {
    // A bare list, or a list under a name of its own, as APIs that page their answers have it.
    let list = match organizations {
        Value::Array(list) => Some(list),
        Value::Object(members) => members.values().find_map(Value::as_array),
        _ => None,
    };
    let organizations: Vec<Organization<'_>> = list
        .into_iter()
        .flatten()
        .map(|item| Organization {
            name: item["name"].as_str().or(item.as_str()).unwrap_or("(no name)"),
            detail: item["id"].as_str(),
        })
        .collect();
    example_pages::dashboard(&Dashboard {
        name: session.claims().name(),
        person: person(user),
        organizations: &organizations,
        profile_call: Call {
            url: "/users/me",
            took: user_took,
        },
        organizations_call: Call {
            url: "/organizations",
            took: organizations_took,
        },
        took,
        token: token(auth, session),
    })
}

/// `GET /sessions`: the user's sessions.
#[must_use]
pub fn sessions(auth: &Auth, sessions: &[SessionInfo]) -> String {
    let ids: Vec<String> = sessions.iter().map(|session| session.id.to_string()).collect();
    let devices: Vec<Device<'_>> = sessions
        .iter()
        .zip(&ids)
        .map(|(session, id)| Device {
            id,
            created_at: session.created_at.as_secs(),
            last_seen_at: session.last_seen_at.as_secs(),
            user_agent: session.user_agent.as_deref(),
            address: session.address.as_deref(),
            current: session.current,
        })
        .collect();
    example_pages::sessions(&Sessions {
        sessions: &devices,
        now: auth.now().as_secs(),
    })
}

/// The form of the sessions page: which session to end.
#[derive(Debug, Deserialize)]
pub struct End {
    /// A form without it names no session.
    #[serde(default)]
    end: String,
}

impl End {
    /// The session that is named; `None` for all others.
    ///
    /// # Errors
    ///
    /// When it is no session's name.
    pub fn which(&self) -> Result<Option<SessionKey>, NotASessionKey> {
        match self.end.as_str() {
            ALL_OTHERS => Ok(None),
            id => id.parse().map(Some),
        }
    }
}

/// Who an API's answer is about: SCIM's members (RFC 7643 §4.1) or OpenID Connect's names.
fn person(value: &Value) -> Person<'_> {
    Person {
        email: email(value).or(value["email"].as_str()),
        given_name: value["name"]["givenName"]
            .as_str()
            .or(value["given_name"].as_str()),
        family_name: value["name"]["familyName"]
            .as_str()
            .or(value["family_name"].as_str()),
    }
}

/// The primary one of SCIM's e-mails (RFC 7643 §2.4), or else the first. They are objects; some servers send plain strings.
fn email(person: &Value) -> Option<&str> {
    let all = person["emails"].as_array()?;
    let usable = || {
        all.iter()
            .filter(|email| email.is_string() || email["value"].is_string())
    };
    let email = usable()
        .find(|email| email["primary"] == true)
        .or_else(|| usable().next())?;
    email.as_str().or(email["value"].as_str())
}

fn token(auth: &Auth, session: &Session) -> TokenLife {
    TokenLife {
        now: auth.now().as_secs(),
        expires_at: session.access_token_expires_at().map(Timestamp::as_secs),
        refresh_count: session.refresh_count(),
        refreshed_at: session.refreshed_at().map(Timestamp::as_secs),
        refreshable: session.is_refreshable(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // RFC 7643 §2.4, §4.1.2
    #[test]
    fn the_primary_e_mail_is_shown_or_else_the_first() {
        let (home, work) = (
            json!({"value": "home"}),
            json!({"value": "work", "primary": true}),
        );
        for (emails, shown) in [
            (json!([home, work]), Some("work")),
            (json!([work, home]), Some("work")),
            (json!([{"value": "first", "primary": false}, home]), Some("first")),
            (json!(["plain", home]), Some("plain")),
            (
                json!([null, 7, [], {}, {"value": 1, "primary": true}, home]),
                Some("home"),
            ),
            (json!([null, 7, home, work]), Some("work")),
            (json!([null]), Some("other")),
            (json!([]), Some("other")),
            (json!("work"), Some("other")),
        ] {
            let me = json!({"emails": emails, "email": "other"});
            assert_eq!(person(&me).email, shown, "{me}");
        }
        assert_eq!(person(&json!({"emails": [null]})).email, None);
    }
}
