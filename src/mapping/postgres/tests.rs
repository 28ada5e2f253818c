//! Each row of the table of types.
#![expect(clippy::panic, reason = "a test may stop at the first surprise")]

use super::*;
use crate::mapping;

fn facts(schema: &str, name: &str, kind: char) -> Facts {
    Facts {
        name: "c".to_owned(),
        source_type: name.to_owned(),
        nullable: true,
        comment: None,
        type_name: name.to_owned(),
        type_schema: schema.to_owned(),
        extension: None,
        kind,
        array: false,
        modifier: -1,
        cast: name.to_owned(),
        operators: None,
    }
}

fn builtin(name: &str) -> Facts {
    facts("pg_catalog", name, 'b')
}

fn read(column: &Column) -> &Read {
    match &column.read {
        mapping::Read::Postgres(read) => read,
        mapping::Read::MySql(_) => panic!("not a column of PostgreSQL"),
    }
}

/// BigQuery type, codec and selected SQL.
fn mapped(facts: Facts) -> (BqType, PgCodec, String) {
    let column = column(facts);
    (column.ty, read(&column).codec, read(&column).select.sql("t.c"))
}

fn numeric(precision: i32, scale: i32) -> Facts {
    Facts { modifier: (precision << 16 | scale & 0x7ff) + TYPMOD_SHIFT, ..builtin("numeric") }
}

#[test]
fn builtin_types_are_read_in_binary() {
    for (name, ty, codec) in [
        ("int2", BqType::Int64, PgCodec::Int2),
        ("int4", BqType::Int64, PgCodec::Int4),
        ("int8", BqType::Int64, PgCodec::Int8),
        ("oid", BqType::Int64, PgCodec::Oid),
        ("float4", BqType::Float64, PgCodec::Float4),
        ("float8", BqType::Float64, PgCodec::Float8),
        ("numeric", BqType::BigNumeric, PgCodec::BigNumeric),
        ("bool", BqType::Bool, PgCodec::Bool),
        ("text", BqType::String, PgCodec::Text),
        ("varchar", BqType::String, PgCodec::Text),
        ("bpchar", BqType::String, PgCodec::Text),
        ("name", BqType::String, PgCodec::Text),
        ("bytea", BqType::Bytes, PgCodec::Bytea),
        ("date", BqType::Date, PgCodec::Date),
        ("time", BqType::Time, PgCodec::Time),
        ("timetz", BqType::Time, PgCodec::TimeTz),
        ("timestamp", BqType::DateTime, PgCodec::Timestamp),
        ("timestamptz", BqType::Timestamp, PgCodec::TimestampTz),
        ("uuid", BqType::String, PgCodec::Uuid),
        ("json", BqType::Json, PgCodec::Json),
        ("jsonb", BqType::Json, PgCodec::Jsonb),
    ] {
        assert_eq!(mapped(builtin(name)), (ty, codec, "t.c".to_owned()), "{name}");
    }
}

#[test]
fn other_types_are_read_as_text() {
    for name in ["interval", "xml", "macaddr", "bit", "varbit", "point", "tsvector", "pg_lsn", "char", "xid"] {
        assert_eq!(mapped(builtin(name)), (BqType::String, PgCodec::Text, "t.c::text".to_owned()), "{name}");
    }
    for kind in ['e', 'r', 'm', 'p'] {
        assert_eq!(mapped(facts("public", "x", kind)).2, "t.c::text", "{kind}");
    }
    assert_eq!(mapped(builtin("inet")).2, "pg_catalog.inet_out(t.c)::text");
    assert_eq!(mapped(builtin("money")), (BqType::Numeric, PgCodec::Numeric, "t.c::numeric".to_owned()));
}

#[test]
fn a_type_is_known_by_more_than_its_name() {
    assert_eq!(mapped(facts("public", "int4", 'b')).0, BqType::String);
    assert_eq!(mapped(facts("public", "text", 'c')).0, BqType::Json);
    assert_eq!(mapped(facts("public", "hstore", 'b')).0, BqType::String);
}

#[test]
fn nested_types_become_json() {
    let json = (BqType::Json, PgCodec::Json, "pg_catalog.to_json(t.c)::text".to_owned());
    assert_eq!(mapped(Facts { array: true, ..builtin("_int4") }), json);
    assert_eq!(mapped(facts("public", "addr", 'c')), json);
    let hstore = Facts { extension: Some("hstore".to_owned()), ..facts("ext", "hstore", 'b') };
    assert_eq!(mapped(hstore), json);
    let array = column(Facts { array: true, ..builtin("_int4") });
    let position = read(&array).position.as_ref().map(|wrap| wrap.sql("t.c"));
    assert_eq!(position.as_deref(), Some("t.c::text"));
}

