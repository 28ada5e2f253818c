//! What a run does: the steps of a chunk, and whose intent is finished.
//!
//! `run` is the order of things, `prepare` the way to the first row, `chunk` and `stage` bring rows into parts,
//! `finish` applies an intent, `verify` compares the target with the source, `sweep` deletes what crashes have left, `look` reads
//! what people are shown, `failure` is what can go wrong, `faults` are
//! places where tests let it.
//!
//! Architecture Invariant: the engine knows the traits, never a backend; time and randomness come from [`Ambient`].

mod backfill;
mod chunk;
mod failure;
pub mod faults;
mod finish;
mod gaps;
mod look;
mod prepare;
mod reset;
mod run;
mod stage;
mod sweep;
mod verify;

use std::fmt;
use std::sync::Arc;

pub use backfill::{Backfill, BackfillQuestion};
pub use failure::RunError;
pub use gaps::{Gaps, GapsQuestion};
pub use look::{RejectsSeen, WindowSeen, WindowsSeen};
pub use run::preview::{Preview, PreviewOptions, Reading};
pub use verify::Question;

use self::faults::Faults;
use self::finish::Finished;
use crate::bucket::Bucket;
use crate::model::{Fraction, Intent, IntentId, Mode, TableId, TableSettings, TableState, Window};
use crate::net::Context;
use crate::plan::finish::Progress;
use crate::report::{RunReport, VerifyReport};
use crate::source::Source;
use crate::source::explain::Explain;
use crate::state::transition::{self, Event, ResetTo};
use crate::state::{Store, Versioned, Write};
use crate::warehouse::Warehouse;

/// Time and randomness, given from outside so that tests need neither.
pub trait Ambient: Send + Sync + fmt::Debug {
    /// The container's clock; it names and dates things, and decides nothing.
    fn now(&self) -> jiff::Timestamp;

    /// 128 random bits.
    fn random(&self) -> u128;
}

/// How a table is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Whether to go on from a watermark that was made with other settings.
    pub accept: bool,
    /// When to look for rows that are gone at the source.
    pub deletes: LookForDeletes,
    /// When to look whether rows have moved to other partitions.
    pub moves: LookForMoves,
}

/// When a run looks whether rows have moved to other partitions, where merges rest on a promise that none has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookForMoves {
    /// Before the first such merge, and when the last look is a day old.
    #[default]
    IfDue,
    /// Not in this run, whose merges change nothing.
    Never,
}

/// When a run looks for rows that are gone at the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookForDeletes {
    /// When the table's settings say that it is time.
    #[default]
    IfDue,
    /// Not in this run, which tells if it was time.
    Never,
    /// In this run.
    Now {
        /// Instead of the settings' greatest part of rows that may go.
        max_fraction: Option<Fraction>,
    },
}

/// Runs tables against one bucket and one warehouse.
#[derive(Clone, Debug)]
pub struct Engine<B, W> {
    bucket: B,
    warehouse: W,
    ambient: Arc<dyn Ambient>,
    faults: Faults,
}

impl<B, W> Engine<B, W> {
    /// An engine over these.
    pub fn new(bucket: B, warehouse: W, ambient: Arc<dyn Ambient>) -> Self {
        Self { bucket, warehouse, ambient, faults: Faults::default() }
    }

    /// The same engine with these faults.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// The bucket.
    pub fn bucket(&self) -> &B {
        &self.bucket
    }

    /// The warehouse.
    pub fn warehouse(&self) -> &W {
        &self.warehouse
    }

    /// Says when a state is written, and marks it as nobody else's.
    fn stamp(&self, state: &mut TableState) {
        state.written_at = self.ambient.now().to_string();
        state.written_by = self.fresh_id().to_string();
    }

    /// An id that nothing has.
    fn fresh_id(&self) -> IntentId {
        let now_ms = u64::try_from(self.ambient.now().as_millisecond()).unwrap_or(0);
        IntentId::new(now_ms, self.ambient.random())
    }
}

impl<B: Bucket, W: Warehouse> Engine<B, W> {
    /// Moves one table forward: finishes whatever intent it finds, then chunk by chunk up to the ceiling or until
    /// the context's time is spent. Whatever happens, the report says it.
    pub async fn run<S: Source>(
        &self,
        cx: &Context,
        source: &S,
        settings: &TableSettings,
        options: RunOptions,
    ) -> RunReport {
        // what calls this moves its future about
        Box::pin(run::run(self, cx, source, settings, options)).await
    }

    /// Looks at what a run of the table would do, up to its first row. Meant for an engine that cannot write: where a run
    /// would bring the target in line, so does this. Whatever happens, the preview says it.
    pub async fn preview<S: Source>(
        &self,
        cx: &Context,
        source: &S,
        settings: &TableSettings,
        options: PreviewOptions,
    ) -> Preview
    where
        S::Session: Explain,
    {
        Box::pin(run::preview::preview(self, cx, source, settings, options)).await
    }

    /// Compares the table's source and target by checksums, names the rows that differ and mends them if asked to.
    /// Whatever happens, the report says it.
    pub async fn verify<S: Source>(
        &self,
        cx: &Context,
        source: &S,
        settings: &TableSettings,
        question: &Question,
    ) -> VerifyReport {
        Box::pin(verify::verify(self, cx, source, settings, question)).await
    }

