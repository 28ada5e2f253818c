//! From windows that differ to the keys that do: by checksums of ever smaller buckets of keys, until few enough rows are
//! left for their fingerprints to be fetched; then a second look at each.
//!
//! Keys are dealt into buckets by their digests, which serves every kind of key alike and cuts evenly.

use std::collections::BTreeSet;

use super::{Pair, RunError};
use crate::bucket::Bucket;
use crate::model::{Bound, Difference, Group, Rows};
use crate::plan::verify::{self, BUCKETS_OPENED_MAX, Suspect, Verdict, Window};
use crate::report::VerifyReport;
use crate::source::{Session, Source, Which};
use crate::warehouse::Warehouse;

/// The most fingerprints that one side sends.
const FINGERPRINTS_MAX: u64 = 50_000;
/// Keys that are looked at again at once.
const CONFIRM_KEYS: usize = 250;
/// The most keys that are looked at again.
const CONFIRMED_MAX: usize = 10_000;

/// A key that differs.
#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) suspect: Suspect,
    pub(super) kind: Difference,
    /// The digests of the target's rows.
    pub(super) found: Vec<String>,
}

/// Keys that differ by the snapshot that `session` holds, or differed a moment ago.
pub(super) async fn suspects<B: Bucket, W: Warehouse, S: Session>(
    pair: &Pair<'_, B, W>,
    mut session: S,
    rows: &Rows,
    differing: &[&Window],
    report: &mut VerifyReport,
) -> Result<Vec<Suspect>, RunError> {
    let mut rows = within(rows, differing);
    let most = differing.iter().map(|window| window.rows()).map(|(here, there)| here.max(there)).sum();
    let (wanted, mut at) = (verify::digits_wanted(most), 0);
    while at < wanted {
        let digits = verify::digits_next(at, wanted, rows.buckets.len());
        let groups_max = verify::groups_max(at, digits, rows.buckets.len());
        let groups = pair.side_by_side(&mut session, &rows, Group::Bucket(digits), groups_max, report).await?;
        let mut differ: Vec<&Window> = groups.iter().filter(|bucket| !bucket.is_equal()).collect();
        for left in differ.split_off(differ.len().min(BUCKETS_OPENED_MAX)) {
            let (here, there) = left.rows();
            report.unopened_rows += here.max(there);
        }
        rows.buckets = differ.into_iter().map(|bucket| bucket.label.clone()).collect();
        at = digits;
        if rows.buckets.is_empty() {
            // what differed was synced in between
            session.close().await;
            return Ok(Vec::new());
        }
    }
    let request = pair.engine.fresh_id();
    let here = session.fingerprints(pair.cx, pair.scan, Which::Rows(&rows), FINGERPRINTS_MAX);
    let there = pair.engine.warehouse.fingerprints(pair.cx, pair.target, &rows, FINGERPRINTS_MAX, request.as_str());
    let (here, there) = tokio::join!(here, there);
    let (here, there) = (here?, there?);
    report.bytes_processed += there.bytes;
    session.close().await;
    let full = |count: usize| u64::try_from(count).unwrap_or(u64::MAX) >= FINGERPRINTS_MAX;
    if full(here.len()) || full(there.found.len()) {
        report.note(format!("more than {FINGERPRINTS_MAX} rows share a few keys: not all of them were looked at"));
    }
    Ok(verify::suspects(&here, &there.found))
}

/// Only rows of these windows, told by their labels and, for indexes and partitions, by the ends of their cursors.
fn within(rows: &Rows, differing: &[&Window]) -> Rows {
    let sides = || differing.iter().flat_map(|window| [&window.source, &window.target]).flatten();
    let mut within = rows.clone();
    within.windows = match rows.label {
        crate::model::Label::Whole => Vec::new(),
        crate::model::Label::Prefix(_) | crate::model::Label::Ranges(_) => {
            differing.iter().map(|window| window.label.clone()).collect()
        }
    };
    // texts of times are in the order of time
    if matches!(rows.label, crate::model::Label::Prefix(_)) {
        within.from = sides().filter_map(|side| side.least.clone()).min().or(within.from);
        let last = sides().filter_map(|side| side.greatest.clone()).max();
        within.to = last.map(|value| Bound { value, inclusive: true }).or(within.to);
    }
    within
}

/// Looks at the suspects again, until `keys_max` differ for sure.
pub(super) async fn confirm<B: Bucket, W: Warehouse, S: Source>(
    pair: &Pair<'_, B, W>,
    source: &S,
    rows: &Rows,
    suspects: Vec<Suspect>,
    keys_max: usize,
    report: &mut VerifyReport,
) -> Result<Vec<Confirmed>, RunError> {
    let mut confirmed = Vec::new();
    let mut left = suspects.into_iter().peekable();
    let mut looked = 0;
    while left.peek().is_some() && confirmed.len() < keys_max && looked < CONFIRMED_MAX {
        let some: Vec<Suspect> = left.by_ref().take(CONFIRM_KEYS).collect();
        looked += some.len();
        let verdicts = look_again(pair, source, rows, &some, report).await?;
        for (suspect, verdict) in some.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Moving => report.moving += 1,
                Verdict::Equal => {}
                Verdict::Differs(..) if confirmed.len() >= keys_max => report.unnamed += 1,
                Verdict::Differs(kind, found) => confirmed.push(Confirmed { suspect, kind, found }),
            }
        }
    }
    report.unnamed += u64::try_from(left.count()).unwrap_or(u64::MAX);
    Ok(confirmed)
}

/// The target first, then the source in a fresh snapshot: see [`verify::judge`].
async fn look_again<B: Bucket, W: Warehouse, S: Source>(
    pair: &Pair<'_, B, W>,
    source: &S,
    rows: &Rows,
    suspects: &[Suspect],
    report: &mut VerifyReport,
) -> Result<Vec<Verdict>, RunError> {
    let buckets: BTreeSet<String> = suspects.iter().map(|suspect| suspect.key_digest.clone()).collect();
    let told = Rows { buckets: buckets.into_iter().collect(), ..rows.clone() };
    let request = pair.engine.fresh_id();
    let there =
        pair.engine.warehouse.fingerprints(pair.cx, pair.target, &told, FINGERPRINTS_MAX, request.as_str()).await?;
    report.bytes_processed += there.bytes;
    let keys: Vec<Vec<String>> = suspects.iter().map(|suspect| suspect.key.clone()).collect();
    let mut session = source.connect(pair.cx).await?;
    session.begin(pair.cx).await?;
    let here = session.fingerprints(pair.cx, pair.scan, Which::Keys(&keys), FINGERPRINTS_MAX).await?;
    session.close().await;
    Ok(verify::judge(suspects, &there.found, &here))
}
