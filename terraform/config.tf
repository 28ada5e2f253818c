# What highwater.yaml says, as Terraform needs it: places, tables and their schedules. The rules of inheritance are those
# of Highwater: a table's own setting, else the source's defaults, else the global ones; `none` takes a schedule away.

locals {
  text = file(var.config_file)
  # ${NAME} and ${NAME:-default} are filled in as far as they are no secrets; the others stay as they are
  pieces = split("$${", local.text)
  filled = join("", concat([local.pieces[0]], [
    for piece in slice(local.pieces, 1, length(local.pieces)) : try(
      "${lookup(var.environment, regex("^([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?}", piece)[0], try(regex("^[A-Za-z_][A-Za-z0-9_]*:-([^}]*)}", piece)[0], null))}${regex("(?s)^[^}]*}(.*)$", piece)[0]}",
      "$${${piece}",
    )
  ]))
  config = yamldecode(local.filled)

  # names without a default outside of comments: each must be a variable or a secret
  wanted = toset([
    for found in regexall("(^|[^$])\\$\\{([A-Za-z_][A-Za-z0-9_]*)\\}", join("\n", [
      for line in split("\n", local.text) : line if !can(regex("^\\s*#", line))
    ])) : found[1]
  ])
  given   = toset(concat(keys(var.environment), [for secret in var.secrets : secret.env if secret.env != null]))
  missing = sort(setsubtract(local.wanted, local.given))

  project     = coalesce(try(local.config.project, null), "missing")
  job_project = coalesce(try(local.config.job_project, null), local.project)
  location    = coalesce(try(local.config.location, null), "US")
  bucket      = coalesce(try(local.config.bucket, null), "missing")
  # states may lie in another bucket
  state           = try(local.config.state, null)
  state_bucket    = try(regex("^gs://([^/]+)", local.state)[0], local.bucket)
  prefix          = try(local.config.prefix, null) == null ? "" : "${trim(local.config.prefix, "/")}/"
  concurrent_runs = coalesce(try(local.config.server.max_concurrent_runs, null), 16)
  # seconds of run_budget; 0 if it is written in a way that is not known here
  budget         = coalesce(try(local.config.server.run_budget, null), "9m")
  budget_parts   = try(regex("^(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?$", local.budget), [0, 0, 0])
  budget_seconds = sum([for at, unit in [3600, 60, 1] : unit * tonumber(coalesce(local.budget_parts[at], 0))])

  sources = { for name, source in try(local.config.sources, {}) : name => source }

  entries = merge([
    for source_name, source in local.sources : {
      for table_name, table in try({ for key, settings in source.tables : key => settings }, {}) : "${source_name}/${table_name}" => {
        source  = source_name
        table   = table_name
        pattern = can(regex("[*?\\[]", replace(table_name, "/\"[^\"]*\"/", "")))
        schedule = trimspace(coalesce(
          try(tostring(table.schedule), null), try(tostring(source.defaults.schedule), null),
          try(tostring(local.config.defaults.schedule), null), "none",
        ))
        time_zone = coalesce(
          try(table.schedule_timezone, null), try(source.defaults.schedule_timezone, null),
          try(local.config.defaults.schedule_timezone, null), "UTC",
        )
        dataset = try(regex("^([^.]+)\\.", table.target)[0], source.dataset, null)
      }
    }
  ]...)

  patterns = { for id, entry in local.entries : id => entry if entry.pattern }
  # a pattern's tables that are named in pattern_tables; a table that highwater.yaml names is never a pattern's
  expanded = merge([
    for id, tables in var.pattern_tables : {
      for table in tables : "${local.patterns[id].source}/${table}" => merge(local.patterns[id], { table = table, pattern = false })
    } if contains(keys(local.patterns), id)
  ]...)
  tables = merge(local.expanded, { for id, entry in local.entries : id => entry if !entry.pattern })

  # Cloud Scheduler reads five fields; Highwater's words are written out
  words = {
    "@yearly" = "0 0 1 1 *", "@annually" = "0 0 1 1 *", "@monthly" = "0 0 1 * *", "@weekly" = "0 0 * * 0",
    "@daily"  = "0 0 * * *", "@midnight" = "0 0 * * *", "@hourly" = "0 * * * *",
  }
  scheduled = {
    for id, entry in local.tables : id => merge(entry, {
      schedule = lookup(local.words, lower(entry.schedule), entry.schedule)
      # a name that Cloud Scheduler takes, and that no other table has
      job = "${var.name}-${substr(replace(lower("${entry.source}-${entry.table}"), "/[^a-z0-9]+/", "-"), 0, 60)}-${substr(sha1(id), 0, 8)}"
      # urlencode writes a space as +, which is a plus in a path
      path = "/sync/${replace(urlencode(entry.source), "+", "%20")}/${replace(urlencode(entry.table), "+", "%20")}"
    }) if entry.schedule != "none" && !contains(var.unscheduled_tables, id)
  }

  unscheduled  = sort([for id, entry in local.tables : id if entry.schedule == "none" && !contains(var.unscheduled_tables, id)])
  untold       = sort([for id, entry in local.patterns : id if !contains(keys(var.pattern_tables), id) && !contains(var.unscheduled_tables, id)])
  unknown      = sort(setsubtract(setunion(var.unscheduled_tables, keys(var.pattern_tables), keys(var.alert_lag_seconds_by_table)), concat(keys(local.entries), keys(local.tables))))
  not_patterns = sort([for id in keys(var.pattern_tables) : id if contains(keys(local.entries), id) && !contains(keys(local.patterns), id)])
  unreadable   = sort([for id, entry in local.scheduled : "${id} (${entry.schedule})" if length(split(" ", replace(entry.schedule, "/\\s+/", " "))) != 5])

  # escapes are no way around it: Cloud Run decodes them first
  reserved = sort([for id, entry in local.scheduled : id if endswith(entry.path, "z")])

  reports         = try(local.config.reports.bigquery, true)
  reports_dataset = coalesce(try(local.config.reports.dataset, null), "_highwater")
  datasets = toset(compact(concat(
    [for entry in values(local.entries) : try(coalesce(entry.dataset, try(local.config.dataset, null)), "")],
    local.reports ? [local.reports_dataset] : [],
  )))

  # who may call the service, where it checks that itself
  auth           = try(local.config.auth, null)
  auth_audiences = local.auth == null ? [] : try(tolist(local.auth.audience), [tostring(local.auth.audience)], [])
  auth_invokers  = local.auth == null ? [] : try([for email in local.auth.invokers : lower(email)], [])
  # what the tokens of schedules and pushes are for: the service's own address, unless the file names another
  audience = length(local.auth_audiences) > 0 ? local.auth_audiences[0] : google_cloud_run_v2_service.this.uri

  # sources whose user logs in by a token of the runner
  iam_logins = [for name, source in local.sources : name if try(source.login, "password") == "iam"]

  hooks         = try(local.config.notify.hooks, [for hook in local.config.notify : hook], [])
  notify_topics = toset([for hook in local.hooks : hook.pubsub if try(hook.pubsub, null) != null])
}

