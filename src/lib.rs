//! Highwater moves tables from MySQL and PostgreSQL into BigQuery. The rooms, from the words up to the doors:

// the words: names, types, positions, intents, state
pub mod model;

// pure: no I/O, no clock
pub mod audit;
pub mod encode;
pub mod gzip;
pub mod mapping;
pub mod page;
pub mod plan;
pub mod report;

// file and environment
pub mod config;
pub mod schema;

// what remote calls share, and the adapters
pub mod bucket;
pub mod net;
pub mod source;
pub mod state;
pub mod warehouse;

// what a run does, and what is kept and told of it
pub mod engine;

pub mod journal;

// wiring and the doors
pub mod app;
pub mod cli;
pub mod log;
pub mod server;
