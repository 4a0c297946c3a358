//! The environment as the applications read it, with what the command line puts in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use auth_core::{AuthBuilder, ConfigError, env};

/// Settings of the application itself. Where there are several providers, all others are one provider's.
const OF_APPLICATION: [&str; 12] = [
    "API2_URL",
    "API_URL",
    "APP_ADDR",
    "AUTH_BASE_URL",
    "AUTH_CA_FILE",
    "AUTH_FURTHER_BASE_URLS",
    "AUTH_SECRET",
    "AUTH_SESSION_IDLE",
    "AUTH_SESSION_MAX",
    "AUTH_STORE",
    "AUTH_TRUSTED_PROXIES",
    "HTTP_TIMEOUT_SECS",
];

/// Settings that each of several providers has of its own: what is set without a name is none of theirs.
pub(crate) const NEVER_SHARED: [&str; 12] = [
    "AUTH_AUTHORIZATION_URL",
    "AUTH_CLIENT_ID",
    "AUTH_CLIENT_SECRET",
    "AUTH_END_SESSION_PARAM",
    "AUTH_END_SESSION_URL",
    "AUTH_INTROSPECTION_URL",
    "AUTH_ISSUER",
    "AUTH_LABEL",
    "AUTH_ONLY_AT",
    "AUTH_REVOCATION_URL",
    "AUTH_TOKEN_URL",
    "AUTH_USERINFO_URL",
];

/// What of a set-up is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// All of it: there is one provider.
    Whole,
    /// What several providers have around them.
    Application,
    /// One of several providers, under the names that its settings have where there is no other.
    Provider(String),
}

