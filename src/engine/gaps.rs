//! Looks for gaps: windows that were asked for and are not complete, and windows whose rows are not all in the target.
//!
//! Rows are counted on both sides, up to the watermark, the target's first. A row that the source has then was in the target
//! before, so that one that is counted as missing is missing. What the target has beyond that may only have moved on: it is
//! told, and nothing is read again for it.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::verify::{self, Counts, Question};
use super::{Engine, RunError};
use crate::bucket::Bucket;
use crate::mapping::CursorKind;
use crate::model::{Label, Mode, TableSettings, TableState, Window, WindowRange, WindowUnit};
use crate::net::Context;
use crate::plan::backfill::{self, BackfillError};
use crate::plan::verify::{self as plan, By, in_order};
use crate::report::{GapKind, GapReport, GapsOutcome, GapsReport};
use crate::source::Source;
use crate::state::{AskStore, Store};
use crate::warehouse::Warehouse;

/// States of windows that are read side by side.
const READS_MAX: usize = 16;
/// The most windows of backfills that are looked at.
const WINDOWS_MAX: usize = 50_000;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct GapsQuestion {
    /// The unit of windows in time that are counted; `None` takes days, or what is coarser where these are too many.
    pub by: Option<By>,
    /// Only rows whose cursor is at least this.
    pub from: Option<String>,
    /// Only rows whose cursor is below this.
    pub to: Option<String>,
}

/// What was found, and what fills it.
#[derive(Clone, Debug)]
pub struct Gaps {
    /// The report.
    pub report: GapsReport,
    /// The windows to bring, oldest first; `true` where one is read again although it is complete.
    pub fill: Vec<(Window, bool)>,
}

/// Looks for gaps and reports.
pub(super) async fn gaps<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    question: &GapsQuestion,
) -> Gaps {
    let begun = Instant::now();
    cx.watch().connecting();
    let report = GapsReport::new(&settings.id, settings.target.to_string());
    let mut gaps = Gaps { report, fill: Vec::new() };
    let found = find(engine, cx, source, settings, question, &mut gaps).await;
    let report = &mut gaps.report;
    report.outcome = match found {
        Ok(()) if report.gaps.iter().any(|gap| gap.kind != GapKind::Extra) => GapsOutcome::Gaps,
        Ok(()) => GapsOutcome::Complete,
        Err(error) => {
            report.error = Some(error.failure());
            GapsOutcome::Failed
        }
    };
    report.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    gaps
}

async fn find<B: Bucket, W: Warehouse, S: Source>(
    engine: &Engine<B, W>,
    cx: &Context,
    source: &S,
    settings: &TableSettings,
    question: &GapsQuestion,
    gaps: &mut Gaps,
) -> Result<(), RunError> {
    if settings.mode == Mode::Replace {
        return Err(BackfillError::Replace(settings.id.to_string()).into());
    }
    let state = Store::new(&engine.bucket, &settings.id).read(cx).await?.state;
    let question = &normal(settings, question)?;
    incomplete(engine, cx, settings, question, &state, gaps).await?;
    if state.load.is_some() {
        gaps.report.note("its initial load is not complete: rows are counted when it is".to_owned());
    } else if state.watermark.is_none() {
        gaps.report.note("nothing is synced yet: there is nothing to count".to_owned());
    } else {
        let GapsQuestion { by, from, to } = question.clone();
        let question = Question { by, from, to, ..Question::default() };
        let counts = verify::counts(engine, cx, source, settings, &state, &question).await?;
        differing(settings, &counts, gaps);
    }
    gaps.fill.sort_by(|(a, _), (b, _)| in_order(&a.from().unwrap_or_default(), &b.from().unwrap_or_default()));
    // one that is both is read once
    gaps.fill.dedup_by(|(a, _), (b, _)| a.name == b.name);
    if state.rejected_total > 0 && gaps.report.gaps.iter().any(|gap| gap.kind == GapKind::Missing) {
        let rejected = state.rejected_total;
        gaps.report.note(format!("{rejected} rows were rejected when they came: those stay missing"));
    }
    Ok(())
}

/// The ends as the windows' ends are written: a time of a day with its hours.
fn normal(settings: &TableSettings, question: &GapsQuestion) -> Result<GapsQuestion, RunError> {
    let end = |text: &Option<String>| -> Result<Option<String>, RunError> {
        let Some(text) = text else { return Ok(None) };
        // the cursor's type is not known here: it is a number, or a time
        let kind = if text.parse::<i128>().is_ok() { CursorKind::Number } else { CursorKind::Instant { digits: 6 } };
        Ok(Some(plan::bound(&settings.id.to_string(), Some(kind), text)?))
    };
    Ok(GapsQuestion { by: question.by, from: end(&question.from)?, to: end(&question.to)? })
}

