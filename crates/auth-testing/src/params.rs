//! Parameters of OAuth requests.

use url::form_urlencoded;

/// The parameters of a query or form body, in their order.
#[derive(Clone, Default)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

/// A parameter is there twice (RFC 6749 §3.1, §3.2).
#[derive(Debug)]
pub(crate) struct Doubled(pub(crate) &'static str);

impl Params {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(encoded)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The value of `name`. An empty value counts as absent (RFC 6749 §3.1).
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Doubled> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Doubled(name)),
            (Some(""), None) => Ok(None),
            (value, None) => Ok(value),
        }
    }

    /// Every value of `name`, for parameters that may be repeated (`resource`, RFC 8707 §2).
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The space-separated words of `name`.
    pub(crate) fn words(&self, name: &'static str) -> Result<Vec<String>, Doubled> {
        Ok(self.one(name)?.map_or_else(Vec::new, words))
    }
}

/// Splits a space-separated list, such as a scope.
pub(crate) fn words(list: &str) -> Vec<String> {
    list.split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
