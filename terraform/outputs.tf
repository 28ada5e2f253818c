# What other roots and people need of it.

output "service_uri" {
  description = "Address of the service."
  value       = google_cloud_run_v2_service.this.uri
}

output "jobs" {
  description = "Names of the Cloud Run jobs: sync (all tables) and backfill."
  value       = { for key, job in google_cloud_run_v2_job.this : key => job.name }
}

output "repository" {
  description = "Address that images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${local.project}/${google_artifact_registry_repository.this.repository_id}"
}

output "service_accounts" {
  description = "Addresses of runner, invoker and builder."
  value       = { for role, account in google_service_account.this : role => account.email }
}

output "schedules" {
  description = "Cron expression, zone and path of every scheduled table."
  value       = { for id, entry in local.scheduled : id => { schedule = entry.schedule, time_zone = entry.time_zone, path = entry.path } }
}

output "patterns" {
  description = "Patterns of highwater.yaml. Only their tables in pattern_tables have schedules; the others need job.schedule."
  value       = sort(keys(local.patterns))
}

output "tables_without_lag_alert" {
  description = "Scheduled tables that nobody is alerted of when they lag: name them in alert_lag_seconds_by_table."
  value       = sort([for id, seconds in local.lag : id if seconds == 0])
}

output "empty_secrets" {
  description = "Secrets that are made here and need a version before the service can start."
  value       = sort(keys(google_secret_manager_secret.this))
}

output "bucket" {
  description = "The bucket of states, parts, rejected rows and reports."
  value       = google_storage_bucket.this.name
}

output "audience" {
  description = "What the tokens of schedules and pushes are for."
  value       = local.audience
}

output "dashboard" {
  description = "Id of the dashboard."
  value       = google_monitoring_dashboard.this.id
}
