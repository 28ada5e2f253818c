# What the module makes of a highwater.yaml: planned with a provider that is not there, so nothing is contacted.

mock_provider "google" {}
mock_provider "time" {}

variables {
  config_file        = "./tests/fixtures/tables.yaml"
  region             = "europe-west1"
  environment        = { BUCKET = "acme-highwater" }
  secrets            = { finance = { env = "FINANCE_PASSWORD" }, slack = { env = "SLACK_URL", create = false } }
  unscheduled_tables = ["finance/old", "shop/rich"]
  pattern_tables     = { "finance/audit_*" = ["audit_users", "audit_roles"] }
}

run "a_schedule_per_table" {
  command = plan

  assert {
    condition     = join(" ", sort(keys(google_cloud_scheduler_job.table))) == join(" ", sort(["finance/invoices", "finance/sales.orders", "finance/audit_users", "finance/audit_roles", "shop/a b+c/é", "shop/\"odd*name\"", "shop/plain"]))
    error_message = "There must be one job per scheduled table: ${join(", ", keys(google_cloud_scheduler_job.table))}"
  }
  assert {
    condition     = google_cloud_scheduler_job.table["finance/invoices"].schedule == "0 * * * *" && google_cloud_scheduler_job.table["finance/invoices"].time_zone == "Europe/Berlin"
    error_message = "The source's defaults come before the global ones."
  }
  assert {
    condition     = google_cloud_scheduler_job.table["finance/sales.orders"].schedule == "0 0 * * *" && google_cloud_scheduler_job.table["finance/sales.orders"].time_zone == "Europe/Berlin"
    error_message = "A table's own schedule wins, its zone is inherited by itself, and words become five fields."
  }
  assert {
    condition     = google_cloud_scheduler_job.table["shop/a b+c/é"].schedule == "*/5 * * * *" && google_cloud_scheduler_job.table["shop/a b+c/é"].time_zone == "UTC"
    error_message = "The global defaults hold where nothing else is said."
  }
  assert {
    condition     = output.schedules["shop/a b+c/é"].path == "/sync/shop/a%20b%2Bc%2F%C3%A9"
    error_message = "Names are percent-encoded: ${output.schedules["shop/a b+c/é"].path}"
  }
  assert {
    condition     = length(distinct([for job in google_cloud_scheduler_job.table : job.name])) == 7 && alltrue([for job in google_cloud_scheduler_job.table : can(regex("^[a-z0-9-]{1,100}$", job.name))])
    error_message = "Names of jobs are Cloud Scheduler's and differ."
  }
  assert {
    condition     = alltrue([for job in google_cloud_scheduler_job.table : length(job.http_target) == 1 && length(job.pubsub_target) == 0 && job.http_target[0].http_method == "POST" && length(job.http_target[0].oidc_token) == 1])
    error_message = "Each posts to the service with a token."
  }
  assert {
    condition     = length(google_pubsub_topic.sync) == 0 && length(google_cloud_scheduler_job.all) == 0
    error_message = "Nothing of Pub/Sub is made for http."
  }
}

run "by_way_of_pubsub" {
  command = plan

  variables {
    trigger = "pubsub"
  }
  assert {
    condition     = length(google_cloud_scheduler_job.table) == 7 && alltrue([for job in google_cloud_scheduler_job.table : length(job.http_target) == 0 && length(job.pubsub_target) == 1])
    error_message = "Each schedule publishes."
  }
  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.table["finance/invoices"].pubsub_target[0].data)).table == "invoices"
    error_message = "A message names its table."
  }
  assert {
    condition     = google_pubsub_subscription.sync[0].ack_deadline_seconds == 600 && length(google_pubsub_subscription.sync[0].dead_letter_policy) == 1 && google_pubsub_subscription.sync[0].retry_policy[0].maximum_backoff == "600s" && length(google_pubsub_subscription.sync[0].push_config[0].oidc_token) == 1
    error_message = "The subscription pushes with a token, repeats, and gives up to the dead-letter topic."
  }
}

run "messages_outlive_their_deliveries" {
  command = plan

  variables {
    trigger               = "pubsub"
    max_delivery_attempts = 100
  }
  assert {
    condition     = google_pubsub_subscription.sync[0].message_retention_duration == "120000s"
    error_message = "A hundred deliveries of 600 s, 600 s apart: ${google_pubsub_subscription.sync[0].message_retention_duration}"
  }
}

run "messages_are_kept_for_six_hours" {
  command = plan

  variables {
    trigger = "pubsub"
  }
  assert {
    condition     = google_pubsub_subscription.sync[0].message_retention_duration == "21600s"
    error_message = "Six hours at the least: ${google_pubsub_subscription.sync[0].message_retention_duration}"
  }
}

