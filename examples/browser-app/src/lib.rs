//! The files of the single-page app, which both servers hand out as they are: no build step, nothing inline.

/// Headers of every file: only what this server sends is loaded and run, text never becomes markup, and nobody frames the page.
///
/// There is no `form-action`: Chromium applies it to redirects too, and the sign-out form goes on to the provider.
pub const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("cache-control", "no-cache"),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// A file to hand out.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub body: &'static str,
}

/// What stands under this path: a file, or the page itself, whose script knows its routes. `None` where there is no page: below
/// `/assets`, `/auth` and `/proxy`.
#[must_use]
pub fn file(path: &str) -> Option<File> {
    let (content_type, body) = match path {
        "/assets/app.js" => ("text/javascript; charset=utf-8", include_str!("../assets/app.js")),
        "/assets/auth.js" => (
            "text/javascript; charset=utf-8",
            include_str!("../assets/auth.js"),
        ),
        "/assets/icon.svg" => ("image/svg+xml", include_str!("../assets/icon.svg")),
        "/assets/style.css" => ("text/css; charset=utf-8", include_str!("../assets/style.css")),
        _ if ["/assets/", "/auth/", "/proxy/"]
            .iter()
            .any(|start| path.starts_with(start)) =>
        {
            return None;
        }
        _ => ("text/html; charset=utf-8", include_str!("../assets/index.html")),
    };
    Some(File { content_type, body })
}

#[cfg(test)]
mod tests {
    use super::file;

    #[test]
    fn every_route_of_the_page_is_the_page_and_an_unknown_file_is_none() {
        for path in ["/", "/profile", "/organizations", "/note", "/no/such/page"] {
            assert_eq!(
                file(path).map(|file| file.content_type),
                Some("text/html; charset=utf-8")
            );
        }
        for path in ["/assets/none.js", "/auth/none", "/proxy/none"] {
            assert!(file(path).is_none(), "{path}");
        }
    }
}
