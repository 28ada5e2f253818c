//! The order of a run: finish what is pending, prepare, then lane by lane, chunk by chunk.
//!
//! While chunk *k* is applied, chunk *k+1* is read; the commit of *k* and the intent of *k+1* are one write.

mod deletes;
mod partitions;
pub(super) mod preview;
mod rebuild;
mod recover;
mod remember;
mod repair;
mod tally;
mod trouble;
mod window;

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::repair::repair;
use self::trouble::Trouble;
pub(super) use self::window::window;
use super::chunk::{self, Chunk, Piece};
use super::faults::Point;
use super::finish::{self, Finished};
use super::prepare::{self, Prepared, Ready, Wanted};
use super::sweep::{self, Leftovers};
use super::{Engine, RunError, RunOptions};
use crate::bucket::Bucket;
use crate::model::{Class, Intent, Lane, Mode, NullCursor, Position, TableSettings, TableState, Window};
use crate::net::Context;
use crate::report::{Outcome, RunReport};
use crate::source::{ReadEnd, Session, Source};
use crate::state::transition::{self, Event};
use crate::state::{Store, Versioned, Write};
use crate::warehouse::Warehouse;

/// The part of a run's remaining time after which a chunk that is applied does not wait for the next to be read. A
/// read is asked to end at half of it; one whose first row does not come cannot be asked.
const LATE_AT: f64 = 0.75;
/// How long an applied chunk waits for the next when the run is told to stop.
const AHEAD_GRACE: Duration = Duration::from_secs(1);

/// How one pass over a source's session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassEnd {
    /// Everything up to the ceiling is applied.
    Done,
    /// The session is spent, the work is not: connect again.
    Reconnect,
    /// The time is spent, or the process is stopping.
    OutOfTime,
    /// Another run is ahead.
    Superseded,
}

struct Run<'a, B, W> {
    engine: &'a Engine<B, W>,
    cx: &'a Context,
    settings: &'a TableSettings,
    /// The window that is brought; `None` where the table itself moves forward.
    window: Option<&'a Window>,
    store: Store<'a, B>,
    at: Versioned,
    /// Whether `at` holds something that is not written yet.
    dirty: bool,
    /// What was staged when the run began.
    leftovers: Leftovers,
    /// Whether the state was written by us since then.
    fenced: bool,
    /// Lanes that this run has been through already.
    nulls_done: bool,
    nulls_at: Option<Position>,
    lookback_done: bool,
    /// Rows rejected in chunks of this run, committed or not.
    rejected: u64,
    /// Tables that this run began to build beside the target.
    rebuilds: u32,
    /// The keys were compared in this run.
    deletes_done: bool,
    options: RunOptions,
    /// Whether the window is to be read again from its first row.
    again: bool,
    report: RunReport,
    /// What the last look at the source came to.
    seen: Option<tally::Seen>,
    /// Extraction and application of the last chunk.
    last_chunk: Duration,
}

