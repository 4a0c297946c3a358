//! A token by another grant could not be had: an exchanged one, one of the application's own, another one for the session.

use super::{Explanation, LATER, TELL, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "grant.unavailable",
        "The sign-in service has a problem",
        "The application needs an access token for another service, and the provider is down, too slow or overloaded. You are still signed in.",
        Turn::Provider,
        LATER,
    )
    .operator("The log has the cause; compare the provider's times with `HTTP_TIMEOUT_SECS`.")
    .provider("The token endpoint has to recover."),
    code(
        "grant.refused",
        "A service may not be used",
        "The provider does not issue the access token that the application needs for another service. You are still signed in.",
        Turn::Developer,
        TELL,
    )
    .developer(
        "The log has the provider's error code. Compare audience, resource and scopes with what the provider knows and allows this client (`AUTH_EXCHANGE_AUDIENCE` in the example applications).",
    )
    .provider("Allow this client tokens for that audience; the service's own log says what it refused."),
    code(
        "grant.client_refused",
        "This application is not set up correctly",
        "The provider does not accept this application, or does not let it ask for the access token that it needs. You are still signed in.",
        Turn::Operator,
        TELL,
    )
    .developer("Allow the grant type (token exchange, client credentials) for this client at the provider.")
    .operator(
        "Compare `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` or `AUTH_CLIENT_KEY`, and `AUTH_CLIENT_AUTH` with the client's registration.",
    ),
    code(
        "grant.unusable",
        "The sign-in service's answer cannot be used",
        "The provider has issued another kind of token than the application needs. You are still signed in.",
        Turn::Provider,
        TELL,
    )
    .developer("The log says what is wrong with it; does the request name the right `requested_token_type`?")
    .provider("An answer has `token_type`, which is `DPoP` where the request brought a proof (RFC 9449 section 5), and that of a token exchange `issued_token_type` (RFC 8693 section 2.2.1)."),
    code(
        "grant.nothing_to_present",
        "This application has a fault",
        "The application wanted to exchange a token that this session does not have.",
        Turn::Developer,
        TELL,
    )
    .developer("A plain OAuth 2.0 provider issues no ID tokens; present the access token."),
    code(
        "grant.misuse",
        "This application has a fault",
        "The application could not make its request for an access token.",
        Turn::Developer,
        TELL,
    )
    .developer("The log says what cannot be: a placeholder, a parameter, the name of a further provider, a public client."),
    code(
        "grant.other_user",
        "This is another account",
        "The application asked for other rights, and the provider answered with another account than yours. Nothing was changed.",
        Turn::Developer,
        TELL,
    )
    .developer("Where the account is to change, say so with `CustomGrant::changes_user`."),
];
