//! The provider cannot be used, or what it says of itself does not hold.

use super::{Explanation, LATER, Setting, TELL, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "provider.unavailable",
        "The sign-in service has a problem",
        "The provider is too slow, overloaded, or says that it has failed. You stay signed in if you were.",
        Turn::Provider,
        LATER,
    )
    .operator("The log has the cause; compare the provider's times with `HTTP_TIMEOUT_SECS`.")
    .provider("The service has to recover; its own log says why."),
    code(
        "provider.unreachable",
        "The sign-in service cannot be reached",
        "This application cannot connect to the provider. You stay signed in if you were.",
        Turn::Operator,
        LATER,
    )
    .developer("Is the host in `AUTH_ISSUER` the right one, and is its port?")
    .operator(
        "From this server, see that the provider's name resolves, that nothing blocks the way, and that its certificate is trusted (`AUTH_CA_FILE` adds roots). The log has the cause.",
    )
    .provider("Is the service running?")
    .settings(&[Setting::Issuer]),
    code(
        "provider.discovery_missing",
        "The sign-in service was not found",
        "There is no provider at the configured address: its description (the discovery document) is not there.",
        Turn::Developer,
        TELL,
    )
    .developer("Set `AUTH_ISSUER` to exactly the issuer that the provider documents, tenant or realm included.")
    .settings(&[Setting::Issuer]),
    code(
        "provider.discovery_malformed",
        "The sign-in service describes itself wrongly",
        "The provider's description of itself (the discovery document) is malformed.",
        Turn::Developer,
        TELL,
    )
    .developer(
        "Open `AUTH_ISSUER` followed by `/.well-known/openid-configuration`; it must be JSON with all required members.",
    )
    .settings(&[Setting::Issuer]),
    code(
        "provider.discovery_insufficient",
        "The sign-in service lacks something",
        "The provider's description of itself (the discovery document) lacks something, or names an address that is not safe.",
        Turn::Developer,
        TELL,
    )
    .developer(
        "Every endpoint must be https, PKCE with S256 must be supported, and ID tokens must be signed with an asymmetric algorithm.",
    )
    .settings(&[Setting::Issuer]),
    code(
        "provider.issuer_mismatch",
        "The sign-in service has another name",
        "The provider's description of itself (the discovery document) names another issuer than the configured one.",
        Turn::Developer,
        TELL,
    )
    .developer("Set `AUTH_ISSUER` to exactly the document's `issuer`, down to the last slash. With Microsoft Entra ID that is one tenant's, by its ID.")
    .settings(&[Setting::Issuer]),
    code(
        "provider.keys_malformed",
        "The sign-in service's keys cannot be read",
        "The provider's key set is missing or malformed.",
        Turn::Provider,
        TELL,
    )
    .developer("Open the discovery document's `jwks_uri`; it must be a JSON Web Key Set.")
    .provider("Publish the key set at `jwks_uri` (RFC 7517).")
    .settings(&[Setting::Issuer]),
    code(
        "provider.clock_differs",
        "The clocks are apart",
        "By the time that its answers bear, the provider's clock and this server's are more than a minute apart. Sign-ins fail, or soon will.",
        Turn::Operator,
        LATER,
    )
    .operator("Keep this server's clock right with NTP; the log says which way it is wrong, and the metric `auth_provider_clock_difference_seconds` by how much.")
    .provider("Keep the service's clock right, if it is the wrong one."),
    code(
        "provider.unknown",
        "There is no such way to sign in",
        "This application knows no sign-in service of the name that the address says, or knows it no longer.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("`/auth/login?provider=<name>` and `/auth/callback/<name>` take the names in `AUTH_PROVIDERS`, or of `AuthBuilder::provider`. A redirect URI that is registered with another name leads here, and so does a provider of another of the application's origins (`AUTH_ONLY_AT`)."),
    code(
        "provider.lookup_failed",
        "This application cannot look up how you sign in",
        "Which sign-in service your address belongs to is kept in the application's own database, and that gave no answer, or one that cannot be used. You stay signed in if you were.",
        Turn::Operator,
        LATER,
    )
    .developer("The lookup that was given to `AuthBuilder::providers_from` failed, took longer than `HTTP_TIMEOUT_SECS`, or gave settings that are wrong; or so many other names were being looked up that it was not begun. The log has the cause.")
    .operator("See that the application's database is up, and that nobody sends made-up names in bulk. The log has the cause."),
];
