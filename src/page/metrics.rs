//! What is seen as OpenMetrics text (OpenMetrics 1.0.0). Labels are the tables of the configuration and closed sets of
//! words, so there are no more series than tables, times a few.

use std::fmt::{Display, Write as _};

use jiff::Timestamp;

use super::View;
use super::standing::{Condition, Standing};

/// The content type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the process tells of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// When it began to listen.
    pub started_at: Timestamp,
    /// Runs that are under way in it.
    pub runs: usize,
    /// The most at once.
    pub runs_max: usize,
    /// Its resident size, bytes; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// Its open files; `None` where the system does not tell.
    pub open_files: Option<usize>,
}

/// The text.
pub fn metrics(view: &View, process: &Process, now: Timestamp) -> String {
    let mut text = Text(String::with_capacity(2_048 + view.tables.len() * 1_024));
    of_process(&mut text, process);
    of_look(&mut text, view, now);
    of_tables(&mut text, &view.tables);
    text.0.push_str("# EOF\n");
    text.0
}

fn of_process(text: &mut Text, process: &Process) {
    text.family("highwater_build", "info", "", "The program that runs");
    text.sample("highwater_build_info", &[("version", env!("HIGHWATER_VERSION"))], 1);
    text.family("process_start_time_seconds", "gauge", "seconds", "When the process began to listen, since 1970");
    text.sample("process_start_time_seconds", &[], seconds(process.started_at));
    if let Some(bytes) = process.resident_bytes {
        text.family("process_resident_memory_bytes", "gauge", "bytes", "Resident size of the process");
        text.sample("process_resident_memory_bytes", &[], bytes);
    }
    if let Some(files) = process.open_files {
        text.family("process_open_fds", "gauge", "", "Open files of the process");
        text.sample("process_open_fds", &[], files);
    }
    text.family("highwater_runs_in_progress", "gauge", "", "Runs that are under way in this process");
    text.sample("highwater_runs_in_progress", &[], process.runs);
    text.family("highwater_runs_in_progress_max", "gauge", "", "As many runs as this process takes at once");
    text.sample("highwater_runs_in_progress_max", &[], process.runs_max);
}

fn of_look(text: &mut Text, view: &View, now: Timestamp) {
    text.family("highwater_look_age_seconds", "gauge", "seconds", "How old what is told here is");
    text.sample("highwater_look_age_seconds", &[], now.duration_since(view.at).as_secs().max(0));
    text.family("highwater_look_duration_seconds", "gauge", "seconds", "How long the look at the bucket took");
    text.sample("highwater_look_duration_seconds", &[], thousandths(view.took_ms));
    text.family("highwater_look_faults", "gauge", "", "What could not be read or was left out, see the page");
    text.sample("highwater_look_faults", &[], view.notes.len());
    text.family("highwater_tables", "gauge", "", "Tables by what there is to say of them");
    for condition in Condition::ALL {
        let tables = view.tables.iter().filter(|table| table.condition == condition).count();
        text.sample("highwater_tables", &[("state", condition.name())], tables);
    }
    text.family("highwater_tables_left_out", "gauge", "", "Tables that are too many to be told of");
    text.sample("highwater_tables_left_out", &[], view.left_out);
}

fn of_tables(text: &mut Text, tables: &[Standing]) {
    text.each(
        "highwater_lag_seconds",
        "gauge",
        "seconds",
        "How far the target is behind the source",
        tables,
        |table| table.lag_seconds,
    );
    let read = |table: &Standing| table.unread.is_none();
    text.family("highwater_rows", "counter", "rows", "Rows committed since the state of the table began");
    for table in tables.iter().filter(|table| read(table)) {
        text.sample("highwater_rows_total", &labels(table), table.kept.rows_total);
    }
    text.family("highwater_rejected_rows", "counter", "rows", "Rows rejected since the state of the table began");
    for table in tables.iter().filter(|table| read(table)) {
        text.sample("highwater_rejected_rows_total", &labels(table), table.kept.rejected_total);
    }
    text.each(
        "highwater_pending_intents",
        "gauge",
        "",
        "Chunks that are staged and not applied yet",
        tables,
        |table| read(table).then(|| u8::from(table.kept.pending_intent.is_some())),
    );
    text.each(
        "highwater_last_run_timestamp_seconds",
        "gauge",
        "seconds",
        "When the last run ended, since 1970",
        tables,
        |table| table.last().map(|run| seconds(run.ended_at)),
    );
    text.each("highwater_last_run_duration_seconds", "gauge", "seconds", "How long it took", tables, |table| {
        table.last().map(|run| thousandths(run.duration_ms))
    });
    text.family("highwater_last_run_outcome", "gauge", "", "How it ended: 1 at the outcome");
    for table in tables {
        if let (Some(run), [source, name]) = (table.last(), labels(table)) {
            text.sample("highwater_last_run_outcome", &[source, name, ("outcome", run.outcome.name())], 1);
        }
    }
    text.each(
        "highwater_consecutive_failures",
        "gauge",
        "",
        "Failed runs since one that did not fail, as far as they are remembered",
        tables,
        |table| Some(table.failures.in_a_row),
    );
}

fn labels(table: &Standing) -> [(&str, &str); 2] {
    [("source", table.id.source.as_str()), ("table", table.id.table.as_str())]
}

fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.as_second(), at.subsec_millisecond().unsigned_abs())
}

fn thousandths(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// The text that is written; writing to a String cannot fail.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let unit = if unit.is_empty() { String::new() } else { format!("# UNIT {name} {unit}\n") };
        write!(self.0, "# TYPE {name} {kind}\n{unit}# HELP {name} {help}\n").unwrap_or_default();
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            write!(self.0, "{label}=\"").unwrap_or_default();
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}").unwrap_or_default();
    }

    /// One sample a table, where it has a value.
    fn each<T: Display>(
        &mut self,
        name: &str,
        kind: &str,
        unit: &str,
        help: &str,
        tables: &[Standing],
        value: impl Fn(&Standing) -> Option<T>,
    ) {
        self.family(name, kind, unit, help);
        for table in tables {
            if let Some(value) = value(table) {
                self.sample(name, &labels(table), value);
            }
        }
    }
}
