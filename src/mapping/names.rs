//! BigQuery column names from source names, for both databases. Pure.
//!
//! Rules (BigQuery's "Specify a schema", column names): letters, digits and `_`, not a digit first, at most 300
//! characters, none of six reserved prefixes, and no two names that differ by case alone.

use std::collections::HashSet;

/// The longest column name.
const NAME_CHARS_MAX: usize = 300;

/// Prefixes that BigQuery keeps for itself, in capitals; their case does not matter.
const RESERVED_PREFIXES: [&str; 6] =
    ["_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER"];

/// The names in BigQuery of the source columns `names`, in the same order.
///
/// A name depends on its own text and on the names before it alone, so a column that is added at the end never
/// changes those that are there: of two that collide, the later one gets the suffix `_2`, `_3` …
///
/// `known` are the names that columns of the source have had so far: they keep them, whatever comes or goes besides.
/// `reserved` are names that no column gets.
pub fn bigquery_names(names: &[&str], known: &[(&str, &str)], reserved: &[&str]) -> Vec<String> {
    let before = known.iter().map(|(_, name)| name).chain(reserved);
    let mut taken: HashSet<String> = before.map(|name| name.to_ascii_lowercase()).collect();
    let name = |source: &&str| match known.iter().find(|(known, _)| known == source) {
        Some((_, name)) => (*name).to_owned(),
        None => distinct(permitted(source), &mut taken),
    };
    names.iter().map(name).collect()
}

/// The name by itself made one that BigQuery takes.
fn permitted(name: &str) -> String {
    let mut made: String =
        name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).take(NAME_CHARS_MAX).collect();
    if made.is_empty() || made.starts_with(|first: char| first.is_ascii_digit()) {
        made.insert(0, '_');
    }
    let upper = made.to_ascii_uppercase();
    if RESERVED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) {
        made.insert(0, 'x');
    }
    made.truncate(NAME_CHARS_MAX);
    made
}

fn distinct(name: String, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 2u32;
    while !taken.insert(candidate.to_ascii_lowercase()) {
        let suffix = format!("_{number}");
        let stem = &name[..name.len().min(NAME_CHARS_MAX - suffix.len())];
        candidate = format!("{stem}{suffix}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fresh(names: &[&str]) -> Vec<String> {
        bigquery_names(names, &[], &[])
    }

    #[test]
    fn permitted_names_stay() {
        assert_eq!(fresh(&["id", "Name", "_x", "a1"]), ["id", "Name", "_x", "a1"]);
    }

    #[test]
    fn other_names_are_changed() {
        let names = ["order date", "größe", "1st", "", "a-b.c", "☃"];
        assert_eq!(fresh(&names), ["order_date", "gr__e", "_1st", "_", "a_b_c", "__2"]);
    }

    #[test]
    fn reserved_prefixes_get_an_x() {
        let names = ["_PARTITIONTIME", "_table_suffix", "_File_Name", "_row_timestamp", "__root__a", "_colidentifier1"];
        let made = fresh(&names);
        assert!(made.iter().zip(names).all(|(made, name)| *made == format!("x{name}")), "{made:?}");
        assert_eq!(fresh(&["_partial", "table_"]), ["_partial", "table_"]);
    }

    #[test]
    fn the_later_of_two_gets_a_suffix() {
        assert_eq!(fresh(&["Id", "id", "ID", "id_2"]), ["Id", "id_2", "ID_3", "id_2_2"]);
        assert_eq!(fresh(&["a b", "a_b"]), ["a_b", "a_b_2"]);
    }

    #[test]
    fn a_name_that_a_column_has_stays_with_it() {
        let known = [("Id", "Id"), ("id", "id_2"), ("dropped", "gone")];
        assert_eq!(bigquery_names(&["id", "GONE", "ID"], &known, &[]), ["id_2", "GONE_2", "ID_3"]);
        assert_eq!(bigquery_names(&["_Synced_At"], &[], &["_synced_at"]), ["_Synced_At_2"]);
    }

    #[test]
    fn long_names_are_cut_and_stay_distinct() {
        let long = "a".repeat(400);
        let made = fresh(&[&long, &long]);
        assert_eq!(made[0].len(), 300);
        assert_eq!(made[1], format!("{}_2", "a".repeat(298)));
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_bigquery_takes(names in proptest::collection::vec(any::<String>(), 0..20)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let made = fresh(&names);
            prop_assert_eq!(made.len(), names.len());
            let mut seen = HashSet::new();
            for name in &made {
                prop_assert!(seen.insert(name.to_ascii_lowercase()));
                prop_assert!(name.len() <= NAME_CHARS_MAX && !name.is_empty());
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
                prop_assert!(!name.as_bytes()[0].is_ascii_digit());
            }
            // adding a column changes no name before it
            if let Some((_, before)) = names.split_last() {
                prop_assert_eq!(&fresh(before)[..], &made[..before.len()]);
            }
        }
    }
}
