# The versions that the module is written for. Deliberately without a provider block: that is the root's.

terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
    # time_sleep alone: how long alerts wait for the metrics that they name
    time = {
      source  = "hashicorp/time"
      version = "~> 0.14"
    }
  }
}
