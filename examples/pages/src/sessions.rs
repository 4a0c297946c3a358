//! The sessions page: where the user is signed in, with a button to end each.

use maud::{Markup, html};

use crate::layout::{Place, document};
use crate::words;

/// The form field of the sessions page: the `id` of the session to end, or [`ALL_OTHERS`].
pub const END: &str = "end";
/// What [`END`] holds to end all sessions but this one.
pub const ALL_OTHERS: &str = "others";

/// What the sessions page shows.
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a> {
    /// The user's sessions, this one among them.
    pub sessions: &'a [Device<'a>],
    /// The present instant.
    pub now: i64,
}

/// One of the user's sessions.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    /// Names the session.
    pub id: &'a str,
    /// When the user signed in.
    pub created_at: i64,
    /// When the session was last used, give or take.
    pub last_seen_at: i64,
    /// What the browser calls itself.
    pub user_agent: Option<&'a str>,
    /// The address that the sign-in came from.
    pub address: Option<&'a str>,
    /// Whether it is the session that looks at the page.
    pub current: bool,
}

/// The page of `GET /sessions`.
#[must_use]
pub fn sessions(page: &Sessions<'_>) -> String {
    // This one first: what is left are the ones to look at.
    let (mut devices, others): (Vec<_>, Vec<_>) = page.sessions.iter().partition(|device| device.current);
    let count = others.len();
    devices.extend(others);
    let main = html! {
        h1 { "Where you are signed in" }
        p.lead { "Each line is a browser that is signed in as you. End what you do not know." }
        ul.devices {
            @for (index, device) in devices.iter().enumerate() { li { (self::device(device, index, page.now)) } }
        }
        @if count > 0 {
            form.actions method="post" action="/sessions" {
                button name=(END) value=(ALL_OTHERS) {
                    @if count == 1 { "End the other session" } @else { "End all " (count) " other sessions" }
                }
            }
        } @else {
            p.quiet { "There is no other session." }
        }
    };
    document("Sessions", Place::Sessions, &main)
}

fn device(device: &Device<'_>, index: usize, now: i64) -> Markup {
    // Two browsers of one kind have buttons of one name; what stands here tells them apart.
    let facts = format!("session-{index}");
    html! {
        div {
            strong { (browser(device.user_agent)) }
            @if device.current { " " span.mark { "this browser" } }
            p.quiet id=(facts) {
                "Signed in " (words::instant(device.created_at, now))
                @if let Some(address) = device.address { " from " (address) }
                ", last seen " (words::distance(device.last_seen_at, now)) "."
            }
            @if let Some(agent) = device.user_agent { p.quiet.agent { (agent) } }
        }
        @if device.current {
            // The whole sign-out: with the provider still signed in, the way back here would sign in again.
            form method="post" action="/auth/logout" { button.second { "Sign out here" } }
        } @else {
            form method="post" action="/sessions" {
                button.second name=(END) value=(device.id) aria-describedby=(facts)
                    aria-label={ "End the session of " (browser(device.user_agent)) } { "End" }
            }
        }
    }
}

/// What a browser is called, as far as its own words tell: most claim to be several.
fn browser(agent: Option<&str>) -> String {
    let agent = agent.unwrap_or_default();
    let first = |names: &[(&str, &'static str)]| {
        names
            .iter()
            .find(|(sign, _)| agent.contains(sign))
            .map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg/", "Edge"),
        ("EdgA/", "Edge"),
        ("EdgiOS/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Some program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart_by_their_own_words() {
        for (agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0",
                "Firefox on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Some program"),
        ] {
            assert_eq!(browser(Some(agent)), expected);
        }
        assert_eq!(browser(None), "Some program");
    }
}
