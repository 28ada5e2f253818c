# A root that uses the module: one project, one database, one channel. Copy it and change the values; docs/deploy.md
# walks through it.

terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }
}

variable "region" {
  description = "Region of Cloud Run and Cloud Scheduler."
  type        = string
  default     = "europe-west1"
}

variable "paused" {
  description = "Whether all schedules stand still: until there is an image, and whenever runs are to wait."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service and the jobs; false before taking all down."
  type        = bool
  default     = true
}

provider "google" {
  project = "acme"
  region  = var.region
}

module "highwater" {
  source = "../"

  config_file = "${path.module}/highwater.yaml"
  region      = var.region
  labels      = { app = "highwater" }

  paused              = var.paused
  deletion_protection = var.deletion_protection

  environment = { FINANCE_HOST = "10.0.0.5" }
  secrets = {
    finance-password = { env = "FINANCE_PASSWORD", version = "1" }
    finance-ca       = { path = "/secrets/finance/ca.pem" }
  }
  vpc = { network = "default", subnetwork = "default" }

  # the pattern's tables are synced by the job, every hour
  unscheduled_tables = ["finance/log_*"]
  job                = { schedule = "15 * * * *" }

  notification_channels = [google_monitoring_notification_channel.mail.id]
}

resource "google_monitoring_notification_channel" "mail" {
  display_name = "Highwater"
  type         = "email"
  labels       = { email_address = "data@example.com" }
}

output "highwater" {
  description = "What the module made."
  value       = module.highwater
}
