"""RESULTS.md, made of results.json and nothing else: tables, commands, machine and versions of each part that was measured."""

from __future__ import annotations

import statistics

MEMORY_GOAL_MIB = 48
# the greatest of the limit's times by the least, beyond which the machine had other things to do
QUIET_SPREAD = 1.25
SERVERS = {"database": "database", "storage": "Cloud Storage", "bigquery": "BigQuery"}
ABOUT = [("date", "date"), ("commit", "commit"), ("profile", "built as"), ("program", "program"), ("cpu", "processor"), ("cores", "cores"), ("memory", "memory"),
         ("kernel", "kernel"), ("load", "load average before"), ("rustc", "rustc"), ("postgres", "PostgreSQL"), ("mariadb", "MariaDB"), ("data", "databases' files"), ("emulators", "emulators"),
         ("python", "Python"), ("command", "command"), ("settings", "settings")]
HEAD = """\
<!-- made by `make bench`, `make bench-large` and `make bench-profiles`, do not edit -->
# Results

Every number here was written by the command that measured it; [README.md](README.md) says what each line means, how to run it
again, and what it does not show. Parts are measured by themselves, so each says when, of what and on which machine.
"""


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def spread(values: list[float], digits: int = 2) -> str:
    """Median, and from least to greatest."""
    if not values:
        return "–"
    return f"{number(statistics.median(values), digits)} ({number(min(values), digits)} – {number(max(values), digits)})"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *("| " + " | ".join(row) + " |" for row in rows), ""]


def about(section: dict) -> list[str]:
    facts = section["about"]
    return ["<details><summary>Machine, versions, command</summary>", "",
            *table(["", ""], [[title, str(facts[key])] for key, title in ABOUT if facts.get(key) is not None]), "</details>", ""]


def median(stage: dict, field: str) -> float | None:
    values = [run[field] for run in stage["runs"] if run.get(field) is not None]
    return statistics.median(values) if values else None


def rate(stage: dict, field: str = "seconds") -> float | None:
    seconds = median(stage, field)
    return stage["rows"] / seconds if seconds else None


def cpu_of(stage: dict, servers: list[str]) -> float:
    return statistics.median(sum(run["servers"].get(server, 0.0) for server in servers) for run in stage["runs"])


def speed_row(stage: dict, limit: float | None, rounds: int) -> list[str]:
    if not stage["runs"]:
        return [stage["title"], stage["failure"] or "was not run", *[""] * 9]
    size, packed, speed = median(stage, "bytes"), median(stage, "staged_bytes"), rate(stage)
    per_second = f"{number(size / median(stage, 'seconds') / 1e6, 0)}" if size else "–"
    title = stage["title"] if stage["failure"] is None else f"{stage['title']} (then: {stage['failure']})"
    if len(stage["runs"]) != rounds and stage["failure"] is None:
        title += f" ({len(stage['runs'])} of {rounds} rounds)"
    share = f"{100 * speed / limit:.0f} %" if limit and speed else "–"
    peak = max(run["peak_kib"] for run in stage["runs"]) / 1024
    return [title, spread([run["seconds"] for run in stage["runs"]]), number(median(stage, "process")), number(speed, 0), per_second, share,
            number(median(stage, "cpu")), number(cpu_of(stage, ["database"])), number(cpu_of(stage, ["storage", "bigquery"])), number(peak, 0),
            number(packed / 1e6, 0) if packed else "–"]


SPEED_HEAD = ["what", "seconds: median (min – max)", "process s", "rows/s", "MB/s", "of the limit", "CPU s, its own", "CPU s, database",
              "CPU s, emulators", "peak MiB", "written MB"]


def against_peers(stages: list[dict]) -> list[str]:
    """How many times as fast as the fastest peer, and as the fastest that writes the same."""
    ours = next((stage for stage in stages if stage["kind"] == "equivalent" and stage["runs"]), None)
    if ours is None or not any(stage["kind"] == "peer" for stage in stages):
        return []
    lines = []
    for which, among in (("The fastest peer", lambda _: True), ("Of those that write gzipped JSON lines, as ours does, the fastest", lambda stage: stage["same"])):
        peers = [stage for stage in stages if stage["kind"] == "peer" and stage["runs"] and stage["failure"] is None and among(stage)]
        if not peers:
            lines.append(f"{which}: none finished.")
            continue
        fastest = max(peers, key=lambda stage: rate(stage, "process"))
        times = {field: rate(ours, field) / rate(fastest, "process") for field in ("seconds", "process")}
        lines.append(f"{which} is “{fastest['title']}” (of {len(fastest['runs'])} run{'s' * (len(fastest['runs']) != 1)}); ours (“{ours['title']}”) is **{times['seconds']:.2f} times** as fast, both from the "
                     f"process's start to its end, ours without the wait for BigQuery's jobs, which here were done at once; with it {times['process']:.2f} times.")
    return [*lines, ""]


