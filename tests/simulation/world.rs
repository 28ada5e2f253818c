//! The world of one history: its clock, its one source of randomness, what is remote in it, and the network between.
//!
//! Nothing here is real but the engine. Time is tokio's paused clock, so waiting costs nothing. A request is carried
//! out by a task of the world and not by the caller's: who crashes or gives up does not take it back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater::engine::faults::Point;
use highwater::net::{Backoff, Context, Interrupted};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::bucket::Objects;
use super::check::Check;
use super::database::Database;
use super::plan::Plan;
use super::planted::Plant;
use super::warehouse::Tables;

/// When every history begins, by the database's clock: 2026-03-01T00:00:00Z.
pub const BEGINNING_US: i64 = 1_772_323_200_000_000;
/// As the clients have it: the most time for one attempt at a call.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
/// The most attempts at a call that may be repeated; fewer than the clients', so that giving up is seen more often.
const ATTEMPTS_MAX: u32 = 4;
/// More calls than any history needs: a run that never ends is found out.
const CALLS_MAX: u64 = 40_000;

/// What an invariant's breach looks like.
#[derive(Clone, Debug)]
pub struct Broken {
    pub invariant: &'static str,
    pub detail: String,
}

/// The world's content.
pub struct World {
    pub rng: fastrand::Rng,
    pub plan: Plan,
    pub plant: Option<Plant>,
    /// No more faults: what was begun comes to its end.
    pub calm: bool,
    pub database: Database,
    pub objects: Objects,
    pub tables: Tables,
    pub check: Check,
    pub counts: BTreeMap<&'static str, u64>,
    /// How often each fault point was passed, and crashed at.
    pub points: BTreeMap<Point, u64>,
    pub crashed_at: BTreeMap<Point, u64>,
    pub broken: Option<Broken>,
    begun: Instant,
    calls: u64,
    log: Option<Vec<String>>,
    ended: Arc<Notify>,
}

/// Everybody's handle to the world.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

/// Appends a line to the history's log, if one is kept.
#[macro_export]
macro_rules! tell {
    ($world:expr, $($text:tt)*) => {
        if $world.logs() {
            let line = format!($($text)*);
            $world.push(line);
        }
    };
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It takes effect and is answered.
    Fine,
    /// 429 or 503 at once, without effect.
    Refused,
    /// The connection breaks before the request arrives.
    Reset,
    /// It takes effect, and the connection breaks before the answer.
    AnswerLost,
    /// It takes effect, and the answer comes too late or never.
    Silent,
    /// It arrives long after the caller has given up.
    Late,
}

/// Why an attempt gave nothing.
#[derive(Clone, Copy, Debug)]
pub enum Lost {
    /// Certainly without effect.
    Refused,
    /// It may have taken effect, or may still do so.
    Unanswered,
    /// The caller's time is up.
    Interrupted(Interrupted),
}

/// Why a call gave nothing.
#[derive(Clone, Copy, Debug)]
pub enum Failed {
    Unavailable(u32),
    Interrupted(Interrupted),
}

impl World {
    pub fn now_us(&self) -> i64 {
        BEGINNING_US + i64::try_from(self.begun.elapsed().as_micros()).unwrap()
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn logs(&self) -> bool {
        self.log.is_some()
    }

    pub fn push(&mut self, line: String) {
        let at = self.begun.elapsed();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>12.3} {line}", at.as_secs_f64()));
        }
    }

    /// Something that must never happen has happened. The first is what counts.
    pub fn broke(&mut self, invariant: &'static str, detail: String) {
        tell!(self, "BROKEN {invariant}: {detail}");
        self.broken.get_or_insert(Broken { invariant, detail });
        self.ended.notify_one();
    }

    /// Whether something of that probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.f64() < probability
    }

    /// A time between the two.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_millis(), most.as_millis().max(least.as_millis()));
        Duration::from_millis(u64::try_from(self.rng.u128(least..=most)).unwrap())
    }

    /// How long one way of a request takes: mostly milliseconds, with a long tail.
    pub fn transit(&mut self) -> Duration {
        let slow = if self.calm { 0.0 } else { self.plan.slow_rate };
        let most = if !self.chance(slow) {
            30
        } else if self.chance(0.8) {
            3_000
        } else {
            45_000
        };
        Duration::from_millis(self.rng.u64(0..most))
    }

    fn fate(&mut self) -> Fate {
        let rate = self.plan.fault_rate;
        if self.calm || !self.chance(rate) {
            return Fate::Fine;
        }
        let (fate, name) = match self.rng.u32(0..10) {
            0..=2 => (Fate::Refused, "fault: refused with 429 or 503"),
            3..=4 => (Fate::Reset, "fault: connection reset before the request"),
            5..=6 => (Fate::AnswerLost, "fault: effect without answer"),
            7 => (Fate::Silent, "fault: effect and silence"),
            _ => (Fate::Late, "fault: effect after the caller gave up"),
        };
        self.count(name);
        fate
    }

    fn called(&mut self) {
        self.calls += 1;
        self.count("remote calls");
        if self.calls == CALLS_MAX {
            self.broke("a history comes to its end", format!("more than {CALLS_MAX} calls"));
        }
    }
}

