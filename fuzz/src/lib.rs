//! What the fuzz targets share: the product's parsers, and what must hold of what they write.
//!
//! The parsers are compiled in from `../src` by themselves, not through the product's crate: they are pure, so a build
//! needs a dozen crates and not three hundred, and what is private in the product stays so.

pub mod civil;
pub mod decimal;
pub mod kind;
pub mod mysql;
pub mod postgres;
pub mod row;
pub mod value;

#[path = "../../src"]
mod product {
    pub mod audit;
    pub mod config;
    pub mod encode;
    pub mod gzip;
    pub mod model;

    pub mod server {
        mod envelope;
        mod route;

        use crate::model::TableId;

        /// The table that a Pub/Sub envelope names, or why it names none.
        pub fn table_of(body: &[u8]) -> Result<TableId, String> {
            envelope::table_of(body).map_err(|bad| bad.to_string())
        }

        /// What a request asks for, or the refusal.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Asked {
            Health,
            PubSub,
            Sync(TableId),
            /// A page, of this table if it is about one.
            Page(Option<TableId>),
            Nothing(String),
        }

        /// What a method and a path ask for.
        pub fn route(method: &str, path: &str) -> Asked {
            match route::route(method, path) {
                Ok(route::Route::Health) => Asked::Health,
                Ok(route::Route::PubSub) => Asked::PubSub,
                Ok(route::Route::Sync(id)) => Asked::Sync(id),
                Ok(route::Route::Page(page)) => Asked::Page(match page {
                    route::Page::Table(id) | route::Page::TableData(id) => Some(id),
                    route::Page::List | route::Page::Tables | route::Page::Runs | route::Page::Metrics => None,
                }),
                Err(none) => Asked::Nothing(none.to_string()),
            }
        }
    }

    pub mod state {
        pub mod codec;
    }
}

pub use product::{audit, config, encode, gzip, model, server, state};

/// Takes the first byte of the input as a choice among `count`; the rest is the material.
pub fn choice(data: &[u8], count: usize) -> Option<(usize, &[u8])> {
    data.split_first().map(|(first, rest)| (usize::from(*first) % count, rest))
}

/// Whether a text can stand in one line of a log or an answer as it is.
pub fn one_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}
