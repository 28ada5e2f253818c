//! What a run does first: the intent that it finds is finished, whoever wrote it.
//!
//! One kind is given up instead: a window's whose merge rests on a promise about its partition column. Since it was staged
//! the live sync may have brought newer versions of its rows, written otherwise or without the promise, into partitions that
//! its merge does not look at, so that the older one would be inserted beside them. The live lane brings nothing newer before
//! it has finished what it finds.

use tokio::time::Instant;

use super::super::RunError;
use super::super::faults::Point;
use super::super::finish::{self, Finished};
use super::{Run, millis};
use crate::bucket::Bucket;
use crate::plan::finish::Progress;
use crate::state::transition::Event;
use crate::warehouse::Warehouse;

/// How many intents of others a run finishes before it calls itself superseded.
const RECOVERIES_MAX: u32 = 4;

impl<B: Bucket, W: Warehouse> Run<'_, B, W> {
    /// Finishes the intent that the state holds, whoever wrote it.
    pub(super) async fn recover(&mut self) -> Result<(), RunError> {
        for _ in 0..RECOVERIES_MAX {
            let Some(intent) = self.at.state.intent.clone() else { return Ok(()) };
            self.engine.faults.at(Point::IntentFound).await?;
            if self.is_lost(&intent).await? {
                tracing::warn!(intent = %intent.id, target = %intent.target, "the table that was built is gone");
                self.report
                    .note(format!("{}, which was built beside the target, is gone with its rows", intent.target));
                self.write(Event::RebuildLost).await?;
                finish::clean(self.engine, self.cx, &intent).await;
                continue;
            }
            tracing::info!(intent = %intent.id, rows = intent.rows, "an intent is pending: finishing it");
            let begun = Instant::now();
            let outlived = self.window.is_some() && intent.rests_on_promise();
            let progress = if outlived { Progress::given_up(intent.rows) } else { finish::progress(&intent, false) };
            let finished = match finish::finish(self.engine, self.cx, &intent, progress).await {
                Err(error) if self.is_overtaken(&intent, &error).await? => continue,
                finished => finished?,
            };
            self.report.durations_ms.apply += millis(begun.elapsed());
            let event = match &finished {
                Finished::Applied(_) => Event::Commit { id: intent.id.clone(), next: None },
                Finished::Unappliable => Event::Drop(intent.id.clone()),
                Finished::Refused(why) => Event::RefuseDeletes { id: intent.id.clone(), why: why.clone() },
            };
            let mut refused = None;
            if self.write(event).await? {
                match finished {
                    Finished::Applied(jobs) => self.committed(&intent, jobs, true),
                    Finished::Unappliable if outlived => self.report.note(format!(
                        "intent {} rested on what was promised of the partition column when it was staged: its rows are \
                         read again",
                        intent.id
                    )),
                    Finished::Unappliable => {
                        let note =
                            format!("intent {} had lost its parts and was dropped: its rows are read again", intent.id);
                        tracing::warn!(intent = %intent.id, "parts and staging table are gone: dropping the intent");
                        self.report.note(note);
                    }
                    Finished::Refused(counts) => refused = Some(self.too_many(&intent, &counts)),
                }
            }
            // also if somebody else was faster: what it left is nobody's
            if self.at.state.intent.as_ref().is_none_or(|now| now.id != intent.id) {
                finish::clean(self.engine, self.cx, &intent).await;
            }
            if let Some(refused) = refused {
                return Err(refused);
            }
        }
        if self.at.state.intent.is_some() { Err(RunError::Superseded) } else { Ok(()) }
    }
}
