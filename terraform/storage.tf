# Where things lie: the bucket of states, parts, rejects and reports, the datasets, and the images.

resource "google_storage_bucket" "this" {
  project                     = local.project
  name                        = local.bucket
  location                    = local.location
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # states are written by compare-and-swap: an old version has no use, and parts are rewritten never
  versioning {
    enabled = false
  }

  # else every deleted part would be kept, and billed, for a week
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  # what a run left behind that died and that no later run swept, how tasks of a job shared their tables, and what
  # `highwater check` tried to write; nothing that is that old is in use
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 7
      matches_prefix = ["${local.prefix}staging/", "${local.prefix}check/"]
    }
  }

  dynamic "lifecycle_rule" {
    for_each = { for folder, days in { rejects = var.rejects_days, reports = var.reports_days } : folder => days if days != null }
    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = ["${local.prefix}${lifecycle_rule.key}/"]
      }
    }
  }

  lifecycle {
    prevent_destroy = true
  }
  depends_on = [terraform_data.config, google_project_service.this]
}

resource "google_bigquery_dataset" "this" {
  for_each = setsubtract(local.datasets, var.existing_datasets)

  project                    = local.project
  dataset_id                 = each.value
  location                   = local.location
  labels                     = var.labels
  description                = each.value == local.reports_dataset ? "Highwater's runs" : "Tables synced by Highwater"
  delete_contents_on_destroy = false

  depends_on = [terraform_data.config, google_project_service.this]
}

resource "google_artifact_registry_repository" "this" {
  project       = local.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  labels        = var.labels
  description   = "Images of Highwater"

  # a deployment names its image by digest; old ones are kept for going back
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      package_name_prefixes = ["highwater"]
      keep_count            = 20
    }
  }
  # layers that cloudbuild.yaml keeps for the next build lie in a package of their own: the last are enough
  cleanup_policies {
    id     = "keep-cache"
    action = "KEEP"
    most_recent_versions {
      package_name_prefixes = ["cache"]
      keep_count            = 1
    }
  }
  cleanup_policies {
    id     = "delete-cache"
    action = "DELETE"
    condition {
      package_name_prefixes = ["cache"]
      older_than            = "86400s"
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_project_service" "this" {
  for_each = toset(concat([
    "artifactregistry.googleapis.com", "bigquery.googleapis.com", "cloudbuild.googleapis.com",
    "cloudscheduler.googleapis.com", "iam.googleapis.com", "logging.googleapis.com", "monitoring.googleapis.com",
    "ondemandscanning.googleapis.com", "run.googleapis.com", "secretmanager.googleapis.com", "storage.googleapis.com",
    ],
    var.trigger == "pubsub" || length(local.notify_topics) > 0 ? ["pubsub.googleapis.com"] : [],
    length(var.cloud_sql_instances) + length(local.iam_logins) > 0 ? ["sqladmin.googleapis.com"] : [],
  ))

  project = local.project
  service = each.value
  # other things of the project may use it
  disable_on_destroy = false
}
