//! Links from one page of the repository to another lead somewhere: to a file that is there, and to a heading that it has. The map
//! of the code names the files that there are.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The pages below `directory`, build directories and foreign packages left out.
fn pages(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = name_of(&path);
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                pages(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines that are text: none of a block of code, and without what stands between back-ticks in a line.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            text.extend(line.split('`').step_by(2));
            text.push('\n');
        }
    }
    text
}

/// What the usual Markdown hosts call a page's headings.
fn anchors(page: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if is_code || heading.len() == line.len() {
            continue;
        }
        let kept = heading.trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        found.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    found
}

/// The links of a page that stay within the repository.
fn links(page: &str) -> Vec<String> {
    prose(page)
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|link| {
            !["https:", "http:", "mailto:"]
                .iter()
                .any(|scheme| link.starts_with(scheme))
        })
        .map(str::to_owned)
        .collect()
}

/// What is wrong with a link of the page at `from`.
fn fault(from: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let to = match path {
        "" => from.to_owned(),
        path => from.parent().unwrap_or(from).join(path),
    };
    if !to.exists() {
        return Some(format!("{}: there is no {path}", from.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let page = fs::read_to_string(&to).unwrap_or_default();
    (!anchors(&page).iter().any(|held| held == anchor)).then(|| {
        format!(
            "{}: {} has no heading for #{anchor}",
            from.display(),
            to.display()
        )
    })
}

#[test]
fn links_between_pages_lead_to_files_and_headings() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    assert!(found.len() > 40, "only {} pages were found", found.len());
    let mut seen = 0;
    let mut faults = Vec::new();
    for page in &found {
        let text = fs::read_to_string(page).expect("a page is UTF-8");
        for link in links(&text) {
            seen += 1;
            faults.extend(fault(page, &link));
        }
    }
    assert!(seen > 150, "only {seen} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_link_to_no_file_or_no_heading_is_found() {
    let readme = root().join("README.md");
    assert_eq!(fault(&readme, "#see-it"), None);
    assert_eq!(fault(&readme, "docs/performance.md#how-to-read-it"), None);
    assert!(fault(&readme, "docs/none.md").is_some_and(|said| said.contains("there is no docs/none.md")));
    assert!(
        fault(&readme, "docs/performance.md#none").is_some_and(|said| said.contains("no heading for #none"))
    );
    assert_eq!(
        links("[a](b.md) `[c](d.md)` [e](https://f.example)\n```\n[g](h.md)\n```\n"),
        ["b.md"]
    );
}

/// What the map says of each crate: its folder, and the text up to the next one's.
fn map() -> Vec<(String, String)> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page can be read");
    let map = page.split("```text\n").nth(1).expect("there is a map");
    let map = map.split("```").next().expect("it ends");
    let mut parts: Vec<(Vec<String>, String)> = Vec::new();
    for line in map.lines() {
        if !line.starts_with(' ') {
            let folders = line.split([' ', ',']).filter(|word| word.starts_with("crates/"));
            parts.push((folders.map(str::to_owned).collect(), String::new()));
        }
        let (_, text) = parts.last_mut().expect("it begins with a folder");
        text.push_str(line);
        text.push('\n');
    }
    let of_crate = |(folders, text): (Vec<String>, String)| {
        folders.into_iter().map(move |folder| (folder, text.clone()))
    };
    parts.into_iter().flat_map(of_crate).collect()
}

/// The words that may be files or folders.
fn named(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '/' | '.')));
    words.map(|word| word.trim_end_matches('.')).collect()
}

#[test]
fn the_map_names_every_file_of_the_crates() {
    let mut missing = Vec::new();
    let map = map();
    assert_eq!(map.len(), 5, "{map:#?}");
    for (folder, text) in &map {
        let named = named(text);
        for entry in fs::read_dir(root().join(folder)).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = name_of(&path);
            // What a folder holds is told with its file, where there is one. Every crate begins with its `lib.rs`.
            let is_told = match path.is_dir() {
                true => named.contains(&&*format!("{name}/")) || named.contains(&&*format!("{name}.rs")),
                false => named.contains(&&*name) || name == "lib.rs",
            };
            if !is_told {
                missing.push(format!("{folder}{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:#?}");
}

#[test]
fn every_file_that_the_map_names_is_there() {
    let mut gone = Vec::new();
    for (folder, text) in map() {
        let mut held = Vec::new();
        files(&root().join(&folder), &mut held);
        for name in named(&text).into_iter().filter(|name| name.ends_with(".rs")) {
            if !held.iter().any(|path| path.ends_with(name)) {
                gone.push(format!("{folder}{name}"));
            }
        }
    }
    assert!(gone.is_empty(), "ARCHITECTURE.md names {gone:#?}");
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}
