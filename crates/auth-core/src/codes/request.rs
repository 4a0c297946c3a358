//! The request itself cannot be taken.

use super::{Explanation, Setting, Turn, code};

/// Of a code that there is none of.
pub(crate) const UNKNOWN_CODE: Explanation = code(
    "request.unknown_code",
    "There is no such failure",
    "No failure has this code.",
    Turn::User,
    "Check the address.",
);

pub(super) const CODES: &[Explanation] = &[
    UNKNOWN_CODE,
    code(
        "request.cross_site",
        "This request was refused",
        "A request that changes something came from another web site, or from a page that hides where it is from.",
        Turn::User,
        "Use the application's own pages.",
    )
    .developer("The request's `Origin` must be `AUTH_BASE_URL`, as the browser shows it in its address bar; 127.0.0.1 and localhost are two sites.")
    .settings(&[Setting::BaseUrl]),
    code(
        "request.method",
        "This request was refused",
        "This address does not answer this kind of request.",
        Turn::User,
        "Use the application's own links and buttons.",
    ),
    code(
        "request.frontchannel_logout",
        "This request was refused",
        "A sign-out was announced without naming a session of this application's provider.",
        Turn::Developer,
        "Use the application's own sign-out button.",
    )
    .developer("The provider has to send `iss` and `sid`, each once: ask for both in the client's registration (`frontchannel_logout_session_required`).")
    .settings(&[Setting::Issuer]),
    code(
        "request.logout_token",
        "This request was refused",
        "A sign-out was announced with a logout token that is not good.",
        Turn::Developer,
        "Use the application's own sign-out button.",
    )
    .developer("The log says what is wrong with the token. If the provider sent it, compare its issuer and this client's id with the settings; anybody else may send one, and ends nobody's session.")
    .settings(&[Setting::Issuer, Setting::ClientId]),
    code(
        "request.body",
        "This request was refused",
        "The form that was sent is too large, or its sending broke off.",
        Turn::User,
        "Start again from the application's own page.",
    ),
];