    /// Decides which windows a backfill has, and remembers that it was asked for.
    ///
    /// # Errors
    /// It cannot be had, or the source, the bucket or BigQuery fails.
    pub async fn ask<S: Source>(
        &self,
        cx: &Context,
        source: &S,
        settings: &TableSettings,
        question: &BackfillQuestion,
    ) -> Result<Backfill, RunError> {
        Box::pin(backfill::ask(self, cx, source, settings, question)).await
    }

    /// Brings a window of a backfill, or what is left of it; with `again` from its first row, complete or not. Whatever
    /// happens, the report says it.
    pub async fn window<S: Source>(
        &self,
        cx: &Context,
        source: &S,
        settings: &TableSettings,
        window: &Window,
        again: bool,
    ) -> RunReport {
        Box::pin(run::window(self, cx, source, settings, window, again)).await
    }

    /// Ends a load by keys if all its windows are complete; gives how many of these windows are not.
    ///
    /// # Errors
    /// States cannot be read or written.
    pub async fn settle(&self, cx: &Context, settings: &TableSettings, windows: &[Window]) -> Result<usize, RunError> {
        backfill::settle(self, cx, settings).await?;
        backfill::left(self, cx, settings, windows).await
    }

    /// Looks for windows that are not complete, and for such whose rows are not all in the target. Whatever happens, the
    /// report says it.
    pub async fn gaps<S: Source>(
        &self,
        cx: &Context,
        source: &S,
        settings: &TableSettings,
        question: &GapsQuestion,
    ) -> Gaps {
        Box::pin(gaps::gaps(self, cx, source, settings, question)).await
    }

    /// The table's state as it is now.
    ///
    /// # Errors
    /// The state cannot be read.
    pub async fn state(&self, cx: &Context, id: &TableId) -> Result<Versioned, RunError> {
        Ok(Store::new(&self.bucket, id).read(cx).await?)
    }

    /// The windows of the table's backfills, and how far they are.
    ///
    /// # Errors
    /// What was asked for cannot be read or listed.
    pub async fn windows(&self, cx: &Context, id: &TableId) -> Result<WindowsSeen, RunError> {
        look::windows(self, cx, id).await
    }

    /// Where the table's rejected rows are.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn rejects(&self, cx: &Context, settings: &TableSettings) -> Result<RejectsSeen, RunError> {
        look::rejects(self, cx, settings).await
    }

    /// Refuses to read rows of a table in `append` again that are in its target.
    ///
    /// # Errors
    /// [`RunError::Twice`], or BigQuery cannot be asked.
    pub async fn refuse_twice(&self, cx: &Context, settings: &TableSettings) -> Result<(), RunError> {
        if settings.mode != Mode::Append {
            return Ok(());
        }
        let target = settings.target.clone();
        match self.warehouse.table(cx, &target).await? {
            Some(info) if info.rows > 0 => {
                Err(RunError::Twice { table: settings.id.to_string(), target, rows: info.rows })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sets the watermark by an operator's command, conditionally on the state that is read here.
    ///
    /// # Errors
    /// An intent is pending and `drop_intent` is false, or its rows are in the target already; the state cannot be read or written, or somebody else
    /// wrote it in between.
    pub async fn reset(
        &self,
        cx: &Context,
        id: &TableId,
        to: ResetTo,
        drop_intent: bool,
    ) -> Result<Versioned, RunError> {
        let store = Store::new(&self.bucket, id);
        let before = store.read(cx).await?;
        if let (Some(intent), true) = (&before.state.intent, drop_intent) {
            self.give_up(cx, intent).await?;
        }
        let beginning = to == ResetTo::Beginning;
        let windows = match to {
            ResetTo::Beginning => Some(reset::Windows::find(self, cx, id, drop_intent).await?),
            ResetTo::Keep if drop_intent => Some(reset::Windows::find(self, cx, id, true).await?),
            ResetTo::At(_) | ResetTo::Keep => None,
        };
        let mut state = transition::apply(&before.state, Event::Reset { to, drop_intent })?;
        self.stamp(&mut state);
        let dropped = before.state.intent.clone();
        match store.write(cx, &before, state).await? {
            Write::Done(after) => {
                if let Some(rebuild) = &before.state.rebuild
                    && let Err(error) = self.warehouse.delete_table(cx, &rebuild.table).await
                {
                    tracing::warn!(table = %rebuild.table, %error, "the table of a rebuild that was given up is left");
                }
                if let Some(intent) = dropped {
                    finish::clean(self, cx, &intent).await;
                }
                // after the state: as long as what was asked for is there, another reset finds them
                match windows {
                    Some(windows) if beginning => windows.forget(self, cx, id).await?,
                    Some(windows) => windows.drop_intents(self, cx).await?,
                    None => {}
                }
                Ok(after)
            }
            Write::Lost(_) => Err(RunError::Superseded),
        }
    }

    /// Makes sure that a pending intent is never applied. Before the state forgets it: whoever still works at it must find
    /// nothing to load and nothing to merge. If this goes no further, the next run finds its parts gone, drops it and
    /// reads its rows again.
    async fn give_up(&self, cx: &Context, intent: &Intent) -> Result<(), RunError> {
        finish::delete_parts(self, cx, &intent.parts).await?;
        match finish::finish(self, cx, intent, Progress::given_up(intent.rows)).await? {
            Finished::Applied(_) => Err(RunError::Applied(intent.id.clone())),
            Finished::Unappliable | Finished::Refused(_) => Ok(()),
        }
    }
}
