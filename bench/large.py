"""Millions of rows in one command of the real program: its memory over time, time by rows, the effect of the chunk's size, and
an initial load by ranges of the key over one and two connections.

PostgreSQL and the emulator of Cloud Storage are real programs; BigQuery is bench/stand_in.py, which loads nothing and counts
the rows of each part. It shares the machine with what is measured, and its CPU is told beside.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Callable

import data
import measure
import program
from stages import Failed

ROWS = [int(rows) for rows in os.environ.get("BENCH_LARGE_ROWS", "1000000,5000000,20000000").split(",")]
CHUNKS = [int(rows) for rows in os.environ.get("BENCH_CHUNK_ROWS", "10000,100000,500000").split(",")]
LOAD_ROWS = int(os.environ.get("BENCH_LOAD_ROWS", "2000000"))
LOAD_WINDOWS = 8
SECONDS_MAX = 3600


class StandIn:
    """bench/stand_in.py, as long as this is there."""

    def __init__(self, storage: str) -> None:
        command = [sys.executable, str(program.ROOT / "bench/stand_in.py"), storage]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise Failed("the stand-in for BigQuery did not start")

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Large:
    """Runs the program over tables that it makes."""

    def __init__(self, stack: program.demo.Stack, binary: pathlib.Path, folder: pathlib.Path, say: Callable[[str], None]) -> None:
        self.stack, self.binary, self.folder, self.say = stack, binary, folder, say
        self.stand_in = StandIn(stack.at["storage"])
        self.runs = 0

    def table(self, rows: int) -> str:
        name = f"narrow_{rows}"
        if not self.stack.psql(f"SELECT to_regclass('{name}')", "bench"):
            self.say(f"making {rows:,} narrow rows")
            self.stack.psql(data.POSTGRES_NARROW.format(name=name, rows=rows), "bench")
        return name

    def run(self, rows: int, settings: str, arguments: list[str], keep: bool = False) -> dict[str, object]:
        """One command over a table of so many rows, from nothing to all of them in BigQuery's stand-in."""
        self.runs += 1
        name, dataset = self.table(rows), f"large_{self.runs}"
        config = program.configuration(self.stack, self.folder / "large", {name: settings}, dataset=dataset)
        command = [str(self.binary), arguments[0], f"bench/{name}", *arguments[1:], "--json"]
        pids = self.stack.at["pids"]
        servers = {"database": pids["postgres"], "storage": pids["storage"], "bigquery": self.stand_in.process.pid}
        took = measure.run(command, self.folder / "large", env=program.environment(self.stack, config, bigquery=self.stand_in.url),
                           servers=servers, keep_rss=keep, seconds_max=SECONDS_MAX)
        if not took.ok:
            raise Failed(f"highwater {' '.join(command[1:])}: {took.why()}")
        _, target = program.demo.call("GET", f"{self.stand_in.url}/bigquery/v2/projects/demo/datasets/{dataset}/tables/{name}")
        found = int(target.get("numRows", 0))
        if found != rows:
            raise Failed(f"highwater {' '.join(command[1:])}: {found:,} rows of {rows:,} were loaded")
        program.empty_bucket(self.stack, f"{dataset}/")
        self.say(f"{' '.join(command[1:])}: {took.seconds:.1f} s, peak {took.peak_kib / 1024:.0f} MiB")
        return {"rows": rows, "seconds": took.seconds, "cpu": took.cpu, "servers": took.servers, "peak_kib": took.peak_kib, "rss": took.rss,
                "command": " ".join(["highwater", *command[1:]]), "settings": settings}

    def sync(self, rows: int, chunk_rows: int | None, keep: bool = False) -> dict[str, object]:
        settings = "{ cursor: updated_at }" if chunk_rows is None else f"{{ cursor: updated_at, chunk_rows: {chunk_rows} }}"
        return self.run(rows, settings, ["sync", "--until-caught-up"], keep) | {"chunk_rows": chunk_rows}

    def sizes(self, rounds: int) -> list[list[dict[str, object]]]:
        """The runs of each number of rows; memory over time is kept of the first round."""
        return self.turns(rounds, [lambda first, rows=rows: self.sync(rows, None, keep=first) for rows in ROWS])

    def chunks(self, rounds: int) -> list[list[dict[str, object]]]:
        return self.turns(rounds, [lambda _, chunk_rows=chunk_rows: self.sync(min(ROWS), chunk_rows) for chunk_rows in CHUNKS])

    def turns(self, rounds: int, ways: list[Callable[[bool], dict[str, object]]]) -> list[list[dict[str, object]]]:
        """Runs of each way, which take turns."""
        found = [[way(number == 0) for way in ways] for number in range(rounds)]
        return [list(runs) for runs in zip(*found)]

    def load(self, runs: int) -> dict[str, object]:
        """The initial load by key over one and over two connections, and the plain sync, in turns."""
        window = ["--by", "key", "--window-rows", str(max(1, LOAD_ROWS // LOAD_WINDOWS))]
        ways = {"sync": ["sync", "--until-caught-up"], "one": ["backfill", *window, "--parallel", "1"], "two": ["backfill", *window, "--parallel", "2"]}
        found: dict[str, list[dict[str, object]]] = {way: [] for way in ways}
        for _ in range(runs):
            for way, arguments in ways.items():
                found[way].append(self.run(LOAD_ROWS, "{ cursor: updated_at }", arguments))
        return {"rows": LOAD_ROWS, "ways": found}

    def stop(self) -> None:
        self.stand_in.stop()
