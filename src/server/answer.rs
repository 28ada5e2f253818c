//! From what happened to a status and a body. Pure.

use serde::Serialize;

use crate::model::Code;
use crate::report::{FailureClass, Outcome, RunReport};

/// Seconds after which a caller should try again.
pub(super) const RETRY_AFTER_SECONDS: u32 = 30;

/// The most characters of a message: what is wrong with a request can be as long as the request.
const MESSAGE_CHARS_MAX: usize = 1000;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// Whether to say when to try again.
    pub(super) retry: bool,
    /// What `WWW-Authenticate` says, where a token is wanted.
    pub(super) challenge: Option<&'static str>,
    /// What `Allow` says, where the method is another.
    pub(super) allowed: Option<&'static str>,
    /// The JSON body.
    pub(super) body: String,
}

#[derive(Serialize)]
struct Fault<'a> {
    error: &'a str,
    code: Code,
}

impl Answer {
    /// The process listens.
    pub(super) fn health() -> Self {
        Self { status: 200, retry: false, challenge: None, allowed: None, body: "{\"status\":\"ok\"}".to_owned() }
    }

    /// An error with one line for a person; `text` is as [`Code::says`] takes it.
    pub(super) fn fault(status: u16, code: Code, text: &str) -> Self {
        let retry = matches!(status, 429 | 503);
        let error = match text.char_indices().nth(MESSAGE_CHARS_MAX) {
            Some((end, _)) => code.says(&format!("{} …", &text[..end])),
            None => code.says(text),
        };
        let body = serde_json::to_string(&Fault { error: &error, code });
        Self { status, retry, challenge: None, allowed: None, body: body.unwrap_or_default() }
    }

    /// The same, saying which token is wanted.
    pub(super) fn with_challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// The same, saying which methods there are.
    pub(super) fn allowing(self, allowed: &'static str) -> Self {
        Self { allowed: Some(allowed), ..self }
    }

    /// The answer to a run: 200 unless it failed; 503 where trying again can help, 500 where it cannot.
    pub(super) fn of_run(report: &RunReport) -> Self {
        let status = match (report.outcome, report.error.as_ref().map(|error| error.class)) {
            (Outcome::Synced | Outcome::WouldSync | Outcome::UpToDate | Outcome::Partial | Outcome::Superseded, _) => {
                200
            }
            (Outcome::Failed | Outcome::Unusable, Some(FailureClass::Transient)) => 503,
            (Outcome::Failed | Outcome::Unusable, Some(FailureClass::Permanent | FailureClass::Usage) | None) => 500,
        };
        let body = serde_json::to_string(report).unwrap_or_default();
        Self { status, retry: status == 503, challenge: None, allowed: None, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, TableId};
    use crate::report::Failure;

    #[test]
    fn each_outcome_has_its_status() {
        let id = TableId {
            source: "a".parse().unwrap_or_else(|_| unreachable!("a name")),
            table: "b".parse().unwrap_or_else(|_| unreachable!("a name")),
        };
        let answer = |outcome, class: Option<FailureClass>| {
            let mut report = RunReport::new(&id, "p.d.t".into(), Mode::Merge);
            report.outcome = outcome;
            report.error = class.map(|class| Failure { code: None, message: "m".into(), class });
            let answer = Answer::of_run(&report);
            (answer.status, answer.retry)
        };
        for fine in [Outcome::Synced, Outcome::UpToDate, Outcome::Partial, Outcome::Superseded] {
            assert_eq!(answer(fine, None), (200, false));
        }
        assert_eq!(answer(Outcome::Failed, Some(FailureClass::Transient)), (503, true));
        assert_eq!(answer(Outcome::Failed, Some(FailureClass::Permanent)), (500, false));
        assert_eq!(answer(Outcome::Failed, Some(FailureClass::Usage)), (500, false));
        let unknown = Answer::fault(404, Code::TableUnknown, "no \"x\"").body;
        assert_eq!(unknown, r#"{"error":"no \"x\"","code":"HW-TABLE-UNKNOWN"}"#);
        let long = Answer::fault(404, Code::TableUnknown, &"\u{fc}".repeat(100_000)).body;
        assert!(long.contains("\u{fc} …\",") && long.chars().count() < MESSAGE_CHARS_MAX + 60);
    }
}
