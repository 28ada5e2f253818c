//! The encoders alone, without network or database: rows of one type each, and rows of all of them together.
//!
//! `cargo bench --bench encoders -- [FILTER]` is Criterion's. With `--count CASE BATCHES` the case is encoded so many times
//! and nothing is measured: `bench/bench.py` runs that under callgrind, where a difference of two counts is what a batch costs.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops at the first surprise")]

use criterion::{Criterion, Throughput};
use highwater::encode::mysql::MyCodec;
use highwater::encode::postgres::PgCodec;
use highwater::encode::row::{Cell, RowWriter, Values, Written};
use highwater::encode::{Malformed, RowCodec};
use highwater::model::Policy;
use highwater::source::Block;

/// Rows of a batch.
const ROWS: u64 = 500;
/// Columns of a row.
const COLUMNS: u64 = 20;
const NAMES: [&str; 20] = [
    "id",
    "account",
    "amount",
    "balance",
    "currency",
    "created_at",
    "updated_at",
    "state",
    "note",
    "payload",
    "score",
    "ratio",
    "flags",
    "kind",
    "region",
    "owner",
    "checksum",
    "visits",
    "priority",
    "parent_id",
];

struct Row(Vec<Option<Vec<u8>>>);

impl Values for Row {
    fn raw(&self, index: usize) -> Result<Option<&[u8]>, Malformed> {
        self.0.get(index).map(Option::as_deref).ok_or(Malformed)
    }

    fn key(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Encodes one batch; the lines that it came to are left in the block.
type Encode = Box<dyn Fn(&mut Block)>;

struct Case {
    name: String,
    /// Makes the rows, which only a case that is run needs.
    make: Box<dyn Fn() -> Encode>,
}

fn case<C: RowCodec + 'static>(
    name: &str,
    codecs: Vec<C>,
    value: impl Fn(u64, usize) -> Option<Vec<u8>> + 'static,
) -> Case {
    let make = move || {
        let row = |row: u64| Row((0..codecs.len()).map(|column| value(row, column)).collect());
        let rows: Vec<Row> = (0..ROWS).map(row).collect();
        let codecs = codecs.clone();
        Box::new(move |out: &mut Block| encode(&codecs, &rows, out)) as Encode
    };
    Case { name: name.to_owned(), make: Box::new(make) }
}

fn encode<C: RowCodec>(codecs: &[C], rows: &[Row], out: &mut Block) {
    let cell = |(&codec, name): (&C, &'static str)| Cell {
        name,
        field: name,
        codec,
        cast: None,
        policy: Policy::Null,
        becomes: "",
        ordered: false,
        exact: false,
    };
    let mut writer = RowWriter::new(codecs.iter().zip(NAMES).map(cell).collect());
    for row in rows {
        assert_eq!(writer.write(&mut out.bytes, &mut out.fields, row).unwrap(), Written::Row);
    }
}

/// One type in every column.
fn of_type<C: RowCodec + 'static>(name: &str, codec: C, value: impl Fn(u64) -> Vec<u8> + 'static) -> Case {
    case(name, vec![codec; 20], move |row, column| Some(value(row * COLUMNS + column as u64)))
}

/// A 64-bit mix of a number, so that values look like no sequence.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `below` of it, as any integer.
fn small<T: TryFrom<u64>>(number: u64, below: u64) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(mixed(number) % below).unwrap()
}

fn text(number: u64) -> Vec<u8> {
    format!("customer number {} of the table", mixed(number) % 1_000_000).into_bytes()
}

fn unicode(number: u64) -> Vec<u8> {
    format!("Grüße \"{}\"\nan Łódź ☃", mixed(number) % 1_000_000).into_bytes()
}

fn document(number: u64) -> Vec<u8> {
    format!("{{\"id\": {}, \"tags\": [\"x\", {}], \"vip\": false}}", mixed(number) % 1_000_000, number % 10)
        .into_bytes()
}

fn jsonb(number: u64) -> Vec<u8> {
    [&[1], document(number).as_slice()].concat()
}