/// Windows that were asked for and are not complete.
async fn incomplete<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    question: &GapsQuestion,
    live: &TableState,
    gaps: &mut Gaps,
) -> Result<(), RunError> {
    let table = settings.id.to_string();
    let (asks, _) = AskStore::new(&engine.bucket, &settings.id).read(cx).await?;
    if settings.mode == Mode::Append && live.began.is_none() && live.load.is_none() && live.watermark.is_some() {
        // its sync brings every row: what a window would bring would be there twice
        return Ok(());
    }
    let mut seen = 0;
    for ask in asks.asks {
        let windows = backfill::windows(&table, &ask)?;
        let windows: Vec<Window> = windows.into_iter().filter(|window| is_within(window, question)).collect();
        seen += windows.len();
        if seen > WINDOWS_MAX {
            return Err(BackfillError::TooManyWindows { table }.into());
        }
        let states = states(engine, cx, settings, &windows).await?;
        // a load that lost its race against another was never begun, and is nobody's
        let is_load = live.load.as_ref() == Some(&ask.id);
        if ask.by == WindowUnit::Key && !is_load && states.iter().all(|state| state.window.is_none()) {
            continue;
        }
        for (window, state) in windows.into_iter().zip(states) {
            let kind = match &state.window {
                None => GapKind::Never,
                Some(found) if !found.complete => GapKind::Interrupted,
                Some(_) => continue,
            };
            gaps.report.gaps.push(told(&window, kind, None));
            gaps.fill.push((window, false));
        }
    }
    gaps.report.asked = seen as u64;
    Ok(())
}

/// The windows' states, in their order.
pub(super) async fn states<B: Bucket, W: Warehouse>(
    engine: &Engine<B, W>,
    cx: &Context,
    settings: &TableSettings,
    windows: &[Window],
) -> Result<Vec<TableState>, RunError> {
    let read = |window: &Window| {
        let store = Store::of_window(&engine.bucket, &settings.id, &window.name);
        async move { store.read(cx).await.map(|at| at.state) }
    };
    let reads: Vec<_> = windows.iter().map(read).collect();
    Ok(stream::iter(reads).buffered(READS_MAX).try_collect().await?)
}

/// Whether the window has rows that were asked about.
fn is_within(window: &Window, question: &GapsQuestion) -> bool {
    let WindowRange::Cursor { from, to } = &window.range else { return true };
    let after = question.from.as_ref().is_none_or(|first| in_order(to, first).is_gt());
    let before = question.to.as_ref().is_none_or(|last| in_order(from, last).is_lt());
    after && before
}

/// Windows whose counts differ.
fn differing(settings: &TableSettings, counts: &Counts, gaps: &mut Gaps) {
    let report = &mut gaps.report;
    report.bytes_processed = counts.bytes;
    report.counted = counts.windows.len() as u64;
    for window in &counts.windows {
        let (here, there) = window.rows();
        report.source_rows += here;
        report.target_rows += there;
        if here == there {
            continue;
        }
        let kind = if here > there { GapKind::Missing } else { GapKind::Extra };
        let range = range(counts, &window.label);
        let name = range.as_ref().map_or_else(|| window.label.clone(), |range| range.name.clone());
        let side = window.source.as_ref().or(window.target.as_ref());
        report.gaps.push(GapReport {
            window: name,
            from: side.and_then(|side| side.least.clone()),
            to: side.and_then(|side| side.greatest.clone()),
            kind,
            source_rows: Some(here),
            target_rows: Some(there),
        });
        if let Some(range) = range.filter(|_| kind == GapKind::Missing && settings.mode == Mode::Merge) {
            gaps.fill.push((range, true));
        }
    }
    if settings.mode == Mode::Append && report.gaps.iter().any(|gap| gap.kind == GapKind::Missing) {
        report.note(
            "in `mode: append` rows that are missing in the midst of others cannot be filled in by windows: \
             `highwater verify --repair` brings just those"
                .to_owned(),
        );
    }
}

/// The window that a label of the counts means.
fn range(counts: &Counts, label: &str) -> Option<Window> {
    let kind = counts.kind?;
    let end = backfill::just_above(kind, counts.rows.to.as_ref()?)?;
    let least = || {
        let first = counts.windows.first()?;
        let side = first.source.as_ref().or(first.target.as_ref())?;
        backfill::start_of(kind, side.least.as_deref()?)
    };
    match (&counts.rows.label, kind) {
        (Label::Whole, _) => Some(backfill::cursor_window(least()?, end)),
        (Label::Prefix(_), CursorKind::Date) => backfill::labelled(label, "2000-01-01", &end),
        (Label::Prefix(_), _) => backfill::labelled(label, "2000-01-01T00:00:00", &end),
        (Label::Ranges(bounds), _) => {
            let at: usize = label.parse().ok()?;
            let from = match at.checked_sub(1) {
                Some(before) => bounds.get(before)?.to_string(),
                None => least()?,
            };
            Some(backfill::cursor_window(from, bounds.get(at).map_or(end, ToString::to_string)))
        }
    }
}

fn told(window: &Window, kind: GapKind, rows: Option<(u64, u64)>) -> GapReport {
    GapReport {
        window: window.name.clone(),
        from: window.from(),
        to: window.to(),
        kind,
        source_rows: rows.map(|(here, _)| here),
        target_rows: rows.map(|(_, there)| there),
    }
}
