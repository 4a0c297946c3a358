//! Return paths that lead elsewhere, or are meant to: each family abuses one rule of the URL standard
//! (<https://url.spec.whatwg.org/>, "URL parsing", "host parsing") or one mistake of those who check without it.
//!
//! The tests of the two example applications and of the browser include this file. It knows nothing of the library.

/// A return path as bytes, since not every one is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The rule, or the mistake, that it counts on.
    pub(crate) rule: &'static str,
    pub(crate) bytes: Vec<u8>,
}

#[allow(
    dead_code,
    reason = "each of the programs that include this file uses a part of it"
)]
impl Payload {
    /// As a form decoder gives it to the application.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// As a value in a query.
    pub(crate) fn encoded(&self) -> String {
        self.bytes
            .iter()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    }
}

/// The host that no answer may lead to.
pub(crate) const EVIL: &str = "evil.example";

/// All of them, in a fixed order, for an application at `own` (scheme, host and port).
pub(crate) fn payloads(own: &str) -> Vec<Payload> {
    let mut list = List(Vec::new());
    absolute(&mut list);
    slashes(&mut list);
    stripped(&mut list);
    dot_segments(&mut list);
    authorities(&mut list, own);
    characters(&mut list);
    percent_encoded(&mut list);
    other_schemes(&mut list);
    queries_and_fragments(&mut list);
    split_headers(&mut list);
    long(&mut list);
    not_utf8(&mut list);
    list.0
}

struct List(Vec<Payload>);

impl List {
    fn add(&mut self, rule: &'static str, bytes: impl Into<Vec<u8>>) {
        let payload = Payload {
            rule,
            bytes: bytes.into(),
        };
        if self.0.iter().all(|known| known.bytes != payload.bytes) {
            self.0.push(payload);
        }
    }

    fn all<B: Into<Vec<u8>>>(&mut self, rule: &'static str, all: impl IntoIterator<Item = B>) {
        for bytes in all {
            self.add(rule, bytes);
        }
    }
}

fn absolute(list: &mut List) {
    for scheme in [
        "https", "HTTPS", "hTtPs", "http", "HTTP", "ftp", "ws", "wss", "FILE",
    ] {
        list.add(
            "scheme state: schemes are compared without case",
            format!("{scheme}://{EVIL}/"),
        );
    }
    // Special authority slashes state: a special scheme needs no slashes, and takes any number of either kind.
    for scheme in ["https", "HtTp"] {
        for slashes in [
            "", "/", "///", "////", "\\", "\\\\", "/\\", "\\/", "//\\", "\\\\\\",
        ] {
            list.add(
                "special authority slashes state: any number of slashes of either kind",
                format!("{scheme}:{slashes}{EVIL}"),
            );
        }
    }
    list.all(
        "special relative or authority state: the base's own scheme without slashes is relative",
        [
            "http:path",
            "http:/path",
            "http:?q",
            "http:#f",
            "http:..//evil.example",
            "http:.//evil.example",
        ],
    );
}

fn slashes(list: &mut List) {
    // Relative slash state, special scheme: a backslash is a slash.
    for length in 2..=4_u32 {
        for pattern in 0..(1_u32 << length) {
            let slashes: String = (0..length)
                .map(|bit| if pattern >> bit & 1 == 0 { '/' } else { '\\' })
                .collect();
            list.add(
                "relative slash state: a backslash is a slash",
                format!("{slashes}{EVIL}"),
            );
        }
    }
    for path in ["/x", "/%2e%2e", "?x", "#x", ":80", ":443/x", ":", ":0"] {
        list.add(
            "relative slash state: two slashes begin a host",
            format!("//{EVIL}{path}"),
        );
    }
    list.all(
        "special authority ignore slashes state: more slashes are skipped",
        [5, 6, 7, 8, 30].map(|count| format!("{}{EVIL}", "/".repeat(count))),
    );
    list.all(
        "path state: a backslash ends a segment",
        [
            "/a\\..\\..\\\\evil.example",
            "/\\../evil.example",
            "/..\\/evil.example",
            "/..\\\\evil.example",
            "/.\\/evil.example",
            "\\evil.example",
            "/a\\evil.example",
        ],
    );
}

