//! What a check has to say of buckets, BigQuery and topics, and the command that mends each lack.

use crate::model::{BqTable, Finding, Mend, Rules, Standing};

/// Stands for the identity where nobody names it.
const NOBODY: &str = "serviceAccount:SERVICE_ACCOUNT";
/// After how many days the lifecycle rule deletes what lies below `staging/`.
const STAGING_DAYS: u32 = 7;
/// Rights to objects, what each is for and what its lack costs (Cloud Storage, "IAM permissions for JSON methods").
pub const OBJECT_RIGHTS: [(&str, &str, &str); 4] = [
    ("storage.objects.get", "read objects", "no state can be read: every run fails"),
    ("storage.objects.create", "write objects", "nothing can be staged: every run fails"),
    ("storage.objects.list", "list objects", "what crashed runs leave is not swept, and reports are not loaded"),
    ("storage.objects.delete", "delete objects", "no state can be written over: every run but a table's first fails"),
];
/// Rights to a target (BigQuery, "IAM permissions").
pub const TARGET_RIGHTS: [&str; 4] =
    ["bigquery.tables.get", "bigquery.tables.getData", "bigquery.tables.update", "bigquery.tables.updateData"];

/// The identity as IAM names it.
pub fn member(identity: Option<&str>) -> String {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_+".contains(&byte);
    match identity.filter(|email| email.contains('@') && email.bytes().all(fine)) {
        Some(email) if email.ends_with(".gserviceaccount.com") => format!("serviceAccount:{email}"),
        Some(email) => format!("user:{email}"),
        None => NOBODY.to_owned(),
    }
}

/// Nobody gives tokens for it.
pub fn no_identity(about: &str, said: String) -> Finding {
    Finding::new(about, "credentials", Standing::Lacks)
        .found(said)
        .costs("every run fails")
        .mend(Mend::Shell("gcloud auth application-default login".to_owned()))
}

/// A bucket that is not there.
pub fn no_bucket(about: &str, bucket: &str, project: &str, location: &str) -> Finding {
    Finding::new(about, "exists", Standing::Lacks).found("there is no such bucket").costs("every run fails").mend(
        Mend::Shell(format!(
            "gcloud storage buckets create gs://{bucket} --project={project} --location={location} \
             --uniform-bucket-level-access"
        )),
    )
}

/// A bucket whose location and rules may not be seen.
pub fn hidden_bucket(about: &str, bucket: &str, member: &str) -> Finding {
    Finding::new(about, "location and lifecycle", Standing::CannotTell)
        .found("storage.buckets.get is missing, which only this check uses")
        .mend(Mend::Shell(format!(
            "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} \
             --role=roles/storage.legacyBucketReader"
        )))
}

/// Where a bucket is, as BigQuery loads from it.
pub fn location(about: &str, bucket: &str, dataset: &str) -> Finding {
    let finding = |standing| Finding::new(about, "location", standing);
    let (bucket, dataset) = (bucket.to_ascii_uppercase(), dataset.to_ascii_uppercase());
    // a dataset in the US loads from anywhere, others from where they are (BigQuery, "Location considerations")
    let within = dataset == "EU" && bucket.starts_with("EU");
    if bucket == dataset || dataset == "US" || within {
        return finding(Standing::Ok).found(bucket);
    }
    finding(Standing::Optional)
        .found(format!("the bucket is in {bucket}, BigQuery's datasets in {dataset}"))
        .costs("BigQuery may refuse to load; make a bucket in the datasets' location")
}

/// What Highwater keeps in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// Where parts lie, with the prefix; `None` for a bucket without parts.
    pub staging: Option<&'a str>,
    /// Whether it is looked at for its parts' sake.
    pub parts: bool,
    /// Whether it is looked at for the states' sake.
    pub states: bool,
}

/// Whether crashed runs' leftovers go by themselves, and nothing else does.
pub fn lifecycle(about: &str, bucket: &str, kept: Kept<'_>, rules: Rules) -> Finding {
    let finding = |standing| Finding::new(about, "lifecycle", standing);
    if let Some(rule) = rules.endangers.filter(|_| kept.states) {
        let which = if rules.count == 1 { "its rule".to_owned() } else { format!("rule {rule} of {}", rules.count) };
        let found = format!("{which} can delete states; the second command replaces all rules, so look at them first");
        return finding(Standing::Lacks)
            .found(found)
            .costs(
                "every table's memory goes with it: its next run begins at the first row, and `append` doubles its rows",
            )
            .mend(Mend::Shell(set_rules(bucket, kept.staging, rules.count)));
    }
    if !kept.parts {
        return finding(Standing::Ok).found("no rule deletes states");
    }
    if rules.sweeps {
        return finding(Standing::Ok).found("a rule deletes what lies below staging/");
    }
    let found = match rules.count {
        0 => "no rule deletes what lies below staging/".to_owned(),
        rules => format!(
            "none of its {rules} rules deletes all that is old below staging/; the second command replaces them, so \
             look at them first"
        ),
    };
    finding(Standing::Optional)
        .found(found)
        .costs("what a crashed run leaves stays until a later run has rows")
        .mend(Mend::Shell(set_rules(bucket, kept.staging, rules.count)))
}

