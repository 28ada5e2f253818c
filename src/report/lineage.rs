//! Events of lineage, in the form of OpenLineage 2-0-2: which job read which table and wrote which, column by column. Pure.
//!
//! An event says what is known when it is sent: at a run's beginning the two tables, at its end their columns, rows and
//! bytes, or why it failed. Readers put the events of a run together (the facet `jobType` says so).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::record::RunId;
use super::{Outcome, RunReport};
use crate::model::{Becomes, Flow, FlowColumn};

/// Who sends the events, as a URI.
const PRODUCER: &str = concat!("urn:highwater:", env!("CARGO_PKG_VERSION"));
const EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// The namespace of BigQuery's tables (OpenLineage, "Naming").
const BIGQUERY: &str = "bigquery";
/// Tables of more columns are told of without them: what an event may weigh is not ours to try.
const COLUMNS_MAX: usize = 2_000;

/// What is told of a run.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The run.
    pub run_id: RunId,
    /// The namespace of the jobs.
    pub job_namespace: String,
    /// The job.
    pub job: String,
    /// The namespace of the source's tables: `postgres://host:port`.
    pub source: String,
    /// The table there: `database.schema.table`.
    pub table: String,
    /// The target: `project.dataset.table`.
    pub target: String,
}

impl Lines {
    /// The event of a run that begins.
    pub fn start(&self, at: Timestamp) -> Value {
        self.event("START", at, json!({}), self.input(None), self.output(None, None))
    }

    /// The event of a run that has ended so; `stopped` if the process was told to stop.
    pub fn end(&self, at: Timestamp, report: &RunReport, stopped: bool) -> Value {
        let kind = match report.outcome {
            Outcome::Failed | Outcome::Unusable => "FAIL",
            Outcome::Partial if stopped => "ABORT",
            // another run does its work
            Outcome::Superseded => "ABORT",
            // of a dry run nobody is told
            Outcome::Synced | Outcome::WouldSync | Outcome::UpToDate | Outcome::Partial => "COMPLETE",
        };
        let mut facets = Map::new();
        if let Some(error) = &report.error {
            let message = json!({ "message": error.message, "programmingLanguage": "RUST" });
            facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", message));
        }
        let flow = report.flow.as_deref().filter(|flow| flow.columns.len().max(flow.target.len()) <= COLUMNS_MAX);
        self.event(kind, at, Value::Object(facets), self.input(flow), self.output(flow, Some(report)))
    }

    fn event(&self, kind: &str, at: Timestamp, run_facets: Value, input: Value, output: Value) -> Value {
        let job_type = json!({
            "processingType": "BATCH",
            "integration": "HIGHWATER",
            "jobType": "JOB",
            "emissionPattern": { "eventTrigger": "EVENT_BASED", "eventContentMode": "ACCUMULATIVE" },
        });
        json!({
            "eventType": kind,
            "eventTime": format!("{at:.6}"),
            "producer": PRODUCER,
            "schemaURL": EVENT,
            "run": { "runId": self.run_id.uuid(), "facets": run_facets },
            "job": {
                "namespace": self.job_namespace,
                "name": self.job,
                "facets": { "jobType": facet("2-0-4/JobTypeJobFacet", job_type) },
            },
            "inputs": [input],
            "outputs": [output],
        })
    }

    fn input(&self, flow: Option<&Flow>) -> Value {
        let mut facets = data_source(&self.source);
        if let Some(flow) = flow {
            let columns = flow.columns.iter().map(|column| (&column.source, &column.source_type));
            facets.insert("schema".to_owned(), schema(columns));
        }
        json!({ "namespace": self.source, "name": self.table, "facets": facets })
    }

    fn output(&self, flow: Option<&Flow>, report: Option<&RunReport>) -> Value {
        let mut facets = data_source(BIGQUERY);
        if let Some(flow) = flow {
            facets.insert("schema".to_owned(), schema(flow.target.iter().map(|(name, ty)| (name, ty))));
            let fields = flow.columns.iter().map(|column| (column.target.clone(), self.origin(column)));
            let fields = json!({ "fields": fields.collect::<Map<_, _>>() });
            facets.insert("columnLineage".to_owned(), facet("1-2-0/ColumnLineageDatasetFacet", fields));
        }
        let mut output = json!({ "namespace": BIGQUERY, "name": self.target, "facets": facets });
        if let (Some(report), Some(output)) = (report, output.as_object_mut()) {
            let counts = json!({ "rowCount": report.rows, "size": report.bytes });
            let counts = facet("1-0-2/OutputStatisticsOutputDatasetFacet", counts);
            output.insert("outputFacets".to_owned(), json!({ "outputStatistics": counts }));
        }
        output
    }

    fn origin(&self, column: &FlowColumn) -> Value {
        let (subtype, description, masking) = match column.becomes {
            Becomes::Same => ("IDENTITY", "", false),
            Becomes::Cast => ("TRANSFORMATION", "another type, as the settings say", false),
            Becomes::Hash => ("TRANSFORMATION", "a salted hash", true),
        };
        json!({ "inputFields": [{
            "namespace": self.source,
            "name": self.table,
            "field": column.source,
            "transformations": [
                { "type": "DIRECT", "subtype": subtype, "description": description, "masking": masking }
            ],
        }] })
    }
}