fn stripped(list: &mut List) {
    // "Remove any leading and trailing C0 control or space from input."
    for code in 0x00..=0x20_u8 {
        let c = char::from(code);
        list.add(
            "leading C0 controls and spaces are removed",
            format!("{c}//{EVIL}"),
        );
        list.add(
            "leading C0 controls and spaces are removed",
            format!("{c}https://{EVIL}"),
        );
        list.add("C0 controls after the first slash", format!("/{c}/{EVIL}"));
    }
    for c in ['\u{1f}', ' ', '\t', '\n', '\0'] {
        list.add(
            "trailing C0 controls and spaces are removed",
            format!("//{EVIL}{c}"),
        );
        list.add("trailing C0 controls and spaces are removed", format!("/{c}"));
    }
    // "Remove all ASCII tab or newline from input", wherever they stand.
    for c in ['\t', '\n', '\r'] {
        list.all(
            "tabs and newlines are removed everywhere",
            [
                format!("/{c}{c}/{EVIL}"),
                format!("//{c}{EVIL}"),
                format!("{c}/{c}/{c}{EVIL}"),
                format!("/{c}\\{EVIL}"),
                format!("\\{c}/{EVIL}"),
                format!("//ev{c}il.example"),
                format!("ht{c}tps://{EVIL}"),
                format!("https{c}://{EVIL}"),
                format!("https:{c}//{EVIL}"),
                format!("https:/{c}/{EVIL}"),
                format!("/.{c}//{EVIL}"),
                format!("/{c}.//{EVIL}"),
                format!("/.{c}.//{EVIL}"),
                format!("/a/..{c}//{EVIL}"),
                format!("java{c}script:alert(1)"),
            ],
        );
    }
}

fn dot_segments(list: &mut List) {
    // Path state: dot segments go, also those that are percent-encoded; what is left may begin with two slashes.
    for dots in [".", "..", "%2e", "%2E", ".%2e", "%2e.", "%2E%2e", "%2e%2E"] {
        list.all(
            "path state: dot segments are removed, also percent-encoded ones",
            [
                format!("/{dots}//{EVIL}"),
                format!("/{dots}///{EVIL}"),
                format!("/{dots}/\\{EVIL}"),
                format!("/{dots}\\/{EVIL}"),
                format!("/a/{dots}//{EVIL}"),
                format!("/a/{dots}/{dots}//{EVIL}"),
                format!("/{dots}/{dots}//{EVIL}"),
                format!("/a/b/{dots}/{dots}//{EVIL}"),
                format!("{dots}//{EVIL}"),
                format!("//{dots}//{EVIL}"),
            ],
        );
    }
    list.all(
        "path state: dot segments are removed, also percent-encoded ones",
        [
            "/...//evil.example",
            "/a/b/../..//evil.example/../x",
            "/./.././/evil.example",
            "/;/..//evil.example",
            "/a;/..//evil.example",
            "/..;//evil.example",
            "/.;//evil.example",
            "/?/..//evil.example",
            "/#/..//evil.example",
        ],
    );
}

fn authorities(list: &mut List, own: &str) {
    let host = own.split_once("://").map_or(own, |(_, host)| host);
    list.all(
        "authority state: what stands before the last @ is a user",
        [
            format!("//{host}@{EVIL}"),
            format!("{own}@{EVIL}"),
            format!("{own}@{EVIL}/"),
            format!("{own}:x@{EVIL}"),
            format!("//{EVIL}@{host}"),
            format!("{own}%40{EVIL}"),
            format!("https://{EVIL}\\@{host}"),
            format!("{own}\\@{EVIL}"),
            format!("https://{EVIL}#@{host}"),
            format!("https://{EVIL}?@{host}"),
            format!("https://{EVIL}/@{host}"),
            format!("https://{EVIL}%23@{host}"),
            format!("https://a@{host}@{EVIL}"),
            format!("//@{EVIL}"),
            format!("//:@{EVIL}"),
            format!("/@{EVIL}"),
            format!("/\\@{EVIL}"),
            format!("@{EVIL}"),
            format!(":@{EVIL}"),
        ],
    );
    list.all(
        "an origin that only begins or ends like our own",
        [
            format!("{own}.{EVIL}"),
            format!("{own}{EVIL}"),
            format!("{own}-{EVIL}"),
            format!("{own}_.{EVIL}"),
            format!("{own}%2e{EVIL}"),
            format!("{own}%00.{EVIL}"),
            format!("{own}\0.{EVIL}"),
            format!("{own};{EVIL}"),
            format!("{own},{EVIL}"),
            format!("{own}&{EVIL}"),
            format!("{own}0"),
            format!("https://{EVIL}/{own}"),
            format!("https://{EVIL}/?{own}/"),
            format!("https://{EVIL}.{host}/"),
            format!(".{EVIL}"),
            format!(".{EVIL}/"),
            format!("0{EVIL}"),
            format!(":80//{EVIL}"),
        ],
    );
    list.all(
        "our own origin, and then a path that begins with a host",
        [
            own.to_owned(),
            format!("{own}/"),
            format!("{own}/profile"),
            format!("{own}//{EVIL}"),
            format!("{own}/\\{EVIL}"),
            format!("{own}\\\\{EVIL}"),
            format!("{own}/.//{EVIL}"),
            format!("{own}/..//{EVIL}"),
            format!("{own}/\t/{EVIL}"),
            format!("//{host}//{EVIL}"),
            format!("//{host}/.//{EVIL}"),
            format!("http:/{host}//{EVIL}"),
            format!("http:{host}//{EVIL}"),
        ],
    );
    list.all(
        "IPv4 parser: one to four numbers, decimal, octal or hexadecimal; IPv6 in brackets",
        [
            "//2130706433/",
            "//0x7f000001",
            "//0177.0.0.1",
            "//127.1",
            "//127.0.0.1.",
            "//0x7f.1:3001",
            "//[::1]/",
            "//[::ffff:127.0.0.1]",
            "//[::ffff:7f00:1]:3000",
            "//127.0.0.1:3001",
            "//localhost:3000",
            "//0:3000/",
            "//[",
            "//]",
            "//[::1",
            "//[v1.x]",
            "//127.0.0.256",
            "//1.2.3.4.5",
            "//127.0.0.1:99999",
            "//127.0.0.1:3000:80",
            "//127.0.0.1:30\t01",
        ],
    );
}

