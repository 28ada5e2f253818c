# What a root may say. What Highwater itself is told stands in highwater.yaml and is read from there (config.tf).

variable "config_file" {
  description = "Path of highwater.yaml. The service gets the same text; secrets stand in it as $${NAME} only."
  type        = string

  validation {
    condition     = fileexists(var.config_file)
    error_message = "config_file does not exist."
  }
}

variable "region" {
  description = "Region of Cloud Run, Cloud Scheduler and Artifact Registry."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a Google Cloud region such as europe-west1; BigQuery's location is `location` of highwater.yaml."
  }
}

variable "name" {
  description = "Name of the service; all other names begin with it."
  type        = string
  default     = "highwater"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name has 3 to 20 lower-case letters, digits and hyphens (ids of service accounts take 30 characters)."
  }
}

variable "labels" {
  description = "Labels of everything that takes labels."
  type        = map(string)
  default     = {}
}

variable "image" {
  description = "Image of the first deployment. Later ones are Cloud Build's (cloudbuild.yaml): changes of the image are ignored here."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"

  validation {
    condition     = length(var.image) > 0 && !can(regex("\\s", var.image))
    error_message = "image is the address of a container image."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service and the jobs."
  type        = bool
  default     = true
}

# --- the service and the jobs ---

variable "max_instances" {
  description = "The most instances of the service."
  type        = number
  default     = 3

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 100 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances is a whole number from 1 to 100."
  }
}

variable "concurrency" {
  description = "The most requests of one instance at once; at most server.max_concurrent_runs of highwater.yaml."
  type        = number
  default     = 16

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000 && floor(var.concurrency) == var.concurrency
    error_message = "concurrency is a whole number from 1 to 1000."
  }
}

variable "cpu" {
  description = "CPUs of an instance and of a task."
  type        = string
  default     = "1"

  validation {
    condition     = contains(["1", "2", "4", "6", "8"], var.cpu)
    error_message = "cpu is 1, 2, 4, 6 or 8: with less than 1 Cloud Run takes no concurrency."
  }
}

variable "memory" {
  description = "Memory of an instance and of a task."
  type        = string
  default     = "512Mi"

  validation {
    condition     = can(regex("^[1-9][0-9]*(Mi|Gi)$", var.memory))
    error_message = "memory is a number of Mi or Gi, such as 512Mi."
  }
  # https://cloud.google.com/run/docs/configuring/services/memory-limits and …/cpu
  validation {
    condition = try(
      tonumber(regex("^[0-9]+", var.memory)) * (endswith(var.memory, "Gi") ? 1024 : 1) >= { 1 = 512, 2 = 512, 4 = 2048, 6 = 4096, 8 = 4096 }[var.cpu] &&
      tonumber(regex("^[0-9]+", var.memory)) * (endswith(var.memory, "Gi") ? 1024 : 1) <= { 1 = 4096, 2 = 8192, 4 = 16384, 6 = 24576, 8 = 32768 }[var.cpu],
      true, # of a cpu or memory that is none, its own validation tells
    )
    error_message = "Cloud Run takes 512Mi to 4Gi of memory with 1 CPU, 512Mi to 8Gi with 2, 2Gi to 16Gi with 4, 4Gi to 24Gi with 6, 4Gi to 32Gi with 8."
  }
}

variable "cpu_always_allocated" {
  description = "Whether an instance has CPU between requests: a run whose caller gave up then goes on at full speed, and is billed."
  type        = bool
  default     = false
}

variable "request_timeout_seconds" {
  description = "After so long Cloud Run gives up a request. Must be longer than server.run_budget."
  type        = number
  default     = 900

  validation {
    condition     = var.request_timeout_seconds >= 60 && var.request_timeout_seconds <= 3600
    error_message = "request_timeout_seconds is 60 to 3600, Cloud Run's limit."
  }
}

variable "ingress" {
  description = "From where requests may come. Cloud Scheduler and Pub/Sub of the same project count as internal."
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_ONLY"

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.ingress)
    error_message = "ingress is INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "invoker_iam_disabled" {
  description = "Whether Cloud Run lets every request through and the service checks callers itself, by `auth` of highwater.yaml. One goes with the other."
  type        = bool
  default     = false
}

variable "vpc" {
  description = "Direct VPC egress, for databases with private addresses."
  type = object({
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : contains(["PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"], var.vpc.egress)
    error_message = "vpc.egress is PRIVATE_RANGES_ONLY or ALL_TRAFFIC."
  }
}

variable "cloud_sql_instances" {
  description = "Cloud SQL instances, project:region:instance, whose sockets lie below /cloudsql."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.cloud_sql_instances : can(regex("^[^:]+(:[^:]+)?:[a-z0-9-]+:[a-z0-9-]+$", name))])
    error_message = "cloud_sql_instances are connection names, project:region:instance."
  }
}

