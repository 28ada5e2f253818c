//! Compares a table's source and target by checksums, names the rows that differ, and mends them if asked to.
//!
//! Source and target are never read by rows: both compute checksums of the same canonical texts. Only rows up to the
//! watermark of the state that is read first are compared; what seems to differ is looked at again, the target first and
//! then the source, so that a row on its way is told from one that is lost.
//!
//! `look` finds what is compared, `narrow` goes from windows to keys, `mend` repairs.

mod look;
mod mend;
mod narrow;

use tokio::time::Instant;

use self::look::Looked;
use super::{Engine, RunError};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Bound, Checksum, Difference, Group, Label, Mode, Rows, Step, TableSettings, TableState};
use crate::net::Context;
use crate::plan::verify::{self, By, VerifyError, Window, in_order};
use crate::report::{KeyReport, NotCompared, VerifyOutcome, VerifyReport, WindowReport, WindowVerdict};
use crate::source::{Scan, Session, Source};
use crate::state::Store;
use crate::warehouse::{Scanned, TargetScan, Warehouse};

/// What `verify` is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The unit of windows in time; `None` takes days, or what is coarser where these are too many.
    pub by: Option<By>,
    /// Only rows whose cursor is at least this.
    pub from: Option<String>,
    /// Only rows whose cursor is below this.
    pub to: Option<String>,
    /// The most keys that are named.
    pub keys_max: usize,
    /// Whether rows that differ are written again as they are now.
    pub repair: bool,
    /// Whether repairing removes rows that the source does not have.
    pub delete_extra: bool,
}

/// Compares the table and reports.
pub(super) async fn verify<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    question: &Question,
) -> VerifyReport {
    let begun = Instant::now();
    let mut report = VerifyReport::new(&settings.id, settings.target.to_string(), settings.mode);
    cx.watch().connecting();
    match compare(engine, cx, source, settings, question, &mut report).await {
        Ok(()) => report.conclude(),
        Err(error) => {
            report.outcome = VerifyOutcome::Failed;
            report.error = Some(error.failure());
        }
    }
    report.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    report
}

/// Rows of both sides, window by window.
pub(super) struct Counts {
    /// The windows.
    pub(super) windows: Vec<Window>,
    /// Which rows were counted.
    pub(super) rows: Rows,
    /// The cursor's kind.
    pub(super) kind: Option<CursorKind>,
    /// Bytes that BigQuery processed.
    pub(super) bytes: u64,
}

/// Counts rows up to the watermark, the target's before the source's: a row of the source was in the target then.
pub(super) async fn counts<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    state: &TableState,
    question: &Question,
) -> Result<Counts, RunError> {
    check_settled(settings, state)?;
    let mut session = source.connect(cx).await?;
    let looked = look::look(engine, cx, settings, &mut session, state).await?;
    let (scan, target) = (looked.scan(settings, state), looked.target(settings));
    let pair = Pair { engine, cx, scan: &scan, target: &target };
    cx.watch().step(Step::Comparing);
    let rows = pair.rows(&mut session, settings, question, &looked, state).await?;
    let (most, request) = (verify::WINDOWS_MAX + 1, engine.fresh_id());
    let there = engine.warehouse.checksums(cx, &target, &rows, Group::Extent, most, request.as_str()).await?;
    session.begin(cx).await?;
    let here = session.checksums(cx, &scan, &rows, Group::Extent, most).await?;
    session.close().await;
    let windows = verify::side_by_side(here, there.found);
    if u64::try_from(windows.len()).unwrap_or(u64::MAX) > verify::WINDOWS_MAX {
        return Err(VerifyError::TooManyWindows { table: settings.id.to_string() }.into());
    }
    Ok(Counts { windows, kind: looked.kind(), rows, bytes: there.bytes })
}

/// Whether the target is what the state's watermark says, and will be for a while.
fn check_settled(settings: &TableSettings, state: &TableState) -> Result<(), RunError> {
    let why = if let Some(intent) = &state.intent {
        format!("intent {} is pending", intent.id)
    } else if state.load.is_some() {
        "its initial load is not complete (`highwater backfill` goes on with it)".to_owned()
    } else if state.rebuild.is_some() {
        "it is being built anew".to_owned()
    } else if state.rereads.iter().any(|reread| reread.from.is_none()) {
        "all its rows are to be read again".to_owned()
    } else {
        return Ok(());
    };
    Err(RunError::Unsettled { table: settings.id.to_string(), why })
}

/// The least cursor of rows that are to be read again.
fn moving_from(state: &TableState) -> Option<&str> {
    let rereads = state.rereads.iter().filter_map(|reread| reread.from.as_deref());
    let holds = state.holds.iter().filter_map(|hold| hold.from.as_deref());
    rereads.chain(holds).min_by(|a, b| in_order(a, b))
}

