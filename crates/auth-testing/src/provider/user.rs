//! Demo users.

use std::fmt;

use serde_json::{Map, Value};

/// A user who can sign in at the development provider, without a password.
///
/// Claims of a standard scope are given where that scope is granted (OIDC Core §5.4), all others always.
///
/// ```
/// use auth_testing::{DevProvider, User};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ada = User::new("ada")
///     .name("Ada", "Lovelace")
///     .email("ada@example.com")
///     .roles(["admin"])
///     .claim("department", "engines");
/// let provider = DevProvider::builder().user(ada).start().await?;
///
/// assert!(provider.users().any(|user| user == ("ada", "Ada Lovelace")));
/// # provider.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct User {
    pub(crate) sub: String,
    pub(crate) claims: Map<String, Value>,
    /// What userinfo says besides.
    pub(crate) userinfo: Map<String, Value>,
    /// Whether claims are given whatever the scope.
    pub(crate) is_open: bool,
    pub(crate) scim_email_objects: bool,
}

impl User {
    /// A user with this `sub`, which is also the `preferred_username`, and no other claims.
    #[must_use]
    pub fn new(sub: impl Into<String>) -> Self {
        let sub = sub.into();
        let user = Self {
            sub: sub.clone(),
            claims: Map::new(),
            userinfo: Map::new(),
            is_open: false,
            scim_email_objects: false,
        };
        user.claim("preferred_username", sub)
    }

    /// Sets `given_name`, `family_name` and, of both, `name`: claims of the scope `profile`.
    #[must_use]
    pub fn name(self, given: &str, family: &str) -> Self {
        self.claim("given_name", given)
            .claim("family_name", family)
            .claim("name", format!("{given} {family}"))
    }

    /// Sets `email`, and `email_verified` to true: claims of the scope `email`.
    #[must_use]
    pub fn email(self, email: &str) -> Self {
        self.claim("email", email).claim("email_verified", true)
    }

    /// Sets the claim `roles` to an array of strings, which is given whatever the scopes.
    #[must_use]
    pub fn roles<'a>(self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        let roles: Vec<&str> = roles.into_iter().collect();
        self.claim("roles", roles)
    }

    /// Sets any claim, in the place of an earlier one of this name.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Makes the demo API's `/scim2/Me` show `emails` as objects (RFC 7643 §4.1.2). Default: as plain strings.
    #[must_use]
    pub fn scim_email_objects(mut self) -> Self {
        self.scim_email_objects = true;
        self
    }

    /// The claims that `scope` asks for (OIDC Core §5.4). Claims of no standard scope are always given.
    pub(crate) fn claims_for(&self, scope: &[String]) -> Map<String, Value> {
        let granted = |name: &str| self.is_open || scope.iter().any(|word| word == name);
        self.claims
            .iter()
            .filter(|(name, _)| match name.as_str() {
                "email" | "email_verified" => granted("email"),
                "name" | "given_name" | "family_name" | "preferred_username" => granted("profile"),
                _ => true,
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    pub(crate) fn text(&self, claim: &str) -> &str {
        self.claims.get(claim).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn display_name(&self) -> &str {
        match self.text("name") {
            "" => &self.sub,
            name => name,
        }
    }

    /// Alice, an administrator; Bob, who has no role; Carol, whose role is a single string.
    pub(crate) fn demo() -> Vec<Self> {
        vec![
            Self::new("alice")
                .name("Alice", "Archer")
                .email("alice@example.com")
                .roles(["admin"]),
            Self::new("bob")
                .name("Bob", "Builder")
                .email("bob@example.com")
                .scim_email_objects(),
            Self::new("carol")
                .name("Carol", "Clark")
                .email("carol@example.com")
                .claim("roles", "editor"),
        ]
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("sub", &self.sub)
            .finish_non_exhaustive()
    }
}
