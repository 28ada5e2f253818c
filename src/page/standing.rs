//! Where a table stands: judged from its state, its last runs and the clock.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::past::Run;
use crate::model::{Code, Mode, TableId, TableSettings, TableState, Told, cause_and_way_out};
use crate::plan::schedule;
use crate::report::{FailureClass, Outcome};

/// A table without a schedule, and with fewer runs than tell how often it runs, is behind after this, seconds.
const BEHIND_AFTER_S: i64 = 26 * 3_600;
/// What a table is let lag beside its pauses, seconds: a run and what it waits for take some minutes.
const BEHIND_MIN_S: i64 = 10 * 60;
/// The fewest pauses between runs that tell how often a table runs.
const PAUSES_MIN: usize = 3;
/// How long an intent may be pending before somebody should know: longer than a run's budget usually is.
const PENDING_FOR_S: i64 = 30 * 60;

/// What there is to say of a table in one word, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The last run failed.
    Failing,
    /// Its state cannot be read.
    Unreadable,
    /// A transaction at the source holds it back for longer than it should.
    Held,
    /// It lags further than its runs explain.
    Behind,
    /// A chunk waits for its jobs for longer than a run takes.
    Stuck,
    /// A pattern matches it, and it lacks what a sync needs.
    Unusable,
    /// It has a state, and no run of it is among the reports that were read: how the last one ended is not known.
    Unseen,
    /// It is built anew beside the target.
    Rebuilding,
    /// An initial load by ranges of keys is under way.
    Loading,
    /// No run of it was ever seen.
    Never,
    /// A run is under way in this process.
    Running,
    /// Nothing is wrong.
    Fine,
}

impl Condition {
    /// Every one, the worst first.
    pub const ALL: [Self; 12] = [
        Self::Failing,
        Self::Unreadable,
        Self::Held,
        Self::Behind,
        Self::Stuck,
        Self::Unusable,
        Self::Unseen,
        Self::Rebuilding,
        Self::Loading,
        Self::Never,
        Self::Running,
        Self::Fine,
    ];

    /// The word on the page, in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Unreadable => "unreadable",
            Self::Held => "held",
            Self::Behind => "behind",
            Self::Stuck => "pending",
            Self::Unusable => "unusable",
            Self::Unseen => "no run seen",
            Self::Rebuilding => "rebuilding",
            Self::Loading => "loading",
            Self::Never => "never run",
            Self::Running => "running",
            Self::Fine => "ok",
        }
    }

    /// Its name in the style and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Unseen => "unseen",
            Self::Failing
            | Self::Unreadable
            | Self::Held
            | Self::Behind
            | Self::Stuck
            | Self::Unusable
            | Self::Rebuilding
            | Self::Loading
            | Self::Running
            | Self::Fine => self.word(),
        }
    }

    /// Whether a person should look.
    pub fn needs_you(self) -> bool {
        matches!(self, Self::Failing | Self::Unreadable | Self::Held | Self::Behind | Self::Stuck)
    }
}

/// What the state of a table tells that the page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Kept {
    /// Whether there is a state at all.
    pub exists: bool,
    /// The cursor of the watermark.
    pub watermark: Option<String>,
    /// The pending intent.
    pub pending_intent: Option<String>,
    /// Its rows.
    pub pending_rows: Option<u64>,
    /// Rows committed since the state began.
    pub rows_total: u64,
    /// Rows rejected since then.
    pub rejected_total: u64,
    /// Intervals that are read again.
    pub rereads: usize,
    /// Transactions that the ceiling went past.
    pub holds: usize,
    /// The table that is built anew beside the target.
    pub rebuilding: Option<String>,
    /// Whether an initial load by ranges of keys is under way.
    pub loading: bool,
    /// When it was written, by the clock of who wrote it.
    pub written_at: Option<Timestamp>,
}

impl Kept {
    /// What that state tells; `exists` says whether there is an object of it.
    pub fn of(state: &TableState, exists: bool) -> Self {
        Self {
            exists,
            watermark: state.watermark.as_ref().and_then(|position| position.cursor.clone()),
            pending_intent: state.intent.as_ref().map(|intent| intent.id.to_string()),
            pending_rows: state.intent.as_ref().map(|intent| intent.rows),
            rows_total: state.rows_total,
            rejected_total: state.rejected_total,
            rereads: state.rereads.len(),
            holds: state.holds.len(),
            rebuilding: state.rebuild.as_ref().map(|rebuild| rebuild.table.to_string()),
            loading: state.load.is_some(),
            written_at: state.written_at.parse().ok(),
        }
    }
}

