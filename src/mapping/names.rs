//! BigQuery column names made from the source's. Pure, and stable from run to run.

/// Names for BigQuery (placeholder until the mapping lands).
pub fn bigquery_names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
