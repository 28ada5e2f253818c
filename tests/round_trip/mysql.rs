//! MariaDB: its types with their values, and the database that is asked for its own text.

mod meanings;
mod values;

use std::cell::RefCell;

use highwater::model::BqType as Bq;
use highwater::source::mysql::MySqlSource;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _};

use self::values as of;
use super::canon;
use super::meaning::{self, Meaning};
use super::run::{self, Entry, Kind, Oracle};
use super::strategies as any;
use super::strategies::Texts;
use crate::support::Test;
use crate::support::stack::{Database, stack};

pub fn tests() -> Vec<Test> {
    let test = |&(name, kind): &Entry| {
        super::test("mysql", name, move || run::check(name, &kind(), async || MariaDb::open().await))
    };
    KINDS.iter().map(test).collect()
}

fn kind(declared: &'static str, ty: Bq, values: Texts, meaning: fn(&str) -> Meaning) -> Kind {
    Kind {
        declared,
        setup: "",
        ty,
        values,
        input: "",
        literal: string,
        shown: "CAST(v AS CHAR)",
        meaning,
        arrived: |value| Ok(value.to_owned()),
    }
}

/// A number, as it stands.
fn number(declared: &'static str, ty: Bq, values: Texts, meaning: fn(&str) -> Meaning) -> Kind {
    Kind { literal: str::to_owned, ..kind(declared, ty, values, meaning) }
}

/// An integer of so many bits.
fn integer(declared: &'static str, bits: u32) -> Kind {
    let half = 1_i128 << (bits - 1);
    let range = if declared.ends_with("unsigned") { 0..=2 * half - 1 } else { -half..=half - 1 };
    number(declared, Bq::Int64, any::integers(range), meaning::integer)
}

/// A type whose text, in utf8mb4, is what must arrive.
fn text(declared: &'static str, values: Texts) -> Kind {
    Kind { shown: "HEX(CONVERT(v USING utf8mb4))", ..kind(declared, Bq::String, values, meaning::text_bytes) }
}

fn bytes(declared: &'static str, values: Texts) -> Kind {
    Kind { literal: |hex| format!("X'{hex}'"), shown: "HEX(v)", ..kind(declared, Bq::Bytes, values, meaning::bytes) }
}

fn bits(declared: &'static str, ty: Bq, most: i128, meaning: fn(&str) -> Meaning) -> Kind {
    Kind { shown: "CAST(v + 0 AS CHAR)", ..number(declared, ty, any::integers(0..=most), meaning) }
}

fn shape(declared: &'static str, values: Texts) -> Kind {
    Kind {
        literal: |wkt| format!("ST_GeomFromText('{wkt}')"),
        shown: "HEX(ST_AsWKB(v))",
        arrived: meanings::wkt,
        ..kind(declared, Bq::String, values, meanings::wkb)
    }
}

/// A string literal that needs no escape.
fn string(value: &str) -> String {
    format!("_utf8mb4 X'{}'", canon::hex(value.as_bytes()))
}

const ENUM: &str =
    r#"enum('a','it''s "ok"','','x,y','back\\slash','ä🦀','NULL','line\nend','{}') CHARACTER SET utf8mb4"#;
const SET: &str = r#"set('a','it''s "ok"','b c','back\\slash','ä🦀','NULL','{}') CHARACTER SET utf8mb4"#;