fn characters(list: &mut List) {
    // Domain to ASCII (UTS #46): other dots are dots, full-width letters are letters, soft hyphens and joiners vanish.
    for host in [
        "evil\u{3002}example",
        "evil\u{ff0e}example",
        "evil\u{ff61}example",
        "\u{ff45}\u{ff56}\u{ff49}\u{ff4c}.example",
        "\u{24d4}\u{24e5}\u{24d8}\u{24db}.example",
        "ev\u{ad}il.example",
        "ev\u{200b}il.example",
        "ev\u{200d}il.example",
        "ev\u{2060}il.example",
        "\u{1d41e}vil.example",
        "evil.example\u{2024}com",
        "evil\u{2025}example",
        "evil.c\u{2100}.example",
        "evil.c\u{2105}.example",
        "evil\u{2044}.example",
        "evil\u{ff03}.example",
        "evil\u{ff1f}.example",
        "evil\u{ff20}own.example",
        "evil\u{ff1a}80",
        "xn--evl-6pa.example",
        "EVIL.EXAMPLE",
        "evil.example.",
        "evil%2eexample",
        "%65vil.example",
        "%ef%bd%85vil.example",
        "evil%E3%80%82example",
    ] {
        list.add("domain to ASCII: other spellings of a host", format!("//{host}"));
        list.add(
            "domain to ASCII: other spellings of a host",
            format!("https://{host}/"),
        );
    }
    // Characters that some fold into slashes, backslashes, dots or nothing (NFKC, best fit to another code page).
    for slash in [
        '\u{ff0f}', '\u{ff3c}', '\u{2044}', '\u{2215}', '\u{29f8}', '\u{29f9}', '\u{fe68}', '\u{2216}',
        '\u{2571}', '\u{20e5}', '\u{338}', '\u{37e}', '\u{a5}', '\u{20a9}', '\u{12f}', '\u{22f}', '\u{32f}',
        '\u{15c}',
    ] {
        list.all(
            "a character that is folded into a slash or cut down to one",
            [
                format!("{slash}{slash}{EVIL}"),
                format!("/{slash}{EVIL}"),
                format!("{slash}/{EVIL}"),
                format!("/.{slash}/{EVIL}"),
            ],
        );
    }
    for blank in [
        '\u{7f}',
        '\u{80}',
        '\u{85}',
        '\u{9f}',
        '\u{a0}',
        '\u{ad}',
        '\u{180e}',
        '\u{200b}',
        '\u{200e}',
        '\u{202e}',
        '\u{2028}',
        '\u{2029}',
        '\u{2060}',
        '\u{3000}',
        '\u{feff}',
        '\u{fffd}',
        '\u{fff9}',
        '\u{e0020}',
    ] {
        list.all(
            "a character that others trim or leave out",
            [
                format!("{blank}//{EVIL}"),
                format!("/{blank}/{EVIL}"),
                format!("{blank}https://{EVIL}"),
            ],
        );
    }
    list.all(
        "a full stop that is folded",
        [
            "/\u{ff0e}//evil.example",
            "/\u{2025}//evil.example",
            "/\u{ff0e}\u{ff0e}//evil.example",
            "/\u{2024}//evil.example",
        ],
    );
}

