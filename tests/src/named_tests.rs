//! Tests that a document names: every name has to be that of a test that exists.
//!
//! A document names them between backticks, in the columns of its tables that are headed `Test` or `Tests`. A name is
//! `place: module::function`, where the place is
//!
//! * a package for its unit tests: `auth-core: id_token::tests::refuses_another_nonce`;
//! * a package and one of its test targets: `auth-core core: keys::keys_outlive_an_outage`;
//! * a test target of this package: `behaviour: callback::a_missing_code_is_refused`.
//!
//! A test that is ignored unless a server is there counts: `tests/run` runs those as well.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is in the workspace")
        .to_owned()
}

/// The names in the test columns of a Markdown document, in order. A cell of such a column that is empty counts as an empty name.
#[must_use]
pub fn names(markdown: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut column = None;
    let mut in_table = false;
    for line in markdown.lines() {
        if !line.starts_with('|') {
            in_table = false;
            continue;
        }
        let cells = cells(line);
        if !in_table {
            in_table = true;
            column = cells
                .iter()
                .position(|cell| matches!(cell.as_str(), "Test" | "Tests"));
            continue;
        }
        let Some(cell) = column.map(|column| cells.get(column).map_or("", String::as_str)) else {
            continue;
        };
        if cell.is_empty() {
            names.push(String::new());
        }
        // Every other piece between backticks is a name; the line below the heading has none.
        names.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    names
}

/// Those names in the document that no test has, each with the reason.
#[must_use]
pub fn missing(workspace: &Path, markdown: &str) -> Vec<String> {
    names(markdown)
        .iter()
        .filter_map(|name| Some(format!("`{name}`: {}", find(workspace, name).err()?)))
        .collect()
}

/// The cells of a table's row. A `\|` does not end one.
fn cells(line: &str) -> Vec<String> {
    line.replace("\\|", "\u{0}")
        .trim()
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.replace('\u{0}', "|").trim().to_owned())
        .collect()
}

/// Where a named test stands.
struct Place<'a> {
    /// The text of the target's root, and that of the module.
    root: String,
    source: String,
    modules: Vec<&'a str>,
    function: &'a str,
}

fn find(workspace: &Path, name: &str) -> Result<(), String> {
    let place = place(workspace, name)?;
    match has_attribute(&place.source, place.function) {
        None => Err("its module has no such function".to_owned()),
        Some(true) => Ok(()),
        Some(false) if is_listed(&place.root, &place.modules, place.function) => Ok(()),
        Some(false) => Err("the function is neither marked as a test nor on the target's list".to_owned()),
    }
}

fn place<'a>(workspace: &Path, name: &'a str) -> Result<Place<'a>, String> {
    let (place, path) = name.split_once(": ").ok_or("is not `place: module::function`")?;
    let mut modules: Vec<&str> = path.split("::").collect();
    let function = modules.pop().ok_or("names no function")?;
    let words: Vec<&str> = place.split(' ').collect();
    let (package, target) = match *words.as_slice() {
        [package, target] => (package, Some(target)),
        [word] if package(workspace, word).is_some() => (word, None),
        [word] => ("auth-tests", Some(word)),
        _ => return Err("names no package".to_owned()),
    };
    let package = self::package(workspace, package).ok_or("there is no such package")?;
    // What stands in the root of a target, and the directory its modules are in.
    let (root, directory) = match target {
        None => (package.join("src/lib.rs"), package.join("src")),
        Some(target) => {
            let directory = package.join("tests").join(target);
            let main = directory.join("main.rs");
            if main.is_file() {
                (main, directory)
            } else {
                (package.join("tests").join(format!("{target}.rs")), directory)
            }
        }
    };
    let root = fs::read_to_string(&root).map_err(|_| "there is no such target")?;
    let source = source(&root, &directory, &modules).ok_or("there is no such module")?;
    Ok(Place {
        root,
        source,
        modules,
        function,
    })
}

/// Those named tests that do not say above them which section of a specification they are about (`§`).
#[must_use]
pub fn without_section(workspace: &Path, markdown: &str) -> Vec<String> {
    let mut names = names(markdown);
    names.retain(|name| {
        !place(workspace, name).is_ok_and(|place| says_section(&place.source, place.function))
    });
    names
}

fn says_section(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let Some(at) = lines
        .iter()
        .position(|line| !line.starts_with("//") && line.contains(&format!("fn {function}(")))
    else {
        return false;
    };
    lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .any(|line| line.contains('§'))
}

