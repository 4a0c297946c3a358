//! Settings from the environment.

use std::time::Duration;

use crate::auth::Auth;
use crate::config::{AuthBuilder, ClientAuthMethod, ConfigError, ParPolicy, ResponseMode, UserinfoPolicy};
use crate::jose::Algorithm;
use crate::seal::SecretKeys;

/// The value of an environment variable. An empty one counts as unset, save for those where something else than was
/// meant would quietly take its place: the provider, the store, the key.
///
/// # Errors
///
/// [`ConfigError`] for a value that is not UTF-8.
pub fn variable(name: &'static str) -> Result<Option<String>, ConfigError> {
    const NEVER_EMPTY: [&str; 5] = [
        "AUTH_ISSUER",
        "AUTH_AUTHORIZATION_URL",
        "AUTH_TOKEN_URL",
        "AUTH_STORE",
        "AUTH_SECRET",
    ];
    match std::env::var(name) {
        Ok(value) if value.is_empty() && !NEVER_EMPTY.contains(&name) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError::new(name, "is not UTF-8")),
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
    /// Makes an [`Auth`] from environment variables (`AUTH_ISSUER`, `AUTH_CLIENT_ID`, …; the README lists them).
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
        mut get: impl FnMut(&'static str) -> Result<Option<String>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        refuse_unsupported(&mut get)?;
        let mut builder = Self::default()
            .authorization_url(get("AUTH_AUTHORIZATION_URL")?)
            .token_url(get("AUTH_TOKEN_URL")?);
        if let Some(url) = get("AUTH_BASE_URL")? {
            builder = builder.base_url(url);
        }
        if let Some(list) = get("AUTH_TRUSTED_PROXIES")? {
            builder = builder.trusted_proxies(list);
        }
        if let Some(issuer) = get("AUTH_ISSUER")? {
            builder = builder.issuer(issuer);
        }
        if let Some(url) = get("AUTH_USERINFO_URL")? {
            builder = builder.userinfo_url(url);
        }
        if let Some(url) = get("AUTH_REVOCATION_URL")? {
            builder = builder.revocation_url(url);
        }
        if let Some(url) = get("AUTH_INTROSPECTION_URL")? {
            builder = builder.introspection_url(url);
        }
        if let Some(url) = get("AUTH_END_SESSION_URL")? {
            builder = builder.end_session_url(url);
        }
        if let Some(name) = get("AUTH_END_SESSION_PARAM")? {
            builder = builder.end_session_parameter(name);
        }
        if let Some(list) = get("AUTH_ROLES_CLAIM")? {
            builder = builder.roles_claims(list.split(',').map(str::trim));
        }
        let secret = get("AUTH_CLIENT_SECRET")?;
        match get("AUTH_CLIENT_ID")? {
            Some(id) => builder = builder.client(id, secret.as_deref()),
            None if secret.is_some() => {
                return Err(ConfigError::new(
                    "AUTH_CLIENT_ID",
                    "must be set together with AUTH_CLIENT_SECRET",
                ));
            }
            None => {}
        }
        if let Some(method) = get("AUTH_CLIENT_AUTH")? {
            builder = builder.client_auth(client_auth(&method)?);
        }
        if let Some(path) = get("AUTH_CLIENT_KEY")? {
            builder = match std::fs::read_to_string(&path) {
                Ok(pem) => builder.client_key_pem(&pem),
                Err(error) => builder.client_key_error(unreadable("AUTH_CLIENT_KEY", &error)),
            };
        }
        if let Some(scopes) = get("AUTH_SCOPES")? {
            builder = builder.scopes(&scopes);
        }
        if let Some(query) = get("AUTH_AUTHORIZE_PARAMS")? {
            for (name, value) in url::form_urlencoded::parse(query.trim_start_matches('?').as_bytes()) {
                builder = builder.authorize_param(name, value);
            }
        }
        if let Some(list) = get("AUTH_RESOURCE")? {
            for resource in list.split(',') {
                builder = builder.resource(resource.trim());
            }
        }
        if let Some(mode) = get("AUTH_RESPONSE_MODE")? {
            builder = builder.response_mode(match mode.as_str() {
                "query" => ResponseMode::Query,
                "form_post" => ResponseMode::FormPost,
                "jwt" => ResponseMode::Jwt,
                _ => return Err(one_of("AUTH_RESPONSE_MODE", "query, form_post or jwt")),
            });
        }
        if let Some(form) = get("AUTH_REQUEST_OBJECT")? {
            match form.as_str() {
                "none" => {}
                "signed" => builder = builder.sign_requests(),
                _ => return Err(one_of("AUTH_REQUEST_OBJECT", "none or signed")),
            }
        }
        if let Some(policy) = get("AUTH_PAR")? {
            builder = builder.par(match policy.as_str() {
                "auto" => ParPolicy::Auto,
                "always" => ParPolicy::Always,
                "never" => ParPolicy::Never,
                _ => return Err(one_of("AUTH_PAR", "auto, always or never")),
            });
        }
        if let Some(policy) = get("AUTH_USERINFO")? {
            builder = builder.userinfo(match policy.as_str() {
                "always" => UserinfoPolicy::Always,
                "never" => UserinfoPolicy::Never,
                _ => return Err(one_of("AUTH_USERINFO", "always or never")),
            });
        }
        if let Some(list) = get("AUTH_ID_TOKEN_ALG")? {
            builder = builder.id_token_algorithms(algorithms(&list)?);
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
}

/// Settings of the contract that this version does not carry out. Better no start than a protection that is only
/// believed to be on.
fn refuse_unsupported(
    get: &mut impl FnMut(&'static str) -> Result<Option<String>, ConfigError>,
) -> Result<(), ConfigError> {
    for (name, fine, others) in [("AUTH_DPOP", &["false"][..], "false")] {
        if let Some(value) = get(name)?
            && !fine.contains(&value.as_str())
        {
            return Err(not_yet(name, &value, others));
        }
    }
    if get("AUTH_PROVIDERS")?.is_some() {
        return Err(ConfigError::new(
            "AUTH_PROVIDERS",
            "several providers are not supported by this version; set AUTH_ISSUER",
        ));
    }
    Ok(())
}

fn not_yet(name: &'static str, value: &str, others: &str) -> ConfigError {
    let value: String = value.chars().filter(char::is_ascii_graphic).take(20).collect();
    ConfigError::new(
        name,
        format!("`{value}` is not supported by this version; use {others}"),
    )
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

fn client_auth(text: &str) -> Result<ClientAuthMethod, ConfigError> {
    match text {
        "client_secret_basic" => Ok(ClientAuthMethod::ClientSecretBasic),
        "client_secret_post" => Ok(ClientAuthMethod::ClientSecretPost),
        "private_key_jwt" => Ok(ClientAuthMethod::PrivateKeyJwt),
        "none" => Ok(ClientAuthMethod::None),
        _ => Err(one_of(
            "AUTH_CLIENT_AUTH",
            "client_secret_basic, client_secret_post, private_key_jwt or none",
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
            ("AUTH_DPOP", "true", "AUTH_DPOP"),
            ("AUTH_DPOP", "TRUE", "AUTH_DPOP"),
            ("AUTH_DPOP", "1", "AUTH_DPOP"),
            ("AUTH_REQUEST_OBJECT", "signed", "AUTH_CLIENT_KEY"),
            ("AUTH_REQUEST_OBJECT", "true", "AUTH_REQUEST_OBJECT"),
            ("AUTH_PROVIDERS", "a,b", "AUTH_PROVIDERS"),
            ("AUTH_PROVIDERS", "a", "AUTH_PROVIDERS"),
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