fn data_source(name: &str) -> Map<String, Value> {
    let mut facets = Map::new();
    facets.insert("dataSource".to_owned(), facet("1-0-1/DatasourceDatasetFacet", json!({ "name": name })));
    facets
}

fn schema<'a>(columns: impl Iterator<Item = (&'a String, &'a String)>) -> Value {
    let field =
        |(at, (name, ty)): (usize, (&String, &String))| json!({ "name": name, "type": ty, "ordinal_position": at + 1 });
    facet("1-2-0/SchemaDatasetFacet", json!({ "fields": columns.enumerate().map(field).collect::<Vec<_>>() }))
}

/// These fields as a facet of that version and name, `1-0-1/NameOfFacet`.
fn facet(kind: &str, mut fields: Value) -> Value {
    let name = kind.rsplit('/').next().unwrap_or(kind);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("_producer".to_owned(), PRODUCER.into());
        let url = format!("https://openlineage.io/spec/facets/{kind}.json#/$defs/{name}");
        fields.insert("_schemaURL".to_owned(), url.into());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, TableId};
    use crate::report::{Failure, FailureClass};

    fn lines() -> Lines {
        Lines {
            run_id: RunId::new(Timestamp::UNIX_EPOCH, 7),
            job_namespace: "highwater".to_owned(),
            job: "pg/orders".to_owned(),
            source: "postgres://db:5432".to_owned(),
            table: "app.public.orders".to_owned(),
            target: "p.d.orders".to_owned(),
        }
    }

    fn report(outcome: Outcome) -> Result<RunReport, Box<dyn std::error::Error>> {
        let id = TableId { source: "pg".parse()?, table: "orders".parse()? };
        let mut report = RunReport::new(&id, "p.d.orders".to_owned(), Mode::Merge);
        (report.outcome, report.rows, report.bytes) = (outcome, 3, 99);
        Ok(report)
    }

    #[test]
    fn outcomes_end_runs() -> Result<(), Box<dyn std::error::Error>> {
        for (outcome, stopped, wanted) in [
            (Outcome::Synced, false, "COMPLETE"),
            (Outcome::UpToDate, false, "COMPLETE"),
            (Outcome::Partial, false, "COMPLETE"),
            (Outcome::Partial, true, "ABORT"),
            (Outcome::Superseded, false, "ABORT"),
            (Outcome::Unusable, false, "FAIL"),
            (Outcome::Failed, true, "FAIL"),
        ] {
            let event = lines().end(Timestamp::UNIX_EPOCH, &report(outcome)?, stopped);
            assert_eq!(event["eventType"], wanted, "{outcome:?}");
            assert_eq!(event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 3);
        }
        Ok(())
    }

    #[test]
    fn columns_and_errors() -> Result<(), Box<dyn std::error::Error>> {
        let mut report = report(Outcome::Failed)?;
        report.error = Some(Failure { code: None, message: "no".to_owned(), class: FailureClass::Permanent });
        let column = |name: &str, becomes| FlowColumn {
            source: name.to_owned(),
            source_type: "text".to_owned(),
            target: name.to_uppercase(),
            becomes,
        };
        let columns = vec![column("a", Becomes::Same), column("b", Becomes::Hash)];
        report.flow = Some(Box::new(Flow { columns, target: vec![("A".to_owned(), "STRING".to_owned())] }));
        let event = lines().end(Timestamp::UNIX_EPOCH, &report, false);
        assert_eq!(event["run"]["facets"]["errorMessage"]["message"], "no");
        let origins = &event["outputs"][0]["facets"]["columnLineage"]["fields"];
        let masking = |name: &str| origins[name]["inputFields"][0]["transformations"][0]["masking"].clone();
        assert_eq!((masking("A"), masking("B")), (false.into(), true.into()));
        assert_eq!(event["inputs"][0]["facets"]["schema"]["fields"][1]["name"], "b");
        // of a table that is too wide, only the tables are told
        let many = (0..=COLUMNS_MAX).map(|at| column(&at.to_string(), Becomes::Same)).collect();
        report.flow = Some(Box::new(Flow { columns: many, target: Vec::new() }));
        let event = lines().end(Timestamp::UNIX_EPOCH, &report, false);
        assert!(event["inputs"][0]["facets"]["schema"].is_null());
        Ok(())
    }

    #[test]
    fn the_id_is_a_uuid_of_version_7() {
        let at = Timestamp::from_millisecond(1_767_225_600_000).unwrap_or(Timestamp::UNIX_EPOCH);
        assert_eq!(RunId::new(at, u128::MAX).uuid(), "019b76da-a800-7fff-bfff-ffffffffffff");
        assert_eq!(RunId::new(at, 0).uuid(), "019b76da-a800-7000-8000-000000000000");
    }
}
