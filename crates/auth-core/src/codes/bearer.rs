//! A request to an API that is called with access tokens was refused. Whoever sees it is a program, and its developer.

use super::{Explanation, LATER, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "bearer.no_token",
        "An access token is needed",
        "The request brings no access token that this API reads.",
        Turn::User,
        "Send one in the header `Authorization: Bearer`, from the provider that this API trusts.",
    ),
    code(
        "bearer.several_credentials",
        "One access token is enough",
        "The request has the header `Authorization` more than once.",
        Turn::User,
        "Send it once. A proxy on the way may have added another.",
    ),
    code(
        "bearer.credentials_malformed",
        "The access token cannot be read",
        "What follows `Bearer` or `DPoP` in the header `Authorization` is not one access token, or is longer than 32 KiB.",
        Turn::User,
        "Send the token as it came from the provider, after one space, without quotes.",
    ),
    code(
        "bearer.malformed",
        "This access token is not accepted",
        "The token is not a signed JSON Web Token whose claims are an object of distinct members.",
        Turn::User,
        "Send the access token as it came from the provider.",
    )
    .developer("Where the provider's access tokens are no JWTs, configure its introspection endpoint."),
    code(
        "bearer.encrypted",
        "This access token is not accepted",
        "The token is encrypted, and this API does not read such tokens.",
        Turn::Developer,
        "Ask whoever runs this API.",
    )
    .developer("Have the provider sign the access tokens of this API without encrypting them, or look them up at its introspection endpoint."),
    code(
        "bearer.type_unexpected",
        "This access token is not accepted",
        "The token's header says in `typ` that it is something else than an access token.",
        Turn::User,
        "Send the access token; an ID token or a refresh token is not one.",
    )
    .developer("`at+jwt` is accepted, and `JWT` or nothing unless `declared_types_only` was chosen."),
    code(
        "bearer.not_an_access_token",
        "This access token is not accepted",
        "The token says of itself that it is an ID token, a logout token or a refresh token.",
        Turn::User,
        "Send the access token that came with it.",
    ),
    code(
        "bearer.algorithm_not_allowed",
        "This access token is not accepted",
        "The token is signed with an algorithm that is not on this API's list, with a shared secret, or not at all.",
        Turn::Developer,
        "Ask whoever runs this API.",
    )
    .developer("Have the provider sign access tokens with an asymmetric algorithm such as RS256 or ES256, and allow it here."),
    code(
        "bearer.critical_header",
        "This access token is not accepted",
        "The token's header demands an extension (`crit`, `b64` or `zip`) that this API does not have.",
        Turn::Developer,
        "Ask whoever runs this API.",
    )
    .developer("Turn the extension off at the provider."),
    code(
        "bearer.unknown_key",
        "This access token is not accepted",
        "No key that the issuer publishes fits the token.",
        Turn::User,
        "Get a new token: the issuer may have changed its keys.",
    )
    .developer("Check that the issuer's key set has a key with the token's `kid` and algorithm, RSA ones of at least 2048 bits."),
    code(
        "bearer.signature_invalid",
        "This access token is not accepted",
        "The token's signature does not match the issuer's published key: the token was changed or forged.",
        Turn::User,
        "Get a new token, and send it as it came.",
    ),
    code(
        "bearer.issuer_unknown",
        "This access token is not accepted",
        "The token does not name an issuer that this API trusts.",
        Turn::User,
        "Get a token from the provider that this API trusts.",
    )
    .developer("The issuer is compared to the byte with those configured, down to the last slash."),
    code(
        "bearer.audience_mismatch",
        "This access token is not accepted",
        "The token is meant for another API.",
        Turn::User,
        "Ask the provider for a token for this one (`resource` or `audience`).",
    )
    .developer("The token's `aud` must have this API's audience (in the example applications `AUTH_BEARER_AUDIENCE`)."),
    code(
        "bearer.expired",
        "This access token has expired",
        "The token's time is over.",
        Turn::User,
        "Get a new one, with the refresh token if there is one.",
    )
    .operator("Where fresh tokens are refused, set this server's clock."),
    code(
        "bearer.not_yet_valid",
        "This access token is not accepted",
        "The token's `nbf` or `iat` lies ahead by more than a minute.",
        Turn::Operator,
        "Try again in a while.",
    )
    .operator("Synchronize the clocks of this server and of the provider."),
    code(
        "bearer.claims_invalid",
        "This access token is not accepted",
        "The token lacks `exp` or `sub`, or one of the claims that count is not what it has to be.",
        Turn::Developer,
        "Ask whoever runs this API.",
    )
    .developer("Have the provider send `exp` as a number of seconds and `sub` as text of up to 255 characters."),
    code(
        "bearer.inactive",
        "This access token is not accepted",
        "The provider says that the token is not active: it is unknown, over, or revoked.",
        Turn::User,
        "Get a new one.",
    ),
    code(
        "bearer.no_means",
        "This access token is not accepted",
        "This application has nothing to check access tokens with: its provider publishes no keys, and no introspection endpoint is configured.",
        Turn::Developer,
        "Ask whoever runs this API.",
    )
    .developer("Set `AUTH_INTROSPECTION_URL`, or name an issuer with its keys."),
    code(
        "bearer.proof_needed",
        "This access token needs a proof",
        "The token is bound to a key and was presented as a bearer token.",
        Turn::User,
        "Send it with the scheme `DPoP` and a proof in the header `DPoP`.",
    ),
    code(
        "bearer.not_bound",
        "This access token is not accepted",
        "The token is bound to no key and was presented with the scheme `DPoP`.",
        Turn::User,
        "Send it with the scheme `Bearer`, or get one that is bound to your key.",
    ),
    code(
        "bearer.binding_unsupported",
        "This access token is not accepted",
        "The token is bound to its sender in a way that this API cannot check.",
        Turn::Developer,
        "Ask whoever runs this API.",
    )
    .developer("DPoP (`cnf` with `jkt` alone) is supported once the public URL is configured (`dpop`), and so are certificates (`x5t#S256` alone)."),
    code(
        "bearer.certificate_needed",
        "This access token is not accepted",
        "The token is bound to a certificate, and this API sees no certificate of whoever sent it.",
        Turn::User,
        "Send it over a connection that presents the certificate, to the address that asks for one.",
    )
    .developer("Where callers do present theirs, put it into each request's extensions (`PeerCertificate`): only whoever ends TLS sees it."),
    code(
        "bearer.certificate_mismatch",
        "This access token is not accepted",
        "The token is bound to another certificate than the one of the connection.",
        Turn::User,
        "Present the certificate that the token was asked for with. After a change of certificates, get a new token.",
    ),
    code(
        "bearer.binding_mismatch",
        "This access token is not accepted",
        "The token is bound to another key than the one that made the proof.",
        Turn::User,
        "Make proofs with the key that the token was asked for with.",
    ),
    code(
        "bearer.proof_missing",
        "This proof is not accepted",
        "The scheme is `DPoP`, and there is no proof in the header `DPoP`.",
        Turn::User,
        "Send one with each request.",
    ),
    code(
        "bearer.proof_malformed",
        "This proof is not accepted",
        "There are several proofs, or it is no signed token of the type `dpop+jwt` with `jti`, `htm`, `htu`, `iat` and `ath`.",
        Turn::User,
        "Send one proof with all of them.",
    ),
    code(
        "bearer.proof_key",
        "This proof is not accepted",
        "The proof's algorithm is not an asymmetric one that this API knows, or its `jwk` is missing, unusable or a private key.",
        Turn::User,
        "Sign with one of the algorithms that the challenge names, and put the public key into the header.",
    ),
    code(
        "bearer.proof_signature",
        "This proof is not accepted",
        "The proof was not signed with the key in its header.",
        Turn::User,
        "Sign it with that key.",
    ),
    code(
        "bearer.proof_for_another_request",
        "This proof is not accepted",
        "The proof was made for another method, URL or access token.",
        Turn::User,
        "Make a proof for each request: `htm`, `htu` without query and fragment, `ath`.",
    )
    .developer("`htu` is compared with the configured public URL and the path; check that URL."),
    code(
        "bearer.proof_time",
        "This proof is not accepted",
        "The proof was not made just now.",
        Turn::User,
        "Make a proof for each request, and set the clock.",
    ),
    code(
        "bearer.proof_replayed",
        "This proof is not accepted",
        "The proof was used before.",
        Turn::User,
        "Make a proof for each request, each with its own `jti`.",
    ),
    code(
        "bearer.nonce_needed",
        "The proof needs a nonce",
        "The proof lacks this server's nonce, or has an old one.",
        Turn::User,
        "Make the proof again with the nonce in the header `DPoP-Nonce`.",
    ),
    code(
        "bearer.scope_missing",
        "A permission is missing",
        "The token was not granted the scope that this needs.",
        Turn::User,
        "Ask the provider for a token with the scope that the challenge names.",
    ),
    code(
        "bearer.claim_missing",
        "This is not open to you",
        "The token does not have the claim that this needs.",
        Turn::Administrator,
        "Ask whoever grants rights.",
    )
    .administrator("Change the account at the provider."),
    code(
        "bearer.authentication_insufficient",
        "Please confirm that it is you",
        "This needs the user to have proved who they are more recently, or more strongly, than the token says.",
        Turn::User,
        "Sign in again with the `max_age` and `acr_values` that the challenge names, and use the new token.",
    ),
    code(
        "bearer.introspection_failed",
        "Access tokens cannot be checked at present",
        "The provider's introspection endpoint gives no answer that can be used.",
        Turn::Provider,
        LATER,
    )
    .provider("See why the introspection endpoint fails.")
    .operator("The log has the cause. `invalid_client` there means that the client id or secret is wrong."),
    code(
        "bearer.busy",
        "Too many at once",
        "More access tokens are being checked than this server takes at a time.",
        Turn::Operator,
        LATER,
    )
    .operator("Somebody may be sending tokens or proofs in bulk; limit them in front of the application."),
];