/// Failures without a success in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// How many.
    pub in_a_row: usize,
    /// When the first of them ended.
    pub since: Option<Timestamp>,
    /// Whether there may be more before that, which are not remembered.
    pub at_least: bool,
}

/// Where a table stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The table.
    pub id: TableId,
    /// Its table in BigQuery.
    pub target: String,
    /// Its mode.
    pub mode: Mode,
    /// What there is to say of it in one word.
    pub condition: Condition,
    /// What its state tells.
    pub kept: Kept,
    /// Why its state cannot be read.
    pub unread: Option<Told>,
    /// Every row that the source had then is in the target.
    pub fresh_as_of: Option<Timestamp>,
    /// Seconds since then.
    pub lag_seconds: Option<i64>,
    /// The lag from which on it is called behind, seconds.
    pub behind_after_seconds: i64,
    /// Its failures.
    pub failures: Failures,
    /// Its schedule, as configured.
    pub schedule: Option<String>,
    /// When that comes next.
    pub next_run_at: Option<Timestamp>,
    /// How many of its runs are under way in this process.
    pub under_way: usize,
    /// Its last runs, the last one last, windows of backfills among them.
    pub runs: Vec<Arc<Run>>,
}

/// What is known of a table.
#[derive(Debug)]
pub struct Known<'a> {
    /// Its settings.
    pub settings: &'a TableSettings,
    /// What its state tells, or why it cannot be read.
    pub kept: Result<Kept, Told>,
    /// Its last runs, the last one last.
    pub runs: Vec<Arc<Run>>,
    /// How many of its runs are under way in this process.
    pub under_way: usize,
    /// Between this and the runs that ended before it some reports were left out.
    pub hole: Option<Timestamp>,
}

impl Standing {
    /// Judges.
    pub fn judge(known: Known<'_>, now: Timestamp) -> Self {
        let Known { settings, kept, runs, under_way, hole } = known;
        let (kept, unread) = match kept {
            Ok(kept) => (kept, None),
            Err(why) => (Kept::default(), Some(why)),
        };
        let fresh_as_of = runs.iter().filter_map(|run| run.fresh_as_of).max();
        let mut standing = Self {
            id: settings.id.clone(),
            target: settings.target.to_string(),
            mode: settings.mode,
            condition: Condition::Fine,
            unread,
            fresh_as_of,
            lag_seconds: fresh_as_of.map(|at| now.duration_since(at).as_secs().max(0)),
            behind_after_seconds: patience(settings, &runs, fresh_as_of),
            failures: failures(&runs, hole),
            schedule: settings.schedule.as_ref().map(|schedule| format!("{schedule} {}", schedule.zone)),
            next_run_at: settings.schedule.as_ref().and_then(|schedule| schedule::next(schedule, now)),
            under_way,
            runs,
            kept,
        };
        standing.condition = standing.judged(now);
        standing
    }

    /// That of a table of which only the state was looked at.
    pub fn unseen(settings: &TableSettings, kept: Kept, now: Timestamp) -> Self {
        Self::judge(Known { settings, kept: Ok(kept), runs: Vec::new(), under_way: 0, hole: None }, now)
    }

    /// The last run that was not about a window of a backfill, and that says how the table is: one that gave way to another
    /// does not, if there is any other.
    pub fn last(&self) -> Option<&Arc<Run>> {
        live(&self.runs).rfind(|run| tells(run.outcome)).or_else(|| live(&self.runs).next_back())
    }

