//! Logs: for people on a terminal, for Cloud Logging elsewhere. Both go where the caller says.
//!
//! Cloud Logging reads special keys at the top of a JSON line (`severity`, `logging.googleapis.com/trace`) and
//! filters best on top-level fields, so the fields of the spans (source, table, trace) are lifted there.

use std::io::{self, Write};

use crate::model::{Code, Told};
use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The key under which Cloud Logging looks for a trace (LogEntry, "Special JSON fields").
const TRACE_KEY: &str = "logging.googleapis.com/trace";
/// The span field that carries a trace.
const TRACE_FIELD: &str = "trace";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for a person.
    Human {
        /// Whether with colours.
        colour: bool,
    },
    /// JSON for Cloud Logging.
    Stackdriver,
}

/// The filter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("HIGHWATER_LOG={filter:?} is not a log filter: {cause}; say for example `info` or `highwater=debug`")]
pub struct BadFilter {
    filter: String,
    cause: tracing_subscriber::filter::ParseError,
}

impl BadFilter {
    /// As people are told.
    pub fn told(&self) -> Told {
        Told::new(Code::LogFilter, &self.to_string())
    }
}

/// Starts logging to what `out` makes, a line per write, once per process.
///
/// # Errors
/// The filter cannot be read.
pub fn start<W: Write + 'static>(format: Format, filter: &str, out: fn() -> W) -> Result<(), BadFilter> {
    let parsed = EnvFilter::try_new(filter).map_err(|cause| BadFilter { filter: filter.to_owned(), cause })?;
    let registry = tracing_subscriber::registry().with(parsed);
    let started = match format {
        Format::Human { colour } => registry
            .with(tracing_subscriber::fmt::layer().with_ansi(colour).with_target(false).with_writer(out))
            .try_init(),
        Format::Stackdriver => {
            registry.with(tracing_stackdriver::layer().with_source_location(false).with_writer(Lifted(out))).try_init()
        }
    };
    // a second start in one process keeps the first
    started.unwrap_or_default();
    Ok(())
}

/// Makes writers that lift span fields to the top of the line.
struct Lifted<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lifted<M> {
    type Writer = LineLifter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        LineLifter(self.0.make_writer())
    }
}

/// Rewrites whole lines; the formatting layer writes one line per call.
struct LineLifter<W>(W);

impl<W: Write> Write for LineLifter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match lift(line) {
            Some(lifted) => self.0.write_all(&lifted)?,
            None => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn lift(line: &[u8]) -> Option<Vec<u8>> {
    let mut entry: Map<String, Value> = serde_json::from_slice(line).ok()?;
    entry.remove("span");
    let spans = entry.remove("spans");
    for span in spans.as_ref().and_then(Value::as_array).into_iter().flatten().rev() {
        for (key, value) in span.as_object().into_iter().flatten() {
            let key = if key == TRACE_FIELD { TRACE_KEY } else { key };
            if key != "name" && !entry.contains_key(key) {
                entry.insert(key.to_owned(), value.clone());
            }
        }
    }
    let mut lifted = serde_json::to_vec(&entry).ok()?;
    lifted.push(b'\n');
    Some(lifted)
}

/// The value of Cloud Logging's trace field from a request's headers: `traceparent` (W3C) or
/// `X-Cloud-Trace-Context` (Google); `None` if neither can be read.
pub fn trace_of(project: &str, traceparent: Option<&str>, cloud_trace: Option<&str>) -> Option<String> {
    let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let from_parent = traceparent.and_then(|header| header.split('-').nth(1)).filter(is_id);
    let from_cloud = cloud_trace.and_then(|header| header.split('/').next()).filter(is_id);
    from_parent.or(from_cloud).map(|id| format!("projects/{project}/traces/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_fields_come_to_the_top() -> Result<(), serde_json::Error> {
        let line = br#"{"severity":"INFO","message":"m","table":"own","span":{"name":"run"},"spans":[{"name":"run","source":"s","table":"t","trace":"projects/p/traces/1"}]}"#;
        let lifted: Value = serde_json::from_slice(&lift(line).unwrap_or_default())?;
        let wanted: Value = serde_json::from_str(
            r#"{"severity":"INFO","message":"m","table":"own","source":"s","logging.googleapis.com/trace":"projects/p/traces/1"}"#,
        )?;
        assert_eq!(lifted, wanted);
        Ok(())
    }

    #[test]
    fn traces_of_both_headers() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let wanted = Some(format!("projects/p/traces/{id}"));
        assert_eq!(trace_of("p", Some(&format!("00-{id}-00f067aa0ba902b7-01")), None), wanted);
        assert_eq!(trace_of("p", None, Some(&format!("{id}/1;o=1"))), wanted);
        assert_eq!(trace_of("p", Some("00-zz-1"), Some("\"; DROP")), None);
    }
}
