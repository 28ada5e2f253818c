//! The two databases under the writers: tables, users, connections, and what their dialects differ in.

use std::fmt;
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlDatabaseError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::TABLES;
use crate::support::place::{Place, Rows};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    MariaDb,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        })
    }
}

impl Kind {
    /// An expression as text.
    pub(super) fn text(self, sql: &str) -> String {
        match self {
            Self::Postgres => format!("({sql})::text"),
            Self::MariaDb => format!("CAST({sql} AS CHAR)"),
        }
    }
}

const BLIND_PASSWORD: &str = "blind-reader";

/// The administrator's url: it sees every session.
pub(super) fn url(kind: Kind, place: &Place) -> String {
    match kind {
        Kind::Postgres => place.pg_url(),
        Kind::MariaDb => place.my_url(),
    }
}

/// The url of a user who may read the tables and see nobody else's session.
pub(super) fn blind_url(kind: Kind, place: &Place) -> String {
    let (scheme, port) = match kind {
        Kind::Postgres => ("postgres", place.stack.postgres.port),
        Kind::MariaDb => ("mysql", place.stack.mysql.port),
    };
    format!("{scheme}://blind_{}:{BLIND_PASSWORD}@127.0.0.1:{port}/{}", place.name, place.name)
}

/// Makes tables and users. Rows with `w` = -1 are there for all writers to change.
pub(super) async fn create(kind: Kind, place: &Place) {
    let user = format!("blind_{}", place.name);
    match kind {
        Kind::Postgres => {
            for (table, digits) in TABLES.iter().zip(["6", "0", "6"]) {
                let name = table.name;
                place
                    .pg(&format!(
                        "CREATE TABLE {name} (id bigserial PRIMARY KEY, w int NOT NULL, v int NOT NULL, t text NOT NULL,
                                              u timestamptz({digits}) NOT NULL);
                         CREATE INDEX ON {name} (u, id); CREATE INDEX ON {name} (w, id);
                         INSERT INTO {name} (w, v, t, u) SELECT -1, 0, 'hot', now() FROM generate_series(1, 8)"
                    ))
                    .await;
            }
            place
                .pg(&format!(
                    "CREATE ROLE {user} LOGIN PASSWORD '{BLIND_PASSWORD}';
                     GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
                ))
                .await;
        }
        Kind::MariaDb => {
            for (table, digits) in TABLES.iter().zip(["6", "0", "6"]) {
                let name = table.name;
                place
                    .my(&format!(
                        "CREATE TABLE {name} (id bigint PRIMARY KEY AUTO_INCREMENT, w int NOT NULL, v int NOT NULL,
                            t varchar(40) NOT NULL, u datetime({digits}) NOT NULL DEFAULT CURRENT_TIMESTAMP({digits})
                                ON UPDATE CURRENT_TIMESTAMP({digits}),
                            KEY (u, id), KEY (w, id));
                         SET time_zone = '+00:00';
                         INSERT INTO {name} (w, v, t) SELECT -1, 0, 'hot' FROM seq_1_to_8"
                    ))
                    .await;
            }
            place
                .my(&format!(
                    "CREATE USER {user}@'%' IDENTIFIED BY '{BLIND_PASSWORD}'; GRANT SELECT ON {}.* TO {user}@'%'",
                    place.name
                ))
                .await;
        }
    }
}

/// Every column as text, the time in microseconds.
pub(super) fn all_columns(kind: Kind, table: &str, condition: &str) -> String {
    let micros = match kind {
        Kind::Postgres => "(extract(epoch FROM u) * 1000000)::bigint",
        Kind::MariaDb => "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', u)",
    };
    let columns = ["id", "w", "v", "t", micros].map(|column| kind.text(column)).join(", ");
    format!("SELECT {columns} FROM (SELECT * FROM {table} WHERE {condition}) AS part ORDER BY part.id")
}

/// A connection of a writer or reader.
pub(super) enum Conn {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Conn {
    pub(super) async fn open(kind: Kind, place: &Place) -> Self {
        match kind {
            Kind::Postgres => Self::Postgres(place.pg_connection().await),
            Kind::MariaDb => {
                let url = format!("{}?ssl-mode=disabled", place.my_url());
                let mut conn = MySqlConnection::connect(&url).await.unwrap();
                // gaps that are locked would only have writers wait for each other
                let pinned = "SET time_zone = '+00:00', tx_isolation = 'READ-COMMITTED'";
                conn.execute(pinned).await.unwrap();
                Self::MariaDb(conn)
            }
        }
    }

    /// Runs one statement, by the text protocol: some are not to be had by the other.
    pub(super) async fn run(&mut self, sql: &str) {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = match self {
            Self::Postgres(conn) => conn.execute(text).await.map(drop),
            Self::MariaDb(conn) => conn.execute(text).await.map(drop),
        };
        done.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// Commits what another session of MariaDB may have prepared: it is nobody's for a moment after that one has left.
    pub(super) async fn commit_prepared(&mut self, name: &str) {
        const UNKNOWN_XID: u16 = 1397;
        let Self::MariaDb(conn) = self else { panic!("only MariaDB has XA COMMIT") };
        let sql = format!("XA COMMIT '{name}'");
        for _ in 0..100 {
            let done = conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.clone()))).await;
            let Err(error) = done else { return };
            let unknown = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
            assert!(unknown.is_some_and(|error| error.number() == UNKNOWN_XID), "{error}: {sql}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nobody knows {name}");
    }

    /// Rows of a query whose columns are all text.
    pub(super) async fn rows(&mut self, sql: &str) -> Rows {
        let query = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(conn) => {
                let rows = sqlx::query(query).persistent(false).fetch_all(conn).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|index| row.get(index)).collect()).collect()
            }
            Self::MariaDb(conn) => {
                let rows = sqlx::query(query).persistent(false).fetch_all(conn).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|index| row.get(index)).collect()).collect()
            }
        }
    }

    /// The first cell.
    pub(super) async fn one(&mut self, sql: &str) -> String {
        self.rows(sql).await.remove(0).remove(0).unwrap_or_default()
    }
}