run "dead_letters_are_told_of" {
  command = plan

  variables {
    trigger = "pubsub"
  }
  assert {
    condition     = contains(keys(google_monitoring_alert_policy.silent), "dead_letters")
    error_message = "There is an alert of dead letters."
  }
}

run "bucket_and_datasets" {
  command = plan

  assert {
    condition     = google_storage_bucket.this.name == "acme-highwater" && google_storage_bucket.this.uniform_bucket_level_access && google_storage_bucket.this.public_access_prevention == "enforced" && !google_storage_bucket.this.versioning[0].enabled
    error_message = "The bucket is the one of highwater.yaml, with its variable filled in, and closed."
  }
  assert {
    condition = { for rule in google_storage_bucket.this.lifecycle_rule : join(" ", one(rule.condition).matches_prefix) => one(rule.condition).age } == {
      "team/staging/ team/check/" = 7, "team/rejects/" = 90, "team/reports/" = 90
    }
    error_message = "Each folder below the prefix has its rule."
  }
  assert {
    condition     = join(" ", sort(keys(google_bigquery_dataset.this))) == "_runs analytics other shop"
    error_message = "Datasets: ${join(", ", keys(google_bigquery_dataset.this))}"
  }
  assert {
    condition     = join(",", keys(google_pubsub_topic.notify)) == "projects/acme/topics/told"
    error_message = "The topics of notify are made."
  }
}

run "what_is_kept_forever_has_no_rule" {
  command = plan

  variables {
    rejects_days = null
    reports_days = null
  }
  assert {
    condition     = length(google_storage_bucket.this.lifecycle_rule) == 1
    error_message = "Only staging/ has a rule."
  }
}

run "service_and_jobs" {
  command = plan

  variables {
    cloud_sql_instances = ["acme:europe-west1:db"]
    vpc                 = { network = "n", subnetwork = "s" }
    secrets             = { finance = { env = "FINANCE_PASSWORD" }, slack = { env = "SLACK_URL" }, ca = { path = "/secrets/ca/ca.pem" } }
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 0 && google_cloud_run_v2_service.this.template[0].containers[0].startup_probe[0].http_get[0].path == "/healthz"
    error_message = "The service costs nothing while idle, and its probe asks for /healthz."
  }
  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].volumes) == 3 && length(google_cloud_run_v2_job.this["sync"].template[0].template[0].volumes) == 3 && length(google_cloud_run_v2_job.this["backfill"].template[0].template[0].volumes) == 3
    error_message = "Configuration, certificate and sockets are mounted in all three."
  }
  assert {
    condition     = jsonencode(google_cloud_run_v2_job.this["sync"].template[0].template[0].containers[0].args) == jsonencode(["sync", "--all"]) && google_cloud_run_v2_job.this["backfill"].template[0].task_count == 4
    error_message = "The jobs run their commands."
  }
}

run "metrics_and_alerts" {
  command = plan

  assert {
    condition     = join(" ", sort(keys(google_logging_metric.this))) == "behind bytes drift duration lag rejected rejections rows runs" && google_logging_metric.this["rows"].value_extractor == "EXTRACT(jsonPayload.rows)"
    error_message = "Metrics: ${join(", ", keys(google_logging_metric.this))}"
  }
  assert {
    condition     = join(" ", sort(keys(google_monitoring_alert_policy.counted))) == "behind drift failure rejects unusable" && alltrue([for policy in google_monitoring_alert_policy.counted : length(policy.conditions) == 2])
    error_message = "Each alert looks at the service and at the jobs."
  }
  assert {
    condition     = join(" ", sort(keys(google_monitoring_alert_policy.silent))) == "job schedule"
    error_message = "Schedules and jobs that give up are told of."
  }
  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles) == 8
    error_message = "The dashboard has its charts."
  }
}

run "alerts_wait_for_their_metrics" {
  command = plan

  assert {
    condition     = time_sleep.metrics.create_duration == "600s" && join(" ", sort(keys(time_sleep.metrics.triggers))) == "attempts behind bytes drift duration lag rejected rejections rows runs"
    error_message = "Each metric is waited for, for as long as Google says: ${jsonencode(time_sleep.metrics.triggers)}"
  }
}

run "the_dashboard_is_as_it_is_read" {
  command = plan

  assert {
    condition     = length(regexall(":(0|\\{\\}|null)[,}]", google_monitoring_dashboard.this.dashboard_json)) == 0
    error_message = "Zeros and empty objects are not read back, and would differ in every plan."
  }
  assert {
    condition     = [for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : "${try(tile.xPos, 0)}/${try(tile.yPos, 0)}"] == ["0/0", "6/0", "0/4", "6/4", "0/8", "6/8", "0/12", "6/12"]
    error_message = "Two charts in a row."
  }
}

