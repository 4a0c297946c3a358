//! A browser that signs nobody in: it asks the library for what `GET /auth/login` and `GET /auth/callback` answer, in this
//! process, and so what the doctor knows of a sign-in is what the application itself would make of it.

use auth_core::config::paths;
use auth_core::request::RequestHead;
use auth_core::{Auth, reply::Reply};
use url::{Position, Url};

use crate::settings::Settings;

/// One browser of one application.
#[derive(Debug)]
pub(crate) struct Browser {
    auth: Auth,
    /// The name of the provider to sign in with, where there are several.
    provider: Option<String>,
    /// Host and port of the application, where it matters.
    host: Option<String>,
    cookies: Vec<(String, String)>,
}

/// The library's refusal.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The failure's stable code, `login.client_refused`.
    pub(crate) code: &'static str,
    /// What happened, in the library's words.
    pub(crate) cause: &'static str,
    /// What the library knows of this one case.
    pub(crate) detail: Option<String>,
    /// What the developer does about it.
    pub(crate) mend: Option<&'static str>,
}

impl Refused {
    /// What happened and what to do, for a finding.
    pub(crate) fn in_words(&self) -> String {
        [Some(self.cause), self.detail.as_deref(), self.mend]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Browser {
    /// For the only provider.
    pub(crate) fn new(auth: Auth) -> Self {
        Self {
            auth,
            provider: None,
            host: None,
            cookies: Vec::new(),
        }
    }

    /// For the provider of these settings, at the origin where its users sign in.
    pub(crate) fn of(settings: &Settings, auth: Auth) -> Self {
        let origin = settings.base_url_of_provider();
        Self {
            provider: settings.variables.provider().map(str::to_owned),
            host: origin.map(|origin| origin[Position::BeforeHost..Position::AfterPort].to_owned()),
            ..Self::new(auth)
        }
    }

    /// Opens `/auth/login`: where the provider is.
    pub(crate) async fn begin(&mut self) -> Result<Url, Refused> {
        // A name is letters, digits, `-` and `_`.
        let query = self.provider.as_ref().map(|name| format!("provider={name}"));
        let head = self.head(paths::LOGIN.to_owned(), query);
        let reply = self
            .auth
            .login(self.auth.route_request(&head, Vec::new(), None))
            .await;
        for (_, line) in reply.headers.iter().filter(|(name, _)| *name == "set-cookie") {
            let pair = line.split(';').next().and_then(|pair| pair.split_once('='));
            self.cookies
                .extend(pair.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let location = reply.headers.iter().find(|(name, _)| *name == "location");
        match location.and_then(|(_, url)| Url::parse(url).ok()) {
            Some(url) => Ok(url),
            None => Err(refused(&reply)),
        }
    }

    /// Comes back from the provider, with no code or with one that is none: nobody is signed in by it.
    pub(crate) async fn come_back(&self, query: String) -> Option<Refused> {
        let head = self.head(callback(self.provider.as_deref()), Some(query));
        let request = self.auth.route_request(&head, Vec::new(), None);
        let reply = match &self.provider {
            None => self.auth.callback(request).await,
            Some(name) => self.auth.callback_of(name, request).await,
        };
        reply.failure.is_some().then(|| refused(&reply))
    }

    fn head(&self, path: String, query: Option<String>) -> Head {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Head {
            path,
            query,
            host: self.host.clone(),
            cookies: cookies.join("; "),
        }
    }
}

/// The path of the redirect URI.
pub(crate) fn callback(provider: Option<&str>) -> String {
    match provider {
        None => paths::CALLBACK.to_owned(),
        Some(name) => format!("{}/{name}", paths::CALLBACK),
    }
}

fn refused(reply: &Reply) -> Refused {
    match &reply.failure {
        Some(failure) => Refused {
            code: failure.code(),
            cause: failure.cause(),
            detail: failure.detail().map(str::to_owned),
            mend: failure.explanation().developer,
        },
        None => Refused {
            code: "setup",
            cause: "The library answers with neither a redirect nor a failure.",
            detail: None,
            mend: None,
        },
    }
}

/// The head of a browser's request.
struct Head {
    path: String,
    query: Option<String>,
    host: Option<String>,
    cookies: String,
}

impl RequestHead for Head {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        match name {
            "accept" => each("text/html"),
            "cookie" => each(&self.cookies),
            "host" => self.host.iter().for_each(|host| each(host)),
            _ => {}
        }
    }
}