/// Runs the table and reports.
pub(super) async fn run<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    options: RunOptions,
) -> RunReport {
    let begun = Instant::now();
    let mut run = Run::new(engine, cx, settings, options);
    let result = run.go(source).await;
    run.concluded(begun, result).await
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<'a, B: Bucket, W: Warehouse> Run<'a, B, W> {
    fn new(engine: &'a Engine<B, W>, cx: &'a Context, settings: &'a TableSettings, options: RunOptions) -> Self {
        Self {
            engine,
            cx,
            settings,
            window: None,
            store: Store::new(&engine.bucket, &settings.id),
            at: Versioned { state: TableState::new(), generation: None },
            dirty: false,
            leftovers: Leftovers::default(),
            fenced: false,
            nulls_done: false,
            nulls_at: None,
            lookback_done: false,
            rejected: 0,
            rebuilds: 0,
            deletes_done: false,
            options,
            again: false,
            report: RunReport::new(&settings.id, settings.target.to_string(), settings.mode),
            seen: None,
            last_chunk: Duration::ZERO,
        }
    }

    async fn go<S: Source>(&mut self, source: &S) -> Result<Outcome, RunError> {
        let begun = Instant::now();
        let leftovers = sweep::find(self.engine, self.cx, self.settings, self.window);
        let (at, leftovers) = tokio::join!(self.store.read(self.cx), leftovers);
        (self.at, self.leftovers) = (at?, leftovers);
        self.report.durations_ms.state += millis(begun.elapsed());
        self.report.watermark_before.clone_from(&self.at.state.watermark);
        self.report.watermark_after.clone_from(&self.at.state.watermark);
        self.engine.faults.at(Point::StateRead).await?;
        self.recover().await?;
        if let Some(window) = self.window
            && self.open(window)?
        {
            return Ok(if self.report.moved_anything() { Outcome::Synced } else { Outcome::UpToDate });
        }
        let mut trouble = Trouble::none(Instant::now());
        loop {
            let (begun, chunks) = (Instant::now(), self.report.chunks);
            let pass = match self.window {
                Some(window) => self.window_pass(source, window).await,
                None => self.pass(source).await,
            };
            match pass {
                Ok(PassEnd::Done) if self.report.moved_anything() => return Ok(Outcome::Synced),
                Ok(PassEnd::Done) => return Ok(Outcome::UpToDate),
                Ok(PassEnd::Reconnect) => trouble = Trouble::none(Instant::now()),
                Ok(PassEnd::OutOfTime) => return Ok(Outcome::Partial),
                Ok(PassEnd::Superseded) => return Ok(Outcome::Superseded),
                Err(RunError::Source(error)) if error.class() == Class::Transient => {
                    if self.report.chunks > chunks {
                        trouble = Trouble::none(begun);
                    }
                    trouble.again(self.cx, error, self.report.chunks, &self.settings.id).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One connection's worth of work.
    async fn pass<S: Source>(&mut self, source: &S) -> Result<PassEnd, RunError> {
        let begun = Instant::now();
        let (state, wanted) = (&self.at.state, self.wanted());
        let (mut session, ready) =
            prepare::connect(self.engine, self.cx, wanted, source, state, &mut self.report).await?;
        self.report.durations_ms.plan += millis(begun.elapsed());
        let prepared = match ready {
            Ready::Yes(prepared) => *prepared,
            Ready::Incompatible(cause) => return self.rebuild(cause).await,
            Ready::RebuildLost => {
                self.report.note("the table that was built beside the target is gone: it is built again".to_owned());
                return self.step(Event::RebuildLost).await;
            }
        };
        self.engine.faults.at(Point::Prepared).await?;
        self.look_at(&prepared);
        self.remember(&prepared)?;
        self.check_partitions(&mut session, &prepared, None).await?;
        let end = if self.settings.mode == Mode::Replace {
            self.drive(&mut session, &prepared, Piece::new(Lane::Whole)).await?
        } else {
            self.lanes(&mut session, &prepared).await?
        };
        let end = match end {
            PassEnd::Done if self.at.state.rebuild.is_none() => self.deletes(&mut session, &prepared).await?,
            PassEnd::Done | PassEnd::Reconnect | PassEnd::OutOfTime | PassEnd::Superseded => end,
        };
        if end == PassEnd::Done {
            // it has a limit of its own; a goodbye that is not heard does not outlive the run either
            self.cx.limit(self.cx.remaining(), session.close()).await.unwrap_or_default();
            if self.at.state.rebuild.is_some() {
                return self.swap(&prepared).await;
            }
            if self.dirty && !self.flush().await? {
                return Ok(PassEnd::Superseded);
            }
        }
        Ok(end)
    }

    fn wanted(&self) -> Wanted<'a> {
        let may_pass = self.window.is_none();
        Wanted { settings: self.settings, accept: self.options.accept, may_pass }
    }

    async fn lanes<S: Session>(&mut self, session: &mut S, prepared: &Prepared) -> Result<PassEnd, RunError> {
        // should the mode have been changed since: what was appended must not be appended again
        let again = self.settings.mode == Mode::Merge;
        while let Some(reread) = self.at.state.rereads.first().filter(|_| again).cloned() {
            let ceiling = Some(crate::model::Bound { value: reread.to.clone(), inclusive: true });
            let lower = reread.at.clone();
            let piece =
                Piece { lower, ceiling, from: reread.from.clone(), reread: Some(reread), ..Piece::new(Lane::Reread) };
            let end = self.drive(session, prepared, piece).await?;
            if end != PassEnd::Done {
                return Ok(end);
            }
            self.at.state = transition::apply(&self.at.state, Event::RereadDone)?;
            self.dirty = true;
        }
        if self.settings.null_cursor == NullCursor::Include
            && self.report.null_cursor_rows.is_some()
            && !self.nulls_done
        {
            let piece = Piece { lower: self.nulls_at.clone(), ..Piece::new(Lane::Nulls) };
            let end = self.drive(session, prepared, piece).await?;
            if end != PassEnd::Done {
                return Ok(end);
            }
            self.nulls_done = true;
        }
        match prepared.ceiling.as_ref().and_then(|found| found.bound.clone()) {
            None => Ok(PassEnd::Done),
            Some(bound) => {
                let lower = self.at.state.watermark.clone();
                let piece = Piece { lower, ceiling: Some(bound), from: self.from(), ..Piece::new(Lane::Live) };
                self.drive(session, prepared, piece).await
            }
        }
    }

    /// The least cursor of the live lane. A table that is built anew beside the target has the rows of backfills too.
    fn from(&self) -> Option<String> {
        self.at.state.began.clone().filter(|_| self.at.state.rebuild.is_none())
    }

    /// Reads and applies one lane, chunk by chunk.
    async fn drive<S: Session>(
        &mut self,
        session: &mut S,
        prepared: &Prepared,
        mut piece: Piece,
    ) -> Result<PassEnd, RunError> {
        if self.cx.is_stopping() {
            return Ok(PassEnd::OutOfTime);
        }
        let (engine, cx, settings) = (self.engine, self.cx, self.settings);
        piece.chunk = self.report.chunks + 1;
        piece.rejects_max = self.rejects_left();
        let mut chunk = chunk::extract(engine, cx, settings, prepared, session, &piece).await?;
        self.extracted(&chunk);
        let Some(mut intent) = chunk.intent.take() else { return Ok(PassEnd::Done) };
        if !self.write(Event::Begin(intent.clone())).await? {
            // an answer of ours may have been lost: then the intent was written and finished by another, and the rejected
            // rows are in these objects alone
            chunk::discard(engine, cx, &intent.parts).await;
            return Ok(PassEnd::Superseded);
        }
        engine.faults.at(Point::IntentWritten).await?;
        loop {
            let begun = Instant::now();
            let more = chunk.end == ReadEnd::CutByRows && self.has_time();
            piece.lower.clone_from(&intent.upper);
            piece.chunk += 1;
            piece.rejects_max = self.rejects_left();
            let apply = finish::finish(engine, cx, &intent, finish::progress(&intent, true));
            let (applied, next) = if more {
                let ahead = chunk::extract(engine, cx, settings, prepared, session, &piece);
                unless_late(cx, begun + cx.remaining().mul_f64(LATE_AT), apply, ahead).await
            } else {
                (apply.await, None)
            };
            let late = more && next.is_none();
            self.last_chunk = begun.elapsed();
            self.report.durations_ms.apply += millis(begun.elapsed());
            let next = self.commit(&intent, applied, next).await?;
            match next {
                Next::Superseded => return Ok(PassEnd::Superseded),
                Next::Chunk(following, follower) => {
                    engine.faults.at(Point::IntentWritten).await?;
                    (chunk, intent) = (following, follower);
                }
                Next::Nothing if late => return Ok(PassEnd::OutOfTime),
                Next::Nothing if more => return Ok(PassEnd::Done),
                Next::Nothing => {
                    return Ok(match chunk.end {
                        ReadEnd::Exhausted => PassEnd::Done,
                        ReadEnd::CutByRows => PassEnd::OutOfTime,
                        ReadEnd::CutByBytes if self.has_time() => PassEnd::Reconnect,
                        ReadEnd::CutByBytes => PassEnd::OutOfTime,
                    });
                }
            }
        }
    }

    /// Commits `intent`, and with it the intent of the chunk that was read meanwhile.
    async fn commit(
        &mut self,
        intent: &Intent,
        applied: Result<Finished, RunError>,
        next: Option<Result<Chunk, RunError>>,
    ) -> Result<Next, RunError> {
        let (next, failed) = match next {
            None => (None, None),
            Some(Ok(chunk)) => (Some(chunk), None),
            Some(Err(error)) => (None, Some(error)),
        };
        let following = next.as_ref().and_then(|chunk| chunk.intent.clone());
        let (parts, rejects) =
            following.as_deref().map(|next| (next.parts.clone(), next.rejects.clone())).unwrap_or_default();
        let event = match &applied {
            Ok(Finished::Applied(_)) => Event::Commit { id: intent.id.clone(), next: following.clone() },
            // the parts that we have just written are gone: somebody finished the chunk and cleaned up, or they were
            // deleted by hand. Then what was read after it has no place either.
            Ok(Finished::Unappliable) => Event::Drop(intent.id.clone()),
            Ok(Finished::Refused(why)) => Event::RefuseDeletes { id: intent.id.clone(), why: why.clone() },
            Err(error) => {
                chunk::discard(self.engine, self.cx, &[parts, rejects].concat()).await;
                if self.is_overtaken(intent, error).await? {
                    return Ok(Next::Superseded);
                }
                return applied.map(|_| Next::Nothing);
            }
        };
        let written = self.write(event).await?;
        self.engine.faults.at(Point::Committed).await?;
        // also if somebody else was faster: what it left is nobody's
        if self.at.state.intent.as_ref().is_none_or(|now| now.id != intent.id) {
            finish::clean(self.engine, self.cx, intent).await;
        }
        let jobs = match applied {
            Ok(Finished::Applied(jobs)) if written => jobs,
            Ok(Finished::Refused(counts)) if written => return Err(self.too_many(intent, &counts)),
            _ => {
                // its rejected rows stay, as where an intent is begun
                chunk::discard(self.engine, self.cx, &parts).await;
                return Ok(Next::Superseded);
            }
        };
        self.committed(intent, jobs, false);
        match (next, following, failed) {
            (_, _, Some(error)) => Err(error),
            (Some(chunk), Some(intent), None) => {
                self.extracted(&chunk);
                Ok(Next::Chunk(chunk, intent))
            }
            _ => Ok(Next::Nothing),
        }
    }

    /// Applies `event` and writes the state; `false` if somebody else wrote first, whose state is then ours.
    async fn write(&mut self, event: Event) -> Result<bool, RunError> {
        self.at.state = transition::apply(&self.at.state, event)?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<bool, RunError> {
        let begun = Instant::now();
        self.engine.stamp(&mut self.at.state);
        let written = self.store.write(self.cx, &self.at, self.at.state.clone()).await;
        self.report.durations_ms.state += millis(begun.elapsed());
        let (now, done) = match written? {
            Write::Done(now) => (now, true),
            Write::Lost(now) => (now, false),
        };
        if !done {
            tracing::info!("another run changed the state first");
        }
        self.at = now;
        self.dirty = false;
        self.fenced |= done;
        self.report.watermark_after.clone_from(&self.at.state.watermark);
        Ok(done)
    }
}

/// Applies a chunk while the next is read. When the one is applied and it is time to end (the run is told to stop, or
/// `late_at` has come), it does not wait for the other: that is given up, and its parts are swept by a later run.
async fn unless_late<A, N>(
    cx: &Context,
    late_at: Instant,
    apply: impl Future<Output = A>,
    ahead: impl Future<Output = N>,
) -> (A, Option<N>) {
    let (mut apply, mut ahead) = (pin!(apply), pin!(ahead));
    let applied = tokio::select! {
        biased;
        applied = &mut apply => applied,
        next = &mut ahead => return (apply.await, Some(next)),
    };
    let stopped = async {
        cx.stopping().await;
        tokio::time::sleep(AHEAD_GRACE).await;
    };
    tokio::select! {
        biased;
        next = &mut ahead => (applied, Some(next)),
        () = stopped => (applied, None),
        () = tokio::time::sleep_until(late_at) => (applied, None),
    }
}

/// What comes after a commit.
enum Next {
    Nothing,
    Chunk(Chunk, Box<Intent>),
    Superseded,
}
