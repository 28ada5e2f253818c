//! Values as `*_send` writes them, against what BigQuery and PostgreSQL read.
