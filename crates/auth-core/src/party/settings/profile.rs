//! Security profiles: sets of settings that an ecosystem demands of every client in it.

use super::SignInProvider;
#[cfg(doc)]
use crate::config::AuthBuilder;
use crate::config::{ClientAuthMethod, ConfigError, ParPolicy, ResponseMode};
use crate::jose::Algorithm;

/// A security profile, for [`AuthBuilder::profile`]: it switches on whatever the profile demands of a client, and stops the
/// start where a setting contradicts it.
///
/// `docs/profiles.md` has each demand, and what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// FAPI 2.0 Security Profile (§5.3.3, §5.4): requests are pushed, the client authenticates with its key or certificate,
    /// tokens are bound to a key (DPoP) unless they are [bound to the certificate](AuthBuilder::certificate_bound_tokens), the
    /// provider says in every response who it is, and what is signed is signed with PS256, ES256 or EdDSA.
    Fapi2Security,
    /// FAPI 2.0 Message Signing (§5.3, §5.4): the Security Profile, and the client signs its requests (JAR), the provider its
    /// responses (JARM).
    Fapi2MessageSigning,
}

/// FAPI 2.0 Security Profile §5.4.1.
pub(crate) const ALGORITHMS: [Algorithm; 3] = [Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

impl Profile {
    /// The value of `AUTH_PROFILE`.
    const fn name(self) -> &'static str {
        match self {
            Self::Fapi2Security => "fapi2_security",
            Self::Fapi2MessageSigning => "fapi2_message_signing",
        }
    }

    /// The profile of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Fapi2Security, Self::Fapi2MessageSigning]
            .into_iter()
            .find(|profile| profile.name() == name)
    }

    /// What a setting is refused for.
    fn refuses(self, variable: &'static str, why: &str) -> ConfigError {
        ConfigError::new(variable, format!("{why}: AUTH_PROFILE={} is set", self.name()))
    }

    /// The settings that the profile asks for.
    pub(super) fn apply(self, settings: &mut SignInProvider) -> Result<(), ConfigError> {
        self.only_discovery(settings)?;
        match settings.par {
            ParPolicy::Never => return Err(self.refuses("AUTH_PAR", "must not be `never`")),
            ParPolicy::Auto | ParPolicy::Always => settings.par = ParPolicy::Always,
        }
        self.authenticate_by_key(settings)?;
        if !settings.binds_to_certificate {
            settings.binds_tokens = true;
        }
        let algorithms = settings.algorithms.get_or_insert_with(|| ALGORITHMS.to_vec());
        if algorithms.iter().any(|algorithm| !ALGORITHMS.contains(algorithm)) {
            return Err(self.refuses("AUTH_ID_TOKEN_ALG", "must have none but PS256, ES256 and EdDSA"));
        }
        if self == Self::Fapi2MessageSigning {
            settings.signs_requests = true;
            let mode = settings.response_mode.get_or_insert(ResponseMode::Jwt);
            if !mode.is_signed() {
                return Err(self.refuses("AUTH_RESPONSE_MODE", "must be `jwt`"));
            }
        }
        Ok(())
    }

    /// §5.3.3.1: metadata come from the document that the provider publishes, and from nowhere else.
    fn only_discovery(self, settings: &SignInProvider) -> Result<(), ConfigError> {
        let by_hand = [
            ("AUTH_AUTHORIZATION_URL", &settings.authorization_url),
            ("AUTH_TOKEN_URL", &settings.token_url),
            ("AUTH_USERINFO_URL", &settings.userinfo_url),
            ("AUTH_REVOCATION_URL", &settings.revocation_url),
            ("AUTH_INTROSPECTION_URL", &settings.introspection_url),
            ("AUTH_END_SESSION_URL", &settings.end_session_url),
            (
                "pushed_authorization_request_url",
                &settings.pushed_authorization_request_url,
            ),
        ];
        match by_hand.into_iter().find(|(_, url)| url.is_some()) {
            Some((variable, _)) => {
                Err(self.refuses(variable, "must come from the provider's discovery document"))
            }
            None => Ok(()),
        }
    }

    /// §5.3.3.1: `private_key_jwt` or mutual TLS.
    fn authenticate_by_key(self, settings: &mut SignInProvider) -> Result<(), ConfigError> {
        if settings.client_secret.is_some() {
            return Err(self.refuses("AUTH_CLIENT_SECRET", "the client has a key and no secret"));
        }
        match settings
            .client_auth
            .get_or_insert(ClientAuthMethod::PrivateKeyJwt)
        {
            ClientAuthMethod::PrivateKeyJwt
            | ClientAuthMethod::TlsClientAuth
            | ClientAuthMethod::SelfSignedTlsClientAuth => Ok(()),
            _ => Err(self.refuses(
                "AUTH_CLIENT_AUTH",
                "must be private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Jws;
    use crate::jose::testing::TestKey;
    use crate::party::settings::Checked;

    fn provider() -> SignInProvider {
        SignInProvider::default()
            .issuer("https://id.example")
            .client("app", None)
            .client_key_pem(&TestKey::of(Algorithm::RS256).pem())
    }

    fn checked(profile: Profile, set: impl FnOnce(SignInProvider) -> SignInProvider) -> Checked {
        set(provider())
            .profile(profile)
            .check()
            .unwrap_or_else(|error| panic!("{profile:?}: {error}"))
    }

    #[test] // FAPI 2.0 Security Profile §5.3.3, §5.4.1
    fn the_security_profile_switches_on_what_it_demands() {
        let Checked {
            authentication,
            binds_tokens,
            config,
            ..
        } = checked(Profile::Fapi2Security, |provider| provider);
        assert_eq!(authentication.method(), ClientAuthMethod::PrivateKeyJwt);
        assert!(binds_tokens && config.demands_issuer && !config.signs_requests);
        assert_eq!(config.par, ParPolicy::Always);
        assert_eq!(config.algorithms.as_deref(), Some(&ALGORITHMS[..]));
        assert_eq!(config.response_mode, ResponseMode::Query);
    }

    #[test] // FAPI 2.0 Message Signing §5.3.2, §5.4.2
    fn message_signing_signs_requests_and_has_responses_signed() {
        let Checked {
            binds_tokens, config, ..
        } = checked(Profile::Fapi2MessageSigning, |provider| provider);
        assert!(binds_tokens && config.demands_issuer && config.signs_requests);
        assert_eq!(config.response_mode, ResponseMode::Jwt);
        let Checked { config, .. } = checked(Profile::Fapi2MessageSigning, |provider| {
            provider.response_mode(ResponseMode::FormPostJwt)
        });
        assert_eq!(config.response_mode, ResponseMode::FormPostJwt);
    }

    #[test]
    fn what_fits_the_profile_stays_as_it_is_set() {
        let Checked { config, .. } = checked(Profile::Fapi2Security, |provider| {
            provider
                .par(ParPolicy::Always)
                .id_token_algorithms([Algorithm::ES256])
                .response_mode(ResponseMode::FormPost)
        });
        assert_eq!(config.algorithms.as_deref(), Some(&[Algorithm::ES256][..]));
        assert_eq!(config.response_mode, ResponseMode::FormPost);
    }

    #[test]
    fn what_contradicts_the_profile_is_named() {
        type Set = fn(SignInProvider) -> SignInProvider;
        let both: [(&str, Set); 10] = [
            ("AUTH_END_SESSION_URL", |provider| {
                provider.end_session_url("https://id.example/logout")
            }),
            ("AUTH_PAR", |provider| provider.par(ParPolicy::Never)),
            ("AUTH_CLIENT_SECRET", |provider| {
                provider.client("app", Some("a secret"))
            }),
            ("AUTH_CLIENT_AUTH", |provider| {
                provider.client_auth(ClientAuthMethod::None)
            }),
            ("AUTH_CLIENT_AUTH", |provider| {
                provider.client_auth(ClientAuthMethod::ClientSecretJwt)
            }),
            ("AUTH_ID_TOKEN_ALG", |provider| {
                provider.id_token_algorithms([Algorithm::ES256, Algorithm::RS256])
            }),
            ("AUTH_USERINFO_URL", |provider| {
                provider.userinfo_url("https://id.example/userinfo")
            }),
            ("AUTH_REVOCATION_URL", |provider| {
                provider.revocation_url("https://id.example/revoke")
            }),
            ("AUTH_AUTHORIZATION_URL", |provider| {
                provider.endpoints("https://id.example/authorize", "https://id.example/token")
            }),
            ("pushed_authorization_request_url", |provider| {
                provider.pushed_authorization_request_url("https://id.example/par")
            }),
        ];
        let signing: [(&str, Set); 2] = [
            ("AUTH_RESPONSE_MODE", |provider| {
                provider.response_mode(ResponseMode::Query)
            }),
            ("AUTH_RESPONSE_MODE", |provider| {
                provider.response_mode(ResponseMode::FormPost)
            }),
        ];
        let profiles = [Profile::Fapi2Security, Profile::Fapi2MessageSigning];
        let cases = both
            .iter()
            .flat_map(|case| profiles.map(|profile| (profile, case)))
            .chain(signing.iter().map(|case| (Profile::Fapi2MessageSigning, case)));
        for (profile, (variable, set)) in cases {
            let error = set(provider())
                .profile(profile)
                .check()
                .err()
                .unwrap_or_else(|| panic!("{profile:?} refuses {variable}"));
            assert_eq!(error.variable(), *variable, "{error}");
            let text = error.to_string();
            assert!(
                text.contains(profile.name()) && !text.contains("a secret"),
                "{text}"
            );
        }
        let error = SignInProvider::default()
            .issuer("https://id.example")
            .client("app", None)
            .profile(Profile::Fapi2Security)
            .check();
        assert_eq!(error.err().expect("refused").variable(), "AUTH_CLIENT_KEY");
    }

    #[tokio::test] // FAPI 2.0 Security Profile §5.2.1
    async fn the_application_s_own_address_is_https_or_on_loopback() {
        let key = TestKey::of(Algorithm::ES256).pem();
        for (base, is_good) in [
            ("https://app.example", true),
            ("http://127.0.0.1:3000", true),
            ("http://app.example", false),
        ] {
            let builder = crate::Auth::builder()
                .base_url(base)
                .issuer("https://id.example")
                .client("app", None)
                .client_key_pem(&key);
            builder.clone().build().await.expect("without a profile");
            match builder.profile(Profile::Fapi2Security).build().await {
                Ok(_) => assert!(is_good, "{base}"),
                Err(error) => assert!(!is_good && error.variable() == "AUTH_BASE_URL", "{error}"),
            }
        }
    }

    #[test] // FAPI 2.0 Security Profile §5.4.1
    fn an_rsa_key_signs_with_pss_whatever_the_provider_names() {
        let Checked { config, .. } = checked(Profile::Fapi2MessageSigning, |provider| provider);
        let keys = config.client_keys.expect("a key");
        for advertised in [&[Algorithm::RS256][..], &[]] {
            let signed = keys.sign("JWT", advertised, &serde_json::Map::new());
            let signed = Jws::parse(&signed).expect("a token");
            assert_eq!(signed.algorithm(), Algorithm::PS256);
        }
    }
}
