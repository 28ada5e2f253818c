//! PostgreSQL: its types with their values, and the database that is asked for its own text.

mod meanings;
mod values;

use std::cell::RefCell;

use highwater::model::BqType as Bq;
use highwater::source::postgres::PostgresSource;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

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
        super::test("postgres", name, move || run::check(name, &kind(), async || Postgres::open(encoding(name)).await))
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
        literal: str::to_owned,
        shown: "v::text",
        meaning,
        arrived: |value| Ok(value.to_owned()),
    }
}

/// A type whose text is what must arrive.
fn text(declared: &'static str, values: Texts) -> Kind {
    kind(declared, Bq::String, values, meaning::text)
}

const ADDR: &str = "CREATE TYPE addr AS (street text, zip int, \"Note \"\"x\"\"\" numeric)";
const MOOD: &str =
    r#"CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'a,b', '', ' ', 'back\slash', 'ä🦀', 'NULL', '{}')"#;
const POSINT: &str =
    "CREATE DOMAIN posint0 AS bigint CHECK (value > 0); CREATE DOMAIN posint AS posint0 CHECK (value <> 7)";
const ASCII: &str = "text_without_an_encoding";

const KINDS: &[Entry] = &[
    ("smallint", || kind("smallint", Bq::Int64, any::integers(i16::MIN.into()..=i16::MAX.into()), meaning::integer)),
    ("integer", || kind("integer", Bq::Int64, any::integers(i32::MIN.into()..=i32::MAX.into()), meaning::integer)),
    ("bigint", || kind("bigint", Bq::Int64, any::integers(i64::MIN.into()..=i64::MAX.into()), meaning::integer)),
    ("oid", || kind("oid", Bq::Int64, any::integers(0..=u32::MAX.into()), meaning::integer)),
    ("real", || Kind {
        arrived: canon::single_of_double,
        ..kind("real", Bq::Float64, of::floats(any::exponents(any::finite_singles())), meaning::single)
    }),
    ("double", || {
        kind("double precision", Bq::Float64, of::floats(any::exponents(any::finite_doubles())), meaning::double)
    }),
    ("numeric", || kind("numeric", Bq::BigNumeric, of::numerics(), meaning::bignumeric)),
    ("numeric_18_4", || kind("numeric(18,4)", Bq::Numeric, of::or_nan(any::decimals(14, 4)), meaning::numeric)),
    ("numeric_38_9", || kind("numeric(38,9)", Bq::Numeric, of::or_nan(any::decimals(29, 9)), meaning::numeric)),
    ("numeric_76_38", || {
        kind("numeric(76,38)", Bq::BigNumeric, of::or_nan(any::decimals(38, 38)), meaning::bignumeric)
    }),
    ("numeric_100_2", || text("numeric(100,2)", of::or_nan(any::decimals(98, 2)))),
    ("numeric_5_minus_3", || kind("numeric(5,-3)", Bq::Numeric, of::or_nan(any::decimals(7, 2)), meaning::numeric)),
    ("numeric_3_5", || kind("numeric(3,5)", Bq::Numeric, of::or_nan(of::thousandths()), meaning::numeric)),
    ("money", || kind("money", Bq::Numeric, of::money(), meanings::money)),
    ("boolean", || {
        kind("boolean", Bq::Bool, any::edges(&["true", "f"], any::edges(&["yes", "0"], of::just("on"))), meaning::text)
    }),
    ("text", || text("text", any::texts(3000))),
    (ASCII, || Kind {
        input: "convert_from(decode(x, 'hex'), 'SQL_ASCII')",
        shown: "encode(convert_to(v, 'SQL_ASCII'), 'hex')",
        ..kind("text", Bq::String, of::nearly_utf8(), meaning::text_bytes)
    }),
    ("varchar", || text("varchar(50)", any::texts(50))),
    // the cast to text would cut the blanks off
    ("char", || Kind { shown: "textin(bpcharout(v))", ..text("char(5)", any::texts(7)) }),
    ("name", || text("name", any::texts(70))),
    ("bytea", || Kind {
        input: "decode(x, 'hex')",
        shown: "encode(v, 'hex')",
        ..kind("bytea", Bq::Bytes, any::hex_bytes(0..=300), meaning::bytes)
    }),
    ("uuid", || text("uuid", any::uuids())),
    ("date", || kind("date", Bq::Date, of::dates(), meaning::date)),
    ("time", || kind("time", Bq::Time, of::times(), meaning::time)),
    ("timetz", || kind("timetz", Bq::Time, of::zoned_times(), meanings::timetz)),
    ("timestamp", || kind("timestamp", Bq::DateTime, of::timestamps(6), meaning::datetime)),
    ("timestamp0", || kind("timestamp(0)", Bq::DateTime, of::timestamps(6), meaning::datetime)),
    ("timestamptz", || kind("timestamptz", Bq::Timestamp, of::instants(), meanings::timestamptz)),
    ("timestamptz3", || kind("timestamptz(3)", Bq::Timestamp, of::instants(), meanings::timestamptz)),
    ("interval", || Kind {
        arrived: meanings::iso_interval,
        ..kind("interval", Bq::String, of::intervals(), meanings::interval)
    }),
    ("json", || kind("json", Bq::Json, any::documents(true), meaning::json)),
    ("jsonb", || kind("jsonb", Bq::Json, any::documents(false), meaning::json)),
    ("json_beyond_bigquery", || {
        let halves =
            ["\"\\ud800\"", "[\"\\udc00\"]", "{\"\\ud83d\\u0041\":1}", "\"x\\udfff\\ud800\"", "1e400", "[-1e309]"];
        kind("json", Bq::Json, any::edges(&halves, any::documents(true)), meaning::json)
    }),
    ("jsonb_beyond_bigquery", || {
        kind(
            "jsonb",
            Bq::Json,
            any::edges(&["1e400", "{\"a\":[-1e309]}", "1e308"], any::documents(false)),
            meaning::json,
        )
    }),
    ("numeric_array_beyond_bigquery", || {
        kind(
            "numeric[]",
            Bq::Json,
            of::arrays(any::edges(&["1e400", "-1e309"], any::decimals(9, 9))),
            meanings::numeric_array,
        )
    }),
    ("hstore", || Kind {
        setup: "CREATE EXTENSION hstore",
        ..kind("hstore", Bq::Json, of::hstores(), meanings::hstore)
    }),
    ("int_array", || {
        kind("int[]", Bq::Json, of::arrays(any::integers(i32::MIN.into()..=i32::MAX.into())), meanings::int_array)
    }),
    ("text_array", || kind("text[]", Bq::Json, of::arrays(any::texts(30)), meanings::text_array)),
    ("numeric_array", || {
        kind("numeric[]", Bq::Json, of::arrays(of::or_nan(any::decimals(40, 40))), meanings::numeric_array)
    }),
    ("timestamptz_array", || kind("timestamptz[]", Bq::Json, of::arrays(of::instants()), meanings::timestamptz_array)),
    ("composite", || Kind { setup: ADDR, ..kind("addr", Bq::Json, of::addresses(), meanings::addr) }),
    ("enum", || Kind { setup: MOOD, ..text("mood", of::moods()) }),
    ("domain", || Kind {
        setup: POSINT,
        ..kind("posint", Bq::Int64, any::integers(8..=i64::MAX.into()), meaning::integer)
    }),
    ("int4range", || text("int4range", of::int_ranges())),
    ("int4multirange", || text("int4multirange", of::int_multiranges())),
    ("tstzrange", || text("tstzrange", of::instant_ranges())),
    // the cast to text would add a /32
    ("inet", || Kind { shown: "textin(inet_out(v))", ..text("inet", of::inets()) }),
    ("cidr", || text("cidr", of::cidrs())),
    ("macaddr", || text("macaddr", any::hex_bytes(6..=6))),
    ("macaddr8", || text("macaddr8", any::hex_bytes(8..=8))),
    ("bit", || text("bit(11)", of::bits(11..=11))),
    ("varbit", || text("varbit", of::bits(0..=200))),
    ("point", || text("point", of::points())),
    ("polygon", || text("polygon", of::polygons())),
    ("xml", || text("xml", of::xml())),
    ("tsvector", || text("tsvector", of::tsvectors())),
    ("citext", || Kind { setup: "CREATE EXTENSION citext", ..text("citext", any::texts(200)) }),
    ("ltree", || Kind { setup: "CREATE EXTENSION ltree", ..text("ltree", of::ltrees()) }),
    ("pg_lsn", || text("pg_lsn", of::lsns())),
];

