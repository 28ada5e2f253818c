# Who may do what: the runner (service and jobs), the invoker (schedules and pushes), the builder (Cloud Build). Each
# role is given on the one resource that needs it; where it is on the project, the comment says why.

resource "google_service_account" "this" {
  for_each = {
    runner  = "Highwater: reads the sources, writes BigQuery and the bucket"
    invoker = "Highwater: calls the service and starts the job of all tables"
    builder = "Highwater: builds and deploys the image"
  }

  project      = local.project
  account_id   = "${var.name}-${each.key}"
  display_name = each.value

  depends_on = [google_project_service.this]
}

locals {
  member = { for role, account in google_service_account.this : role => "serviceAccount:${account.email}" }
}

# --- the runner ---

# load, merge and query jobs; jobs belong to a project, so the role cannot be narrower
resource "google_project_iam_member" "runner_jobs" {
  project = local.job_project
  role    = "roles/bigquery.jobUser"
  member  = local.member["runner"]
}

# Looks up jobs that another identity started, and no more. Their ids follow from what they do, so that a run of whoever comes
# next finds them: a person's before the service was deployed, too. jobUser lets an account look up its own alone.
resource "google_project_iam_custom_role" "runner_jobs" {
  project     = local.job_project
  role_id     = "${replace(var.name, "-", "_")}_jobs"
  title       = "Highwater: looks up jobs (${var.name})"
  description = "Asks what became of a BigQuery job that another identity started."
  permissions = ["bigquery.jobs.get"]

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "runner_jobs_get" {
  project = local.job_project
  role    = google_project_iam_custom_role.runner_jobs.name
  member  = local.member["runner"]
}

# makes and alters targets and staging tables and writes their rows, in these datasets alone
resource "google_bigquery_dataset_iam_member" "runner" {
  for_each = local.datasets

  project    = local.project
  dataset_id = try(google_bigquery_dataset.this[each.value].dataset_id, each.value)
  role       = "roles/bigquery.dataEditor"
  member     = local.member["runner"]
}

# states, parts, rejects and reports are read, listed, written and deleted; the bucket's settings are not touched
resource "google_storage_bucket_iam_member" "runner" {
  bucket = google_storage_bucket.this.name
  role   = "roles/storage.objectUser"
  member = local.member["runner"]
}

# states, where `state` names another bucket
resource "google_storage_bucket_iam_member" "runner_state" {
  count = local.state_bucket == local.bucket ? 0 : 1

  bucket = local.state_bucket
  role   = "roles/storage.objectUser"
  member = local.member["runner"]
}

# the source's passwords and certificates, and highwater.yaml, one by one
resource "google_secret_manager_secret_iam_member" "runner" {
  for_each = var.secrets

  project   = local.project
  secret_id = each.value.create ? google_secret_manager_secret.this[each.key].secret_id : each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member["runner"]
}

resource "google_secret_manager_secret_iam_member" "runner_config" {
  project   = local.project
  secret_id = google_secret_manager_secret.config.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member["runner"]
}

# messages to the topics of `notify`
resource "google_pubsub_topic_iam_member" "runner_notify" {
  for_each = local.notify_topics

  project = split("/", each.value)[1]
  topic   = try(google_pubsub_topic.notify[each.value].name, split("/", each.value)[3])
  role    = "roles/pubsub.publisher"
  member  = local.member["runner"]
}

locals {
  # instance by connection name: PROJECT:REGION:INSTANCE, where a project may have a domain before it (example.com:acme)
  cloud_sql = { for name in var.cloud_sql_instances : name => {
    project  = join(":", slice(split(":", name), 0, length(split(":", name)) - 2))
    instance = reverse(split(":", name))[0]
  } }
}

# opens the tunnels to these instances; Cloud SQL's roles are a project's, the condition narrows this one
resource "google_project_iam_member" "runner_cloud_sql" {
  for_each = local.cloud_sql

  project = each.value.project
  role    = "roles/cloudsql.client"
  member  = local.member["runner"]

  condition {
    title       = "${var.name}-${each.value.instance}"
    description = "This instance alone"
    expression  = "resource.type == 'sqladmin.googleapis.com/Instance' && resource.name == 'projects/${each.value.project}/instances/${each.value.instance}'"
  }
}

# logs in to databases as itself, where a source of highwater.yaml says `login: iam`; which ones is decided by where
# Cloud SQL has a user for it
resource "google_project_iam_member" "runner_cloud_sql_login" {
  for_each = length(local.iam_logins) == 0 ? [] : toset(length(local.cloud_sql) > 0 ? [for sql in values(local.cloud_sql) : sql.project] : [local.project])

  project = each.value
  role    = "roles/cloudsql.instanceUser"
  member  = local.member["runner"]
}

# --- the invoker ---

# requests to this service and no other; where the service checks callers itself, this is not looked at
resource "google_cloud_run_v2_service_iam_member" "invoker" {
  project  = local.project
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = local.member["invoker"]
}

# starts the job of all tables, if that has a schedule
resource "google_cloud_run_v2_job_iam_member" "invoker" {
  count = var.job.schedule == null ? 0 : 1

  project  = local.project
  location = var.region
  name     = google_cloud_run_v2_job.this["sync"].name
  role     = "roles/run.invoker"
  member   = local.member["invoker"]
}

# --- the builder ---

# pushes images to this repository
resource "google_artifact_registry_repository_iam_member" "builder" {
  project    = local.project
  location   = var.region
  repository = google_artifact_registry_repository.this.name
  role       = "roles/artifactregistry.writer"
  member     = local.member["builder"]
}

# replaces the image of the service and of the jobs; run.developer cannot change who may invoke them
resource "google_cloud_run_v2_service_iam_member" "builder" {
  project  = local.project
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.developer"
  member   = local.member["builder"]
}

resource "google_cloud_run_v2_job_iam_member" "builder" {
  for_each = { for key, job in google_cloud_run_v2_job.this : key => job.name }

  project  = local.project
  location = var.region
  name     = each.value
  role     = "roles/run.developer"
  member   = local.member["builder"]
}

# a deployment acts as the account that it runs as
resource "google_service_account_iam_member" "builder" {
  service_account_id = google_service_account.this["runner"].name
  role               = "roles/iam.serviceAccountUser"
  member             = local.member["builder"]
}

resource "google_project_iam_member" "builder" {
  for_each = toset([
    "roles/logging.logWriter",      # the build's log; logs are a project's
    "roles/ondemandscanning.admin", # scans the image; scans are a project's
  ])

  project = local.project
  role    = each.value
  member  = local.member["builder"]
}

# reads the sources that a build is submitted with, in the bucket that Cloud Build makes for them when it is first used, and
# in no other: rejected rows of the sources lie in Highwater's
resource "google_project_iam_member" "builder_sources" {
  project = local.project
  role    = "roles/storage.objectViewer"
  member  = local.member["builder"]

  condition {
    title       = "${var.name}-sources"
    description = "Sources of builds"
    expression  = "resource.name == 'projects/_/buckets/${local.project}_cloudbuild' || resource.name.startsWith('projects/_/buckets/${local.project}_cloudbuild/')"
  }
}