/// `numeric_send` of a number with four decimals.
fn numeric(number: u64) -> Vec<u8> {
    let whole: u64 = small(number, 100_000_000);
    let word = |value: u64| i16::try_from(value % 10_000).unwrap();
    let words = [3, 1, 0, 4, word(whole / 10_000).max(1), word(whole), word(mixed(number ^ 1)).max(1)];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn array(number: u64) -> Vec<u8> {
    let mut raw = [1_i32, 0, 23, 4, 1].map(i32::to_be_bytes).concat();
    for index in 0..4 {
        raw.extend([4_i32, small(number + index, 1_000_000)].map(i32::to_be_bytes).concat());
    }
    raw
}

fn micros(number: u64) -> i64 {
    small(number, 900_000_000_000_000)
}

fn decimal(number: u64) -> Vec<u8> {
    format!("{}.{:04}", mixed(number) % 100_000_000, mixed(number ^ 1) % 10_000).into_bytes()
}

/// A DATETIME of MySQL's binary protocol with microseconds.
fn datetime(number: u64) -> Vec<u8> {
    let year: u16 = 2000 + small::<u16>(number, 30);
    let day = [small::<u8>(number + 1, 12) + 1, small::<u8>(number + 2, 28) + 1];
    let clock = [small::<u8>(number + 3, 24), small::<u8>(number + 4, 60), small::<u8>(number + 5, 60)];
    let micros: u32 = small(number + 6, 1_000_000);
    [&[11], &year.to_le_bytes()[..], &day, &clock, &micros.to_le_bytes()].concat()
}

fn date(number: u64) -> Vec<u8> {
    [&[4], &datetime(number)[1..5]].concat()
}

fn clock(number: u64) -> Vec<u8> {
    let parts = [small::<u8>(number, 24), small::<u8>(number + 1, 60), small::<u8>(number + 2, 60)];
    [&[8, 0, 0, 0, 0, 0], &parts[..]].concat()
}

fn postgres() -> Vec<Case> {
    static ELEMENT: PgCodec = PgCodec::Int4;
    vec![
        of_type("postgres/bool", PgCodec::Bool, |n| vec![small::<u8>(n, 2)]),
        of_type("postgres/int2", PgCodec::Int2, |n| small::<i16>(n, 30_000).to_be_bytes().to_vec()),
        of_type("postgres/int4", PgCodec::Int4, |n| small::<i32>(n, 2_000_000_000).to_be_bytes().to_vec()),
        of_type("postgres/int8", PgCodec::Int8, |n| small::<i64>(n, 1 << 62).to_be_bytes().to_vec()),
        of_type("postgres/oid", PgCodec::Oid, |n| small::<u32>(n, 1 << 32).to_be_bytes().to_vec()),
        of_type("postgres/float4", PgCodec::Float4, |n| (small::<u16>(n, 60_000) as f32 / 7.0).to_be_bytes().to_vec()),
        of_type("postgres/float8", PgCodec::Float8, |n| (small::<u32>(n, 1 << 31) as f64 / 3.0).to_be_bytes().to_vec()),
        of_type("postgres/numeric", PgCodec::Numeric, numeric),
        of_type("postgres/bignumeric", PgCodec::BigNumeric, numeric),
        of_type("postgres/numeric-text", PgCodec::NumericText, numeric),
        of_type("postgres/date", PgCodec::Date, |n| small::<i32>(n, 10_000).to_be_bytes().to_vec()),
        of_type("postgres/time", PgCodec::Time, |n| small::<i64>(n, 86_400_000_000).to_be_bytes().to_vec()),
        of_type("postgres/timetz", PgCodec::TimeTz, |n| {
            [&small::<i64>(n, 86_400_000_000).to_be_bytes()[..], &3600_i32.to_be_bytes()].concat()
        }),
        of_type("postgres/timestamp", PgCodec::Timestamp, |n| micros(n).to_be_bytes().to_vec()),
        of_type("postgres/timestamptz", PgCodec::TimestampTz, |n| micros(n).to_be_bytes().to_vec()),
        of_type("postgres/uuid", PgCodec::Uuid, |n| [mixed(n), mixed(n + 1)].map(u64::to_be_bytes).concat()),
        of_type("postgres/bytea", PgCodec::Bytea, |n| [mixed(n), mixed(n + 1)].map(u64::to_be_bytes).concat()),
        of_type("postgres/text", PgCodec::Text, text),
        of_type("postgres/text-unicode", PgCodec::Text, unicode),
        of_type("postgres/utf8", PgCodec::Utf8, text),
        of_type("postgres/json", PgCodec::Json, document),
        of_type("postgres/jsonb", PgCodec::Jsonb, jsonb),
        of_type("postgres/checked-json", PgCodec::CheckedJson, document),
        of_type("postgres/int4-array", PgCodec::Repeated(&ELEMENT), array),
        of_columns("postgres/row", mixed_postgres()),
    ]
}

fn mysql() -> Vec<Case> {
    vec![
        of_type("mysql/bool", MyCodec::Bool, |n| vec![small::<u8>(n, 2)]),
        of_type("mysql/int", MyCodec::Signed, |n| small::<i32>(n, 2_000_000_000).to_le_bytes().to_vec()),
        of_type("mysql/bigint", MyCodec::Signed, |n| small::<i64>(n, 1 << 62).to_le_bytes().to_vec()),
        of_type("mysql/unsigned", MyCodec::Unsigned, |n| small::<u32>(n, 1 << 32).to_le_bytes().to_vec()),
        of_type("mysql/unsigned-numeric", MyCodec::UnsignedNumeric, |n| mixed(n).to_le_bytes().to_vec()),
        of_type("mysql/bit", MyCodec::Bit, |n| small::<u16>(n, 1 << 16).to_be_bytes().to_vec()),
        of_type("mysql/float", MyCodec::Single, |n| (small::<u16>(n, 60_000) as f32 / 7.0).to_le_bytes().to_vec()),
        of_type("mysql/double", MyCodec::Double, |n| (small::<u32>(n, 1 << 31) as f64 / 3.0).to_le_bytes().to_vec()),
        of_type("mysql/decimal", MyCodec::Numeric, decimal),
        of_type("mysql/big-decimal", MyCodec::BigNumeric, decimal),
        of_type("mysql/decimal-text", MyCodec::DecimalText, decimal),
        of_type("mysql/date", MyCodec::Date, date),
        of_type("mysql/datetime", MyCodec::DateTime, datetime),
        of_type("mysql/timestamp", MyCodec::Timestamp, datetime),
        of_type("mysql/time", MyCodec::Time, clock),
        of_type("mysql/text", MyCodec::Text, text),
        of_type("mysql/text-unicode", MyCodec::Text, unicode),
        of_type("mysql/utf8", MyCodec::Utf8, text),
        of_type("mysql/bytes", MyCodec::Bytes, |n| [mixed(n), mixed(n + 1)].map(u64::to_be_bytes).concat()),
        of_type("mysql/json", MyCodec::Json, document),
        of_type("mysql/unchecked-json", MyCodec::UncheckedJson, document),
        of_columns("mysql/row", mixed_mysql()),
    ]
}

/// What a column of type `C` is read by, and its value of a number.
type Column<C> = (C, fn(u64) -> Vec<u8>);

/// Rows of these columns; one value of ten of the third is NULL, as in the table `mixed` that `bench/data.py` makes.
fn of_columns<C: RowCodec + 'static>(name: &str, columns: Vec<Column<C>>) -> Case {
    let codecs = columns.iter().map(|(codec, _)| *codec).collect();
    case(name, codecs, move |row, column| {
        let null = column == 2 && row.is_multiple_of(10);
        (!null).then(|| columns[column].1(row * COLUMNS + column as u64))
    })
}