impl Shared {
    pub fn new(plan: Plan, rng: fastrand::Rng, plant: Option<Plant>, logged: bool) -> Self {
        Self(Arc::new(Mutex::new(World {
            database: Database::new(),
            rng,
            plan,
            plant,
            calm: false,
            objects: Objects::default(),
            tables: Tables::default(),
            check: Check::default(),
            counts: BTreeMap::new(),
            points: BTreeMap::new(),
            crashed_at: BTreeMap::new(),
            broken: None,
            begun: Instant::now(),
            calls: 0,
            log: logged.then(Vec::new),
            ended: Arc::new(Notify::new()),
        })))
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until an invariant is broken.
    pub async fn broken(&self) {
        let ended = self.with(|world| world.ended.clone());
        ended.notified().await;
    }

    pub fn take_log(&self) -> Vec<String> {
        self.with(|world| world.log.take().unwrap_or_default())
    }

    /// Sends one request: `effect` happens in the world, once or not at all, perhaps later than anybody waits for.
    pub async fn attempt<T: Send + 'static>(
        &self,
        cx: &Context,
        effect: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        // a client whose time is up sends nothing
        cx.check().map_err(Lost::Interrupted)?;
        let (fate, there, back) = self.with(|world| {
            world.called();
            (world.fate(), world.transit(), world.transit())
        });
        let (answer, answered) = oneshot::channel();
        match fate {
            Fate::Refused => {
                tokio::time::sleep(there).await;
                return Err(Lost::Refused);
            }
            Fate::Reset => {
                tokio::time::sleep(there).await;
                return Err(Lost::Unanswered);
            }
            Fate::Fine | Fate::AnswerLost | Fate::Silent => {
                let world = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(there).await;
                    let done = world.with(effect);
                    tokio::time::sleep(if fate == Fate::Silent { 5 * ATTEMPT_MAX } else { back }).await;
                    if fate != Fate::AnswerLost {
                        // nobody may wait for it any more
                        answer.send(done).unwrap_or_default();
                    }
                });
            }
            Fate::Late => {
                let world = self.clone();
                let late = self.with(|world| world.between(ATTEMPT_MAX / 2, 5 * ATTEMPT_MAX));
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    drop(world.with(effect));
                    drop(answer);
                });
            }
        }
        match cx.limit(ATTEMPT_MAX, answered).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(Interrupted::TimedOut(_)) => Err(Lost::Unanswered),
            Err(interrupted) => Err(Lost::Interrupted(interrupted)),
        }
    }

    /// Sends a request that may be repeated, until it is answered.
    pub async fn call<T: Send + 'static>(
        &self,
        cx: &Context,
        effect: impl FnOnce(&mut World) -> T + Clone + Send + 'static,
    ) -> Result<T, Failed> {
        let mut backoff = Backoff::default();
        for attempts in 1.. {
            match self.attempt(cx, effect.clone()).await {
                Ok(done) => return Ok(done),
                Err(Lost::Interrupted(interrupted)) => return Err(Failed::Interrupted(interrupted)),
                Err(Lost::Refused | Lost::Unanswered) if attempts >= ATTEMPTS_MAX => {
                    return Err(Failed::Unavailable(attempts));
                }
                Err(Lost::Refused | Lost::Unanswered) => {}
            }
            match cx.sleep(backoff.wait(None)).await {
                Ok(()) => {}
                Err(Interrupted::Budget) => return Err(Failed::Unavailable(attempts)),
                Err(interrupted) => return Err(Failed::Interrupted(interrupted)),
            }
        }
        Err(Failed::Unavailable(0))
    }
}
