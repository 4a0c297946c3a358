//! What people start from has an example in its documentation, and the same in both adapters. That the examples compile is seen by
//! the documentation tests of the crates. What the documentation of the core's items must say and a machine can see is held too:
//! defaults, units, when an error comes.

use std::fs;
use std::path::Path;

use auth_tests::named_tests::workspace;

/// Where somebody who looks for something arrives first: each with the folder of its crate and the line that declares it.
const START_ITEMS: [(&str, &[&str]); 5] = [
    (
        "auth-core",
        &[
            "pub enum ApiError",
            "pub enum BearerError",
            "pub enum Error",
            "pub enum EventKind",
            "pub struct AppSessions",
            "pub struct Auth",
            "pub struct AuthBuilder",
            "pub struct AuthenticatedClient",
            "pub struct BearerGate",
            "pub struct BearerToken",
            "pub struct Claims",
            "pub struct ClientCredentials",
            "pub struct CustomGrant",
            "pub struct Event",
            "pub struct Explanation",
            "pub struct Failure",
            "pub struct FurtherProvider",
            "pub struct Gate",
            "pub struct MachineClient",
            "pub struct MemoryStore",
            "pub struct PostgresStore",
            "pub struct Preset",
            "pub struct Proxy",
            "pub struct RedisStore",
            "pub struct RequestBuilder",
            "pub struct ResourceServer",
            "pub struct SecretKeys",
            "pub struct Session",
            "pub struct SessionInfo",
            "pub struct SignIn",
            "pub struct SignInChoices",
            "pub struct SignInProvider",
            "pub struct SqliteStore",
            "pub struct TestClock",
            "pub struct TokenExchange",
            "    pub async fn end_sessions_of",
            "    pub async fn ready",
            "    pub fn acr",
            "    pub fn app",
            "    pub fn on_event",
            "    pub fn on_sign_in",
            "    pub fn preset",
            "    pub fn resource_server",
            "    pub fn session_view",
            "    pub fn set_app",
            "    pub fn unless_nobody",
            "    pub fn until_ended",
        ],
    ),
    ("auth-axum", &OF_ADAPTERS),
    ("auth-actix", &OF_ADAPTERS),
    (
        "auth-testing",
        &[
            "pub enum Fault",
            "pub enum SignInError",
            "pub struct ApiAnswer",
            "pub struct Client",
            "pub struct Control",
            "pub struct DevProvider",
            "pub struct Guest",
            "pub struct Hold",
            "pub struct HostileAnswer",
            "pub struct PostgresServer",
            "pub struct PublicKey",
            "pub struct RedisServer",
            "pub struct SessionBuilder",
            "pub struct TestApi",
            "pub struct TestAuth",
            "pub struct TestSession",
            "pub struct TokenBuilder",
            "pub struct User",
            "pub struct Wire",
        ],
    ),
    ("auth-doctor", &["pub async fn examine", "    pub fn of_table"]),
];

const OF_ADAPTERS: [&str; 15] = [
    "pub trait AuthExt",
    "pub struct AppSessionLayer",
    "pub struct AuthError",
    "pub struct AuthLayer",
    "pub struct AuthenticatedClient",
    "pub struct BearerToken",
    "pub struct MaybeAuth",
    "pub struct MaybeBearer",
    "pub struct PeekSession",
    "pub struct Providers",
    "pub struct RequireAuth",
    "pub struct SwitchSession",
    "pub fn bearer_layer",
    "pub fn require",
    "pub fn require_bearer",
];

/// The adapters' start pages, one after the other.
const START_PAGES: [&str; 2] = [
    include_str!("../../crates/auth-axum/src/lib.rs"),
    include_str!("../../crates/auth-actix/src/lib.rs"),
];

fn sources(directory: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// Whether there is an example above one of the places that declare this: `None` where nothing does. rustfmt has formatted the
/// sources, so a declaration begins its line.
fn has_example(texts: &[String], declaration: &str) -> Option<bool> {
    let mut found = None;
    for text in texts {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let declares = line
                .strip_prefix(declaration)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
            if !declares {
                continue;
            }
            let above = lines[..index].iter().rev().map(|line| line.trim_start());
            let documented = above
                .take_while(|line| line.starts_with("///") || line.starts_with("#["))
                .any(|line| line.starts_with("/// ```"));
            found = Some(found.unwrap_or_default() || documented);
        }
    }
    found
}

