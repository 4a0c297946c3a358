//! The access token's life in words. Never the token itself.

use std::time::Duration;

use maud::{Markup, html};

use crate::words;

/// The life of a session's access token, as it stands when the page is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenLife {
    /// When the page is made.
    pub now: i64,
    /// When the access token dies; `None` where the provider did not say.
    pub expires_at: Option<i64>,
    /// How often it was refreshed since sign-in.
    pub refresh_count: u64,
    /// When it was last refreshed; `None` before the first time.
    pub refreshed_at: Option<i64>,
    /// Whether the session has a refresh token.
    pub refreshable: bool,
}

impl TokenLife {
    fn is_dead(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= self.now)
    }

    /// `until 14:03:20 UTC, in 83 s`, and what happens then.
    pub(crate) fn lives_until(&self) -> Markup {
        html! {
            @if let Some(at) = self.expires_at {
                @if self.is_dead() {
                    "Dead since " (words::instant(at, self.now)) ", " (words::distance(at, self.now))
                } @else {
                    "Lives until " (words::instant(at, self.now)) ", " (words::distance(at, self.now))
                }
                span.quiet { " · " (self.what_then()) }
            } @else {
                "The provider did not say how long it lives"
            }
        }
    }

    fn what_then(&self) -> &'static str {
        match (self.refreshable, self.is_dead()) {
            (true, true) => "the next page that needs it refreshes it first",
            (true, false) => "then it is refreshed, and you notice nothing",
            (false, true) => "sign in again for a new one",
            (false, false) => "then you sign in again: the provider gave no refresh token",
        }
    }

    /// `Twice since you signed in, last at 14:01:57 UTC, 12 s ago`.
    pub(crate) fn refreshes(&self) -> Markup {
        html! {
            @if self.refresh_count == 0 {
                "Not yet since you signed in"
            } @else {
                (capitalized(&words::times(self.refresh_count))) " since you signed in"
                @if let Some(at) = self.refreshed_at {
                    ", last at " (words::instant(at, self.now)) ", " (words::distance(at, self.now))
                }
            }
        }
    }

    /// A sentence for a page that has just used the token for `calls`, which took `took` in all.
    pub(crate) fn story(&self, calls: &str, took: Duration) -> Markup {
        // A call answered with 401 is made again after a refresh, so the refresh may lie within the call.
        // The second more is for instants cut to whole seconds.
        let started_at = self.now.saturating_sub_unsigned(took.as_secs().saturating_add(1));
        html! {
            @match self.expires_at {
                Some(at) if !self.is_dead() => { "The token lives " (words::length(at.abs_diff(self.now))) " more" }
                Some(_) => { "The token has died since" }
                None => { "The provider did not say how long the token lives" }
            }
            "; "
            @match (self.refresh_count, self.refreshed_at) {
                (0, _) => { "it is the one you got when you signed in." }
                (_, Some(at)) if at < started_at => {
                    "it was refreshed " (words::distance(at, self.now)) ", before " (calls) "."
                }
                (_, Some(_)) => { "it was refreshed while this page was made." }
                (_, None) => { "it was refreshed since you signed in." }
            }
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> TokenLife {
        TokenLife {
            now: 1_000,
            expires_at: Some(1_083),
            refresh_count: 2,
            refreshed_at: Some(988),
            refreshable: true,
        }
    }

    #[test]
    fn story_tells_what_is_left_and_when_it_was_refreshed() {
        assert_eq!(
            life().story("this call", Duration::ZERO).into_string(),
            "The token lives 83 s more; it was refreshed 12 s ago, before this call."
        );
    }

    #[test]
    fn story_of_a_token_that_was_never_refreshed() {
        let life = TokenLife {
            refresh_count: 0,
            refreshed_at: None,
            ..life()
        };
        assert!(
            life.story("this call", Duration::ZERO)
                .into_string()
                .ends_with("it is the one you got when you signed in.")
        );
    }

    #[test]
    fn story_of_a_refresh_for_this_very_page() {
        let life = TokenLife {
            refreshed_at: Some(1_000),
            ..life()
        };
        assert!(
            life.story("this call", Duration::ZERO)
                .into_string()
                .ends_with("it was refreshed while this page was made.")
        );
    }

    #[test]
    fn story_of_a_refresh_within_a_long_call() {
        let story = life().story("this call", Duration::from_secs(14)).into_string();
        assert!(
            story.ends_with("it was refreshed while this page was made."),
            "{story}"
        );
    }

    #[test]
    fn story_of_a_token_with_an_unknown_life() {
        let life = TokenLife {
            expires_at: None,
            ..life()
        };
        assert!(
            life.story("this call", Duration::ZERO)
                .into_string()
                .starts_with("The provider did not say how long the token lives;")
        );
    }

    #[test]
    fn dead_token_says_what_comes_next() {
        let dead = TokenLife {
            expires_at: Some(900),
            ..life()
        };
        let text = dead.lives_until().into_string();
        assert!(
            text.contains("Dead since") && text.contains("100 s ago"),
            "{text}"
        );
        assert!(text.contains("refreshes it first"), "{text}");

        let unrefreshable = TokenLife {
            refreshable: false,
            ..dead
        };
        assert!(
            unrefreshable
                .lives_until()
                .into_string()
                .contains("sign in again")
        );
    }

    #[test]
    fn refreshes_are_counted_in_words() {
        let text = life().refreshes().into_string();
        assert!(text.starts_with("Twice since you signed in, last at "), "{text}");
        assert!(text.ends_with("12 s ago"), "{text}");
        let never = TokenLife {
            refresh_count: 0,
            ..life()
        };
        assert_eq!(never.refreshes().into_string(), "Not yet since you signed in");
    }
}
