# The service, which runs a table per request, and the two jobs: all tables, and backfills. All three are the same image
# with the same configuration; Cloud Build replaces the image.

locals {
  secret_env   = { for id, secret in var.secrets : secret.env => { id = id, version = secret.version } if secret.env != null }
  secret_files = { for id, secret in var.secrets : id => secret if secret.path != null }
  environment  = merge(var.environment, { HIGHWATER_CONFIG = "/etc/highwater/highwater.yaml" })
  # what is mounted, by folder
  volumes = merge(
    { config = { secret = google_secret_manager_secret.config.secret_id, version = google_secret_manager_secret_version.config.version, file = "highwater.yaml", folder = "/etc/highwater" } },
    { for id, secret in local.secret_files : "secret-${substr(sha1(id), 0, 8)}" => { secret = id, version = secret.version, file = basename(secret.path), folder = dirname(secret.path) } },
  )
  jobs = {
    sync     = { args = ["sync", "--all"], tasks = var.job.task_count, parallelism = var.job.parallelism, retries = var.job.max_retries, timeout = var.job.timeout_seconds }
    backfill = { args = ["backfill"], tasks = var.backfill.task_count, parallelism = var.backfill.parallelism, retries = var.backfill.max_retries, timeout = var.backfill.timeout_seconds }
  }
}

resource "google_cloud_run_v2_service" "this" {
  project             = local.project
  location            = var.region
  name                = var.name
  labels              = var.labels
  description         = "Highwater: syncs tables into BigQuery"
  ingress             = var.ingress
  deletion_protection = var.deletion_protection
  # only where the service itself checks who calls (config.tf holds this)
  invoker_iam_disabled = var.invoker_iam_disabled

  template {
    service_account                  = google_service_account.this["runner"].email
    timeout                          = "${var.request_timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = 0
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image
      args  = ["serve"]

      ports {
        container_port = 8080
      }
      resources {
        limits            = { cpu = var.cpu, memory = var.memory }
        cpu_idle          = !var.cpu_always_allocated
        startup_cpu_boost = true
      }
      # it answers as soon as it listens; nothing is contacted before the first request
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/healthz"
          port = 8080
        }
      }

      dynamic "env" {
        for_each = local.environment
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.secret_env
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value.id
              version = env.value.version
            }
          }
        }
      }
      dynamic "volume_mounts" {
        for_each = local.volumes
        content {
          name       = volume_mounts.key
          mount_path = volume_mounts.value.folder
        }
      }
      dynamic "volume_mounts" {
        for_each = length(var.cloud_sql_instances) > 0 ? ["/cloudsql"] : []
        content {
          name       = "cloudsql"
          mount_path = volume_mounts.value
        }
      }
    }

    dynamic "volumes" {
      for_each = local.volumes
      content {
        name = volumes.key
        secret {
          secret = volumes.value.secret
          items {
            version = volumes.value.version
            path    = volumes.value.file
          }
        }
      }
    }
    dynamic "volumes" {
      for_each = length(var.cloud_sql_instances) > 0 ? ["cloudsql"] : []
      content {
        name = volumes.value
        cloud_sql_instance {
          instances = var.cloud_sql_instances
        }
      }
    }
    dynamic "vpc_access" {
      for_each = var.vpc[*]
      content {
        egress = vpc_access.value.egress
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
          tags       = vpc_access.value.tags
        }
      }
    }
  }

  lifecycle {
    # Cloud Build deploys by digest; gcloud leaves its name, and a nonce that makes a revision, in the template
    ignore_changes = [template[0].containers[0].image, template[0].labels, template[0].annotations, client, client_version]
  }
  depends_on = [
    terraform_data.config, google_project_service.this,
    # a revision starts only if its account may read its secrets
    google_secret_manager_secret_iam_member.runner, google_secret_manager_secret_iam_member.runner_config,
  ]
}

resource "google_cloud_run_v2_job" "this" {
  for_each = local.jobs

  project             = local.project
  location            = var.region
  name                = "${var.name}-${each.key}"
  labels              = var.labels
  deletion_protection = var.deletion_protection

  template {
    task_count  = each.value.tasks
    parallelism = each.value.parallelism

    template {
      service_account       = google_service_account.this["runner"].email
      max_retries           = each.value.retries
      timeout               = "${each.value.timeout}s"
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      containers {
        image = var.image
        args  = each.value.args

        resources {
          limits = { cpu = var.cpu, memory = var.memory }
        }
        dynamic "env" {
          for_each = local.environment
          content {
            name  = env.key
            value = env.value
          }
        }
        dynamic "env" {
          for_each = local.secret_env
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value.id
                version = env.value.version
              }
            }
          }
        }
        dynamic "volume_mounts" {
          for_each = local.volumes
          content {
            name       = volume_mounts.key
            mount_path = volume_mounts.value.folder
          }
        }
        dynamic "volume_mounts" {
          for_each = length(var.cloud_sql_instances) > 0 ? ["/cloudsql"] : []
          content {
            name       = "cloudsql"
            mount_path = volume_mounts.value
          }
        }
      }

      dynamic "volumes" {
        for_each = local.volumes
        content {
          name = volumes.key
          secret {
            secret = volumes.value.secret
            items {
              version = volumes.value.version
              path    = volumes.value.file
            }
          }
        }
      }
      dynamic "volumes" {
        for_each = length(var.cloud_sql_instances) > 0 ? ["cloudsql"] : []
        content {
          name = volumes.value
          cloud_sql_instance {
            instances = var.cloud_sql_instances
          }
        }
      }
      dynamic "vpc_access" {
        for_each = var.vpc[*]
        content {
          egress = vpc_access.value.egress
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
            tags       = vpc_access.value.tags
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [template[0].template[0].containers[0].image, template[0].labels, template[0].annotations, client, client_version]
  }
  depends_on = [
    terraform_data.config, google_project_service.this,
    google_secret_manager_secret_iam_member.runner, google_secret_manager_secret_iam_member.runner_config,
  ]
}