def unrest(stages: list[dict]) -> list[str]:
    """A warning where the same command, the limit, took so differently that shares of it say little."""
    seconds = [run["seconds"] for stage in stages if stage["name"] == "limit" for run in stage["runs"]]
    if not seconds or max(seconds) / min(seconds) <= QUIET_SPREAD:
        return []
    return [f"**The machine was not quiet**: the limit itself took {min(seconds):.2f} to {max(seconds):.2f} s. What is below says little about shares of it; measure again.", ""]


def commands(stages: list[dict]) -> list[str]:
    return ["<details><summary>Commands</summary>", "", "```text", *(f"{stage['title']}\n    {stage['command']}" for stage in stages), "```", "", "</details>", ""]


def speed(section: dict) -> list[str]:
    lines = ["## From the database to BigQuery", "", *about(section)]
    for one in section["tables"]:
        stages = [stage for stage in section["stages"] if stage["table"] == one["key"]]
        # what reads in no order is held against the database's client that does so too
        limits = {kind: next((rate(stage) for stage in stages if stage["name"] == kind and stage["runs"]), None) for kind in ("limit", "unordered")}
        of = lambda stage: limits["unordered" if stage["kind"] in ("equivalent", "peer") or stage["name"] == "unordered" else "limit"]
        lines += [f"### {one['title']}", "", f"{section['runs']} rounds, each of them all of these once; a peer that has taken long enough is not run again.", "", *unrest(stages)]
        lines += table(SPEED_HEAD, [speed_row(stage, of(stage), section["runs"]) for stage in stages])
        lines += against_peers(stages) + commands(stages)
    return lines


def encoders(section: dict, before: dict | None) -> list[str]:
    old = {case["case"]: case for case in before["cases"]} if before else {}
    rows = [[case["case"], f"{number(case['ns'], 1)} ({number(case['ns_low'], 1)} – {number(case['ns_high'], 1)})", number(case["instructions"], 1),
             *([number(old.get(case["case"], {}).get("instructions"), 1)] if before else []),
             number(case["bytes"], 1), number(case["bytes"] / case["ns"] * 1e3, 0)] for case in section["cases"]]
    head = ["type", "ns a value: median (95 % interval)", "instructions a value", *([f"at {before['about']['commit']}"] if before else []), "bytes a value", "MB/s"]
    told = [f"Instructions before are those of {before['about']['commit']}, counted on {before['about']['date']} with {before['about']['rustc']}.", ""] if before else []
    return ["## Encoders, by type", "", *about(section), *told, *table(head, rows)]


def of_spread(found: dict, factor: float = 1000.0, digits: int = 1) -> str:
    return f"{number(found['median'] * factor, digits)} ({number(found['min'] * factor, digits)} – {number(found['max'] * factor, digits)})"


def small(section: dict) -> list[str]:
    idle, minute = section["idle"], section["minute"]
    rows = [["`highwater sync` as a command, ms", of_spread(idle["command_seconds"])], ["its CPU, ms", of_spread(idle["command_cpu"])],
            ["its peak memory, MiB", number(idle["command_peak_kib"] / 1024 or None, 1)], ["a request to `highwater serve`, ms", of_spread(idle["request_seconds"])],
            ["the first request after its start, ms", number(idle["first_request_seconds"] * 1000, 1)],
            ["steps of the last one, ms", ", ".join(f"{name} {took}" for name, took in idle["steps_ms"].items())]]
    lines = ["## Small syncs", "", *about(section), f"### A sync with nothing to do, {idle['times']} times", "", *table(["", "median (min – max)"], rows)]
    remote = {which: sum(idle["calls"][which][server]["trips"] for server in ("storage", "bigquery")) for which in idle["calls"]}
    lines += [f"It asks Google's services {remote['next']} times ({remote['first']} in a process that has not run the table before).", ""]
    calls = []
    for which, title in (("first", "first request of a process"), ("next", "the next")):
        for server, found in idle["calls"][which].items():
            requests = ", ".join(f"{count} × `{request}`" for request, count in found["requests"].items())
            calls.append([title, SERVERS[server], str(found["trips"]), requests or "–"])
    lines += table(["", "asked of", "round trips", "requests"], calls)
    if minute is not None:
        ways = [[f"`highwater {way}`", number(found["runs"], 0), number(found["cpu"], 2), number(found["cpu"] / minute["minutes"] / 60 * 100, 1),
                 number(found["cpu"] / max(1, found["runs"]) * 1000, 1), number(found["rss_kib"] / 1024, 1), number(found["peak_kib"] / 1024, 1)] for way, found in minute["ways"].items()]
        lines += [f"### {minute['tables']} tables, each run every minute, for {minute['minutes']:g} minutes", "",
                  "BigQuery is the stand-in of the large tables.", "",
                  *table(["by", "runs", "CPU s", "% of a core", "CPU ms a run", "memory MiB", "peak MiB"], ways),
                  f"A request to `serve` took {of_spread(minute['push_seconds'])} ms: median (min – max).", ""]
    return lines


