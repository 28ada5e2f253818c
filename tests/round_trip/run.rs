//! One type's round: insert a batch, ask the database for its own text, read through a session, compare.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use highwater::audit::ColumnAudit;
use highwater::model::{Address, BqType, Connection, Login, Secret, SourceTable, Tls, TlsMode};
use highwater::net::Context;
use highwater::source::{Block, BlockSink, Nulls, Range, ReadQuery, Session as _, SinkClosed, Source};
use proptest::collection::vec;
use proptest::strategy::{Just, Strategy as _};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio_util::sync::CancellationToken;

use super::json::Json;
use super::meaning::Meaning;
use super::reader;
use super::strategies::Texts;
use crate::support::stack::Database;

/// Values of each type if the environment says nothing.
const VALUES: usize = 200;
/// The most values of one round.
const BATCH_MAX: usize = 250;
/// The longest that a failure is made smaller.
const SHRINK_MILLIS: u32 = 60_000;
/// Mismatches that a message shows.
const SHOWN_MAX: usize = 3;

/// One type and all that is needed to check it.
pub struct Kind {
    /// As it is declared.
    pub declared: &'static str,
    /// Run before the table is made: types, extensions.
    pub setup: &'static str,
    /// The BigQuery type that it must become.
    pub ty: BqType,
    /// Values, each as its text.
    pub values: Texts,
    /// A value as it stands in an insert: PostgreSQL's SQL of the text `x`.
    pub input: &'static str,
    /// A value as it stands in an insert: MariaDB's literal.
    pub literal: fn(&str) -> String,
    /// The SQL of the database's own text of `v`.
    pub shown: &'static str,
    /// What that text means.
    pub meaning: fn(&str) -> Meaning,
    /// The canonical form of what BigQuery read, where it is not that of its type.
    pub arrived: fn(&str) -> Result<String, String>,
}

/// A type's test and how its kind is made.
pub type Entry = (&'static str, fn() -> Kind);

/// A batch: NULL is `None`. The flag is true until shrinking takes the value away.
type Batch = Vec<(bool, Option<String>)>;

/// The values of a batch that are still there, with their ids.
type Kept = Vec<(i64, Option<String>)>;

/// The rows that are in the table, by id: what was inserted and what the database shows.
type Rows = BTreeMap<i64, (Option<String>, Option<String>)>;

/// A database in which one type's table is filled.
pub trait Oracle {
    /// The program's own source.
    type Source: Source;

    /// A source of the same database.
    fn source(&self) -> &Self::Source;

    /// Makes the table `name`.
    async fn create(&mut self, name: &str, kind: &Kind);

    /// Empties the table and inserts; gives what was refused, with the database's words.
    async fn fill(&mut self, name: &str, kind: &Kind, values: &[(i64, Option<&str>)]) -> Vec<String>;

    /// Ids and the database's own text.
    async fn shown(&mut self, name: &str, kind: &Kind) -> Vec<(i64, Option<String>)>;
}

/// How the program reaches a database of the stack.
pub fn connection(at: &Database, database: &str) -> Connection {
    Connection {
        address: Address::Tcp { host: "127.0.0.1".into(), port: at.port },
        user: at.user.clone(),
        login: Login::Password,
        password: Some(Secret::new(at.password.clone())),
        database: database.into(),
        tls: Tls { mode: TlsMode::Disable, ..Tls::default() },
    }
}

/// Runs rounds of random values until there were as many as asked for.
pub fn check<O: Oracle>(name: &str, kind: &Kind, open: impl AsyncFnOnce() -> O) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let oracle = runtime.block_on(async {
        let mut oracle = open().await;
        oracle.create(name, kind).await;
        RefCell::new(oracle)
    });
    let values = std::env::var("HIGHWATER_PROPERTY_CASES").map_or(VALUES, |text| text.parse().unwrap());
    let size = values.clamp(1, BATCH_MAX);
    let rounds = u32::try_from(values.div_ceil(size)).unwrap();
    let config = Config {
        cases: rounds,
        failure_persistence: None,
        max_shrink_iters: 1_000_000,
        max_shrink_time: SHRINK_MILLIS,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let value = proptest::option::weighted(0.95, kind.values.clone());
    // a vector shrinks by length, but the length is given: so each value has a flag that shrinks
    let batches = vec((proptest::bool::weighted(1.0), value), size);
    let (refused, beyond, fallible) = (Cell::new(0), Cell::new(0), Cell::new(false));
    let words: RefCell<Vec<String>> = RefCell::default();
    let failed: RefCell<Option<(Kept, String)>> = RefCell::default();
    let ran = runner.run(&batches, |batch: Batch| {
        let kept: Kept = (1..).zip(batch).filter(|(_, (kept, _))| *kept).map(|(id, (_, value))| (id, value)).collect();
        // a value that was taken away still shrinks, which the database need not be asked about
        if let Some((_, reason)) = failed.borrow().as_ref().filter(|(batch, _)| *batch == kept) {
            return Err(TestCaseError::fail(reason.clone()));
        }
        let done =
            runtime.block_on(Box::pin(round(&mut *oracle.borrow_mut(), name, kind, &kept))).map_err(|reason| {
                *failed.borrow_mut() = Some((kept, reason.clone()));
                TestCaseError::fail(reason)
            })?;
        refused.set(refused.get() + done.refused.len());
        beyond.set(beyond.get() + done.beyond);
        fallible.set(done.fallible);
        words.borrow_mut().extend(done.refused.into_iter().take(SHOWN_MAX));
        Ok(())
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(reason, batch)) => {
            let batch: Vec<_> = batch.into_iter().filter_map(|(kept, value)| kept.then_some(value)).collect();
            panic!("{}: {}\nThe smallest batch that fails: {batch:?}", kind.declared, reason.message());
        }
        Err(TestError::Abort(reason)) => panic!("{}: {reason}", kind.declared),
    }
    let refused = refused.get();
    assert!(
        refused * 10 <= values,
        "{}: {refused} of {values} values were refused: {:?}",
        kind.declared,
        words.borrow()
    );
    // a type that can fail must have been seen to fail; of JSON it is the null alone that makes it so
    let seen = beyond.get() > 0 || !fallible.get() || kind.ty == BqType::Json || values < VALUES;
    assert!(seen, "{}: none of {values} values was one that BigQuery cannot hold", kind.declared);
}

/// What a round has seen.
struct Done {
    /// What the database did not take.
    refused: Vec<String>,
    /// Values that BigQuery cannot hold.
    beyond: u64,
    /// Whether the column says that there can be such values.
    fallible: bool,
}

/// One round.
async fn round<O: Oracle>(oracle: &mut O, name: &str, kind: &Kind, batch: &Kept) -> Result<Done, String> {
    let values: Vec<(i64, Option<&str>)> = batch.iter().map(|(id, value)| (*id, value.as_deref())).collect();
    let refused = oracle.fill(name, kind, &values).await;
    let inserted: BTreeMap<i64, Option<&str>> = values.into_iter().collect();
    let with_input = |(id, shown): (i64, Option<String>)| (id, (inserted[&id].map(str::to_owned), shown));
    let rows: Rows = oracle.shown(name, kind).await.into_iter().map(with_input).collect();
    assert_eq!(rows.len() + refused.len(), inserted.len(), "rows were lost before anything was read");
    let table = SourceTable { schema: None, name: format!("{name}_t") };
    let read = extract(oracle.source(), &table, kind).await?;
    compare(kind, &rows, &read).map(|beyond| Done { refused, beyond, fallible: read.fallible })
}

/// What a read gave.
struct Read {
    bytes: Vec<u8>,
    findings: Vec<ColumnAudit>,
    fallible: bool,
}

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    rows: u64,
}