    fn judged(&self, now: Timestamp) -> Condition {
        let last = self.last();
        let is_behind = self.lag_seconds.is_some_and(|lag| lag > self.behind_after_seconds);
        let pending_for = self.kept.written_at.map(|at| now.duration_since(at).as_secs());
        let is_stuck = self.kept.pending_intent.is_some() && pending_for.is_some_and(|age| age > PENDING_FOR_S);
        match last.map(|run| run.outcome) {
            _ if self.unread.is_some() => Condition::Unreadable,
            Some(Outcome::Failed) => Condition::Failing,
            Some(Outcome::Unusable) => Condition::Unusable,
            _ if is_behind && last.is_some_and(|run| run.held_by.is_some()) => Condition::Held,
            _ if is_behind => Condition::Behind,
            _ if self.under_way > 0 => Condition::Running,
            _ if is_stuck => Condition::Stuck,
            _ if self.kept.rebuilding.is_some() => Condition::Rebuilding,
            _ if self.kept.loading => Condition::Loading,
            None if !self.kept.exists => Condition::Never,
            // of a dry run no report is kept
            None | Some(Outcome::WouldSync | Outcome::Superseded) => Condition::Unseen,
            Some(Outcome::Synced | Outcome::UpToDate | Outcome::Partial) => Condition::Fine,
        }
    }

    /// The code of what is wrong, which people look up.
    pub fn code(&self) -> Option<Code> {
        if self.condition == Condition::Unreadable {
            return self.unread.as_ref().map(|told| told.code);
        }
        let is_told = matches!(self.condition, Condition::Failing | Condition::Unusable);
        self.last().filter(|_| is_told).and_then(|run| run.code)
    }

    /// What is wrong, in the words of who found it; `None` where nothing is.
    pub fn message(&self) -> Option<String> {
        let last = self.last();
        match self.condition {
            Condition::Failing | Condition::Unusable => {
                let error = last.and_then(|run| run.error.as_deref());
                Some(error.map_or("the run does not say why", |error| cause_and_way_out(error).0).to_owned())
            }
            Condition::Unreadable => self.unread.as_ref().map(|told| cause_and_way_out(&told.message).0.to_owned()),
            Condition::Held => last.and_then(|run| run.held_by.clone()).map(|by| format!("held back by {by}")),
            Condition::Behind => Some(format!(
                "{} behind, which is more than {}",
                super::text::duration(self.lag_seconds.unwrap_or(0)),
                super::text::duration(self.behind_after_seconds)
            )),
            Condition::Stuck => self.kept.pending_intent.as_ref().map(|id| {
                format!("the chunk {id} of {} rows is staged and not applied yet", self.kept.pending_rows.unwrap_or(0))
            }),
            Condition::Rebuilding => self.kept.rebuilding.as_ref().map(|table| format!("is built anew as {table}")),
            Condition::Loading => Some("an initial load by ranges of keys is under way".to_owned()),
            Condition::Unseen => Some("no run that tells how it is, is among the reports that were read".to_owned()),
            Condition::Never | Condition::Running | Condition::Fine => None,
        }
    }

    /// The way out that the error itself names.
    fn own_way_out(&self) -> Option<&str> {
        match self.condition {
            Condition::Failing | Condition::Unusable => self.last().and_then(|run| run.way_out.as_deref()),
            Condition::Unreadable => self.unread.as_ref().and_then(|told| cause_and_way_out(&told.message).1),
            Condition::Held
            | Condition::Behind
            | Condition::Stuck
            | Condition::Rebuilding
            | Condition::Loading
            | Condition::Unseen
            | Condition::Never
            | Condition::Running
            | Condition::Fine => None,
        }
    }

    /// The way out of it: the error's own, else what helps where a table stands so; `None` where nothing is wrong.
    pub fn way_out(&self) -> Option<String> {
        let id = &self.id;
        if let Some(own) = self.own_way_out() {
            return Some(own.to_owned());
        }
        Some(match self.condition {
            Condition::Failing => match self.last().and_then(|run| run.error_class) {
                Some(FailureClass::Transient) => {
                    "Trying again can help: the next run goes on from the state, nothing is lost.".to_owned()
                }
                Some(FailureClass::Permanent) | None => {
                    format!("It stays so until what the message names is mended; then `highwater sync {id}`, or wait.")
                }
                Some(FailureClass::Usage) => {
                    "Give what the message says that lacks, or change the configuration; the next run goes on from there.".to_owned()
                }
            },
            Condition::Unreadable => {
                "A run would fail in the same way. `highwater check` says which right or object lacks.".to_owned()
            }
            Condition::Held => {
                "End that transaction at the source, or let `max_hold` go past it: its rows are read again then.".to_owned()
            }
            Condition::Behind if self.last().is_some_and(|run| run.outcome == Outcome::Partial) => {
                "The last run ran out of time; the next goes on. Run it more often, or raise `server.run_budget`.".to_owned()
            }
            Condition::Behind => {
                format!("Its runs do not come: look at its schedule or push, or run `highwater sync {id}`.")
            }
            Condition::Stuck => format!("The next run finishes it: `highwater sync {id}`."),
            Condition::Unusable => {
                "Give it what the message says, or leave it out by `exclude`. It was never synced.".to_owned()
            }
            Condition::Unseen
            | Condition::Rebuilding
            | Condition::Loading
            | Condition::Never
            | Condition::Running
            | Condition::Fine => return None,
        })
    }
}