def large_row(runs: list[dict]) -> list[str]:
    rows, chunk, seconds = runs[0]["rows"], runs[0]["chunk_rows"], [run["seconds"] for run in runs]
    middle = lambda value: number(statistics.median(map(value, runs)), 1)
    return [f"{rows:,}", f"{chunk:,}" if chunk else "default", spread(seconds, 1), number(rows / statistics.median(seconds), 0),
            number(statistics.median(seconds) / rows * 1e6, 2), middle(lambda run: run["cpu"]), middle(lambda run: run["servers"]["database"]),
            middle(lambda run: run["servers"]["storage"] + run["servers"]["bigquery"]), number(max(run["peak_kib"] for run in runs) / 1024, 1)]


def large(section: dict) -> list[str]:
    head = ["rows", "rows a chunk", "seconds: median (min – max)", "rows/s", "s a million rows", "CPU s, its own", "CPU s, database", "CPU s, emulator and stand-in", "peak MiB"]
    return ["## Large tables", "", *about(section),
            "The real program against PostgreSQL and the emulator of Cloud Storage; BigQuery is a stand-in that counts the rows of each part and", 
            f"takes every job at once (`bench/stand_in.py`), so these are no times of BigQuery's. {section['runs']} rounds, in turns; peaks are the greatest.", "",
            *table(head, [large_row(runs) for runs in section["sizes"]]),
            f"![Memory over time, in the first round; the dashed line is {MEMORY_GOAL_MIB} MiB](memory.svg)", "", "### The size of a chunk", "",
            "A chunk's two jobs are looked at first after some tenth of a second, done or not: small chunks are mostly that wait.", "",
            *table(head, [large_row(runs) for runs in section["chunks"]])]


def load(section: dict) -> list[str]:
    titles = {"sync": "`sync --until-caught-up`, one connection", "one": "`backfill --by key --parallel 1`", "two": "`backfill --by key --parallel 2`"}
    base = statistics.median(run["seconds"] for run in section["ways"]["one"])
    rows = []
    for way, runs in section["ways"].items():
        seconds = [run["seconds"] for run in runs]
        rows.append([titles[way], spread(seconds), number(section["rows"] / statistics.median(seconds), 0), f"{base / statistics.median(seconds):.2f}",
                     number(statistics.median(run["cpu"] for run in runs), 1), number(statistics.median(run["servers"]["database"] for run in runs), 1),
                     number(max(run["peak_kib"] for run in runs) / 1024, 1)])
    return ["## Initial load by ranges of the key", "", *about(section),
            f"{section['rows']:,} narrow rows, BigQuery's stand-in as above; database, emulator and stand-in share the cores with the program.", "",
            *table(["how", "seconds: median (min – max)", "rows/s", "speed-up", "CPU s, its own", "CPU s, database", "peak MiB"], rows),
            "```text", *(f"{runs[0]['command']}" for runs in section["ways"].values()), "```", ""]


def profiles(section: dict) -> list[str]:
    rows = []
    for way in section["ways"]:
        runs, built = way["runs"], "program_bytes" in way
        peak = max((run["peak_kib"] for run in runs), default=None)
        rows.append([way["title"], number(way["program_bytes"] / 2**20, 1) if built else "–", spread(way["starts_ms"], 1) if built else "–",
                     spread([kib / 1024 for kib in way["idle_kib"]], 1) if built else "–", spread([run["seconds"] for run in runs]),
                     number(statistics.median(run["cpu"] for run in runs)) if runs else "–", number(peak / 1024, 0) if runs else "–"])
    head = ["how", "program, MiB", "start to the first answer, ms: median (min – max)", "idle, MiB: median (min – max)", "seconds to read: median (min – max)", "CPU s", "peak MiB"]
    return ["## How it is built", "", *about(section), f"Read are {section['rows']:,} rows of 20 columns from PostgreSQL, compressed, to nowhere. “–” is what a way does not touch.", "", *table(head, rows)]


SECTIONS = {"speed": speed, "encoders": encoders, "small": small, "load": load, "profiles": profiles, "large": large}


def markdown(results: dict) -> str:
    lines = [HEAD]
    for name, write in SECTIONS.items():
        if name in results:
            lines += write(results[name], results.get("encoders_before")) if write is encoders else write(results[name])
    return "\n".join(lines).rstrip() + "\n"
