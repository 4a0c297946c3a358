//! The environment as the applications read it, with what the command line puts in its place.

use std::collections::BTreeMap;
use std::fmt;

use auth_core::{AuthBuilder, ConfigError, env};

/// Where settings come from: the process's environment or a table, with some of them replaced or hidden.
///
/// `Debug` shows which are replaced, and no value: some are secrets.
#[derive(Clone)]
pub struct Variables {
    table: Option<BTreeMap<String, String>>,
    replaced: BTreeMap<&'static str, Option<String>>,
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("replaced", &self.replaced.keys())
            .finish_non_exhaustive()
    }
}

impl Variables {
    /// The process's environment.
    #[must_use]
    pub fn of_environment() -> Self {
        Self {
            table: None,
            replaced: BTreeMap::new(),
        }
    }

    /// These variables and no others.
    ///
    /// ```
    /// use auth_doctor::Variables;
    ///
    /// let variables = Variables::of_table([("AUTH_ISSUER", "https://id.example")]);
    /// # let _ = variables;
    /// ```
    pub fn of_table<N: Into<String>, V: Into<String>>(table: impl IntoIterator<Item = (N, V)>) -> Self {
        let table = table.into_iter();
        Self {
            table: Some(table.map(|(name, value)| (name.into(), value.into())).collect()),
            replaced: BTreeMap::new(),
        }
    }

    /// Replaces a variable.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.replaced.insert(name, Some(value.into()));
    }

    /// Makes a variable count as unset.
    pub fn hide(&mut self, name: &'static str) {
        self.replaced.insert(name, None);
    }

    /// Replaces the issuer. The environment's client is that of the environment's issuer: where this is another one, its
    /// id, secret and key are left out, so that no other provider is shown them.
    pub fn use_issuer(&mut self, issuer: &str) {
        let is_other = self.get("AUTH_ISSUER").is_some_and(|known| known != issuer);
        self.set("AUTH_ISSUER", issuer);
        for name in ["AUTH_AUTHORIZATION_URL", "AUTH_TOKEN_URL"] {
            self.hide(name);
        }
        if is_other {
            for name in Self::CLIENT {
                self.hide(name);
            }
        }
    }

    const CLIENT: [&str; 4] = [
        "AUTH_CLIENT_ID",
        "AUTH_CLIENT_SECRET",
        "AUTH_CLIENT_KEY",
        "AUTH_CLIENT_AUTH",
    ];

    /// Whether the environment's client was left out.
    pub(crate) fn leave_client_out(&self) -> bool {
        self.replaced.get("AUTH_CLIENT_SECRET") == Some(&None)
    }

    /// The value, where it is set and can be read.
    #[must_use]
    pub fn get(&self, name: &'static str) -> Option<String> {
        self.read(name).ok().flatten()
    }

    /// Whether it is set and this.
    pub(crate) fn is(&self, name: &'static str, value: &str) -> bool {
        self.get(name).as_deref() == Some(value)
    }

    /// As the library reads it: what is empty counts as unset, but for a few.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, ConfigError> {
        if let Some(replaced) = self.replaced.get(name) {
            return Ok(replaced.clone());
        }
        match &self.table {
            None => env::variable(name),
            Some(table) => Ok(table.get(name).cloned()),
        }
    }

    /// The library's own reading of all of them.
    pub(crate) fn builder(&self) -> Result<AuthBuilder, ConfigError> {
        AuthBuilder::from_variables(|name| self.read(name))
    }

    /// Whether a provider is named.
    #[must_use]
    pub fn name_a_provider(&self) -> bool {
        [
            "AUTH_ISSUER",
            "AUTH_AUTHORIZATION_URL",
            "AUTH_TOKEN_URL",
            "AUTH_PROVIDERS",
        ]
        .iter()
        .any(|name| self.get(name).is_some())
    }

    /// Every value that must not be shown: secrets, keys, and passwords in URLs.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.get("AUTH_CLIENT_SECRET").into_iter().collect();
        if let Some(list) = self.get("AUTH_SECRET") {
            secrets.extend(list.split(',').map(|key| key.trim().to_owned()));
        }
        for name in [
            "AUTH_STORE",
            "AUTH_ISSUER",
            "AUTH_BASE_URL",
            "API_URL",
            "API2_URL",
        ] {
            let url = self.get(name).and_then(|text| url::Url::parse(&text).ok());
            if let Some(password) = url.as_ref().and_then(url::Url::password) {
                secrets.push(password.to_owned());
            }
        }
        // What is very short cannot be told from a word.
        secrets.retain(|secret| secret.len() >= 4);
        secrets
    }
}