impl BlockSink for Collected {
    async fn send(&mut self, block: Block) -> Result<Block, SinkClosed> {
        self.bytes.extend_from_slice(&block.bytes);
        self.rows += block.rows;
        Ok(Block::default())
    }

    async fn reject(&mut self, line: Vec<u8>) -> Result<(), SinkClosed> {
        panic!("a row was rejected: {}", String::from_utf8_lossy(&line));
    }
}

/// The whole table, in order of its id, as the engine would read it.
async fn extract<S: Source>(source: &S, table: &SourceTable, kind: &Kind) -> Result<Read, String> {
    let cx = Context::new(tokio::time::Instant::now() + Duration::from_secs(120), CancellationToken::new());
    let failed = |error: highwater::source::SourceError| format!("{error:?}");
    let mut session = source.connect(&cx).await.map_err(failed)?;
    let columns = session.describe(&cx, table).await.map_err(failed)?.columns;
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    assert_eq!((names.join(" ").as_str(), columns[1].ty), ("id v", kind.ty), "{}", kind.declared);
    session.begin(&cx).await.map_err(failed)?;
    let query = ReadQuery {
        table,
        columns: &columns,
        names: &names,
        cursor: None,
        key: &[0],
        range: Range { after: None, from: None, ceiling: None, until: None, nulls: Nulls::Any, keys: None },
        rows_max: None,
        bytes_max: None,
        rejects_max: 0,
        filter: None,
        partition: None,
    };
    let mut sink = Collected::default();
    let done = session.read(&cx, &query, &mut sink).await.map_err(failed)?;
    session.close().await;
    assert_eq!((done.rows, done.bytes), (sink.rows, sink.bytes.len() as u64), "{}", kind.declared);
    Ok(Read { bytes: sink.bytes, findings: done.audit.findings(), fallible: columns[1].fallible })
}

