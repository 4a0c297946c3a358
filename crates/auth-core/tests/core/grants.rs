//! Tokens by other grants: exchanged ones, the application's own, and those of custom grants.

use auth_core::client::{ApiError, AuthenticatedClient};
use auth_core::config::ClientAuthMethod;
use auth_core::error::NotSignedIn;
use auth_core::grants::{
    ClientCredentials, CustomGrant, FurtherProvider, GrantError, Presented, TokenExchange, TokenType,
};
use auth_core::secret::SecurityToken;
use auth_core::session::Session;
use auth_core::{Auth, AuthBuilder, Error, Fault as Whose};
use auth_testing::{Client, DevProvider, Endpoint, Fault, RecordedRequest, User};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::provider_logout;
use crate::world::{CLIENT, LIFE, SECRET, WAIT, World, eventually, secs};

pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

impl World {
    /// The token requests of this grant type, oldest first.
    fn requests_of(&self, grant_type: &str) -> Vec<RecordedRequest> {
        requests_of(&self.provider, grant_type)
    }

    async fn signed_in(&self) -> Session {
        let id = self.sign_in().await;
        self.session(&id).await
    }

    fn audience(&self) -> String {
        self.provider.api2_url().to_owned()
    }

    fn exchange(&self) -> TokenExchange {
        TokenExchange::new().audience(self.audience())
    }

    /// A client of the second API for this session.
    fn second_api(&self, auth: &Auth, session: &Session) -> AuthenticatedClient {
        auth.client(session)
            .for_audience(self.audience())
            .at(self.audience())
    }
}

pub(crate) fn requests_of(provider: &DevProvider, grant_type: &str) -> Vec<RecordedRequest> {
    let mut requests = provider.control().requests(Endpoint::Token);
    requests.retain(|request| request.form("grant_type") == Some(grant_type));
    requests
}

/// A world whose instances may call the second API.
async fn world() -> World {
    world_with(|builder| builder).await
}

async fn world_with(set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> World {
    let mut world = World::start().await;
    let second = world.audience();
    world.auth = world
        .instance_with(|builder| set(builder.other_api(second)))
        .await;
    world
}

/// A thousand calls at once take a busy machine long.
fn patient(builder: AuthBuilder) -> AuthBuilder {
    builder.http_timeout(6 * WAIT)
}

async fn whoami(api: &AuthenticatedClient) -> Result<Value, ApiError> {
    api.get("/whoami").send().await?.json().await
}

#[track_caller]
fn grant_error(error: Error) -> GrantError {
    match error {
        Error::Grant(error) => (*error).clone(),
        other => panic!("not about a grant: {other:?}"),
    }
}

#[track_caller]
fn of_token(error: ApiError) -> Error {
    match error {
        ApiError::Token(error) => *error,
        other => panic!("not about the token: {other:?}"),
    }
}

// RFC 8693 §2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_presents_the_sessions_token_and_the_api_takes_the_new_one() {
    let world = world().await;
    let session = world.signed_in().await;
    let who = whoami(&world.second_api(&world.auth, &session)).await.unwrap();
    assert_eq!(
        (&who["sub"], &who["aud"], &who["act"]["sub"]),
        (&json!("ada"), &json!(world.audience()), &json!(CLIENT))
    );
    let requests = world.requests_of(EXCHANGE);
    assert_eq!(requests.len(), 1);
    let token = world.token(&session).await;
    let form: Vec<(&str, &str)> = requests[0]
        .form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        form,
        [
            ("grant_type", EXCHANGE),
            ("subject_token", token.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", world.audience().as_str()),
        ]
    );
    assert!(requests[0].header("authorization").unwrap().starts_with("Basic "));
}

