//! The plain reader that Highwater is compared with: `WHERE cursor > watermark ORDER BY cursor`, as many syncs are.

use std::collections::HashMap;

use super::Table;
use super::database::{Conn, Kind};
use crate::support::place::Place;

/// A plain reader of one table, with a connection of its own, each read a transaction of its own.
pub(super) struct Plain {
    kind: Kind,
    conn: Conn,
    table: &'static str,
    cursor: &'static str,
    watermark: String,
    /// The version of each row that it has seen last, by id.
    seen: HashMap<u64, u64>,
}

impl Plain {
    pub(super) async fn open(kind: Kind, place: &Place, table: &Table) -> Self {
        let (cursor, watermark) = if table.append { ("id", "0") } else { ("u", "1970-01-01 00:00:00") };
        let conn = Conn::open(kind, place).await;
        Self { kind, conn, table: table.name, cursor, watermark: watermark.to_owned(), seen: HashMap::new() }
    }

    /// Reads what is beyond the watermark, and moves it to the last row.
    pub(super) async fn read(&mut self) {
        let (kind, cursor) = (self.kind, self.cursor);
        let (id, version, text) = (kind.text("id"), kind.text("v"), kind.text(cursor));
        let sql = format!(
            "SELECT {id}, {version}, {text} FROM {} WHERE {cursor} > '{}' ORDER BY {}.{cursor}",
            self.table, self.watermark, self.table
        );
        let rows = self.conn.rows(&sql).await;
        for row in &rows {
            let number = |index: usize| row[index].as_ref().unwrap().parse().unwrap();
            self.seen.insert(number(0), number(1));
        }
        if let Some(last) = rows.last() {
            self.watermark.clone_from(last[2].as_ref().unwrap());
        }
    }

    /// The greatest id of the table.
    pub(super) async fn greatest(&mut self) -> u64 {
        let sql = format!("SELECT {} FROM {}", self.kind.text("max(id)"), self.table);
        self.conn.one(&sql).await.parse().unwrap()
    }

    /// How many rows it does not have as they are now.
    pub(super) async fn lost(&mut self) -> u64 {
        let (id, version) = (self.kind.text("id"), self.kind.text("v"));
        let rows = self.conn.rows(&format!("SELECT {id}, {version} FROM {}", self.table)).await;
        let number = |cell: &Option<String>| cell.as_ref().unwrap().parse::<u64>().unwrap();
        let lost = rows.iter().filter(|row| self.seen.get(&number(&row[0])) != Some(&number(&row[1])));
        u64::try_from(lost.count()).unwrap()
    }
}
