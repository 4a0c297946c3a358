//! The German texts.

use auth_core::Failure;
use auth_core::codes::Turn;

use crate::Texts;

/// By the code where there is a text for it, and by whose turn it is for all others.
pub(crate) fn texts(failure: &Failure) -> Texts {
    let (title, cause, mend) = match failure.code() {
        "session.none" => (
            "Bitte melden Sie sich an",
            "In diesem Browser ist niemand angemeldet.",
            "Melden Sie sich an.",
        ),
        "session.ended" | "session.token_expired" | "session.grant_ended" => (
            "Ihre Anmeldung ist abgelaufen",
            "Die Sitzung ist zu Ende.",
            "Melden Sie sich noch einmal an.",
        ),
        "login.access_denied" => (
            "Der Zugang wurde verweigert",
            "Sie oder der Anmeldedienst haben die Anmeldung abgelehnt.",
            "Versuchen Sie es noch einmal, oder fragen Sie nach, wer Zugang hat.",
        ),
        "login.attempt_expired" => (
            "Die Anmeldung hat zu lange gedauert",
            "Zwischen Anfang und Ende der Anmeldung ist zu viel Zeit vergangen.",
            "Versuchen Sie es noch einmal.",
        ),
        _ => match failure.turn() {
            Turn::User => (
                "Das ging nicht",
                "Die Anfrage konnte so nicht angenommen werden.",
                "Versuchen Sie es noch einmal von der Startseite aus.",
            ),
            _ => (
                "Das geht im Augenblick nicht",
                "Etwas ist gestört. Sie haben nichts falsch gemacht.",
                "Versuchen Sie es später noch einmal.",
            ),
        },
    };
    Texts {
        turn: match failure.turn() {
            Turn::User => "Sie sind an der Reihe".to_owned(),
            _ => "Andere sind an der Reihe".to_owned(),
        },
        title,
        cause,
        mend,
        unsent: "Was Sie abgeschickt haben, ist wahrscheinlich nicht ausgeführt worden.",
        // Where it leads tells what it does, whatever its English label.
        button: failure.try_again().map(|link| {
            if link.href.is_empty() {
                "Noch einmal versuchen"
            } else {
                "Anmelden"
            }
        }),
        home: "Zur Startseite",
    }
}
