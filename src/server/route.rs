//! What a request asks for, from its method and path. Pure.

use crate::model::{InvalidName, TableId};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `GET /healthz`.
    Health,
    /// `POST /sync/{source}/{table}`.
    Sync(TableId),
    /// `POST /pubsub`.
    PubSub,
    /// What is looked at.
    Page(Page),
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// `GET /`.
    List,
    /// `GET /tables/{source}/{table}`.
    Table(TableId),
    /// `GET /api/tables`.
    Tables,
    /// `GET /api/tables/{source}/{table}`.
    TableData(TableId),
    /// `GET /api/runs`.
    Runs,
    /// `GET /metrics`.
    Metrics,
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoute {
    /// No such path.
    #[error(
        "no such path; there are GET /, /tables/{{source}}/{{table}}, /api/tables, /api/tables/{{source}}/{{table}}, \
         /api/runs, /metrics and /healthz, POST /sync/{{source}}/{{table}} and /pubsub"
    )]
    Path,
    /// The path takes another method.
    #[error("this path takes {0}")]
    Method(&'static str),
    /// A name in the path cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The path's percent-encoding is broken.
    #[error("the path is not valid percent-encoded UTF-8")]
    Encoding,
}

/// The most segments of a path that there is.
const SEGMENTS_MAX: usize = 4;

/// Finds the route.
///
/// # Errors
/// There is none.
pub(super) fn route(method: &str, path: &str) -> Result<Route, NoRoute> {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).splitn(SEGMENTS_MAX + 1, '/').collect();
    let id =
        |source, table| Ok::<_, NoRoute>(TableId { source: decode(source)?.parse()?, table: decode(table)?.parse()? });
    let get = |page: Result<Page, NoRoute>| match method {
        "GET" | "HEAD" => Ok(Route::Page(page?)),
        _ => Err(NoRoute::Method("GET, HEAD")),
    };
    match segments.as_slice() {
        ["healthz"] => match method {
            "GET" | "HEAD" => Ok(Route::Health),
            _ => Err(NoRoute::Method("GET, HEAD")),
        },
        ["pubsub"] => match method {
            "POST" => Ok(Route::PubSub),
            _ => Err(NoRoute::Method("POST")),
        },
        ["sync", source, table] => match method {
            "POST" => Ok(Route::Sync(id(source, table)?)),
            _ => Err(NoRoute::Method("POST")),
        },
        [""] => get(Ok(Page::List)),
        ["tables", source, table] => get(id(source, table).map(Page::Table)),
        ["api", "tables"] => get(Ok(Page::Tables)),
        ["api", "tables", source, table] => get(id(source, table).map(Page::TableData)),
        ["api", "runs"] => get(Ok(Page::Runs)),
        ["metrics"] => get(Ok(Page::Metrics)),
        _ => Err(NoRoute::Path),
    }
}

fn decode(segment: &str) -> Result<String, NoRoute> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(NoRoute::Encoding) };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or(0));
    }
    String::from_utf8(bytes).map_err(|_invalid| NoRoute::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_route_and_says_what_there_is() {
        let sync = |source: &str, table: &str| {
            let (source, table) = (source.parse(), table.parse());
            source.and_then(|source| table.map(|table| Route::Sync(TableId { source, table }))).map_err(NoRoute::Name)
        };
        assert_eq!(route("GET", "/healthz"), Ok(Route::Health));
        assert_eq!(route("POST", "/pubsub"), Ok(Route::PubSub));
        assert_eq!(route("POST", "/sync/fin/invoices"), sync("fin", "invoices"));
        assert_eq!(route("POST", "/sync/fin/a%2Fb%20%C3%A9"), sync("fin", "a/b \u{e9}"));
        assert_eq!(route("GET", "/sync/fin/invoices"), Err(NoRoute::Method("POST")));
        for (path, page) in [
            ("/", Page::List),
            ("", Page::List),
            ("/api/tables", Page::Tables),
            ("/api/runs", Page::Runs),
            ("/metrics", Page::Metrics),
        ] {
            assert_eq!(route("GET", path), Ok(Route::Page(page.clone())), "{path}");
            assert_eq!(route("HEAD", path), Ok(Route::Page(page)), "{path}");
            assert_eq!(route("POST", path), Err(NoRoute::Method("GET, HEAD")), "{path}");
        }
        assert!(matches!(route("GET", "/tables/fin/a%2Fb"), Ok(Route::Page(Page::Table(_)))));
        assert!(matches!(route("GET", "/api/tables/fin/%ff"), Err(NoRoute::Encoding)));
        assert_eq!(route("POST", "/sync/fin/%zz"), Err(NoRoute::Encoding));
        assert_eq!(route("POST", "/sync/fin/%ff"), Err(NoRoute::Encoding));
        assert!(matches!(route("POST", "/sync/fin/"), Err(NoRoute::Name(_))));
        for path in
            ["/sync", "/sync/a", "/sync/a/b/c", "/healthz/", "//", "/pubsub/x", "/tables/a", "/api", "/metrics/"]
        {
            assert_eq!(route("POST", path), Err(NoRoute::Path), "{path}");
            assert_eq!(route("GET", path), Err(NoRoute::Path), "{path}");
        }
    }
}