fn mixed_postgres() -> Vec<Column<PgCodec>> {
    use PgCodec::{
        Bool, Bytea, Date, Float4, Float8, Int2, Int4, Int8, Jsonb, Numeric, Text, Timestamp, TimestampTz, Uuid,
    };
    let int4: fn(u64) -> Vec<u8> = |n| small::<i32>(n, 1_000_000).to_be_bytes().to_vec();
    let int8: fn(u64) -> Vec<u8> = |n| small::<i64>(n, 1 << 50).to_be_bytes().to_vec();
    let instant: fn(u64) -> Vec<u8> = |n| micros(n).to_be_bytes().to_vec();
    let sixteen: fn(u64) -> Vec<u8> = |n| [mixed(n), mixed(n + 1)].map(u64::to_be_bytes).concat();
    vec![
        (Int8, int8),
        (Int4, int4),
        (Int4, int4),
        (Int2, |n| small::<i16>(n, 30_000).to_be_bytes().to_vec()),
        (Int8, int8),
        (Bool, |n| vec![small::<u8>(n, 2)]),
        (Float4, |n| (n as f32 / 7.0).to_be_bytes().to_vec()),
        (Float8, |n| (n as f64 / 3.0).to_be_bytes().to_vec()),
        (Numeric, numeric),
        (Numeric, numeric),
        (Text, text),
        (Text, text),
        (Text, text),
        (Date, |n| small::<i32>(n, 10_000).to_be_bytes().to_vec()),
        (Timestamp, instant),
        (TimestampTz, instant),
        (Uuid, sixteen),
        (Bytea, sixteen),
        (Jsonb, jsonb),
        (TimestampTz, instant),
    ]
}

