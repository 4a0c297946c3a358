//! The pages show the programs to the letter, and name crates, codes and pages that there are.

use std::fs;
use std::path::{Path, PathBuf};

use auth_tests::named_tests::workspace;

/// The page of each guide, which is named as the directory of its programs.
fn pages() -> Vec<(PathBuf, String)> {
    let programs = fs::read_dir(workspace().join("examples/guides")).unwrap();
    let mut pages: Vec<_> = programs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let page = workspace().join(format!("docs/guides/{name}.md"));
            let text =
                fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            (page, text)
        })
        .collect();
    pages.sort();
    assert_eq!(pages.len(), 6);
    pages
}

/// A file as a page shows it: without its own introduction.
fn shown(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let is_introduction = |line: &&str| line.starts_with("//!") || line.is_empty();
    text.lines()
        .skip_while(is_introduction)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The page with every file that it names in a comment, `<!-- examples/… -->`, in the block of code behind it.
fn with_programs(page: &str) -> String {
    let mut text = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        text += line;
        text.push('\n');
        let Some(name) = line
            .strip_prefix("<!-- examples/")
            .and_then(|rest| rest.strip_suffix(" -->"))
        else {
            assert!(!line.starts_with("```rust"), "code of no program: {line}");
            continue;
        };
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "no code behind {name}");
        text += fence;
        text.push('\n');
        text += &shown(&workspace().join("examples").join(name));
        text += "```\n";
        assert!(lines.any(|line| line == "```"), "code without an end: {name}");
    }
    text
}

#[test]
fn the_pages_show_the_programs_to_the_letter() {
    for (path, page) in pages() {
        let expected = with_programs(&page);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &expected).unwrap();
            continue;
        }
        let differing = page.lines().zip(expected.lines()).find(|(shown, is)| shown != is);
        assert!(
            page == expected,
            "{} shows other code than the programs: {differing:?}; write it anew with\n\
             UPDATE_DOCS=1 cargo test -p auth-tests --test guides the_pages_show",
            path.display()
        );
    }
}

#[test]
fn every_file_of_a_program_is_shown() {
    for (path, page) in pages() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        for entry in fs::read_dir(workspace().join("examples/guides").join(name)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let comment = format!("\n<!-- examples/guides/{name}/{file} -->\n```");
            assert!(page.contains(&comment), "{} does not show {file}", path.display());
        }
    }
}

/// `Cargo.toml`, once for each framework: what the programs use is there, and nothing else.
#[test]
fn the_pages_name_the_crates_that_the_programs_use() {
    const CRATES: [&str; 11] = [
        "actix-web",
        "auth-actix",
        "auth-axum",
        "auth-core",
        "axum",
        "maud",
        "reqwest",
        "serde",
        "serde_json",
        "tokio",
        "tracing-subscriber",
    ];
    for (path, page) in pages() {
        let manifests: Vec<_> = page.split("```toml\n").skip(1).collect();
        assert_eq!(
            manifests.len(),
            2,
            "{}: a Cargo.toml for each framework",
            path.display()
        );
        for (manifest, other) in manifests.into_iter().zip(["actix.rs", "axum.rs"]) {
            let manifest = manifest.split("```").next().unwrap();
            let mut code = String::new();
            let programs = workspace()
                .join("examples/guides")
                .join(path.file_stem().unwrap());
            for entry in fs::read_dir(programs).unwrap() {
                let file = entry.unwrap().path();
                if file.extension().is_some_and(|it| it == "rs") && !file.ends_with(other) {
                    code += &fs::read_to_string(file).unwrap();
                }
            }
            for name in CRATES {
                let module = name.replace('-', "_");
                let is_used = [
                    format!("use {module}::"),
                    format!("{module}::"),
                    format!("use {module};"),
                ]
                .iter()
                .any(|path| {
                    code.match_indices(path.as_str()).any(|(at, _)| {
                        !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                    })
                });
                let is_named = manifest
                    .lines()
                    .any(|line| line.starts_with(&format!("{name} = ")));
                assert_eq!(is_named, is_used, "{}: {name}, without {other}", path.display());
            }
        }
    }
}

/// What stands between backticks and looks like a code is one.
#[test]
fn the_codes_in_the_pages_exist() {
    let errors = fs::read_to_string(workspace().join("docs/errors.md")).unwrap();
    let areas: Vec<_> = errors
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    for (path, page) in pages() {
        let mut found = 0;
        for word in page.split('`') {
            let is_code = word.split_once('.').is_some_and(|(area, name)| {
                areas.contains(&area) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
            if is_code {
                assert!(
                    errors.contains(&format!("### `{word}`\n")),
                    "{}: there is no code {word}",
                    path.display()
                );
                found += 1;
            }
        }
        assert!(found >= 4, "{} names {found} codes", path.display());
    }
}

#[test]
fn links_lead_to_files_that_exist_and_the_index_to_every_page() {
    let index = workspace().join("docs/guides/README.md");
    let index = (index.clone(), fs::read_to_string(&index).unwrap());
    for (path, _) in pages() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(index.1.contains(&format!("]({name})")), "the index lacks {name}");
    }
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    assert!(readme.contains("](docs/guides/README.md)"));
    for (path, page) in pages().into_iter().chain([index]) {
        for link in page.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap();
            let is_there =
                link.is_empty() || link.starts_with("https://") || path.with_file_name(link).exists();
            assert!(is_there, "{} links to {link}", path.display());
        }
    }
}