/// Runs that were not about a window.
fn live(runs: &[Arc<Run>]) -> impl DoubleEndedIterator<Item = &Arc<Run>> {
    runs.iter().filter(|run| run.window.is_none())
}

/// Whether a run of that outcome says that the table fails or that it is fine.
fn tells(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Superseded | Outcome::WouldSync => false,
        Outcome::Synced | Outcome::UpToDate | Outcome::Partial | Outcome::Failed | Outcome::Unusable => true,
    }
}

fn failures(runs: &[Arc<Run>], hole: Option<Timestamp>) -> Failures {
    let is_before = |run: &Arc<Run>| hole.is_some_and(|hole| run.ended_at < hole);
    let all_before = live(runs).next_back().is_some_and(is_before);
    let mut failures = Failures { at_least: true, ..Failures::default() };
    for run in live(runs).rev().filter(|run| tells(run.outcome)) {
        if is_before(run) && !all_before {
            break;
        }
        if run.outcome != Outcome::Failed {
            failures.at_least = all_before;
            break;
        }
        failures.in_a_row += 1;
        failures.since = Some(run.ended_at);
    }
    failures.at_least &= failures.in_a_row > 0;
    failures
}

/// The lag from which on a table is behind: when its next runs should have ended, by its schedule or by its usual pauses,
/// beyond the lag that a run leaves which read all that it might.
fn patience(settings: &TableSettings, runs: &[Arc<Run>], fresh_as_of: Option<Timestamp>) -> i64 {
    let caught_up =
        |run: &&Arc<Run>| matches!(run.outcome, Outcome::Synced | Outcome::UpToDate) && run.held_by.is_none();
    let usual = live(runs).rev().find(caught_up).and_then(|run| run.lag_seconds).unwrap_or(0);
    let pause = match (&settings.schedule, fresh_as_of) {
        (Some(schedule), Some(fresh)) => {
            let second = schedule::next(schedule, fresh).and_then(|first| schedule::next(schedule, first));
            second.map_or(BEHIND_AFTER_S, |second| second.duration_since(fresh).as_secs())
        }
        (Some(_), None) | (None, _) => usual_pauses(runs),
    };
    usual.saturating_add(pause).saturating_add(BEHIND_MIN_S)
}

/// Three of the usual pauses between runs.
fn usual_pauses(runs: &[Arc<Run>]) -> i64 {
    let begun: Vec<Timestamp> = live(runs).map(|run| run.started_at).collect();
    let mut pauses: Vec<i64> = begun.windows(2).filter_map(pause).collect();
    pauses.sort_unstable();
    match pauses.get(pauses.len() / 2) {
        Some(usual) if pauses.len() >= PAUSES_MIN => usual.saturating_mul(3).min(BEHIND_AFTER_S),
        Some(_) | None => BEHIND_AFTER_S,
    }
}

fn pause(pair: &[Timestamp]) -> Option<i64> {
    let [first, second] = pair else { return None };
    Some(second.duration_since(*first).as_secs())
}

/// The worst first: by condition, then the longest lag, then by name.
pub fn by_urgency(one: &Standing, other: &Standing) -> std::cmp::Ordering {
    let order = |table: &Standing| (table.condition, std::cmp::Reverse(table.lag_seconds));
    order(one).cmp(&order(other)).then_with(|| one.id.cmp(&other.id))
}
