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
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoute {
    /// No such path.
    #[error("no such path; there are GET /healthz, POST /sync/{{source}}/{{table}} and POST /pubsub")]
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

/// Finds the route.
///
/// # Errors
/// There is none.
pub(super) fn route(method: &str, path: &str) -> Result<Route, NoRoute> {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    match (segments.next(), segments.next(), segments.next(), segments.next()) {
        (Some("healthz"), None, None, None) => match method {
            "GET" | "HEAD" => Ok(Route::Health),
            _ => Err(NoRoute::Method("GET")),
        },
        (Some("pubsub"), None, None, None) => match method {
            "POST" => Ok(Route::PubSub),
            _ => Err(NoRoute::Method("POST")),
        },
        (Some("sync"), Some(source), Some(table), None) => match method {
            "POST" => Ok(Route::Sync(TableId { source: decode(source)?.parse()?, table: decode(table)?.parse()? })),
            _ => Err(NoRoute::Method("POST")),
        },
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
        assert_eq!(route("POST", "/sync/fin/%zz"), Err(NoRoute::Encoding));
        assert_eq!(route("POST", "/sync/fin/%ff"), Err(NoRoute::Encoding));
        assert!(matches!(route("POST", "/sync/fin/"), Err(NoRoute::Name(_))));
        for path in ["/", "", "/sync", "/sync/a", "/sync/a/b/c", "/healthz/", "//", "/pubsub/x"] {
            assert_eq!(route("POST", path), Err(NoRoute::Path), "{path}");
        }
    }
}