// RFC 8693 §2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_parameter_of_an_exchange_is_sent() {
    let world = world().await;
    let session = world.signed_in().await;
    let exchange = TokenExchange::new()
        .subject(Presented::SessionAccessToken)
        .actor(Presented::ClientToken)
        .audience(world.audience())
        .audience(world.provider.api_url())
        .resource(world.audience())
        .scopes("openid email")
        .requested_token_type(TokenType::AccessToken);
    let token = world.auth.exchange(&session, &exchange).await.unwrap();
    assert_eq!(token.issued_token_type(), Some(&TokenType::AccessToken));
    assert_eq!(token.scopes().unwrap().to_string(), "openid email");
    assert!(token.is_bearer() && token.expires_at().is_some());
    let request = world.requests_of(EXCHANGE).pop().unwrap();
    let all = |wanted: &str| -> Vec<String> {
        let fields = request.form.iter().filter(|(name, _)| name == wanted);
        fields.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(
        all("audience"),
        [world.audience(), world.provider.api_url().to_owned()]
    );
    assert_eq!(all("resource"), [world.audience()]);
    assert_eq!(all("scope"), ["openid email"]);
    assert_eq!(all("requested_token_type"), [ACCESS_TOKEN]);
    assert_eq!(all("actor_token_type"), [ACCESS_TOKEN]);
    let machine = world.auth.machine_token(&ClientCredentials::new()).await.unwrap();
    assert_eq!(all("actor_token"), [machine.token().expose()]);

    let given = Presented::Given(SecurityToken::new("an assertion"), TokenType::Saml2);
    let exchange = world.exchange().subject(given.clone()).actor(given);
    let error = grant_error(world.auth.exchange(&session, &exchange).await.unwrap_err());
    assert!(matches!(error, GrantError::Refused(_)), "{error:?}");
    let request = world.requests_of(EXCHANGE).pop().unwrap();
    for (name, value) in [
        ("subject_token", "an assertion"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"),
        ("actor_token", "an assertion"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:saml2"),
    ] {
        assert_eq!(request.form(name), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_make_one_exchange() {
    let world = world_with(patient).await;
    let session = world.signed_in().await;
    let hold = world.control().hold(Endpoint::Token);
    // Each with a client of its own, as requests have them.
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let api = world.second_api(&world.auth, &session);
            tokio::spawn(async move { whoami(&api).await.unwrap() })
        })
        .collect();
    hold.waiting(1).await.unwrap();
    hold.release();
    for call in calls {
        let who = call.await.unwrap();
        assert_eq!(
            (&who["sub"], &who["aud"]),
            (&json!("ada"), &json!(world.audience()))
        );
    }
    assert_eq!(
        (
            world.requests_of(EXCHANGE).len(),
            world.control().count(Endpoint::Api2("/whoami"))
        ),
        (1, 1000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_on_a_dead_token_make_one_refresh_and_one_exchange() {
    let world = world_with(patient).await;
    let id = world.expired().await;
    let calls = (0..1000).map(|_| async {
        let session = world.auth.peek(Some(&id)).await.unwrap();
        whoami(&world.second_api(&world.auth, &session)).await.unwrap()
    });
    assert!(join_all(calls).await.iter().all(|who| who["sub"] == "ada"));
    assert_eq!(
        (world.control().refresh_count(), world.requests_of(EXCHANGE).len()),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchanged_token_is_kept_for_what_it_was_exchanged_for_and_nothing_else() {
    let world = world().await;
    let session = world.signed_in().await;
    let first = world.exchange();
    let others = [
        first.clone().scopes("openid"),
        first.clone().resource(world.audience()),
        first.clone().audience(world.provider.api_url()),
        TokenExchange::new().resource(world.audience()),
        first.clone().actor(Presented::ClientToken),
        first.clone().requested_token_type(TokenType::AccessToken),
        first.clone().subject(Presented::Given(
            SecurityToken::new(world.token(&session).await),
            TokenType::AccessToken,
        )),
    ];
    for _ in 0..3 {
        world.auth.exchange(&session, &first).await.unwrap();
    }
    assert_eq!(world.requests_of(EXCHANGE).len(), 1);
    for (index, other) in others.iter().enumerate() {
        for _ in 0..2 {
            world.auth.exchange(&session, other).await.unwrap();
        }
        assert_eq!(world.requests_of(EXCHANGE).len(), index + 2, "{other:?}");
    }
    // The order of scopes says nothing.
    let two = first.clone().scopes("openid email");
    let same = first.clone().scopes("email openid");
    assert_eq!(
        world.auth.exchange(&session, &two).await.unwrap().token(),
        world.auth.exchange(&session, &same).await.unwrap().token()
    );
    // Another session has its own, of the same user too.
    let other = world.signed_in().await;
    let count = world.requests_of(EXCHANGE).len();
    world.auth.exchange(&other, &first).await.unwrap();
    assert_eq!(world.requests_of(EXCHANGE).len(), count + 1);
}

// RFC 8693 §2.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchanged_token_is_renewed_before_it_dies_and_never_served_dead() {
    let world = world().await;
    world.control().set_access_token_lifetime(4 * LIFE);
    let session = world.signed_in().await;
    world.control().set_access_token_lifetime(LIFE);
    let exchange = world.exchange();
    let get = async || world.auth.exchange(&session, &exchange).await.unwrap();
    let first = get().await;
    world.clock.advance(LIFE - secs(100));
    assert_eq!(get().await.token(), first.token());
    // About to die: served, and renewed in the background.
    world.clock.advance(secs(90));
    assert_eq!(get().await.token(), first.token());
    eventually("the renewal", || world.requests_of(EXCHANGE).len() == 2).await;
    let mut second = get().await;
    while second.token() == first.token() {
        tokio::task::yield_now().await;
        second = get().await;
    }
    assert_eq!(world.requests_of(EXCHANGE).len(), 2);
    // Dead: waited for.
    world.clock.advance(LIFE);
    let third = get().await;
    assert!(third.token() != second.token() && third.expires_at().unwrap() > world.clock.clock().now());
    assert_eq!(world.requests_of(EXCHANGE).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_provider_is_down_a_token_is_served_to_its_end_and_then_nobody_is_signed_out() {
    let world = world().await;
    world.control().set_access_token_lifetime(4 * LIFE);
    let session = world.signed_in().await;
    world.control().set_access_token_lifetime(LIFE);
    let exchange = world.exchange();
    let first = world.auth.exchange(&session, &exchange).await.unwrap();
    world.control().go_down().await;
    world.clock.advance(LIFE - secs(5));
    for _ in 0..20 {
        let token = world.auth.exchange(&session, &exchange).await.unwrap();
        assert_eq!(token.token(), first.token());
    }
    world.clock.advance(secs(5));
    let error = world.auth.exchange(&session, &exchange).await.unwrap_err();
    assert_eq!(
        (error.status(), error.code(), error.fault()),
        (503, "grant.unavailable", Whose::Provider)
    );
    assert!(error.retry_after().is_some());
    world.control().come_up().await.unwrap();
    world.auth.exchange(&session, &exchange).await.unwrap();
    world.auth.session(&session.key()).await.unwrap().unwrap();
}

// RFC 8693 §2.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_exchange_is_502_with_a_code_and_is_not_remembered() {
    let world = world().await;
    let session = world.signed_in().await;
    for (code, named) in [
        ("invalid_target", "grant.refused"),
        ("invalid_request", "grant.refused"),
        ("invalid_grant", "grant.refused"),
        ("invalid_scope", "grant.refused"),
        ("nobody knows", "grant.refused"),
        ("invalid_client", "grant.client_refused"),
        ("unauthorized_client", "grant.client_refused"),
        ("unsupported_grant_type", "grant.client_refused"),
    ] {
        world
            .control()
            .fail_next(Endpoint::Token, 1, Fault::oauth(400, code));
        let error = world
            .auth
            .exchange(&session, &world.exchange())
            .await
            .unwrap_err();
        assert_eq!((error.status(), error.code()), (502, named), "{code}");
    }
    for (fault, status) in [
        (Fault::status(500), 503),
        (Fault::status(429), 503),
        (Fault::Reset, 503),
        (Fault::body(200, "text/html", "<h1>no</h1>"), 503),
    ] {
        world.control().fail_next(Endpoint::Token, 1, fault.clone());
        let error = world
            .auth
            .exchange(&session, &world.exchange())
            .await
            .unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (status, "grant.unavailable"),
            "{fault:?}"
        );
        // After three in a row nobody asks for a second.
        world.clock.advance(secs(1));
    }
    world.auth.exchange(&session, &world.exchange()).await.unwrap();
    assert_eq!(world.control().refresh_count(), 0);
    world.auth.session(&session.key()).await.unwrap().unwrap();
}

// RFC 8693 §2.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_the_type_asked_for_is_not_used() {
    let world = world().await;
    let session = world.signed_in().await;
    for (name, value) in [
        ("issued_token_type", Value::Null),
        ("issued_token_type", json!(ID_TOKEN)),
        ("issued_token_type", json!(7)),
        ("token_type", Value::Null),
        ("token_type", json!("mac")),
    ] {
        let set = value.clone();
        world
            .control()
            .tamper_token_response(move |answer| drop(answer.insert(name.to_owned(), set.clone())));
        let exchange = world.exchange().requested_token_type(TokenType::AccessToken);
        let error = world.auth.exchange(&session, &exchange).await.unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (502, "grant.unusable"),
            "{name} {value}"
        );
    }
}

// RFC 8693 §2.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_access_token_is_handed_out_but_not_sent_as_a_bearer() {
    let world = world().await;
    let session = world.signed_in().await;
    world.control().tamper_token_response(|answer| {
        answer.insert("token_type".to_owned(), json!("N_A"));
        answer.insert(
            "issued_token_type".to_owned(),
            json!("urn:ietf:params:oauth:token-type:saml2"),
        );
    });
    let token = world.auth.exchange(&session, &world.exchange()).await.unwrap();
    assert!(!token.is_bearer());
    assert_eq!(token.issued_token_type(), Some(&TokenType::Saml2));
    let error = of_token(
        whoami(&world.second_api(&world.auth, &session))
            .await
            .unwrap_err(),
    );
    assert_eq!(error.code(), "grant.unusable");
    assert_eq!(world.control().count(Endpoint::Api2("/whoami")), 0);
    // It does not stand in the way of one that can be sent.
    world.control().clear_tampering();
    whoami(&world.second_api(&world.auth, &session)).await.unwrap();
}

// RFC 8693 §2.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_without_a_lifetime_is_kept_for_a_minute_and_not_beyond_its_subject() {
    let world = world().await;
    let session = world.signed_in().await;
    world.control().omit_expires_in(true);
    let exchange = world.exchange();
    let get = async || world.auth.exchange(&session, &exchange).await.unwrap();
    let first = get().await;
    assert_eq!(first.expires_at(), None);
    world.clock.advance(secs(40));
    assert_eq!(get().await.token(), first.token());
    world.clock.advance(secs(20));
    let second = get().await;
    assert_ne!(second.token(), first.token());
    assert_eq!(world.requests_of(EXCHANGE).len(), 2);
    world.auth.revoke_access_token(&session).await.unwrap();
    let session = world.auth.signed_in(&session.key()).await.unwrap();
    let third = world.auth.exchange(&session, &exchange).await.unwrap();
    assert_ne!(third.token(), second.token());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchanged_token_ends_with_the_token_it_was_exchanged_for() {
    let world = world().await;
    let session = world.signed_in().await;
    let api = world.second_api(&world.auth, &session);
    whoami(&api).await.unwrap();
    world.auth.revoke_access_token(&session).await.unwrap();
    let session = world.auth.signed_in(&session.key()).await.unwrap();
    whoami(&world.second_api(&world.auth, &session)).await.unwrap();
    let requests = world.requests_of(EXCHANGE);
    assert_eq!(requests.len(), 2);
    assert_ne!(
        requests[0].form("subject_token"),
        requests[1].form("subject_token")
    );
    // Who still holds the session as it was is served what is there now.
    world
        .auth
        .exchange(&api.session(), &world.exchange())
        .await
        .unwrap();
    assert_eq!(world.requests_of(EXCHANGE).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_ends_exchanged_tokens_and_wins_over_an_exchange_under_way() {
    let world = world().await;
    let session = world.signed_in().await;
    world.auth.exchange(&session, &world.exchange()).await.unwrap();
    world.auth.end_session(&session).await.unwrap();
    let error = world
        .auth
        .exchange(&session, &world.exchange())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    assert_eq!(
        world.requests_of(EXCHANGE).len(),
        1,
        "the token of an ended session is not presented"
    );

    // However it ended: the provider's word is enough, though the session's own token is still good.
    let session = world.signed_in().await;
    world.auth.exchange(&session, &world.exchange()).await.unwrap();
    let query = format!("?iss={}&sid={}", world.auth.issuer(), session.sid().unwrap());
    assert_eq!(provider_logout::show(&world.auth, &query).await.status, 200);
    let error = world
        .auth
        .exchange(&session, &world.exchange())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );

    // A refresh that is refused ends it, whoever still holds its token.
    let session = world.signed_in().await;
    world.auth.exchange(&session, &world.exchange()).await.unwrap();
    world.control().kill_refresh_tokens();
    world.control().reject_next(1);
    let api = world.auth.client(&session);
    api.get("/users/me").send().await.unwrap_err();
    let error = world
        .auth
        .exchange(&session, &world.exchange())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );

    let session = world.signed_in().await;
    let hold = world.control().hold_answer(Endpoint::Token);
    let (auth, exchange, of) = (world.auth.clone(), world.exchange(), session.clone());
    let call = tokio::spawn(async move { auth.exchange(&of, &exchange).await });
    hold.waiting(1).await.unwrap();
    let other = world.instance().await;
    other.end_session(&session).await.unwrap();
    hold.release();
    let error = call.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_does_not_end_the_exchange() {
    let world = world().await;
    let session = world.signed_in().await;
    let hold = world.control().hold(Endpoint::Token);
    let (auth, exchange, of) = (world.auth.clone(), world.exchange(), session.clone());
    let call = tokio::spawn(async move { auth.exchange(&of, &exchange).await });
    hold.waiting(1).await.unwrap();
    call.abort();
    hold.release();
    world.auth.exchange(&session, &world.exchange()).await.unwrap();
    assert_eq!(world.requests_of(EXCHANGE).len(), 1);
}

// RFC 8693 §2.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_token_that_was_refreshed_meanwhile_is_replaced_once() {
    // How often the provider refuses, and whether the session was refreshed meanwhile.
    for (code, refusals, is_refreshed) in [
        ("invalid_grant", 1, true),
        ("invalid_request", 1, true),
        ("invalid_grant", 2, true),
        ("invalid_grant", 1, false),
        ("invalid_scope", 1, true),
    ] {
        let world = world().await;
        let session = world.signed_in().await;
        let old = world.token(&session).await;
        // The refusal of the old token is on its way.
        world
            .control()
            .fail_next(Endpoint::Token, 1, Fault::oauth(400, code));
        let hold = world.control().hold_answer(Endpoint::Token);
        let (auth, exchange, of) = (world.auth.clone(), world.exchange(), session.clone());
        let call = tokio::spawn(async move { auth.exchange(&of, &exchange).await });
        hold.waiting(1).await.unwrap();
        let other = world.instance().await;
        let refresh = is_refreshed.then(|| {
            let key = session.key();
            tokio::spawn(async move {
                let session = other.session(&key).await.unwrap().unwrap();
                other.revoke_access_token(&session).await.unwrap();
                let session = other.signed_in(&key).await.unwrap();
                other.access_token(&session).await.unwrap().expose().to_owned()
            })
        });
        if is_refreshed {
            hold.waiting(2).await.unwrap();
        }
        world
            .control()
            .fail_next(Endpoint::Token, refusals - 1, Fault::oauth(400, code));
        hold.release();
        let result = call.await.unwrap();
        let presented: Vec<_> = world
            .requests_of(EXCHANGE)
            .iter()
            .map(|request| request.form("subject_token").unwrap().to_owned())
            .collect();
        let is_replaced = is_refreshed && code != "invalid_scope";
        let Some(refresh) = refresh else {
            assert_eq!(presented, [old], "{code}");
            assert_eq!(result.unwrap_err().code(), "grant.refused");
            continue;
        };
        let new = refresh.await.unwrap();
        assert_ne!(old, new);
        match (is_replaced, refusals) {
            (false, _) => assert_eq!(presented, [old], "{code}"),
            (true, _) => assert_eq!(presented, [old, new], "{code}"),
        }
        assert_eq!(result.is_ok(), is_replaced && refusals == 1, "{code} {refusals}");
        // One refresh was enough, and the token that was issued is kept for the new subject token.
        assert_eq!(
            (world.control().refresh_count(), world.control().reuse_count()),
            (1, 0)
        );
        let session = world.auth.signed_in(&session.key()).await.unwrap();
        let count = world.requests_of(EXCHANGE).len();
        let again = world.auth.exchange(&session, &world.exchange()).await.unwrap();
        match result {
            Ok(token) => {
                assert_eq!(again.token(), token.token());
                assert_eq!(world.requests_of(EXCHANGE).len(), count);
            }
            Err(error) => assert_eq!(error.code(), "grant.refused"),
        }
    }
}

/// After three failures in a row nobody waits for a provider that gives no answer; one at a time finds out whether it is
/// back. What is there is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_again_and_again_for_a_provider_that_gives_no_answer() {
    let world = world().await;
    let kept = world.auth.machine_token(&ClientCredentials::new()).await.unwrap();
    let session = world.signed_in().await;
    let count = || world.control().count(Endpoint::Token);
    let before = count();
    world.control().fail(Endpoint::Token, Fault::Reset);
    for n in 0..3 {
        let credentials = ClientCredentials::new().scopes(&format!("s{n}"));
        let error = world.auth.machine_token(&credentials).await.unwrap_err();
        assert_eq!((error.status(), error.code()), (503, "grant.unavailable"));
    }
    assert_eq!(count(), before + 3);
    // Whatever grant it is: at once, and with the time to come again.
    let exchange = world.exchange();
    let refused = [
        world
            .auth
            .machine_token(&ClientCredentials::new().scopes("other"))
            .await
            .err(),
        world.auth.exchange(&session, &exchange).await.err(),
        world
            .auth
            .custom_grant(&session, &CustomGrant::new("x"))
            .await
            .err(),
        world.auth.switch(&session, &CustomGrant::new("x")).await.err(),
    ];
    for error in refused {
        let error = error.unwrap();
        assert_eq!((error.status(), error.code()), (503, "grant.unavailable"));
        assert!(error.retry_after().is_some());
    }
    assert_eq!(count(), before + 3, "nobody was made to wait");
    // What is there is served, and refreshes go their own way.
    let same = world.auth.machine_token(&ClientCredentials::new()).await.unwrap();
    assert_eq!(same.token(), kept.token());
    world.control().clear(Endpoint::Token);
    world.auth.revoke_access_token(&session).await.unwrap();
    let session = world.auth.signed_in(&session.key()).await.unwrap();
    assert_eq!(world.control().refresh_count(), 1);
    // One finds out, while others do not wait; then all is well.
    world.clock.advance(secs(1));
    let hold = world.control().hold(Endpoint::Token);
    let (auth, of, wanted) = (world.auth.clone(), session.clone(), exchange.clone());
    let trial = tokio::spawn(async move { auth.exchange(&of, &wanted).await });
    hold.waiting(1).await.unwrap();
    let error = world
        .auth
        .machine_token(&ClientCredentials::new().scopes("other"))
        .await
        .unwrap_err();
    assert_eq!(error.status(), 503);
    hold.release();
    trial.await.unwrap().unwrap();
    world
        .auth
        .machine_token(&ClientCredentials::new().scopes("openid"))
        .await
        .unwrap();
}

/// A provider that fails at one thing and answers is up: others are not kept from theirs, and neither is a refresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_cannot_issue_to_one_does_not_keep_others_waiting() {
    let world = world().await;
    let (first, second) = (world.signed_in().await, world.signed_in().await);
    let exchange = world.exchange();
    let overloaded = Fault::Status {
        status: 503,
        retry_after: Some(secs(4)),
    };
    world.control().fail_next(Endpoint::Token, 3, overloaded);
    let count = || world.requests_of(EXCHANGE).len();
    for n in 1..=4 {
        let error = world.auth.exchange(&first, &exchange).await.unwrap_err();
        assert_eq!((error.status(), error.retry_after()), (503, Some(secs(4))));
        assert_eq!(count(), n.min(3), "the fourth is answered at once");
    }
    world.auth.exchange(&second, &exchange).await.unwrap();
    world
        .auth
        .exchange(&first, &TokenExchange::new().audience(world.provider.api_url()))
        .await
        .unwrap();
    let before = count();
    world.clock.advance(secs(3));
    world.auth.exchange(&first, &exchange).await.unwrap_err();
    assert_eq!(count(), before);
    world.clock.advance(secs(1));
    world.auth.exchange(&first, &exchange).await.unwrap();
    // That it fails for three in a row says nothing of a fourth.
    world.control().fail_next(Endpoint::Token, 3, Fault::status(500));
    for n in 0..4 {
        let credentials = ClientCredentials::new().scopes(if n == 3 { "openid" } else { ["a", "b", "c"][n] });
        assert_eq!(world.auth.machine_token(&credentials).await.is_ok(), n == 3);
    }
    // A refusal is an answer.
    world
        .control()
        .fail_next(Endpoint::Token, 9, Fault::oauth(400, "invalid_scope"));
    for n in 0..9 {
        let credentials = ClientCredentials::new().scopes(&format!("s{n}"));
        let error = world.auth.machine_token(&credentials).await.unwrap_err();
        assert_eq!(error.code(), "grant.refused");
    }
    world.auth.machine_token(&ClientCredentials::new()).await.unwrap();
    // So it is between two that were not answered.
    let faults = [
        Fault::Reset,
        Fault::Reset,
        Fault::oauth(400, "invalid_scope"),
        Fault::Reset,
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        world.control().fail_next(Endpoint::Token, 1, fault);
        let credentials = ClientCredentials::new().scopes(&format!("r{n}"));
        world.auth.machine_token(&credentials).await.unwrap_err();
    }
    let credentials = ClientCredentials::new().scopes("email");
    world.auth.machine_token(&credentials).await.unwrap();
}

/// Tokens that the app brings along are told apart, and so is what depends on the session's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_of_another_subject_or_actor_is_another_exchange() {
    let world = world().await;
    let (session, other) = (world.signed_in().await, world.signed_in().await);
    let (one, two) = (world.token(&session).await, world.token(&other).await);
    let given = |token: &str| Presented::Given(SecurityToken::new(token), TokenType::AccessToken);
    let acted = world
        .exchange()
        .subject(given(&one))
        .actor(Presented::SessionAccessToken);
    let exchanges = [
        world.exchange().subject(given(&one)),
        world.exchange().subject(given(&two)),
        world.exchange().subject(given(&one)).actor(given(&two)),
        acted.clone(),
    ];
    for _ in 0..2 {
        for exchange in &exchanges {
            world.auth.exchange(&session, exchange).await.unwrap();
        }
        assert_eq!(world.requests_of(EXCHANGE).len(), 4);
    }
    // The same text as a token of another type is another token, whatever the provider says to it.
    let as_jwt = Presented::Given(SecurityToken::new(&one), TokenType::Jwt);
    let _ = world
        .auth
        .exchange(&session, &world.exchange().subject(as_jwt))
        .await;
    assert_eq!(world.requests_of(EXCHANGE).len(), 5);
    // The actor is the session's token, and that is another one now.
    world.auth.revoke_access_token(&session).await.unwrap();
    let session = world.auth.signed_in(&session.key()).await.unwrap();
    let _ = world.auth.exchange(&session, &acted).await;
    let request = world.requests_of(EXCHANGE).pop().unwrap();
    let three = world.token(&session).await;
    assert_eq!(request.form("actor_token"), Some(three.as_str()));
}

/// A further provider that is down keeps nobody from the application's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_provider_has_a_breaker_of_its_own() {
    let world = world().await;
    let (partner, auth) = partner(&world).await;
    let session = world.signed_in().await;
    partner.control().fail(Endpoint::Token, Fault::Reset);
    for n in 0..4 {
        let credentials = ClientCredentials::new().scopes(&format!("s{n}")).at("partner");
        assert_eq!(auth.machine_token(&credentials).await.unwrap_err().status(), 503);
    }
    assert_eq!(partner.control().count(Endpoint::Token), 3);
    auth.machine_token(&ClientCredentials::new()).await.unwrap();
    auth.exchange(&session, &world.exchange()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_refuses_an_exchanged_token_gets_another_one_once() {
    let world = world().await;
    let session = world.signed_in().await;
    let api = world.second_api(&world.auth, &session);
    world.control().reject_next(1);
    whoami(&api).await.unwrap();
    let calls = world.control().requests(Endpoint::Api2("/whoami"));
    assert_eq!((calls.len(), world.requests_of(EXCHANGE).len()), (2, 2));
    assert_ne!(calls[0].header("authorization"), calls[1].header("authorization"));
    assert_eq!(world.control().refresh_count(), 0);

    world.control().reject_next(100);
    let error = whoami(&api).await.unwrap_err();
    assert!(
        matches!(error, ApiError::Status { status, .. } if status == 401),
        "{error:?}"
    );
    assert_eq!(world.control().count(Endpoint::Api2("/whoami")), 4);
    assert_eq!(world.requests_of(EXCHANGE).len(), 3);
    world.auth.session(&session.key()).await.unwrap().unwrap();
}

// RFC 9700 §4.9.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_for_one_api_calls_no_other() {
    let world = world().await;
    let session = world.signed_in().await;
    let api = world.second_api(&world.auth, &session);
    for url in [
        format!("{}/users/me", world.provider.api_url()),
        format!("{}/token", world.provider.issuer()),
    ] {
        let error = api.get(url).send().await.unwrap_err();
        assert!(matches!(error, ApiError::OriginNotAllowed { .. }), "{error:?}");
    }
    let elsewhere = api.at(world.provider.issuer());
    let error = elsewhere.get("/token").send().await.unwrap_err();
    assert!(matches!(error, ApiError::OriginNotAllowed { .. }), "{error:?}");
    assert!(world.requests_of(EXCHANGE).is_empty());
    assert!(matches!(
        api.at("nonsense").get("/x").send().await.unwrap_err(),
        ApiError::BadUrl
    ));
}

// RFC 8693 §2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_for_is_said_without_asking() {
    let world = world().await;
    let session = world.signed_in().await;
    for exchange in [
        TokenExchange::new().resource("relative"),
        TokenExchange::new().resource("https://api.example/#part"),
        TokenExchange::new().audience(""),
        TokenExchange::new().scopes("say \"friend\""),
        TokenExchange::new().at("nobody"),
    ] {
        let error = world.auth.exchange(&session, &exchange).await.unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (500, "grant.misuse"),
            "{exchange:?}"
        );
    }
    assert!(world.requests_of(EXCHANGE).is_empty());
}

