//! Google's side: the bucket, the jobs' project, datasets, targets, topics.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::{Looks, about, stopped};
use crate::bucket::apart::{Apart, StatePlace};
use crate::bucket::folder::FolderBucket;
use crate::bucket::gcs::GcsBucket;
use crate::bucket::gcs::check::Seen;
use crate::bucket::{Bucket, BucketError, ContentType, Precondition, Put};
use crate::config::Config;
use crate::model::{Finding, HookAddress, Standing, TableSettings};
use crate::plan::check::google::{self, Kept, OBJECT_RIGHTS, TARGET_RIGHTS};
use crate::warehouse::bigquery::BigQuery;
use crate::warehouse::bigquery::check::{Dataset, DryRun};
use crate::warehouse::{Warehouse as _, WarehouseError};

/// Where a probe object lies for a moment.
const PROBES: &str = "check/";

/// Everything that is asked.
pub(super) struct Google<'a> {
    pub(super) looks: &'a Looks,
    pub(super) bucket: &'a Apart,
    pub(super) warehouse: &'a BigQuery,
    pub(super) config: &'a Config,
    pub(super) random: &'a (dyn Fn() -> u128 + Sync),
    pub(super) parallel: usize,
}

/// A dataset with where its jobs run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    project: String,
    dataset: String,
    job_project: String,
    location: String,
}

impl Place {
    fn about(&self) -> String {
        format!("dataset {}.{}", self.project, self.dataset)
    }

    fn names(&self) -> (&str, &str) {
        (&self.project, &self.dataset)
    }

    fn jobs(&self) -> (&str, &str) {
        (&self.job_project, &self.location)
    }
}

