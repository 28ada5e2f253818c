//! More clients than there is room for: those that only hold connections, those that ask for more runs than may be, and
//! those that leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wire::{Wire, post};
use super::{Door, PUT_OFF_MAX, RECEIVE_MAX, SLACK, table};
use crate::served_tests;
use crate::support::Test;
use crate::support::gate::Fault;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![
        idle_connections_leave_room,
        more_pushes_than_runs_are_put_off_at_once,
        a_client_that_vanishes_does_not_break_its_run_off,
    ]
}

async fn idle_connections_leave_room() {
    let door = Door::open().await;
    let address = door.address.clone();
    let mut idle: Vec<Wire> = tokio::task::spawn_blocking(move || {
        let mut wires: Vec<Wire> = (0..200).map(|_| Wire::open(&address)).collect();
        // some say nothing, some begin, some have asked before
        wires.iter_mut().step_by(3).for_each(|wire| assert!(wire.send(b"POST /sync/pg/t HTTP/1.1\r\nhost")));
        for wire in wires.iter_mut().skip(1).step_by(3) {
            wire.send(b"GET /healthz HTTP/1.1\r\nhost: d\r\n\r\n");
            assert_eq!(wire.answer().map(|answer| answer.status), Some(200));
        }
        wires
    })
    .await
    .unwrap();
    let begun = Instant::now();
    assert_eq!(door.service.push("pg/t").await.rows, 100);
    for _ in 0..20 {
        assert_eq!(door.service.post("/sync/pg/none", "").await.0, 404);
    }
    assert!(begun.elapsed() < RECEIVE_MAX, "{:?}: the idle ones were in the way", begun.elapsed());
    let closed = tokio::task::spawn_blocking(move || idle.iter_mut().map(Wire::closed).max()).await.unwrap();
    assert!(closed.unwrap() < RECEIVE_MAX + SLACK, "idle for {closed:?}");
    assert_eq!(door.runs(), 1);
}

/// A place with tables `t0`, `t1` … and room for two runs.
async fn busy(tables: usize) -> Door {
    let place = Place::new().await;
    let names: Vec<String> = (0..tables).map(|at| format!("t{at}")).collect();
    for name in &names {
        table(&place, name).await;
    }
    let settings: Vec<String> = names.iter().map(|name| format!("{name}: {{ cursor: u }}")).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    place.configure(&settings, &[], "server: { max_concurrent_runs: 2 }");
    Door::serve(place).await
}

/// Runs are slow from now on: what is asked of each target takes this long.
fn slow_down(door: &Door, time: Duration) {
    door.place.gate.fault(1000, Fault::Delay(time), |seen| seen.path.contains("/tables/t"));
}

/// Every row of the table is in BigQuery, once.
async fn assert_exact(door: &Door, table: &str) {
    let sql = format!("SELECT CAST(COUNT(*) AS STRING), CAST(COUNT(DISTINCT id) AS STRING) FROM {{d}}.{table}");
    assert_eq!(door.place.bq(&sql).await, vec![vec![Some("100".to_owned()); 2]], "{table}");
}

async fn more_pushes_than_runs_are_put_off_at_once() {
    const PUSHES: usize = 20;
    let door = Arc::new(busy(PUSHES).await);
    slow_down(&door, Duration::from_secs(3));
    let mut pushes = tokio::task::JoinSet::new();
    for at in 0..PUSHES {
        let door = door.clone();
        pushes.spawn(async move {
            let begun = Instant::now();
            let (status, retry, body) = door.service.post(&format!("/sync/pg/t{at}"), "").await;
            (at, status, retry, body, begun.elapsed())
        });
    }
    let (mut ran, mut put_off) = (Vec::new(), Vec::new());
    while let Some(pushed) = pushes.join_next().await {
        let (at, status, retry, body, took) = pushed.unwrap();
        match status {
            200 => ran.push((at, body["rows"].clone())),
            429 => {
                assert!(took < PUT_OFF_MAX && retry.as_deref() == Some("30"), "{at}: {took:?} {retry:?}");
                assert!(body["error"].as_str().unwrap().contains("max_concurrent_runs"), "{body}");
                put_off.push(took);
            }
            other => panic!("{at}: {other} {body}"),
        }
    }
    assert_eq!((ran.len(), put_off.len()), (2, PUSHES - 2));
    eprintln!("{} pushes put off, the last after {:?}", put_off.len(), put_off.iter().max().unwrap());
    for (at, rows) in &ran {
        assert_eq!(*rows, 100, "t{at}");
        assert_exact(&door, &format!("t{at}")).await;
    }
    // the slots are free again, both of them
    door.place.gate.forgive();
    let others: Vec<usize> = (0..PUSHES).filter(|at| ran.iter().all(|(ran, _)| ran != at)).take(2).collect();
    let (one, two) = (format!("pg/t{}", others[0]), format!("pg/t{}", others[1]));
    let (one, two) = tokio::join!(door.service.push(&one), door.service.push(&two));
    assert_eq!((one.rows, two.rows), (100, 100));
    door.place.assert_clean().await;
    assert_eq!(door.runs(), 4);
}

async fn a_client_that_vanishes_does_not_break_its_run_off() {
    let door = busy(3).await;
    slow_down(&door, Duration::from_secs(2));
    for table in ["t0", "t1"] {
        let mut wire = Wire::open(&door.address);
        wire.send(&post(&format!("/sync/pg/{table}"), b""));
        // gone without reading, one of them before the run can have begun
        if table == "t0" {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        drop(wire);
    }
    let first = until(|| door.runs() >= 1, Duration::from_secs(60)).await;
    assert!(first, "the run did not go on: {}", door.log());
    door.place.gate.forgive();
    // the other's may be under way still, and ends as well: then nothing of it is left to do
    let begun = Instant::now();
    while door.service.post("/sync/pg/t2", "").await.0 == 429 {
        assert!(begun.elapsed() < Duration::from_secs(60), "a slot is lost: {}", door.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(door.service.push("pg/t0").await.rows, 0, "the vanished client's run had moved them");
    door.service.push("pg/t1").await;
    // both slots are free
    let (one, two) = tokio::join!(door.service.push("pg/t1"), door.service.push("pg/t2"));
    assert_eq!((one.rows, two.rows), (0, 0));
    for table in ["t0", "t1", "t2"] {
        assert_exact(&door, table).await;
    }
    door.place.assert_clean().await;
}

/// Waits until something holds.
async fn until(holds: impl Fn() -> bool, max: Duration) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > max {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}
