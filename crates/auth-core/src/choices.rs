//! What there is to choose from where users sign in with one of several providers, as a page shows it: the library's own page or one
//! of the app's.

use std::fmt;

use crate::party::ProviderInfo;
use crate::types::ReturnTo;

/// What the page to choose a provider on shows: everything that the library's own page does, for one of the app's own.
///
/// Labels and names are the application's settings. What the request has brought stands in the addresses alone: the path to come
/// back to, which is one of this origin by the URL standard's rules, and parameters of the sign-in. Texts are plain; escape them
/// as any text, and the addresses too.
///
/// # Example
///
/// ```
/// use auth_core::SignInChoices;
///
/// /// The labels and addresses of the links, for a template.
/// fn links(choices: &SignInChoices) -> Vec<(&str, &str)> {
///     choices.iter().map(|choice| (choice.provider.label.as_str(), choice.href.as_str())).collect()
/// }
/// ```
#[derive(Clone)]
pub struct SignInChoices {
    choices: Vec<SignInChoice>,
    return_to: ReturnTo,
}

/// One of the providers, and the link that signs in there.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignInChoice {
    /// The provider: what people know it by, its name in this application, its issuer.
    pub provider: ProviderInfo,
    /// Where its link leads: to `/auth/login` with the provider's name, the path to come back to, and what else the sign-in was
    /// begun with.
    pub href: String,
}

/// Without the path to come back to: its query may hold anything.
impl fmt::Debug for SignInChoices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInChoices")
            .field("choices", &self.choices)
            .finish_non_exhaustive()
    }
}

/// Without the address, for the same reason.
impl fmt::Debug for SignInChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInChoice")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl SignInChoices {
    pub(crate) fn new(choices: Vec<SignInChoice>, return_to: ReturnTo) -> Self {
        Self { choices, return_to }
    }

    /// The providers whose users sign in at this origin, two at least, in the order of the settings.
    pub fn iter(&self) -> std::slice::Iter<'_, SignInChoice> {
        self.choices.iter()
    }

    /// The path of this app, with its query, that the sign-in is to come back to.
    #[must_use]
    pub fn return_to(&self) -> &str {
        self.return_to.as_str()
    }
}

impl<'a> IntoIterator for &'a SignInChoices {
    type Item = &'a SignInChoice;
    type IntoIter = std::slice::Iter<'a, SignInChoice>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
