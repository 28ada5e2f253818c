//! A source that fails for a passing reason: how often a run connects again, and what it says when it gives up.

use std::time::Duration;

use tokio::time::Instant;

use super::super::RunError;
use crate::model::TableId;
use crate::net::{Context, Interrupted, Tried};
use crate::source::SourceError;

/// How often a run connects to a source that fails without any progress in between.
const ATTEMPTS_MAX: u32 = 4;
/// Wait before the second attempt, at the most; doubles.
const BACKOFF: Duration = Duration::from_secs(1);
/// On so many connections, one after the other, no row must have come before the query is blamed.
const SLOW_MIN: u32 = 2;
/// The least time that is worth another attempt.
const ATTEMPT_MIN: Duration = Duration::from_secs(1);

/// A series of failures without progress.
#[derive(Debug)]
pub(super) struct Trouble {
    failures: u32,
    /// How many of them were a wait for rows of a source that was there.
    slow: u32,
    /// Whether there were others.
    broken: bool,
    begun: Instant,
    /// The last failure that was not only a lack of time.
    last: Option<SourceError>,
}

impl Trouble {
    /// None yet, by a run that has worked without any since `begun`.
    pub(super) fn none(begun: Instant) -> Self {
        Self { failures: 0, slow: 0, broken: false, begun, last: None }
    }

    /// Waits before another attempt.
    ///
    /// # Errors
    /// There is none: what the run ends with. `chunks` are those that it has applied.
    pub(super) async fn again(
        &mut self,
        cx: &Context,
        error: SourceError,
        chunks: u64,
        table: &TableId,
    ) -> Result<(), RunError> {
        if let SourceError::Interrupted { cause: Interrupted::Cancelled, .. } = error {
            return Err(error.into());
        }
        let wait = (BACKOFF * 2u32.pow(self.failures)).mul_f64(0.5 + fastrand::f64() / 2.0);
        if is_slow(&error) {
            self.slow += 1;
        } else {
            self.broken = true;
        }
        // what failed before says more than that the time is up
        let told = match self.last.take() {
            Some(last) if is_budget(&error) => last,
            Some(_) | None => {
                self.failures += 1;
                error
            }
        };
        let time = cx.remaining() >= wait + ATTEMPT_MIN;
        if self.failures < ATTEMPTS_MAX && time {
            tracing::warn!(error = %told, attempt = self.failures, "the source failed, connecting again");
            self.last = Some(told);
            return Ok(cx.sleep(wait).await?);
        }
        let tried = Tried { attempts: self.failures, elapsed: self.begun.elapsed() };
        Err(if !time && chunks == 0 && !self.broken && self.slow >= SLOW_MIN {
            // the next run would begin where this one did, and fare no better
            RunError::NothingRead { table: table.to_string() }
        } else if is_budget(&told) {
            told.into()
        } else {
            RunError::SourceGone { tried, last: told }
        })
    }
}

fn is_budget(error: &SourceError) -> bool {
    matches!(error, SourceError::Interrupted { cause: Interrupted::Budget, .. })
}

/// Whether the source was there and no row came: the query may need more time than the run has. Or the connection is
/// dead, which looks the same.
fn is_slow(error: &SourceError) -> bool {
    if let SourceError::Interrupted { what, cause: Interrupted::Budget } = error {
        return !what.starts_with("connecting");
    }
    matches!(error, SourceError::Silent { rows: 0, .. })
}
