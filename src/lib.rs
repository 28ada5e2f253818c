//! Highwater moves tables from MySQL and PostgreSQL into BigQuery. The rooms, from the words up to the doors:

pub mod model;

pub mod audit;
pub mod encode;
pub mod mapping;
pub mod plan;
pub mod report;

pub mod config;
pub mod net;

pub mod bucket;
pub mod engine;
pub mod source;
pub mod state;
pub mod warehouse;
