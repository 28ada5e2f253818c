//! The cases of `tests/types/*.tsv`, each a test by name: a column of the declared type with the expression's value is
//! synced, and its BigQuery type, its value in the part and its value as BigQuery reads it are compared. And again
//! after role and server were given settings that change how values print.
//!
//! All cases of a database are columns of one row, so that one run serves them all. What the emulator cannot hold is in
//! a table of its own, of which the part alone is compared.

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::Engine as _;
use highwater::report::RunReport;
use serde_json::Value;

use crate::support::Test;
use crate::support::place::Place;

/// What the emulator cannot hold: the value is compared in the part alone.
pub const EMULATOR_CANNOT: [&str; 6] = [
    // its BIGNUMERIC is DECIMAL(38,18), and these have more digits
    "numeric_p30_s0",
    "numeric_wide",
    "numeric_free",
    "decimal_65_30",
    // it fails a load whose JSON is a bare string
    "jsonb_scalar",
    "json_string",
];

/// How many cases there are.
const POSTGRES_CASES: usize = 94;
const MYSQL_CASES: usize = 57;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    Postgres,
    MySql,
}

/// One line of a file.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    declared: String,
    expression: String,
    becomes: String,
    /// `None`: the column's policy applies.
    expected: Option<Value>,
}

/// A database's cases, as they are tested or after hostile settings.
#[derive(Clone, Copy)]
struct Suite {
    name: &'static str,
    database: Database,
    hostile: bool,
    results: &'static OnceLock<Results>,
}

/// What is wrong with each case, or with the run for all of them.
type Results = Result<HashMap<String, Result<(), String>>, String>;

static POSTGRES: OnceLock<Results> = OnceLock::new();
static POSTGRES_HOSTILE: OnceLock<Results> = OnceLock::new();
static MYSQL: OnceLock<Results> = OnceLock::new();
static MYSQL_HOSTILE: OnceLock<Results> = OnceLock::new();

const SUITES: [Suite; 4] = [
    Suite { name: "postgres", database: Database::Postgres, hostile: false, results: &POSTGRES },
    Suite { name: "postgres_hostile", database: Database::Postgres, hostile: true, results: &POSTGRES_HOSTILE },
    Suite { name: "mysql", database: Database::MySql, hostile: false, results: &MYSQL },
    Suite { name: "mysql_hostile", database: Database::MySql, hostile: true, results: &MYSQL_HOSTILE },
];

pub fn tests() -> Vec<Test> {
    let suites = SUITES.into_iter().flat_map(|suite| cases(suite.database).into_iter().map(move |case| (suite, case)));
    suites.map(|(suite, case)| test(suite, case)).collect()
}

fn test(suite: Suite, case: Case) -> Test {
    let name = format!("main::cases::{}::{}", suite.name, case.name);
    let run = move || {
        // a run that failed is not repeated by every case
        let results = suite.results.get_or_init(|| {
            let run = || crate::support::block_on(suite.run());
            std::panic::catch_unwind(run).map_err(|_panic| "the run failed, as another case shows".to_owned())
        });
        match results {
            Ok(results) => assert_eq!(results[&case.name], Ok(()), "{case:?}"),
            Err(problem) => panic!("{problem}"),
        }
    };
    Test { name: name.into(), run: Box::new(run) }
}

/// The file's cases. Where the file that it was copied from is there, the two must be equal.
fn cases(database: Database) -> Vec<Case> {
    let (file, count) = match database {
        Database::Postgres => ("postgres.tsv", POSTGRES_CASES),
        Database::MySql => ("mysql.tsv", MYSQL_CASES),
    };
    let root = env!("CARGO_MANIFEST_DIR");
    let text = std::fs::read_to_string(format!("{root}/tests/types/{file}")).unwrap();
    if let Ok(given) = std::fs::read_to_string(format!("{root}/../shared/types/{file}")) {
        assert!(given == text, "tests/types/{file} is not the copy of the file that was given");
    }
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let cases: Vec<Case> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, declared, expression, becomes, expected] = fields[..] else { panic!("five fields: {line}") };
            let expected = (expected != "!unrepresentable").then(|| serde_json::from_str(expected).unwrap());
            let owned = str::to_owned;
            Case {
                name: owned(name),
                declared: owned(declared),
                expression: owned(expression),
                becomes: owned(becomes),
                expected,
            }
        })
        .collect();
    assert_eq!(cases.len(), count, "{file}");
    cases
}

impl Suite {
    /// Syncs all cases and judges each.
    async fn run(self) -> HashMap<String, Result<(), String>> {
        let place = Place::new().await;
        place.gate.keep_rows();
        let (cannot, can): (Vec<Case>, Vec<Case>) =
            cases(self.database).into_iter().partition(|case| EMULATOR_CANNOT.contains(&case.name.as_str()));
        self.prepare(&place).await;
        self.fill(&place, "can", &can).await;
        self.fill(&place, "cannot", &cannot).await;
        self.configure(&place);
        if self.hostile {
            self.turn_hostile(&place).await;
        }
        let ran = place.run(&["sync", "--json", "can"]).await;
        // whether the emulator takes it or not, the part was staged
        let beyond = place.run(&["sync", "--json", "cannot"]).await;
        if self.hostile && self.database == Database::MySql {
            place.my(&GENTLE.join("; ")).await;
        }
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        let mut results = judge(&place, "can", &can, &ran.reports()[0], true).await;
        results.extend(judge(&place, "cannot", &cannot, &beyond.reports()[0], false).await);
        results
    }

