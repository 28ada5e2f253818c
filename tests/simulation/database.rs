//! The source database: one table, transactions with a start, locks and a commit, and what other sessions see of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

/// One version of a row. `v` is the version's number, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: i64,
    pub at: Option<i64>,
    pub seq: i64,
    pub v: u64,
}

impl Row {
    /// The value of that column as a number.
    pub fn value(&self, column: &str) -> Option<i64> {
        match column {
            "at" => self.at,
            "seq" => Some(self.seq),
            _ => Some(self.id),
        }
    }
}

/// The committed rows at one moment.
pub type Snapshot = Arc<BTreeMap<i64, Row>>;

/// A transaction that is open.
#[derive(Debug, Default)]
pub struct Transaction {
    pub started_us: i64,
    /// Whether other sessions can see it: its start is fixed a moment before.
    pub shown: bool,
    pub xid: Option<u64>,
    writes: BTreeMap<i64, Option<Row>>,
}

/// The database.
pub struct Database {
    rows: Snapshot,
    /// Earlier moments, for replicas.
    past: Vec<(i64, Snapshot)>,
    open: BTreeMap<u64, Transaction>,
    /// Every version that was ever written, by its number.
    versions: Vec<Row>,
    next_pid: u64,
    next_xid: u64,
    next_id: i64,
    next_seq: i64,
}

impl Database {
    pub fn new() -> Self {
        let rows = Snapshot::default();
        Self {
            past: vec![(i64::MIN, rows.clone())],
            rows,
            open: BTreeMap::new(),
            versions: Vec::new(),
            next_pid: 100,
            next_xid: 7,
            next_id: 1,
            next_seq: 1,
        }
    }

    pub fn now(&self) -> Snapshot {
        self.rows.clone()
    }

    /// What had been committed by then.
    pub fn then(&self, at_us: i64) -> Snapshot {
        let found = self.past.iter().rev().find(|(committed_us, _)| *committed_us <= at_us);
        found.map(|(_, rows)| rows.clone()).unwrap_or_default()
    }

    /// Whether the table held exactly these versions, in ascending order, at some moment.
    pub fn held(&self, versions: &[u64]) -> bool {
        let as_then = |rows: &Snapshot| {
            let mut then: Vec<u64> = rows.values().map(|row| row.v).collect();
            then.sort_unstable();
            then == versions
        };
        self.past.iter().any(|(_, rows)| as_then(rows))
    }

    /// The version of that number.
    pub fn version(&self, v: u64) -> Row {
        self.versions[usize::try_from(v).unwrap()]
    }

    pub fn open(&self) -> impl Iterator<Item = (u64, &Transaction)> {
        self.open.iter().map(|(pid, transaction)| (*pid, transaction))
    }

    /// PostgreSQL's `xmin` and `xmax`.
    pub fn snapshot_numbers(&self) -> (u64, u64) {
        let oldest = self.open.values().filter_map(|transaction| transaction.xid).min();
        (oldest.unwrap_or(self.next_xid), self.next_xid)
    }

    pub fn begin(&mut self, now_us: i64) -> u64 {
        self.next_pid += 1;
        self.open.insert(self.next_pid, Transaction { started_us: now_us, ..Transaction::default() });
        self.next_pid
    }

    pub fn show(&mut self, pid: u64) {
        self.open.get_mut(&pid).unwrap().shown = true;
    }

    pub fn started_us(&self, pid: u64) -> i64 {
        self.open[&pid].started_us
    }

    /// A row that exists and that no other transaction has locked.
    pub fn pick(&self, pid: u64, rng: &mut fastrand::Rng) -> Option<Row> {
        let locked = |id: &i64| self.open.iter().any(|(other, open)| *other != pid && open.writes.contains_key(id));
        let free: Vec<&Row> = self.rows.values().filter(|row| !locked(&row.id)).collect();
        let picked = (!free.is_empty()).then(|| *free[rng.usize(0..free.len())])?;
        self.open[&pid].writes.get(&picked.id).copied().unwrap_or(Some(picked))
    }

    /// The id of a row that is not there any more, and that no other transaction is about to write.
    pub fn pick_gone(&self, rng: &mut fastrand::Rng) -> Option<i64> {
        let written = |id: i64| self.open.values().any(|open| open.writes.contains_key(&id));
        let gone: Vec<i64> =
            (1..self.next_id).filter(|id| !self.rows.contains_key(id)).filter(|id| !written(*id)).collect();
        (!gone.is_empty()).then(|| gone[rng.usize(0..gone.len())])
    }

    /// Draws an id from its sequence; ids are committed in another order than they are drawn in.
    pub fn draw_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Writes a new version of the row.
    pub fn write(&mut self, pid: u64, id: i64, at: Option<i64>) -> Row {
        self.next_seq += 1;
        let row = Row { id, at, seq: self.next_seq, v: u64::try_from(self.versions.len()).unwrap() };
        self.versions.push(row);
        self.touch(pid).writes.insert(id, Some(row));
        row
    }

    pub fn delete(&mut self, pid: u64, id: i64) {
        self.touch(pid).writes.insert(id, None);
    }

    fn touch(&mut self, pid: u64) -> &mut Transaction {
        let transaction = self.open.get_mut(&pid).unwrap();
        if transaction.xid.is_none() {
            transaction.xid = Some(self.next_xid);
            self.next_xid += 1;
        }
        transaction
    }

    /// Makes the transaction's rows visible. It is still shown as open until [`Database::end`].
    pub fn commit(&mut self, pid: u64, now_us: i64) {
        let writes = std::mem::take(&mut self.open.get_mut(&pid).unwrap().writes);
        let rows = Arc::make_mut(&mut self.rows);
        for (id, row) in writes {
            match row {
                Some(row) => drop(rows.insert(id, row)),
                None => drop(rows.remove(&id)),
            }
        }
        self.past.push((now_us, self.rows.clone()));
    }

    pub fn end(&mut self, pid: u64) {
        self.open.remove(&pid);
    }
}

/// An instant as the engine writes it.
pub fn instant_text(at_us: i64) -> String {
    format!("{:.6}", Timestamp::from_microsecond(at_us).unwrap())
}

/// A cursor's or key's text as a number.
pub fn value_of(text: &str) -> i64 {
    let instant = || format!("{}Z", text.trim_end_matches('Z')).parse::<Timestamp>().unwrap().as_microsecond();
    text.parse().unwrap_or_else(|_| instant())
}
