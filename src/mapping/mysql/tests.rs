//! The table of TYPES, row by row.

use super::*;

fn facts(data_type: &str, column_type: &str) -> CatalogColumn {
    CatalogColumn {
        name: "c".to_owned(),
        data_type: data_type.to_owned(),
        column_type: column_type.to_owned(),
        ..CatalogColumn::default()
    }
}

fn mapped(data_type: &str, column_type: &str) -> Column {
    column(&facts(data_type, column_type), Dialect::MariaDb)
}

fn read(column: &Column) -> Read {
    match &column.read {
        crate::mapping::Read::MySql(read) => read.clone(),
        crate::mapping::Read::Postgres(_) => unreachable!("mapped here"),
    }
}

#[test]
fn integers() {
    assert_eq!(mapped("tinyint", "tinyint(4)").ty, BqType::Int64);
    assert_eq!(mapped("tinyint", "tinyint").ty, BqType::Int64);
    assert_eq!(mapped("tinyint", "tinyint(1)").ty, BqType::Bool);
    assert!(mapped("tinyint", "tinyint(1)").fallible);
    assert_eq!(mapped("tinyint", "tinyint(1) unsigned").ty, BqType::Int64);
    assert_eq!(mapped("bigint", "bigint(20)").cursor, Some(CursorKind::Number));
    assert_eq!(mapped("bigint", "bigint unsigned").ty, BqType::Numeric);
    assert_eq!(read(&mapped("int", "int(8) unsigned zerofill")).codec, MyCodec::Unsigned);
    assert_eq!(read(&mapped("year", "year(4)")).compare, Compare::Year);
}

#[test]
fn decimals() {
    let ty = |precision, scale| {
        let facts = CatalogColumn { precision, scale, ..facts("decimal", "decimal") };
        column(&facts, Dialect::MariaDb).ty
    };
    assert_eq!(ty(18, 4), BqType::Numeric);
    assert_eq!(ty(38, 9), BqType::Numeric);
    assert_eq!(ty(20, 10), BqType::BigNumeric);
    assert_eq!(ty(65, 30), BqType::BigNumeric);
    assert_eq!(ty(65, 27), BqType::BigNumeric);
    assert_eq!(ty(65, 26), BqType::String);
    assert_eq!(ty(30, 0), BqType::BigNumeric);
    assert_eq!(ty(65, 0), BqType::String);
}

#[test]
fn bits_by_width() {
    let ty = |precision| column(&CatalogColumn { precision, ..facts("bit", "bit") }, Dialect::MariaDb).ty;
    assert_eq!([ty(1), ty(2), ty(63), ty(64)], [BqType::Bool, BqType::Int64, BqType::Int64, BqType::Numeric]);
}

#[test]
fn times() {
    let facts = CatalogColumn { digits: 3, ..facts("timestamp", "timestamp(3)") };
    let mapped = column(&facts, Dialect::MariaDb);
    assert_eq!(mapped.cursor, Some(CursorKind::Instant { digits: 3 }));
    assert!(mapped.fallible);
}

#[test]
fn json_by_type_and_by_check() {
    assert_eq!(mapped("longtext", "longtext").ty, BqType::String);
    let checked = CatalogColumn { checked_json: true, ..facts("longtext", "longtext") };
    let mapped_json = column(&checked, Dialect::MariaDb);
    assert_eq!((mapped_json.ty, read(&mapped_json).codec), (BqType::Json, MyCodec::UncheckedJson));
    assert_eq!(read(&mapped("json", "json")).codec, MyCodec::Json);
}

#[test]
fn what_the_server_writes_as_text() {
    assert_eq!(read(&mapped("uuid", "uuid")).expr, "CAST(`c` AS CHAR)");
    assert_eq!(read(&mapped("point", "point")).expr, "ST_AsText(`c`)");
    assert_eq!(mapped("somethingnew", "somethingnew(3)").ty, BqType::String);
}

#[test]
fn versions() {
    assert_eq!(Dialect::from_version("10.11.19-MariaDB-0+deb12u1"), Dialect::MariaDb);
    assert_eq!(Dialect::from_version("5.5.5-10.5.8-mariadb"), Dialect::MariaDb);
    assert_eq!(Dialect::from_version("5.7.44-log"), Dialect::MySql { major: 5 });
    assert_eq!(Dialect::from_version("9.1.0"), Dialect::MySql { major: 9 });
}

#[test]
fn canonical_texts() {
    let text = |data_type: &str, column_type: &str| {
        let column = Column { policy: Policy::Fail, ..mapped(data_type, column_type) };
        crate::mapping::canonical(&column).map(|canonical| canonical.text)
    };
    // ZEROFILL is not seen
    assert_eq!(text("int", "int(8) unsigned zerofill").as_deref(), Ok("CAST(`c`+0 AS CHAR)"));
    assert_eq!(text("varchar", "varchar(9)").as_deref(), Ok("CONVERT(`c` USING utf8mb4)"));
    assert_eq!(text("time", "time").as_deref(), Ok("TIME_FORMAT(`c`, '%H:%i:%s.%f')"));
    assert_eq!(
        text("datetime", "datetime").as_deref(),
        Ok("CONCAT(LEFT(CAST(`c` AS CHAR), 10), 'T', SUBSTR(RPAD(CONCAT(CAST(`c` AS CHAR), '.'), 26, '0'), 12))")
    );
    for (data_type, column_type) in [("float", "float"), ("double", "double"), ("json", "json")] {
        assert!(text(data_type, column_type).is_err(), "{data_type}");
    }
}
