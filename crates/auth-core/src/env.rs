//! Settings from the environment.
//!
//! [`Auth::from_env`] is all that most applications need; [`AuthBuilder::from_env`] gives the builder, for hooks and for what has no
//! variable. [`AuthBuilder::from_variables`] reads the same variables from elsewhere, a test's table for one.
//!
//! An empty variable counts as unset, but for those where something else than was meant would quietly take its place: the
//! provider, the store and the key. A variable that cannot be understood stops the start. `docs/settings.md` in the repository
//! lists all of them.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::auth::Auth;
use crate::config::{
    AuthBuilder, ClientAuthMethod, ConfigError, ParPolicy, ResponseMode, UserinfoPolicy, variables_of,
};
use crate::jose::Algorithm;
use crate::party::{Profile, SignInProvider, is_name};
use crate::seal::SecretKeys;

/// The value of an environment variable. An empty one counts as unset, save for those where something else than was
/// meant would quietly take its place: the provider, the store, the key.
///
/// # Errors
///
/// [`ConfigError`] for a value that is not UTF-8.
pub fn variable(name: &str) -> Result<Option<String>, ConfigError> {
    const NEVER_EMPTY: [&str; 3] = ["AUTH_PROVIDERS", "AUTH_STORE", "AUTH_SECRET"];
    // Also of one of several providers: `AUTH_ACME_ISSUER`.
    const NEVER_EMPTY_OF_PROVIDER: [&str; 4] = ["_ISSUER", "_AUTHORIZATION_URL", "_TOKEN_URL", "_ONLY_AT"];
    let may_be_empty = !NEVER_EMPTY.contains(&name)
        && !NEVER_EMPTY_OF_PROVIDER
            .iter()
            .any(|end| name.starts_with("AUTH_") && name.ends_with(end));
    match std::env::var(name) {
        Ok(value) if value.is_empty() && may_be_empty => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError::new(name.to_owned(), "is not UTF-8")),
    }
}

/// Whether the environment names a provider: `AUTH_ISSUER`, `AUTH_AUTHORIZATION_URL`, `AUTH_TOKEN_URL` or
/// `AUTH_PROVIDERS` is set.
///
/// # Errors
///
/// [`ConfigError`] for a value that is not UTF-8, and where settings of a provider are there without the provider
/// itself: better no start than one with another provider than was meant.
pub fn names_a_provider() -> Result<bool, ConfigError> {
    for name in [
        "AUTH_ISSUER",
        "AUTH_AUTHORIZATION_URL",
        "AUTH_TOKEN_URL",
        "AUTH_PROVIDERS",
    ] {
        if variable(name)?.is_some() {
            return Ok(true);
        }
    }
    for name in [
        "AUTH_CLIENT_ID",
        "AUTH_CLIENT_SECRET",
        "AUTH_CLIENT_AUTH",
        "AUTH_CLIENT_KEY",
        "AUTH_CLIENT_CERT",
        "AUTH_DECRYPTION_KEY",
        "AUTH_PROFILE",
        "AUTH_USERINFO_URL",
        "AUTH_REVOCATION_URL",
        "AUTH_INTROSPECTION_URL",
        "AUTH_END_SESSION_URL",
    ] {
        if variable(name)?.is_some() {
            return Err(ConfigError::new(
                "AUTH_ISSUER",
                format!("must be set together with {name}"),
            ));
        }
    }
    Ok(false)
}

impl Auth {
    /// Makes an [`Auth`] from environment variables (`AUTH_ISSUER`, `AUTH_CLIENT_ID`, …; `docs/settings.md` lists them).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first variable that is wrong or missing; its text is one line for standard error.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), auth_core::ConfigError> {
    /// let auth = auth_core::Auth::from_env().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_env() -> Result<Self, ConfigError> {
        AuthBuilder::from_env()?.build().await
    }
}

