//! The home page, signed in or not.

use maud::{Markup, html};

use crate::layout::{Place, document, fact, web_link};
use crate::{TokenLife, words};

/// A page or a piece of JSON of the example applications that a browser can open.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The path, on this origin.
    pub path: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
}

/// What the home page links to, all of it for signed-in users only. Both applications serve every one of these
/// routes; one that both gain gets its line here.
pub const LINKS: &[Link] = &[
    Link {
        path: "/profile",
        label: "Profile",
        about: "Calls a protected API on your behalf and shows what it knows about you.",
    },
    Link {
        path: "/dashboard",
        label: "Dashboard",
        about: "Makes two calls at the same time and shows both answers.",
    },
    Link {
        path: "/sessions",
        label: "Sessions",
        about: "Where you are signed in, with a button to end each.",
    },
    Link {
        path: "/api/me",
        label: "Profile as JSON",
        about: "The API’s answer, passed on.",
    },
    Link {
        path: "/api/dashboard",
        label: "Dashboard as JSON",
        about: "Both answers in one document.",
    },
    Link {
        path: "/api/ping",
        label: "Ping",
        about: "Answers pong to anyone signed in, and calls nothing.",
    },
    Link {
        path: "/api/admin",
        label: "Administration",
        about: "Only for the role admin: others get a 403 page.",
    },
    Link {
        path: "/api/transfer",
        label: "Transfer",
        about: "Only if you signed in within the last five minutes: otherwise you sign in once more.",
    },
    Link {
        path: "/api/step-up",
        label: "Step-up",
        about: "An API that wants you to have signed in within the last minute: otherwise you sign in as it demands.",
    },
];

/// The most characters of a note.
pub const NOTE_MAX: usize = 200;

/// The notices after a note was sent: kept, and removed because it was empty.
pub const NOTE_KEPT: &str = "Your note is kept.";
/// See [`NOTE_KEPT`].
pub const NOTE_REMOVED: &str = "Your note is gone.";

/// The notice for the page that a sign-out leads to.
pub const SIGNED_OUT: &str = "You are signed out.";

/// What the home page shows.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    /// The web framework, as it calls itself: `axum`, `actix-web`.
    pub framework: &'a str,
    /// A message to show once, such as [`SIGNED_OUT`].
    pub notice: Option<&'a str>,
    /// The session; `None` for a visitor who is not signed in.
    pub session: Option<SignedIn<'a>>,
    /// The built-in development provider, where it runs.
    pub dev_provider: Option<DevProvider<'a>>,
}

/// A user's session, as it stands when the page is made.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn<'a> {
    /// The user's name.
    pub name: Option<&'a str>,
    /// The user's e-mail address.
    pub email: Option<&'a str>,
    /// The subject: the user's identifier at the provider. `None` where a plain OAuth 2.0 provider told none.
    pub subject: Option<&'a str>,
    /// The provider: its issuer, or its name where it has none.
    pub issuer: &'a str,
    /// The scopes granted.
    pub scopes: &'a [&'a str],
    /// The access token.
    pub token: TokenLife,
    /// When the session ends: the earlier of its idle and its absolute end.
    pub session_expires_at: i64,
    /// The note that the user has left, from the app's own session.
    pub note: Option<&'a str>,
}

/// The development provider that an example starts when no other is configured.
#[derive(Clone, Copy, Debug)]
pub struct DevProvider<'a> {
    /// Where its own page is, an http or https URL. Anything else is shown as text, not as a link.
    pub address: &'a str,
    /// Who can sign in there.
    pub users: &'a [DemoUser<'a>],
}

/// A user that the development provider knows.
#[derive(Clone, Copy, Debug)]
pub struct DemoUser<'a> {
    /// What the provider's sign-in page calls the user.
    pub name: &'a str,
    /// What is special about the user, such as a role.
    pub about: &'a str,
}

/// The page of `GET /`.
#[must_use]
pub fn home(page: &Home<'_>) -> String {
    let main = html! {
        @if let Some(notice) = page.notice { p.notice role="status" { (notice) } }
        @match &page.session {
            Some(session) => (signed_in(session)),
            None => (signed_out(page.framework)),
        }
        @if let Some(provider) = &page.dev_provider { (dev_provider(provider, page.session.is_some())) }
    };
    document("Home", Place::Home, &main)
}

fn signed_out(framework: &str) -> Markup {
    html! {
        h1 { "Sign in once, stay signed in" }
        p.lead {
            "A small web application on " (framework) " that signs you in with an OpenID Connect or OAuth 2.0 "
            "provider. Your tokens stay on the server and are refreshed there, also when the provider stumbles."
        }
        p.actions { a.button.large href="/auth/login?return_to=/profile" { "Sign in" } }

        h2 { "What you can see then" }
        p { "Open one of these now, and you sign in on the way there." }
        (links())
    }
}

fn signed_in(session: &SignedIn<'_>) -> Markup {
    let token = &session.token;
    html! {
        h1 {
            @if let Some(name) = session.name { "Hello, " (name) } @else { "You are signed in" }
        }
        dl.facts {
            (fact("Name", session.name))
            (fact("E-mail", session.email))
            (fact("Subject", session.subject))
            (fact("Provider", Some(session.issuer)))
        }
        div.actions.second {
            form method="post" action="/auth/logout" { button { "Sign out" } }
        }

        h2 { "Your session right now" }
        dl.facts {
            div {
                dt { "Scopes" }
                dd {
                    @if session.scopes.is_empty() { span.quiet { "none" } }
                    @for (index, scope) in session.scopes.iter().enumerate() {
                        @if index > 0 { ", " }
                        code { (scope) }
                    }
                }
            }
            div { dt { "Access token" } dd { (token.lives_until()) } }
            div { dt { "Refreshed" } dd { (token.refreshes()) } }
            div {
                dt { "Session ends" }
                dd {
                    (words::instant(session.session_expires_at, token.now)) ", "
                    (words::distance(session.session_expires_at, token.now))
                }
            }
        }
        p.actions { a.button.second href="/" { "Look again" } a href="/auth/session" { "The same as JSON" } }

        h2 { "A note to yourself" }
        p {
            "The application keeps it in its own session, sealed, beside your sign-in. It survives a restart where the "
            "store does, and ends when you sign out."
        }
        @if let Some(note) = session.note { blockquote { (note) } }
        form.line method="post" action="/note" {
            label for="note" { @if session.note.is_some() { "Another note" } @else { "Your note" } }
            input #note name="text" maxlength=(NOTE_MAX) autocomplete="off";
            button.second { "Keep it" }
        }

        h2 { "What you can see" }
        (links())
    }
}

fn links() -> Markup {
    html! {
        ul.rows {
            @for link in LINKS {
                li { a href=(link.path) { (link.label) } span { (link.about) } }
            }
        }
    }
}

fn dev_provider(provider: &DevProvider<'_>, signed_in: bool) -> Markup {
    html! {
        h2 { "The development provider" }
        p {
            "No provider is configured, so this application started its own at " (web_link(provider.address))
            ". "
            @if signed_in { "Take it down there" } @else { "Sign in, then take it down there," }
            " and see that you stay signed in."
        }
        @if !provider.users.is_empty() {
            p { "These demo users can sign in, without a password:" }
            ul.rows {
                @for user in provider.users { li { (user.name) span { (user.about) } } }
            }
        }
    }
}