/// Shows the rules that there are, and puts ours in their place.
fn set_rules(bucket: &str, staging: Option<&str>, rules: usize) -> String {
    let set = match staging {
        Some(staging) => {
            let rule = format!(
                r#"{{"rule":[{{"action":{{"type":"Delete"}},"condition":{{"age":{STAGING_DAYS},"matchesPrefix":["{staging}"]}}}}]}}"#
            );
            format!("echo '{rule}' | gcloud storage buckets update gs://{bucket} --lifecycle-file=/dev/stdin")
        }
        None => format!("gcloud storage buckets update gs://{bucket} --clear-lifecycle"),
    };
    match rules {
        0 => set,
        _ => format!(r#"gcloud storage buckets describe gs://{bucket} --format="default(lifecycle_config)"; {set}"#),
    }
}

/// A right to a bucket's objects.
pub fn object_right(
    about: &str,
    bucket: &str,
    member: &str,
    (check, costs): (&'static str, &str),
    has: bool,
) -> Finding {
    if has {
        return Finding::new(about, check, Standing::Ok);
    }
    Finding::new(about, check, Standing::Lacks).costs(costs).mend(Mend::Shell(format!(
        "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} --role=roles/storage.objectUser"
    )))
}

/// A project in which jobs are refused.
pub fn no_jobs(about: &str, project: &str, member: &str, said: String) -> Finding {
    Finding::new(about, "run jobs", Standing::Lacks).found(said).costs("every run fails").mend(Mend::Shell(format!(
        "gcloud projects add-iam-policy-binding {project} --member={member} --role=roles/bigquery.jobUser"
    )))
}

/// A dataset that is not there. Whether it may be made can only be told by making one.
pub fn no_dataset(about: &str, (project, dataset): (&str, &str), location: &str) -> Finding {
    Finding::new(about, "exists", Standing::Optional)
        .found("there is no such dataset")
        .costs("the first run makes it, and fails where the identity may not make datasets in the project")
        .mend(Mend::Shell(format!("bq --location={location} mk --dataset {project}:{dataset}")))
}

/// A dataset that may not be used as a run has to.
pub fn no_rights(
    about: &str,
    check: &'static str,
    (project, dataset): (&str, &str),
    (job_project, location): (&str, &str),
    member: &str,
    said: String,
) -> Finding {
    let statement = format!(r#"GRANT `roles/bigquery.dataEditor` ON SCHEMA `{project}`.`{dataset}` TO "{member}""#);
    Finding::new(about, check, Standing::Lacks).found(said).costs("runs into it fail").mend(Mend::Shell(format!(
        "bq --project_id={job_project} --location={location} query --use_legacy_sql=false '{statement}'"
    )))
}

/// A dataset that is elsewhere.
pub fn elsewhere(about: &str, found: &str, wanted: &str) -> Finding {
    Finding::new(about, "location", Standing::Lacks)
        .found(format!("it is in {found}, the configuration says {wanted}; set `location: {found}`"))
        .costs("every run into it fails")
}

/// The statement that would make a table in the dataset, were it run.
pub fn probe_statement(project: &str, dataset: &str, id: u128) -> String {
    format!("CREATE TABLE `{project}`.`{dataset}`.`hw_check_{id:032x}` (x INT64)")
}

/// The statement that would write to the table, were it run; it would change nothing.
pub fn write_statement(table: &BqTable) -> String {
    format!("DELETE FROM `{}`.`{}`.`{}` WHERE FALSE", table.project, table.dataset, table.table)
}

/// A topic: publishing is the one way to try.
pub fn topic(project: &str, topic: &str, member: &str) -> Finding {
    Finding::new(&format!("topic {project}/{topic}"), "publish", Standing::CannotTell)
        .found("a message would be the only test")
        .costs("nobody is told of troubles there")
        .mend(Mend::Shell(format!(
            "gcloud pubsub topics add-iam-policy-binding {topic} --project={project} --member={member} \
             --role=roles/pubsub.publisher"
        )))
}

/// A variable of the configuration that is not set.
pub fn unset(name: &str, line: &str) -> Finding {
    Finding::new(&format!("variable {name}"), "is set", Standing::Lacks)
        .found(line)
        .costs("the configuration cannot be read")
        .mend(Mend::Shell(format!(
            "gcloud secrets add-iam-policy-binding {name} --member={NOBODY} --role=roles/secretmanager.secretAccessor \
             && gcloud run services update SERVICE --update-secrets={name}={name}:latest"
        )))
}