    async fn fill(self, place: &Place, table: &str, cases: &[Case]) {
        let column = |case: &Case| match self.database {
            Database::Postgres => format!("\"{}\" {}", case.name, case.declared),
            // a timestamp is NOT NULL and sets itself unless it says otherwise
            Database::MySql => format!("`{}` {} NULL", case.name, case.declared),
        };
        let columns: Vec<String> = cases.iter().map(column).collect();
        let values: Vec<&str> = cases.iter().map(|case| case.expression.as_str()).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        let sql = format!("CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ({values})");
        match self.database {
            Database::Postgres => place.pg(&sql).await,
            Database::MySql => {
                place.my(&format!("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; {sql}")).await;
            }
        }
    }

    fn configure(self, place: &Place) {
        const TABLES: [&str; 2] = ["can: { mode: replace }", "cannot: { mode: replace }"];
        match self.database {
            Database::Postgres => place.configure(&TABLES, &[], ""),
            Database::MySql => place.configure(&[], &TABLES, ""),
        };
    }

    async fn prepare(self, place: &Place) {
        if self.database == Database::Postgres {
            place
                .pg("CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
                     CREATE TYPE mood AS ENUM ('sad','ok'); CREATE DOMAIN posint AS int CHECK (value > 0);
                     CREATE TYPE addr AS (street text, zip int)")
                .await;
        }
    }

    async fn turn_hostile(self, place: &Place) {
        match self.database {
            Database::Postgres => {
                // of the test's database alone, so that nobody else is disturbed
                let sets = HOSTILE_ROLE.map(|set| format!("ALTER ROLE admin IN DATABASE {} SET {set}", place.name));
                place.pg(&sets.join("; ")).await;
                // the driver itself sets date style, time zone and float digits when it connects; these it leaves
                let on = place
                    .pg_rows("SELECT current_setting('IntervalStyle'), current_setting('bytea_output'), current_setting('array_nulls')")
                    .await;
                let wanted = ["sql_standard", "escape", "off"].map(|text| Some(text.to_owned()));
                assert_eq!(on, [wanted.to_vec()], "the settings are on for whoever connects");
            }
            Database::MySql => {
                place.my(&HOSTILE_SERVER.join("; ")).await;
                let on = place.my_rows("SELECT @@GLOBAL.time_zone, @@GLOBAL.character_set_server").await;
                assert_eq!(on, [vec![Some("-09:30".to_owned()), Some("latin1".to_owned())]]);
            }
        }
    }
}

/// Settings of a role that change how values print and parse.
const HOSTILE_ROLE: [&str; 11] = [
    "DateStyle = 'SQL, DMY'",
    "TimeZone = 'Asia/Kathmandu'",
    "IntervalStyle = 'sql_standard'",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "xmlbinary = 'hex'",
    "standard_conforming_strings = off",
    "array_nulls = off",
    "lc_monetary = 'C'",
    "search_path = 'nowhere'",
    "client_encoding = 'LATIN1'",
];

/// Settings of the server. What the tests' own connections need of them they set themselves.
const HOSTILE_SERVER: [&str; 11] = [
    "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,NO_ZERO_IN_DATE,STRICT_ALL_TABLES'",
    "SET GLOBAL time_zone = '-09:30'",
    "SET GLOBAL character_set_server = latin1",
    "SET GLOBAL character_set_client = latin1",
    "SET GLOBAL character_set_connection = latin1",
    "SET GLOBAL character_set_results = latin1",
    "SET GLOBAL collation_connection = latin1_bin",
    "SET GLOBAL div_precision_increment = 0",
    "SET GLOBAL sql_select_limit = 0",
    "SET GLOBAL sql_auto_is_null = 1",
    "SET GLOBAL completion_type = 2",
];

/// As they were.
const GENTLE: [&str; 11] = [
    "SET GLOBAL sql_mode = DEFAULT",
    "SET GLOBAL time_zone = DEFAULT",
    "SET GLOBAL character_set_server = DEFAULT",
    "SET GLOBAL character_set_client = DEFAULT",
    "SET GLOBAL character_set_connection = DEFAULT",
    "SET GLOBAL character_set_results = DEFAULT",
    "SET GLOBAL collation_connection = DEFAULT",
    "SET GLOBAL div_precision_increment = DEFAULT",
    "SET GLOBAL sql_select_limit = DEFAULT",
    "SET GLOBAL sql_auto_is_null = DEFAULT",
    "SET GLOBAL completion_type = DEFAULT",
];

/// Judges every case of a table.
async fn judge(
    place: &Place,
    table: &str,
    cases: &[Case],
    report: &RunReport,
    loaded: bool,
) -> HashMap<String, Result<(), String>> {
    let schema = place.table(table).await["schema"]["fields"].as_array().cloned().unwrap();
    let part = place.gate.kept(table);
    assert_eq!(part.len(), 1, "one row of {table}");
    let read: Vec<Option<String>> = if loaded {
        let columns: Vec<String> = cases.iter().map(select).collect();
        place.bq(&format!("SELECT {} FROM {{d}}.{table}", columns.join(", "))).await.remove(0)
    } else {
        vec![None; cases.len()]
    };
    let judged = cases.iter().zip(read).map(|(case, read)| {
        let read = loaded.then_some(read);
        (case.name.clone(), judge_one(case, &schema, &part[0], report, read))
    });
    judged.collect()
}

/// A column as text that keeps its value.
fn select(case: &Case) -> String {
    let name = format!("`{}`", case.name);
    match case.becomes.as_str() {
        "TIMESTAMP" => format!("CAST(UNIX_MICROS({name}) AS STRING)"),
        "BYTES" => format!("TO_BASE64({name})"),
        "JSON" => format!("TO_JSON_STRING({name})"),
        _ => format!("CAST({name} AS STRING)"),
    }
}

fn judge_one(
    case: &Case,
    schema: &[Value],
    part: &Value,
    report: &RunReport,
    read: Option<Option<String>>,
) -> Result<(), String> {
    let field = schema.iter().find(|field| field["name"] == case.name.as_str()).ok_or("no such column")?;
    if field["type"] != case.becomes.as_str() {
        return Err(format!("becomes {}", field["type"]));
    }
    let counted = report.findings.iter().find(|finding| finding.column == case.name);
    let counted = counted.map_or(0, |finding| finding.unrepresentable);
    let wanted = u64::from(case.expected.is_none());
    if counted != wanted {
        return Err(format!("{counted} unrepresentable values are reported, not {wanted}"));
    }
    let expected = case.expected.as_ref().filter(|value| !value.is_null());
    let staged = part.get(&case.name).filter(|value| !value.is_null());
    equal(case, expected, staged).map_err(|problem| format!("in the part: {problem}"))?;
    let Some(read) = read else { return Ok(()) };
    // an emulator's TO_JSON_STRING of NULL is a text
    let read = read.filter(|text| case.becomes != "JSON" || text != "null");
    let read = read.map(|text| from_bigquery(case, &text));
    equal(case, expected, read.as_ref()).map_err(|problem| format!("in BigQuery: {problem}"))
}

/// What BigQuery's text of a value is as JSON of the file.
fn from_bigquery(case: &Case, text: &str) -> Value {
    match case.becomes.as_str() {
        "JSON" => serde_json::from_str(text).unwrap(),
        "BOOL" => Value::from(text == "true"),
        "FLOAT64" => match text.to_ascii_lowercase().as_str() {
            "nan" => Value::from("NaN"),
            "inf" | "infinity" => Value::from("Infinity"),
            "-inf" | "-infinity" => Value::from("-Infinity"),
            number => serde_json::from_str(number).unwrap(),
        },
        "TIMESTAMP" => {
            let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
            let instant = epoch + jiff::SignedDuration::from_micros(text.parse().unwrap());
            Value::from(format!("{instant}Z"))
        }
        "DATETIME" => Value::from(text.replace(' ', "T")),
        _ => Value::from(text),
    }
}

/// Equal by meaning: numbers as exact decimals, times as instants, bytes as bytes, JSON by structure, anything else
/// to the letter.
fn equal(case: &Case, expected: Option<&Value>, found: Option<&Value>) -> Result<(), String> {
    let (expected, found) = match (expected, found) {
        (None, None) => return Ok(()),
        (Some(expected), Some(found)) => (expected, found),
        (expected, found) => return Err(format!("{found:?} instead of {expected:?}")),
    };
    let same = match case.becomes.as_str() {
        "INT64" | "NUMERIC" | "BIGNUMERIC" => decimal(expected) == decimal(found),
        "FLOAT64" => float(expected).to_bits() == float(found).to_bits(),
        "DATE" | "TIME" | "DATETIME" | "TIMESTAMP" => instant(expected) == instant(found),
        "BYTES" => bytes(expected) == bytes(found),
        _ => expected == found,
    };
    if same { Ok(()) } else { Err(format!("{found} instead of {expected}")) }
}

/// A number's digits without zeros that say nothing.
fn decimal(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    format!("{sign}{}.{}", whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
}

fn float(value: &Value) -> f64 {
    match value.as_str() {
        Some(word) => word.parse().unwrap(),
        None => value.as_f64().unwrap(),
    }
}

/// A time's text without zeros at the end of its fraction.
fn instant(value: &Value) -> String {
    let text = value.as_str().unwrap();
    let (body, zone) = text.strip_suffix('Z').map_or((text, ""), |body| (body, "Z"));
    let body = if body.contains('.') { body.trim_end_matches('0').trim_end_matches('.') } else { body };
    format!("{body}{zone}")
}

fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}
