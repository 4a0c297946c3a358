//! The application is put together wrongly.

use super::{Explanation, TELL, Turn, code};

const TITLE: &str = "This application is not set up correctly";

pub(super) const CODES: &[Explanation] = &[
    code(
        "setup.layer_missing",
        TITLE,
        "A route asks who is signed in, and `auth.layer()` is not around it.",
        Turn::Developer,
        TELL,
    )
    .developer("Add `auth.layer()` outside of everything that needs it."),
    code(
        "setup.bearer_layer_missing",
        "This application is not put together correctly",
        "An API that is called with access tokens is not set up to check any.",
        Turn::Developer,
        TELL,
    )
    .developer("Add `bearer_layer` to the router, outside of everything that asks for a token."),
    code(
        "setup.carrier_missing",
        TITLE,
        "The application's own session layer was chosen to carry the session identifier, and is missing or failed.",
        Turn::Developer,
        TELL,
    )
    .developer("Add the session layer outside of `auth.layer()`, and look into its log."),
    code(
        "setup.app_data_unsupported",
        TITLE,
        "The application's session layer is to use the session store, which keeps sign-ins only.",
        Turn::Developer,
        TELL,
    )
    .developer(
        "Use one of the library's stores, or implement `AppDataStore` and return it from `SessionStore::app_data`.",
    ),
    code(
        "setup.app_data_type",
        TITLE,
        "What the application's own session holds does not fit the type that the application asks for.",
        Turn::Developer,
        TELL,
    )
    .developer("Use one type for an entry, or another name for another type; JSON has to be able to hold it."),
    code(
        "setup.claims_type",
        TITLE,
        "The provider's claims do not fit the type that the application asks for.",
        Turn::Developer,
        TELL,
    )
    .developer("Make the fields that may be missing optional, or ask for the scopes that bring them."),
];
