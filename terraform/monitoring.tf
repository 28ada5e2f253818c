# Metrics from the fields of Highwater's log (outcome, rows, bytes, ms, lagSeconds, rejected, drift; source and table of every
# line), alerts on them, and a dashboard. Names of fields are those of `log_report` and of the engine's lines.

locals {
  # a dry run changes nothing, and is none of what is measured
  ours = "NOT jsonPayload.dryRun=true AND ((resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\") OR (resource.type=\"cloud_run_job\" AND resource.labels.job_name=(\"${var.name}-sync\" OR \"${var.name}-backfill\")))"
  # a line that ends a run has an outcome and the run's id
  ended = "(${local.ours}) AND jsonPayload.outcome:* AND jsonPayload.run:*"
  # a run that caught up and whose target is too far behind all the same: other tables' limits, and that of all the rest
  own_limits = { for id, seconds in var.alert_behind_seconds_by_table : id => {
    table = "jsonPayload.source=${jsonencode(split("/", id)[0])} AND jsonPayload.table=${jsonencode(join("/", slice(split("/", id), 1, length(split("/", id)))))}"
    limit = seconds
  } }
  behind = join(" OR ", concat(
    ["(${join(" AND ", concat(["jsonPayload.lagSeconds>${var.alert_behind_seconds}"], [for own in values(local.own_limits) : "NOT (${own.table})"]))})"],
    [for own in values(local.own_limits) : "(jsonPayload.lagSeconds>${own.limit} AND ${own.table})" if own.limit > 0],
  ))
  # value: the field that is measured; none counts lines
  metrics = {
    runs     = { filter = local.ended, value = null, unit = "1", labels = ["source", "table", "outcome"], text = "Runs by outcome" }
    rows     = { filter = "${local.ended} AND jsonPayload.rows>0", value = "rows", unit = "1", labels = ["source", "table"], text = "Rows of a run" }
    bytes    = { filter = "${local.ended} AND jsonPayload.bytes>0", value = "bytes", unit = "By", labels = ["source", "table"], text = "NDJSON bytes of a run" }
    duration = { filter = local.ended, value = "ms", unit = "ms", labels = ["source", "table", "outcome"], text = "Time of a run" }
    rejected = { filter = "(${local.ours}) AND jsonPayload.rejected>0 AND jsonPayload.objects:*", value = "rejected", unit = "1", labels = ["source", "table"], text = "Rows that were rejected and are kept" }
    # counted by itself: an alert on the count of a distribution's series would go on after the last row
    rejections = { filter = "(${local.ours}) AND jsonPayload.rejected>0 AND jsonPayload.objects:*", value = null, unit = "1", labels = ["source", "table"], text = "Chunks with rejected rows" }
    lag        = { filter = "${local.ended} AND jsonPayload.lagSeconds>=0", value = "lagSeconds", unit = "s", labels = ["source", "table"], text = "How far the target is behind the source" }
    behind     = { filter = "${local.ended} AND jsonPayload.outcome=(\"synced\" OR \"up_to_date\") AND (${local.behind})", value = null, unit = "1", labels = ["source", "table"], text = "Runs that caught up and are far behind all the same" }
    drift      = { filter = "(${local.ours}) AND jsonPayload.drift=true", value = null, unit = "1", labels = ["source", "table"], text = "Changes of a target's columns" }
  }
  metric = { for key, metric in google_logging_metric.this : key => "logging.googleapis.com/user/${metric.name}" }
  # the same for alerts: through the wait, so that none is made before it
  alerted = time_sleep.metrics.triggers
  # a condition and a chart name one kind of resource: the runs of the service, and those of the jobs
  run_on = { service = "resource.type = \"cloud_run_revision\"", job = "resource.type = \"cloud_run_job\"" }

  # how long a table may not catch up: as told, else by its schedule where that runs at every hour of every day, two
  # runs at the least; 0 is no alert
  lag = {
    for id, entry in local.scheduled : id => lookup(var.alert_lag_seconds_by_table, id,
      !can(regex("^\\S+\\s+[*]\\s+[*]\\s+[*]\\s+[*]$", entry.schedule)) ? 0 :
      can(regex("^[0-9]+\\s", entry.schedule)) ? max(var.alert_lag_seconds, 9000) : var.alert_lag_seconds
    )
  }
  watched = { for id, seconds in local.lag : id => seconds if seconds > 0 && !var.paused }
}

