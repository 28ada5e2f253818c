//! The run report: what one run did for one table. Pure. It is the HTTP answer, a line of `sync --json`, and the
//! fields of the last log line.

mod gaps;
pub mod history;
pub mod ledger;
pub mod lineage;
pub mod notice;
pub mod plan;
pub mod record;
mod verify;

use serde::{Deserialize, Serialize};

use crate::audit::ColumnAudit;
use crate::model::{Class, Code, Flow, Mode, Position, Removal, TableId, Told};

pub use gaps::{GapKind, GapReport, GapsOutcome, GapsReport};
pub use verify::{KeyReport, NotCompared, VerifyOutcome, VerifyReport, WindowReport, WindowVerdict};

/// The most jobs, findings and notes that a report lists; beyond it they are only counted.
pub const LISTED_MAX: usize = 100;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Rows were applied, up to the ceiling.
    Synced,
    /// A dry run: rows would have been applied, and nothing was written.
    WouldSync,
    /// There was nothing to apply.
    UpToDate,
    /// The time budget is spent and more is left; the next run goes on.
    Partial,
    /// Another run is ahead and does the same work.
    Superseded,
    /// A pattern matches it, and it lacks what a sync needs: `error` says what. It was never synced.
    Unusable,
    /// It failed; `error` says why.
    Failed,
}

impl Outcome {
    /// As the report and the log write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::WouldSync => "would_sync",
            Self::UpToDate => "up_to_date",
            Self::Partial => "partial",
            Self::Superseded => "superseded",
            Self::Unusable => "unusable",
            Self::Failed => "failed",
        }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The code that people look up; `None` in reports of versions that had none, and of newer ones.
    #[serde(default, deserialize_with = "Code::lenient", skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// One line: what, where, the way out.
    pub message: String,
    /// Whether trying again can help.
    pub class: FailureClass,
}

impl Failure {
    /// As people are told.
    pub fn told(&self) -> Told {
        // one without a code is of another version, whose words nobody here can look up
        Told { code: self.code.unwrap_or(Code::Bug), message: self.message.clone() }
    }
}

/// [`Class`] as the report writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Trying again later can help.
    Transient,
    /// It cannot until somebody changes something.
    Permanent,
    /// The configuration or what was asked for is wrong.
    Usage,
}

impl FailureClass {
    /// As the report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Usage => "usage",
        }
    }
}

impl From<Class> for FailureClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Transient => Self::Transient,
            Class::Permanent => Self::Permanent,
            Class::Usage => Self::Usage,
        }
    }
}

/// What one run did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// The BigQuery table, `project.dataset.table`.
    pub target: String,
    /// The mode.
    pub mode: Mode,
    /// The window of a backfill that it was about; `None` where it moved the table itself forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowRun>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether nothing was written: all that follows is what a run would have done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Of a dry run: bytes of the parts as they would be stored, compressed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_bytes: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Rows staged and committed.
    pub rows: u64,
    /// NDJSON bytes of them, before compression.
    pub bytes: u64,
    /// Parts of them.
    pub parts: u64,
    /// Chunks committed.
    pub chunks: u64,
    /// Intents of earlier runs that this one finished.
    pub recovered: u64,
    /// BigQuery jobs that were submitted or waited for.
    pub jobs: Vec<JobReport>,
    /// The watermark that was found.
    pub watermark_before: Option<Position>,
    /// The watermark that was left.
    pub watermark_after: Option<Position>,
    /// Up to which cursor value rows were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<String>,
    /// The transaction that holds the ceiling back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Rows whose cursor is NULL; they are synced only with `null_cursor: include`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_cursor_rows: Option<u64>,
    /// The look for rows that are gone at the source, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<DeletesReport>,
    /// Values that did not arrive as they were, per column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<ColumnAudit>,
    /// Rows that were rejected, committed with their chunks.
    #[serde(default)]
    pub rejected: u64,
    /// `gs://` addresses of the objects that hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<String>,
    /// What was changed in BigQuery, and what a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was changed in the target's columns, or the difference that stopped the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Every row that the source had at this instant is in the target, RFC 3339; `None` if that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_as_of: Option<String>,
    /// The id that its report is kept under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The columns that it moves, once it knows them: for events of lineage, and no part of what is kept or printed.
    #[serde(skip)]
    pub flow: Option<Box<Flow>>,
    /// Time per step, milliseconds. Extracting the next chunk overlaps with applying this one.
    pub durations_ms: Durations,
}

/// A look for rows that are gone at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletesReport {
    /// What became of them.
    pub removal: Removal,
    /// Keys of the source.
    pub keys: u64,
    /// Rows of the target that were deleted or marked, or that had come back and are marked no longer.
    pub affected: u64,
}

/// A window of a backfill, as a run left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRun {
    /// Its name, `from..to`.
    pub name: String,
    /// Where it begins, inclusive; `None` begins with the first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it ends, exclusive; `None` ends with the last row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Rows of it that were committed, by this run and those before it.
    pub rows: u64,
    /// Whether all of it is in the target.
    pub complete: bool,
}