variable "environment" {
  description = "Plain environment variables; they fill in $${NAME} of highwater.yaml here too."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.environment : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !can(regex("[\r\n]", value))])
    error_message = "environment has names of variables, and values of one line."
  }
  validation {
    condition     = !anytrue([for name in keys(var.environment) : contains(["PORT", "HIGHWATER_CONFIG", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"], name)])
    error_message = "environment: PORT and K_… are set by Cloud Run, HIGHWATER_CONFIG by this module."
  }
}

variable "secrets" {
  description = "Secrets by their id: as variable `env`, or as file `path` (certificates). Those of `create` are made without a value: add versions yourself, so that none lies in Terraform's state."
  type = map(object({
    env     = optional(string)
    path    = optional(string)
    version = optional(string, "latest")
    create  = optional(bool, true)
  }))
  default = {}

  validation {
    condition     = alltrue([for id, secret in var.secrets : (secret.env == null) != (secret.path == null)])
    error_message = "Each of secrets has either env or path."
  }
  validation {
    condition     = alltrue([for id, secret in var.secrets : can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "The ids of secrets have letters, digits, hyphens and underscores."
  }
  validation {
    condition     = alltrue([for id, secret in var.secrets : secret.path == null ? true : can(regex("^/[^/]+/.*[^/]$", secret.path)) && dirname(secret.path) != "/etc/highwater"])
    error_message = "path of a secret is absolute and lies in a folder other than /etc/highwater, where highwater.yaml is."
  }
  validation {
    condition     = length(distinct([for secret in var.secrets : dirname(secret.path) if secret.path != null])) == length([for secret in var.secrets : 1 if secret.path != null])
    error_message = "Each secret with a path needs a folder of its own: Cloud Run mounts one secret per folder."
  }
  validation {
    condition     = length(distinct([for secret in var.secrets : secret.env if secret.env != null])) == length([for secret in var.secrets : 1 if secret.env != null])
    error_message = "Two of secrets have the same env."
  }
}

variable "job" {
  description = "The job of `sync --all`: tasks that share the tables, number of attempts, time of a task, and its own cron expression if it is to run by itself (tables of patterns)."
  type = object({
    task_count      = optional(number, 1)
    parallelism     = optional(number, 0)
    max_retries     = optional(number, 3)
    timeout_seconds = optional(number, 3600)
    schedule        = optional(string)
    time_zone       = optional(string, "UTC")
  })
  default = {}

  validation {
    condition     = var.job.timeout_seconds >= 60 && var.job.timeout_seconds <= 604800 && var.job.max_retries >= 0 && var.job.max_retries <= 10
    error_message = "job.timeout_seconds is 60 to 604800, job.max_retries 0 to 10."
  }
  validation {
    condition     = var.job.task_count >= 1 && var.job.task_count <= 10000 && var.job.parallelism >= 0 && var.job.parallelism <= var.job.task_count
    error_message = "job.task_count is 1 to 10000, job.parallelism at most as many (0: no limit)."
  }
  validation {
    condition     = var.job.schedule == null ? true : length(split(" ", trimspace(var.job.schedule))) == 5
    error_message = "job.schedule has five fields."
  }
}

variable "backfill" {
  description = "The job of `backfill`: its tasks share the windows. Arguments are given when it is executed."
  type = object({
    task_count      = optional(number, 4)
    parallelism     = optional(number, 4)
    max_retries     = optional(number, 3)
    timeout_seconds = optional(number, 86400)
  })
  default = {}

  validation {
    condition     = var.backfill.task_count >= 1 && var.backfill.task_count <= 10000 && var.backfill.parallelism >= 0 && var.backfill.parallelism <= var.backfill.task_count
    error_message = "backfill.task_count is 1 to 10000, backfill.parallelism at most as many (0: no limit)."
  }
  validation {
    condition     = var.backfill.timeout_seconds >= 60 && var.backfill.timeout_seconds <= 604800 && var.backfill.max_retries >= 0 && var.backfill.max_retries <= 10
    error_message = "backfill.timeout_seconds is 60 to 604800, backfill.max_retries 0 to 10."
  }
}

# --- storage ---

variable "rejects_days" {
  description = "After so many days rejected rows are deleted; null keeps them."
  type        = number
  default     = 90

  validation {
    condition     = var.rejects_days == null ? true : var.rejects_days >= 1
    error_message = "rejects_days is at least 1, or null."
  }
}

variable "reports_days" {
  description = "After so many days reports are deleted; null keeps them. Rows of the runs in BigQuery have reports.days of highwater.yaml."
  type        = number
  default     = 90

  validation {
    condition     = var.reports_days == null ? true : var.reports_days >= 7
    error_message = "reports_days is at least 7, as `highwater status` looks back, or null."
  }
}

variable "existing_datasets" {
  description = "Datasets of highwater.yaml that are there already: they are not made, only opened to the service."
  type        = set(string)
  default     = []
}

variable "existing_topics" {
  description = "Topics of `notify` that are there already, as projects/P/topics/T: they are not made, only opened to the service."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for topic in var.existing_topics : can(regex("^projects/[^/]+/topics/[^/]+$", topic))])
    error_message = "existing_topics are projects/PROJECT/topics/TOPIC."
  }
}

# --- triggers ---

variable "trigger" {
  description = "How a schedule reaches the service: http (Cloud Scheduler posts) or pubsub (by a topic and a push subscription)."
  type        = string
  default     = "http"

  validation {
    condition     = contains(["http", "pubsub"], var.trigger)
    error_message = "trigger is http or pubsub."
  }
}

variable "unscheduled_tables" {
  description = "Tables and patterns of highwater.yaml, as source/table, that are to have no schedule. Any other without one fails the plan."
  type        = set(string)
  default     = []
}

variable "pattern_tables" {
  description = "Tables that a pattern of highwater.yaml means and that get its schedule: {\"finance/audit_*\" = [\"audit_users\"]}. Terraform cannot ask the database."
  type        = map(set(string))
  default     = {}
}

variable "attempt_deadline_seconds" {
  description = "After so long Cloud Scheduler gives up an attempt (trigger http). Must be longer than server.run_budget."
  type        = number
  default     = 900

  validation {
    condition     = var.attempt_deadline_seconds >= 15 && var.attempt_deadline_seconds <= 1800
    error_message = "attempt_deadline_seconds is 15 to 1800, Cloud Scheduler's limits."
  }
}

variable "retry_count" {
  description = "How often Cloud Scheduler repeats an attempt that failed."
  type        = number
  default     = 3

  validation {
    condition     = var.retry_count >= 0 && var.retry_count <= 5
    error_message = "retry_count is 0 to 5, Cloud Scheduler's limit."
  }
}

variable "max_delivery_attempts" {
  description = "After so many deliveries a message goes to the dead-letter topic (trigger pubsub)."
  type        = number
  default     = 10

  validation {
    condition     = var.max_delivery_attempts >= 5 && var.max_delivery_attempts <= 100
    error_message = "max_delivery_attempts is 5 to 100, Pub/Sub's limits."
  }
}

variable "paused" {
  description = "Whether all schedules stand still."
  type        = bool
  default     = false
}

# --- monitoring ---

variable "notification_channels" {
  description = "Names of the Cloud Monitoring channels that alerts go to: projects/P/notificationChannels/N."
  type        = list(string)
  default     = []
}

variable "alert_failures_max" {
  description = "A table is alerted when more of its runs than this fail within half an hour (longer for a longer server.run_budget), or all attempts of one where there are fewer."
  type        = number
  default     = 2

  validation {
    condition     = var.alert_failures_max >= 0
    error_message = "alert_failures_max is at least 0."
  }
}

variable "alert_lag_seconds" {
  description = "A table is alerted when no run caught up for so long: a default for tables that run several times an hour."
  type        = number
  default     = 7200

  validation {
    condition     = var.alert_lag_seconds >= 600 && var.alert_lag_seconds <= 84600 && var.alert_lag_seconds % 60 == 0
    error_message = "alert_lag_seconds is 600 to 84600 (23.5 hours), in whole minutes."
  }
}

variable "alert_lag_seconds_by_table" {
  description = "Other lags by source/table; 0 for no alert. Tables with fixed hours have none unless it is said here."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for seconds in values(var.alert_lag_seconds_by_table) : seconds == 0 || seconds >= 600 && seconds <= 84600 && seconds % 60 == 0])
    error_message = "alert_lag_seconds_by_table: 0, or 600 to 84600 in whole minutes."
  }
}

variable "alert_behind_seconds" {
  description = "A table is alerted when a run caught up and the target is still so far behind the source: a transaction was open all the time, or the cursor is a date. Longer than `max_hold`."
  type        = number
  default     = 14400

  validation {
    condition     = var.alert_behind_seconds >= 600
    error_message = "alert_behind_seconds is at least 600."
  }
}

variable "alert_behind_seconds_by_table" {
  description = "Other such limits by source/table; 0 for no alert. A cursor that is a date is always up to two days behind: 180000."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for seconds in values(var.alert_behind_seconds_by_table) : seconds == 0 || seconds >= 600])
    error_message = "alert_behind_seconds_by_table: 0, or at least 600."
  }
}