# A warning, as Google says no more than "some paths ending with z" (https://cloud.google.com/run/docs/known-issues)
check "paths" {
  assert {
    condition     = var.trigger != "http" || length(local.reserved) == 0
    error_message = "Cloud Run may answer 404 in the place of the service to paths that end with z: ${join(", ", local.reserved)}. Set trigger = \"pubsub\", or list them in `unscheduled_tables` and give `job.schedule`."
  }
}

# Every fault of the file that would leave a table without a run, each with its way out, before anything is made.
resource "terraform_data" "config" {
  input = sha256(local.text)

  lifecycle {
    precondition {
      condition     = local.project != "missing" && local.bucket != "missing" && length(local.entries) > 0
      error_message = "highwater.yaml lacks `project`, `bucket` or tables."
    }
    precondition {
      condition     = local.state == null ? true : startswith(local.state, "gs://")
      error_message = "`state` of highwater.yaml is a folder, which an instance loses: leave it out, or name gs://bucket/path."
    }
    precondition {
      condition     = length(local.missing) == 0
      error_message = "highwater.yaml names variables that nothing sets: ${join(", ", local.missing)}. Add them to `environment`, or to `secrets` with `env`."
    }
    precondition {
      condition     = length(local.unscheduled) == 0
      error_message = "Tables without a schedule would never be synced: ${join(", ", local.unscheduled)}. Give them `schedule` in highwater.yaml (the table's, or in `defaults`), or list them in `unscheduled_tables`."
    }
    precondition {
      condition     = length(local.untold) == 0
      error_message = "Patterns cannot be scheduled, as Terraform does not know their tables: ${join(", ", local.untold)}. Name the tables in `pattern_tables`, or list the pattern in `unscheduled_tables` and give `job.schedule`, which syncs all tables."
    }
    precondition {
      condition     = length(local.unknown) == 0
      error_message = "`unscheduled_tables`, `pattern_tables` or `alert_lag_seconds_by_table` name what highwater.yaml does not have: ${join(", ", local.unknown)}. Write them as source/table."
    }
    precondition {
      condition     = length(local.not_patterns) == 0
      error_message = "`pattern_tables` has keys that are no patterns: ${join(", ", local.not_patterns)}. Tables that are named have their own schedule."
    }
    precondition {
      condition     = length(local.unreadable) == 0
      error_message = "Cloud Scheduler takes five fields (minute, hour, day of the month, month, day of the week), no seconds: ${join(", ", local.unreadable)}."
    }
    precondition {
      condition     = length(local.text) <= 65536
      error_message = "highwater.yaml has more than 64 KiB, which Secret Manager does not take; use patterns."
    }
    precondition {
      condition     = !can(regex("://[^:/@\\s]+:[^$/@\\s][^/@\\s]*@", local.text))
      error_message = "A url in highwater.yaml has a password in it, which would lie in Terraform's state: write $${NAME}, and NAME in `secrets`."
    }
    precondition {
      condition     = var.concurrency <= local.concurrent_runs
      error_message = "concurrency (${var.concurrency}) is more than server.max_concurrent_runs (${local.concurrent_runs}): the rest would be answered with 429."
    }
    precondition {
      condition     = (local.auth != null) == var.invoker_iam_disabled
      error_message = local.auth == null ? "invoker_iam_disabled lets everybody through to the service, and highwater.yaml has no `auth` that would check who calls: add it, or leave invoker_iam_disabled out." : "highwater.yaml has `auth`, so the service checks tokens itself. Cloud Run may take their signature away where it checks them, and then every call is refused: set invoker_iam_disabled = true, or remove `auth`."
    }
    precondition {
      condition     = local.auth == null || contains(local.auth_invokers, "${var.name}-invoker@${local.project}.iam.gserviceaccount.com")
      error_message = "`auth.invokers` of highwater.yaml lacks the account that schedules call with: ${var.name}-invoker@${local.project}.iam.gserviceaccount.com."
    }
    precondition {
      condition     = local.budget_seconds < var.request_timeout_seconds
      error_message = "server.run_budget (${local.budget}) must be shorter than request_timeout_seconds (${var.request_timeout_seconds})."
    }
    precondition {
      condition     = local.budget_seconds < (var.trigger == "http" ? var.attempt_deadline_seconds : 600)
      error_message = "server.run_budget (${local.budget}) must be shorter than the caller waits: attempt_deadline_seconds for http, 600 s for pubsub. Longer work belongs to the jobs."
    }
  }
}
