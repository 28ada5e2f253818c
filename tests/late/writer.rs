//! A writer: transactions of 0 to 10 s, of several batches, that commit, roll back, or are prepared.

use std::fmt;
use std::time::{Duration, Instant};

use super::database::{Conn, Kind};
use super::{LONGEST, TABLES};
use crate::support::place::Place;

/// Transactions up to this long may change rows that others want too; they wait for each other.
const CROWDED_MAX: Duration = Duration::from_secs(2);
/// The writers that prepare transactions, fewer than the servers take at once.
const PREPARING: u32 = 4;
/// The longest that a transaction stays prepared.
const PREPARED_MAX: Duration = Duration::from_secs(3);

/// What a writer did.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) inserted: u64,
    pub(super) updates: u64,
    pub(super) transactions: u64,
    pub(super) rolled_back: u64,
    pub(super) prepared: u64,
    /// The longest transaction, from before its beginning to after its end.
    pub(super) longest: Duration,
}

impl Done {
    /// What all of them did.
    pub(super) fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, one| Self {
            inserted: sum.inserted + one.inserted,
            updates: sum.updates + one.updates,
            transactions: sum.transactions + one.transactions,
            rolled_back: sum.rolled_back + one.rolled_back,
            prepared: sum.prepared + one.prepared,
            longest: sum.longest.max(one.longest),
        })
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows inserted, {} updates, {} transactions, {} rolled back, {} prepared, the longest {:.1?}",
            self.inserted, self.updates, self.transactions, self.rolled_back, self.prepared, self.longest
        )
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    RollBack,
    /// Prepared, and committed by another session if that flag is set: the one that prepared it has left.
    Prepare {
        leave: bool,
    },
}

/// One writer and its connection.
pub(super) struct Writer<'a> {
    kind: Kind,
    place: &'a Place,
    number: u32,
    /// Rows that are to be inserted still.
    left: u32,
    batch: u32,
    random: fastrand::Rng,
    done: Done,
}

impl<'a> Writer<'a> {
    pub(super) fn new(kind: Kind, place: &'a Place, number: u32, rows: u32, batch: u32) -> Self {
        let random = fastrand::Rng::with_seed(u64::from(number) + 1);
        Self { kind, place, number, left: rows, batch, random, done: Done::default() }
    }

    /// Writes until all rows are in.
    pub(super) async fn run(mut self) -> Done {
        let mut conn = Conn::open(self.kind, self.place).await;
        while self.left > 0 {
            conn = self.transaction(conn).await;
        }
        self.done
    }

    async fn transaction(&mut self, mut conn: Conn) -> Conn {
        // mostly short, now and then as long as any
        let long = self.random.f64().powi(3);
        let mut open_for = LONGEST.mul_f64(long);
        let end = match self.random.u32(0..100) {
            0..8 => End::RollBack,
            8..30 if self.number < PREPARING => End::Prepare { leave: self.random.bool() },
            _ => End::Commit,
        };
        let prepared_for = PREPARED_MAX.mul_f64(self.random.f64()).min(open_for);
        if matches!(end, End::Prepare { .. }) {
            open_for -= prepared_for;
        }
        let name = format!("{}_{}_{}", self.place.name, self.number, self.done.transactions);
        let xa = self.kind == Kind::MariaDb && matches!(end, End::Prepare { .. });
        let begun = Instant::now();
        conn.run(&if xa { format!("XA START '{name}'") } else { "START TRANSACTION".to_owned() }).await;
        let steps = self.random.u32(1..=4);
        let crowded = (open_for < CROWDED_MAX && end == End::Commit).then(|| self.random.u32(0..steps * 2));
        let mut inserted = 0;
        for step in 0..steps {
            inserted += self.step(&mut conn, step, inserted).await;
            if crowded == Some(step) {
                self.change_a_row_of_all(&mut conn).await;
            }
            tokio::time::sleep(open_for / steps).await;
        }
        match end {
            End::Commit => conn.run("COMMIT").await,
            End::RollBack => conn.run("ROLLBACK").await,
            End::Prepare { leave } => conn = self.prepare(conn, &name, prepared_for, leave).await,
        }
        self.done.longest = self.done.longest.max(begun.elapsed());
        self.done.transactions += 1;
        match end {
            End::RollBack => self.done.rolled_back += 1,
            End::Prepare { .. } => self.done.prepared += 1,
            End::Commit => {}
        }
        if end != End::RollBack {
            self.left -= inserted;
            self.done.inserted += u64::from(inserted);
        }
        conn
    }

