//! A sign-in that could not be begun or finished.

use super::{Explanation, LATER, Setting, TELL, Turn, code};

const UNFINISHED: &str = "This sign-in cannot be finished";
const AGAIN: &str = "Nothing is lost. Start again.";

pub(super) const CODES: &[Explanation] = &[
    // The answer and the attempt that it belongs to.
    code(
        "login.state_missing",
        UNFINISHED,
        "The answer from the sign-in page does not say which sign-in it belongs to.",
        Turn::User,
        AGAIN,
    )
    .developer("If it stays, something between provider and application removes the `state` parameter, or the provider sends its answer in another way than `AUTH_RESPONSE_MODE` says.")
    .settings(&[Setting::ResponseMode]),
    code(
        "login.state_unknown",
        UNFINISHED,
        "The answer names a sign-in that this application did not begin, or it was changed on its way.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("If it stays, something between provider and application changes the `state` parameter, which has 100 characters and is none of ours."),
    code(
        "login.parameter_repeated",
        UNFINISHED,
        "The answer from the sign-in page holds a parameter twice, which an honest one never does.",
        Turn::User,
        "Start again from the application's own page.",
    ),
    code(
        "login.state_cookie_missing",
        UNFINISHED,
        "This browser has no sign-in under way that this answer belongs to: it was finished before, or was begun in another browser.",
        Turn::User,
        AGAIN,
    )
    .developer("The cookie of the sign-in did not come back, though others did. See that nothing in between drops `Set-Cookie` lines of `/auth/login`."),
    code(
        "login.cookies_blocked",
        "Your browser sent no cookies",
        "Signing in needs a cookie, and none came back: this sign-in was finished before, or cookies are blocked for this site, or you began in another browser, in a private window or in an app.",
        Turn::User,
        "Start again in this browser. If it happens again, allow cookies for this site.",
    )
    .developer("See that nothing in between drops `Set-Cookie` and `Cookie` headers, and that the application is opened under exactly `AUTH_BASE_URL`.")
    .settings(&[Setting::BaseUrl]),
    code(
        "login.cookie_other_address",
        "This application has two addresses",
        "You began to sign in under another address than the one that the sign-in service sends you back to, and browsers keep a cookie for each address apart.",
        Turn::Developer,
        "Start again with the button: it uses the right address.",
    )
    .developer("Open the application under exactly `AUTH_BASE_URL`, or set `AUTH_BASE_URL` to the address that people use; redirect other names there, or list them in `AUTH_FURTHER_BASE_URLS`. 127.0.0.1 and localhost are two addresses.")
    .settings(&[Setting::BaseUrl, Setting::RedirectUri]),
    code(
        "login.cookie_http",
        "This application was opened without https",
        "You began to sign in over http, where browsers do not keep the cookie of an application that is meant for https.",
        Turn::Developer,
        "Start again with the button: it uses https.",
    )
    .developer("Redirect http to https in front of the application. `AUTH_BASE_URL` is https, so the cookies are `Secure` and `__Host-`.")
    .settings(&[Setting::BaseUrl]),
    code(
        "login.cookie_same_site",
        "Your browser kept the cookie back",
        "The sign-in service sent its answer as a form of another web site, and browsers send no `SameSite=Lax` cookie along with one.",
        Turn::Developer,
        TELL,
    )
    .developer("With `AUTH_RESPONSE_MODE=form_post`, `AUTH_BASE_URL` must be https, so that the cookie of the sign-in can be `SameSite=None`. Otherwise set `AUTH_RESPONSE_MODE=query`, and remove `response_mode` from the client's registration at the provider.")
    .settings(&[Setting::BaseUrl, Setting::ResponseMode]),
    code(
        "login.attempt_dropped",
        UNFINISHED,
        "Other sign-ins are under way in this browser, but not this one: it was finished before, or more than five were begun since.",
        Turn::User,
        AGAIN,
    ),
    code(
        "login.attempt_expired",
        "This sign-in took too long",
        "This sign-in was begun more than 15 minutes ago.",
        Turn::User,
        AGAIN,
    ),
    code(
        "login.attempt_unreadable",
        UNFINISHED,
        "This sign-in was begun by a server with a key that this server does not have.",
        Turn::Operator,
        "Nothing is lost. Start again.",
    )
    .operator("Give all instances the same `AUTH_SECRET`, and keep an old key in the list for a while. Without `AUTH_SECRET`, every start makes a key of its own."),
    code(
        "login.attempt_tampered",
        UNFINISHED,
        "The cookie of this sign-in was changed since it was set, or another version of this application set it.",
        Turn::User,
        AGAIN,
    )
    .developer("If it stays, something in between changes cookies."),
    code(
        "login.state_replayed",
        UNFINISHED,
        "This answer was used before: the page was reloaded, or came back from the browser's history.",
        Turn::User,
        AGAIN,
    ),
    code(
        "login.other_provider",
        UNFINISHED,
        "The answer came to the address of another sign-in service than the one you were sent to: one may have answered in the other's place. Nothing was sent to either.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("Each provider has a redirect URI of its own, `{AUTH_BASE_URL}/auth/callback/<name>` (RFC 9700 §4.4.2): see that each registration has its own one, and no other.")
    .settings(&[Setting::RedirectUri]),
    code(
        "login.other_origin",
        UNFINISHED,
        "The answer came to another address of this application than the one where the sign-in began. Nothing was sent to the sign-in service.",
        Turn::User,
        "Start again from the page that you want to sign in to.",
    )
    .developer("A sign-in comes back to the origin where it began, `AUTH_BASE_URL` or one of `AUTH_FURTHER_BASE_URLS`. See that nothing in between changes `Host`, and that nobody carries cookies from one origin to another.")
    .settings(&[Setting::BaseUrl, Setting::RedirectUri]),
    code(
        "login.issuer_mismatch",
        UNFINISHED,
        "The answer comes from another provider than the one that was asked.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("`AUTH_ISSUER` must be exactly what the provider calls itself, also in `iss` of its answers (RFC 9207).")
    .settings(&[Setting::Issuer]),
    code(
        "login.issuer_missing",
        UNFINISHED,
        "The answer does not say which provider it comes from, though this provider always says so.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("If it stays, something in between removes the `iss` parameter, or the provider announces `authorization_response_iss_parameter_supported` wrongly.")
    .settings(&[Setting::Issuer]),
    code(
        "login.code_missing",
        UNFINISHED,
        "The answer from the sign-in page holds neither a code nor an error.",
        Turn::User,
        AGAIN,
    )
    .developer("If it stays, something between provider and application changes its answers."),
    // A signed answer (JARM).
    code(
        "login.response_unsigned",
        UNFINISHED,
        "The answer from the sign-in page is not signed by the provider, or something stands beside what is signed.",
        Turn::Developer,
        "Start again from the application's own page.",
    )
    .developer("If it stays, the provider does not sign its answers for this client: turn it on there (JARM), or set `AUTH_RESPONSE_MODE=query`.")
    .settings(&[Setting::ResponseMode, Setting::ClientId]),
    code(
        "login.response_encrypted",
        UNFINISHED,
        "The answer from the sign-in page is encrypted, and no key of this application decrypts it.",
        Turn::Developer,
        "Start again from the application's own page.",
    )
    .developer("Set `AUTH_DECRYPTION_KEY` to the private key of the public one that is registered at the provider, with `RSA-OAEP-256` or `ECDH-ES` and `A128GCM`, `A256GCM` or `A128CBC-HS256`; or turn the encryption of authorization responses off there.")
    .settings(&[Setting::ClientId]),
    code(
        "login.response_malformed",
        UNFINISHED,
        "The answer from the sign-in page is no signed token that this application reads.",
        Turn::Developer,
        "Start again from the application's own page.",
    )
    .developer("See that nothing in between changes the parameter `response`.")
    .settings(&[Setting::ClientId]),
    code(
        "login.response_algorithm",
        UNFINISHED,
        "The answer from the sign-in page is signed in a way that is not on the list for this provider, with a shared secret, or not at all.",
        Turn::Developer,
        "Start again from the application's own page.",
    )
    .developer("Set the client's `authorization_signed_response_alg` at the provider to an asymmetric one such as RS256 or ES256, and allow it here (`AUTH_ID_TOKEN_ALG`).")
    .settings(&[Setting::ClientId]),
    code(
        "login.response_signature",
        UNFINISHED,
        "The signature of the answer from the sign-in page is not the provider's.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("If it stays, check that the issuer's `jwks_uri` publishes the key that authorization responses are signed with.")
    .settings(&[Setting::Issuer]),
    code(
        "login.response_audience",
        UNFINISHED,
        "The answer from the sign-in page was signed for another application.",
        Turn::User,
        "Start again from the application's own page.",
    )
    .developer("Check that `AUTH_CLIENT_ID` is the one registered at the provider.")
    .settings(&[Setting::ClientId]),
    code(
        "login.response_expired",
        UNFINISHED,
        "The answer from the sign-in page had expired when it arrived, or does not say when it does.",
        Turn::User,
        AGAIN,
    )
    .operator("If it stays, compare the clocks of this server and of the provider."),
    // What the provider said no to at its own page.
    code(
        "login.access_denied",
        "You were not let in",
        "Access was denied: you said no at the sign-in page, or the provider does not let you in.",
        Turn::User,
        "Sign in again if that was a mistake; otherwise ask whoever grants rights.",
    )
    .administrator("See at the provider whether the account may use this application."),
    code(
        "login.provider_error",
        "The sign-in service has a problem",
        "The provider says that it has failed.",
        Turn::Provider,
        LATER,
    )
    .provider("The service's own log says why."),
    code(
        "login.provider_unavailable",
        "The sign-in service has a problem",
        "The provider says that it cannot sign anybody in at present.",
        Turn::Provider,
        LATER,
    )
    .provider("The service has to recover; its own log says why."),
    code(
        "login.interaction_required",
        "The sign-in service has a question for you",
        "The provider needs to ask you something and was told not to.",
        Turn::Developer,
        TELL,
    )
    .developer("Remove `prompt=none` from `AUTH_AUTHORIZE_PARAMS`."),
    code(
        "login.authentication_unmet",
        "A stronger sign-in is needed",
        "The application asked for a certain way of signing in, with a second factor for example, and the provider cannot sign you in so.",
        Turn::Administrator,
        "Try again and choose that way, if you have it; otherwise ask whoever manages accounts. Whoever was signed in still is.",
    )
    .administrator("Set that way of signing in up for the account at the provider.")
    .developer("Compare the `acr_values` that are asked for with the provider's `acr_values_supported`."),
    code(
        "login.scope_refused",
        "This application asks for too much",
        "The provider does not know a permission (a scope) that the application asks for, or does not allow it.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare `AUTH_SCOPES` with what the client may ask for at the provider.")
    .settings(&[Setting::Scopes, Setting::ClientId]),
    code(
        "login.redirect_uri_refused",
        "This application is not set up correctly",
        "The provider does not accept the address that it is to send you back to (the redirect URI): it is not the one registered for this application.",
        Turn::Developer,
        TELL,
    )
    .developer("Register the redirect URI below at the provider, to the letter: scheme, host, port, path, no slash at the end. Most providers show this failure on a page of their own, and nobody comes back from there.")
    .settings(&[Setting::RedirectUri, Setting::ClientId]),
    code(
        "login.grant_not_allowed",
        "This application is not set up correctly",
        "The provider knows this application and does not allow it to sign people in with an authorization code.",
        Turn::Developer,
        TELL,
    )
    .developer("Allow the authorization code grant (and, for long sessions, the refresh token grant) for this client at the provider.")
    .settings(&[Setting::ClientId]),
    code(
        "login.response_type_refused",
        "This application is not set up correctly",
        "The provider does not answer with an authorization code, or not to this application.",
        Turn::Developer,
        TELL,
    )
    .developer("Allow the response type `code` for this client at the provider.")
    .settings(&[Setting::ClientId]),
    code(
        "login.resource_refused",
        "This application is not set up correctly",
        "The provider does not know the API that the access token is to be for, or does not allow it to this application.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare `AUTH_RESOURCE` with the APIs that the provider knows and this client may use (RFC 8707)."),
    code(
        "login.request_invalid",
        "This application is not set up correctly",
        "The provider finds the sign-in request itself wrong.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare redirect URI, scopes and `AUTH_AUTHORIZE_PARAMS` with the client's registration. Where it demands pushed or signed requests, set `AUTH_PAR=always` or `AUTH_REQUEST_OBJECT=signed`. The provider's own log says more.")
    .settings(&[Setting::RedirectUri, Setting::ClientId, Setting::Scopes]),
    code(
        "login.authorization_details_refused",
        "This application is not set up correctly",
        "The provider does not know a right that the application asks for in detail, or does not allow it.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare `AuthBuilder::authorization_details` with the types that the provider knows and this client may use (RFC 9396).")
    .settings(&[Setting::ClientId]),
    code(
        "login.request_object_refused",
        "This application is not set up correctly",
        "The provider does not accept the sign-in request that this application has signed.",
        Turn::Developer,
        TELL,
    )
    .developer("Register the public half of `AUTH_CLIENT_KEY` for the client, and its algorithm for request objects; or set `AUTH_REQUEST_OBJECT=none`.")
    .operator("Compare the clocks of this server and of the provider: what is signed is good for five minutes.")
    .settings(&[Setting::ClientId, Setting::Issuer]),
    code(
        "login.request_uri_refused",
        UNFINISHED,
        "The sign-in request that this application has left at the provider was used before, or is too old.",
        Turn::User,
        AGAIN,
    ),
    code(
        "login.refused",
        "The sign-in service said no",
        "The provider refused the sign-in request, for a reason that is not one of the usual ones.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare redirect URI, scopes and `AUTH_AUTHORIZE_PARAMS` with the client's registration; the provider's own log says more.")
    .settings(&[Setting::RedirectUri, Setting::ClientId, Setting::Scopes]),
    // What the token endpoint said.
    code(
        "login.client_refused",
        "This application is not set up correctly",
        "The provider does not accept this application: its client id, its secret or the way it authenticates is not what is registered.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` and `AUTH_CLIENT_AUTH` with the client's registration: is it the secret itself and not its id, without a space or a quote, and has it not expired?")
    .settings(&[Setting::ClientId]),
    code(
        "login.client_secret_missing",
        "This application is not set up correctly",
        "The provider wants this application to prove who it is, and no client secret is set.",
        Turn::Developer,
        TELL,
    )
    .developer("Set `AUTH_CLIENT_SECRET`, or register the client as a public one. Is `AUTH_CLIENT_ID` known to the provider?")
    .settings(&[Setting::ClientId]),
    code(
        "login.client_key_refused",
        "This application is not set up correctly",
        "The provider does not accept what this application signs with its private key to prove who it is.",
        Turn::Developer,
        TELL,
    )
    .developer("Register the public half of `AUTH_CLIENT_KEY` for the client, and `private_key_jwt` as its way to authenticate.")
    .operator("Compare the clocks of this server and of the provider: what is signed is good for five minutes.")
    .settings(&[Setting::ClientId, Setting::Issuer]),
    code(
        "login.client_certificate_refused",
        "This application is not set up correctly",
        "The provider does not accept the certificate that this application shows to prove who it is, or wants one and sees none.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare `AUTH_CLIENT_CERT` with the client's registration: the subject or, for `self_signed_tls_client_auth`, the certificate itself, and `AUTH_CLIENT_AUTH` with the way to authenticate there. Is the endpoint one for certificates (`mtls_endpoint_aliases`)?")
    .operator("See that the certificate has not expired (`openssl x509 -enddate -noout -in`), that the file holds the intermediate certificates too, and that no proxy in between ends the TLS connection.")
    .settings(&[Setting::ClientId, Setting::Issuer]),
    code(
        "login.code_refused",
        UNFINISHED,
        "The provider does not accept its own code: it was used before, has expired, or was meant for another redirect URI or client.",
        Turn::User,
        "Sign in again. If it happens again, tell whoever runs this application, and give them the code below.",
    )
    .developer("If it stays, the redirect URI below must be registered to the letter, and nothing in between may load `/auth/callback` before the browser does.")
    .settings(&[Setting::RedirectUri, Setting::ClientId]),
    code(
        "login.token_unavailable",
        "The sign-in service has a problem",
        "The provider's token endpoint is down, too slow or overloaded.",
        Turn::Provider,
        LATER,
    )
    .operator("The log has the cause; compare the provider's times with `HTTP_TIMEOUT_SECS`.")
    .provider("The service has to recover; its own log says why."),
    code(
        "login.token_malformed",
        "The sign-in service's answer makes no sense",
        "The provider's token endpoint answered with something that is no token response.",
        Turn::Developer,
        TELL,
    )
    .developer("Check that the token endpoint is the provider's own and that nothing in between changes its answers.")
    .settings(&[Setting::Issuer]),
    code(
        "login.token_refused",
        "The sign-in service said no",
        "The provider's token endpoint refused the request.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare grant types, redirect URI and `AUTH_RESOURCE` with the client's registration; the log has the error's code, the provider's own log says more.")
    .settings(&[Setting::RedirectUri, Setting::ClientId]),
    code(
        "login.token_type",
        "This application is not set up correctly",
        "The provider sent a token of another type than was agreed: no bearer token, or with `AUTH_DPOP` none that is bound to a key.",
        Turn::Developer,
        TELL,
    )
    .developer("Set `AUTH_DPOP` as the client is registered at the provider: `true` where its tokens are sender-constrained by DPoP, and not otherwise.")
    .settings(&[Setting::ClientId]),
    code(
        "login.id_token_missing",
        "The sign-in service did not say who you are",
        "The provider sent no ID token.",
        Turn::Developer,
        TELL,
    )
    .developer("The client must be an OpenID Connect client and may use the scope `openid`.")
    .settings(&[Setting::Scopes, Setting::ClientId]),
    code(
        "login.token_inactive",
        "The sign-in service contradicts itself",
        "The provider says that the access token it has just issued is not active.",
        Turn::Developer,
        TELL,
    )
    .developer("Check that the introspection endpoint belongs to the same provider."),
    code(
        "login.access_token_refused",
        "The sign-in service's answer cannot be trusted",
        "The access token, which is to say who you are, is not one that this application can verify.",
        Turn::Developer,
        TELL,
    )
    .developer("The log has the cause. Check issuer, key set and audience of `user_from_access_token`, and that the provider is asked for a token of that API."),
    code(
        "login.refused_by_app",
        "You were not let in",
        "You have signed in at the provider, but this application does not let you in.",
        Turn::Administrator,
        "Ask whoever runs the application, or sign in with another account.",
    )
    .administrator("The application's log says why.")
    .developer("The hook that `AuthBuilder::on_sign_in` set has refused the user."),
    code(
        "login.signed_out",
        UNFINISHED,
        "While you were signing in, the provider has signed you out.",
        Turn::User,
        "Sign in again.",
    ),
    code(
        "login.unknown_issuer",
        UNFINISHED,
        "A sign-in was asked for at a provider that this application does not use.",
        Turn::User,
        "Start from the application's own page.",
    )
    .settings(&[Setting::Issuer]),
    // What the pushed authorization request endpoint said (RFC 9126).
    code(
        "login.push_unavailable",
        "The sign-in service has a problem",
        "The provider does not take the sign-in request: its endpoint for pushed authorization requests is down, too slow or overloaded.",
        Turn::Provider,
        LATER,
    )
    .operator("The log has the cause; compare the provider's times with `HTTP_TIMEOUT_SECS`.")
    .provider("The service has to recover; its own log says why."),
    code(
        "login.push_malformed",
        "The sign-in service's answer makes no sense",
        "The provider's endpoint for pushed authorization requests answered with something that names no request.",
        Turn::Developer,
        TELL,
    )
    .developer("Check that the endpoint is the provider's own and that nothing in between changes its answers.")
    .settings(&[Setting::Issuer]),
    code(
        "login.push_refused",
        "The sign-in service said no",
        "The provider refused the sign-in request that this application pushed to it, for a reason that is not one of the usual ones.",
        Turn::Developer,
        TELL,
    )
    .developer("Compare redirect URI, scopes and `AUTH_AUTHORIZE_PARAMS` with the client's registration; the provider's own log says more.")
    .settings(&[Setting::RedirectUri, Setting::ClientId, Setting::Scopes]),
    code(
        "login.push_required",
        "This application and the sign-in service do not fit",
        "The provider takes only sign-in requests that are pushed to it beforehand, and this application is told never to do that.",
        Turn::Developer,
        TELL,
    )
    .developer("Remove `AUTH_PAR=never`."),
    code(
        "login.push_unsupported",
        "This application and the sign-in service do not fit",
        "This application is told to push every sign-in request to the provider beforehand, and the provider does not say where.",
        Turn::Developer,
        TELL,
    )
    .developer("Remove `AUTH_PAR=always`, or have the provider name a `pushed_authorization_request_endpoint` in its discovery document.")
    .settings(&[Setting::Issuer]),
];
