//! A run's report as it is kept: one line of JSON that is an object on the bucket and a row in BigQuery alike. Pure.
//!
//! What is asked of many runs stands at the top, the whole report in one column of type JSON: what is added to a report
//! later is there without a change of the table.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{FailureClass, Outcome, RunReport};
use crate::model::{BqType, Field, FieldMode, Mode, Position, Schema};

/// Where reports lie.
pub const FOLDER: &str = "reports/";
/// The length of a name below [`FOLDER`]: `2026/01/31/235959-01J00000000000000000000000.json`.
const NAME_BYTES: usize = "2026/01/31/235959-".len() + ID_BYTES + ".json".len();
/// The length of a run's id.
const ID_BYTES: usize = 26;

/// The id of a run: 26 characters, sorted by the clock of where it ran, never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// From the clock and from randomness, both given by the caller.
    pub fn new(now: Timestamp, random: u128) -> Self {
        Self(ulid::Ulid::from_parts(u64::try_from(now.as_millisecond()).unwrap_or(0), random).to_string())
    }

    /// The same id as a UUID (RFC 9562, version 7): its time, and of its randomness what there is room for.
    pub fn uuid(&self) -> String {
        let bits = ulid::Ulid::from_string(&self.0).map_or(0, |id| id.0);
        let (time, random) = (bits >> 80, bits & ((1 << 80) - 1));
        let uuid =
            (time << 80) | (0x7 << 76) | ((random >> 68 & 0xfff) << 64) | (0b10 << 62) | (random & ((1 << 62) - 1));
        let hex = format!("{uuid:032x}");
        let mut text = String::with_capacity(36);
        for (at, digit) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        text
    }

    /// The id's text: digits and capital letters only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match ulid::Ulid::from_string(&text) {
            Ok(id) if id.to_string() == text => Ok(Self(text)),
            Ok(_) | Err(_) => Err(format!("{text:?} is not the id of a run")),
        }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// A report's name below [`FOLDER`]: the time that it was named at, then the run's id. Names are ordered by that time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReportName(String);

impl ReportName {
    /// The name of that run's report.
    pub fn new(at: Timestamp, id: &RunId) -> Self {
        Self(format!("{}-{}.json", at.strftime("%Y/%m/%d/%H%M%S"), id.as_str()))
    }

    /// From an object's name; `None` if it is no report's.
    pub fn of_object(name: &str) -> Option<Self> {
        Self::try_from(name.strip_prefix(FOLDER)?.to_owned()).ok()
    }

    /// The object's name.
    pub fn object(&self) -> String {
        format!("{FOLDER}{}", self.0)
    }

    /// The run's id.
    pub fn run_id(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(_, id)| id.trim_end_matches(".json"))
    }

    /// The second that it was named at.
    pub fn at(&self) -> Option<Timestamp> {
        second_of(&self.0)
    }
}

/// The second that an object's name, or the beginning of one, stands for.
pub fn object_at(object: &str) -> Option<Timestamp> {
    second_of(object.strip_prefix(FOLDER)?)
}

fn second_of(name: &str) -> Option<Timestamp> {
    let text = name.get(..NAME_BYTES - ID_BYTES - "-.json".len())?;
    let at = jiff::civil::DateTime::strptime("%Y/%m/%d/%H%M%S", text).ok()?;
    TimeZone::UTC.to_timestamp(at).ok()
}

/// The least name of an object that was named at that time or later.
pub fn objects_from(at: Timestamp) -> String {
    format!("{FOLDER}{}", at.strftime("%Y/%m/%d/%H%M%S"))
}

impl TryFrom<String> for ReportName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = Self(text);
        let whole = name.0.len() == NAME_BYTES && name.0.ends_with(".json") && name.at().is_some();
        match whole && RunId::try_from(name.run_id().to_owned()).is_ok() {
            true => Ok(name),
            false => Err(format!("{:?} is not the name of a report", name.0)),
        }
    }
}

impl From<ReportName> for String {
    fn from(name: ReportName) -> Self {
        name.0
    }
}

