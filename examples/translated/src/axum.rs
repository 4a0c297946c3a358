//! The pages on axum.

use auth_axum::{Auth, AuthExt, AuthLayer, Failure, SignInChoices};
use axum::http::header::CONTENT_LANGUAGE;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse};

use crate::Language;

/// The layer of an application whose pages are translated.
#[must_use]
pub fn layer(auth: &Auth) -> AuthLayer {
    auth.layer().error_page(error_page).choice_page(choice_page)
}

fn error_page(failure: &Failure, request: &Parts) -> impl IntoResponse + use<> {
    let language = language(request);
    (
        [(CONTENT_LANGUAGE, language.tag())],
        Html(crate::failure(failure, language)),
    )
}

fn choice_page(choices: &SignInChoices, request: &Parts) -> impl IntoResponse + use<> {
    let language = language(request);
    (
        [(CONTENT_LANGUAGE, language.tag())],
        Html(crate::choice(choices, language)),
    )
}

fn language(request: &Parts) -> Language {
    let header = request.headers.get("accept-language");
    Language::of(header.and_then(|value| value.to_str().ok()))
}
