//! Repairs: rows of the source are written again as they are now, by the protocol of a chunk; rows that the source does
//! not have are removed where that is asked for.

use jiff::tz::TimeZone;

use super::look::Looked;
use super::narrow::Confirmed;
use super::{Pair, RunError, is_written};
use crate::bucket::Bucket;
use crate::engine::prepare::Prepared;
use crate::engine::{finish, run};
use crate::model::{Difference, Mode, Removal, Step, TableSettings};
use crate::plan::prune::{Off, Pruning};
use crate::report::VerifyReport;
use crate::source::Source;
use crate::warehouse::{ExtraRows, Warehouse};

/// Mends what was confirmed, and says of each key whether it was.
pub(super) async fn mend<B: Bucket, W: Warehouse, S: Source>(
    pair: &Pair<'_, B, W>,
    source: &S,
    settings: &TableSettings,
    looked: &Looked,
    confirmed: &[Confirmed],
    delete_extra: bool,
    report: &mut VerifyReport,
) -> Result<(), RunError> {
    pair.cx.watch().step(Step::Repairing);
    // a table whose deleted rows go loses extra ones too
    let delete_extra = delete_extra || settings.deletes.is_some();
    let written = |row: &&Confirmed| is_written(settings.mode, row.kind);
    let keys: Vec<Vec<String>> = confirmed.iter().filter(written).map(|row| row.suspect.key.clone()).collect();
    if !keys.is_empty() {
        let prepared = Prepared {
            plan: looked.plan.clone(),
            ceiling: None,
            now_us: 0,
            seen_us: None,
            replica: false,
            zone: TimeZone::UTC,
            whole: true,
            basis: looked.basis.clone(),
            cleared: looked.cleared.clone(),
            rows_estimate: None,
            backfill: false,
            // what is repaired may be wrong in the very column
            pruning: Pruning::Off(Off::NotAsked),
            target_rows: 0,
        };
        let rows = run::repair(pair.engine, pair.cx, source, settings, &prepared, keys).await?;
        report.note(format!("{rows} rows were written again as they are at the source"));
    }
    let extra: Vec<(String, String)> = confirmed
        .iter()
        .filter(|row| row.kind == Difference::Extra)
        .flat_map(|row| row.found.iter().map(|found| (row.suspect.key_digest.clone(), found.clone())))
        .collect();
    if delete_extra && !extra.is_empty() {
        let hard = settings.deletes.is_some_and(|deletes| deletes.removal == Removal::Hard);
        let mark = pair.target.soft_deletes && !hard;
        finish::remove(pair.engine, pair.cx, ExtraRows { scan: pair.target, rows: &extra, mark }).await?;
        report.note(format!("{} rows that the source does not have were removed", extra.len()));
    } else if !extra.is_empty() {
        report.note("rows that the source does not have stay: --delete-extra removes them".to_owned());
    }
    for (row, told) in confirmed.iter().zip(&mut report.keys) {
        told.repaired = is_written(settings.mode, row.kind) || delete_extra && row.kind == Difference::Extra;
    }
    if settings.mode == Mode::Append && confirmed.iter().any(|row| row.kind == Difference::Changed) {
        report.note("rows that changed are not repaired in `mode: append`, which only adds rows".to_owned());
    }
    if !looked.plan.key_enforced {
        report.note(
            "the database does not keep the key unique: of rows that share one, the newest was written, unless the target \
             has a newer"
                .to_owned(),
        );
    }
    Ok(())
}