#[test]
fn what_people_start_from_has_an_example() {
    let mut missing = Vec::new();
    for (of_crate, items) in START_ITEMS {
        let mut texts = Vec::new();
        sources(&workspace().join("crates").join(of_crate).join("src"), &mut texts);
        for item in items {
            match has_example(&texts, item) {
                Some(true) => {}
                Some(false) => missing.push(format!("{of_crate}: `{}` has no example", item.trim_start())),
                None => missing.push(format!("{of_crate}: there is no `{}`", item.trim_start())),
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether the text names an item as code: by itself, which is how a link to it is written, or as the start of a longer piece.
fn names(introduction: &str, name: &str) -> bool {
    // A link to the layer would be broken without its feature: its method is named in its place.
    let name = match name {
        "AppSessionLayer" => "AuthExt::app_session_layer",
        name => name,
    };
    introduction.contains(&format!("`{name}`")) || introduction.contains(&format!("`{name}::"))
}

#[test]
fn the_start_pages_name_everything_that_people_start_from() {
    for page in START_PAGES {
        let introduction: String = page.lines().filter(|line| line.starts_with("//! ")).collect();
        for item in OF_ADAPTERS {
            let name = item.rsplit(' ').next().expect("a name");
            assert!(names(&introduction, name), "{name} is not named");
        }
    }
}

#[test]
fn the_start_pages_tell_the_same_in_the_same_order() {
    let headings = START_PAGES.map(|page| {
        let bold = page
            .lines()
            .filter_map(|line| line.strip_prefix("//! **")?.split("**").next());
        bold.collect::<Vec<_>>()
    });
    assert!(headings[0].len() > 5, "{headings:?}");
    assert_eq!(headings[0], headings[1]);
}

#[test]
fn a_name_within_another_word_is_no_name() {
    assert!(names("protect it with [`require`].", "require"));
    assert!(names("[`AuthExt::layer`] goes outside", "AuthExt"));
    assert!(!names(
        "[`require_bearer`] and [`RequireAuth`] require",
        "require"
    ));
}

#[test]
fn an_example_is_found_above_its_item_alone() {
    let text = "/// A.\n/// ```\n/// ```\n#[derive(Debug)]\npub struct A {\npub struct AB;\n/// ```\n\npub struct B;\n";
    let texts = [text.to_owned()];
    assert_eq!(has_example(&texts, "pub struct A"), Some(true));
    assert_eq!(has_example(&texts, "pub struct AB"), Some(false));
    assert_eq!(has_example(&texts, "pub struct B"), Some(false));
    assert_eq!(has_example(&texts, "pub struct C"), None);
}

/// A public function of the core, as its source has it.
struct Function {
    documentation: String,
    /// From `pub` to the brace.
    signature: String,
}

impl Function {
    fn name(&self) -> &str {
        let name = self.signature.split("fn ").nth(1).unwrap_or_default();
        name.split(['(', '<']).next().unwrap_or_default()
    }

    /// Whether it is a setter of a builder whose value is a length of time or a number.
    fn sets_an_amount(&self) -> bool {
        let takes = |kind: &str| self.signature.contains(&format!(": {kind}"));
        (self.signature.contains("(mut self,") || self.signature.contains("(self,"))
            && self.signature.contains("-> Self")
            && ["Duration", "usize", "u32", "u64"].into_iter().any(takes)
    }

    /// What stands under `# Errors`.
    fn errors(&self) -> Option<&str> {
        let section = self.documentation.split("# Errors\n").nth(1)?;
        section.split("\n# ").next()
    }
}

/// The text of the documentation that ends above this line, without the slashes.
fn documentation(lines: &[&str]) -> String {
    let above = lines.iter().rev().map(|line| line.trim_start());
    let documented = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let mut text: Vec<&str> = documented.filter_map(|line| line.strip_prefix("///")).collect();
    text.reverse();
    text.iter().map(|line| format!("{}\n", line.trim())).collect()
}

/// The public functions in a source. rustfmt has formatted it, so a declaration begins its line.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let is_function = |line: &str| {
        ["pub fn ", "pub async fn ", "pub const fn "]
            .iter()
            .any(|begin| line.trim_start().starts_with(begin))
    };
    let begins = (0..lines.len()).filter(|index| is_function(lines[*index]));
    let function = |index: usize| Function {
        documentation: documentation(&lines[..index]),
        signature: lines[index..]
            .join(" ")
            .split('{')
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    begins.map(function).collect()
}

fn sources_of_core() -> Vec<String> {
    let mut texts = Vec::new();
    sources(&workspace().join("crates/auth-core/src"), &mut texts);
    texts
}

#[test]
fn every_setter_of_an_amount_tells_its_default() {
    // Arithmetic sets nothing.
    const NO_SETTERS: [&str; 2] = ["plus", "minus"];
    let functions: Vec<_> = sources_of_core()
        .iter()
        .flat_map(|text| functions(text))
        .collect();
    let setters: Vec<_> = functions
        .iter()
        .filter(|function| function.sets_an_amount() && !NO_SETTERS.contains(&function.name()))
        .collect();
    assert!(setters.len() >= 10, "{}", setters.len());
    let silent: Vec<_> = setters
        .iter()
        .filter(|setter| !setter.documentation.contains("Default:"))
        .map(|setter| setter.name())
        .collect();
    assert!(silent.is_empty(), "without a default: {silent:?}");
}

#[test]
fn every_public_limit_tells_its_unit() {
    let texts = sources_of_core();
    let mut limits = 0;
    for text in &texts {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let line = line.trim_start();
            if line.starts_with("pub const ") && line.contains(": usize =") {
                limits += 1;
                assert!(documentation(&lines[..index]).contains("in bytes"), "{line}");
            }
        }
    }
    assert!(limits >= 5, "{limits}");
}

/// A link alone says nothing of the case.
#[test]
fn every_errors_section_tells_when_they_come() {
    let texts = sources_of_core();
    let functions: Vec<_> = texts.iter().flat_map(|text| functions(text)).collect();
    let with_errors: Vec<_> = functions
        .iter()
        .filter(|function| function.errors().is_some())
        .collect();
    assert!(with_errors.len() >= 50, "{}", with_errors.len());
    let tells = |text: &str| text.contains("As [`") || words_outside_of_links(text) >= 2;
    let silent: Vec<_> = with_errors
        .iter()
        .filter(|function| !function.errors().is_some_and(tells))
        .map(|function| function.name())
        .collect();
    assert!(silent.is_empty(), "without a case: {silent:?}");
}

fn words_outside_of_links(text: &str) -> usize {
    let mut words = 0;
    // What is in brackets, and what follows them in parentheses, is a link.
    for (index, part) in text.split('[').enumerate() {
        let outside = match (index, part.split_once(']')) {
            (0, _) | (_, None) => part,
            (_, Some((_, rest))) => match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
                Some((_, rest)) => rest,
                None => rest,
            },
        };
        words += outside
            .split_whitespace()
            .filter(|word| word.chars().any(char::is_alphabetic))
            .count();
    }
    words
}

#[test]
fn what_a_machine_looks_for_in_documentation_is_found() {
    let text = "\
    /// Sets it. Default: 3 seconds.
    #[must_use]
    pub fn set(mut self, length: Duration) -> Self {
    }
    /// Gives it.
    ///
    /// # Errors
    ///
    /// [`A`](crate::A); [`B`].
    ///
    /// # Example
    pub async fn give(
        &self,
    ) -> Result<(), A> {
    fn hidden(self, length: Duration) -> Self {
";
    let [set, give] = functions(text).try_into().ok().expect("two");
    assert_eq!((set.name(), give.name()), ("set", "give"));
    assert!(set.sets_an_amount() && !give.sets_an_amount());
    assert!(set.documentation.contains("Default:") && set.errors().is_none());
    let errors = give.errors().expect("a section");
    assert!(!errors.contains("Example"), "{errors}");
    assert_eq!(words_outside_of_links(errors), 0);
    assert_eq!(
        words_outside_of_links("[`A`](crate::A) where it is [`B`], and so on."),
        6
    );
}
