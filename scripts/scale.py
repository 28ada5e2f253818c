#!/usr/bin/env python3
"""Scale on paper: what many tables and many bytes a day ask of Google Cloud and of Highwater, and what gives way first.

  scale.py                                   10,000 tables, 1 TB a day, every 15 minutes, a tenth of the runs with new rows
  scale.py --tables 500 --tb 0.1 --minutes 5 others
  scale.py --renew                           writes into docs/scale.md what its commands print; --check says whether they do

Every number is a limit that a document states (its page is named beside it), a measurement of bench/results.json (`make
bench`), a count that scripts/cost.py rests on, or arithmetic on those. What is an estimate says so. Limits are those of
November 2026; projects may have others.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import re
import shlex
import statistics
import subprocess
import sys

import cost

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.json"
DOCUMENT = ROOT / "docs" / "scale.md"
# what a command printed, in the document: up to the next comment
SHOWN = re.compile(r"(<!-- printed by `python3 (scripts/(?:scale|cost)\.py[^`]*)` -->\n).*?(?=<!-- end -->)", re.DOTALL)
DAY = 86_400
# seconds of a run with new rows at BigQuery's pace: two jobs of a few seconds each (an estimate, as scripts/cost.py has it)
BUSY_SECONDS = 5.0
# what an idle run waits for: a handful of calls within a region, tens of milliseconds each (an estimate)
IDLE_SECONDS = 0.5
# Calls of a run to Cloud Storage as its rates count them, of the same proxy as the prices' classes (scripts/cost.py): a listing
# is a read there, and the deletion of the part a write.
READS = {"idle": cost.CALLS_IDLE["B"] + 1, "busy": cost.CALLS_BUSY["B"] + 1}
WRITES = {"idle": cost.CALLS_IDLE["A"] - 1, "busy": cost.CALLS_BUSY["A"] - 1 + 1}


@dataclasses.dataclass
class Line:
    """Something that is asked for, and how much of it there is."""

    what: str
    asked: float
    limit: float
    unit: str
    source: str
    way_out: str

    @property
    def share(self) -> float:
        return self.asked / self.limit


class Missing(Exception):
    """A measurement that is not there."""


def measured() -> dict[str, float]:
    """CPU seconds of ours a byte of NDJSON, and of an idle run."""
    try:
        results = json.loads(RESULTS.read_text())
        stage = next(one for one in results["speed"]["stages"] if one["table"] == "postgres" and one["name"] == "chunks")
        minute = results["small"]["minute"]["ways"]["serve"]
        run = lambda field: statistics.median(one[field] for one in stage["runs"])
        return {"cpu_a_byte": run("cpu") / run("bytes"), "bytes_a_second": run("bytes") / run("seconds"), "cpu_a_run": minute["cpu"] / minute["runs"]}
    # what was not measured is null, or has no runs
    except (OSError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise Missing(f"{RESULTS.relative_to(ROOT)} does not have it ({error!r}): run `make bench`") from None


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def percent(share: float) -> str:
    return f"{100 * share:,.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def limits(options: argparse.Namespace) -> list[Line]:
    runs = options.tables * 1_440 / options.minutes
    busy = runs * options.busy
    batches = 1_440 / cost.BATCH_MINUTES
    # all schedules are due in the same minute: rates are taken over that minute, and requests as if all came at once, as costs are
    minute = options.tables / 60
    calls = lambda kind: options.busy * kind["busy"] + (1 - options.busy) * kind["idle"]
    config = sum(len(f"      table_{number:05}: {{ cursor: updated_at, schedule: '{number % 60} * * * *' }}\n") for number in range(options.tables))
    return [
        Line("alerts of lag, one a table", options.tables, 500, "policies", "Cloud Monitoring, “Alerting policies in depth”: policies of a workspace; of now it may be more",
             "`alert_lag_seconds_by_table: 0` for most; `/metrics`, or the one alert on `behind`"),
        Line("schedules, one a table", options.tables, 5_000, "jobs", "Cloud Scheduler, quotas: jobs of a region, raised from 1,000",
             "`highwater sync --all` as a job of several tasks, or Pub/Sub"),
        Line("tables on the status page", options.tables, 2_000, "tables", "`TABLES_MAX` of src/app/look.rs", "`highwater status PATTERN`; the page says how many it leaves out"),
        Line("load jobs of a day", busy + batches, 100_000, "jobs", "BigQuery, quotas: load jobs of a project a day", "a longer schedule for the tables that always have rows; `job_project`s"),
        Line("looks at targets, the minute in which all are due", minute, 100, "requests/s", "BigQuery, quotas: API requests of a user and method",
             "spread the minutes of the schedules"),
        Line("staging tables made, the same minute", minute * options.busy, 10, "requests/s", "BigQuery, quotas: `tables.insert` of a project", "spread the minutes of the schedules"),
        Line("writes of objects, the same minute", minute * calls(WRITES), 1_000, "writes/s", "Cloud Storage, request rate: where a bucket begins", "spread the minutes of the schedules; a bucket grows by itself"),
        Line("reads of objects, the same minute", minute * calls(READS), 5_000, "reads/s", "Cloud Storage, request rate: where a bucket begins", "as for writes"),
        Line("writes of one table's state", max(1.0, 3 * 60 / options.minutes) / 3_600, 1, "writes/s", "Cloud Storage, quotas: writes of one object", "–"),
        Line("changing statements at one target", 1, 2, "at once", "BigQuery, DML: running at once; 20 more wait", "–"),
        Line("requests at once, if all come at once", options.tables, 16 * 100, "requests", "`concurrency` as it is by default × the most `max_instances` (terraform); more get a 429, and come again",
             "spread the minutes of the schedules; several services"),
        Line("the configuration, each table named", config, 65_536, "bytes", "Secret Manager: bytes of a secret; the module says so (terraform)", "patterns; a service for each source"),
    ]


def work(options: argparse.Namespace, found: dict[str, float]) -> list[tuple[str, str, str]]:
    runs = options.tables * 1_440 / options.minutes
    byte_count = options.tb * 1e12
    reading, idle = byte_count * found["cpu_a_byte"], runs * found["cpu_a_run"]
    waiting = runs * (options.busy * BUSY_SECONDS + (1 - options.busy) * IDLE_SECONDS)
    return [
        ("runs of a day", f"{options.tables:,} × 1,440 / {options.minutes:g}", f"{number(runs)}"),
        ("bytes of a run with new rows", f"{options.tb:g} TB / ({number(runs)} × {options.busy:g})", f"{byte_count / (runs * options.busy) / 1e6:,.1f} MB"),
        ("bytes a second, on average", f"{options.tb:g} TB / {DAY:,} s", f"{byte_count / DAY / 1e6:,.1f} MB/s; one run reads {found['bytes_a_second'] / 1e6:,.0f} MB/s (measured)"),
        ("CPU for rows", f"{options.tb:g} TB × {found['cpu_a_byte'] * 1e9:.2f} s/GB (measured)", f"{reading / 3600:,.1f} hours a day, {reading / DAY:.2f} of a core"),
        ("CPU for runs", f"{number(runs)} × {found['cpu_a_run'] * 1e3:.1f} ms (measured)", f"{idle / 3600:,.1f} hours a day, {idle / DAY:.2f} of a core"),
        ("requests at once, on average", f"{number(runs)} × ({options.busy:g} × {BUSY_SECONDS:g} s + {1 - options.busy:g} × {IDLE_SECONDS:g} s) / {DAY:,} s (estimates)",
         f"{waiting / DAY:,.1f}: {max(1, -(-waiting // (DAY * 16))):,.0f} instance(s) of 16"),
    ]


def renewed(text: str) -> str:
    """The document with what its commands print now."""
    def printed(found: re.Match[str]) -> str:
        command = [sys.executable, *shlex.split(found[2])]
        ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        return f"{found[1]}{ran.stdout.strip()}\n"
    return SHOWN.sub(printed, text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--tb", type=float, default=1.0, help="terabytes of NDJSON a day")
    parser.add_argument("--minutes", type=float, default=15, help="between two runs of a table")
    parser.add_argument("--busy", type=float, default=0.1, help="part of the runs that find new rows")
    parser.add_argument("--renew", action="store_true", help="write docs/scale.md anew")
    parser.add_argument("--check", action="store_true", help="whether docs/scale.md is what its commands print")
    options = parser.parse_args()
    if options.tables < 1 or options.tb <= 0 or options.minutes <= 0 or not 0 < options.busy <= 1:
        parser.error("numbers must be greater than 0, and --busy at most 1")
    try:
        found = measured()
    except Missing as missing:
        print(f"scale: {missing}", file=sys.stderr)
        return 1
    if options.renew or options.check:
        text = DOCUMENT.read_text()
        new = renewed(text)
        if options.renew:
            DOCUMENT.write_text(new)
        elif new != text or not SHOWN.search(text):
            print("docs/scale.md is not what its commands print: `python3 scripts/scale.py --renew`", file=sys.stderr)
            return 1
        return 0
    print(f"{options.tables:,} tables, {options.tb:g} TB a day, every {options.minutes:g} minutes, {options.busy:.0%} of the runs with new rows\n")
    print("| work | arithmetic | comes to |\n| --- | --- | --- |")
    for what, arithmetic, comes_to in work(options, found):
        print(f"| {what} | {arithmetic} | {comes_to} |")
    print("\n| what gives way first | asked for | limit | of it | whose limit | the way out |\n| --- | ---: | ---: | ---: | --- | --- |")
    for line in sorted(limits(options), key=lambda line: -line.share):
        print(f"| {line.what} | {number(line.asked)} {line.unit} | {number(line.limit)} | {percent(line.share)} % | {line.source} | {line.way_out} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
