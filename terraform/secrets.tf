# Secrets without their values, and highwater.yaml, which the service mounts as a file. The file holds no secret
# (config.tf refuses passwords in urls); Secret Manager is taken because it has versions that a revision can name.

resource "google_secret_manager_secret" "this" {
  for_each = { for id, secret in var.secrets : id => secret if secret.create }

  project   = local.project
  secret_id = each.key
  labels    = var.labels

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret" "config" {
  project   = local.project
  secret_id = "${var.name}-config"
  labels    = var.labels

  replication {
    auto {}
  }

  depends_on = [terraform_data.config, google_project_service.this]
}

resource "google_secret_manager_secret_version" "config" {
  secret      = google_secret_manager_secret.config.id
  secret_data = local.text
  # executions under way are pinned to the number of their version, and so are revisions that one may go back to: old
  # versions stay (docs/deploy.md says how to clear them away)
  deletion_policy = "ABANDON"

  lifecycle {
    create_before_destroy = true
  }
}
