# What starts runs: one Cloud Scheduler job per scheduled table, straight to the service or by way of Pub/Sub, and
# perhaps one for the job of all tables. A run that fails or is delivered twice does no harm: runs are idempotent.

locals {
  # seconds between two attempts, at the most: of Cloud Scheduler, of Pub/Sub, and of the one that is taken
  scheduler_backoff_seconds_max = 300
  pubsub_backoff_seconds_max    = 600
  backoff_seconds_max           = var.trigger == "http" ? local.scheduler_backoff_seconds_max : local.pubsub_backoff_seconds_max
  # Pub/Sub's longest: the time of a push's request
  ack_deadline_seconds = 600
  # until all deliveries are made, each of which may take its whole time, a message must not expire: one that does never
  # comes to the dead-letter topic
  retention_seconds = max(21600, var.max_delivery_attempts * (local.ack_deadline_seconds + local.pubsub_backoff_seconds_max))
}

resource "google_cloud_scheduler_job" "table" {
  for_each = local.scheduled

  project          = local.project
  region           = var.region
  name             = each.value.job
  description      = "Highwater: ${each.key}"
  schedule         = each.value.schedule
  time_zone        = each.value.time_zone
  paused           = var.paused
  attempt_deadline = var.trigger == "http" ? "${var.attempt_deadline_seconds}s" : null

  retry_config {
    retry_count          = var.retry_count
    min_backoff_duration = "10s"
    max_backoff_duration = "${local.scheduler_backoff_seconds_max}s"
    max_doublings        = 4
  }

  dynamic "http_target" {
    for_each = var.trigger == "http" ? [1] : []
    content {
      http_method = "POST"
      uri         = "${google_cloud_run_v2_service.this.uri}${each.value.path}"
      oidc_token {
        service_account_email = google_service_account.this["invoker"].email
        audience              = local.audience
      }
    }
  }

  dynamic "pubsub_target" {
    for_each = var.trigger == "pubsub" ? [1] : []
    content {
      topic_name = google_pubsub_topic.sync[0].id
      data       = base64encode(jsonencode({ source = each.value.source, table = each.value.table }))
      attributes = { source = each.value.source, table = each.value.table }
    }
  }

  depends_on = [terraform_data.config, google_cloud_run_v2_service_iam_member.invoker]
}

resource "google_cloud_scheduler_job" "all" {
  count = var.job.schedule == null ? 0 : 1

  project     = local.project
  region      = var.region
  name        = "${var.name}-all-tables"
  description = "Highwater: starts the job that syncs all tables, those of patterns too"
  schedule    = var.job.schedule
  time_zone   = var.job.time_zone
  paused      = var.paused

  retry_config {
    retry_count = var.retry_count
  }
  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${local.project}/locations/${var.region}/jobs/${google_cloud_run_v2_job.this["sync"].name}:run"
    # Google's own interface takes an access token, not an identity token
    oauth_token {
      service_account_email = google_service_account.this["invoker"].email
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.invoker]
}

# --- by way of Pub/Sub ---

data "google_project" "this" {
  count = var.trigger == "pubsub" ? 1 : 0

  project_id = local.project
}

locals {
  pubsub       = var.trigger == "pubsub" ? 1 : 0
  pubsub_agent = one([for project in data.google_project.this : "serviceAccount:service-${project.number}@gcp-sa-pubsub.iam.gserviceaccount.com"])
}

resource "google_pubsub_topic" "sync" {
  count = local.pubsub

  project = local.project
  name    = "${var.name}-sync"
  labels  = var.labels

  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic" "dead" {
  count = local.pubsub

  project = local.project
  name    = "${var.name}-sync-dead"
  labels  = var.labels

  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription" "sync" {
  count = local.pubsub

  project = local.project
  name    = "${var.name}-sync"
  topic   = google_pubsub_topic.sync[0].id
  labels  = var.labels
  # a run takes up to server.run_budget
  ack_deadline_seconds       = local.ack_deadline_seconds
  message_retention_duration = "${local.retention_seconds}s"

  expiration_policy {
    ttl = "" # never
  }
  push_config {
    push_endpoint = "${google_cloud_run_v2_service.this.uri}/pubsub"
    oidc_token {
      service_account_email = google_service_account.this["invoker"].email
      audience              = local.audience
    }
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "${local.pubsub_backoff_seconds_max}s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead[0].id
    max_delivery_attempts = var.max_delivery_attempts
  }

  depends_on = [google_cloud_run_v2_service_iam_member.invoker, google_pubsub_topic_iam_member.dead]
}

# without a subscription a topic keeps nothing
resource "google_pubsub_subscription" "dead" {
  count = local.pubsub

  project                    = local.project
  name                       = "${var.name}-sync-dead"
  topic                      = google_pubsub_topic.dead[0].id
  labels                     = var.labels
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself puts messages that failed into the dead-letter topic …
resource "google_pubsub_topic_iam_member" "dead" {
  count = local.pubsub

  project = local.project
  topic   = google_pubsub_topic.dead[0].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

# … and takes them off the subscription
resource "google_pubsub_subscription_iam_member" "dead" {
  count = local.pubsub

  project      = local.project
  subscription = google_pubsub_subscription.sync[0].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

# pushes carry an identity token of the invoker, which Pub/Sub makes; only for this account
resource "google_service_account_iam_member" "pubsub" {
  count = local.pubsub

  service_account_id = google_service_account.this["invoker"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

# --- who is told ---

resource "google_pubsub_topic" "notify" {
  for_each = setsubtract(local.notify_topics, var.existing_topics)

  project = split("/", each.value)[1]
  name    = split("/", each.value)[3]
  labels  = var.labels

  depends_on = [google_project_service.this]
}
