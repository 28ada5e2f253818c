"""What is measured of a table, from the database's own limit to the whole sync: each stage is one command.

Stages of a table differ by one step each, and are timed alike: from the process's start to its end, in ours without the wait
for BigQuery's jobs where nothing else went on meanwhile. So the difference of two lines is what the step costs. The limit
runs the query that ours runs (columns and order), so far as the tool takes a query.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import subprocess
from typing import Callable

import data
import measure
import program
import rows

UNCHUNKED_ROWS = 1_000_000_000


@dataclasses.dataclass
class Result:
    """What one run of a stage came to. `process` is from the process's start to its end; `seconds`, which are compared, are
    that without the wait for jobs."""

    seconds: float
    process: float
    cpu: float
    servers: dict[str, float]
    peak_kib: int
    bytes: int | None
    staged_bytes: int | None = None


@dataclasses.dataclass
class Stage:
    """A command, how often it is run, and how it is told."""

    table: str
    name: str
    title: str
    rows: int
    run: Callable[[], Result]
    command: str
    kind: str = "ours"
    same: bool = False
    results: list[Result] = dataclasses.field(default_factory=list)
    failure: str | None = None
    enough: float = math.inf
    """Seconds of all its runs after which it is not run again."""
    ready: Callable[[], object] = lambda: None
    """Brings its program into memory, before each run and unmeasured."""


@dataclasses.dataclass
class Table:
    """A table that is measured."""

    key: str
    title: str
    source: str
    name: str
    rows: int
    columns: list[str]


class Failed(Exception):
    """A command of ours or of the database did not do what it should; the text says which and why."""


def shown(command: list[str], env: dict[str, str] | None = None) -> str:
    """A command as people are told: no places of this machine, no password."""
    hidden = {"password": "…", "port": 0, "user": "admin"}
    words = []
    for word in command:
        if word.startswith("{"):
            word = json.dumps({name: hidden.get(name, value) for name, value in json.loads(word).items() if value is not None})
        word = word.replace(str(program.ROOT), ".")
        words.append(f"'{word}'" if any(sign in word for sign in " \"*;(") else word)
    return " ".join([*(f"{name}={value}" for name, value in (env or {}).items() if "PASS" not in name and "PWD" not in name), *words])


class Maker:
    """Makes the stages of tables."""

    def __init__(self, stack: program.demo.Stack, built: dict[str, pathlib.Path], folder: pathlib.Path) -> None:
        self.stack, self.built, self.folder = stack, built, folder
        self.runs = 0

    def servers(self, source: str) -> dict[str, int]:
        pids = self.stack.at["pids"]
        return {"database": pids["postgres" if source == "postgres" else "mariadb"], "storage": pids["storage"], "bigquery": pids["bigquery"]}

    def client(self, table: Table, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
        at = self.stack.at[table.source]
        if table.source == "postgres":
            base = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(at["port"]), "-U", at["user"], "-d", "bench"]
            return [*base, *arguments], {"PGPASSWORD": at["password"]}
        base = ["--no-defaults", "-h", "127.0.0.1", "-P", str(at["port"]), "-u", at["user"]]
        return [arguments[0], *base, *arguments[1:]], {"MYSQL_PWD": at["password"]}

    def their_own(self, table: Table, name: str, title: str, arguments: list[str], kind: str) -> Stage:
        command, env = self.client(table, arguments)
        # how many bytes it writes does not change from run to run: they are counted once, unmeasured
        counted = subprocess.run(["sh", "-c", '"$@" | wc -c', "sh", *command], env={**os.environ, **env}, capture_output=True, text=True, check=True)
        size = int(counted.stdout)

        def run() -> Result:
            took = measure.run(command, self.folder / "client", env=env, servers=self.servers(table.source), discard=True)
            if not took.ok:
                raise Failed(f"{title}: {took.why()}")
            return Result(took.seconds, took.seconds, took.cpu, took.servers, took.peak_kib, size)

        told = " ".join(shown([command[0], *arguments[1 if table.source == "mysql" else 0:]]).split())
        ready = lambda: subprocess.run([command[0], "--version"], stdout=subprocess.DEVNULL, check=True)
        return Stage(table.key, name, title, table.rows, run, f"{told} > /dev/null", kind, ready=ready)

    def limits(self, table: Table) -> list[Stage]:
        columns, order = ", ".join(table.columns), "ORDER BY updated_at, id"
        if table.source == "postgres":
            copy = lambda tail: ["-c", f"COPY (SELECT {columns} FROM {table.name}{tail}) TO STDOUT (FORMAT binary)"]
            return [self.their_own(table, "limit", "the limit: binary COPY to /dev/null, our query", copy(f" {order}"), "limit"),
                    self.their_own(table, "unordered", "the same without an order", copy(""), "aside")]
        dump = ["mariadb-dump", "--single-transaction", "--quick", "--no-create-info"]
        return [self.their_own(table, "limit", "the limit: mariadb-dump to /dev/null, our order", [*dump, f"--where=TRUE {order}", "bench", table.name], "limit"),
                self.their_own(table, "unordered", "the same without an order", [*dump, "bench", table.name], "aside"),
                self.their_own(table, "client", "mariadb --quick --batch to /dev/null, our query", [
                    "mariadb", "--quick", "--batch", "-D", "bench", "-e", f"SELECT {columns} FROM {table.name} {order}"], "aside")]

    def extract(self, table: Table, name: str, title: str, gzip_level: int, chunk_rows: int | None, to: str) -> Stage:
        prefix = f"{table.key}-{name}"
        disk = self.folder / "parts" / prefix
        parts_to: object = {"nowhere": "nowhere", "folder": {"folder": str(disk)},
                            "storage": {"storage": {"url": self.stack.at["storage"], "bucket": program.BUCKET, "prefix": f"{prefix}/"}}}[to]
        # peers copy whole tables, which in ours is another mode than that of the lines above
        cursor = None if to == "folder" else "updated_at"
        settings = program.extract_settings(self.stack, table.source, table.name, gzip_level, parts_to, chunk_rows, cursor)
        command = [str(self.built["extract"]), json.dumps(settings)]

        def run() -> Result:
            disk.mkdir(parents=True, exist_ok=True)
            for old in disk.iterdir():
                old.unlink()
            took = measure.run(command, self.folder / "extract", servers=self.servers(table.source))
            if not took.ok:
                raise Failed(f"{title}: {took.why()}")
            said = json.loads(took.stdout)
            if said["rows"] != table.rows:
                raise Failed(f"{title}: {said['rows']} rows of {table.rows}")
            if to == "folder" and rows.count(list(disk.iterdir()), pathlib.Path()) != table.rows:
                raise Failed(f"{title}: its files do not have {table.rows} rows")
            program.empty_bucket(self.stack, f"{prefix}/")
            # clients and peers have no jobs to wait for, which here were done at once; with more than one chunk the wait is
            # beside the reading, but for that for the last
            waited = said["durations_ms"]["apply"] / 1000 if chunk_rows else 0.0
            return Result(took.seconds - waited, took.seconds, took.cpu, took.servers, said["peak_kib"], said["bytes"], said["staged_bytes"])

        told = {"parts_to": to, "gzip_level": gzip_level, "table": table.name, "cursor": cursor}
        return Stage(table.key, name, title, table.rows, run, f"benches/extract.rs '{json.dumps(told | ({'chunk_rows': chunk_rows} if chunk_rows else {}))}'",
                     "equivalent" if to == "folder" else "ours", ready=lambda: measure.warm([self.built["extract"]]))

    def engine(self, table: Table) -> list[Stage]:
        one = UNCHUNKED_ROWS
        return [self.extract(table, "encode", "extract, encode, to nowhere", 0, one, "nowhere"),
                self.extract(table, "gzip", "+ gzip, to nowhere", 1, one, "nowhere"),
                self.extract(table, "stage", "+ parts to the emulator of Cloud Storage", 1, one, "storage"),
                self.extract(table, "chunks", "+ chunks of the default size, intents, commits, the wait for the last chunk's jobs", 1, None, "storage"),
                self.extract(table, "disk", "the whole table to gzipped parts on local disk, as the peers (`mode: replace`: no order)", 1, one, "folder")]

    def sync(self, table: Table) -> Stage:
        """The program itself, with the emulator of BigQuery."""

        def run() -> Result:
            self.runs += 1
            dataset = f"sync_{self.runs}"
            config = program.configuration(self.stack, self.folder / "sync", {table.name: "{ cursor: updated_at }"}, dataset=dataset)
            took = measure.run(command, self.folder / "sync", env=program.environment(self.stack, config), servers=self.servers(table.source))
            if not took.ok:
                raise Failed(f"highwater sync: {took.why()}")
            found = int(self.stack.bigquery(f"SELECT COUNT(*) FROM {dataset}.{table.name}")[0][0])
            if found != table.rows:
                raise Failed(f"highwater sync: BigQuery has {found} rows of {table.rows}")
            program.empty_bucket(self.stack, f"{dataset}/")
            said = json.loads(took.stdout.splitlines()[-1])
            return Result(took.seconds, took.seconds, took.cpu, took.servers, took.peak_kib, said["bytes"])

        command = [str(self.built["highwater"]), "sync", f"bench/{table.name}", "--until-caught-up", "--json"]
        return Stage(table.key, "sync", f"the whole sync of {table.rows:,} rows, the emulator of BigQuery included", table.rows, run,
                     shown(["highwater", *command[1:]]), ready=lambda: measure.warm([self.built["highwater"]]))


def rounds(stages: list[Stage], runs: int, say: Callable[[str], None]) -> None:
    """Every stage once per round, every other round backwards, so that a machine that drifts does so for all alike."""
    for number in range(runs):
        for stage in stages if number % 2 == 0 else reversed(stages):
            if stage.failure is not None or sum(result.process for result in stage.results) > stage.enough:
                continue
            try:
                stage.ready()
                result = stage.run()
            except (Failed, OSError, subprocess.CalledProcessError) as failed:
                # what the others took is known all the same
                stage.failure = str(failed)
                say(f"round {number + 1}/{runs}: {stage.table} {stage.name}: {failed}")
                continue
            stage.results.append(result)
            say(f"round {number + 1}/{runs}: {stage.table} {stage.name}: {result.seconds:.2f} s")


def mixed(key: str, source: str, rows: int, name: str = "mixed") -> Table:
    database = {"postgres": "PostgreSQL", "mysql": "MariaDB"}[source]
    return Table(key, f"{database}, {rows:,} rows of 20 columns", source, name, rows, data.MIXED_COLUMNS)


def wide(rows: int) -> Table:
    return Table("wide", f"PostgreSQL, {rows:,} rows of 50 columns", "postgres", "wide", rows, data.WIDE_COLUMNS)
