//! What is remembered of past runs: of each table the last ones, of each run what is shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::text::{self, short};
use crate::audit::ColumnAudit;
use crate::model::{Code, cause_and_way_out};
use crate::report::record::RunRecord;
use crate::report::{FailureClass, Outcome};

/// The most runs that are remembered of a table.
pub const RUNS_PER_TABLE_MAX: usize = 60;
/// The fewest, where there are many tables.
const RUNS_PER_TABLE_MIN: usize = 8;
/// The most runs that are remembered in all, about a KiB each.
pub const RUNS_MAX: usize = 20_000;
/// The most lines of a kind, and the most objects of rejected rows, that are remembered of a run.
const LINES_MAX: usize = 5;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, with the way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The way out alone, as the message says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
    /// The code that people look up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Whether trying again can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<FailureClass>,
    /// Rows that were committed.
    pub rows: u64,
    /// NDJSON bytes of them.
    pub bytes: u64,
    /// Chunks that were committed.
    pub chunks: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Objects that hold them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// Every row that the source had then is in the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh_as_of: Option<Timestamp>,
    /// How far that was before its end, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<i64>,
    /// The transaction that held the ceiling back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// The window of a backfill that it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// What a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was changed in the target's columns, or what stopped it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Values that did not arrive as they were, a line for each column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Changed>,
}

/// Values of one column that did not arrive as they were, and rows that they kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The column's name at the source; empty for rows that are too large as a whole.
    pub column: String,
    /// Values that became NULL.
    pub unrepresentable: u64,
    /// Values that became another one.
    pub adjusted: u64,
    /// Texts that lost bytes that are no UTF-8.
    pub replaced: u64,
    /// Rows that were rejected.
    pub rejected: u64,
}

impl Changed {
    fn of(audit: &ColumnAudit) -> Self {
        Self {
            column: short(&audit.column),
            unrepresentable: audit.unrepresentable,
            adjusted: audit.adjusted,
            replaced: audit.replaced,
            rejected: audit.rejected,
        }
    }

    /// What became of how many, as a person is told.
    pub fn told(&self) -> String {
        let counts = [
            (self.rejected, "row", "rows", "rejected"),
            (self.unrepresentable, "value", "values", "written as NULL"),
            (self.adjusted, "value", "values", "changed to the nearest that BigQuery holds"),
            (self.replaced, "text", "texts", "without bytes that are no UTF-8"),
        ];
        let told: Vec<String> = counts
            .into_iter()
            .filter(|(number, ..)| *number > 0)
            .map(|(number, one, more, what)| {
                format!("{} {} {what}", text::count(number), if number == 1 { one } else { more })
            })
            .collect();
        told.join(", ")
    }

    fn total(&self) -> u64 {
        self.rejected + self.unrepresentable + self.adjusted + self.replaced
    }

    fn add(&mut self, other: &Self) {
        self.unrepresentable += other.unrepresentable;
        self.adjusted += other.adjusted;
        self.replaced += other.replaced;
        self.rejected += other.rejected;
    }
}

/// What did not arrive as it was, of all these runs: an entry for each column, the one with the most first.
pub fn changed(runs: &[Arc<Run>]) -> Vec<Changed> {
    let mut sums: BTreeMap<&str, Changed> = BTreeMap::new();
    for changed in runs.iter().flat_map(|run| &run.findings) {
        let empty = || Changed { column: changed.column.clone(), ..Changed::default() };
        sums.entry(&changed.column).or_insert_with(empty).add(changed);
    }
    let mut sums: Vec<Changed> = sums.into_values().collect();
    sums.sort_by_key(|changed| Reverse(changed.total()));
    sums
}

impl Run {
    /// What is remembered of that run.
    pub fn of(record: &RunRecord) -> Self {
        let lines = |lines: &[String]| lines.iter().take(LINES_MAX).map(|line| short(line)).collect();
        let fresh_as_of: Option<Timestamp> = record.fresh_as_of.as_deref().and_then(|at| at.parse().ok());
        Self {
            run_id: record.run_id.as_str().to_owned(),
            started_at: record.started_at,
            ended_at: record.ended_at,
            outcome: record.outcome,
            // taken apart before it is cut: the way out is at its end
            way_out: record.error.as_deref().and_then(|error| cause_and_way_out(error).1).map(short),
            error: record.error.as_deref().map(short),
            code: record.report.error.as_ref().and_then(|error| error.code),
            error_class: record.error_class,
            rows: record.rows,
            bytes: record.bytes,
            chunks: record.chunks,
            rejected: record.rejected,
            rejects: lines(&record.report.rejects),
            duration_ms: record.duration_ms,
            fresh_as_of,
            // the source's clock may be ahead of ours
            lag_seconds: fresh_as_of.map(|at| record.ended_at.duration_since(at).as_secs().max(0)),
            held_by: record.report.held_by.as_deref().map(short),
            window: record.window.clone(),
            notes: lines(&record.notes),
            drift: lines(&record.drift),
            findings: record.report.findings.iter().take(LINES_MAX).map(Changed::of).collect(),
        }
    }

    /// Whether it failed, or the table cannot be synced as it is.
    pub fn is_bad(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::Unusable)
    }
}

/// Past runs by table, the last one last.
#[derive(Debug, Default)]
pub struct Past {
    tables: HashMap<(String, String), VecDeque<Arc<Run>>>,
}

impl Past {
    /// Remembers that run, and forgets what is too much.
    pub fn add(&mut self, record: &RunRecord) {
        let run = Arc::new(Run::of(record));
        let runs = self.tables.entry((record.source.clone(), record.table.clone())).or_default();
        let order = |run: &Run| (run.ended_at, run.run_id.clone());
        let at = runs.partition_point(|known| order(known) < order(&run));
        if runs.get(at).is_none_or(|known| known.run_id != run.run_id) {
            runs.insert(at, run);
        }
        let many = (RUNS_MAX / self.tables.len().max(1)).clamp(RUNS_PER_TABLE_MIN, RUNS_PER_TABLE_MAX);
        for runs in self.tables.values_mut().filter(|runs| runs.len() > many) {
            runs.drain(..runs.len() - many);
        }
    }

    /// Forgets tables that are no longer there.
    pub fn keep(&mut self, is_there: impl Fn(&str, &str) -> bool) {
        self.tables.retain(|(source, table), _| is_there(source, table));
    }

    /// Sources and tables of which there are runs.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.keys().map(|(source, table)| (source.as_str(), table.as_str()))
    }

    /// Whether there is a run of that table.
    pub fn knows(&self, source: &str, table: &str) -> bool {
        self.tables.contains_key(&(source.to_owned(), table.to_owned()))
    }

    /// Runs of that table, the last one last.
    pub fn of(&self, source: &str, table: &str) -> Vec<Arc<Run>> {
        let runs = self.tables.get(&(source.to_owned(), table.to_owned()));
        runs.map(|runs| runs.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many runs there are.
    pub fn count(&self) -> usize {
        self.tables.values().map(VecDeque::len).sum()
    }

    /// When the oldest of them ended.
    pub fn since(&self) -> Option<Timestamp> {
        self.tables.values().filter_map(|runs| runs.front()).map(|run| run.ended_at).min()
    }
}