impl AuthBuilder {
    /// The settings that the environment holds. Hooks and whatever has no variable can be added before
    /// [`build`](Self::build).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a variable that cannot be read or understood.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variable)
    }

    /// The same with another source than the process's environment: a test's table, or the environment with some
    /// variables replaced. `get` is asked for each variable by its name, and gives `None` for one that is not set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a variable that cannot be understood, and whatever `get` refuses.
    ///
    /// # Example
    ///
    /// ```
    /// # fn example() -> Result<(), auth_core::ConfigError> {
    /// use auth_core::{AuthBuilder, env};
    ///
    /// // As the environment says, but with the sessions in memory.
    /// let builder = AuthBuilder::from_variables(|name| match name {
    ///     "AUTH_STORE" => Ok(Some("memory:".to_owned())),
    ///     name => env::variable(name),
    /// })?;
    /// # let _ = builder;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_variables(
        mut get: impl FnMut(&str) -> Result<Option<String>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let mut builder = match get("AUTH_PROVIDERS")? {
            None => {
                let provider = SignInProvider::from_variables(&mut get)?;
                Self::default().of_provider(|_| provider)
            }
            Some(names) => Self::default().providers_of(&names, &mut get)?,
        };
        if let Some(url) = get("AUTH_BASE_URL")? {
            builder = builder.base_url(url);
        }
        if let Some(list) = get("AUTH_FURTHER_BASE_URLS")? {
            builder = list
                .split(',')
                .map(str::trim)
                .fold(builder, Self::further_base_url);
        }
        if let Some(list) = get("AUTH_TRUSTED_PROXIES")? {
            builder = builder.trusted_proxies(list);
        }
        if let Some(path) = get("AUTH_CA_FILE")? {
            builder =
                builder.ca_pem(std::fs::read(&path).map_err(|error| unreadable("AUTH_CA_FILE", &error))?);
        }
        if let Some(url) = get("AUTH_STORE")? {
            builder = builder.store_url(url);
        }
        if let Some(list) = get("AUTH_SECRET")? {
            builder = builder.secret(SecretKeys::from_hex(&list)?);
        }
        if let Some(length) = seconds("AUTH_SESSION_IDLE", get("AUTH_SESSION_IDLE")?)? {
            builder = builder.session_idle(length);
        }
        if let Some(length) = seconds("AUTH_SESSION_MAX", get("AUTH_SESSION_MAX")?)? {
            builder = builder.session_max(length);
        }
        if let Some(length) = seconds("HTTP_TIMEOUT_SECS", get("HTTP_TIMEOUT_SECS")?)? {
            builder = builder.http_timeout(length);
        }
        for name in ["API_URL", "API2_URL"] {
            if let Some(url) = get(name)? {
                builder = builder.api_from(name, url);
            }
        }
        Ok(builder)
    }

    /// Several providers, each with variables of its own.
    fn providers_of(
        mut self,
        names: &str,
        get: &mut impl FnMut(&str) -> Result<Option<String>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        const VARIABLE: &str = "AUTH_PROVIDERS";
        for single in OF_PROVIDER {
            if get(single)?.is_some() {
                let mend = format!(
                    "is for a single provider; beside AUTH_PROVIDERS set {} of each name",
                    single.replacen("AUTH_", "AUTH_<NAME>_", 1)
                );
                return Err(ConfigError::new(single, mend));
            }
        }
        let names: Vec<&str> = names.split(',').map(str::trim).collect();
        for (index, name) in names.iter().enumerate() {
            if !is_name(name) {
                return Err(ConfigError::new(
                    VARIABLE,
                    "is a comma-separated list of names: letters, digits, - and _, 64 at most",
                ));
            }
            let prefix = variables_of(name);
            if names[..index].iter().any(|other| variables_of(other) == prefix) {
                return Err(ConfigError::new(
                    VARIABLE,
                    format!("two names have the same variables, {prefix}…; rename one"),
                ));
            }
            let mut shared = Vec::new();
            let provider = SignInProvider::from_variables(|variable| {
                let own = get(&variable.replacen("AUTH_", &prefix, 1))?;
                if own.is_some() || OF_PROVIDER.contains(&variable) {
                    return Ok(own);
                }
                // What all providers have in common needs to be said once.
                let value = get(variable)?;
                if value.is_some() {
                    shared.push(variable.to_owned());
                }
                Ok(value)
            });
            let provider = provider.map_err(|error| error.of_provider(name, &shared))?;
            self = self.provider(*name, provider.shared(shared));
        }
        Ok(self)
    }
}

/// The variables that say which provider it is, and who this application is there: each of several has its own.
const OF_PROVIDER: [&str; 12] = [
    "AUTH_ISSUER",
    "AUTH_AUTHORIZATION_URL",
    "AUTH_TOKEN_URL",
    "AUTH_LABEL",
    "AUTH_ONLY_AT",
    "AUTH_USERINFO_URL",
    "AUTH_REVOCATION_URL",
    "AUTH_INTROSPECTION_URL",
    "AUTH_END_SESSION_URL",
    "AUTH_END_SESSION_PARAM",
    "AUTH_CLIENT_ID",
    "AUTH_CLIENT_SECRET",
];

