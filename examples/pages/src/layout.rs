//! What all pages share: the document around them, and lists of facts.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::STYLE;

/// Where a page stands in the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Profile,
    Dashboard,
    Sessions,
}

/// A whole document. The content of `main` starts with an `h1`.
pub(crate) fn document(title: &str, place: Place, main: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Sign-in example" }
                // Without it browsers ask for /favicon.ico, which no example serves.
                link rel="icon" href="data:,";
                // Text of ours, not a value: escaping would break its quotes and its hash.
                style { (PreEscaped(STYLE)) }
            }
            body {
                // The same header on every page: who goes through pages by keyboard need not go through it each time.
                a.skip href="#main" { "Skip to content" }
                header {
                    a.wordmark href="/" { "Sign-in example" }
                    nav aria-label="Pages" {
                        ul {
                            @for (to, path, label) in [
                                (Place::Home, "/", "Home"),
                                (Place::Profile, "/profile", "Profile"),
                                (Place::Dashboard, "/dashboard", "Dashboard"),
                                (Place::Sessions, "/sessions", "Sessions"),
                            ] {
                                li { a href=(path) aria-current=[(to == place).then_some("page")] { (label) } }
                            }
                        }
                    }
                }
                main #main { (main) }
                footer { "Your tokens stay on the server: no page and no cookie holds them." }
            }
        }
    }
    .into_string()
}

/// One line of a `dl.facts`, also when nobody gave the value.
pub(crate) fn fact(label: &str, value: Option<&str>) -> Markup {
    html! {
        div {
            dt { (label) }
            dd {
                @if let Some(value) = value { (value) } @else { span.quiet { "not given" } }
            }
        }
    }
}

/// `text` as a link where it is an http or https URL, as text otherwise.
///
/// Escaping does not make an address safe: a `javascript:` URL has nothing to escape.
pub(crate) fn web_link(text: &str) -> Markup {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    html! {
        @if is_web { a href=(text) rel="noreferrer" { (text) } } @else { (text) }
    }
}
