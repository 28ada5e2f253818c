//! BigQuery column names made from the source's. Pure, and stable from run to run.
