#!/usr/bin/env python3
"""Highwater from nothing to synced tables, on this machine, with nothing but this clone.

Installs what is missing, starts PostgreSQL, MariaDB and emulators of Cloud Storage and BigQuery on free loopback
ports, fills tables, starts `highwater serve`, pushes one request per table as Cloud Scheduler would, compares source
and BigQuery, changes rows, pushes again, and stops everything that it started. Standard library only.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
STACK = ROOT / "scripts" / "stack.py"
SERVERS = "postgres,mariadb,storage,bigquery"
WORK = ROOT / ".stack" / "demo"
STACK_START_SECONDS = 180
PUSH_SECONDS = 300

POSTGRES_SQL = """
CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL, name text, tags text[],
  profile jsonb, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE INDEX ON customers (updated_at, id);
INSERT INTO customers (email, name, tags, profile, created_at, updated_at)
  SELECT 'c' || i || '@example.com', 'Customer ' || i, ARRAY['t' || i % 7, NULL],
         jsonb_build_object('n', i, 'vip', i % 10 = 0), t, t
  FROM (SELECT i, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 minute' AS t FROM generate_series(1, 25000) i) s;
CREATE TABLE orders (
  customer_id bigint NOT NULL, number int NOT NULL, amount numeric(12,2) NOT NULL, state text NOT NULL, placed date,
  updated_at timestamp(3) NOT NULL, PRIMARY KEY (customer_id, number));
CREATE INDEX ON orders (updated_at, customer_id, number);
INSERT INTO orders SELECT 1 + i % 25000, i / 25000, (i % 99999) / 100.0, CASE i % 3 WHEN 0 THEN 'open' ELSE 'paid' END,
    date '2026-01-01' + i % 300, timestamp '2026-02-01 00:00:00' + i * interval '7 seconds' FROM generate_series(0, 29999) i;
CREATE TABLE page_views (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text NOT NULL, ms real, seen_at timestamptz);
INSERT INTO page_views (path, ms, seen_at)
  SELECT '/p/' || i % 500, i % 1000 / 7.0, timestamptz '2026-03-01 00:00:00+00' + i * interval '1 second' FROM generate_series(1, 20000) i;
CREATE ROLE reader LOGIN PASSWORD 'demo-reader';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
GRANT pg_read_all_stats TO reader;
"""

MYSQL_SQL = """
CREATE TABLE invoices (
  id binary(16) NOT NULL PRIMARY KEY, total decimal(14,4) NOT NULL, paid tinyint(1) NOT NULL, note varchar(100),
  data json, updated_at datetime(6) NOT NULL, KEY (updated_at));
INSERT INTO invoices SELECT unhex(md5(seq)), seq / 7, seq % 2, concat('naïve ☃ ', seq), json_object('seq', seq),
    '2026-01-01 00:00:00.000123' + INTERVAL seq SECOND FROM seq_1_to_20000;
CREATE TABLE currencies (code char(3) PRIMARY KEY, name varchar(40) NOT NULL, rate double);
INSERT INTO currencies VALUES ('EUR', 'Euro', 1), ('USD', 'US dollar', 1.0853), ('JPY', 'Yen', 163.2);
CREATE TABLE payments (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, amount decimal(10,2), method enum('card','cash'),
    updated_at timestamp NOT NULL, KEY (updated_at));
INSERT INTO payments (amount, method, updated_at)
  SELECT seq / 100, if(seq % 4, 'card', 'cash'), '2026-02-01 00:00:00' + INTERVAL seq SECOND FROM seq_1_to_10000;
CREATE USER reader@'%' IDENTIFIED BY 'demo-reader';
GRANT SELECT ON shop.* TO reader@'%';
GRANT PROCESS ON *.* TO reader@'%';
"""

CHANGES = {
    "postgres": """
UPDATE customers SET name = name || ' (renamed)', updated_at = now() - interval '5 seconds' WHERE id % 100 = 0;
INSERT INTO customers (email, name, created_at, updated_at)
  SELECT 'new' || i || '@example.com', 'New ' || i, now() - interval '4 seconds', now() - interval '4 seconds' FROM generate_series(1, 250) i;
UPDATE orders SET state = 'refunded', updated_at = (now() AT TIME ZONE 'UTC') - interval '5 seconds' WHERE customer_id <= 100;
INSERT INTO page_views (path, ms, seen_at) SELECT '/new', 1.5, now() FROM generate_series(1, 300);
""",
    "mysql": """
UPDATE invoices SET paid = 1 - paid, updated_at = utc_timestamp(6) - INTERVAL 5 SECOND LIMIT 200;
INSERT INTO currencies VALUES ('CHF', 'Swiss franc', 0.9371);
""",
}

CONFIG = """
project: demo
dataset: shop
location: US
bucket: highwater-demo
server: {{ listen_port: {port}, run_budget: 4m }}
sources:
  web:
    url: postgres://reader:${{READER_PASSWORD}}@127.0.0.1:{pg_port}/shop
    tables:
      customers: {{ cursor: updated_at, cluster_by: email }}
      orders: {{ cursor: updated_at, partition_by: {{ column: placed, unit: month }} }}
      page_views: {{ cursor: id, mode: append }}
  billing:
    url: mysql://reader:${{READER_PASSWORD}}@127.0.0.1:{my_port}/shop
    tables:
      invoices: {{ cursor: updated_at }}
      payments: {{ cursor: updated_at }}
      currencies: {{ mode: replace }}
"""


@dataclass(frozen=True)
class Table:
    """A table, and one query that must give the same text on both sides."""

    source: str
    name: str
    at_source: str
    at_bigquery: str
    changed: int


TABLES = [
    Table("web", "customers", "SELECT concat_ws(' ', count(*), sum(id), sum(length(name)), sum((profile->>'n')::int)) FROM customers",
          "SELECT CONCAT(COUNT(*), ' ', SUM(id), ' ', SUM(LENGTH(name)), ' ', SUM(INT64(profile.n))) FROM shop.customers", 500),
    Table("web", "orders", "SELECT concat_ws(' ', count(*), sum(number), sum((amount * 100)::bigint), count(*) FILTER (WHERE state = 'refunded')) FROM orders",
          "SELECT CONCAT(COUNT(*), ' ', SUM(number), ' ', SUM(CAST(amount * 100 AS INT64)), ' ', COUNTIF(state = 'refunded')) FROM shop.orders", 0),
    Table("web", "page_views", "SELECT concat_ws(' ', count(*), sum(id), count(DISTINCT path)) FROM page_views",
          "SELECT CONCAT(COUNT(*), ' ', SUM(id), ' ', COUNT(DISTINCT path)) FROM shop.page_views", 300),
    Table("billing", "invoices", "SELECT concat_ws(' ', count(*), sum(cast(total * 10000 AS signed)), sum(paid), sum(char_length(note))) FROM invoices",
          "SELECT CONCAT(COUNT(*), ' ', SUM(CAST(total * 10000 AS INT64)), ' ', COUNTIF(paid), ' ', SUM(LENGTH(note))) FROM shop.invoices", 200),
    Table("billing", "payments", "SELECT concat_ws(' ', count(*), sum(id), sum(cast(amount * 100 AS signed)), sum(method = 'cash')) FROM payments",
          "SELECT CONCAT(COUNT(*), ' ', CAST(SUM(id) AS INT64), ' ', SUM(CAST(amount * 100 AS INT64)), ' ', COUNTIF(method = 'cash')) FROM shop.payments", 0),
    Table("billing", "currencies", "SELECT concat_ws(' ', count(*), group_concat(code ORDER BY code SEPARATOR ',')) FROM currencies",
          "SELECT CONCAT(COUNT(*), ' ', STRING_AGG(code, ',' ORDER BY code)) FROM shop.currencies", 4),
]


@dataclass
class Journal:
    """What was done, for the table at the end."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def step(self, what: str, result: str, seconds: float) -> None:
        self.rows.append((what, result, f"{seconds:.1f} s"))
        print(f"  {what}: {result} ({seconds:.1f} s)", flush=True)

    def show(self) -> None:
        widths = [max(len(row[i]) for row in self.rows) for i in range(3)]
        print()
        for row in self.rows:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


class Failed(Exception):
    """The demo cannot go on; the text is for a person."""


def run(command: list[str], *, stdin: str | None = None, env: dict[str, str] | None = None, log: pathlib.Path | None = None) -> str:
    """Runs a command and gives its stdout."""
    done = subprocess.run(command, input=stdin, env={**os.environ, **(env or {})}, text=True, capture_output=True, check=False)
    if log:
        log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command[:3])} … exited with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(method: str, url: str, body: object | None = None, seconds: float = 60) -> tuple[int, dict]:
    """One HTTP request with a JSON body; status and JSON answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


class Stack:
    """The servers, as scripts/stack.py starts them; they stop when this ends."""

    def __init__(self, log: pathlib.Path, *options: str) -> None:
        self.log = log.open("w")
        self.process = subprocess.Popen([sys.executable, str(STACK), *options, "up"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the servers did not start; see {log}")
        self.at = json.loads(line)

    def psql(self, sql: str, database: str = "shop") -> str:
        at = self.at["postgres"]
        return run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(at["port"]), "-U", at["user"], database],
                   stdin=sql, env={"PGPASSWORD": at["password"]}).strip()

    def mysql(self, sql: str, database: str = "shop") -> str:
        at = self.at["mysql"]
        return run(["mariadb", "--no-defaults", "-N", "-B", "--default-character-set=utf8mb4", "-h", "127.0.0.1", "-P", str(at["port"]), "-u", at["user"], database],
                   stdin=sql, env={"MYSQL_PWD": at["password"]}).strip()

    def bigquery(self, sql: str) -> list[list[str]]:
        status, answer = call("POST", f"{self.at['bigquery']}/bigquery/v2/projects/demo/queries", {"query": sql, "useLegacySql": False})
        if status != 200:
            raise Failed(f"BigQuery answered {status}: {answer}")
        return [[cell["v"] for cell in row["f"]] for row in answer.get("rows", [])]

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def environment(stack: Stack, config: pathlib.Path) -> dict[str, str]:
    """Where `highwater` finds its configuration and the servers."""
    env = {**os.environ, "READER_PASSWORD": "demo-reader", "STORAGE_EMULATOR_HOST": stack.at["storage"],
           "BIGQUERY_EMULATOR_HOST": stack.at["bigquery"], "HIGHWATER_CONFIG": str(config)}
    env.pop("PORT", None)
    return env


class Service:
    """`highwater serve` on a free port."""

    def __init__(self, binary: pathlib.Path, stack: Stack, log: pathlib.Path, text: str = CONFIG) -> None:
        port = free_port()
        config = log.with_name("highwater.yaml")
        config.write_text(text.format(port=port, pg_port=stack.at["postgres"]["port"], my_port=stack.at["mysql"]["port"]).lstrip())
        env = environment(stack, config)
        self.log = log.open("w")
        self.process = subprocess.Popen([str(binary), "serve", "--listen", "127.0.0.1"], env=env, stdout=self.log, stderr=self.log)
        self.url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 10
        while True:
            try:
                if call("GET", f"{self.url}/healthz", seconds=1)[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > until or self.process.poll() is not None:
                self.stop()
                raise Failed(f"highwater serve did not start; see {log}:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)

    def push(self, table: Table) -> dict:
        status, report = call("POST", f"{self.url}/sync/{table.source}/{table.name}", seconds=PUSH_SECONDS)
        if status != 200:
            raise Failed(f"the push of {table.name} was answered with {status}: {report}")
        return report

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def fill(stack: Stack) -> None:
    stack.psql("CREATE DATABASE shop", database="postgres")
    stack.psql(POSTGRES_SQL)
    stack.mysql("CREATE DATABASE shop CHARACTER SET utf8mb4", database="mysql")
    stack.mysql(MYSQL_SQL)
    status, answer = call("POST", f"{stack.at['storage']}/storage/v1/b?project=demo", {"name": "highwater-demo"})
    if status != 200:
        raise Failed(f"the bucket was refused with {status}: {answer}")


def push(service: Service, journal: Journal, title: str, table: Table) -> int:
    begun = time.monotonic()
    report = service.push(table)
    journal.step(f"{title} {table.source}/{table.name}", f"{report['outcome']}, {report['rows']} rows", time.monotonic() - begun)
    return report["rows"]


def push_all(service: Service, journal: Journal, title: str, wanted: dict[str, int] | None) -> None:
    for table in TABLES:
        rows = push(service, journal, title, table)
        if wanted is not None and rows != wanted[table.name]:
            raise Failed(f"{table.name}: {rows} rows moved, {wanted[table.name]} were changed")


def compare(stack: Stack, journal: Journal) -> None:
    for table in TABLES:
        begun = time.monotonic()
        at_source = (stack.psql if table.source == "web" else stack.mysql)(table.at_source)
        at_bigquery = stack.bigquery(table.at_bigquery)[0][0]
        if at_source != at_bigquery:
            raise Failed(f"{table.name} differs: source {at_source!r}, BigQuery {at_bigquery!r}")
        journal.step(f"check {table.source}/{table.name}", f"equal: {at_bigquery}", time.monotonic() - begun)


def build() -> pathlib.Path:
    run(["cargo", "build", "--locked", "--quiet"], log=WORK / "build.log")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "debug" / "highwater"


def demo(journal: Journal) -> None:
    begun = time.monotonic()
    if subprocess.run([sys.executable, str(STACK), "--only", SERVERS, "install"], check=False).returncode != 0:
        raise Failed("the servers could not be installed")
    journal.step("install servers", "ready", time.monotonic() - begun)
    begun = time.monotonic()
    binary = build()
    journal.step("build highwater", "ready", time.monotonic() - begun)
    begun = time.monotonic()
    stack = Stack(WORK / "stack.log")
    try:
        journal.step("start servers", ", ".join(sorted(stack.at["pids"])), time.monotonic() - begun)
        begun = time.monotonic()
        fill(stack)
        journal.step("fill tables", "6 tables", time.monotonic() - begun)
        service = Service(binary, stack, WORK / "highwater.log")
        try:
            push_all(service, journal, "push", None)
            compare(stack, journal)
            push_all(service, journal, "push again", {table.name: 3 if table.name == "currencies" else 0 for table in TABLES})
            stack.psql(CHANGES["postgres"])
            stack.mysql(CHANGES["mysql"])
            time.sleep(1.1)  # the ceiling stays a second behind the clock
            orders = int(stack.psql("SELECT count(*) FROM orders WHERE customer_id <= 100"))
            wanted = {table.name: table.changed for table in TABLES} | {"orders": orders}
            push_all(service, journal, "push changes", wanted)
            compare(stack, journal)
            print("\n  a look at BigQuery:")
            for row in stack.bigquery("SELECT CAST(id AS STRING), email, name, TO_JSON_STRING(tags) FROM shop.customers ORDER BY id LIMIT 3"):
                print("    " + " | ".join(str(cell) for cell in row))
        finally:
            service.stop()
    finally:
        stack.stop()


def main() -> int:
    if shutil.which("cargo") is None:
        print("demo: cargo is missing; install Rust from rustup.rs", file=sys.stderr)
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    journal = Journal()
    try:
        demo(journal)
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    journal.show()
    print(f"\n  everything that was started is stopped; logs and configuration: {WORK}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
