#!/usr/bin/env python3
"""The demo's servers and service, left running to play with: a shop whose rows change, and pushes that bring them.

Prints how long it took to the first synced row, where the service is, and what to type in another terminal. Everything
stops with Ctrl-C. Standard library only.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import demo

ROUND_SECONDS = 15
"""How often rows change and a push per table is sent."""
HOURS_MAX = 12
"""After which it stops by itself: a terminal that is forgotten must not keep databases growing."""

SHOP_IS_OPEN = {
    "postgres": """
INSERT INTO customers (email, name, created_at, updated_at)
  SELECT 'walk-in-' || n || '@example.com', 'Walk-in ' || n, now() - interval '2 seconds', now() - interval '2 seconds'
  FROM (SELECT (random() * 1e9)::int AS n FROM generate_series(1, 5 + (random() * 20)::int)) s;
UPDATE orders SET state = 'paid', updated_at = (now() AT TIME ZONE 'UTC') - interval '2 seconds'
  WHERE ctid IN (SELECT ctid FROM orders WHERE state = 'open' LIMIT 40);
INSERT INTO page_views (path, ms, seen_at) SELECT '/p/' || (random() * 500)::int, random() * 100, now() FROM generate_series(1, 200);
""",
    "mysql": """
UPDATE invoices SET paid = 1, updated_at = utc_timestamp(6) - INTERVAL 2 SECOND WHERE paid = 0 LIMIT 25;
INSERT INTO payments (amount, method, updated_at) SELECT 10 + seq, 'card', utc_timestamp() - INTERVAL 2 SECOND FROM seq_1_to_10;
""",
}

GUIDE = """
  the first rows were in BigQuery {first:.0f} s after the start ({build:.0f} s of it went into building)

  status page     {url}
  its log         {log}
  configuration   {config}

  In another terminal:

    source {env}
    highwater plan web/orders     what the next run would do; writes nothing
    highwater sync --all
    highwater status
    highwater verify web/customers
    psql shop                     the source of web; what is changed comes with the next push
    bq "SELECT COUNT(*) FROM shop.customers"

  Rows change, and a push per table is sent, every {round} s. Ctrl-C stops everything.
"""


def write_env(stack: demo.Stack, binary: pathlib.Path, config: pathlib.Path) -> pathlib.Path:
    """What another terminal sources."""
    at = stack.at["postgres"]
    exports = {
        "READER_PASSWORD": "demo-reader",
        "STORAGE_EMULATOR_HOST": stack.at["storage"],
        "BIGQUERY_EMULATOR_HOST": stack.at["bigquery"],
        "HIGHWATER_CONFIG": str(config),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(at["port"]),
        "PGUSER": at["user"],
        "PGPASSWORD": at["password"],
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    lines.append(f'export PATH={shlex.quote(str(binary.parent))}:"$PATH"')
    # a stand-in of the same name: the emulator has no account to log in to
    lines.append(f"bq() {{ {shlex.quote(sys.executable)} {shlex.quote(str(pathlib.Path(__file__).resolve()))} query \"$1\"; }}")
    env = demo.WORK / "env"
    env.write_text("\n".join(lines) + "\n")
    env.chmod(0o600)
    return env


def query(sql: str) -> int:
    """One query of the emulator that the environment names; rows as lines."""
    url = f"{os.environ['BIGQUERY_EMULATOR_HOST'].rstrip('/')}/bigquery/v2/projects/demo/queries"
    status, answer = demo.call("POST", url, {"query": sql, "useLegacySql": False})
    if status != 200:
        print(f"BigQuery's emulator answered {status}: {answer.get('error', {}).get('message', answer)}", file=sys.stderr)
        return 1
    print("\t".join(column["name"] for column in answer["schema"]["fields"]))
    for row in answer.get("rows", []):
        print("\t".join("NULL" if cell["v"] is None else str(cell["v"]) for cell in row["f"]))
    return 0


def stay_open(stack: demo.Stack, service: demo.Service) -> None:
    """Changes rows and pushes, until it is interrupted."""
    until = time.monotonic() + HOURS_MAX * 3600
    while time.monotonic() < until:
        begun = time.monotonic()
        stack.psql(SHOP_IS_OPEN["postgres"])
        stack.mysql(SHOP_IS_OPEN["mysql"])
        for table in demo.TABLES:
            try:
                service.push(table)
            except demo.Failed as failure:
                # what fails is what there is to look at
                print(f"  {failure}", file=sys.stderr)
        time.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - begun)))
    print(f"\n  stopped after {HOURS_MAX} hours")


def play() -> None:
    begun = time.monotonic()
    install = [sys.executable, str(demo.STACK), "--only", demo.SERVERS, "install"]
    if subprocess.run(install, check=False).returncode != 0:
        raise demo.Failed("the servers could not be installed")
    journal = demo.Journal()
    building = time.monotonic()
    binary = demo.build()
    built = time.monotonic() - building
    journal.step("build highwater", "ready", built)
    stack = demo.Stack(demo.WORK / "stack.log")
    try:
        demo.fill(stack)
        log = demo.WORK / "highwater.log"
        service = demo.Service(binary, stack, log)
        try:
            demo.push(service, journal, "push", demo.TABLES[0])
            first = time.monotonic() - begun
            for table in demo.TABLES[1:]:
                demo.push(service, journal, "push", table)
            config = demo.WORK / "highwater.yaml"
            env = write_env(stack, binary, config)
            print(GUIDE.format(first=first, build=built, url=service.url, log=log, config=config, env=env, round=ROUND_SECONDS), flush=True)
            stay_open(stack, service)
        finally:
            service.stop()
    finally:
        stack.stop()


def main() -> int:
    if len(sys.argv) == 3 and sys.argv[1] == "query":
        return query(sys.argv[2])
    if len(sys.argv) != 1:
        print("play: takes no arguments; `make play`", file=sys.stderr)
        return 2
    if shutil.which("cargo") is None:
        print("play: cargo is missing; install Rust from rustup.rs", file=sys.stderr)
        return 2
    demo.WORK.mkdir(parents=True, exist_ok=True)
    # a terminal that is closed stops everything as Ctrl-C does, which a shell may have had ignored
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.default_int_handler)
    try:
        play()
    except demo.Failed as failure:
        print(f"play: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n  everything that was started is stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