/// One BigQuery job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReport {
    /// Its id.
    pub id: String,
    /// Rows loaded or changed.
    pub rows: u64,
    /// Bytes billed.
    pub bytes_billed: u64,
}

/// Time per step, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Reading and writing the state.
    pub state: u64,
    /// Connecting, catalog, ceiling, target.
    pub plan: u64,
    /// Reading rows, encoding, compressing, uploading.
    pub extract: u64,
    /// Load and merge jobs.
    pub apply: u64,
    /// The whole run.
    pub total: u64,
}

impl RunReport {
    /// A report of a run that has done nothing yet.
    pub fn new(id: &TableId, target: String, mode: Mode) -> Self {
        Self {
            source: id.source.to_string(),
            table: id.table.to_string(),
            target,
            mode,
            window: None,
            outcome: Outcome::UpToDate,
            dry_run: false,
            staged_bytes: None,
            error: None,
            rows: 0,
            bytes: 0,
            parts: 0,
            chunks: 0,
            recovered: 0,
            jobs: Vec::new(),
            watermark_before: None,
            watermark_after: None,
            ceiling: None,
            held_by: None,
            null_cursor_rows: None,
            deletes: None,
            findings: Vec::new(),
            rejected: 0,
            rejects: Vec::new(),
            notes: Vec::new(),
            drift: Vec::new(),
            fresh_as_of: None,
            run_id: None,
            flow: None,
            durations_ms: Durations::default(),
        }
    }

    /// Whether anything was applied.
    pub fn moved_anything(&self) -> bool {
        self.chunks + self.recovered > 0 || self.deletes.is_some_and(|deletes| deletes.affected > 0)
    }

    /// Adds jobs up to [`LISTED_MAX`].
    pub fn add_jobs(&mut self, jobs: Vec<JobReport>) {
        let room = LISTED_MAX.saturating_sub(self.jobs.len());
        self.jobs.extend(jobs.into_iter().take(room));
    }

    /// Adds a chunk's findings to those of the chunks before.
    pub fn add_findings(&mut self, findings: Vec<ColumnAudit>) {
        for finding in findings {
            match self.findings.iter_mut().find(|known| known.column == finding.column) {
                Some(known) => known.add(&finding),
                None => self.findings.push(finding),
            }
        }
    }

    /// Adds a chunk's rejected rows, and where they are, up to [`LISTED_MAX`] objects.
    pub fn add_rejects(&mut self, rejected: u64, objects: &[String]) {
        self.rejected += rejected;
        let room = LISTED_MAX.saturating_sub(self.rejects.len());
        self.rejects.extend(objects.iter().take(room).cloned());
    }

    /// Adds a line about the target's columns, up to [`LISTED_MAX`].
    pub fn drifted(&mut self, line: String) {
        if self.drift.len() < LISTED_MAX && !self.drift.contains(&line) {
            self.drift.push(line);
        }
    }

    /// Adds a note, up to [`LISTED_MAX`].
    pub fn note(&mut self, note: String) {
        // what every pass of a run sees is said once
        if self.notes.len() < LISTED_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl RunReport {
    /// How far the target is behind the source, seconds, at least 0; `None` if that cannot be told. A window tells
    /// nothing of its table.
    pub fn lag_seconds(&self, now: jiff::Timestamp) -> Option<i64> {
        let fresh = self.fresh_as_of.as_deref().filter(|_| self.window.is_none())?;
        Some(now.duration_since(fresh.parse().ok()?).as_secs().max(0))
    }

    /// The report of this run and of the one that followed it, as one: sums, and the later one's end.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        let (first, second) = (self.durations_ms, next.durations_ms);
        let mut sum = Self {
            rows: self.rows + next.rows,
            bytes: self.bytes + next.bytes,
            parts: self.parts + next.parts,
            chunks: self.chunks + next.chunks,
            recovered: self.recovered + next.recovered,
            watermark_before: self.watermark_before,
            staged_bytes: self.staged_bytes.zip(next.staged_bytes).map(|(first, second)| first + second),
            jobs: self.jobs,
            findings: self.findings,
            rejected: self.rejected,
            rejects: self.rejects,
            notes: self.notes,
            drift: self.drift,
            deletes: next.deletes.or(self.deletes),
            durations_ms: Durations {
                state: first.state + second.state,
                plan: first.plan + second.plan,
                extract: first.extract + second.extract,
                apply: first.apply + second.apply,
                total: first.total + second.total,
            },
            ..next.clone()
        };
        if next.outcome == Outcome::UpToDate && sum.chunks > 0 {
            sum.outcome = if sum.dry_run { Outcome::WouldSync } else { Outcome::Synced };
        }
        sum.add_jobs(next.jobs);
        sum.add_findings(next.findings);
        sum.add_rejects(next.rejected, &next.rejects);
        next.notes.into_iter().for_each(|note| sum.note(note));
        next.drift.into_iter().for_each(|line| sum.drifted(line));
        sum
    }
}
