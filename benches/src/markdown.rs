//! Puts what was measured into a page, between the markers that stand there for each part.

use std::path::Path;

use crate::Failure;

/// Replaces what stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` for each name. What has no text stays as it is.
pub(crate) fn write(path: &Path, texts: &[(&str, String)]) -> Result<(), Failure> {
    let mut page = std::fs::read_to_string(path)?;
    for (name, text) in texts {
        page = replace(&page, name, text)
            .ok_or_else(|| format!("{} has no place for {name}", path.display()))?;
    }
    Ok(std::fs::write(path, page)?)
}

fn replace(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- bench:{name} -->"),
        format!("<!-- /bench:{name} -->"),
    );
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim_end()))
}