/// A provider of another domain, where the application has a registration of its own.
pub(crate) async fn partner(world: &World) -> (DevProvider, Auth) {
    let partner = DevProvider::builder()
        .clock(world.clock.clock())
        .client(Client::confidential("we-there", "another secret"))
        .client(Client::secret_post("we-post", "another secret"))
        .user(User::new("ada"))
        .start()
        .await
        .unwrap();
    partner.control().trust(&world.provider);
    let there = FurtherProvider::issuer(partner.issuer())
        .client("we-post", Some("another secret"))
        .client_auth(ClientAuthMethod::ClientSecretPost);
    let by_hand = FurtherProvider::token_endpoint(format!("{}/token", partner.issuer()))
        .client("we-there", Some("another secret"));
    let api = partner.api_url().to_owned();
    let auth = world
        .instance_with(|builder| {
            builder
                .further_provider("partner", there)
                .further_provider("by hand", by_hand)
                .other_api(api)
        })
        .await;
    (partner, auth)
}

// RFC 8693 §2.1, §5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_behind_another_provider_takes_a_token_exchanged_there() {
    let world = world().await;
    let (partner, auth) = partner(&world).await;
    let session = world.signed_in().await;
    for (name, subject, kind) in [
        ("partner", Presented::SessionIdToken, ID_TOKEN),
        ("partner", Presented::SessionAccessToken, ACCESS_TOKEN),
        ("by hand", Presented::SessionIdToken, ID_TOKEN),
    ] {
        let exchange = TokenExchange::new()
            .at(name)
            .subject(subject)
            .audience(partner.api_url());
        let api = auth.client(&session).exchanging(exchange).at(partner.api_url());
        let me: Value = api.get("/users/me").send().await.unwrap().json().await.unwrap();
        assert_eq!(me["id"], "ada");
        let request = requests_of(&partner, EXCHANGE).pop().unwrap();
        assert_eq!(request.form("subject_token_type"), Some(kind));
        let is_post = name == "partner";
        assert_eq!(request.form("client_secret").is_some(), is_post);
        assert_eq!(request.header("authorization").is_some(), !is_post);
    }
    // The partner sees the token, and nothing else of ours; our own provider is not asked.
    assert!(world.requests_of(EXCHANGE).is_empty());
    for request in partner.control().requests(Endpoint::Token) {
        assert!(!format!("{:?} {:?}", request.form, request.headers).contains(SECRET));
    }
    // The application acts there as what it is there.
    let exchange = TokenExchange::new()
        .at("partner")
        .actor(Presented::ClientToken)
        .audience(partner.api_url());
    let _ = auth.exchange(&session, &exchange).await;
    assert_eq!(requests_of(&partner, "client_credentials").len(), 1);
    assert!(world.requests_of("client_credentials").is_empty());
    // One that is down leaves the session and the other provider alone.
    partner.control().go_down().await;
    let exchange = TokenExchange::new().at("partner").audience(partner.api2_url());
    let error = auth.exchange(&session, &exchange).await.unwrap_err();
    assert_eq!(error.status(), 503);
    auth.signed_in(&session.key()).await.unwrap();
}