    async fn prepare(&mut self, mut conn: Conn, name: &str, prepared_for: Duration, leave: bool) -> Conn {
        match self.kind {
            Kind::Postgres => conn.run(&format!("PREPARE TRANSACTION '{name}'")).await,
            Kind::MariaDb => {
                conn.run(&format!("XA END '{name}'")).await;
                conn.run(&format!("XA PREPARE '{name}'")).await;
            }
        }
        if leave {
            drop(conn);
            conn = Conn::open(self.kind, self.place).await;
        }
        tokio::time::sleep(prepared_for).await;
        match self.kind {
            Kind::Postgres => conn.run(&format!("COMMIT PREPARED '{name}'")).await,
            Kind::MariaDb => conn.commit_prepared(name).await,
        }
        conn
    }

    /// One statement of the transaction, `pending` rows of which are inserted already. Gives the rows that it inserts.
    async fn step(&mut self, conn: &mut Conn, step: u32, pending: u32) -> u32 {
        if step == 0 && self.kind == Kind::MariaDb {
            // a first read, so that the transaction is open before the time that rows may be stamped with
            conn.run("SELECT count(*) FROM (SELECT id FROM moved LIMIT 1) AS one").await;
            conn.run("SET @early = NOW(6)").await;
        }
        let mut share = self.random.u32(0..100);
        let table = TABLES.iter().find(|table| {
            let hit = share < table.share;
            share = share.saturating_sub(table.share);
            hit
        });
        let table = table.unwrap();
        let rows = self.random.u32(1..=self.batch);
        let stamp = self.stamp();
        if !table.append && self.random.u32(0..3) == 0 {
            self.update(conn, table.name, rows.div_ceil(4), stamp).await;
            return 0;
        }
        let rows = rows.min(self.left - pending);
        let (columns, values) = match stamp {
            Some(stamp) => (", u", format!(", {stamp}")),
            None => ("", String::new()),
        };
        let (series, text) = match self.kind {
            Kind::Postgres => (format!("generate_series(1, {rows})"), "md5(random()::text)"),
            Kind::MariaDb => (format!("seq_1_to_{rows}"), "MD5(RAND())"),
        };
        if rows > 0 {
            let (name, number) = (table.name, self.number);
            conn.run(&format!(
                "INSERT INTO {name} (w, v, t{columns}) SELECT {number}, 0, {text}{values} FROM {series}"
            ))
            .await;
        }
        rows
    }

    /// Changes some of the writer's own rows.
    async fn update(&mut self, conn: &mut Conn, table: &str, rows: u32, stamp: Option<&str>) {
        let number = self.number;
        let most = conn.one(&format!("SELECT {} FROM {table} WHERE w = {number}", self.kind.text("max(id)"))).await;
        let from = self.random.u64(0..=most.parse().unwrap_or(0));
        let stamp = stamp.map(|stamp| format!(", u = {stamp}")).unwrap_or_default();
        let own = format!("w = {number} AND id >= {from} ORDER BY id LIMIT {rows}");
        conn.run(&match self.kind {
            Kind::Postgres => format!(
                "UPDATE {table} SET v = v + 1, t = md5(random()::text){stamp} \
                 WHERE id IN (SELECT id FROM {table} WHERE {own})"
            ),
            Kind::MariaDb => format!("UPDATE {table} SET v = v + 1, t = MD5(RAND()){stamp} WHERE {own}"),
        })
        .await;
        self.done.updates += 1;
    }

    /// Changes a row that others change too: the later may have to wait, with an earlier stamp.
    async fn change_a_row_of_all(&mut self, conn: &mut Conn) {
        let table = TABLES[self.random.usize(0..2)].name;
        let (row, stamp) = (self.random.u32(1..=8), self.stamp());
        let stamp = stamp.map(|stamp| format!(", u = {stamp}")).unwrap_or_default();
        conn.run(&format!("UPDATE {table} SET v = v + 1{stamp} WHERE id = {row}")).await;
        self.done.updates += 1;
    }

    /// What a row is stamped with: anything from the transaction's start until now. `None` leaves it to the column.
    fn stamp(&mut self) -> Option<&'static str> {
        let choice = self.random.u32(0..4);
        match (self.kind, choice) {
            (Kind::Postgres, 0) => Some("now()"),
            (Kind::Postgres, 1) => Some("clock_timestamp()"),
            (Kind::Postgres, 2) => Some("statement_timestamp()"),
            (Kind::Postgres, _) => Some("now() + random() * (clock_timestamp() - now())"),
            (Kind::MariaDb, 0) => Some("NOW(6)"),
            (Kind::MariaDb, 1) => Some("SYSDATE(6)"),
            (Kind::MariaDb, 2) => {
                Some("@early + INTERVAL FLOOR(RAND() * TIMESTAMPDIFF(MICROSECOND, @early, NOW(6))) MICROSECOND")
            }
            (Kind::MariaDb, _) => None,
        }
    }
}