run "alerts_of_few_attempts" {
  command = plan

  variables {
    retry_count = 1
  }
  assert {
    condition     = alltrue([for condition in google_monitoring_alert_policy.counted["failure"].conditions : condition.condition_threshold[0].threshold_value == 1 && condition.condition_threshold[0].aggregations[0].alignment_period == "1800s"])
    error_message = "Two attempts that both fail are more than 1."
  }
  assert {
    condition     = google_monitoring_alert_policy.silent["schedule"].conditions[0].condition_threshold[0].threshold_value == 1 && google_monitoring_alert_policy.silent["schedule"].conditions[0].condition_threshold[0].aggregations[0].alignment_period == "3600s"
    error_message = "Two attempts of 1200 s are within an hour."
  }
}

run "alerts_of_long_attempts" {
  command = plan

  variables {
    config_file              = "./tests/fixtures/slow.yaml"
    secrets                  = {}
    unscheduled_tables       = []
    pattern_tables           = {}
    retry_count              = 5
    attempt_deadline_seconds = 1800
    request_timeout_seconds  = 1800
  }
  assert {
    condition     = google_monitoring_alert_policy.silent["schedule"].conditions[0].condition_threshold[0].threshold_value == 5 && google_monitoring_alert_policy.silent["schedule"].conditions[0].condition_threshold[0].aggregations[0].alignment_period == "12600s"
    error_message = "Six attempts that time out, and the waits between them, are looked at together."
  }
  assert {
    condition     = alltrue([for condition in google_monitoring_alert_policy.counted["failure"].conditions : condition.condition_threshold[0].threshold_value == 2 && condition.condition_threshold[0].aggregations[0].alignment_period == "3600s"])
    error_message = "Three failures of runs of 25 minutes are 2 × (1500 + 300) s apart."
  }
}

run "a_path_that_cloud_run_may_keep" {
  command = plan

  variables {
    config_file        = "./tests/fixtures/slow.yaml"
    environment        = { RUN_BUDGET = "9m", TABLE = "quiz" }
    secrets            = {}
    unscheduled_tables = []
    pattern_tables     = {}
  }
  expect_failures = [check.paths]
}

run "a_path_that_nobody_calls" {
  command = plan

  variables {
    config_file        = "./tests/fixtures/slow.yaml"
    environment        = { RUN_BUDGET = "9m", TABLE = "quiz" }
    secrets            = {}
    unscheduled_tables = []
    pattern_tables     = {}
    trigger            = "pubsub"
  }
}

run "lag_alerts" {
  command = plan

  variables {
    alert_lag_seconds_by_table = { "finance/audit_roles" = 0 }
  }
  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.lag), "finance/sales.orders") && !contains(keys(google_monitoring_alert_policy.lag), "finance/audit_roles") && length(google_monitoring_alert_policy.lag) == 5
    error_message = "Tables that run at every hour are watched: ${join(", ", keys(google_monitoring_alert_policy.lag))}"
  }
}

run "limits_of_lag" {
  command = plan

  variables {
    alert_behind_seconds_by_table = { "finance/invoices" = 180000, "shop/a b+c/é" = 0 }
  }
  assert {
    condition     = strcontains(google_logging_metric.this["behind"].filter, "(jsonPayload.lagSeconds>14400 AND NOT (jsonPayload.source=\"finance\" AND jsonPayload.table=\"invoices\") AND NOT (jsonPayload.source=\"shop\" AND jsonPayload.table=\"a b+c/é\")) OR (jsonPayload.lagSeconds>180000 AND jsonPayload.source=\"finance\" AND jsonPayload.table=\"invoices\"))")
    error_message = "Each table has its own limit or the common one, never both: ${google_logging_metric.this["behind"].filter}"
  }
}

run "old_configurations_stay" {
  command = plan

  assert {
    condition     = google_secret_manager_secret_version.config.deletion_policy == "ABANDON"
    error_message = "Executions under way are pinned to the version before."
  }
}

run "images_are_counted_alone" {
  command = plan

  assert {
    condition = { for policy in google_artifact_registry_repository.this.cleanup_policies : one(one(policy.most_recent_versions[*].package_name_prefixes)) => one(policy.most_recent_versions[*].keep_count) if length(policy.most_recent_versions) > 0 } == {
      highwater = 20, cache = 1
    }
    error_message = "The cache of layers is no image."
  }
}