// RFC 7523 §2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_is_redeemed_at_another_provider() {
    let world = world().await;
    let (partner, auth) = partner(&world).await;
    let session = world.signed_in().await;
    let grant = CustomGrant::new("urn:ietf:params:oauth:grant-type:jwt-bearer")
        .template("assertion", "{{idToken}}")
        .at("partner");
    let answer = auth.custom_grant(&session, &grant).await.unwrap();
    assert!(answer.access_token.is_some());
    let request = partner.control().requests(Endpoint::Token).pop().unwrap();
    let id_token = auth.id_token(&session).unwrap();
    assert_eq!(request.form("assertion"), Some(id_token.expose()));
}

// RFC 8693 §5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_provider_is_checked_like_the_main_one() {
    let world = World::start().await;
    for (provider, named) in [
        (
            FurtherProvider::issuer("http://id.example").client("x", None),
            "AUTH_ISSUER",
        ),
        (
            FurtherProvider::token_endpoint("http://id.example/t").client("x", None),
            "_URL",
        ),
        (FurtherProvider::issuer("https://id.example"), "AUTH_CLIENT_ID"),
        (
            FurtherProvider::issuer("https://id.example")
                .client("x", None)
                .client_auth(ClientAuthMethod::ClientSecretPost),
            "AUTH_CLIENT_SECRET",
        ),
        (
            FurtherProvider::issuer("https://id.example")
                .client("x", None)
                .client_key_pem("nonsense"),
            "AUTH_CLIENT_KEY",
        ),
    ] {
        let built = Auth::builder()
            .base_url(crate::world::BASE)
            .issuer(world.provider.issuer())
            .client(CLIENT, Some(SECRET))
            .further_provider("partner", provider)
            .build()
            .await;
        let error = built.unwrap_err();
        assert_eq!(error.variable(), "further_provider(\"partner\")");
        assert!(error.to_string().contains(named), "{error}");
    }
}

