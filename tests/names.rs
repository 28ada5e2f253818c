//! Odd names of tables and columns on both sides, from the configuration to the query in BigQuery, run after run.

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;

pub fn tests() -> Vec<Test> {
    served_tests![odd_columns_of_postgres, odd_columns_of_mariadb, odd_tables_of_postgres, odd_tables_of_mariadb]
}

/// A column's name at the source and in BigQuery.
fn columns(longest: usize) -> Vec<(String, String)> {
    let pairs = [
        ("select", "select"),
        ("order", "order"),
        ("Mixed Case", "Mixed_Case"),
        ("größe", "gr__e"),
        ("日本", "__"),
        ("emoji 🦀", "emoji__"),
        ("1st", "_1st"),
        ("a.b", "a_b"),
        ("a-b", "a_b_2"),
        ("quo\"te", "quo_te"),
        ("back`tick", "back_tick"),
        ("semi;colon", "semi_colon"),
        ("per%cent", "per_cent"),
        ("dol$lar", "dol_lar"),
        ("_PARTITIONTIME", "x_PARTITIONTIME"),
        ("_table_suffix", "x_table_suffix"),
        ("T", "T"),
        ("S", "S"),
        ("t", "t_2"),
    ];
    let long = "l".repeat(longest);
    let pairs = pairs.map(|(source, name)| (source.to_owned(), name.to_owned()));
    pairs.into_iter().chain([(long.clone(), long)]).collect()
}

/// Every column of every row holds `name of the column in BigQuery:id`.
async fn check(place: &Place, table: &str, columns: &[(String, String)], ids: &[u32]) {
    let list: Vec<String> = columns.iter().map(|(_, name)| format!("`{name}`")).collect();
    let rows = place.bq(&format!("SELECT {} FROM {{d}}.`{table}` ORDER BY id", list.join(", "))).await;
    let wanted: Vec<Vec<Option<String>>> =
        ids.iter().map(|id| columns.iter().map(|(_, name)| Some(format!("{name}:{id}"))).collect()).collect();
    assert_eq!(rows, wanted, "{table}");
}

fn values(columns: &[(String, String)], id: u32) -> String {
    columns.iter().map(|(_, name)| format!("'{name}:{id}'")).collect::<Vec<_>>().join(", ")
}

async fn odd_columns_of_postgres() {
    let place = Place::new().await;
    let columns = columns(63);
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let declared: Vec<String> = columns.iter().map(|(name, _)| format!("{} text", quoted(name))).collect();
    place
        .pg(&format!(
            "CREATE TABLE odd (id int, {}, \"Up dated\" timestamptz NOT NULL, PRIMARY KEY (id, \"order\"));
             INSERT INTO odd VALUES (1, {}, '2024-01-01'), (2, {}, '2024-01-01')",
            declared.join(", "),
            values(&columns, 1),
            values(&columns, 2)
        ))
        .await;
    place.configure(&["odd: { cursor: Up dated, chunk_rows: 1 }"], &[], "");
    assert_eq!(place.sync(&["odd"]).await[0].rows, 2);
    check(&place, "odd", &columns, &[1, 2]).await;
    let change = columns.iter().map(|(source, name)| format!("{} = '{name}:9'", quoted(source)));
    let change = change.filter(|set| !set.starts_with("\"order\"")).collect::<Vec<_>>().join(", ");
    place.pg(&format!("UPDATE odd SET {change}, \"Up dated\" = '2024-01-02' WHERE id = 1; UPDATE odd SET \"order\" = 'order:9', id = 9 WHERE id = 1; INSERT INTO odd VALUES (3, {}, '2024-01-02')", values(&columns, 3))).await;
    assert_eq!(place.sync(&["odd"]).await[0].rows, 2);
    // the row whose key was changed is another row to whoever is not told of deletes
    check(&place, "odd", &columns, &[1, 2, 3, 9]).await;
    place.assert_clean().await;
}

