//! What a plan says of a table, decided from facts that others have read: index, columns, jobs, cost, quota. Pure.

pub mod columns;
pub mod index;

use crate::model::Schedule;
use crate::report::plan::{Amount, PlannedCost, PlannedJobs, PlannedQuota};

/// US dollars for a TiB that queries process on demand in the multi-regions US and EU
/// (cloud.google.com/bigquery/pricing, "On-demand compute pricing"). Other regions cost up to some 50% more.
pub const DOLLARS_PER_TIB: f64 = 6.25;
/// The least that a query is billed for each table that it reads (the same page).
pub const BILLED_BYTES_MIN: u64 = 10 << 20;
/// Load jobs of a project on one day (BigQuery, "Quotas and limits: load jobs").
pub const PROJECT_LOAD_JOBS_MAX: u64 = 100_000;

/// What past runs of the table tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How many runs these are.
    pub runs: u64,
    /// Rows that they moved.
    pub rows: u64,
    /// Bytes of NDJSON of them.
    pub bytes: u64,
    /// How long they took, milliseconds.
    pub ms: u64,
}

/// The estimate of the bytes of so many rows.
pub fn amount(rows_estimate: Option<u64>, rows_counted: Option<u64>, row_bytes: Option<u64>, past: Past) -> Amount {
    let rows = rows_counted.or(rows_estimate);
    let by_past = rows.filter(|_| past.rows > 0).map(|rows| scaled(rows, past.bytes, past.rows));
    let by_statistics = rows.zip(row_bytes).map(|(rows, bytes)| rows.saturating_mul(bytes));
    let (bytes_estimate, bytes_from) = match (by_past, by_statistics) {
        (Some(bytes), _) => (Some(bytes), Some("past_runs")),
        (None, Some(bytes)) => (Some(bytes), Some("statistics")),
        (None, None) => (None, None),
    };
    Amount { rows_estimate, rows_counted, bytes_estimate, bytes_from }
}

/// `number` × `numerator` / `denominator`.
fn scaled(number: u64, numerator: u64, denominator: u64) -> u64 {
    let product = u128::from(number) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// The limits of a table's chunks.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Rows of one; `None` where all rows are one chunk.
    pub rows: Option<u64>,
    /// Bytes of one.
    pub bytes: u64,
}

/// The jobs of a run that reads so much; `None` if nobody knows how much that is.
pub fn jobs(amount: &Amount, limits: ChunkLimits, other_jobs: u64, past: Past) -> Option<PlannedJobs> {
    let rows = amount.rows()?;
    let chunks = match limits.rows {
        // a replace of no rows is a chunk too
        None => 1,
        Some(chunk_rows) => {
            let by_bytes =
                amount.bytes_estimate.filter(|_| rows > 0).map_or(0, |bytes| bytes.div_ceil(limits.bytes.max(1)));
            rows.div_ceil(chunk_rows.max(1)).max(by_bytes)
        }
    };
    let speed = (past.rows > 0 && past.ms > 0).then(|| ratio(past.rows, past.ms) * 1000.0);
    let seconds_estimate = speed.map(|speed| (ratio(rows, 1) / speed * 10.0).round() / 10.0);
    Some(PlannedJobs {
        chunks,
        load_jobs: chunks,
        merge_jobs: chunks,
        other_jobs,
        seconds_estimate,
        past_rows_per_second: speed.map(|speed| (speed * 10.0).round() / 10.0),
        past_runs: past.runs,
    })
}

#[expect(clippy::cast_precision_loss, reason = "estimates need no more than 15 digits")]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}

/// What so many bytes cost.
pub fn dollars(bytes: u64) -> f64 {
    ratio(bytes.max(BILLED_BYTES_MIN), 1 << 40) * DOLLARS_PER_TIB
}

/// What BigQuery says of the bytes of a MERGE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeBytes {
    /// By a dry run of the statement; `None` if it was not answered.
    pub dry_run: Option<u64>,
    /// The same with pruning.
    pub pruned: Option<u64>,
    /// The rows whose partitions the pruned statement names.
    pub rows_sampled: u64,
    /// Bytes of the whole target.
    pub table: u64,
}

/// The cost of one MERGE. A dry run that tells no bytes of a table that has some is not believed: an emulator's.
/// `partitioned_by` is the column of the target's partitions.
pub fn cost(bytes: MergeBytes, partitioned_by: Option<&str>) -> PlannedCost {
    let told = bytes.dry_run.filter(|told| *told > 0 || bytes.table == 0);
    let (merge_bytes, from) = match told {
        Some(told) => (told, "dry_run"),
        None => (bytes.table, "table_size"),
    };
    let pruned_bytes = bytes.pruned.filter(|_| told.is_some());
    let advice = partitioned_by.filter(|_| pruned_bytes.is_none()).map(|column| {
        format!(
            "each MERGE reads all partitions of the target: where {column} of a row never changes, `partition_immutable: \
             true` keeps it to those of its chunk"
        )
    });
    PlannedCost {
        merge_bytes,
        merge_dollars: dollars(merge_bytes),
        at_most: from == "table_size",
        from,
        pruned_bytes,
        pruned_dollars: pruned_bytes.map(dollars),
        pruned_rows_sampled: pruned_bytes.map(|_| bytes.rows_sampled),
        advice,
    }
}

/// Load jobs at that schedule, with so many chunks a run.
pub fn quota(schedule: &Schedule, chunks: u64) -> PlannedQuota {
    let times = |set: u64| u64::from(set.count_ones());
    let runs_per_day = times(schedule.hours) * times(schedule.minutes) * times(schedule.seconds);
    PlannedQuota {
        schedule: schedule.to_string(),
        runs_per_day,
        load_jobs_per_day: runs_per_day.saturating_mul(chunks.max(1)),
        project_limit_per_day: PROJECT_LOAD_JOBS_MAX,
        load_jobs_into_target_per_day: 0,
    }
}

#[cfg(test)]
mod tests;
