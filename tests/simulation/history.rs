//! One history: writers and runs side by side with all that can go wrong, then calm, then the comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::engine::faults::Point;
use highwater::model::{TableId, WindowUnit};
use highwater::net::Context;
use highwater::report::Outcome;
use highwater::state::transition::ResetTo;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fill;
use super::plan::{Kind, Plan};
use super::planted::Plant;
use super::process::{OPERATOR, engine, run_once};
use super::world::{Broken, Shared};
use super::writers;
use crate::tell;

/// The longest that a request, a job or a transaction goes on after everybody has gone.
const SETTLING: Duration = Duration::from_secs(1_200);
/// Runs in a calm world after which nothing may be left to do.
const CALM_RUNS_MAX: u32 = 12;
/// How long staging tables live.
const DAY: Duration = Duration::from_secs(86_400);
const NAMES: [&str; 5] = ["run a", "run b", "run c", "run d", "run e"];

/// What a history came to.
pub struct Story {
    pub kind: Kind,
    pub broken: Option<Broken>,
    pub counts: BTreeMap<&'static str, u64>,
    pub points: BTreeMap<Point, u64>,
    pub crashed_at: BTreeMap<Point, u64>,
    pub log: Vec<String>,
}

/// Plays the history of that seed, the same each time.
pub fn play(seed: u64, plant: Option<Plant>, logged: bool) -> Story {
    // the engine's backoff draws from the thread's generator
    fastrand::seed(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut plan = Plan::draw(&mut rng);
    if let Some(plant) = plant {
        plant.prepare(&mut plan);
    }
    let kind = plan.kind;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = runtime.block_on(async {
        let world = Shared::new(plan, rng, plant, logged);
        tokio::select! {
            biased;
            () = world.broken() => {}
            () = unfold(&world) => {}
        }
        world
    });
    drop(runtime);
    let log = world.take_log();
    world.with(|world| Story {
        kind,
        broken: world.broken.take(),
        counts: std::mem::take(&mut world.counts),
        points: std::mem::take(&mut world.points),
        crashed_at: std::mem::take(&mut world.crashed_at),
        log,
    })
}

async fn unfold(world: &Shared) {
    let (plan, mut actors) = (world.with(|world| world.plan.clone()), JoinSet::new());
    world.with(|world| {
        tell!(world, "{:?}", world.plan);
        writers::preload(world);
    });
    for _ in 0..plan.writers {
        actors.spawn(writers::session(world.clone()));
    }
    for number in 0..plan.processes {
        actors.spawn(runs(world.clone(), NAMES[usize::try_from(number).unwrap()]));
    }
    if let Some(fill) = plan.fill {
        for name in fill::names(fill) {
            actors.spawn(fill::backfills(world.clone(), name, fill));
        }
    }
    if plan.operator {
        actors.spawn(operate(world.clone()));
    }
    while let Some(done) = actors.join_next().await {
        if let Err(error) = done {
            world.with(|world| world.broke("nothing panics", error.to_string()));
        }
    }
    world.with(|world| {
        tell!(world, "calm");
        world.calm = true;
    });
    tokio::time::sleep(SETTLING).await;
    settle(world, plan.lag).await;
    fill::complete(world).await;
    // only a run that writes may sweep what a run has left that died before its intent
    world.with(writers::one_more_row);
    tokio::time::sleep(2 * plan.lag + Duration::from_secs(5)).await;
    settle(world, plan.lag).await;
    world.with(|world| {
        world.expire();
        world.check_end();
    });
}

/// One process after another at the same place.
async fn runs(world: Shared, name: &'static str) {
    let (plan, begun) = (world.with(|world| world.plan.clone()), Instant::now());
    // a table is loaded by key before it is synced
    if plan.fill.is_some_and(|fill| fill.by == WindowUnit::Key) {
        let pause = world.with(|world| world.between(Duration::ZERO, plan.span));
        tokio::time::sleep(pause).await;
    }
    for number in 0..plan.runs {
        if plan.expiring && number > 0 {
            let moment =
                world.with(|world| world.between(DAY - Duration::from_secs(240), DAY + Duration::from_secs(120)));
            tokio::time::sleep_until(begun + moment).await;
        }
        let pause = world.with(|world| {
            let most =
                if plan.days && world.chance(0.3) { Duration::from_secs(9 * 86_400) } else { plan.span / plan.runs };
            world.between(Duration::ZERO, most)
        });
        tokio::time::sleep(pause).await;
        run_once(&world, name).await;
    }
}

/// Runs until two in a row had nothing to do.
async fn settle(world: &Shared, lag: Duration) {
    let (mut idle, mut last) = (0, None);
    for _ in 0..CALM_RUNS_MAX {
        let report = run_once(world, "last run").await;
        let waits = |note: &String| note.starts_with("nothing is safe to read");
        let up_to_date = report
            .as_ref()
            .is_some_and(|report| report.outcome == Outcome::UpToDate && !report.notes.iter().any(waits));
        // where every run reads something again, there is always something to do
        let again = world.with(|world| {
            !world.plan.lookback.is_zero() || world.plan.nulls || world.plan.deletes || world.plan.kind == Kind::Replace
        });
        let synced = report.as_ref().is_some_and(|report| report.outcome == Outcome::Synced);
        idle = if up_to_date || again && synced { idle + 1 } else { 0 };
        last = report.map(|report| format!("{:?} {:?} {:?}", report.outcome, report.error, report.notes));
        if idle == if again { 5 } else { 2 } {
            return;
        }
        tokio::time::sleep(2 * lag + Duration::from_secs(5)).await;
    }
    world.with(|world| world.broke("a table settles", last.unwrap_or_default()));
}

/// An operator who sets the watermark back, or drops an intent.
async fn operate(world: Shared) {
    let id = TableId { source: "sim".parse().unwrap(), table: "t".parse().unwrap() };
    let engine = engine(&world, OPERATOR, true);
    for _ in 0..2 {
        let span = world.with(|world| world.plan.span);
        let pause = world.with(|world| world.between(Duration::ZERO, span));
        tokio::time::sleep(pause).await;
        let (to, drop_intent) = world.with(|world| {
            let earlier = world.check.watermarks.clone();
            match world.rng.u32(0..4) {
                0 => (ResetTo::Beginning, world.rng.bool()),
                1 if !earlier.is_empty() => {
                    let index = world.rng.usize(0..earlier.len());
                    (ResetTo::At(earlier[index].clone()), world.rng.bool())
                }
                _ => (ResetTo::Keep, true),
            }
        });
        let cx = Context::new(Instant::now() + Duration::from_secs(600), CancellationToken::new());
        let told = engine.reset(&cx, &id, to.clone(), drop_intent).await;
        world.with(|world| {
            tell!(world, "operator: reset to {to:?}, drop {drop_intent}: {}", told.is_ok());
            world.count("resets by an operator");
        });
    }
}
