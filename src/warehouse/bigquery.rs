//! BigQuery by REST.