#[test]
fn geometry_becomes_wkt() {
    let geometry = Facts { extension: Some("postgis".to_owned()), ..facts("Gis\"", "geometry", 'b') };
    assert_eq!(mapped(geometry), (BqType::String, PgCodec::Text, "\"Gis\"\"\".st_astext(t.c)".to_owned()));
}

#[test]
fn numerics_go_where_they_fit() {
    for (precision, scale, ty) in [
        (18, 4, BqType::Numeric),
        (38, 9, BqType::Numeric),
        (29, 0, BqType::Numeric),
        (5, -2, BqType::Numeric),
        (3, 5, BqType::Numeric),
        (30, 0, BqType::BigNumeric),
        (28, -2, BqType::BigNumeric),
        (20, 10, BqType::BigNumeric),
        (76, 38, BqType::BigNumeric),
        (100, 2, BqType::String),
        (38, -1, BqType::String),
        (40, 39, BqType::String),
        (1000, 1000, BqType::String),
        (1, -1000, BqType::String),
    ] {
        assert_eq!(mapped(numeric(precision, scale)).0, ty, "numeric({precision},{scale})");
    }
}

#[test]
fn what_can_be_unrepresentable_is_never_required() {
    let fallible = |facts| column(facts).fallible;
    for name in ["numeric", "date", "time", "timetz", "timestamp", "timestamptz", "json", "jsonb"] {
        assert!(fallible(builtin(name)), "{name}");
    }
    assert!(fallible(numeric(10, 2)) && !fallible(numeric(100, 2)));
    for name in ["int8", "float8", "money", "bool", "text", "bytea", "uuid", "interval"] {
        assert!(!fallible(builtin(name)), "{name}");
    }
}

#[test]
fn cursors_have_the_columns_digits() {
    let cursor = |name, modifier| column(Facts { modifier, ..builtin(name) }).cursor;
    assert_eq!(cursor("timestamptz", -1), Some(CursorKind::Instant { digits: 6 }));
    assert_eq!(cursor("timestamptz", 3), Some(CursorKind::Instant { digits: 3 }));
    assert_eq!(cursor("timestamp", 0), Some(CursorKind::Civil { digits: 0 }));
    assert_eq!(cursor("date", -1), Some(CursorKind::Date));
    assert_eq!(cursor("int8", -1), Some(CursorKind::Number));
    assert_eq!(cursor("numeric", -1), Some(CursorKind::Number));
    assert_eq!(cursor("text", -1), None);
    assert_eq!(cursor("float8", -1), None);
}

#[test]
fn bound_texts_are_cast_to_the_type() {
    assert_eq!(read(&column(builtin("money"))).cast, "numeric::money");
    let citext = Facts { cast: "public.citext".to_owned(), ..facts("public", "citext", 'b') };
    assert_eq!(read(&column(citext)).cast, "public.citext");
}

#[test]
fn operators_of_pg_catalog_need_no_schema() {
    let names = ["<", "<=", "=", ">=", "#>#"].map(str::to_owned);
    let own = |schema: &str| {
        let operators = Operators { schema: schema.to_owned(), names: names.clone() };
        let column = column(Facts { operators: Some(Box::new(operators)), ..facts("e\"x", "hstore", 'b') });
        Comparison::Greater.sql(read(&column).operators.as_deref())
    };
    assert_eq!(own("pg_catalog"), ">");
    assert_eq!(own("e\"x"), "OPERATOR(\"e\"\"x\".#>#)");
}

#[test]
fn canonical_texts_follow_the_policy() {
    let date = |policy| {
        let column = Column { policy, ..column(builtin("date")) };
        mapping::canonical(&column)
    };
    let fits = "to_char(t.\"c\", 'YYYY-MM-DD')";
    let unfit = "(t.\"c\" < date '0001-01-01' OR t.\"c\" > date '9999-12-31')";
    let null = date(Policy::Null).map(|canonical| (canonical.text, canonical.rejected));
    assert_eq!(null, Ok((format!("CASE WHEN {unfit} THEN NULL ELSE {fits} END"), None)));
    let reject = date(Policy::Reject).map(|canonical| (canonical.text, canonical.rejected));
    assert_eq!(reject, Ok((fits.to_owned(), Some(unfit.to_owned()))));
    let clamp = date(Policy::Clamp).map(|canonical| canonical.text);
    assert!(clamp.is_ok_and(|text| text.contains("least(greatest(t.\"c\", date '0001-01-01'), date '9999-12-31')")));
}

#[test]
fn what_has_no_canonical_text_says_why() {
    for name in ["float4", "float8", "json", "jsonb"] {
        assert!(mapping::canonical(&column(builtin(name))).is_err(), "{name}");
    }
    let array = Facts { array: true, ..builtin("_int4") };
    assert!(mapping::canonical(&column(array)).is_err());
    for name in ["int8", "numeric", "bool", "text", "bpchar", "bytea", "timetz", "timestamptz", "uuid", "inet"] {
        assert!(mapping::canonical(&column(builtin(name))).is_ok(), "{name}");
    }
}
