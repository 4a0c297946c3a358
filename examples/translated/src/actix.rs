//! The pages on actix-web.

use actix_web::http::header::{CONTENT_LANGUAGE, ContentType};
use actix_web::{HttpRequest, HttpResponse};
use auth_actix::{Auth, AuthExt, AuthLayer, Failure, SignInChoices};

use crate::Language;

/// The layer of an application whose pages are translated.
#[must_use]
pub fn layer(auth: &Auth) -> AuthLayer {
    auth.layer().error_page(error_page).choice_page(choice_page)
}

fn error_page(failure: &Failure, request: &HttpRequest) -> HttpResponse {
    let language = language(request);
    page(language, crate::failure(failure, language))
}

fn choice_page(choices: &SignInChoices, request: &HttpRequest) -> HttpResponse {
    let language = language(request);
    page(language, crate::choice(choices, language))
}

fn page(language: Language, html: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CONTENT_LANGUAGE, language.tag()))
        .body(html)
}

fn language(request: &HttpRequest) -> Language {
    let header = request.headers().get("accept-language");
    Language::of(header.and_then(|value| value.to_str().ok()))
}