fn package(workspace: &Path, name: &str) -> Option<PathBuf> {
    if name == "auth-tests" {
        return Some(workspace.join("tests"));
    }
    ["crates", "examples"]
        .iter()
        .map(|parent| workspace.join(parent).join(name))
        .find(|package| package.join("Cargo.toml").is_file())
}

/// The text of a module: its own file, or the file of an outer module in which it stands.
fn source(root: &str, directory: &Path, modules: &[&str]) -> Option<String> {
    for outer in (1..=modules.len()).rev() {
        let (file, inline) = modules.split_at(outer);
        let stem = file
            .iter()
            .fold(directory.to_owned(), |path, module| path.join(module));
        let text = [stem.with_extension("rs"), stem.join("mod.rs")]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        if let Some(text) = text {
            return has_modules(&text, inline).then_some(text);
        }
    }
    has_modules(root, modules).then(|| root.to_owned())
}

fn has_modules(text: &str, modules: &[&str]) -> bool {
    modules
        .iter()
        .all(|module| text.contains(&format!("mod {module} {{")))
}

/// Whether the function has an attribute that makes a test of it. `None` where there is no such function.
fn has_attribute(source: &str, function: &str) -> Option<bool> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = None;
    for (at, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.starts_with("//") && line.contains(&format!("fn {function}(")))
    {
        let is_test = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .any(|line| line.starts_with("#[test]") || line.starts_with("#[") && line.contains("::test"));
        found = Some(found == Some(true) || is_test);
    }
    found
}

/// Whether a list such as `module { one_case, another_case, }` in the target's root has the function.
fn is_listed(root: &str, modules: &[&str], function: &str) -> bool {
    let Some(module) = modules.last() else {
        return false;
    };
    root.split(&format!(" {module} {{")).skip(1).any(|block| {
        block
            .split('}')
            .next()
            .unwrap_or_default()
            .split([',', '\n'])
            .any(|case| case.trim() == function)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_stands_between_backticks_in_a_test_column() {
        let markdown = "\
| `not this` | Test |
| --- | --- |
| a `b` \\| c | `one: a::b`, `two: c::d` and more |
| a | – |
| a | |

| Rule | Code |
| --- | --- |
| a | `nothing` |

| Tests | Rule |
| --- | --- |
| `three: e::f` | `g` |
";
        assert_eq!(names(markdown), ["one: a::b", "two: c::d", "", "three: e::f"]);
    }

    #[test]
    fn a_section_stands_above_the_test() {
        let source = "\
// RFC 6749 §3.1
#[test]
fn with() {}

#[test] // OpenID Connect Core §12.2
fn behind() {}

// step 3
#[test]
fn without() {
    // RFC 6749 §5.1
}
";
        for (function, says) in [
            ("with", true),
            ("behind", true),
            ("without", false),
            ("nowhere", false),
        ] {
            assert_eq!(says_section(source, function), says, "{function}");
        }
    }

    #[test]
    fn a_test_of_that_name_is_found_and_nothing_else() {
        let workspace = workspace();
        for good in [
            "behaviour: id_token::the_audience_is_this_client",
            "behaviour: modes::form_post_works_on_loopback",
            "links: links_between_pages_lead_to_files_and_headings",
            "auth-core: id_token::tests::refuses_an_authorized_party_that_is_not_us",
            "auth-core: token::tests::an_empty_scope_grants_nothing",
            "auth-core core: login::of_fifty_callbacks_at_once_one_redeems_the_code",
            "auth-actix adapter: cases::a_user_signs_in_and_out_with_every_carrier",
            "auth-tests: named_tests::tests::a_test_of_that_name_is_found_and_nothing_else",
        ] {
            assert_eq!(find(&workspace, good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "id_token::the_audience_is_this_client",
            "behaviour: id_token::the_audience_is_that_client",
            "behaviour: id_token::accepted",
            "behaviour: login::the_audience_is_this_client",
            "behaviour: the_audience_is_this_client",
            "nowhere: id_token::the_audience_is_this_client",
            "tests behaviour: id_token::the_audience_is_this_client",
            "auth-core: id_token::refuses_an_authorized_party_that_is_not_us",
            "auth-core: token::tests::read",
            "auth-core: no_module::tests::read",
            "auth-core none: login::a",
        ] {
            assert!(find(&workspace, bad).is_err(), "{bad}");
        }
    }
}
