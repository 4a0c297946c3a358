//! Enough HTML to press a button on a page without script.

use html5gum::{Token, Tokenizer};

/// A `<form>` of a page.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// The `action` attribute; empty where there is none.
    pub action: String,
    /// The `method` attribute in lower case; `get` where there is none.
    pub method: String,
    /// Names and values of its `<input>`s that have a name.
    pub inputs: Vec<(String, String)>,
    /// Names and values of its `<button>`s; a button without a name has an empty one.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// The fields sent when the named button is pressed.
    ///
    /// # Panics
    ///
    /// When the form has no such button.
    #[must_use]
    pub fn press(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let button = (name.to_owned(), value.to_owned());
        assert!(
            self.buttons.contains(&button),
            "no button {name}={value} in {self:?}"
        );
        let mut fields = self.inputs.clone();
        fields.push(button);
        fields
    }
}

/// The forms of a page, in order.
#[must_use]
pub fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut inside = false;
    for token in Tokenizer::new(page).flatten() {
        match token {
            Token::StartTag(tag) => {
                let attribute = |name: &str| {
                    tag.attributes
                        .iter()
                        .find(|(key, _)| key.as_slice() == name.as_bytes())
                        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                };
                match tag.name.as_slice() {
                    b"form" => {
                        inside = true;
                        forms.push(Form {
                            action: attribute("action").unwrap_or_default(),
                            method: attribute("method")
                                .unwrap_or_else(|| "get".to_owned())
                                .to_ascii_lowercase(),
                            ..Form::default()
                        });
                    }
                    element @ (b"input" | b"button") if inside => {
                        let form = forms.last_mut().unwrap();
                        let field = (
                            attribute("name").unwrap_or_default(),
                            attribute("value").unwrap_or_default(),
                        );
                        if element == b"button" {
                            form.buttons.push(field);
                        } else if !field.0.is_empty() {
                            form.inputs.push(field);
                        }
                    }
                    _ => {}
                }
            }
            Token::EndTag(tag) if tag.name.as_slice() == b"form" => inside = false,
            _ => {}
        }
    }
    forms
}

/// Where a page leads: the `href`s of its `<a>`s, in order.
#[must_use]
pub fn links(page: &str) -> Vec<String> {
    Tokenizer::new(page)
        .flatten()
        .filter_map(|token| match token {
            Token::StartTag(tag) if tag.name.as_slice() == b"a" => {
                let href = tag.attributes.iter().find(|(key, _)| key.as_slice() == b"href");
                href.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            }
            _ => None,
        })
        .collect()
}

/// The text a reader sees, without tags, with runs of white space made one space.
#[must_use]
pub fn text(page: &str) -> String {
    let mut text = String::new();
    let mut hidden = false;
    for token in Tokenizer::new(page).flatten() {
        match token {
            Token::StartTag(tag) => {
                hidden = matches!(tag.name.as_slice(), b"style" | b"script");
                text.push(' ');
            }
            Token::EndTag(_) => {
                hidden = false;
                text.push(' ');
            }
            Token::String(run) if !hidden => text.push_str(&String::from_utf8_lossy(&run)),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_forms_with_their_fields_and_entities_decoded() {
        let forms = forms(
            r#"<p><form action="/a?x=1&amp;y=2" method="POST"><input type="hidden" name="t" value="&lt;1&gt;">
               <button name="user" value="alice">Alice</button></form><form><button>Go</button></form>"#,
        );
        assert_eq!(forms.len(), 2);
        assert_eq!(forms[0].action, "/a?x=1&y=2");
        assert_eq!(forms[0].method, "post");
        assert_eq!(
            forms[0].press("user", "alice"),
            [
                ("t".to_owned(), "<1>".to_owned()),
                ("user".to_owned(), "alice".to_owned())
            ]
        );
        assert_eq!(forms[1].method, "get");
    }

    #[test]
    fn links_are_decoded() {
        assert_eq!(
            links(r#"<a href="/a?x=1&amp;y">a</a><a>b</a><a href='#'>c</a>"#),
            ["/a?x=1&y", "#"]
        );
    }

    #[test]
    fn text_leaves_out_tags_and_styles() {
        assert_eq!(text("<style>p{}</style><p>a <b>b</b>\n &amp; c</p>"), "a b & c");
    }
}