fn percent_encoded(list: &mut List) {
    // The path is not decoded by the standard; it is by those who decode once more than they should.
    for (slash, other) in [
        ("%2f", "%2F"),
        ("%5c", "%5C"),
        ("%252f", "%252F"),
        ("%255c", "%255C"),
        ("%25252f", "%25252F"),
        ("%09", "%0a"),
        ("%0d", "%00"),
        ("%20", "%0b"),
        ("%c0%af", "%c1%9c"),
        ("%e0%80%af", "%f0%80%80%af"),
        ("%ef%bc%8f", "%ef%bc%bc"),
        ("%u002f", "%u005c"),
        ("%2509", "%250a"),
        ("%%32%66", "%%35%63"),
        ("%", "%2"),
        ("%zz", "%-1"),
    ] {
        for slash in [slash, other] {
            list.all(
                "decoded once more than it should be",
                [
                    format!("{slash}{slash}{EVIL}"),
                    format!("/{slash}{EVIL}"),
                    format!("/{slash}/{EVIL}"),
                    format!("{slash}/{EVIL}"),
                ],
            );
        }
    }
    list.all(
        "decoded once more than it should be",
        [
            "%68ttps://evil.example",
            "https%3a//evil.example",
            "https%3A%2F%2Fevil.example",
            "https:%2f%2fevil.example",
            "/%2e%2e%2f%2fevil.example",
            "/%2e/%2fevil.example",
            "/..%2f/evil.example",
            "/..%5c/evil.example",
            "/%252e%252e//evil.example",
            "/%c0%ae%c0%ae//evil.example",
            "/%2e%2e%00//evil.example",
            "/a%00//evil.example",
            "//evil%00.example",
            "//evil%0a.example",
            "//evil%5c.example",
            "/%0d%0a/evil.example",
        ],
    );
    list.all(
        "character references and escapes of other languages",
        [
            "/&#47;evil.example",
            "/&#x2f;evil.example",
            "/&sol;evil.example",
            "&#47;&#47;evil.example",
            "/&bsol;evil.example",
            "/&Tab;/evil.example",
            "/&NewLine;/evil.example",
            "\\x2f\\x2fevil.example",
            "\\u002f\\u002fevil.example",
            "/\\u002fevil.example",
            "/\\/evil.example",
            "\\057\\057evil.example",
            "/\"//evil.example",
            "/'//evil.example",
            "/<//evil.example>",
            "</evil.example>",
            "/{//evil.example}",
            "/$(//evil.example)",
            "/`//evil.example",
        ],
    );
}

fn other_schemes(list: &mut List) {
    for url in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript://evil.example/%0aalert(1)",
        "javascript:/*//*/alert(1)",
        "javascript&colon;alert(1)",
        "\u{1}javascript:alert(1)",
        "java\0script:alert(1)",
        "javascript\t:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:text/html;base64,PHNjcmlwdD4=",
        "DATA:,x",
        "vbscript:msgbox(1)",
        "blob:https://evil.example/1",
        "filesystem:https://evil.example/x",
        "about:blank",
        "about:srcdoc",
        "view-source:https://evil.example",
        "mailto:a@evil.example",
        "tel:1",
        "intent://evil.example#Intent;scheme=https;end",
        "android-app://evil.example",
        "chrome://settings",
        "file:///etc/passwd",
        "urn:x",
        "x:y",
        "a+b.c-1://evil.example",
        "1http://evil.example",
        "://evil.example",
        ":",
        "https",
        "https:",
        "https:/",
        "https://",
        "https:?",
        "https:#",
        "http://",
        "http:\\",
    ] {
        list.add("no scheme state: any scheme makes it absolute", url);
    }
}

fn queries_and_fragments(list: &mut List) {
    list.all(
        "relative state: a query, a fragment or nothing at all",
        [
            "",
            "#",
            "?",
            "#//evil.example",
            "?//evil.example",
            "//",
            "///",
            "////",
            "//#",
            "//?",
            "//?evil.example",
            "//#evil.example",
            "//\\",
            "/\\",
            "\\",
            "\\\\",
            ".",
            "..",
            "./",
            "../",
            "././/evil.example",
            "../..//evil.example",
            "*",
            "evil.example",
            "evil.example/x",
            "/;//evil.example",
            "//;evil.example",
            "//evil.example;/",
            "//-",
            "//.",
            "//..",
            "//*",
            "//%",
            "//<>",
            "//evil.example|x",
            "//evil example",
            "//evil.example\u{20}/x",
            "//^",
            "///./",
            "//./",
            "//../",
        ],
    );
}