/// The lowest of what bounds the rows: `to` as it was asked for, the watermark, and what is to be read again.
fn upper_bound(to: Option<String>, state: &TableState) -> Option<Bound> {
    let below = |value: String| Bound { value, inclusive: false };
    let watermark = state.watermark.as_ref().and_then(|watermark| watermark.cursor.clone());
    let watermark = watermark.map(|value| Bound { value, inclusive: true });
    let bounds = [to.map(below), moving_from(state).map(|from| below(from.to_owned())), watermark];
    // of two that are equal the exclusive one is lower, and stands first
    bounds.into_iter().flatten().min_by(|a, b| in_order(&a.value, &b.value))
}

async fn compare<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    question: &Question,
    report: &mut VerifyReport,
) -> Result<(), RunError> {
    if question.repair && settings.mode == Mode::Replace {
        return Err(RunError::NoRepair(settings.id.to_string()));
    }
    let at = Store::new(&engine.bucket, &settings.id).read(cx).await?;
    check_settled(settings, &at.state)?;
    report.watermark.clone_from(&at.state.watermark);
    if settings.mode == Mode::Replace {
        report.note("a `replace` has no watermark: rows that changed since the last sync differ".to_owned());
    } else if let Some(from) = moving_from(&at.state) {
        report.note(format!("rows from {from} on are to be read again and are not compared"));
    }
    if let (Some(began), None) = (&at.state.began, &question.from) {
        report.note(format!("the sync began with {began}: rows below are compared where --from says so"));
    }
    if at.state.watermark.is_none() && settings.mode != Mode::Replace {
        report.note("nothing is synced yet: there is nothing to compare".to_owned());
        return Ok(());
    }
    let mut session = source.connect(cx).await?;
    let looked = look::look(engine, cx, settings, &mut session, &at.state).await?;
    session.begin(cx).await?;
    report.columns = u64::try_from(looked.compared.indexes.len()).unwrap_or(u64::MAX);
    let left = looked.compared.left.iter();
    report.not_compared =
        left.map(|left| NotCompared { column: left.column.clone(), reason: left.reason.clone() }).collect();
    let scan = looked.scan(settings, &at.state);
    let target = looked.target(settings);
    let pair = Pair { engine, cx, scan: &scan, target: &target };
    let rows = pair.rows(&mut session, settings, question, &looked, &at.state).await?;
    let windows = pair.side_by_side(&mut session, &rows, Group::Window, verify::WINDOWS_MAX, report).await?;
    if u64::try_from(windows.len()).unwrap_or(u64::MAX) > verify::WINDOWS_MAX {
        return Err(VerifyError::TooManyWindows { table: settings.id.to_string() }.into());
    }
    tell(&windows, report);
    note_nulls(cx, settings, &mut session, &looked, report).await?;
    let differing: Vec<&Window> = windows.iter().filter(|window| !window.is_equal()).collect();
    if differing.is_empty() {
        session.close().await;
        return Ok(());
    }
    if looked.compared.key.is_empty() {
        report.note("rows cannot be named: no key of theirs can be compared".to_owned());
        session.close().await;
        return Ok(());
    }
    let found = narrow::suspects(&pair, session, &rows, &differing, report).await?;
    let confirmed = narrow::confirm(&pair, source, &rows, found, question.keys_max, report).await?;
    let named = |row: &narrow::Confirmed| KeyReport { kind: row.kind, key: row.suspect.key.clone(), repaired: false };
    report.keys = confirmed.iter().map(named).collect();
    settle_windows(report);
    if question.repair {
        mend::mend(&pair, source, settings, &looked, &confirmed, question.delete_extra, report).await?;
    }
    Ok(())
}

/// The two sides that are asked the same questions.
struct Pair<'a, B, W> {
    engine: &'a Engine<B, W>,
    cx: &'a Context,
    scan: &'a Scan<'a>,
    target: &'a TargetScan<'a>,
}

