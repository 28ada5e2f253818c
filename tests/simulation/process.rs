//! A process that runs the table: it can crash at any moment, be frozen and go on much later, be told to stop.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use highwater::engine::faults::testing::{Action, Hook};
use highwater::engine::faults::{Faults, Point};
use highwater::engine::{Ambient, Engine, RunOptions};
use highwater::model::TableSettings;
use highwater::net::Context;
use highwater::report::RunReport;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::bucket::SimBucket;
use super::source::SimSource;
use super::warehouse::SimWarehouse;
use super::world::{Shared, World};
use crate::tell;

/// An engine over this world.
pub type SimEngine = Engine<SimBucket, SimWarehouse>;

/// What happens to the process, by its fault points.
#[derive(Default)]
struct Destiny {
    crashed: bool,
    frozen: Option<Duration>,
}

struct Points {
    world: Shared,
    name: &'static str,
    destiny: Arc<Mutex<Destiny>>,
}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How long a frozen process is frozen.
fn freeze(rng: &mut fastrand::Rng, days: bool) -> Duration {
    Duration::from_secs(match rng.u32(0..10) {
        0..=4 => rng.u64(1..30),
        5..=7 => rng.u64(30..400),
        _ if days => rng.u64(3_600..200_000),
        _ => rng.u64(400..4_000),
    })
}

impl Hook for Points {
    fn at(&self, point: Point) -> Action {
        let name = self.name;
        let mut destiny = self.destiny.lock().unwrap();
        self.world.with(|world| {
            *world.points.entry(point).or_default() += 1;
            tell!(world, "{name}: at {}", point.name());
            if world.calm {
                return Action::Go;
            }
            let (crash, mut frozen, error) = (world.plan.crash_rate, world.plan.freeze_rate, world.plan.error_rate);
            // who has seen a table that is about to expire, and sleeps before using it
            if world.plan.expiring && matches!(point, Point::Loaded | Point::StagingCreated) {
                frozen = 0.3;
            }
            if world.chance(crash) {
                tell!(world, "{name}: crashes at {}", point.name());
                world.count("crashes at a fault point");
                *world.crashed_at.entry(point).or_default() += 1;
                destiny.crashed = true;
                return Action::Delay(Duration::from_millis(1));
            }
            if world.chance(frozen) {
                let days = world.plan.days;
                let time = freeze(&mut world.rng, days);
                tell!(world, "{name}: frozen at {} for {time:?}", point.name());
                world.count("processes frozen");
                destiny.frozen = Some(time);
                return Action::Delay(Duration::from_millis(1));
            }
            if world.chance(error) {
                tell!(world, "{name}: a step fails at {}", point.name());
                world.count("fault: step failed at a fault point");
                return Action::Error;
            }
            Action::Go
        })
    }
}

/// The container's clock and randomness.
struct Container {
    world: Shared,
    skew_us: i64,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.skew_us)
    }
}

impl Ambient for Container {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.world.with(|world| world.now_us()) + self.skew_us).unwrap()
    }

    fn random(&self) -> u128 {
        self.world.with(|world| world.rng.u128(..))
    }
}

/// Who resets the table by hand.
pub const OPERATOR: &str = "operator";

/// An engine of that name; the container's clock may be wrong.
pub fn engine(world: &Shared, name: &'static str, operator: bool) -> SimEngine {
    let bucket = SimBucket { world: world.clone(), name, operator };
    let warehouse = SimWarehouse { world: world.clone(), name, aliases: Arc::default() };
    let skew_us = world.with(|world| world.rng.i64(-120_000_000..120_000_000));
    Engine::new(bucket, warehouse, Arc::new(Container { world: world.clone(), skew_us }))
}

/// What a process does: `None` if it crashed.
struct Process<T> {
    run: Pin<Box<dyn Future<Output = T> + Send>>,
    destiny: Arc<Mutex<Destiny>>,
    frozen: Option<Pin<Box<Sleep>>>,
    killed: Option<Pin<Box<Sleep>>>,
}