impl SignInProvider {
    /// The settings of one provider, under the names that they have where there is no other.
    fn from_variables(
        mut get: impl FnMut(&str) -> Result<Option<String>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let (authorization, token) = (get("AUTH_AUTHORIZATION_URL")?, get("AUTH_TOKEN_URL")?);
        let mut provider = Self::default().authorization_url(authorization).token_url(token);
        if let Some(label) = get("AUTH_LABEL")? {
            provider = provider.label(label);
        }
        if let Some(list) = get("AUTH_ONLY_AT")? {
            provider = list.split(',').map(str::trim).fold(provider, Self::only_at);
        }
        if let Some(issuer) = get("AUTH_ISSUER")? {
            provider = provider.issuer(issuer);
        }
        if let Some(url) = get("AUTH_USERINFO_URL")? {
            provider = provider.userinfo_url(url);
        }
        if let Some(url) = get("AUTH_REVOCATION_URL")? {
            provider = provider.revocation_url(url);
        }
        if let Some(url) = get("AUTH_INTROSPECTION_URL")? {
            provider = provider.introspection_url(url);
        }
        if let Some(url) = get("AUTH_END_SESSION_URL")? {
            provider = provider.end_session_url(url);
        }
        if let Some(name) = get("AUTH_END_SESSION_PARAM")? {
            provider = provider.end_session_parameter(name);
        }
        if let Some(list) = get("AUTH_ROLES_CLAIM")? {
            provider = provider.roles_claims(list.split(',').map(str::trim));
        }
        let secret = get("AUTH_CLIENT_SECRET")?;
        match get("AUTH_CLIENT_ID")? {
            Some(id) => provider = provider.client(id, secret.as_deref()),
            None if secret.is_some() => {
                return Err(ConfigError::new(
                    "AUTH_CLIENT_ID",
                    "must be set together with AUTH_CLIENT_SECRET",
                ));
            }
            None => {}
        }
        if let Some(method) = get("AUTH_CLIENT_AUTH")? {
            provider = provider.client_auth(client_auth(&method)?);
        }
        let mut key = None;
        if let Some(path) = get("AUTH_CLIENT_KEY")? {
            provider = match std::fs::read_to_string(&path) {
                Ok(pem) => {
                    let provider = provider.client_key_pem(&pem);
                    key = Some(Zeroizing::new(pem));
                    provider
                }
                Err(error) => provider.client_key_error(unreadable("AUTH_CLIENT_KEY", &error)),
            };
        }
        if let Some(path) = get("AUTH_CLIENT_CERT")? {
            provider = with_certificate(provider, &path, key.as_ref().map(|key| key.as_str()));
        }
        let binds_to_certificate = is_on("AUTH_CERT_BOUND_TOKENS", &mut get)?.unwrap_or_default();
        if binds_to_certificate {
            provider = provider.certificate_bound_tokens();
        }
        if let Some(path) = get("AUTH_DECRYPTION_KEY")? {
            let pem = std::fs::read_to_string(&path).map(Zeroizing::new);
            let pem = pem.map_err(|error| unreadable("AUTH_DECRYPTION_KEY", &error))?;
            provider = provider.decryption_key_pem(&pem);
        }
        let profile = get("AUTH_PROFILE")?;
        if let Some(name) = &profile {
            let profile = Profile::of(name);
            provider = provider.profile(
                profile.ok_or_else(|| one_of("AUTH_PROFILE", "fapi2_security or fapi2_message_signing"))?,
            );
        }
        match is_on("AUTH_DPOP", &mut get)? {
            None => {}
            Some(true) => provider = provider.dpop(),
            Some(false) if profile.is_none() || binds_to_certificate => {}
            Some(false) => {
                return Err(ConfigError::new(
                    "AUTH_DPOP",
                    "must not be `false`: AUTH_PROFILE is set, and AUTH_CERT_BOUND_TOKENS is not",
                ));
            }
        }
        if let Some(scopes) = get("AUTH_SCOPES")? {
            provider = provider.scopes(&scopes);
        }
        if let Some(query) = get("AUTH_AUTHORIZE_PARAMS")? {
            for (name, value) in url::form_urlencoded::parse(query.trim_start_matches('?').as_bytes()) {
                provider = provider.authorize_param(name, value);
            }
        }
        if let Some(list) = get("AUTH_RESOURCE")? {
            for resource in list.split(',') {
                provider = provider.resource(resource.trim());
            }
        }
        if let Some(mode) = get("AUTH_RESPONSE_MODE")? {
            provider = provider.response_mode(match mode.as_str() {
                "query" => ResponseMode::Query,
                "form_post" => ResponseMode::FormPost,
                "jwt" => ResponseMode::Jwt,
                _ => return Err(one_of("AUTH_RESPONSE_MODE", "query, form_post or jwt")),
            });
        }
        if let Some(form) = get("AUTH_REQUEST_OBJECT")? {
            match form.as_str() {
                "none" if get("AUTH_PROFILE")?.as_deref() == Some("fapi2_message_signing") => {
                    return Err(ConfigError::new(
                        "AUTH_REQUEST_OBJECT",
                        "must not be `none`: AUTH_PROFILE=fapi2_message_signing is set",
                    ));
                }
                "none" => {}
                "signed" => provider = provider.sign_requests(),
                _ => return Err(one_of("AUTH_REQUEST_OBJECT", "none or signed")),
            }
        }
        if let Some(policy) = get("AUTH_PAR")? {
            provider = provider.par(match policy.as_str() {
                "auto" => ParPolicy::Auto,
                "always" => ParPolicy::Always,
                "never" => ParPolicy::Never,
                _ => return Err(one_of("AUTH_PAR", "auto, always or never")),
            });
        }
        if let Some(policy) = get("AUTH_USERINFO")? {
            provider = provider.userinfo(match policy.as_str() {
                "always" => UserinfoPolicy::Always,
                "never" => UserinfoPolicy::Never,
                _ => return Err(one_of("AUTH_USERINFO", "always or never")),
            });
        }
        if let Some(list) = get("AUTH_ID_TOKEN_ALG")? {
            provider = provider.id_token_algorithms(algorithms(&list)?);
        }
        Ok(provider)
    }
}

