#!/usr/bin/env python3
"""Measures Highwater beside the databases' own clients and other programs, on this machine, with servers of its own.

  bench.py [--only PARTS] [--output DIR] [--before]

PARTS are speed (with peers), encoders, small, load, profiles and large; without --only the first four. Results are written to DIR
(bench/): results.json, RESULTS.md, memory.svg; parts that are not measured stay as they were. With --before the encoders are
kept as what later ones are shown beside: run it on the commit before a change. bench/README.md says what is
measured, and which variables say how much of it. Standard library only; everything that is started is stopped again.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import data
import encoders
import large
import plot
import profiles
import program
import report
import small
import stages
from stages import Failed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
import peers  # noqa: E402

ROWS = int(os.environ.get("BENCH_ROWS", "2000000"))
WIDE_ROWS = int(os.environ.get("BENCH_WIDE_ROWS", str(max(1, ROWS // 4))))
SYNC_ROWS = int(os.environ.get("BENCH_SYNC_ROWS", "20000"))
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
WITH_PEERS = os.environ.get("BENCH_PEERS", "1") != "0"
PARTS = ["speed", "encoders", "small", "load", "profiles", "large"]
USUAL = PARTS[:4]
BEGUN = time.monotonic()


def say(text: str) -> None:
    print(f"bench: {time.monotonic() - BEGUN:6.0f} s  {text}", file=sys.stderr, flush=True)


def told(*command: str) -> str:
    ran = subprocess.run(command, cwd=program.ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def commit() -> str:
    """What is checked out; with a sign if it is not what was committed. The index is not written: that would build releases anew."""
    changed = told("git", "--no-optional-locks", "status", "--porcelain", "--", "src", "benches", "bench/*.py", "bench/peers", "Cargo.toml", "Cargo.lock")
    return told("git", "rev-parse", "--short=12", "HEAD") + (", with changes" if changed else "")


def machine() -> dict[str, object]:
    cpu = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    return {"cpu": cpu, "cores": os.cpu_count(), "memory": f"{memory / 2**20:.0f} GiB", "kernel": platform.release(),
            "load": " ".join(f"{one:.2f}" for one in os.getloadavg())}


def about(stack: program.demo.Stack | None, binary: pathlib.Path | None, measured: str, command: str, settings: dict[str, object]) -> dict[str, object]:
    facts = {**machine(), "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "commit": measured, "profile": program.PROFILE,
             "rustc": told("rustc", "--version"), "python": platform.python_version(), "command": command,
             "settings": ", ".join(f"{name}={value}" for name, value in settings.items())}
    if binary is not None:
        facts["program"] = f"{binary.stat().st_size / 2**20:.1f} MiB"
    if stack is not None:
        sys.path.insert(0, str(program.ROOT / "scripts"))
        import stack as servers
        where = pathlib.Path(stack.at["run_dir"]).parent
        facts |= {"postgres": stack.psql("SHOW server_version", "postgres"), "mariadb": stack.mysql("SELECT version()", "mysql"),
                  "data": f"in memory ({where})" if where == program.MEMORY else str(where),
                  "emulators": ", ".join(one for one in servers.EMULATORS if not one.startswith("duckdb-"))}
    return facts


class Bench:
    """Servers, built programs and a scratch folder, for as long as it takes."""

    def __init__(self, parts: list[str], output: pathlib.Path, before: bool = False) -> None:
        self.parts, self.output = parts, output
        named = {("large",): "make bench-large", ("profiles",): "make bench-profiles", tuple(USUAL): "make bench"}
        self.command = named.get(tuple(parts), f"bench/bench.py --only {','.join(parts)}{' --before' if before else ''}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hw-bench-"))
        self.stack: program.demo.Stack | None = None
        self.faults: list[str] = []
        # before anything is built: what happens to the checkout later is not what is measured
        self.commit = commit()

    def __enter__(self) -> Bench:
        try:
            return self.begin()
        except BaseException:
            self.__exit__()
            raise

    def begin(self) -> Bench:
        wanted = [bench for bench, users in {"extract": ["speed"], "encoders": ["encoders"]}.items() if set(users) & set(self.parts)]
        say("building")
        self.built = program.build(wanted, bool({"speed", "small", "load", "large"} & set(self.parts)))
        if self.parts != ["encoders"]:
            self.start()
        return self

    def start(self) -> None:
        say("starting the servers")
        self.stack = program.demo.Stack(self.folder / "stack.log", "--data", str(program.data_folder()))
        self.stack.psql("CREATE DATABASE bench", database="postgres")
        self.stack.mysql("CREATE DATABASE bench", database="mysql")
        program.make_bucket(self.stack)

    def __exit__(self, *_: object) -> None:
        if self.stack is not None:
            self.stack.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def about(self, **settings: object) -> dict[str, object]:
        return about(self.stack, self.built.get("highwater"), self.commit, self.command, settings)

    def speed(self) -> dict[str, object]:
        facts = self.about(BENCH_ROWS=ROWS, BENCH_WIDE_ROWS=WIDE_ROWS, BENCH_SYNC_ROWS=SYNC_ROWS, BENCH_RUNS=RUNS, BENCH_PEER_SECONDS=f"{peers.SECONDS_MAX:g}",
                           BENCH_PEER_ENOUGH=f"{peers.ENOUGH_SECONDS:g}")
        facts["settings"] += "".join(f"; {name}: {version}" for name, version in peers.versions().items()) if WITH_PEERS else "; without peers"
        tables = [stages.mixed("postgres", "postgres", ROWS), stages.mixed("mysql", "mysql", ROWS // 2), stages.wide(WIDE_ROWS)]
        few = stages.mixed("postgres", "postgres", min(ROWS, SYNC_ROWS), "mixed_sync")
        say("making the tables")
        self.stack.psql(data.POSTGRES_MIXED.format(name="mixed", rows=ROWS), "bench")
        self.stack.psql(data.POSTGRES_MIXED.format(name=few.name, rows=few.rows), "bench")
        self.stack.psql(data.postgres_wide("wide", WIDE_ROWS), "bench")
        self.stack.mysql(data.MYSQL_MIXED.format(name="mixed", rows=ROWS // 2), "bench")
        make = stages.Maker(self.stack, self.built, self.folder)
        todo = [stage for table in tables for stage in [*make.limits(table), *make.engine(table)]]
        todo.append(make.sync(few))
        if WITH_PEERS:
            todo += peers.stages(self.stack, tables[:2], self.folder, lambda table: make.servers(table.source), say)
        stages.rounds(todo, RUNS, say)
        self.faults += [f"{stage.title}: {stage.failure}" for stage in todo if stage.failure is not None and stage.kind != "peer"]
        kept = [{"table": stage.table, "name": stage.name, "title": stage.title, "rows": stage.rows, "kind": stage.kind, "same": stage.same, "command": stage.command,
                 "failure": stage.failure, "runs": [dataclasses.asdict(result) for result in stage.results]} for stage in todo]
        return {"about": facts, "runs": RUNS, "tables": [{"key": table.key, "title": table.title, "rows": table.rows} for table in tables], "stages": kept}

    def encoders(self) -> dict[str, object]:
        return {"about": self.about(BENCH_ENCODERS=encoders.CASES or "all"), "cases": encoders.measure(self.built["encoders"], self.folder / "encoders", say)}

    def small(self) -> dict[str, object]:
        facts = self.about(BENCH_SMALL_TIMES=small.TIMES, BENCH_SMALL_TABLES=small.TABLES, BENCH_SMALL_MINUTES=f"{small.MINUTES:g}")
        stand_in = large.StandIn(self.stack.at["storage"])
        try:
            measured = small.Small(self.stack, stand_in.url, self.built["highwater"], self.folder, say)
            return {"about": facts, "idle": measured.nothing_to_do(), "minute": measured.every_minute() if small.MINUTES > 0 else None}
        finally:
            stand_in.stop()

    def load(self) -> dict[str, object]:
        facts = self.about(BENCH_LOAD_ROWS=large.LOAD_ROWS, BENCH_RUNS=RUNS)
        measured = large.Large(self.stack, self.built["highwater"], self.folder, say)
        try:
            return {"about": facts, **measured.load(RUNS)}
        finally:
            measured.stop()

    def profiles(self) -> dict[str, object]:
        facts = self.about(BENCH_PROFILE_ROWS=profiles.ROWS, BENCH_RUNS=RUNS)
        return {"about": facts, "rows": profiles.ROWS, "ways": profiles.Profiles(self.stack, self.folder, say).ways(RUNS)}

    def large(self) -> dict[str, object]:
        facts = self.about(BENCH_LARGE_ROWS=",".join(map(str, large.ROWS)), BENCH_CHUNK_ROWS=",".join(map(str, large.CHUNKS)), BENCH_RUNS=RUNS)
        measured = large.Large(self.stack, self.built["highwater"], self.folder, say)
        try:
            found = {"about": facts, "runs": RUNS, "sizes": measured.sizes(RUNS), "chunks": measured.chunks(RUNS)}
        finally:
            measured.stop()
        lines = [(f"{runs[0]['rows']:,} rows", runs[0]["rss"]) for runs in found["sizes"]]
        (self.output / "memory.svg").write_text(plot.memory(lines, report.MEMORY_GOAL_MIB))
        # the picture has them
        for runs in [*found["sizes"], *found["chunks"]]:
            for run in runs:
                run.pop("rss")
        return found


def keep(output: pathlib.Path, part: str, found: dict[str, object]) -> None:
    """Puts a part in the place of what was known of it."""
    file = output / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results[part] = found
    file.write_text(json.dumps(results, indent=1) + "\n")
    (output / "RESULTS.md").write_text(report.markdown(results))
    if output == program.ROOT / "bench" and {"speed", "small"} <= set(results):
        # a document that rests on these; what it misses it says itself
        subprocess.run([sys.executable, program.ROOT / "scripts/scale.py", "--renew"], check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR", default=program.ROOT / "bench", help="where results are written (bench/)")
    parser.add_argument("--before", action="store_true", help="with `--only encoders`: keep them to show later ones beside")
    arguments = parser.parse_args()
    parts = arguments.only.split(",") if arguments.only else USUAL
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only takes {','.join(PARTS)}, not {','.join(sorted(unknown))}")
    if arguments.before and parts != ["encoders"]:
        parser.error("--before goes with `--only encoders`")
    arguments.output.mkdir(parents=True, exist_ok=True)
    # told to end, it stops what it has started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Bench(parts, arguments.output, arguments.before) as bench:
            for part in parts:
                keep(arguments.output, "encoders_before" if arguments.before else part, getattr(bench, part)())
                say(f"{part} is in {arguments.output / 'RESULTS.md'}")
    except (Failed, program.demo.Failed) as failed:
        say(str(failed))
        return 1
    print(report.markdown(json.loads((arguments.output / "results.json").read_text())))
    for fault in bench.faults:
        say(fault)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