/// Rows against lines, and the count of what is missing, which it gives.
fn compare(kind: &Kind, rows: &Rows, read: &Read) -> Result<u64, String> {
    let text = std::str::from_utf8(&read.bytes).map_err(|wrong| format!("the lines are no UTF-8: {wrong}"))?;
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    if lines.len() != rows.len() {
        return Err(format!("{} rows became {} lines", rows.len(), lines.len()));
    }
    let (mut wrong, mut beyond, mut replaced, mut first) = (Vec::new(), 0, 0, None);
    for ((id, (inserted, shown)), line) in rows.iter().zip(lines) {
        let meaning = shown.as_deref().map(kind.meaning);
        match meaning {
            Some(Meaning::Beyond) => beyond += 1,
            Some(Meaning::Replaced(_)) => replaced += 1,
            Some(Meaning::Value(_)) | None => {}
        }
        if matches!(meaning, Some(Meaning::Beyond | Meaning::Replaced(_))) {
            first = first.or(Some(id.to_string()));
        }
        let expected = match &meaning {
            Some(Meaning::Value(value) | Meaning::Replaced(value)) => Ok(Some(value.clone())),
            Some(Meaning::Beyond) | None => Ok(None),
        };
        let got = field(kind, *id, line, read.fallible);
        if got != expected {
            wrong.push(format!(
                "inserted {inserted:?}; the database shows {shown:?};\n  expected {expected:?} ({meaning:?});\n  arrived  {got:?}\n  in {line}"
            ));
        }
    }
    let expected = (beyond > 0 || replaced > 0).then(|| ColumnAudit {
        column: "v".into(),
        unrepresentable: beyond,
        replaced,
        first_key: first.into_iter().collect(),
        ..ColumnAudit::default()
    });
    let expected: Vec<ColumnAudit> = expected.into_iter().collect();
    if read.findings != expected {
        wrong.push(format!("the audit says {:?} and not {expected:?}", read.findings));
    }
    if beyond > 0 && !read.fallible {
        wrong.push("a value is unrepresentable, and the column does not say that it can happen".into());
    }
    if wrong.is_empty() { Ok(beyond) } else { Err(wrong.into_iter().take(SHOWN_MAX).collect::<Vec<_>>().join("\n")) }
}

/// The canonical form of a line's field; `None` if it is left out.
fn field(kind: &Kind, id: i64, line: &str, fallible: bool) -> Result<Option<String>, String> {
    let Json::Object(mut fields) = Json::parse(line)? else { return Err("the line is no object".into()) };
    if fields.is_empty() || fields.remove(0) != ("id".to_owned(), Json::Number(id.to_string())) {
        return Err(format!("the line does not begin with id {id}"));
    }
    match &fields[..] {
        [] => Ok(None),
        // BigQuery reads a JSON null as NULL, which a REQUIRED column does not take
        [(name, Json::Null)] if name == "v" && !fallible => Err("null in a column that may be REQUIRED".into()),
        [(name, token)] if name == "v" => {
            reader::read(kind.ty, token).and_then(|value| (kind.arrived)(&value)).map(Some)
        }
        others => Err(format!("unexpected fields {others:?}")),
    }
}

/// Every mistake that a read could make is one that the comparison sees.
pub fn planted() {
    let kind = Kind {
        declared: "planted",
        setup: "",
        ty: BqType::Date,
        values: Just(String::new()).boxed(),
        input: "",
        literal: str::to_owned,
        shown: "",
        meaning: super::meaning::date,
        arrived: |value| Ok(value.to_owned()),
    };
    let shown = [Some("2024-02-29"), Some("infinity"), None];
    let rows: Rows = (1..).zip(shown.map(|shown| (None, shown.map(str::to_owned)))).collect();
    let finding = |unrepresentable, key: &str| ColumnAudit {
        column: "v".into(),
        unrepresentable,
        first_key: vec![key.into()],
        ..ColumnAudit::default()
    };
    let check = |first: &str, rest: &str, finding: Option<ColumnAudit>| {
        let bytes = format!("{{\"id\":1{first}}}\n{rest}\n").into_bytes();
        compare(&kind, &rows, &Read { bytes, findings: finding.into_iter().collect(), fallible: true })
    };
    let (value, rest) = (",\"v\":\"2024-02-29\"", "{\"id\":2}\n{\"id\":3}");
    assert_eq!(check(value, rest, Some(finding(1, "2"))), Ok(1));
    for (first, rest, finding) in [
        ("", rest, Some(finding(1, "2"))),
        (",\"v\":\"2024-02-28\"", rest, Some(finding(1, "2"))),
        (",\"v\":\"2024-2-29\"", rest, Some(finding(1, "2"))),
        (",\"v\":\"2024-02-29\",\"v\":1", rest, Some(finding(1, "2"))),
        (value, "{\"id\":2,\"v\":\"9999-12-31\"}\n{\"id\":3}", Some(finding(1, "2"))),
        (value, "{\"id\":2}\n{\"id\":4}", Some(finding(1, "2"))),
        (value, "{\"id\":2}", Some(finding(1, "2"))),
        (value, rest, None),
        (value, rest, Some(finding(2, "2"))),
        (value, rest, Some(finding(1, "3"))),
    ] {
        assert!(check(first, rest, finding.clone()).is_err(), "{first} {rest} {finding:?}");
    }
}
