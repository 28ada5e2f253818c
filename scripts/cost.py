#!/usr/bin/env python3
"""What Highwater costs on Google Cloud in a month of 30 days, line by line.

  cost.py                                   20 tables of 1 GiB, every 5 minutes, half of the runs with new rows
  cost.py --tables 5 --minutes 60 --gib 10  other tables, another schedule, larger targets

Prices are list prices in US dollars (Cloud Run in a region of tier 1, the EU or US multi-region for Cloud Storage and
BigQuery), as read in November 2026 from stored copies of Google's price pages, which may be older; those marked (m) are
from memory. Check them at https://cloud.google.com/products/calculator before you rely on them. Taxes, the databases
themselves and traffic between regions are not in it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

DAYS = 30
MIB, GIB, TIB = 2**20, 2**30, 2**40

# price of a unit; how many of a month are free of charge (per billing account, for logs per project)
CPU = (0.000024, 180_000)  # vCPU-second while requests are served; https://cloud.google.com/run/pricing
MEMORY = (0.0000025, 360_000)  # GiB-second; the same page
REQUESTS = (0.40 / 1e6, 2_000_000)  # the same page
SCHEDULES = (0.10, 3)  # job of Cloud Scheduler; https://cloud.google.com/scheduler/pricing
CLASS_A = {"multi": (0.01 / 1e3, 0), "region": (0.005 / 1e3, 0)}  # https://cloud.google.com/storage/pricing; multi (m)
CLASS_B = (0.0004 / 1e3, 0)  # the same page
QUERY_BYTES = (6.25 / TIB, TIB)  # on demand; https://cloud.google.com/bigquery/pricing
TABLE_BYTES = (0.02 / GIB, 10 * GIB)  # active logical storage; the same page
REPOSITORY = (0.10 / 1e9, 0.5e9)  # https://cloud.google.com/artifact-registry/pricing
SECRETS = (0.06, 6)  # active version; https://cloud.google.com/secret-manager/pricing
SECRET_READS = (0.03 / 1e4, 10_000)  # the same page
LOGS = (0.50 / GIB, 50 * GIB)  # https://cloud.google.com/stackdriver/pricing
METRICS = (0.258 / MIB, 150 * MIB)  # points of log-based metrics (m); the same page
CONDITIONS = (0.10, 0)  # condition of an alert (m); an older copy of the page announces 1.50; the same page
SERIES = (0.35 / 1e6, 0)  # time series that conditions return; the same page

# Calls of a run, counted by a proxy between `highwater serve` and the emulators; a listing is of class A, a deletion free.
# Nothing new: list of leftovers and report; state. New rows: part, intent and commit as well.
CALLS_IDLE = {"A": 2, "B": 1}
CALLS_BUSY = {"A": 5, "B": 1}
# every 10 minutes reports become rows: two writes and a listing; BigQuery reads each report (taken as class B)
BATCH_MINUTES = 10
CALLS_BATCH = {"A": 3, "B": 1}
# a MERGE reads the staging table and is billed for all of the target (BigQuery, "On-demand query size calculation": q + t),
# and for the key once more, which is left out here; an INSERT (append) reads the staging table alone
TABLE_BYTES_MIN = 10 * MIB
# with `partition_immutable` the target's part in the partitions of the chunk's rows, and once a day a sample of key and partition
# column: of up to a million rows, or a hundredth of more, 16 bytes each (an estimate)
SAMPLE_BYTES = max(TABLE_BYTES_MIN, 16 * 10**6)
# lines of the program (300 bytes each, two or four a run); 3 kB for those of Cloud Run and Cloud Scheduler is an estimate
LOG_BYTES_IDLE, LOG_BYTES_BUSY = 3_600, 4_200
# runs (a count, 8 bytes), rows, bytes, duration and lag (distributions, 80 bytes)
METRIC_BYTES = 8 + 4 * 80
# alerts: evaluated each 30 s
EVALUATIONS = DAYS * 86_400 // 30
IMAGE_BYTES, IMAGES = 20e6, 20
# what a build keeps for the next one, compressed: the base with the toolchain, sources and libraries of the dependencies (an estimate)
CACHE_BYTES = 0.6e9
ACTIVE_SECRETS = 3


@dataclasses.dataclass
class Line:
    what: str
    arithmetic: str
    amount: float
    price: tuple[float, float]

    def list_cost(self) -> float:
        return self.amount * self.price[0]

    def cost(self) -> float:
        return max(0.0, self.amount - self.price[1]) * self.price[0]


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def lines(options: argparse.Namespace) -> list[Line]:
    ticks = DAYS * 1_440 / options.minutes
    runs = ticks * options.tables
    busy = runs * options.busy
    idle = runs - busy
    # schedules are due at the same minute: requests share instances, each of which is billed from its first to its last
    instances = math.ceil(options.tables / options.concurrency)
    billed = ticks * instances * options.seconds
    batches = min(runs, DAYS * 1_440 / BATCH_MINUTES)
    class_a = idle * CALLS_IDLE["A"] + busy * CALLS_BUSY["A"] + batches * CALLS_BATCH["A"]
    class_b = idle * CALLS_IDLE["B"] + busy * CALLS_BUSY["B"] + batches * CALLS_BATCH["B"] + runs
    merged = TABLE_BYTES_MIN + max(TABLE_BYTES_MIN, options.gib * options.partitions * GIB)
    samples = DAYS * options.tables if options.partitions < 1 and options.mode == "merge" else 0
    conditions = 2 * 5 + 2 + options.tables
    series = EVALUATIONS * (5 * options.tables + 2 + options.tables)
    return [
        Line("Cloud Run, CPU", f"{number(ticks)} times × {instances} instances × {options.seconds:g} s × {options.cpu:g} vCPU", billed * options.cpu, CPU),
        Line("Cloud Run, memory", f"the same × {options.memory_gib:g} GiB", billed * options.memory_gib, MEMORY),
        Line("Cloud Run, requests", f"{number(ticks)} × {options.tables}", runs, REQUESTS),
        Line("Cloud Scheduler", "a job per table", options.tables, SCHEDULES),
        Line("Cloud Storage, class A", f"{number(busy)} × {CALLS_BUSY['A']} + {number(idle)} × {CALLS_IDLE['A']} + {number(batches)} × {CALLS_BATCH['A']}", class_a, CLASS_A[options.bucket]),
        Line("Cloud Storage, class B", f"{number(runs)} × ({CALLS_BUSY['B']} + 1) + {number(batches)}", class_b, CLASS_B),
        Line("BigQuery, load jobs", f"{number(busy)} + {number(batches)}", busy + batches, (0, 0)),
        Line("BigQuery, queries on demand", f"{number(busy)} × {merged / GIB:.2f} GiB" if options.mode == "merge" else f"{number(busy)} × 10 MiB (append)", busy * (merged if options.mode == "merge" else TABLE_BYTES_MIN), QUERY_BYTES),
        *([Line("BigQuery, samples", f"{number(samples)} × {SAMPLE_BYTES / MIB:.0f} MiB (estimate)", samples * SAMPLE_BYTES, (QUERY_BYTES[0], 0))] if samples else []),
        Line("BigQuery, storage", f"{options.tables} × {options.gib:g} GiB", options.tables * options.gib * GIB, TABLE_BYTES),
        Line("Artifact Registry", f"{IMAGES} images × {IMAGE_BYTES / 1e6:.0f} MB + {CACHE_BYTES / 1e9:g} GB of layers (estimate)", IMAGES * IMAGE_BYTES + CACHE_BYTES, REPOSITORY),
        Line("Secret Manager, versions", "highwater.yaml, a password, a CA", ACTIVE_SECRETS, SECRETS),
        Line("Secret Manager, reads", f"at most {number(ticks)} × {instances} starts × {ACTIVE_SECRETS}", ticks * instances * ACTIVE_SECRETS, SECRET_READS),
        Line("Cloud Logging", f"{number(busy)} × {LOG_BYTES_BUSY / 1e3:.1f} kB + {number(idle)} × {LOG_BYTES_IDLE / 1e3:.1f} kB", busy * LOG_BYTES_BUSY + idle * LOG_BYTES_IDLE, LOGS),
        Line("Cloud Monitoring, metrics", f"{number(runs)} × {METRIC_BYTES} bytes", runs * METRIC_BYTES, METRICS),
        Line("Cloud Monitoring, conditions", f"{options.tables} of lag + 12", conditions, CONDITIONS),
        Line("Cloud Monitoring, series", f"{number(EVALUATIONS)} × {6 * options.tables + 2}", series, SERIES),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5, help="between two runs of a table")
    parser.add_argument("--seconds", type=float, default=5, help="of a run")
    parser.add_argument("--busy", type=float, default=0.5, help="part of the runs that find new rows")
    parser.add_argument("--gib", type=float, default=1, help="size of a target")
    parser.add_argument("--partitions", type=float, default=1, help="part of a target in the partitions of a chunk's rows, where `partition_immutable` is said")
    parser.add_argument("--mode", choices=["merge", "append"], default="merge")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--cpu", type=float, default=1)
    parser.add_argument("--memory-gib", type=float, default=0.5)
    parser.add_argument("--bucket", choices=sorted(CLASS_A), default="multi")
    options = parser.parse_args()
    if min(options.tables, options.minutes, options.seconds, options.concurrency, options.gib) <= 0 or not 0 <= options.busy <= 1 or not 0 <= options.partitions <= 1:
        parser.error("numbers must be greater than 0, --busy and --partitions from 0 to 1")
    table = lines(options)
    print(f"{options.tables} tables of {options.gib:g} GiB ({options.mode}), every {options.minutes:g} minutes, {options.seconds:g} s a run, {options.busy:.0%} of the runs with new rows\n")
    print("| what | a month | list price | less what is free |")
    print("| --- | --- | ---: | ---: |")
    for line in table:
        print(f"| {line.what} | {line.arithmetic} | ${line.list_cost():.2f} | ${line.cost():.2f} |")
    query = [line for line in table if line.what.startswith("BigQuery")]
    rest = [line for line in table if line not in query]
    for what, part in [("**without BigQuery**", rest), ("**all**", table)]:
        print(f"| {what} | | **${sum(line.list_cost() for line in part):.2f}** | **${sum(line.cost() for line in part):.2f}** |")


if __name__ == "__main__":
    main()
