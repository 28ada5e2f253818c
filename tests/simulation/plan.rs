//! What kind of history a seed makes: mode, rows, writers, runs, and how often what goes wrong.

use std::time::Duration;

use highwater::model::{
    BqTable, ColumnSettings, DeletesSettings, Fraction, Limits, Mode, NullCursor, Removal, SchemaSettings, SourceTable,
    TableId, TableSettings, WindowUnit,
};

use super::database::instant_text;
use super::world::BEGINNING_US;

/// How the table is synced and written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Upserts by `at`, a time: rows are inserted, updated and deleted.
    MergeTime,
    /// Upserts by `seq`, a number that every change draws anew.
    MergeNumber,
    /// Appends by `id`, a number; rows are only inserted.
    AppendNumber,
    /// Appends by `at`; rows are only inserted.
    AppendTime,
    /// The whole table each time.
    Replace,
}

/// How much of other sessions the source shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All.
    Full,
    /// None but PostgreSQL's snapshot numbers.
    Hidden,
    /// None at all (MySQL without PROCESS).
    Blind,
    /// The source is a replica.
    Replica,
}

/// What is brought beside the live sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What divides it.
    pub by: WindowUnit,
    /// `backfill_start`: microseconds of a time, or a number.
    pub start: Option<i64>,
    /// Processes that backfill, and how often each.
    pub processes: u32,
    pub runs: u32,
    pub window_rows: u64,
}

/// One history's nature.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub sight: Sight,
    /// Rows that are there before anything begins.
    pub rows: u32,
    /// Sessions that write, and how many transactions each makes.
    pub writers: u32,
    pub transactions: u32,
    /// Processes that run the table, and how often each.
    pub processes: u32,
    pub runs: u32,
    /// Over how long they are spread.
    pub span: Duration,
    pub chunk_rows: u64,
    /// Rows of some 20 KiB, so that chunks have several parts.
    pub fat: bool,
    /// Per request.
    pub fault_rate: f64,
    pub slow_rate: f64,
    /// Per job.
    pub job_fault_rate: f64,
    /// Per fault point.
    pub crash_rate: f64,
    pub freeze_rate: f64,
    pub error_rate: f64,
    /// Days may pass between runs, so that staging tables and parts expire.
    pub days: bool,
    /// The later runs come a day after, just when staging tables expire.
    pub expiring: bool,
    /// An operator resets.
    pub operator: bool,
    /// Each run looks for rows that are gone.
    pub deletes: bool,
    /// A backfill beside the live sync.
    pub fill: Option<Fill>,
    /// Seconds between rows that are there before anything begins.
    pub spread: u32,
    /// Rows whose cursor is NULL.
    pub nulls: bool,
    /// Fractional digits of `at`.
    pub digits: u8,
    pub lag: Duration,
    pub max_hold: Duration,
    pub lookback: Duration,
}

const DELETES: DeletesSettings =
    DeletesSettings { removal: Removal::Hard, every: Duration::ZERO, max_fraction: Fraction::ALL };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn one_of<T: Copy>(rng: &mut fastrand::Rng, choices: &[T]) -> T {
    choices[rng.usize(0..choices.len())]
}

impl Fill {
    fn draw(rng: &mut fastrand::Rng, kind: Kind, rows: u32, spread: u32) -> Self {
        use WindowUnit::{Day, Hour, Key, Month, Number};
        let in_time = matches!(kind, Kind::MergeTime | Kind::AppendTime);
        let append = matches!(kind, Kind::AppendTime | Kind::AppendNumber);
        let by = match (rng.bool(), in_time) {
            (true, _) => Key,
            (false, true) => one_of(rng, &[Hour, Day, Day, Month]),
            (false, false) => Number,
        };
        // in append there is nothing to fill in but what is below
        let starts = by != Key && (append || rng.bool());
        let before = i64::from(rows / 3) * i64::from(spread) + 600;
        let start = starts.then(|| match in_time {
            true => BEGINNING_US + rng.i64(-before * 1_000..30_000) * 1_000,
            false => rng.i64(1..i64::from(rows) + 10),
        });
        Self { by, start, processes: rng.u32(1..4), runs: rng.u32(1..4), window_rows: rng.u64(1..20) }
    }
}