/// One run, as a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run's id.
    pub run_id: RunId,
    /// When it began, by the clock of where it ran, as all instants here but `fresh_as_of`.
    #[serde(with = "instant")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(with = "instant")]
    pub ended_at: Timestamp,
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// The BigQuery table, `project.dataset.table`.
    pub target: String,
    /// The mode.
    pub mode: Mode,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether trying again can help.
    pub error_class: Option<FailureClass>,
    /// Rows that were committed.
    pub rows: u64,
    /// NDJSON bytes of them.
    pub bytes: u64,
    /// Parts of them.
    pub parts: u64,
    /// Chunks that were committed.
    pub chunks: u64,
    /// Intents of earlier runs that it finished.
    pub recovered: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// The cursor of the watermark that it found.
    pub watermark_before: Option<String>,
    /// The cursor of the watermark that it left.
    pub watermark_after: Option<String>,
    /// Up to which cursor value it read.
    pub ceiling: Option<String>,
    /// Every row that the source had at this instant, by its own clock, is in the target.
    pub fresh_as_of: Option<String>,
    /// What was changed in BigQuery, and what a person should know.
    pub notes: Vec<String>,
    /// What was changed in the target's columns, or what stopped the run.
    pub drift: Vec<String>,
    /// Keys of a look for rows that are gone.
    pub deletes_keys: Option<u64>,
    /// Rows that were deleted or marked by it.
    pub deletes_affected: Option<u64>,
    /// The window of a backfill that it was about.
    pub window: Option<String>,
    /// Where that begins.
    pub window_from: Option<String>,
    /// Where that ends.
    pub window_to: Option<String>,
    /// Rows of it that are committed so far.
    pub window_rows: Option<u64>,
    /// Whether all of it is in the target.
    pub window_complete: Option<bool>,
    /// How long the run took.
    pub duration_ms: u64,
    /// The version of Highwater that ran.
    pub highwater: String,
    /// The whole report.
    pub report: RunReport,
}

impl RunRecord {
    /// The record of a run that began and ended then.
    pub fn new(run_id: RunId, started_at: Timestamp, ended_at: Timestamp, report: &RunReport) -> Self {
        let cursor = |position: &Option<Position>| position.as_ref().and_then(|position| position.cursor.clone());
        let window = report.window.as_ref();
        Self {
            run_id,
            started_at,
            ended_at,
            source: report.source.clone(),
            table: report.table.clone(),
            target: report.target.clone(),
            mode: report.mode,
            outcome: report.outcome,
            error: report.error.as_ref().map(|error| error.message.clone()),
            error_class: report.error.as_ref().map(|error| error.class),
            rows: report.rows,
            bytes: report.bytes,
            parts: report.parts,
            chunks: report.chunks,
            recovered: report.recovered,
            rejected: report.rejected,
            watermark_before: cursor(&report.watermark_before),
            watermark_after: cursor(&report.watermark_after),
            ceiling: report.ceiling.clone(),
            // a window says nothing of the rows beyond it
            fresh_as_of: report.fresh_as_of.clone().filter(|_| window.is_none()),
            notes: report.notes.clone(),
            drift: report.drift.clone(),
            deletes_keys: report.deletes.map(|deletes| deletes.keys),
            deletes_affected: report.deletes.map(|deletes| deletes.affected),
            window: window.map(|window| window.name.clone()),
            window_from: window.and_then(|window| window.from.clone()),
            window_to: window.and_then(|window| window.to.clone()),
            window_rows: window.map(|window| window.rows),
            window_complete: window.map(|window| window.complete),
            duration_ms: report.durations_ms.total,
            highwater: env!("CARGO_PKG_VERSION").to_owned(),
            report: report.clone(),
        }
    }