fn is_on(
    name: &'static str,
    get: &mut impl FnMut(&str) -> Result<Option<String>, ConfigError>,
) -> Result<Option<bool>, ConfigError> {
    match get(name)?.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(one_of(name, "true or false")),
    }
}

fn one_of(name: &'static str, values: &str) -> ConfigError {
    ConfigError::new(name, format!("must be {values}"))
}

fn unreadable(name: &'static str, error: &std::io::Error) -> ConfigError {
    ConfigError::new(
        name,
        format!("the file cannot be read ({}); check the path", error.kind()),
    )
}

/// The certificate of this file, and the private key that is in the same file, or else that of `AUTH_CLIENT_KEY`.
fn with_certificate(provider: SignInProvider, path: &str, key: Option<&str>) -> SignInProvider {
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Err(error) => provider.client_certificate_error(unreadable("AUTH_CLIENT_CERT", &error)),
        Ok(pem) if pem.contains("PRIVATE KEY-----") => provider.client_certificate_pem(&pem, &pem),
        Ok(pem) => match key {
            Some(key) => provider.client_certificate_pem(&pem, key),
            None => provider.client_certificate_error(ConfigError::new(
                "AUTH_CLIENT_KEY",
                "AUTH_CLIENT_CERT needs it: the path of the certificate's private key in PEM form",
            )),
        },
    }
}

fn client_auth(text: &str) -> Result<ClientAuthMethod, ConfigError> {
    match text {
        "client_secret_basic" => Ok(ClientAuthMethod::ClientSecretBasic),
        "client_secret_post" => Ok(ClientAuthMethod::ClientSecretPost),
        "private_key_jwt" => Ok(ClientAuthMethod::PrivateKeyJwt),
        "tls_client_auth" => Ok(ClientAuthMethod::TlsClientAuth),
        "self_signed_tls_client_auth" => Ok(ClientAuthMethod::SelfSignedTlsClientAuth),
        "none" => Ok(ClientAuthMethod::None),
        _ => Err(one_of(
            "AUTH_CLIENT_AUTH",
            "client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth or none",
        )),
    }
}

fn algorithms(list: &str) -> Result<Vec<Algorithm>, ConfigError> {
    list.split([',', ' '])
        .filter(|name| !name.is_empty())
        .map(|name| {
            name.parse().map_err(|_| {
                ConfigError::new(
                    "AUTH_ID_TOKEN_ALG",
                    "must be a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
                )
            })
        })
        .collect()
}