resource "google_logging_metric" "this" {
  for_each = local.metrics

  project         = local.project
  name            = "${var.name}/${each.key}"
  description     = each.value.text
  filter          = each.value.filter
  value_extractor = each.value.value == null ? null : "EXTRACT(jsonPayload.${each.value.value})"
  label_extractors = {
    for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})"
  }

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = each.value.value == null ? "INT64" : "DISTRIBUTION"
    unit         = each.value.unit
    display_name = "Highwater: ${each.value.text}"

    dynamic "labels" {
      for_each = toset(each.value.labels)
      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }
  dynamic "bucket_options" {
    for_each = each.value.value == null ? [] : [1]
    content {
      exponential_buckets {
        num_finite_buckets = 48
        growth_factor      = 2
        scale              = 1
      }
    }
  }

  depends_on = [google_project_service.this]
}

# An alert on a metric that Cloud Monitoring has not heard of is refused (404, "it could take up to 10 minutes to become
# available"), and the provider does not try again. Waited for once: when the metrics are made, or others come.
resource "time_sleep" "metrics" {
  create_duration = "600s"
  triggers        = merge(local.metric, { attempts = "logging.googleapis.com/user/${google_logging_metric.attempts.name}" })
}

locals {
  # attempts of one schedule or message; a table that runs seldom has no more of them
  attempts = var.trigger == "http" ? var.retry_count + 1 : var.max_delivery_attempts
  # so many failures are too many: all attempts, where there are fewer than that
  failures_max = min(var.alert_failures_max, local.attempts - 1)
  # half an hour, or what so many runs and the waits between them take at the most; Cloud Monitoring looks back for a day
  failures_seconds = min(84600, max(1800, ceil(local.failures_max * (local.budget_seconds + local.backoff_seconds_max) / 60) * 60))
  # an hour, or what all attempts of Cloud Scheduler take that nobody answers
  attempts_seconds = max(3600, ceil((var.retry_count + 1) * (var.attempt_deadline_seconds + local.scheduler_backoff_seconds_max) / 60) * 60)

  # alerts of one shape: more than `max` lines per table within `period`
  counted = {
    failure  = { metric = "runs", filter = " AND metric.labels.outcome = \"failed\"", max = local.failures_max, period = "${local.failures_seconds}s", severity = "ERROR", text = "Runs of a table fail. `highwater status TABLE` has the error; the log has it as `jsonPayload.error`." }
    unusable = { metric = "runs", filter = " AND metric.labels.outcome = \"unusable\"", max = 0, period = "3600s", severity = "WARNING", text = "A table cannot be synced as it is: it lacks a cursor or a key. `highwater tables` says what." }
    behind   = { metric = "behind", filter = "", max = 0, period = "3600s", severity = "ERROR", text = "Runs of a table catch up, and its target is far behind the source: a transaction may be open for hours (`heldBy` in the log), or the source's clock is wrong. `highwater status TABLE` has the lag." }
    rejects  = { metric = "rejections", filter = "", max = 0, period = "3600s", severity = "WARNING", text = "Rows were rejected. They lie below `rejects/` on the bucket, each with its reason." }
    drift    = { metric = "drift", filter = "", max = 0, period = "3600s", severity = "WARNING", text = "The source's columns changed, and with them the target's. The log line `change` says how." }
  }
}

resource "google_monitoring_alert_policy" "counted" {
  for_each = local.counted

  project               = local.project
  display_name          = "${var.name}: ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = var.labels

  dynamic "conditions" {
    for_each = local.run_on
    content {
      display_name = "${each.key} of a table (${conditions.key})"
      condition_threshold {
        filter          = "metric.type = \"${local.alerted[each.value.metric]}\" AND ${conditions.value}${each.value.filter}"
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.max
        duration        = "0s"
        aggregations {
          alignment_period     = each.value.period
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_SUM"
          group_by_fields      = ["metric.label.source", "metric.label.table"]
        }
      }
    }
  }
  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }
  alert_strategy {
    auto_close = "86400s"
  }
}