async fn odd_columns_of_mariadb() {
    let place = Place::new().await;
    // MySQL's columns differ by more than case, and have no characters beyond the basic plane
    let columns: Vec<(String, String)> =
        columns(64).into_iter().filter(|(name, _)| name != "t" && !name.starts_with("emoji")).collect();
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let declared: Vec<String> = columns.iter().map(|(name, _)| format!("{} varchar(100)", quoted(name))).collect();
    place
        .my(&format!(
            "CREATE TABLE odd (id int, {}, `Up dated` datetime NOT NULL, PRIMARY KEY (id, `order`));
             INSERT INTO odd VALUES (1, {}, '2024-01-01'), (2, {}, '2024-01-01')",
            declared.join(", "),
            values(&columns, 1),
            values(&columns, 2)
        ))
        .await;
    place.configure(&[], &["odd: { cursor: Up dated, chunk_rows: 1 }"], "");
    assert_eq!(place.sync(&["odd"]).await[0].rows, 2);
    check(&place, "odd", &columns, &[1, 2]).await;
    place.my(&format!("INSERT INTO odd VALUES (3, {}, '2024-01-02')", values(&columns, 3))).await;
    assert_eq!(place.sync(&["odd"]).await[0].rows, 1);
    check(&place, "odd", &columns, &[1, 2, 3]).await;
    place.assert_clean().await;
}

/// Tables by their name in the configuration, at the source, and in BigQuery.
async fn odd_tables(place: &Place, names: &[(String, String, String)], postgres: bool) {
    for (round, rows) in [(1, 1), (2, 1)] {
        for (_, source, _) in names {
            let time = if postgres { "timestamptz" } else { "datetime" };
            let make = format!("CREATE TABLE IF NOT EXISTS {source} (id int PRIMARY KEY, u {time} NOT NULL)");
            let sql = format!("{make}; INSERT INTO {source} VALUES ({round}, '2024-01-0{round}')");
            if postgres { place.pg(&sql).await } else { place.my(&sql).await }
        }
        let tables: Vec<String> = names
            .iter()
            .map(|(name, _, target)| match target.as_str() {
                // BigQuery's tables differ by case; the emulator's do not
                "foo_lower" => format!("{name}: {{ cursor: u, target: foo_lower }}"),
                _ => format!("{name}: {{ cursor: u }}"),
            })
            .collect();
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let (pg, my): (&[&str], &[&str]) = if postgres { (&tables, &[]) } else { (&[], &tables) };
        place.configure(pg, my, "");
        for report in place.sync(&["--all"]).await {
            assert_eq!(report.rows, rows, "{report:?}");
        }
        for (name, _, target) in names {
            let count = place.bq_one(&format!("SELECT CAST(COUNT(*) AS STRING) FROM {{d}}.`{target}`")).await;
            assert_eq!(count, round.to_string(), "{name}");
        }
    }
    place.assert_clean().await;
}

async fn odd_tables_of_postgres() {
    let place = Place::new().await;
    place.pg("CREATE SCHEMA \"My Schema\"").await;
    let long = "t".repeat(63);
    let triple = |config: &str, source: &str, target: &str| (config.to_owned(), source.to_owned(), target.to_owned());
    let names = [
        triple("select", "\"select\"", "select"),
        triple("Foo", "\"Foo\"", "Foo"),
        triple("foo", "foo", "foo_lower"),
        triple("with space", "\"with space\"", "with_space"),
        triple("größe", "\"größe\"", "gr__e"),
        triple("'\"dot.ted\"'", "\"dot.ted\"", "dot_ted"),
        triple("'My Schema.In It'", "\"My Schema\".\"In It\"", "My_Schema__In_It"),
        triple(&long, &long, &long),
    ];
    odd_tables(&place, &names, true).await;
}

async fn odd_tables_of_mariadb() {
    let place = Place::new().await;
    let long = "t".repeat(64);
    let triple = |config: &str, source: &str, target: &str| (config.to_owned(), source.to_owned(), target.to_owned());
    let names = [
        triple("order", "`order`", "order"),
        triple("Mixed", "`Mixed`", "Mixed"),
        triple("with space", "`with space`", "with_space"),
        triple("größe", "`größe`", "gr__e"),
        triple("'\"dot.ted\"'", "`dot.ted`", "dot_ted"),
        triple("back`tick", "`back``tick`", "back_tick"),
        triple(&long, &long, &long),
    ];
    odd_tables(&place, &names, false).await;
}
