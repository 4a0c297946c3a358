//! Somebody is signed in and may not do this, or not yet.

use super::{Explanation, Setting, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "access.role_missing",
        "This is not open to you",
        "You are signed in, but your account does not have the role that this page needs.",
        Turn::Administrator,
        "Ask whoever grants roles, then sign out and in again so that the new role counts.",
    )
    .administrator("Give the account the role at the provider.")
    .developer("Roles are the ID token's claim `roles`, or what stands where `AUTH_ROLES_CLAIM` says; have the provider send it to this client, and name the place."),
    code(
        "access.claim_missing",
        "This is not open to you",
        "You are signed in, but your account does not have what this page asks for.",
        Turn::Administrator,
        "Ask whoever manages accounts, then sign out and in again.",
    )
    .administrator("Change the account at the provider.")
    .developer("See that the provider sends the claim to this client, and that the sign-in hook keeps it."),
    code(
        "access.scope_missing",
        "One more permission is needed",
        "This needs a permission (a scope) that was not asked for when you signed in.",
        Turn::User,
        "Sign in again and agree to it.",
    ),
    code(
        "access.scope_denied",
        "A permission is missing",
        "This needs a permission (a scope) that the provider was asked for and did not grant.",
        Turn::Administrator,
        "Sign in again and agree to it; if it is not offered to you, ask whoever grants rights.",
    )
    .administrator("Allow the scope for the account, and for this client, at the provider.")
    .settings(&[Setting::Scopes]),
    code(
        "access.not_fresh",
        "Please confirm that it is you",
        "This needs you to have signed in just now.",
        Turn::User,
        "Sign in again, and you come back to this page.",
    ),
    code(
        "access.acr_missing",
        "A stronger sign-in is needed",
        "This needs you to have signed in in another way than you did, with a second factor for example.",
        Turn::User,
        "Sign in again in the way that you are asked for, and you come back to this page.",
    ),
    code(
        "access.acr_denied",
        "A stronger sign-in is needed",
        "This needs you to have signed in in another way, with a second factor for example. The sign-in service was asked for that and signed you in without it.",
        Turn::Administrator,
        "If you have a second factor, sign out, sign in with it, and open this page again. If you have none, ask whoever manages accounts.",
    )
    .administrator("See that the account can sign in in that way, and that the provider offers it to this client.")
    .developer("Compare the values of the gate's `acr` with the provider's `acr_values_supported`, and see that the ID token has the claim `acr`."),
    code(
        "access.only_guests",
        "You are signed in already",
        "This page is for people who are not signed in.",
        Turn::User,
        "Go on to the application.",
    ),
];
