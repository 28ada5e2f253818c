//! Backfills beside the live sync: processes that ask for windows and bring them, several at once at the same ones.

use std::time::Duration;

use highwater::engine::{Backfill, BackfillQuestion};
use highwater::model::{Mode, Window, WindowUnit};
use highwater::report::Outcome;

use super::database::instant_text;
use super::plan::Fill;
use super::process::{Means, process, reported};
use super::world::{BEGINNING_US, Shared, World};
use super::writers;
use crate::tell;

/// Rounds in a calm world after which every window must be complete.
const ROUNDS_MAX: u32 = 8;
const NAMES: [&str; 4] = ["fill a", "fill b", "fill c", "fill d"];
const LAST: &str = "last fill";

/// Who backfills.
pub fn names(fill: Fill) -> &'static [&'static str] {
    &NAMES[..usize::try_from(fill.processes).unwrap()]
}

/// One process after another that asks for windows and brings them.
pub async fn backfills(world: Shared, name: &'static str, fill: Fill) {
    for _ in 0..fill.runs {
        let pause = world.with(|world| {
            let most = world.plan.span / fill.runs;
            world.between(Duration::ZERO, most)
        });
        tokio::time::sleep(pause).await;
        let question = world.with(|world| question(world, fill));
        world.with(|world| world.count("backfills"));
        process(&world, name, |means| backfill(means, name, question)).await;
    }
}

/// What is asked for: mostly what everybody asks for.
fn question(world: &mut World, fill: Fill) -> BackfillQuestion {
    let in_time = world.plan.cursor() == Some("at");
    let (rows, spread) = (i64::from(world.plan.rows), i64::from(world.plan.spread));
    let mut end = |rate: f64| {
        let named = fill.by != WindowUnit::Key && world.chance(rate);
        named.then(|| match in_time {
            true => {
                let at_us = BEGINNING_US + world.rng.i64(-(rows / 3 * spread + 600) * 1_000..20_000) * 1_000;
                let step = if world.chance(0.5) { 3_600_000_000 } else { 1_000_000 };
                instant_text(at_us.div_euclid(step) * step)
            }
            false => world.rng.i64(0..rows + 10).to_string(),
        })
    };
    let (from, to) = (end(0.2), end(0.2));
    // nobody has to say how a table is loaded that is being loaded
    let by = (fill.by != WindowUnit::Key || world.chance(0.7)).then_some(fill.by);
    BackfillQuestion { by, from, to, window_rows: fill.window_rows, follow: Duration::ZERO, again: false }
}

/// What one process does: it asks, brings the windows, and settles.
async fn backfill(means: Means, name: &'static str, question: BackfillQuestion) {
    let Means { world, engine, cx, source, settings } = &means;
    let asked = engine.ask(cx, source, settings, &question).await;
    world.with(|world| tell!(world, "{name}: asked for {question:?}: {asked:?}"));
    let backfill = match asked {
        Ok(backfill) => backfill,
        Err(_) => return world.with(|world| world.count("backfills that are not to be had")),
    };
    world.with(|world| {
        if backfill.ask.by == WindowUnit::Key {
            world.count("backfills by key");
        } else {
            world.count("backfills by the cursor");
        }
    });
    let windows = backfill.windows.clone();
    bring(&means, name, &windows).await;
    let left = settle(&means, name, &backfill).await;
    world.with(|world| tell!(world, "{name}: {left:?} windows are left"));
}

async fn settle(means: &Means, name: &'static str, backfill: &Backfill) -> Option<usize> {
    match means.engine.settle(&means.cx, &means.settings, &backfill.windows).await {
        Ok(left) => Some(left),
        Err(error) => {
            means.world.with(|world| tell!(world, "{name}: cannot settle: {error}"));
            None
        }
    }
}

/// Brings these windows, beginning with any of them.
async fn bring(means: &Means, name: &'static str, windows: &[Window]) {
    let Means { world, engine, cx, source, settings } = means;
    if windows.is_empty() {
        return;
    }
    let first = world.with(|world| if world.chance(0.5) { 0 } else { world.rng.usize(0..windows.len()) });
    for window in windows[first..].iter().chain(&windows[..first]) {
        let again = world.with(|world| !world.calm && settings.mode == Mode::Merge && world.chance(0.05));
        let report = engine.window(cx, source, settings, window, again).await;
        world.with(|world| {
            tell!(world, "{name}: window {}{}", window.name, if again { " again" } else { "" });
            world.count("windows run");
            reported(world, name, &report);
        });
        if report.outcome == Outcome::Partial {
            return;
        }
    }
}

/// In a calm world: what was asked for is brought to its end. Then every window is looked at once more, so that it can
/// tidy up.
pub async fn complete(world: &Shared) {
    let Some(fill) = world.with(|world| world.plan.fill) else { return };
    let question = BackfillQuestion {
        by: Some(fill.by),
        from: None,
        to: None,
        window_rows: fill.window_rows,
        follow: Duration::ZERO,
        again: false,
    };
    let pause = 2 * world.with(|world| world.plan.lag) + Duration::from_secs(5);
    // of numbers the first ends what was asked for, and the second brings what is beyond
    for _ in 0..2 {
        process(world, LAST, |means| backfill(means, LAST, question.clone())).await;
    }
    for _ in 0..ROUNDS_MAX {
        let left = process(world, LAST, |means| async move {
            let gaps = means.engine.gaps(&means.cx, &means.source, &means.settings, &Default::default()).await;
            let windows: Vec<Window> = gaps.fill.into_iter().map(|(window, _)| window).collect();
            means.world.with(|world| tell!(world, "{LAST}: gaps: {:?} {:?}", gaps.report.error, windows));
            bring(&means, LAST, &windows).await;
            windows.len()
        });
        if left.await == Some(0) {
            let question = BackfillQuestion { by: None, ..question };
            process(world, LAST, |means| revisit(means, question)).await;
            return;
        }
        // what a replica has is told by the greatest number: if that was deleted, by the next row
        world.with(writers::one_more_row);
        tokio::time::sleep(pause).await;
    }
    world.with(|world| world.broke("a backfill comes to its end", String::new()));
}

async fn revisit(means: Means, question: BackfillQuestion) {
    let windows = means.world.with(|world| world.windows());
    bring(&means, LAST, &windows).await;
    let under_way = means.world.with(|world| world.load_under_way());
    if under_way && let Ok(backfill) = means.engine.ask(&means.cx, &means.source, &means.settings, &question).await {
        settle(&means, LAST, &backfill).await;
    }
}
