//! The pages that the library shows, in the language of whoever sees them: `error_page` and `choice_page` of both adapters, given texts
//! by a failure's stable code and by whose turn it is.
//!
//! The functions from values to HTML know no framework; [`axum`] and [`actix`] are what each framework adds.

pub mod actix;
pub mod axum;
mod german;

use auth_core::codes::Turn;
use auth_core::{Failure, SignInChoices};

/// The languages that there are texts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The library's own texts.
    English,
    /// Those of this example.
    German,
}

impl Language {
    /// The language tag (RFC 5646), for `lang` and `Content-Language`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What fits the request's `Accept-Language` best (RFC 9110 §12.5.4): the weights decide, and among equals what stands first.
    #[must_use]
    pub fn of(accept_language: Option<&str>) -> Self {
        let mut best = (0.0, Self::English);
        for range in accept_language.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("de") => Self::German,
                Some("en") => Self::English,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight: f32 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// The page of a failure. What there is no text for in that language, a code that is new for example, is said in general words; the
/// code stands on the page in any case.
#[must_use]
pub fn failure(failure: &Failure, language: Language) -> String {
    let texts = match language {
        Language::English => Texts {
            turn: match failure.turn() {
                Turn::User => "It is your turn".to_owned(),
                other => format!("Not your turn: it is that of {}", other.who()),
            },
            title: failure.title(),
            cause: failure.cause(),
            mend: failure.mend(),
            unsent: "What you sent was probably not carried out.",
            button: failure.try_again().map(|link| link.label),
            home: "Go to the home page",
        },
        Language::German => german::texts(failure),
    };
    let unsent = if failure.refuses_form() {
        format!("<p>{}</p>", texts.unsent)
    } else {
        String::new()
    };
    let button = failure
        .try_again()
        .zip(texts.button)
        .map(|(link, label)| format!("<a href=\"{}\">{label}</a> ", escape(&link.href)));
    let main = format!(
        "<p>{}</p><h1>{}</h1><p>{}</p>{unsent}<p>{}</p><p>{}<a href=\"/\">{}</a></p><p><code>{}</code></p>",
        texts.turn,
        escape(texts.title),
        escape(texts.cause),
        escape(texts.mend),
        button.unwrap_or_default(),
        texts.home,
        failure.code(),
    );
    document(language, texts.title, &main)
}

/// The page to choose a provider on.
#[must_use]
pub fn choice(choices: &SignInChoices, language: Language) -> String {
    let (title, lead) = match language {
        Language::English => ("Sign in", "Choose how to sign in."),
        Language::German => ("Anmelden", "Wählen Sie, womit Sie sich anmelden."),
    };
    let links: String = choices
        .iter()
        .map(|choice| {
            let (href, label) = (escape(&choice.href), escape(&choice.provider.label));
            format!("<li><a href=\"{href}\">{label}</a></li>")
        })
        .collect();
    document(
        language,
        title,
        &format!("<h1>{title}</h1><p>{lead}</p><ul>{links}</ul>"),
    )
}

/// What a failure's page says, in one language.
pub(crate) struct Texts {
    turn: String,
    title: &'static str,
    cause: &'static str,
    mend: &'static str,
    unsent: &'static str,
    button: Option<&'static str>,
    home: &'static str,
}

fn document(language: Language, title: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title></head>\
         <body><main>{main}</main></body></html>",
        language.tag(),
        escape(title)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