// RFC 6749 §4.4
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_share_one_token_of_the_applications_own() {
    let world = World::with(patient).await;
    let hold = world.control().hold(Endpoint::Token);
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let api = world.auth.machine_client(ClientCredentials::new());
            tokio::spawn(async move {
                let answer = api.get("/machine").send().await.unwrap();
                answer.json::<Value>().await.unwrap()
            })
        })
        .collect();
    hold.waiting(1).await.unwrap();
    hold.release();
    for call in calls {
        assert_eq!(call.await.unwrap()["machine"], CLIENT);
    }
    let requests = world.requests_of("client_credentials");
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0].form,
        [("grant_type".to_owned(), "client_credentials".to_owned())]
    );
}

// RFC 6749 §4.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_own_tokens_are_kept_per_scope_and_audience_and_served_to_their_end() {
    let world = World::start().await;
    let count = || world.requests_of("client_credentials").len();
    let plain = ClientCredentials::new();
    let others = [
        plain.clone().scopes("machine"),
        plain.clone().audience("https://api.example"),
        plain.clone().resource("https://api.example"),
    ];
    let first = world.auth.machine_token(&plain).await.unwrap();
    for (index, other) in others.iter().enumerate() {
        for _ in 0..2 {
            world.auth.machine_token(other).await.unwrap();
        }
        assert_eq!(count(), index + 2, "{other:?}");
    }
    world.control().fail(Endpoint::Token, Fault::status(503));
    world.clock.advance(LIFE - secs(5));
    for _ in 0..20 {
        assert_eq!(
            world.auth.machine_token(&plain).await.unwrap().token(),
            first.token()
        );
    }
    world.clock.advance(secs(5));
    let error = world.auth.machine_token(&plain).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "grant.unavailable"));
    world.control().clear(Endpoint::Token);
    assert_ne!(
        world.auth.machine_token(&plain).await.unwrap().token(),
        first.token()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_refuses_the_applications_own_token_gets_another_one_once() {
    let world = World::start().await;
    let api = world.auth.machine_client(ClientCredentials::new());
    world.control().reject_next(1);
    let answer: Value = api.get("/machine").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["machine"], CLIENT);
    assert_eq!(world.requests_of("client_credentials").len(), 2);
    world.control().reject_next(100);
    assert_eq!(api.get("/machine").send().await.unwrap().status(), 401);
    assert_eq!(world.control().count(Endpoint::Api("/machine")), 4);
    let error = api.get("https://stranger.example/").send().await.unwrap_err();
    assert!(matches!(error, ApiError::OriginNotAllowed { .. }), "{error:?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_share_the_store_may_share_the_applications_own_token() {
    let world = World::start().await;
    let plain = ClientCredentials::new();
    let file = format!(
        "{}/machine-{}.db",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let _ = std::fs::remove_file(&file);
    let store = format!("sqlite:{file}");
    let alone = world.auth.machine_token(&plain).await.unwrap();
    let one = world
        .instance_with(|builder| builder.share_machine_tokens().store_url(&store))
        .await;
    let other = world
        .instance_with(|builder| builder.share_machine_tokens().store_url(&store))
        .await;
    let shared = one.machine_token(&plain).await.unwrap();
    assert_ne!(shared.token(), alone.token());
    let found = other.machine_token(&plain).await.unwrap();
    assert_eq!(
        (found.token(), found.expires_at()),
        (shared.token(), shared.expires_at())
    );
    assert_eq!(world.requests_of("client_credentials").len(), 2);
    // One that an API does not take is replaced for all.
    let api = one.machine_client(plain.clone());
    world.control().reject_next(1);
    assert_eq!(api.get("/machine").send().await.unwrap().status(), 200);
    assert_eq!(world.requests_of("client_credentials").len(), 3);
    let third = world
        .instance_with(|builder| builder.share_machine_tokens().store_url(&store))
        .await;
    assert_eq!(
        third.machine_token(&plain).await.unwrap().token(),
        one.machine_token(&plain).await.unwrap().token()
    );
    assert_eq!(world.requests_of("client_credentials").len(), 3);
    let keeps_sessions_only = Auth::builder()
        .base_url(crate::world::BASE)
        .issuer(world.provider.issuer())
        .client(CLIENT, Some(SECRET))
        .store(world.store.clone())
        .share_machine_tokens()
        .build()
        .await;
    assert_eq!(keeps_sessions_only.unwrap_err().variable(), "AUTH_STORE");
    // Instances are not serialized: two that find none at the same time ask once each, and either token is good.
    let scoped = ClientCredentials::new().scopes("openid");
    let hold = world.control().hold(Endpoint::Token);
    let both = [&one, &other].map(|auth| {
        let (auth, scoped) = (auth.clone(), scoped.clone());
        tokio::spawn(async move { auth.machine_client(scoped).get("/machine").send().await })
    });
    hold.waiting(2).await.unwrap();
    hold.release();
    for answer in both {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(world.requests_of("client_credentials").len(), 5);
    // From then on there is one.
    let late = world
        .instance_with(|builder| builder.share_machine_tokens().store_url(&store))
        .await;
    late.machine_token(&scoped).await.unwrap();
    assert_eq!(world.requests_of("client_credentials").len(), 5);
    // A token is one client's.
    world.control().register(Client::confidential("second", SECRET));
    let second = world
        .instance_with(|builder| {
            builder
                .share_machine_tokens()
                .store_url(&store)
                .client("second", Some(SECRET))
        })
        .await;
    second.machine_token(&plain).await.unwrap();
    assert_eq!(world.requests_of("client_credentials").len(), 6);
    // Another secret opens nothing.
    let stranger = world
        .instance_with(|builder| {
            builder
                .share_machine_tokens()
                .store_url(&store)
                .secret(auth_core::SecretKeys::random())
        })
        .await;
    stranger.machine_token(&plain).await.unwrap();
    assert_eq!(world.requests_of("client_credentials").len(), 7);
    // One that is about to die is not taken over.
    world.clock.advance(LIFE - secs(30));
    let last = world
        .instance_with(|builder| builder.share_machine_tokens().store_url(&store))
        .await;
    last.machine_token(&scoped).await.unwrap();
    assert_eq!(world.requests_of("client_credentials").len(), 8);
    // But while there is no other, it is served to its end.
    world.clock.advance(LIFE - secs(30));
    world.control().fail(Endpoint::Token, Fault::status(503));
    let shared = last.machine_token(&scoped).await.unwrap();
    let new = world
        .instance_with(|builder| builder.share_machine_tokens().store_url(&store))
        .await;
    let served = new.machine_token(&scoped).await.unwrap();
    assert_eq!(served.token(), shared.token());
    world.clock.advance(secs(31));
    new.machine_token(&scoped).await.unwrap_err();
}

/// In the background the provider is asked once in two seconds, however many need the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_fails_is_not_tried_again_at_once() {
    let world = World::start().await;
    let plain = ClientCredentials::new();
    let kept = world.auth.machine_token(&plain).await.unwrap();
    world.clock.advance(LIFE - secs(30));
    world.control().fail(Endpoint::Token, Fault::status(503));
    let count = || world.requests_of("client_credentials").len();
    for _ in 0..3 {
        let served = world.auth.machine_token(&plain).await.unwrap();
        assert_eq!(served.token(), kept.token());
        world.settle().await;
        assert_eq!(count(), 2);
    }
    world.clock.advance(secs(2));
    world.auth.machine_token(&plain).await.unwrap();
    world.settle().await;
    assert_eq!(count(), 3);
}

// RFC 6749 §7.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_applications_own_that_is_no_bearer_token_is_not_used() {
    let world = World::start().await;
    world
        .control()
        .tamper_token_response(|answer| drop(answer.insert("token_type".to_owned(), json!("N_A"))));
    let error = world
        .auth
        .machine_token(&ClientCredentials::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "grant.unusable");
}

// RFC 6749 §4.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_client_has_no_token_of_its_own() {
    let world = World::start().await;
    let public = world.instance_with(|builder| builder.client(CLIENT, None)).await;
    let error = public.machine_token(&ClientCredentials::new()).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (500, "grant.misuse"));
    assert!(world.requests_of("client_credentials").is_empty());
}
