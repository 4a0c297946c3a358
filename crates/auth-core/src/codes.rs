//! Every failure's code: what happened, whose turn it is, and what each of them does. The pages, the documentation
//! (`docs/errors.md`) and the apps' own pages say it in these words.

mod access;
mod api;
mod bearer;
mod grants;
mod login;
mod provider;
mod proxy;
mod request;
mod revocation;
mod session;
mod setup;
mod tokens;

pub(crate) use request::UNKNOWN_CODE;

/// What a code means. All texts are the library's own, in plain sentences; what stands between backticks is code.
///
/// # Example
///
/// ```
/// use auth_core::codes;
///
/// for explanation in codes::all().filter(|explanation| explanation.area() == "login") {
///     println!("{}: {} {}", explanation.code, explanation.cause, explanation.mend);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The stable code, `login.attempt_expired`.
    pub code: &'static str,
    /// A headline for whoever sees the page.
    pub title: &'static str,
    /// What happened.
    pub cause: &'static str,
    /// Who has to act.
    pub turn: Turn,
    /// What the person in front of the page does.
    pub mend: &'static str,
    /// What the application's developer does, where that helps.
    pub developer: Option<&'static str>,
    /// What the application's operator does, where that helps.
    pub operator: Option<&'static str>,
    /// What the provider's operator does, where that helps.
    pub provider: Option<&'static str>,
    /// What whoever grants rights does, where that helps.
    pub administrator: Option<&'static str>,
    /// The settings to look at. The pages show their values; none of them is secret.
    pub settings: &'static [Setting],
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Turn {
    /// Whoever sees the page.
    User,
    /// Whoever writes and configures the application.
    Developer,
    /// Whoever runs the application's servers.
    Operator,
    /// Whoever runs the provider, the service that signs people in.
    Provider,
    /// Whoever grants roles and rights.
    Administrator,
}

impl Turn {
    /// All of them, the user first.
    pub const ALL: [Self; 5] = [
        Self::User,
        Self::Developer,
        Self::Operator,
        Self::Provider,
        Self::Administrator,
    ];

    /// Who that is, seen by the user: "you", "the developer of this application".
    #[must_use]
    pub const fn who(self) -> &'static str {
        match self {
            Self::User => "you",
            Self::Developer => "the developer of this application",
            Self::Operator => "the operator of this application",
            Self::Provider => "the operator of the sign-in service",
            Self::Administrator => "whoever grants rights",
        }
    }
}

/// A setting that a failure may come from and that everybody may see: each is in the authorization request, which every
/// browser is shown, or in the address bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// `AUTH_BASE_URL`.
    BaseUrl,
    /// The redirect URI, `{AUTH_BASE_URL}/auth/callback`, with the provider's name behind it where there are several.
    RedirectUri,
    /// `AUTH_ISSUER`; without discovery, `AUTH_AUTHORIZATION_URL`.
    Issuer,
    /// `AUTH_CLIENT_ID`.
    ClientId,
    /// `AUTH_SCOPES`.
    Scopes,
    /// `AUTH_RESPONSE_MODE`.
    ResponseMode,
}

/// What a code means; `None` for one that does not exist.
#[must_use]
pub fn explain(code: &str) -> Option<Explanation> {
    all().find(|explanation| explanation.code == code)
}

/// Every code, area by area.
pub fn all() -> impl Iterator<Item = Explanation> {
    let ours = [
        login::CODES,
        session::CODES,
        access::CODES,
        request::CODES,
        provider::CODES,
        revocation::CODES,
        api::CODES,
        grants::CODES,
        bearer::CODES,
        proxy::CODES,
        setup::CODES,
        tokens::CLOCKS,
    ];
    ours.into_iter().flatten().copied().chain(tokens::all())
}

impl Explanation {
    /// The code's area, `login`.
    #[must_use]
    pub fn area(&self) -> &'static str {
        self.code.split('.').next().unwrap_or_default()
    }

    /// What everybody besides the user does.
    pub fn others(&self) -> impl Iterator<Item = (Turn, &'static str)> {
        [
            (Turn::Developer, self.developer),
            (Turn::Operator, self.operator),
            (Turn::Provider, self.provider),
            (Turn::Administrator, self.administrator),
        ]
        .into_iter()
        .filter_map(|(turn, step)| Some((turn, step?)))
    }

    const fn developer(mut self, step: &'static str) -> Self {
        self.developer = Some(step);
        self
    }

    const fn operator(mut self, step: &'static str) -> Self {
        self.operator = Some(step);
        self
    }

    const fn provider(mut self, step: &'static str) -> Self {
        self.provider = Some(step);
        self
    }

    const fn administrator(mut self, step: &'static str) -> Self {
        self.administrator = Some(step);
        self
    }

    const fn settings(mut self, settings: &'static [Setting]) -> Self {
        self.settings = settings;
        self
    }
}

const fn code(
    code: &'static str,
    title: &'static str,
    cause: &'static str,
    turn: Turn,
    mend: &'static str,
) -> Explanation {
    Explanation {
        code,
        title,
        cause,
        turn,
        mend,
        developer: None,
        operator: None,
        provider: None,
        administrator: None,
        settings: &[],
    }
}

/// The mend where the user can do nothing that helps for sure.
const TELL: &str = "There is nothing wrong with what you did. Try once more; if it happens again, tell whoever runs this application, and give them the code below.";
/// The mend where time helps.
const LATER: &str = "There is nothing wrong with what you did. Try again in a while.";

#[cfg(test)]
mod tests;
