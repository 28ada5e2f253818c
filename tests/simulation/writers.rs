//! Sessions that write: transactions that begin, idle, write, hold, and commit or roll back.

use std::time::Duration;

use super::database::Row;
use super::plan::Kind;
use super::world::{Shared, World};
use crate::tell;

/// What a transaction stamps its rows with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// `now()`: the transaction's start.
    Start,
    /// `clock_timestamp()`.
    Statement,
}

/// Fills the table with what was there before the history.
pub fn preload(world: &mut World) {
    let now_us = world.now_us();
    for number in 0..world.plan.rows {
        // some with one same cursor
        let before = (world.plan.rows - number) / 3 * world.plan.spread + 600;
        let at_us = now_us - i64::from(before) * 1_000_000;
        let pid = world.database.begin(at_us);
        let at = cursor(world, at_us);
        let id = world.database.draw_id();
        world.database.write(pid, id, at);
        world.database.commit(pid, at_us);
        world.database.end(pid);
    }
}

/// A row that comes when all others are synced.
pub fn one_more_row(world: &mut World) {
    let now_us = world.now_us();
    let pid = world.database.begin(now_us);
    let (id, at) = (world.database.draw_id(), kept(world, now_us));
    world.database.write(pid, id, Some(at));
    world.database.commit(pid, now_us);
    world.database.end(pid);
}

/// The time that a row gets, as its column keeps it.
fn cursor(world: &mut World, at_us: i64) -> Option<i64> {
    let null = world.plan.nulls && world.chance(0.15);
    (!null).then(|| kept(world, at_us))
}

fn kept(world: &World, at_us: i64) -> i64 {
    match world.plan.digits {
        0 => (at_us + 500_000).div_euclid(1_000_000) * 1_000_000,
        _ => at_us,
    }
}

/// One session's transactions.
pub async fn session(world: Shared) {
    let (transactions, span) = world.with(|world| (world.plan.transactions, world.plan.span));
    for _ in 0..transactions {
        let pause = world.with(|world| world.between(Duration::ZERO, span / (transactions + 1) * 2));
        tokio::time::sleep(pause).await;
        transaction(&world).await;
    }
}

async fn transaction(world: &Shared) {
    let pid = world.with(|world| {
        let now_us = world.now_us();
        let pid = world.database.begin(now_us);
        tell!(world, "pid {pid} begins");
        pid
    });
    // its start is fixed a moment before others see it
    let unseen = world.with(|world| Duration::from_millis(if world.chance(0.5) { world.rng.u64(0..400) } else { 0 }));
    tokio::time::sleep(unseen).await;
    world.with(|world| world.database.show(pid));
    let (idle, hold) = world.with(patience);
    tokio::time::sleep(idle).await;
    let (stamp, statements) =
        world.with(|world| (if world.chance(0.7) { Stamp::Start } else { Stamp::Statement }, world.rng.u32(1..5)));
    for number in 0..statements {
        world.with(|world| statement(world, pid, stamp));
        if number + 1 < statements {
            tokio::time::sleep(hold / (statements + 1)).await;
        }
    }
    tokio::time::sleep(hold / (statements + 1)).await;
    world.with(|world| {
        let now_us = world.now_us();
        if world.chance(0.1) {
            tell!(world, "pid {pid} rolls back");
            world.count("transactions rolled back");
        } else {
            tell!(world, "pid {pid} commits");
            world.database.commit(pid, now_us);
            world.count("transactions committed");
        }
    });
    // its rows are visible a moment before it is off the list
    let lingering =
        world.with(|world| Duration::from_millis(if world.chance(0.3) { world.rng.u64(0..100) } else { 0 }));
    tokio::time::sleep(lingering).await;
    world.with(|world| world.database.end(pid));
}

/// How long the transaction is idle before its first write, and how long it goes on after that.
fn patience(world: &mut World) -> (Duration, Duration) {
    let (idle_max, whole_max) = world.plan.patience();
    let draw = |world: &mut World| {
        let most = match world.rng.u32(0..20) {
            0..=9 => 50,
            10..=16 => 3_000,
            17..=18 => 12_000,
            _ => 240_000,
        };
        Duration::from_millis(world.rng.u64(0..most))
    };
    let idle = draw(world).min(idle_max);
    let hold = draw(world).min(whole_max.saturating_sub(idle));
    if idle + hold > world.plan.max_hold {
        world.count("transactions longer than max_hold");
    }
    (idle, hold)
}

fn statement(world: &mut World, pid: u64, stamp: Stamp) {
    let at_us = match stamp {
        Stamp::Start => world.database.started_us(pid),
        Stamp::Statement => world.now_us(),
    };
    let insert_only = matches!(world.plan.kind, Kind::AppendNumber | Kind::AppendTime);
    let act = world.rng.u32(0..10);
    let deletes = world.plan.deletes;
    let gone = if deletes && act < 2 { world.database.pick_gone(&mut world.rng) } else { None };
    let World { database, rng, .. } = world;
    let picked = if insert_only || act < 4 { None } else { database.pick(pid, rng) };
    match picked {
        Some(row) if act == 9 || deletes && act >= 7 => {
            world.database.delete(pid, row.id);
            tell!(world, "pid {pid} deletes row {}", row.id);
        }
        Some(row) => {
            // a cursor may begin as NULL, but does not become it: NULL is older than any value
            let at = cursor(world, at_us).or_else(|| row.at.map(|_| kept(world, at_us)));
            let Row { v, at, .. } = world.database.write(pid, row.id, at);
            tell!(world, "pid {pid} updates row {} to v{v} at {at:?}", row.id);
        }
        None => {
            // nor does one that comes back come back with NULL
            let at = cursor(world, at_us).or_else(|| gone.map(|_| kept(world, at_us)));
            let id = gone.unwrap_or_else(|| world.database.draw_id());
            if gone.is_some() {
                world.count("rows that came back");
            }
            let Row { v, at, .. } = world.database.write(pid, id, at);
            tell!(world, "pid {pid} inserts row {id} as v{v} at {at:?}");
        }
    }
}
