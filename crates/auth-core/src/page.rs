//! The library's own pages: HTML without script, with nothing loaded.

use crate::choices::SignInChoices;
use crate::codes::{self, Explanation, Turn};
use crate::config::{Config, paths};
use crate::failure::{self, Failure};
use crate::origins::OriginId;

/// The page of a failure: what the person can do comes first, what is for developers stands apart.
pub(crate) fn of(failure: &Failure) -> String {
    let explanation = failure.explanation();
    let button = failure.try_again().map_or_else(String::new, |link| {
        format!(
            "<a class=\"button\" href=\"{}\">{}</a>",
            escape(&link.href),
            link.label
        )
    });
    let body = format!(
        "<main>{turn}<h1>{title}</h1><p class=\"lead\">{cause}</p>{unsent}\
         <section aria-labelledby=\"mend\"><h2 id=\"mend\">What you can do</h2><p>{mend}</p>\
         <p class=\"actions\">{button}<a href=\"/\">Go to the home page</a></p></section>{experts}</main>\
         <footer><p>Code: <a href=\"{at}\"><code>{code}</code></a></p></footer>",
        turn = turn(explanation.turn),
        title = escape(explanation.title),
        cause = prose(explanation.cause),
        unsent = unsent(failure),
        mend = prose(explanation.mend),
        experts = experts(explanation, failure.detail(), failure.settings()),
        at = escape(&failure.explained_at()),
        code = failure.code(),
    );
    document(explanation.title, &body)
}

/// The page to choose a provider on: each with its label, and the address that signs in there.
pub(crate) fn choose(choices: &SignInChoices) -> String {
    let items: String = choices
        .iter()
        .map(|choice| {
            format!(
                "<li><a class=\"button\" href=\"{}\">{}</a></li>",
                escape(&choice.href),
                escape(&choice.provider.label)
            )
        })
        .collect();
    let body = format!(
        "<main><h1>Sign in</h1><p class=\"lead\" id=\"with\">Choose how to sign in.</p>\
         <nav aria-labelledby=\"with\"><ul class=\"providers\">{items}</ul></nav>\
         <p class=\"actions\"><a href=\"/\">Go to the home page</a></p></main>"
    );
    document("Sign in", &body)
}

/// What a code means: `/auth/errors/<code>`, at this origin of the app.
pub(crate) fn explanation(config: &Config, found: &Explanation, at: OriginId) -> String {
    let settings = failure::values(config, None, at, found.settings);
    let body = format!(
        "<main><p class=\"turn\">It is the turn of {who}</p><h1>{title}</h1><p class=\"lead\">{cause}</p>\
         <section aria-labelledby=\"mend\"><h2 id=\"mend\">What whoever sees this can do</h2><p>{mend}</p></section>\
         {experts}<p class=\"actions\"><a href=\"/\">Go to the home page</a><a href=\"{index}\">All codes</a></p></main>\
         <footer><p>Code: <code>{code}</code></p></footer>",
        who = match found.turn {
            Turn::User => "the person who sees this",
            other => other.who(),
        },
        title = escape(found.title),
        cause = prose(found.cause),
        mend = prose(found.mend),
        experts = experts(
            found,
            None,
            settings.iter().map(|(name, value)| (*name, value.as_str()))
        ),
        index = paths::ERRORS,
        code = found.code,
    );
    document(found.title, &body)
}

/// All codes, area by area: `/auth/errors/`.
pub(crate) fn index() -> String {
    let mut areas: Vec<(&str, String)> = Vec::new();
    for explanation in codes::all() {
        let area = explanation.area();
        let line = format!(
            "<li><a href=\"{}{code}\"><code>{code}</code></a> {}</li>",
            paths::ERRORS,
            prose(explanation.cause),
            code = explanation.code,
        );
        match areas.iter_mut().find(|(name, _)| *name == area) {
            Some((_, lines)) => lines.push_str(&line),
            None => areas.push((area, line)),
        }
    }
    let sections: String = areas
        .iter()
        .map(|(area, lines)| {
            format!(
                "<section aria-labelledby=\"{area}\"><h2 id=\"{area}\"><code>{area}</code></h2>\
                 <ul class=\"codes\">{lines}</ul></section>"
            )
        })
        .collect();
    let body = format!(
        "<main><h1>What can go wrong</h1><p class=\"lead\">Every failure has a code that stays the same. \
         Each of these pages says what happened, whose turn it is, and what to do.</p>{sections}\
         <p class=\"actions\"><a href=\"/\">Go to the home page</a></p></main>"
    );
    document("What can go wrong", &body)
}

/// What whoever has sent a form has to know besides.
fn unsent(failure: &Failure) -> &'static str {
    match (failure.refuses_form(), failure.try_again()) {
        (true, Some(_)) => {
            "<p>What you sent was probably not carried out. Once you have signed in, look, and send it again if it is not there.</p>"
        }
        (true, None) => "<p>What you sent was not carried out.</p>",
        (false, _) => "",
    }
}

fn turn(turn: Turn) -> String {
    match turn {
        Turn::User => "<p class=\"turn\">It is your turn</p>".to_owned(),
        other => format!(
            "<p class=\"turn others\">Not your turn: it is that of {}</p>",
            other.who()
        ),
    }
}

/// What developers and operators do, with the settings to look at.
fn experts<'a>(
    explanation: &Explanation,
    detail: Option<&str>,
    settings: impl Iterator<Item = (&'static str, &'a str)>,
) -> String {
    let steps: String = explanation
        .others()
        .map(|(turn, step)| format!("<h3>{}</h3><p>{}</p>", heading(turn), prose(step)))
        .collect();
    let detail = detail.map_or_else(String::new, |detail| format!("<p>{}</p>", escape(detail)));
    let settings: String = settings
        .map(|(name, value)| {
            format!(
                "<div><dt>{}</dt><dd><code>{}</code></dd></div>",
                escape(name),
                escape(value)
            )
        })
        .collect();
    if steps.is_empty() && detail.is_empty() && settings.is_empty() {
        return String::new();
    }
    let settings = if settings.is_empty() {
        settings
    } else {
        format!("<h3>Set at present</h3><dl>{settings}</dl>")
    };
    format!(
        "<section class=\"experts\" aria-labelledby=\"experts\"><h2 id=\"experts\">For those who run this application</h2>\
         {detail}{steps}{settings}</section>"
    )
}

fn heading(turn: Turn) -> &'static str {
    match turn {
        Turn::User => "You",
        Turn::Developer => "The developer",
        Turn::Operator => "The operator",
        Turn::Provider => "The operator of the sign-in service",
        Turn::Administrator => "Whoever grants rights",
    }
}

/// What a provider shows in a frame when a session has ended here.
pub(crate) fn signed_out() -> String {
    document("Signed out", "<h1>Signed out</h1><p>The session has ended.</p>")
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{}</title><style>{}</style></head>\
         <body>{body}</body></html>",
        escape(title),
        include_str!("page.css")
    )
}

/// Our own words as HTML: what stands between backticks is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\" title='y'>&"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;"
        );
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        assert_eq!(prose("set `A<B` to 1"), "set <code>A&lt;B</code> to 1");
    }
}