/// Where settings come from: the process's environment or a table, with some of them replaced or hidden.
///
/// `Debug` shows which are replaced, and no value: some are secrets.
#[derive(Clone)]
pub struct Variables {
    table: Option<BTreeMap<String, String>>,
    replaced: BTreeMap<&'static str, Option<String>>,
    part: Part,
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("replaced", &self.replaced.keys())
            .field("part", &self.part)
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
            part: Part::Whole,
        }
    }

    /// These variables, names and values, and no others.
    ///
    /// ```
    /// use auth_doctor::Variables;
    ///
    /// let variables = Variables::of_table([("AUTH_ISSUER", "https://id.example")]);
    /// assert_eq!(variables.get("AUTH_ISSUER").as_deref(), Some("https://id.example"));
    /// ```
    pub fn of_table<N: Into<String>, V: Into<String>>(table: impl IntoIterator<Item = (N, V)>) -> Self {
        let table = table.into_iter();
        Self {
            table: Some(table.map(|(name, value)| (name.into(), value.into())).collect()),
            replaced: BTreeMap::new(),
            part: Part::Whole,
        }
    }

    /// Replaces a variable by this value, whatever the environment or the table says.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.replaced.insert(name, Some(value.into()));
    }

    /// Makes a variable count as unset, whatever the environment or the table says.
    pub fn hide(&mut self, name: &'static str) {
        self.replaced.insert(name, None);
    }

    /// Replaces the issuer. The environment's client is that of the environment's issuer: where this is another one, its
    /// id, secret and key are left out, so that no other provider is shown them. Of several providers none is looked at then.
    pub fn use_issuer(&mut self, issuer: &str) {
        let has_several = self.get("AUTH_PROVIDERS").is_some();
        let is_other = has_several || self.get("AUTH_ISSUER").is_some_and(|known| known != issuer);
        self.hide("AUTH_PROVIDERS");
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

    const CLIENT: [&str; 8] = [
        "AUTH_CERT_BOUND_TOKENS",
        "AUTH_CLIENT_AUTH",
        "AUTH_CLIENT_CERT",
        "AUTH_CLIENT_ID",
        "AUTH_CLIENT_KEY",
        "AUTH_CLIENT_SECRET",
        "AUTH_DECRYPTION_KEY",
        "AUTH_PROFILE",
    ];

    /// The names of several providers, as `AUTH_PROVIDERS` lists them. `None` where there is one without a name.
    pub(crate) fn providers(&self) -> Option<Vec<String>> {
        let list = self.get("AUTH_PROVIDERS")?;
        Some(list.split(',').map(|name| name.trim().to_owned()).collect())
    }

    /// What several providers have around them.
    pub(crate) fn of_application(&self) -> Self {
        Self {
            part: Part::Application,
            ..self.clone()
        }
    }

    /// One of several providers. Store, keys and APIs are looked at with the application.
    pub(crate) fn of_provider(&self, name: &str) -> Self {
        let mut own = Self {
            part: Part::Provider(name.to_owned()),
            ..self.clone()
        };
        for name in NEVER_SHARED {
            own.replaced.remove(name);
        }
        for name in ["API2_URL", "API_URL", "AUTH_SECRET", "AUTH_STORE"] {
            own.hide(name);
        }
        own
    }

    /// The provider's name, where there are several and these are one's settings.
    pub(crate) fn provider(&self) -> Option<&str> {
        match &self.part {
            Part::Provider(name) => Some(name),
            Part::Whole | Part::Application => None,
        }
    }

    /// Whether the application's own settings are among them.
    pub(crate) fn have_application(&self) -> bool {
        self.provider().is_none()
    }

    /// Whether a provider's settings are among them.
    pub(crate) fn have_provider(&self) -> bool {
        self.part != Part::Application
    }

    /// Whether there is one provider, which needs no name.
    pub(crate) fn are_whole(&self) -> bool {
        self.part == Part::Whole
    }

    /// The name that a variable has where there is no other provider: `AUTH_SCOPES` of `AUTH_ACME_SCOPES`.
    pub(crate) fn plain_name(&self, name: &str) -> String {
        let rest = self.provider().and_then(|provider| {
            let rest = name.strip_prefix(&*prefix_of(provider))?;
            Some(format!("AUTH_{rest}"))
        });
        rest.unwrap_or_else(|| name.to_owned())
    }

    /// Whether the environment's client was left out.
    pub(crate) fn leave_client_out(&self) -> bool {
        self.are_whole() && self.replaced.get("AUTH_CLIENT_SECRET") == Some(&None)
    }

    /// A variable's value; `None` where it is not set, or is no text.
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
        let is_of_application = OF_APPLICATION.contains(&name);
        match &self.part {
            Part::Application if !is_of_application => Ok(None),
            Part::Provider(_) if name == "AUTH_PROVIDERS" => Ok(None),
            Part::Provider(provider) if !is_of_application && !self.replaced.contains_key(name) => {
                let own = self.given(&name.replacen("AUTH_", &prefix_of(provider), 1))?;
                if own.is_some() || NEVER_SHARED.contains(&name) {
                    return Ok(own);
                }
                self.given(name)
            }
            _ => self.with_replaced(name),
        }
    }

    /// The value under this very name, or what takes its place.
    fn with_replaced(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match self.replaced.get(name) {
            Some(replaced) => Ok(replaced.clone()),
            None => self.given(name),
        }
    }

    fn given(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match &self.table {
            None => env::variable(name),
            Some(table) => Ok(table.get(name).cloned()),
        }
    }

    /// The library's own reading of all of them.
    pub(crate) fn builder(&self) -> Result<AuthBuilder, ConfigError> {
        AuthBuilder::from_variables(|name| match &self.part {
            Part::Whole => self.with_replaced(name),
            // The library makes no application without a provider; this one is asked for nothing.
            Part::Application => match name {
                "AUTH_ISSUER" => Ok(Some("https://provider.invalid".to_owned())),
                "AUTH_CLIENT_ID" => Ok(Some("auth-doctor".to_owned())),
                name => self.read(name),
            },
            // Under its own name: its redirect URI has it.
            Part::Provider(provider) => match name {
                "AUTH_PROVIDERS" => Ok(Some(provider.clone())),
                name if NEVER_SHARED.contains(&name) => Ok(None),
                name => match self.replaced.get(&*self.plain_name(name)) {
                    Some(replaced) if !OF_APPLICATION.contains(&name) => Ok(replaced.clone()),
                    _ => self.with_replaced(name),
                },
            },
        })
    }

    /// Whether these variables name a provider, by an issuer, an endpoint or `AUTH_PROVIDERS`.
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
        let mut urls = vec![
            "AUTH_STORE".to_owned(),
            "AUTH_ISSUER".to_owned(),
            "AUTH_BASE_URL".to_owned(),
            "API_URL".to_owned(),
            "API2_URL".to_owned(),
        ];
        // Of every name, also of those that `AUTH_PROVIDERS` does not list.
        for name in self.names().into_iter().filter(|name| name.starts_with("AUTH_")) {
            if name.ends_with("_CLIENT_SECRET") {
                secrets.extend(self.with_replaced(&name).ok().flatten());
            } else if name.ends_with("_ISSUER") || name.ends_with("_URL") {
                urls.push(name);
            }
        }
        if let Some(list) = self.get("AUTH_SECRET") {
            secrets.extend(list.split(',').map(|key| key.trim().to_owned()));
        }
        for name in urls {
            let text = self.with_replaced(&name).ok().flatten();
            let url = text.and_then(|text| url::Url::parse(&text).ok());
            if let Some(password) = url.as_ref().and_then(url::Url::password) {
                secrets.push(password.to_owned());
            }
        }
        // What is very short cannot be told from a word.
        secrets.retain(|secret| secret.len() >= 4);
        secrets
    }

    /// The names of all variables that are there.
    fn names(&self) -> BTreeSet<String> {
        match &self.table {
            None => std::env::vars_os()
                .filter_map(|(name, _)| name.into_string().ok())
                .collect(),
            Some(table) => table.keys().cloned().collect(),
        }
    }
}

/// How the variables of one of several providers begin: `AUTH_ACME_` of `acme`.
fn prefix_of(provider: &str) -> String {
    format!("AUTH_{}_", provider.to_ascii_uppercase().replace('-', "_"))
}
