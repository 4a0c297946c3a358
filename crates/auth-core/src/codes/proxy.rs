//! A request that the application should forward for the user was not forwarded.

use super::{Explanation, LATER, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "proxy.csrf_header",
        "This request was refused",
        "This address is for the application's own pages, and the request does not show that it comes from one.",
        Turn::Developer,
        "Use the application's own pages.",
    )
    .developer(
        "Send the header that the proxy demands with every request, whatever its method: `X-CSRF: 1` unless the app names another. Links, images and forms cannot.",
    ),
    code(
        "proxy.path",
        "This request was refused",
        "The address cannot be forwarded as it is.",
        Turn::Developer,
        "Use the application's own links and buttons.",
    )
    .developer(
        "The path must not have `..` as a segment, encoded or not, nor a backslash, a `%` without two digits, or characters that are not encoded.",
    ),
    code(
        "proxy.too_large",
        "This request was refused",
        "What was sent is larger than this address takes.",
        Turn::User,
        "Send less at once.",
    )
    .developer("The limit is the app's own: `Proxy::max_request_body`."),
    code(
        "proxy.sender",
        "This request was refused",
        "What was to be sent did not arrive in whole.",
        Turn::User,
        "Try again.",
    )
    .developer("The sender broke off, or sent nothing for longer than `Proxy::idle_timeout`."),
    code(
        "proxy.busy",
        "There is too much to do at the moment",
        "As many requests are under way as this application allows itself.",
        Turn::Operator,
        LATER,
    )
    .operator("Look at how long the service behind it takes, and compare with `Proxy::max_concurrent`."),
];
