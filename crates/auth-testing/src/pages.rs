//! The provider's pages. None needs script; all fit a phone.

use std::sync::Arc;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::provider::user::User;

const STYLE: &str = include_str!("pages.css");

/// What the sign-in page shows.
pub(crate) struct SignIn<'a> {
    pub(crate) client: &'a str,
    pub(crate) scope: &'a [String],
    pub(crate) transaction: &'a str,
    pub(crate) users: &'a [&'a User],
    /// Whether the first user is the one the application asked for.
    pub(crate) hinted: bool,
}

/// What the page at `/` shows.
pub(crate) struct Console<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) api_url: &'a str,
    pub(crate) api2_url: &'a str,
    pub(crate) users: &'a [Arc<User>],
    pub(crate) out_of_order: bool,
    pub(crate) lifetime_secs: u64,
    pub(crate) token_requests: u64,
    pub(crate) refreshes: u64,
    pub(crate) reuses: u64,
}

pub(crate) fn sign_in(page: &SignIn<'_>) -> Markup {
    document(
        "Who are you?",
        &html! {
            h1 { "Who are you?" }
            p.lead { "Sign in to " b { (page.client) } " as one of the demo users. There are no passwords here." }
            form method="post" action="/authorize/decision" {
                input type="hidden" name="transaction" value=(page.transaction);
                ul.people {
                    @for (place, user) in page.users.iter().enumerate() {
                        li {
                            button.person.hinted[page.hinted && place == 0] name="user" value=(user.sub) {
                                span.initial aria-hidden="true" {
                                    (user.display_name().chars().next().unwrap_or('?'))
                                }
                                span.who {
                                    b { (user.display_name()) }
                                    span.quiet { (user.text("email")) }
                                }
                                span.quiet.role { (roles(user)) }
                            }
                        }
                    }
                }
                div.actions {
                    button.second name="deny" value="1" { "Deny" }
                    @if !page.scope.is_empty() {
                        span.quiet { "The application asks for: " (page.scope.join(", ")) }
                    }
                }
            }
        },
    )
}

fn roles(user: &User) -> String {
    match user.claims.get("roles") {
        Some(serde_json::Value::String(one)) => one.clone(),
        Some(serde_json::Value::Array(many)) => {
            let many: Vec<&str> = many.iter().filter_map(|role| role.as_str()).collect();
            many.join(", ")
        }
        _ => "no role".to_owned(),
    }
}

/// Posts the authorization response (OAuth 2.0 Form Post Response Mode §2): by script, or by the button.
pub(crate) fn form_post(action: &str, params: &[(String, String)], nonce: &str) -> Markup {
    document(
        "Back to the application",
        &html! {
            h1 { "Back to the application" }
            form method="post" action=(action) {
                @for (name, value) in params {
                    input type="hidden" name=(name) value=(value);
                }
                p { "You are on your way." }
                button { "Continue" }
            }
            script nonce=(nonce) { (PreEscaped("document.forms[0].submit()")) }
        },
    )
}

pub(crate) fn refusal(why: &str) -> Markup {
    document(
        "That did not work",
        &html! {
            h1 { "That did not work" }
            p.lead { (why) }
            p.quiet { "The provider does not go back to the application from here, because it cannot know that the \
                       request came from it. Look at the client's registration and at the request." }
        },
    )
}

pub(crate) fn confirm_sign_out(params: &[(String, String)]) -> Markup {
    document(
        "Sign out?",
        &html! {
            h1 { "Sign out?" }
            p.lead { "Somebody asks to end your session at the development provider." }
            form method="post" action="/end-session" {
                @for (name, value) in params {
                    input type="hidden" name=(name) value=(value);
                }
                div.actions { button name="confirmed" value="yes" { "Sign out" } }
            }
        },
    )
}

pub(crate) fn signed_out() -> Markup {
    document(
        "Signed out",
        &html! {
            h1 { "Signed out" }
            p.lead { "Your session at the development provider has ended." }
        },
    )
}

pub(crate) fn console(page: &Console<'_>) -> Markup {
    let button = |name: &str, value: &str, text: &str, second: bool| {
        html! { button.second[second] name=(name) value=(value) { (text) } }
    };
    document(
        "Development provider",
        &html! {
            h1 { "Development provider" }
            p.lead { "Sign in to your application, break something here, and see that you stay signed in." }
            @if page.out_of_order {
                p.notice.alert role="status" { "The token endpoint is out of order right now." }
            }
            form method="post" action="/console" {
                h2 { "Token endpoint" }
                p.quiet { "Applications fetch and refresh tokens here." }
                div.actions {
                    (button("do", "down", "Take it down", page.out_of_order))
                    (button("do", "slow", "Make it slow", true))
                    (button("do", "well", "Bring it back", !page.out_of_order))
                }
                h2 { "Access tokens live" }
                p.quiet { "Right now " (page.lifetime_secs) " seconds. Holds for tokens issued from now on." }
                div.actions {
                    @for seconds in crate::provider::LIFETIMES {
                        (button("lifetime", &seconds.to_string(), &format!("{seconds} s"),
                            seconds != page.lifetime_secs))
                    }
                }
                h2 { "Keys and refresh tokens" }
                p.quiet { "New keys should go unnoticed. Without their refresh tokens, applications must ask people \
                           to sign in again." }
                div.actions {
                    (button("do", "keys", "Rotate the keys", true))
                    (button("do", "end", "End all refresh tokens", true))
                }
            }
            h2 { "What happened so far" }
            dl.facts {
                div { dt { "Token requests" } dd { (page.token_requests) } }
                div { dt { "of them refreshes" } dd { (page.refreshes) } }
                div { dt { "Refresh tokens used twice" } dd { (page.reuses) } }
            }
            h2 { "Addresses" }
            dl.facts {
                div { dt { "Issuer" } dd { code { (page.issuer) } } }
                div { dt { "Metadata" } dd {
                    a href="/.well-known/openid-configuration" { code { "/.well-known/openid-configuration" } }
                } }
                div { dt { "Demo API" } dd { code { (page.api_url) } } }
                div { dt { "Second demo API" } dd { code { (page.api2_url) } } }
            }
            h2 { "Demo users" }
            dl.facts {
                @for user in page.users {
                    div { dt { (user.display_name()) } dd { (user.text("email")) ", " (roles(user)) } }
                }
            }
        },
    )
}

fn document(title: &str, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · development provider" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { span.wordmark { "Development provider" } span.badge { "this machine only" } }
                main { (main) }
                footer {
                    "For development, on loopback addresses only. Anyone who reaches this page can sign in as anyone."
                }
            }
        }
    }
}