run "roles_are_narrow" {
  command = plan

  variables {
    cloud_sql_instances = ["acme:europe-west1:db", "example.com:old:europe-west1:db2"]
  }
  assert {
    condition     = google_project_iam_member.runner_cloud_sql["acme:europe-west1:db"].project == "acme" && strcontains(google_project_iam_member.runner_cloud_sql["acme:europe-west1:db"].condition[0].expression, "'projects/acme/instances/db'") && google_project_iam_member.runner_cloud_sql["example.com:old:europe-west1:db2"].project == "example.com:old"
    error_message = "The role is for these instances alone."
  }
  assert {
    condition     = google_project_iam_custom_role.runner_jobs.role_id == "highwater_jobs" && google_project_iam_custom_role.runner_jobs.project == "acme" && join(" ", google_project_iam_custom_role.runner_jobs.permissions) == "bigquery.jobs.get"
    error_message = "The runner looks up jobs of others and does nothing else with them."
  }
  assert {
    condition     = length(google_project_iam_member.runner_cloud_sql_login) == 0
    error_message = "Nobody logs in by a token here."
  }
  assert {
    condition     = strcontains(google_project_iam_member.builder_sources.condition[0].expression, "acme_cloudbuild/")
    error_message = "The builder reads the sources of builds and no other bucket."
  }
}

run "a_service_that_checks_callers" {
  command = plan

  variables {
    config_file          = "./tests/fixtures/auth.yaml"
    secrets              = {}
    unscheduled_tables   = []
    pattern_tables       = {}
    cloud_sql_instances  = ["acme:europe-west1:db"]
    invoker_iam_disabled = true
  }
  assert {
    condition     = google_cloud_run_v2_service.this.invoker_iam_disabled && google_cloud_scheduler_job.table["finance/invoices"].http_target[0].oidc_token[0].audience == "https://highwater.acme.example"
    error_message = "Cloud Run leaves the token alone, and the token is for what the service looks for."
  }
  assert {
    condition     = join(" ", keys(google_project_iam_member.runner_cloud_sql_login)) == "acme"
    error_message = "`login: iam` takes the role to log in."
  }
}

run "a_signature_that_would_be_gone" {
  command = plan

  variables {
    config_file        = "./tests/fixtures/auth.yaml"
    secrets            = {}
    unscheduled_tables = []
    pattern_tables     = {}
  }
  expect_failures = [terraform_data.config]
}

run "an_open_service" {
  command = plan

  variables {
    invoker_iam_disabled = true
  }
  expect_failures = [terraform_data.config]
}

run "an_invoker_that_is_not_let_in" {
  command = plan

  variables {
    config_file          = "./tests/fixtures/auth.yaml"
    name                 = "other"
    secrets              = {}
    unscheduled_tables   = []
    pattern_tables       = {}
    invoker_iam_disabled = true
  }
  expect_failures = [terraform_data.config]
}

run "a_table_without_a_schedule" {
  command = plan

  variables {
    config_file        = "./tests/fixtures/unscheduled.yaml"
    unscheduled_tables = []
    pattern_tables     = {}
  }
  expect_failures = [terraform_data.config]
}

run "a_table_that_is_to_have_none" {
  command = plan

  variables {
    config_file        = "./tests/fixtures/unscheduled.yaml"
    unscheduled_tables = ["finance/forgotten"]
    pattern_tables     = {}
  }
  assert {
    condition     = length(google_cloud_scheduler_job.table) == 1
    error_message = "It is left out."
  }
}

run "a_pattern_that_nothing_runs" {
  command = plan

  variables {
    pattern_tables = {}
  }
  expect_failures = [terraform_data.config]
}

run "a_name_that_is_not_there" {
  command = plan

  variables {
    unscheduled_tables = ["finance/old", "shop/rich", "finance/odl"]
  }
  expect_failures = [terraform_data.config]
}

run "a_variable_that_nothing_sets" {
  command = plan

  variables {
    secrets = { finance = { env = "FINANCE_PASSWORD" } }
  }
  expect_failures = [terraform_data.config]
}

run "faults_of_the_file" {
  command = plan

  variables {
    config_file        = "./tests/fixtures/faults.yaml"
    unscheduled_tables = []
    pattern_tables     = {}
  }
  expect_failures = [terraform_data.config]
}

run "variables_are_checked" {
  command = plan

  variables {
    trigger                  = "ftp"
    max_instances            = 0
    attempt_deadline_seconds = 3600
    memory                   = "lots"
    region                   = "EU"
    max_delivery_attempts    = 3
  }
  expect_failures = [var.trigger, var.max_instances, var.attempt_deadline_seconds, var.memory, var.region, var.max_delivery_attempts]
}

run "memory_goes_with_cpu" {
  command = plan

  variables {
    cpu    = "4"
    memory = "1Gi"
  }
  expect_failures = [var.memory]
}

run "memory_is_too_little" {
  command = plan

  variables {
    memory = "256Mi"
  }
  expect_failures = [var.memory]
}

run "memory_is_not_too_much" {
  command = plan

  variables {
    memory = "8Gi"
  }
  expect_failures = [var.memory]
}

run "much_memory_and_many_cpus" {
  command = plan

  variables {
    cpu    = "8"
    memory = "32Gi"
  }
}