impl Plan {
    /// The plan of a history whose randomness this is.
    pub fn draw(rng: &mut fastrand::Rng) -> Self {
        use Kind::{AppendNumber, AppendTime, MergeNumber, MergeTime, Replace};
        let kind = one_of(
            rng,
            &[MergeTime, MergeTime, MergeTime, MergeTime, MergeNumber, AppendNumber, AppendNumber, AppendTime, Replace],
        );
        let sight = match rng.u32(0..20) {
            0..=13 => Sight::Full,
            14..=16 => Sight::Hidden,
            17 => Sight::Blind,
            _ => Sight::Replica,
        };
        let merge = matches!(kind, MergeTime | MergeNumber);
        let small = |rng: &mut fastrand::Rng, rate: f64| rng.f64() < rate;
        let rows = rng.u32(0..40);
        let spread = one_of(rng, &[7, 1_500, 20_000]);
        let fill = (kind != Replace && small(rng, 0.2)).then(|| Fill::draw(rng, kind, rows, spread));
        // windows are read from servers that are behind by more or less
        let behind = fill.is_some_and(|fill| fill.by == WindowUnit::Key) && small(rng, 0.3);
        let sight = if behind { Sight::Replica } else { sight };
        let operator = merge && fill.is_none() && small(rng, 0.1);
        // many short transactions at once, as at a busy shop
        let busy = small(rng, 0.1);
        Self {
            kind,
            sight,
            rows,
            writers: if busy { 4 } else { rng.u32(1..4) },
            transactions: if busy { rng.u32(10..30) } else { rng.u32(1..8) },
            processes: rng.u32(1..5),
            runs: rng.u32(1..4),
            span: if busy { seconds(10) } else { one_of(rng, &[seconds(20), seconds(90), seconds(300)]) },
            chunk_rows: rng.u64(1..11),
            fat: small(rng, 0.03),
            fault_rate: one_of(rng, &[0.0, 0.02, 0.05, 0.15]),
            slow_rate: one_of(rng, &[0.0, 0.02, 0.1]),
            job_fault_rate: one_of(rng, &[0.0, 0.1, 0.3]),
            crash_rate: one_of(rng, &[0.0, 0.01, 0.03, 0.08]),
            freeze_rate: one_of(rng, &[0.0, 0.01, 0.03]),
            error_rate: one_of(rng, &[0.0, 0.0, 0.02]),
            days: small(rng, 0.1),
            expiring: small(rng, 0.05),
            operator,
            deletes: merge && small(rng, 0.1),
            fill,
            spread,
            nulls: kind == MergeTime && small(rng, 0.3),
            digits: one_of(rng, &[6, 6, 0]),
            lag: one_of(rng, &[seconds(5), seconds(60)]),
            // what an operator sets the watermark to is taken as it is, so no transaction may be gone past then
            max_hold: if operator { seconds(3600) } else { one_of(rng, &[seconds(20), seconds(120), seconds(3600)]) },
            lookback: if kind == MergeTime && small(rng, 0.1) { seconds(30) } else { Duration::ZERO },
        }
    }

    pub fn mode(&self) -> Mode {
        match self.kind {
            Kind::MergeTime | Kind::MergeNumber => Mode::Merge,
            Kind::AppendNumber | Kind::AppendTime => Mode::Append,
            Kind::Replace => Mode::Replace,
        }
    }

    /// The cursor's column.
    pub fn cursor(&self) -> Option<&'static str> {
        match self.kind {
            Kind::MergeTime | Kind::AppendTime => Some("at"),
            Kind::MergeNumber => Some("seq"),
            Kind::AppendNumber => Some("id"),
            Kind::Replace => None,
        }
    }

    fn backfill_start(&self) -> Option<String> {
        let start = self.fill?.start?;
        Some(if self.cursor() == Some("at") { instant_text(start) } else { start.to_string() })
    }

    /// How long a transaction may be idle before its first write, and how long it may last: where sessions cannot be
    /// seen, no longer than `lag` promises to cover.
    pub fn patience(&self) -> (Duration, Duration) {
        let long = seconds(300);
        match self.sight {
            Sight::Full => (long, long),
            Sight::Hidden => (self.lag * 8 / 10, long),
            Sight::Blind | Sight::Replica => (self.lag * 4 / 10, self.lag * 8 / 10),
        }
    }

    pub fn settings(&self) -> TableSettings {
        let limits = Limits {
            chunk_rows: self.chunk_rows.try_into().unwrap(),
            part_bytes: 65_536.try_into().unwrap(),
            gzip_level: 0.try_into().unwrap(),
            ..Limits::default()
        };
        TableSettings {
            id: TableId { source: "sim".parse().unwrap(), table: "t".parse().unwrap() },
            table: SourceTable { schema: None, name: "t".to_owned() },
            matched: None,
            target: BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() },
            location: "EU".into(),
            job_project: "p".into(),
            mode: self.mode(),
            cursor: self.cursor().map(str::to_owned),
            key: None,
            create: true,
            partitioning: None,
            partition_immutable: false,
            cluster_by: Vec::new(),
            columns: ColumnSettings::default(),
            filter: None,
            max_rejects: highwater::model::MaxRejects::default(),
            schema: SchemaSettings::default(),
            deletes: self.deletes.then_some(DELETES),
            limits,
            lag: self.lag,
            max_hold: self.max_hold,
            lookback: self.lookback,
            null_cursor: if self.nulls { NullCursor::Include } else { NullCursor::Report },
            cursor_timezone: "UTC".into(),
            schedule: None,
            backfill_start: self.backfill_start(),
        }
    }
}