fn split_headers(list: &mut List) {
    for end in [
        "\r\n",
        "\n",
        "\r",
        "\r\n ",
        "\u{85}",
        "\u{2028}",
        "\u{0b}",
        "\u{0c}",
        "\u{560a}",
        "\u{560d}\u{560a}",
        "\u{10a}",
        "\u{10d}",
    ] {
        list.all(
            "a line that ends begins another header",
            [
                format!("/{end}Location: https://{EVIL}/"),
                format!("/a{end}Set-Cookie: session=x"),
                format!("/{end}{end}<script>alert(1)</script>"),
            ],
        );
    }
    list.all(
        "a line that ends begins another header",
        [
            "/%0d%0aLocation:%20https://evil.example",
            "/%0D%0ASet-Cookie:a=b",
            "/%E5%98%8D%E5%98%8ASet-Cookie:a=b",
            "/a, https://evil.example",
            "/;url=https://evil.example",
        ],
    );
}

fn long(list: &mut List) {
    list.all(
        "very long ones are cut off by nobody",
        [
            format!("{}{EVIL}", "/".repeat(2047)),
            format!("/{}//{EVIL}", "./".repeat(600)),
            format!("/{}//{EVIL}", "a/../".repeat(300)),
            format!("/{}//{EVIL}", "%2e%2e/".repeat(200)),
            format!("//{}.{EVIL}", "a".repeat(250)),
            format!("//{}{EVIL}", "a.".repeat(500)),
            format!("{}//{EVIL}", " ".repeat(1500)),
            format!("/{}/{EVIL}", "\t".repeat(1500)),
            format!("/{}", "\u{ff0f}".repeat(600)),
            format!("/{}\\{EVIL}", "x".repeat(2040)),
            format!("/{}", "x".repeat(2048)),
            format!("/{}", "\u{1f980}".repeat(511)),
        ],
    );
}

fn not_utf8(list: &mut List) {
    list.all::<&[u8]>(
        "bytes that are no UTF-8",
        [
            &b"\xff//evil.example"[..],
            b"/\xff/evil.example",
            b"//evil.example\xff",
            b"/\xc0\xafevil.example",
            b"\xc0\xaf\xc0\xafevil.example",
            b"/\xe0\x80\xafevil.example",
            b"/\xf0\x80\x80\xafevil.example",
            b"/\xc1\x9cevil.example",
            b"/\xc0\xae\xc0\xae//evil.example",
            b"/\xed\xa0\x80/evil.example",
            b"/\xed\xa0\xaf\xed\xb0\xaf/evil.example",
            b"/\xed\xbf\xbf//evil.example",
            b"/\xf4\x90\x80\x80/evil.example",
            b"/\xf8\x88\x80\x80\xaf/evil.example",
            b"/\x80/evil.example",
            b"/\xc2/evil.example",
            b"/\xe2\x80//evil.example",
            b"\xef\xbb\xbf//evil.example",
            b"\xfe\xff\0/\0/\0e\0v\0i\0l",
            b"/\0/\0e\0v\0i\0l\0",
            b"/\x1b$B!?\x1b(Bevil.example",
        ],
    );
}

/// Paths of the application's own that people come back to: they come through to the byte.
pub(crate) const HONEST: [&str; 44] = [
    "/",
    "/profile",
    "/profile/",
    "/a/b/c",
    "/a//b",
    "/a/./b",
    "/a/../b",
    "/a/b/..",
    "/index.html",
    "/?q=1",
    "/profile?a=1&b=%2F%2Fx&c=%20",
    "/profile?next=//evil.example",
    "/profile?next=https://evil.example/",
    "/profile?next=https%3A%2F%2Fevil.example",
    "/search?q=a+b&q=c&q=",
    "/search?",
    "/search?=",
    "/search?&&",
    "/search?a[]=1&a[]=2",
    "/search?q='\"<>",
    "/a?u=http://x/#y",
    "/a#b",
    "/a#//evil.example",
    "/a?b#c?d",
    "/@alice",
    "/@evil.example",
    "/~alice",
    "/:80",
    "/a:b",
    "/a;b=c",
    "/a,b",
    "/a=b",
    "/a&b",
    "/a+b",
    "/$a!b*c(d)",
    "/.well-known/x",
    "/..hidden",
    "/%E2%82%AC",
    "/%e4",
    "/%2F",
    "/%2F%2Fevil.example",
    "/%5Cevil.example",
    "/%00",
    "/evil.example",
];