impl Google<'_> {
    /// All of it. The identity is that of the first job that is not refused.
    pub(super) async fn check(&self, tables: &[TableSettings]) -> Vec<Finding> {
        let places = self.places(tables);
        let mut identity = None;
        let mut of_jobs = Vec::new();
        let mut asked: Vec<(&str, &str)> = Vec::new();
        for place in &places {
            if !asked.contains(&place.jobs()) {
                asked.push(place.jobs());
                let (finding, found) = self.jobs(place, identity.as_deref()).await;
                of_jobs.push(finding);
                identity = identity.or(found);
            }
        }
        let member = google::member(identity.as_deref());
        let bucket = &self.bucket.bucket;
        let staging = format!("{}staging/", bucket.prefix());
        let states = matches!(self.bucket.state, StatePlace::Bucket);
        let kept = Kept { staging: Some(&staging), parts: true, states };
        let mut findings = self.gcs(bucket, &member, kept).await;
        match &self.bucket.state {
            StatePlace::Bucket => {}
            StatePlace::Other(other) => {
                let staging = (other.name() == bucket.name()).then_some(staging.as_str());
                findings.extend(self.gcs(other, &member, Kept { staging, parts: false, states: true }).await);
            }
            StatePlace::Folder(folder) => findings.push(self.folder(folder).await),
        }
        findings.extend(of_jobs);
        let datasets = places.iter().map(|place| self.dataset(place, &member));
        findings.extend(stream::iter(datasets).buffered(self.parallel).concat().await);
        let targets = tables.iter().map(|table| self.target(table, &member));
        findings.extend(stream::iter(targets).buffered(self.parallel).collect::<Vec<_>>().await);
        findings.extend(self.config.notify.hooks.iter().filter_map(|hook| match &hook.address {
            HookAddress::Webhook(_) => None,
            HookAddress::Topic { project, topic } => Some(google::topic(project, topic, &member)),
        }));
        findings
    }

    /// Each dataset that runs write to.
    fn places(&self, tables: &[TableSettings]) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        let targets = tables.iter().map(|table| Place {
            project: table.target.project.clone(),
            dataset: table.target.dataset.clone(),
            job_project: table.job_project.clone(),
            location: table.location.clone(),
        });
        let runs = &self.config.runs;
        let of_runs = self.config.reports.bigquery.then(|| Place {
            project: runs.table.project.clone(),
            dataset: runs.table.dataset.clone(),
            job_project: runs.job_project.clone(),
            location: runs.location.clone(),
        });
        for place in targets.chain(of_runs) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Whether jobs run in the project, and whose they are.
    async fn jobs(&self, place: &Place, identity: Option<&str>) -> (Finding, Option<String>) {
        let about = format!("project {}", place.job_project);
        match self.warehouse.dry_run(&self.looks.look(), place.jobs(), "SELECT 1").await {
            Ok(DryRun::Fine { identity, .. }) => {
                let found =
                    format!("by a dry run in {}, as {}", place.location, identity.as_deref().unwrap_or("nobody"));
                (Finding::new(&about, "run jobs", Standing::Ok).found(found), identity)
            }
            Ok(DryRun::Refused(said)) => {
                (google::no_jobs(&about, &place.job_project, &google::member(identity), said), None)
            }
            Err(error) => (failed(&about, "run jobs", &error), None),
        }
    }

    /// A folder of this machine.
    async fn folder(&self, folder: &FolderBucket) -> Finding {
        const ABOUT: &str = "state folder";
        let root = folder.root().display().to_string();
        match folder.look(&self.looks.look(), (self.random)()).await {
            Ok(true) => Finding::new(ABOUT, "read and write", Standing::Ok).found(format!("{root}, by a probe file")),
            Ok(false) => Finding::new(ABOUT, "exists", Standing::Optional)
                .found(format!("{root} is not there; the first run makes it"))
                .costs("whether it can be made is not tried"),
            Err(error) => stopped(ABOUT, "read and write", error.class(), error.to_string()).costs("every run fails"),
        }
    }

    /// One bucket of Cloud Storage.
    async fn gcs(&self, bucket: &GcsBucket, member: &str, kept: Kept<'_>) -> Vec<Finding> {
        let about = format!("bucket gs://{}", bucket.name());
        let place = &self.config.runs.location;
        let mut findings = Vec::new();
        match bucket.look(&self.looks.look()).await {
            Ok(Seen::Missing) => return vec![google::no_bucket(&about, bucket.name(), &self.config.project, place)],
            Ok(Seen::Hidden) => findings.push(google::hidden_bucket(&about, bucket.name(), member)),
            Ok(Seen::There { location, rules }) => {
                // BigQuery loads parts
                findings.extend(kept.parts.then(|| google::location(&about, &location, place)));
                findings.push(google::lifecycle(&about, bucket.name(), kept, rules));
            }
            Err(BucketError::Credentials(said)) => return vec![google::no_identity(&about, said)],
            Err(error) => return vec![stopped(&about, "exists", error.class(), error.to_string())],
        }
        let permissions = OBJECT_RIGHTS.map(|(permission, ..)| permission);
        match bucket.granted(&self.looks.look(), &permissions).await {
            Ok(Some(granted)) => {
                let has = |permission: &str| granted.iter().any(|granted| granted == permission);
                if !bucket.prefix().is_empty() && !permissions.into_iter().all(has) {
                    let how =
                        format!("by a probe object, since rights to {} alone are not the bucket's", bucket.prefix());
                    findings.extend(self.probe(bucket, (&about, member), &how).await);
                } else {
                    findings.extend(OBJECT_RIGHTS.iter().map(|(permission, check, costs)| {
                        google::object_right(&about, bucket.name(), member, (check, costs), has(permission))
                            .found("by testPermissions")
                    }));
                }
            }
            Ok(None) => findings.extend(self.probe(bucket, (&about, member), "by a probe object").await),
            Err(error) => findings.push(stopped(&about, "objects", error.class(), error.to_string())),
        }
        findings
    }

    /// Rights told by an object that is written, read, listed and deleted; `how` says so.
    async fn probe(&self, bucket: &GcsBucket, (about, member): (&str, &str), how: &str) -> Vec<Finding> {
        let name = format!("{PROBES}{:032x}.json", (self.random)());
        let cx = || self.looks.look();
        let bytes = Bytes::from_static(b"{}");
        let put = bucket.put(&cx(), &name, bytes, ContentType::Json, Precondition::Absent).await;
        let put = put.map(|put| matches!(put, Put::Stored(_)));
        let read = bucket.get(&cx(), &name, 1 << 10).await.map(|_object| true);
        let listed = bucket.list(&cx(), PROBES).await.map(|_names| true);
        // whatever became of the write: its answer may be all that was lost
        let deleted = bucket.delete(&cx(), &name).await.map(|()| true);
        let left = matches!(put, Ok(true)) && deleted.is_err();
        let told = [read, put, listed, deleted];
        let of = |told, (_, check, costs): (&str, &'static str, &str)| match told {
            Ok(_) => Finding::new(about, check, Standing::Ok).found(how),
            Err(BucketError::Refused { status: 403, message, .. }) => {
                google::object_right(about, bucket.name(), member, (check, costs), false)
                    .found(format!("{how}: {message}"))
            }
            Err(error) => stopped(about, check, error.class(), error.to_string()).costs(costs),
        };
        let mut findings: Vec<Finding> =
            told.into_iter().zip(OBJECT_RIGHTS).map(|(told, right)| of(told, right)).collect();
        if left {
            let found = format!("{} is left of the check", bucket.address(&name));
            findings.push(Finding::new(about, "probe object", Standing::Optional).found(found));
        }
        findings
    }

    async fn dataset(&self, place: &Place, member: &str) -> Vec<Finding> {
        let about = place.about();
        let mut findings = Vec::new();
        match self.warehouse.dataset(&self.looks.look(), &place.project, &place.dataset).await {
            Ok(Dataset::Missing) => return vec![google::no_dataset(&about, place.names(), &place.location)],
            Ok(Dataset::Hidden(said)) => {
                return vec![google::no_rights(&about, "look", place.names(), place.jobs(), member, said)];
            }
            Ok(Dataset::There(found)) if !found.eq_ignore_ascii_case(&place.location) => {
                return vec![google::elsewhere(&about, &found, &place.location)];
            }
            Ok(Dataset::There(found)) => {
                findings.push(Finding::new(&about, "location", Standing::Ok).found(found));
            }
            Err(error) => return vec![failed(&about, "exists", &error)],
        }
        const CHECK: &str = "make tables";
        let sql = google::probe_statement(&place.project, &place.dataset, (self.random)());
        findings.push(match self.warehouse.dry_run(&self.looks.look(), place.jobs(), &sql).await {
            Ok(DryRun::Fine { .. }) => Finding::new(&about, CHECK, Standing::Ok).found("by a dry run"),
            Ok(DryRun::Refused(said)) => google::no_rights(&about, CHECK, place.names(), place.jobs(), member, said),
            Err(error) => failed(&about, CHECK, &error),
        });
        findings
    }

    async fn target(&self, settings: &TableSettings, member: &str) -> Finding {
        const CHECK: &str = "target";
        let about = about(&settings.id);
        let target = &settings.target;
        match self.warehouse.table(&self.looks.look(), target).await {
            Ok(Some(_info)) => {}
            Ok(None) if settings.create => {
                return Finding::new(&about, CHECK, Standing::Ok).found(format!("{target}, which the first run makes"));
            }
            Ok(None) => {
                let found = format!("{target} is not there, and `create: false` makes none");
                return Finding::new(&about, CHECK, Standing::Lacks).found(found).costs("every run of the table fails");
            }
            Err(error) => return failed(&about, CHECK, &error),
        }
        let (names, jobs) = (
            (target.project.as_str(), target.dataset.as_str()),
            (settings.job_project.as_str(), settings.location.as_str()),
        );
        let lacking = |said: String| google::no_rights(&about, CHECK, names, jobs, member, said);
        let fine = |how: &str| Finding::new(&about, CHECK, Standing::Ok).found(format!("{target}, by {how}"));
        match self.warehouse.granted(&self.looks.look(), target, &TARGET_RIGHTS).await {
            Ok(Some(granted)) => {
                let missing: Vec<&str> =
                    TARGET_RIGHTS.into_iter().filter(|right| !granted.iter().any(|has| has == right)).collect();
                match missing.as_slice() {
                    [] => fine("testIamPermissions"),
                    missing => lacking(format!("{target}: {} missing", missing.join(", "))),
                }
            }
            Ok(None) => {
                match self.warehouse.dry_run(&self.looks.look(), jobs, &google::write_statement(target)).await {
                    Ok(DryRun::Fine { .. }) => fine("a dry run"),
                    Ok(DryRun::Refused(said)) => lacking(said),
                    Err(error) => failed(&about, CHECK, &error),
                }
            }
            Err(error) => failed(&about, CHECK, &error),
        }
    }
}

fn failed(about: &str, check: &'static str, error: &WarehouseError) -> Finding {
    if let WarehouseError::Credentials(said) = error {
        return google::no_identity(about, said.clone());
    }
    stopped(about, check, error.class(), error.to_string())
}