# No run of the service caught up: whether runs fail, do not end, or are not started at all.
resource "google_monitoring_alert_policy" "lag" {
  for_each = local.watched

  project               = local.project
  display_name          = "${var.name}: lag of ${each.key}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "${each.key} did not catch up for ${each.value / 60} minutes"
    condition_threshold {
      filter                  = "metric.type = \"${local.alerted["runs"]}\" AND ${local.run_on.service} AND metric.labels.source = ${jsonencode(local.scheduled[each.key].source)} AND metric.labels.table = ${jsonencode(local.scheduled[each.key].table)} AND metric.labels.outcome = one_of(\"synced\", \"up_to_date\")"
      comparison              = "COMPARISON_LT"
      threshold_value         = 1
      duration                = "300s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_ACTIVE"
      aggregations {
        alignment_period     = "${each.value}s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
  documentation {
    content   = "`highwater status ${each.key}` says how far the table is and what its last run ended with."
    mime_type = "text/markdown"
  }
  alert_strategy {
    auto_close = "86400s"
  }
}

# Attempts of Cloud Scheduler that failed, whatever the cause: a token that is refused, too, of which the service logs nothing.
resource "google_logging_metric" "attempts" {
  project     = local.project
  name        = "${var.name}/failed_attempts"
  description = "Attempts of schedules that failed"
  filter      = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=~\"^${var.name}-\" AND severity>=ERROR"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = "Highwater: Attempts of schedules that failed"
  }

  depends_on = [google_project_service.this]
}

locals {
  # the other ways in which nothing runs; one series per schedule, job and subscription
  silent = merge({
    schedule = {
      filter = "metric.type = \"${local.alerted["attempts"]}\" AND resource.type = \"cloud_scheduler_job\""
      max    = var.retry_count, period = "${local.attempts_seconds}s", by = "resource.label.job_id"
      text   = "As many attempts of a schedule failed as one of its runs has. Its log says with which status; `highwater status` whether the table is behind."
    }
    job = {
      filter = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.type = \"cloud_run_job\" AND resource.labels.job_name = one_of(\"${var.name}-sync\", \"${var.name}-backfill\") AND metric.labels.result = \"failed\""
      max    = 0, period = "600s", by = "resource.label.job_name"
      text   = "An execution of a job failed after all its attempts. `highwater status` and `highwater gaps` say what is left."
    }
    }, var.trigger != "pubsub" ? {} : {
    dead_letters = {
      filter = "metric.type = \"pubsub.googleapis.com/subscription/dead_letter_message_count\" AND resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.sync[0].name}\""
      max    = 0, period = "600s", by = "resource.label.subscription_id"
      text   = "Messages that no run took lie in the subscription ${var.name}-sync-dead."
    }
  })
}

resource "google_monitoring_alert_policy" "silent" {
  for_each = local.silent

  project               = local.project
  display_name          = "${var.name}: ${each.key}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "${each.key} gave up"
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.max
      duration        = "0s"
      aggregations {
        alignment_period     = each.value.period
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = [each.value.by]
      }
    }
  }
  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }
  alert_strategy {
    auto_close = "86400s"
  }
}

# --- the dashboard ---

locals {
  charts = [
    { title = "Runs by outcome", metric = "runs", by = ["metric.label.outcome"], reducer = "REDUCE_SUM", kind = "STACKED_BAR" },
    { title = "Failed runs by table", metric = "runs", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_SUM", kind = "STACKED_BAR", filter = " AND metric.labels.outcome = \"failed\"" },
    { title = "Rows of a run, mean by table", metric = "rows", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_MEAN", kind = "LINE" },
    { title = "Bytes of a run, mean by table", metric = "bytes", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_MEAN", kind = "LINE" },
    { title = "Time of a run, 95th percentile (ms)", metric = "duration", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_PERCENTILE_95", kind = "LINE" },
    { title = "Lag when a run ends, 95th percentile (s)", metric = "lag", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_PERCENTILE_95", kind = "LINE" },
    { title = "Chunks with rejected rows", metric = "rejections", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_SUM", kind = "STACKED_BAR" },
    { title = "Changed columns", metric = "drift", by = ["metric.label.source", "metric.label.table"], reducer = "REDUCE_SUM", kind = "STACKED_BAR" },
  ]
}

resource "google_monitoring_dashboard" "this" {
  project = local.project
  dashboard_json = jsonencode({
    displayName = "Highwater (${var.name})"
    mosaicLayout = {
      columns = 12
      # the API leaves out a position that is 0, and what it leaves out would differ in every plan
      tiles = [for at, chart in local.charts : merge(at % 2 == 0 ? {} : { xPos = 6 }, at < 2 ? {} : { yPos = floor(at / 2) * 4 }, {
        width = 6, height = 4
        widget = {
          title = chart.title
          xyChart = {
            dataSets = [for kind, on in local.run_on : {
              plotType = chart.kind
              timeSeriesQuery = { timeSeriesFilter = {
                filter = "metric.type = \"${local.metric[chart.metric]}\" AND ${on}${try(chart.filter, "")}"
                aggregation = {
                  alignmentPeriod = "600s", perSeriesAligner = "ALIGN_DELTA", crossSeriesReducer = chart.reducer, groupByFields = chart.by
                }
              } }
            }]
          }
        }
      })]
    }
  })
}