fn seconds(name: &'static str, text: Option<String>) -> Result<Option<Duration>, ConfigError> {
    text.map(|text| {
        text.parse::<u32>()
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(u64::from(seconds)))
            .ok_or_else(|| ConfigError::new(name, "must be a whole number of seconds, 1 or more"))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start(variables: &[(&str, &str)]) -> Result<Auth, ConfigError> {
        AuthBuilder::from_variables(|name| {
            Ok(variables
                .iter()
                .find(|(held, _)| *held == name)
                .map(|(_, value)| (*value).to_owned()))
        })?
        .build()
        .await
    }

    const GOOD: [(&str, &str); 3] = [
        ("AUTH_BASE_URL", "http://127.0.0.1:3000"),
        ("AUTH_ISSUER", "https://id.example"),
        ("AUTH_CLIENT_ID", "app"),
    ];

    #[tokio::test]
    async fn three_variables_are_enough() {
        start(&GOOD).await.expect("starts");
    }

    #[tokio::test]
    async fn each_wrong_setting_is_named_on_one_line_without_secrets() {
        for (name, value, named) in [
            ("AUTH_ISSUER", "http://id.example", "AUTH_ISSUER"),
            ("AUTH_ISSUER", "nonsense", "AUTH_ISSUER"),
            ("AUTH_TOKEN_URL", "https://id.example/token", "AUTH_TOKEN_URL"),
            (
                "AUTH_AUTHORIZATION_URL",
                "https://id.example/a",
                "AUTH_AUTHORIZATION_URL",
            ),
            ("AUTH_CLIENT_AUTH", "client_secret_basic", "AUTH_CLIENT_SECRET"),
            ("AUTH_CLIENT_AUTH", "client_secret_post", "AUTH_CLIENT_SECRET"),
            ("AUTH_CLIENT_AUTH", "private_key_jwt", "AUTH_CLIENT_KEY"),
            ("AUTH_CLIENT_AUTH", "password", "AUTH_CLIENT_AUTH"),
            ("AUTH_CLIENT_AUTH", "tls_client_auth", "AUTH_CLIENT_CERT"),
            (
                "AUTH_CLIENT_AUTH",
                "self_signed_tls_client_auth",
                "AUTH_CLIENT_CERT",
            ),
            ("AUTH_CERT_BOUND_TOKENS", "true", "AUTH_CLIENT_CERT"),
            ("AUTH_CERT_BOUND_TOKENS", "yes", "AUTH_CERT_BOUND_TOKENS"),
            ("AUTH_CLIENT_CERT", "/nonexistent/cert.pem", "AUTH_CLIENT_CERT"),
            (
                "AUTH_CLIENT_CERT",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
                "AUTH_CLIENT_KEY",
            ),
            (
                "AUTH_DECRYPTION_KEY",
                "/nonexistent/key.pem",
                "AUTH_DECRYPTION_KEY",
            ),
            (
                "AUTH_DECRYPTION_KEY",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
                "AUTH_DECRYPTION_KEY",
            ),
            ("AUTH_CLIENT_KEY", "/nonexistent/key.pem", "AUTH_CLIENT_KEY"),
            ("AUTH_SCOPES", "openid \"x\"", "AUTH_SCOPES"),
            ("AUTH_AUTHORIZE_PARAMS", "state=x", "AUTH_AUTHORIZE_PARAMS"),
            ("AUTH_ROLES_CLAIM", "groups,", "AUTH_ROLES_CLAIM"),
            ("AUTH_ROLES_CLAIM", "/realm_access/", "AUTH_ROLES_CLAIM"),
            (
                "AUTH_END_SESSION_URL",
                "http://id.example/logout",
                "AUTH_END_SESSION_URL",
            ),
            ("AUTH_END_SESSION_PARAM", "logout uri", "AUTH_END_SESSION_PARAM"),
            (
                "AUTH_AUTHORIZE_PARAMS",
                "audience=x&redirect_uri=y",
                "AUTH_AUTHORIZE_PARAMS",
            ),
            ("AUTH_AUTHORIZE_PARAMS", "max_age=soon", "AUTH_AUTHORIZE_PARAMS"),
            ("AUTH_AUTHORIZE_PARAMS", "claims=[]", "AUTH_AUTHORIZE_PARAMS"),
            ("AUTH_AUTHORIZE_PARAMS", "claims=x", "AUTH_AUTHORIZE_PARAMS"),
            (
                "AUTH_AUTHORIZE_PARAMS",
                "authorization_details={}",
                "AUTH_AUTHORIZE_PARAMS",
            ),
            (
                "AUTH_AUTHORIZE_PARAMS",
                "authorization_details=[]",
                "AUTH_AUTHORIZE_PARAMS",
            ),
            (
                "AUTH_AUTHORIZE_PARAMS",
                "authorization_details=[{}]",
                "AUTH_AUTHORIZE_PARAMS",
            ),
            ("AUTH_RESOURCE", "relative", "AUTH_RESOURCE"),
            ("AUTH_RESPONSE_MODE", "fragment", "AUTH_RESPONSE_MODE"),
            ("AUTH_USERINFO", "sometimes", "AUTH_USERINFO"),
            ("AUTH_ID_TOKEN_ALG", "none", "AUTH_ID_TOKEN_ALG"),
            ("AUTH_ID_TOKEN_ALG", "HS256", "AUTH_ID_TOKEN_ALG"),
            ("AUTH_ID_TOKEN_ALG", ",", "AUTH_ID_TOKEN_ALG"),
            ("AUTH_PAR", "sometimes", "AUTH_PAR"),
            ("AUTH_DPOP", "TRUE", "AUTH_DPOP"),
            ("AUTH_DPOP", "1", "AUTH_DPOP"),
            ("AUTH_REQUEST_OBJECT", "signed", "AUTH_CLIENT_KEY"),
            ("AUTH_REQUEST_OBJECT", "true", "AUTH_REQUEST_OBJECT"),
            ("AUTH_PROVIDERS", "a,b", "AUTH_ISSUER"),
            ("AUTH_TRUSTED_PROXIES", "10.0.0.1,proxy", "AUTH_TRUSTED_PROXIES"),
            ("AUTH_TRUSTED_PROXIES", "10.0.0.0/33", "AUTH_TRUSTED_PROXIES"),
            ("AUTH_CA_FILE", "/nonexistent/ca.pem", "AUTH_CA_FILE"),
            ("AUTH_STORE", "mysql://x", "AUTH_STORE"),
            ("AUTH_STORE", "sqlite:/nonexistent/folder/file", "AUTH_STORE"),
            ("AUTH_SECRET", "5ec12e7", "AUTH_SECRET"),
            ("AUTH_SESSION_IDLE", "0", "AUTH_SESSION_IDLE"),
            ("AUTH_SESSION_MAX", "-1", "AUTH_SESSION_MAX"),
            ("HTTP_TIMEOUT_SECS", "1.5", "HTTP_TIMEOUT_SECS"),
            ("API_URL", "http://api.example", "API_URL"),
            ("API2_URL", "ftp://api.example", "API2_URL"),
            ("AUTH_BASE_URL", "https://app.example/sub", "AUTH_BASE_URL"),
            ("AUTH_BASE_URL", "app", "AUTH_BASE_URL"),
        ] {
            let mut variables: Vec<_> = GOOD.into_iter().filter(|(held, _)| *held != name).collect();
            variables.push((name, value));
            let error = start(&variables)
                .await
                .err()
                .unwrap_or_else(|| panic!("{name}={value} is refused"));
            assert_eq!(error.variable(), named, "{name}={value}: {error}");
            let text = error.to_string();
            assert!(!text.contains('\n') && !text.contains("5ec12e7"), "{text}");
            // What `fn main() -> Result<(), ConfigError>` prints.
            assert_eq!(format!("{error:?}"), text);
        }
    }

    #[tokio::test]
    async fn what_is_required_is_missed_by_name() {
        for missing in GOOD {
            let variables: Vec<_> = GOOD.into_iter().filter(|held| *held != missing).collect();
            let error = start(&variables).await.expect_err("refused");
            assert_eq!(error.variable(), missing.0);
        }
        let error = start(&[("AUTH_TOKEN_URL", "https://id.example/t")])
            .await
            .expect_err("refused");
        assert_eq!(error.variable(), "AUTH_AUTHORIZATION_URL");
        let error = start(&[GOOD[0], GOOD[1], ("AUTH_CLIENT_SECRET", "s")])
            .await
            .expect_err("refused");
        assert_eq!(error.variable(), "AUTH_CLIENT_ID");
    }

    #[tokio::test]
    async fn proxies_are_addresses_or_networks() {
        let mut variables = GOOD.to_vec();
        variables.push(("AUTH_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,::1,fd00::/8"));
        start(&variables).await.expect("starts");
    }

    #[tokio::test]
    async fn what_needs_discovery_is_refused_without_it() {
        for (name, value) in [("AUTH_PAR", "always"), ("AUTH_RESPONSE_MODE", "jwt")] {
            let error = start(&[
                GOOD[0],
                GOOD[2],
                ("AUTH_AUTHORIZATION_URL", "https://id.example/authorize"),
                ("AUTH_TOKEN_URL", "https://id.example/token"),
                (name, value),
            ])
            .await
            .expect_err("refused");
            assert_eq!(error.variable(), name);
            let mut variables = GOOD.to_vec();
            variables.push((name, value));
            start(&variables).await.expect("starts");
        }
        // A request is made out to an issuer, and signed with a key; the former is missed first.
        let error = start(&[
            GOOD[0],
            GOOD[2],
            ("AUTH_AUTHORIZATION_URL", "https://id.example/authorize"),
            ("AUTH_TOKEN_URL", "https://id.example/token"),
            ("AUTH_REQUEST_OBJECT", "signed"),
        ]);
        let error = error.await.expect_err("refused");
        assert_eq!(error.variable(), "AUTH_REQUEST_OBJECT");
    }

    const TWO: [(&str, &str); 6] = [
        ("AUTH_BASE_URL", "http://127.0.0.1:3000"),
        ("AUTH_PROVIDERS", "staff, old-customers"),
        ("AUTH_STAFF_ISSUER", "https://id.example"),
        ("AUTH_STAFF_CLIENT_ID", "app"),
        ("AUTH_OLD_CUSTOMERS_ISSUER", "https://customers.example"),
        ("AUTH_OLD_CUSTOMERS_CLIENT_ID", "shop"),
    ];

    #[tokio::test]
    async fn each_of_several_providers_has_variables_of_its_own() {
        let mut variables = TWO.to_vec();
        variables.extend([
            ("AUTH_STAFF_SCOPES", "openid internal"),
            ("AUTH_STAFF_LABEL", "Staff"),
            ("AUTH_OLD_CUSTOMERS_RESPONSE_MODE", "form_post"),
            ("AUTH_OLD_CUSTOMERS_CLIENT_SECRET", "s"),
        ]);
        let auth = start(&variables).await.expect("starts");
        let labels: Vec<_> = auth.providers().into_iter().map(|one| one.label).collect();
        assert_eq!(labels, ["Staff", "old-customers"]);
        let parties = auth.core().config.parties.configured();
        let scopes: Vec<_> = parties
            .iter()
            .map(|party| party.config.scopes.to_string())
            .collect();
        assert_eq!(scopes, ["openid internal", "openid profile email offline_access"]);
        let modes: Vec<_> = parties.iter().map(|party| party.config.response_mode).collect();
        assert_eq!(modes, [ResponseMode::Query, ResponseMode::FormPost]);
        let redirect_uris: Vec<_> = parties
            .iter()
            .map(|party| party.redirect_uri(auth.core().config.origins.first()))
            .collect();
        assert_eq!(
            redirect_uris,
            [
                "http://127.0.0.1:3000/auth/callback/staff",
                "http://127.0.0.1:3000/auth/callback/old-customers"
            ]
        );
    }

    #[tokio::test]
    async fn what_is_wrong_with_one_of_several_is_named_with_its_name() {
        for (name, value, named) in [
            ("AUTH_STAFF_ISSUER", "http://id.example", "AUTH_STAFF_ISSUER"),
            ("AUTH_STAFF_CLIENT_ID", "", "AUTH_STAFF_CLIENT_ID"),
            (
                "AUTH_STAFF_CLIENT_AUTH",
                "client_secret_post",
                "AUTH_STAFF_CLIENT_SECRET",
            ),
            (
                "AUTH_STAFF_CLIENT_KEY",
                "/nonexistent/key.pem",
                "AUTH_STAFF_CLIENT_KEY",
            ),
            ("AUTH_OLD_CUSTOMERS_PAR", "sometimes", "AUTH_OLD_CUSTOMERS_PAR"),
            (
                "AUTH_OLD_CUSTOMERS_TOKEN_URL",
                "https://id.example/t",
                "AUTH_OLD_CUSTOMERS_TOKEN_URL",
            ),
            ("AUTH_PROVIDERS", "staff,", "AUTH_PROVIDERS"),
            ("AUTH_PROVIDERS", "", "AUTH_PROVIDERS"),
            ("AUTH_PROVIDERS", "staff,Staff", "AUTH_PROVIDERS"),
            ("AUTH_SCOPES", "openid \"x\"", "AUTH_SCOPES"),
            ("AUTH_STAFF_SCOPES", "openid \"x\"", "AUTH_STAFF_SCOPES"),
            ("AUTH_PAR", "sometimes", "AUTH_PAR"),
            ("AUTH_PROVIDERS", "staff/x", "AUTH_PROVIDERS"),
            ("AUTH_PROVIDERS", "staff,staff", "AUTH_PROVIDERS"),
            ("AUTH_PROVIDERS", "old-customers,old_customers", "AUTH_PROVIDERS"),
            ("AUTH_PROVIDERS", "staff,other", "AUTH_OTHER_ISSUER"),
            ("AUTH_ISSUER", "https://id.example", "AUTH_ISSUER"),
            ("AUTH_CLIENT_SECRET", "5ec12e7", "AUTH_CLIENT_SECRET"),
        ] {
            let mut variables: Vec<_> = TWO.into_iter().filter(|(held, _)| *held != name).collect();
            variables.push((name, value));
            let error = start(&variables).await.expect_err("refused");
            assert_eq!(error.variable(), named, "{name}={value}: {error}");
            let text = error.to_string();
            assert!(!text.contains('\n') && !text.contains("5ec12e7"), "{text}");
        }
        let mut variables = TWO.to_vec();
        variables.push(("AUTH_STAFF_CLIENT_AUTH", "client_secret_post"));
        let error = start(&variables).await.expect_err("refused");
        assert!(
            error.to_string().contains("AUTH_STAFF_CLIENT_AUTH=none"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_is_switched_off_contradicts_a_profile_that_demands_it() {
        for (name, value, profile) in [
            ("AUTH_DPOP", "false", "fapi2_security"),
            ("AUTH_DPOP", "false", "fapi2_message_signing"),
            ("AUTH_REQUEST_OBJECT", "none", "fapi2_message_signing"),
        ] {
            let mut variables = GOOD.to_vec();
            variables.extend([("AUTH_PROFILE", profile), (name, value)]);
            let error = start(&variables).await.expect_err(name);
            assert_eq!(error.variable(), name, "{profile}");
        }
        let mut variables = GOOD.to_vec();
        variables.push(("AUTH_PROFILE", "fapi3"));
        let error = start(&variables).await.expect_err("refused");
        assert_eq!(error.variable(), "AUTH_PROFILE");
    }

    #[tokio::test]
    async fn what_several_providers_have_in_common_is_said_once() {
        let mut variables = TWO.to_vec();
        variables.extend([
            ("AUTH_SCOPES", "openid internal"),
            ("AUTH_STAFF_SCOPES", "openid email"),
            ("AUTH_RESPONSE_MODE", "form_post"),
        ]);
        let auth = start(&variables).await.expect("starts");
        let parties = auth.core().config.parties.configured().iter();
        let of_each: Vec<_> = parties
            .map(|party| (party.config.scopes.to_string(), party.config.response_mode))
            .collect();
        assert_eq!(
            of_each,
            [
                ("openid email".to_owned(), ResponseMode::FormPost),
                ("openid internal".to_owned(), ResponseMode::FormPost)
            ]
        );
    }

    #[tokio::test]
    async fn who_and_where_a_provider_is_is_refused_beside_several() {
        for name in OF_PROVIDER {
            let mut variables = TWO.to_vec();
            variables.push((name, "x"));
            let error = start(&variables).await.expect_err(name);
            assert_eq!(error.variable(), name);
        }
        // Every one of them is read, and so is every URL.
        let mut asked = Vec::new();
        let _ = SignInProvider::from_variables(|name| {
            asked.push(name.to_owned());
            Ok(None)
        });
        for name in OF_PROVIDER {
            assert!(asked.iter().any(|asked| asked == name), "{name}");
        }
        for name in asked.iter().filter(|name| name.ends_with("_URL")) {
            assert!(OF_PROVIDER.contains(&name.as_str()), "{name}");
        }
    }

    #[tokio::test]
    async fn plain_oauth_needs_no_issuer() {
        start(&[
            GOOD[0],
            GOOD[2],
            ("AUTH_AUTHORIZATION_URL", "https://id.example/authorize"),
            ("AUTH_TOKEN_URL", "https://id.example/token"),
        ])
        .await
        .expect("starts");
    }
}
