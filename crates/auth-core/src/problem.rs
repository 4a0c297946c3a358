//! Problem documents (RFC 9457) with the library's stable codes. Each is written once and then kept.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use serde::Serialize;

use crate::failure;
use crate::origins::OriginId;
use crate::reply::ReplyBody;

/// So many are kept at most: those of all codes at a few origins. One more is written each time.
const MAX: usize = 1_024;

/// All that tells one document from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    /// The OAuth 2.0 error code (RFC 6750 §3.1, RFC 9470 §3), where there is one.
    pub(crate) error: Option<&'static str>,
}

/// RFC 9457 §3.1, with the stable code as a member of its own.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Problem {
    /// `errors` is the address of the pages that explain the codes; without it the document has no `type`.
    pub(crate) fn document(&self, errors: Option<&str>) -> ReplyBody {
        let explanation = failure::explanation(self.code);
        let address = errors.map(|errors| format!("{errors}{}", self.code));
        let text = serde_json::to_string(&Document {
            r#type: address.as_deref(),
            title: explanation.title,
            status: self.status,
            detail: explanation.cause,
            code: self.code,
            error: self.error,
        });
        text.unwrap_or_default().into()
    }
}

/// The documents that were written already.
#[derive(Default)]
pub(crate) struct Problems(RwLock<HashMap<(OriginId, Problem), ReplyBody>>);

impl Problems {
    /// The document of this problem at this origin, whose pages of explanations `errors` gives.
    pub(crate) fn document(
        &self,
        at: OriginId,
        problem: Problem,
        errors: impl FnOnce() -> Option<String>,
    ) -> ReplyBody {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = known.get(&(at, problem)) {
            return document.clone();
        }
        drop(known);
        let document = problem.document(errors().as_deref());
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX {
            known.insert((at, problem), document.clone());
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::origins::Origins;
    use crate::types::BaseUrl;

    const NONE: Problem = Problem {
        status: 401,
        code: "session.none",
        error: None,
    };

    fn at(number: usize) -> OriginId {
        let further: Vec<_> = (0..number).map(|n| format!("https://{n}.example")).collect();
        let first = BaseUrl::new("https://app.example").expect("an origin");
        let origins = Origins::new(first, &further).expect("origins");
        let last = further.last().map_or("https://app.example", |last| last);
        origins.written(last).expect("it is one of them")
    }

    fn errors(origin: &str) -> impl FnOnce() -> Option<String> {
        let address = format!("https://{origin}/auth/errors/");
        move || Some(address)
    }

    #[test]
    fn a_document_is_written_once() {
        let problems = Problems::default();
        let first = problems.document(at(0), NONE, errors("app.example"));
        assert!(
            first.contains(r#""type":"https://app.example/auth/errors/session.none""#),
            "{first}"
        );
        let again = problems.document(at(0), NONE, || panic!("it is known"));
        assert_eq!(first, again);
        assert_eq!(Bytes::from(first).as_ptr(), Bytes::from(again).as_ptr());
    }

    #[test]
    fn whatever_differs_makes_a_document_of_its_own() {
        let problems = Problems::default();
        let kinds = [
            (at(0), NONE),
            (at(1), NONE),
            (at(0), Problem { status: 403, ..NONE }),
            (
                at(0),
                Problem {
                    code: "session.ended",
                    ..NONE
                },
            ),
            (
                at(0),
                Problem {
                    error: Some("insufficient_scope"),
                    ..NONE
                },
            ),
        ];
        for _ in 0..2 {
            let documents = kinds.map(|(at, problem)| {
                let origin = format!("{at:?}.example");
                problems.document(at, problem, errors(&origin)).to_string()
            });
            for (n, document) in documents.iter().enumerate() {
                assert!(!documents[..n].contains(document), "{document}");
                let parsed: serde_json::Value = serde_json::from_str(document).expect("JSON");
                let (at, problem) = kinds[n];
                assert_eq!(parsed["status"], problem.status);
                assert_eq!(parsed["code"], problem.code);
                assert_eq!(parsed["error"].as_str(), problem.error);
                let address = format!("https://{at:?}.example/auth/errors/{}", problem.code);
                assert_eq!(parsed["type"], address);
            }
        }
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let problems = Problems::default();
        for status in 0..2_000 {
            let problem = Problem { status, ..NONE };
            let document = problems.document(at(0), problem, errors("app.example"));
            assert!(document.contains(&format!(r#""status":{status},"#)), "{document}");
        }
        assert_eq!(problems.0.read().expect("nobody panicked").len(), MAX);
    }
}
