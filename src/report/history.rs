//! What status says of past runs: rows of BigQuery and reports that are not rows yet, folded by table. Pure.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::record::RunRecord;
use crate::model::{LastRun, RunsDay};

/// Past runs, by source and table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// By (source, table).
    pub tables: HashMap<(String, String), TableHistory>,
    /// What could not be read, or was left out, a line each.
    pub notes: Vec<String>,
}

/// Past runs of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableHistory {
    /// The last that was not about a window.
    pub last: Option<LastRun>,
    /// Every row that the source had then is in the target.
    pub fresh_as_of: Option<Timestamp>,
    /// By `YYYY-MM-DD`, UTC.
    pub days: BTreeMap<String, Day>,
}

/// The runs of a table on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Rows that were committed.
    pub rows: u64,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them failed.
    pub failed: u64,
}

impl History {
    /// Folds them; no run may be in both. Reports from before `since` (`YYYY-MM-DD`) count for nothing but what is last.
    pub fn fold(days: Vec<RunsDay>, last: Vec<LastRun>, reports: &[RunRecord], since: &str) -> Self {
        let mut history = Self::default();
        for day in days {
            let table = history.table(&day.source, &day.table);
            table.fresh(day.fresh_as_of.as_deref());
            table.add(day.day, Day { rows: day.rows, runs: day.runs, failed: day.failed });
        }
        for run in last {
            let table = history.table(&run.source, &run.table);
            table.ended(run);
        }
        for record in reports {
            let run = last_run(record);
            let table = history.table(&record.source, &record.table);
            table.fresh(record.fresh_as_of.as_deref());
            let day = record.started_at.strftime("%Y-%m-%d").to_string();
            if day.as_str() >= since {
                let failed = u64::from(record.outcome == super::Outcome::Failed);
                table.add(day, Day { rows: record.rows, runs: 1, failed });
            }
            if record.window.is_none() {
                table.ended(run);
            }
        }
        history
    }

    fn table(&mut self, source: &str, table: &str) -> &mut TableHistory {
        self.tables.entry((source.to_owned(), table.to_owned())).or_default()
    }
}

impl TableHistory {
    fn fresh(&mut self, at: Option<&str>) {
        self.fresh_as_of = self.fresh_as_of.max(at.and_then(|at| at.parse().ok()));
    }

    fn add(&mut self, day: String, more: Day) {
        let sum = self.days.entry(day).or_default();
        sum.rows += more.rows;
        sum.runs += more.runs;
        sum.failed += more.failed;
    }

    fn ended(&mut self, run: LastRun) {
        let order = |run: &LastRun| (run.ended_at.parse::<Timestamp>().ok(), run.run_id.clone());
        if self.last.as_ref().is_none_or(|last| order(last) < order(&run)) {
            self.last = Some(run);
        }
    }
}

fn last_run(record: &RunRecord) -> LastRun {
    LastRun {
        source: record.source.clone(),
        table: record.table.clone(),
        run_id: record.run_id.as_str().to_owned(),
        ended_at: format!("{:.6}", record.ended_at),
        outcome: record.outcome.name().to_owned(),
        error: record.error.clone(),
        error_class: record.error_class.map(|class| class.name().to_owned()),
        code: record.report.error.as_ref().and_then(|error| error.code).map(|code| code.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::model::{Mode, TableId};
    use crate::report::record::RunId;
    use crate::report::{Outcome, RunReport, WindowRun};

    fn record(at: &str, rows: u64, fresh: Option<&str>, outcome: Outcome) -> RunRecord {
        let id = TableId { source: "pg".parse().unwrap(), table: "t".parse().unwrap() };
        let mut report = RunReport::new(&id, "p.d.t".to_owned(), Mode::Merge);
        (report.rows, report.outcome, report.fresh_as_of) = (rows, outcome, fresh.map(str::to_owned));
        let at: Timestamp = at.parse().unwrap();
        RunRecord::new(RunId::new(at, u128::from(rows)), at, at, &report)
    }

    #[test]
    fn rows_and_reports_come_to_one_sum() {
        let day = RunsDay {
            source: "pg".into(),
            table: "t".into(),
            day: "2026-01-02".into(),
            rows: 10,
            runs: 2,
            failed: 0,
            fresh_as_of: Some("2026-01-02T11:00:00.000000Z".into()),
        };
        let last = last_run(&record("2026-01-02T12:00:00Z", 5, None, Outcome::Synced));
        let mut window = record("2026-01-02T14:00:00Z", 100, None, Outcome::Synced);
        window.window = Some("w".into());
        let ranges = WindowRun { name: "w".into(), from: None, to: None, rows: 100, complete: true };
        window.report.window = Some(ranges);
        let reports = [
            record("2026-01-02T13:00:00Z", 7, Some("2026-01-02T12:59:00Z"), Outcome::Synced),
            record("2026-01-03T00:00:01Z", 0, None, Outcome::Failed),
            window,
            record("2025-12-31T00:00:00Z", 9, None, Outcome::Synced),
        ];
        let history = History::fold(vec![day], vec![last], &reports, "2026-01-01");
        let table = &history.tables[&("pg".to_owned(), "t".to_owned())];
        assert_eq!(table.fresh_as_of, "2026-01-02T12:59:00Z".parse().ok());
        assert_eq!(table.last.as_ref().map(|last| last.outcome.as_str()), Some("failed"));
        let days: Vec<(&str, Day)> = table.days.iter().map(|(day, sum)| (day.as_str(), *sum)).collect();
        let (rows, runs, failed) = (117, 4, 0);
        assert_eq!(
            days,
            [("2026-01-02", Day { rows, runs, failed }), ("2026-01-03", Day { rows: 0, runs: 1, failed: 1 })]
        );
    }
}