    /// One line of JSON with its end.
    ///
    /// # Errors
    /// None in practice: a report has no map with keys that are not text.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The columns of the table of runs.
pub fn columns() -> Schema {
    const COLUMNS: [(&str, BqType, &str); 32] = [
        ("run_id", BqType::String, "The run"),
        ("started_at", BqType::Timestamp, "When it began"),
        ("ended_at", BqType::Timestamp, "When it ended"),
        ("source", BqType::String, "The source"),
        ("table", BqType::String, "The table at the source"),
        ("target", BqType::String, "The table in BigQuery"),
        ("mode", BqType::String, "merge, append or replace"),
        ("outcome", BqType::String, "synced, up_to_date, partial, superseded, unusable or failed"),
        ("error", BqType::String, "Why it failed"),
        ("error_class", BqType::String, "transient, permanent or usage"),
        ("rows", BqType::Int64, "Rows that were committed"),
        ("bytes", BqType::Int64, "NDJSON bytes of them"),
        ("parts", BqType::Int64, "Parts of them on the bucket"),
        ("chunks", BqType::Int64, "Chunks that were committed"),
        ("recovered", BqType::Int64, "Intents of earlier runs that it finished"),
        ("rejected", BqType::Int64, "Rows that were rejected"),
        ("watermark_before", BqType::String, "The cursor of the watermark that it found"),
        ("watermark_after", BqType::String, "The cursor of the watermark that it left"),
        ("ceiling", BqType::String, "Up to which cursor value it read"),
        ("fresh_as_of", BqType::Timestamp, "Every row that the source had then is in the target"),
        ("notes", BqType::String, "What a person should know"),
        ("drift", BqType::String, "What was changed in the target's columns, or what stopped the run"),
        ("deletes_keys", BqType::Int64, "Keys that were compared to find rows that are gone"),
        ("deletes_affected", BqType::Int64, "Rows that were deleted or marked"),
        ("window", BqType::String, "The window of a backfill"),
        ("window_from", BqType::String, "Where it begins, inclusive"),
        ("window_to", BqType::String, "Where it ends, exclusive"),
        ("window_rows", BqType::Int64, "Rows of it that are committed so far"),
        ("window_complete", BqType::Bool, "Whether all of it is in the target"),
        ("duration_ms", BqType::Int64, "How long the run took"),
        ("highwater", BqType::String, "The version of Highwater that ran"),
        ("report", BqType::Json, "The whole report"),
    ];
    let mode = |name: &str| match name {
        "run_id" | "started_at" => FieldMode::Required,
        "notes" | "drift" => FieldMode::Repeated,
        _ => FieldMode::Nullable,
    };
    let field = |(name, ty, said): (&str, BqType, &str)| Field {
        name: name.to_owned(),
        ty,
        mode: mode(name),
        description: Some(said.to_owned()),
    };
    Schema(COLUMNS.into_iter().map(field).collect())
}

/// Instants as BigQuery reads them fast: six digits and a `Z`.
mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{at:.6}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use serde_json::Value;

    use super::*;
    use crate::model::TableId;
    use crate::report::WindowRun;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn record() -> RunRecord {
        let id = TableId { source: "pg".parse().unwrap(), table: "t".parse().unwrap() };
        let mut report = RunReport::new(&id, "p.d.t".to_owned(), Mode::Merge);
        report.note("a \"note\"\n".to_owned());
        report.fresh_as_of = Some("2026-01-31T23:59:00.000000Z".to_owned());
        let started = at("2026-01-31T23:59:59.5Z");
        RunRecord::new(RunId::new(started, 7), started, at("2026-02-01T00:00:01Z"), &report)
    }

    #[test]
    fn a_record_is_one_line_whose_keys_are_the_columns() {
        let line = String::from_utf8(record().line().unwrap()).unwrap();
        assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1, "{line}");
        let row: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
        let mut keys: Vec<&str> = row.keys().map(String::as_str).collect();
        let columns = columns();
        let mut names: Vec<&str> = columns.0.iter().map(|field| field.name.as_str()).collect();
        keys.sort_unstable();
        names.sort_unstable();
        assert_eq!(keys, names);
        assert_eq!(row["started_at"], "2026-01-31T23:59:59.500000Z");
        let again: RunRecord = serde_json::from_str(&line).unwrap();
        assert_eq!((again.run_id, again.ended_at), (record().run_id, record().ended_at));
    }

    #[test]
    fn names_are_ordered_by_time_and_nothing_else_is_one() {
        let id = RunId::new(at("2026-01-31T23:59:59Z"), 1);
        let name = ReportName::new(at("2026-01-31T23:59:59.9Z"), &id);
        assert_eq!(name.object(), format!("reports/2026/01/31/235959-{}.json", id.as_str()));
        assert_eq!(ReportName::of_object(&name.object()), Some(name.clone()));
        assert_eq!((name.run_id(), name.at()), (id.as_str(), Some(at("2026-01-31T23:59:59Z"))));
        assert!(name < ReportName::new(at("2026-02-01T00:00:00Z"), &id));
        assert!(name.object() >= objects_from(at("2026-01-31T23:59:59Z")));
        assert!(name.object() < objects_from(at("2026-02-01T00:00:00Z")));
        for other in ["reports/loaded.json", "reports/2026/01/31/235959-x.json", "reports/2026/13/31/235959", ""] {
            assert_eq!(ReportName::of_object(other), None, "{other}");
        }
    }

    #[test]
    fn a_window_is_a_row_of_its_own_and_no_sign_of_freshness() {
        let mut report = record().report;
        let (from, to) = (None, Some("2026-01-02".to_owned()));
        report.window = Some(WindowRun { name: "..2026-01-02".into(), from, to, rows: 7, complete: true });
        let record = RunRecord::new(record().run_id, record().started_at, record().ended_at, &report);
        assert_eq!((record.window.as_deref(), record.window_rows), (Some("..2026-01-02"), Some(7)));
        assert_eq!((record.window_complete, record.fresh_as_of), (Some(true), None));
    }
}
