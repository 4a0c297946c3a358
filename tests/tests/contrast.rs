//! The colours of the four style sheets can be told apart, light and dark: WCAG 2.2, success criteria 1.4.3 (text, 4.5) and
//! 1.4.11 (edges of controls, 3), by its own formula for relative luminance.

/// The library's pages, the demo application's, the single-page app's, the development provider's.
const SHEETS: [(&str, &str); 4] = [
    ("auth-core", include_str!("../../crates/auth-core/src/page.css")),
    (
        "demo application",
        include_str!("../../examples/pages/src/style.css"),
    ),
    (
        "single-page app",
        include_str!("../../examples/browser-app/assets/style.css"),
    ),
    (
        "development provider",
        include_str!("../../crates/auth-testing/src/pages.css"),
    ),
];

/// A colour, what it stands on, and the least ratio between the two.
const PAIRS: [(&str, &str, f64); 12] = [
    ("ink", "paper", 4.5),
    ("ink", "wash", 4.5),
    ("quiet", "paper", 4.5),
    ("quiet", "wash", 4.5),
    ("accent", "paper", 4.5),
    ("accent", "wash", 4.5),
    ("on-accent", "accent", 4.5),
    ("note", "paper", 4.5),
    ("alert", "paper", 4.5),
    ("alert", "wash", 3.0),
    ("edge", "paper", 3.0),
    ("edge", "wash", 3.0),
];

/// The colour that `--name` stands for, in the first block of the sheet or, for the dark one, in the second.
fn colour(sheet: &str, name: &str, is_dark: bool) -> Option<[u8; 3]> {
    let compact: String = sheet.split_whitespace().collect();
    let found = compact
        .split(&format!("--{name}:#"))
        .skip(1)
        .nth(usize::from(is_dark))?;
    let digits: Vec<u8> = found
        .chars()
        .map_while(|c| c.to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    match digits[..] {
        [r, g, b] => Some([r * 17, g * 17, b * 17]),
        [r, s, g, h, b, c] => Some([r * 16 + s, g * 16 + h, b * 16 + c]),
        _ => None,
    }
}

fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn ratio(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn text_and_edges_stand_out_light_and_dark() {
    let mut compared = 0;
    let mut faults = Vec::new();
    for (of, sheet) in SHEETS {
        for (front, back, least) in PAIRS {
            for is_dark in [false, true] {
                let pair = (colour(sheet, front, is_dark), colour(sheet, back, is_dark));
                let (Some(front_colour), Some(back_colour)) = pair else {
                    // Not every sheet has notes, alerts and edges.
                    assert!(
                        ["note", "alert", "edge"].contains(&front),
                        "{of}: no --{front} or no --{back}"
                    );
                    continue;
                };
                compared += 1;
                let ratio = ratio(front_colour, back_colour);
                if ratio < least {
                    let scheme = if is_dark { "dark" } else { "light" };
                    faults.push(format!(
                        "{of}, {scheme}: {front} on {back} is {ratio:.2}, not {least}"
                    ));
                }
            }
        }
    }
    assert_eq!(compared, 78, "a colour has another name");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_ratio_is_that_of_the_specification() {
    assert!((ratio([0; 3], [255; 3]) - 21.0).abs() < 0.001);
    // The grey that is known to be the lightest on white.
    assert!(ratio([0x76; 3], [255; 3]) >= 4.5);
    assert!(ratio([0x77; 3], [255; 3]) < 4.5);
}