impl<B: Bucket, W: Warehouse> Pair<'_, B, W> {
    /// Which rows are compared: within the bounds that were asked for, and not beyond the watermark.
    async fn rows<S: Session>(
        &self,
        session: &mut S,
        settings: &TableSettings,
        question: &Question,
        looked: &Looked,
        state: &TableState,
    ) -> Result<Rows, RunError> {
        let name = settings.id.to_string();
        let kind = looked.kind();
        let bound = |text: &Option<String>| text.as_deref().map(|text| verify::bound(&name, kind, text)).transpose();
        let to = upper_bound(bound(&question.to)?, state);
        let every = Rows {
            from: bound(&question.from)?.or_else(|| state.began.clone()),
            to: to.filter(|_| self.scan.cursor.is_some()),
            label: Label::Whole,
            windows: Vec::new(),
            buckets: Vec::new(),
        };
        let extent = session.checksums(self.cx, self.scan, &every, Group::Extent, 1).await?;
        let label = match self.target.cursor {
            Some(_) => verify::label(&name, kind, question.by, extent.first())?,
            None => verify::label(&name, None, question.by, None)?,
        };
        Ok(Rows { label, ..every })
    }

    /// What both sides say of these rows, group by group.
    async fn side_by_side<S: Session>(
        &self,
        session: &mut S,
        rows: &Rows,
        group: Group,
        groups_max: u64,
        report: &mut VerifyReport,
    ) -> Result<Vec<Window>, RunError> {
        // one more than may be, so that too many are seen
        let most = groups_max + 1;
        self.cx.watch().step(Step::Comparing);
        let request = self.engine.fresh_id();
        let here = session.checksums(self.cx, self.scan, rows, group, most);
        let there = self.engine.warehouse.checksums(self.cx, self.target, rows, group, most, request.as_str());
        let (here, there) = tokio::join!(here, there);
        let (here, Scanned { found, bytes }): (Vec<Checksum>, Scanned<Checksum>) = (here?, there?);
        report.bytes_processed += bytes;
        Ok(verify::side_by_side(here, found))
    }
}

/// Puts the windows into the report.
fn tell(windows: &[Window], report: &mut VerifyReport) {
    for window in windows {
        let (source_rows, target_rows) = window.rows();
        report.source_rows += source_rows;
        report.target_rows += target_rows;
        let side = window.source.as_ref().or(window.target.as_ref());
        report.windows.push(WindowReport {
            window: window.label.clone(),
            from: side.and_then(|side| side.least.clone()),
            to: side.and_then(|side| side.greatest.clone()),
            source_rows,
            target_rows,
            checksum: if window.is_equal() { WindowVerdict::Ok } else { WindowVerdict::Differs },
        });
    }
}

/// Rows without a cursor stand below no watermark.
async fn note_nulls<S: Session>(
    cx: &Context,
    settings: &TableSettings,
    session: &mut S,
    looked: &Looked,
    report: &mut VerifyReport,
) -> Result<(), RunError> {
    let Some(cursor) = looked.plan.cursor.map(|cursor| &looked.plan.columns[cursor]).filter(|cursor| cursor.nullable)
    else {
        return Ok(());
    };
    let rows = session.count_nulls(cx, &settings.table, cursor, settings.filter.as_deref()).await?;
    if rows > 0 {
        report.note(format!("{rows} rows have NULL in the cursor and are not compared"));
    }
    Ok(())
}

/// Where nothing was confirmed, windows differ by rows on their way alone.
fn settle_windows(report: &mut VerifyReport) {
    if report.keys.is_empty() && report.unnamed + report.unopened_rows == 0 {
        for window in report.windows.iter_mut().filter(|window| window.checksum == WindowVerdict::Differs) {
            window.checksum = WindowVerdict::Moving;
        }
    }
}

/// Whether a difference is mended by writing the source's row again, in that mode.
fn is_written(mode: Mode, kind: Difference) -> bool {
    match (mode, kind) {
        (Mode::Merge, Difference::Changed | Difference::Missing) | (Mode::Append, Difference::Missing) => true,
        (Mode::Merge | Mode::Append | Mode::Replace, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Hold, Position, Reread};

    #[test]
    fn rows_that_may_still_move_are_above_the_bound() {
        let mut state = TableState::new();
        state.watermark = Some(Position { cursor: Some("1000".into()), key: vec![] });
        let bound = |to: Option<&str>, state: &TableState| {
            upper_bound(to.map(str::to_owned), state).map(|bound| (bound.value, bound.inclusive))
        };
        assert_eq!(bound(None, &state), Some(("1000".into(), true)));
        assert_eq!(bound(Some("99"), &state), Some(("99".into(), false)));
        assert_eq!(bound(Some("1000"), &state), Some(("1000".into(), false)));
        assert_eq!(bound(Some("2000"), &state), Some(("1000".into(), true)));
        state.holds = vec![Hold { backend: "pid 1".into(), started_us: 0, from: Some("900".into()) }];
        state.rereads = vec![Reread { from: Some("950".into()), to: "960".into(), at: None, passed: false }];
        assert_eq!(bound(None, &state), Some(("900".into(), false)));
        assert_eq!(bound(None, &TableState::new()), None);
    }
}