fn mixed_mysql() -> Vec<Column<MyCodec>> {
    use MyCodec::{Bool, Bytes, Date, DateTime, Double, Numeric, Signed, Single, Text};
    let integer: fn(u64) -> Vec<u8> = |n| small::<i64>(n, 1 << 50).to_le_bytes().to_vec();
    let int: fn(u64) -> Vec<u8> = |n| small::<i32>(n, 1_000_000).to_le_bytes().to_vec();
    vec![
        (Signed, integer),
        (Signed, int),
        (Signed, int),
        (Signed, |n| small::<i16>(n, 30_000).to_le_bytes().to_vec()),
        (Signed, integer),
        (Bool, |n| vec![small::<u8>(n, 2)]),
        (Single, |n| (n as f32 / 7.0).to_le_bytes().to_vec()),
        (Double, |n| (n as f64 / 3.0).to_le_bytes().to_vec()),
        (Numeric, decimal),
        (Numeric, decimal),
        (Text, text),
        (Text, text),
        (Text, text),
        (Date, date),
        (DateTime, datetime),
        (DateTime, datetime),
        (Text, text),
        (Bytes, |n| [mixed(n), mixed(n + 1)].map(u64::to_le_bytes).concat()),
        (Text, document),
        (DateTime, datetime),
    ]
}

/// Encodes so many batches, for who counts instructions; prints how many bytes a batch has.
fn count(cases: &[Case], name: &str, batches: u64) {
    let case = cases.iter().find(|case| case.name == name).unwrap();
    let (encode, mut out) = ((case.make)(), Block::empty());
    for _ in 0..batches {
        out.clear();
        encode(&mut out);
    }
    println!("{}", serde_json::json!({ "rows": ROWS, "columns": COLUMNS, "bytes": out.bytes.len() }));
}

fn main() {
    let cases: Vec<Case> = postgres().into_iter().chain(mysql()).collect();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "--count", name, batches, ..] => return count(&cases, name, batches.parse().unwrap()),
        [_, "--cases", ..] => return cases.iter().for_each(|case| println!("{}", case.name)),
        _ => {}
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("encode");
    for case in &cases {
        group.throughput(Throughput::Elements(ROWS * COLUMNS));
        group.bench_function(&case.name, |bencher| {
            let (encode, mut out) = ((case.make)(), Block::empty());
            bencher.iter(|| {
                out.clear();
                encode(&mut out);
                out.bytes.len()
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