const KINDS: &[Entry] = &[
    ("tinyint1", || {
        number("tinyint(1)", Bq::Bool, any::edges(&["0", "1"], any::integers(-128..=127)), meanings::boolean)
    }),
    ("tinyint", || integer("tinyint", 8)),
    ("tinyint_unsigned", || integer("tinyint unsigned", 8)),
    ("smallint", || integer("smallint", 16)),
    ("smallint_unsigned", || integer("smallint unsigned", 16)),
    ("mediumint", || integer("mediumint", 24)),
    ("mediumint_unsigned", || integer("mediumint unsigned", 24)),
    ("int", || integer("int", 32)),
    ("int_unsigned", || integer("int unsigned", 32)),
    ("int_zerofill", || number("int(12) zerofill", Bq::Int64, any::integers(0..=u32::MAX.into()), meaning::integer)),
    ("bigint", || integer("bigint", 64)),
    ("bigint_unsigned", || Kind { ty: Bq::Numeric, meaning: meaning::numeric, ..integer("bigint unsigned", 64) }),
    ("decimal_18_4", || number("decimal(18,4)", Bq::Numeric, any::decimals(14, 4), meaning::numeric)),
    ("decimal_38_9", || number("decimal(38,9)", Bq::Numeric, any::decimals(29, 9), meaning::numeric)),
    ("decimal_65_30", || number("decimal(65,30)", Bq::BigNumeric, any::decimals(35, 30), meaning::bignumeric)),
    ("decimal_65_0", || number("decimal(65,0)", Bq::String, any::decimals(65, 0), meaning::text)),
    // the text of a float has six digits, that of the same double all
    ("float", || Kind {
        shown: "CAST(CAST(v AS DOUBLE) AS CHAR)",
        arrived: canon::single_of_double,
        ..kind("float", Bq::Float64, any::exponents(any::finite_singles()), meaning::single)
    }),
    ("double", || kind("double", Bq::Float64, any::exponents(any::finite_doubles()), meaning::double)),
    ("bit1", || bits("bit(1)", Bq::Bool, 1, meanings::boolean)),
    ("bit8", || bits("bit(8)", Bq::Int64, 255, meaning::integer)),
    ("bit64", || bits("bit(64)", Bq::Numeric, u64::MAX.into(), meaning::numeric)),
    ("char", || text("char(12) CHARACTER SET utf8mb4", any::texts(12))),
    ("varchar_utf8mb4", || text("varchar(60) CHARACTER SET utf8mb4", of::texts(60))),
    ("varchar_binary_collation", || text("varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", of::texts(60))),
    ("varchar_latin1", || text("varchar(60) CHARACTER SET latin1", of::latin(60))),
    ("text", || text("text CHARACTER SET utf8mb4", of::texts(3000))),
    ("binary", || bytes("binary(4)", any::hex_bytes(0..=4))),
    ("varbinary", || bytes("varbinary(100)", any::hex_bytes(0..=100))),
    ("blob", || bytes("blob", any::hex_bytes(0..=2000))),
    ("date", || kind("date", Bq::Date, of::dates(), meaning::date)),
    ("datetime", || kind("datetime", Bq::DateTime, of::datetimes(0), meaning::datetime)),
    ("datetime6", || kind("datetime(6)", Bq::DateTime, of::datetimes(6), meaning::datetime)),
    ("timestamp3", || Kind {
        literal: of::instant,
        ..kind("timestamp(3)", Bq::Timestamp, of::instants(), meaning::datetime)
    }),
    ("time", || kind("time", Bq::Time, of::times(0), meaning::time)),
    ("time6", || kind("time(6)", Bq::Time, of::times(6), meaning::time)),
    ("year", || {
        number("year", Bq::Int64, any::edges(&["0", "1901", "2155"], any::integers(1901..=2155)), meanings::year)
    }),
    ("enum", || text(ENUM, of::labels())),
    ("set", || text(SET, of::label_sets())),
    ("json", || Kind {
        shown: "HEX(CONVERT(v USING utf8mb4))",
        ..kind("json", Bq::Json, of::documents(), meanings::json)
    }),
    ("json_beyond_bigquery", || Kind {
        shown: "HEX(CONVERT(v USING utf8mb4))",
        ..kind("json", Bq::Json, any::edges(&["1e400", "[-1e309]"], of::documents()), meanings::json)
    }),
    ("uuid", || kind("uuid", Bq::String, any::rfc_uuids(), meaning::text)),
    ("inet4", || kind("inet4", Bq::String, any::shown(any::v4()), meaning::text)),
    ("inet6", || kind("inet6", Bq::String, any::shown(any::v6()), meaning::text)),
    ("point", || shape("point", of::points())),
    ("polygon", || shape("polygon", of::polygons())),
];

/// One connection that asks, and the program's source.
struct MariaDb {
    connection: MySqlConnection,
    source: MySqlSource,
}

thread_local! {
    /// The thread's database.
    static DATABASE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A database of the thread's own, made at first use.
async fn database(at: &Database) -> String {
    if let Some(name) = DATABASE.with_borrow(Clone::clone) {
        return name;
    }
    let thread = format!("{:?}", std::thread::current().id()).replace(|char: char| !char.is_ascii_digit(), "");
    let name = format!("round_trip_{}_{thread}", std::process::id());
    let mut connection = connect(at, "mysql").await;
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))))
        .await
        .unwrap();
    DATABASE.set(Some(name.clone()));
    name
}

async fn connect(at: &Database, database: &str) -> MySqlConnection {
    let url = format!("mysql://{}:{}@127.0.0.1:{}/{database}?ssl-mode=disabled", at.user, at.password, at.port);
    MySqlConnection::connect(&url).await.unwrap()
}

impl MariaDb {
    async fn open() -> Self {
        let at = &stack().mysql;
        let database = database(at).await;
        let mut connection = connect(at, &database).await;
        let pinned = "SET SESSION sql_select_limit = DEFAULT; SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = 'ALLOW_INVALID_DATES,STRICT_ALL_TABLES'";
        connection.execute(sqlx::raw_sql(pinned)).await.unwrap();
        Self { connection, source: MySqlSource::new(run::connection(at, &database)) }
    }

    async fn execute(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)
    }

    async fn insert(&mut self, name: &str, kind: &Kind, values: &[(i64, Option<&str>)]) -> Result<(), sqlx::Error> {
        if values.is_empty() {
            return Ok(());
        }
        let literal = |value: Option<&str>| value.map_or_else(|| "NULL".to_owned(), kind.literal);
        let rows: Vec<String> = values.iter().map(|(id, value)| format!("({id}, {})", literal(*value))).collect();
        self.execute(format!("INSERT INTO {name}_t (id, v) VALUES {}", rows.join(", "))).await
    }
}

impl Oracle for MariaDb {
    type Source = MySqlSource;

    fn source(&self) -> &MySqlSource {
        &self.source
    }

    async fn create(&mut self, name: &str, kind: &Kind) {
        let sql = format!("CREATE TABLE {name}_t (id bigint PRIMARY KEY, v {} NULL)", kind.declared);
        self.execute(sql.clone()).await.unwrap_or_else(|wrong| panic!("{wrong}: {sql}"));
    }

    async fn fill(&mut self, name: &str, kind: &Kind, values: &[(i64, Option<&str>)]) -> Vec<String> {
        self.execute(format!("DELETE FROM {name}_t")).await.unwrap();
        if self.insert(name, kind, values).await.is_ok() {
            return Vec::new();
        }
        let mut refused = Vec::new();
        for value in values {
            if let Err(wrong) = self.insert(name, kind, &[*value]).await {
                refused.push(format!("{value:?}: {wrong}"));
            }
        }
        refused
    }

    async fn shown(&mut self, name: &str, kind: &Kind) -> Vec<(i64, Option<String>)> {
        let sql = format!("SELECT id, {} FROM {name}_t ORDER BY id", kind.shown);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.try_get_unchecked(1).unwrap())).collect()
    }
}