/// The encoding of the database of a test.
fn encoding(name: &str) -> &'static str {
    if name == ASCII { "SQL_ASCII" } else { "UTF8" }
}

/// One connection that asks, and the program's source.
struct Postgres {
    connection: PgConnection,
    source: PostgresSource,
}

thread_local! {
    /// The thread's databases: encoding and name.
    static DATABASES: RefCell<Vec<(&'static str, String)>> = const { RefCell::new(Vec::new()) };
}

/// A database of the thread's own, made at first use.
async fn database(at: &Database, encoding: &'static str) -> String {
    let known = |databases: &Vec<(&'static str, String)>| databases.iter().find(|known| known.0 == encoding).cloned();
    if let Some((_, name)) = DATABASES.with_borrow(known) {
        return name;
    }
    let thread = format!("{:?}", std::thread::current().id()).replace(|char: char| !char.is_ascii_digit(), "");
    let name = format!("round_trip_{}_{thread}_{}", std::process::id(), encoding.to_ascii_lowercase());
    let create = format!("CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0");
    let mut connection = connect(at, "postgres").await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.unwrap();
    DATABASES.with_borrow_mut(|databases| databases.push((encoding, name.clone())));
    name
}

async fn connect(at: &Database, database: &str) -> PgConnection {
    let url = format!("postgres://{}:{}@127.0.0.1:{}/{database}", at.user, at.password, at.port);
    PgConnection::connect(&url).await.unwrap()
}

impl Postgres {
    async fn open(encoding: &'static str) -> Self {
        let at = &stack().postgres;
        let database = database(at, encoding).await;
        let mut connection = connect(at, &database).await;
        let pinned = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; \
            SET bytea_output = 'hex'; SET xmloption = 'content'; SET client_min_messages = 'error'; SET synchronous_commit = off";
        connection.execute(sqlx::raw_sql(pinned)).await.unwrap();
        Self { connection, source: PostgresSource::new(run::connection(at, &database)) }
    }

    async fn execute(&mut self, sql: String) {
        let done = self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.clone()))).await;
        done.unwrap_or_else(|wrong| panic!("{wrong}: {sql}"));
    }

    async fn insert(&mut self, name: &str, kind: &Kind, values: &[(i64, Option<&str>)]) -> Result<(), sqlx::Error> {
        let input = if kind.input.is_empty() { format!("x::{}", kind.declared) } else { kind.input.into() };
        let sql = format!(
            "INSERT INTO {name}_t (id, v) SELECT i, {input} FROM unnest($1::bigint[], $2::text[]) AS given (i, x)"
        );
        let (ids, texts): (Vec<i64>, Vec<Option<&str>>) = values.iter().copied().unzip();
        sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(texts).execute(&mut self.connection).await.map(drop)
    }
}

impl Oracle for Postgres {
    type Source = PostgresSource;

    fn source(&self) -> &PostgresSource {
        &self.source
    }

    async fn create(&mut self, name: &str, kind: &Kind) {
        let table = format!("CREATE TABLE {name}_t (id bigint PRIMARY KEY, v {})", kind.declared);
        self.execute(format!("{}; {table}", kind.setup)).await;
    }

    async fn fill(&mut self, name: &str, kind: &Kind, values: &[(i64, Option<&str>)]) -> Vec<String> {
        self.execute(format!("TRUNCATE {name}_t")).await;
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
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}