impl<T> Future for Process<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<T>> {
        if let Some(killed) = &mut self.killed
            && killed.as_mut().poll(poller).is_ready()
        {
            return Poll::Ready(None);
        }
        loop {
            if let Some(frozen) = &mut self.frozen {
                if frozen.as_mut().poll(poller).is_pending() {
                    return Poll::Pending;
                }
                self.frozen = None;
            }
            let polled = self.run.as_mut().poll(poller);
            let mut destiny = self.destiny.lock().unwrap();
            if destiny.crashed {
                return Poll::Ready(None);
            }
            let freeze = destiny.frozen.take();
            drop(destiny);
            match (polled, freeze) {
                (Poll::Ready(report), _) => return Poll::Ready(Some(report)),
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(time)) => self.frozen = Some(Box::pin(tokio::time::sleep(time))),
            }
        }
    }
}

/// What a process works with.
pub struct Means {
    pub world: Shared,
    pub engine: SimEngine,
    pub cx: Context,
    pub source: SimSource,
    pub settings: TableSettings,
}

/// A process of that name; `None` if it crashed or was killed.
pub async fn process<T, F>(world: &Shared, name: &'static str, act: impl FnOnce(Means) -> F) -> Option<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let destiny = Arc::new(Mutex::new(Destiny::default()));
    let points = Points { world: world.clone(), name, destiny: destiny.clone() };
    let engine = engine(world, name, false).with_faults(Faults::new(Arc::new(points)));
    let (settings, source) = (world.with(|world| world.plan.settings()), SimSource(world.clone()));
    let (budget, killed, stopped, cancelled) = world.with(|world| {
        tell!(world, "{name}: begins");
        let calm = world.calm;
        let budget = if calm { 3_600 } else { world.rng.u64(20..900) };
        let mut at_some_time = |rate: f64| {
            let happens = !calm && world.chance(rate);
            happens.then(|| Duration::from_millis(world.rng.u64(0..60_000)))
        };
        (Duration::from_secs(budget), at_some_time(0.1), at_some_time(0.05), at_some_time(0.05))
    });
    let (stop, cancel) = (CancellationToken::new(), CancellationToken::new());
    let cx = Context::new(Instant::now() + budget, cancel.clone()).with_stop(stop.clone());
    for (time, token) in [(stopped, stop), (cancelled, cancel)] {
        if let Some(time) = time {
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                token.cancel();
            });
        }
    }
    let run = Box::pin(act(Means { world: world.clone(), engine, cx, source, settings }));
    let killed = killed.map(|time| Box::pin(tokio::time::sleep(time)));
    let ended = Process { run, destiny, frozen: None, killed }.await;
    if ended.is_none() {
        world.with(|world| {
            tell!(world, "{name}: is gone");
            world.count("runs that crashed");
        });
    }
    ended
}

/// Runs the table once, as a process of that name.
pub async fn run_once(world: &Shared, name: &'static str) -> Option<RunReport> {
    world.with(|world| world.count("runs"));
    let run = |means: Means| async move {
        let Means { engine, cx, source, settings, .. } = means;
        engine.run(&cx, &source, &settings, RunOptions::default()).await
    };
    let report = process(world, name, run).await;
    if let Some(report) = &report {
        world.with(|world| reported(world, name, report));
    }
    report
}

/// Counts what a run reports.
pub fn reported(world: &mut World, name: &str, report: &RunReport) {
    tell!(world, "{name}: {:?} {:?} {:?}", report.outcome, report.error, report.notes);
    world.count(outcome(report));
    if report.recovered > 0 {
        world.count("runs that finished another's intent");
    }
}

fn outcome(report: &RunReport) -> &'static str {
    use highwater::report::Outcome;
    match report.outcome {
        Outcome::Synced => "runs: synced",
        Outcome::WouldSync => "runs: dry",
        Outcome::UpToDate => "runs: up to date",
        Outcome::Partial => "runs: partial",
        Outcome::Superseded => "runs: superseded",
        Outcome::Unusable => "runs: unusable",
        Outcome::Failed => "runs: failed",
    }
}
