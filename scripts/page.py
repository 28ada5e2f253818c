#!/usr/bin/env python3
"""The status page with data: pictures of it, and what it weighs.

  page.py screenshots    runs tables on the local stack until there is something to see, and takes the pictures of docs/
  page.py measure        500 tables: how long a look and a page take, how many bytes they have, when Chromium shows them
                         (of the release build, or of HIGHWATER_BINARY; TABLES=n for another number)

Installs and starts what it needs, and stops it. Standard library only, besides what scripts/stack.py installs.
"""

from __future__ import annotations

import datetime
import http.client
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import browser
import demo

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / ".stack" / "page-demo"
DOCS = ROOT / "docs"
BUCKET = "highwater-demo"
PICTURE_BYTES_MAX = 150_000
COLOURS = 64
ROUNDS = 8
AT_ONCE = 3
AGAIN = 5
WEIGHT_MAX = 60 << 10
"""What a page may weigh on its way, bytes."""
QUANTISE = ("import sys; from PIL import Image; i = Image.open(sys.argv[1]).convert('RGB'); "
            "i.quantize(int(sys.argv[2]), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)")

CONFIG = """
project: demo
dataset: shop
location: US
bucket: highwater-demo
reports: {{ bigquery: false }}
server: {{ listen_port: {port}, run_budget: 4m }}
sources:
  web:
    url: postgres://reader:${{READER_PASSWORD}}@127.0.0.1:{pg_port}/shop
    tables:
      customers: {{ cursor: updated_at, cluster_by: email, schedule: "*/5 * * * *" }}
      orders: {{ cursor: updated_at, partition_by: {{ column: placed, unit: month }}, schedule: "*/5 * * * *" }}
      page_views: {{ cursor: id, mode: append, schedule: "* * * * *" }}
      shipments: {{ cursor: updated_at, schedule: "*/15 * * * *" }}
      sessions: {{ cursor: updated_at, chunk_rows: 1000, schedule: "*/5 * * * *" }}
      readings: {{ cursor: updated_at, unrepresentable: reject, schedule: "*/5 * * * *" }}
      price_history: {{ cursor: valid_from, backfill_start: 2026-02-01, schedule: "17 * * * *" }}
      audit_log: {{ cursor: id, mode: append, schedule: "0 3 * * *" }}
  billing:
    url: mysql://reader:${{READER_PASSWORD}}@127.0.0.1:{my_port}/shop
    tables:
      invoices: {{ cursor: updated_at, schedule: "*/5 * * * *" }}
      payments: {{ cursor: updated_at, schedule: "*/5 * * * *" }}
      currencies: {{ mode: replace, schedule: "30 4 * * *" }}
"""

MORE_SQL = """
CREATE TABLE shipments (id int PRIMARY KEY, carrier text, updated_at timestamptz NOT NULL);
INSERT INTO shipments SELECT i, 'carrier ' || i % 7, now() - interval '1 hour' + i * interval '1 second' FROM generate_series(1, 3000) i;
CREATE TABLE sessions (id bigint PRIMARY KEY, agent text, updated_at timestamptz NOT NULL);
INSERT INTO sessions SELECT i, 'agent ' || i % 90, now() - interval '9 hours' + i * interval '0.4 second' FROM generate_series(1, 80000) i;
CREATE INDEX ON sessions (updated_at, id);
CREATE TABLE readings (id int PRIMARY KEY, value numeric(12,3), updated_at timestamptz NOT NULL);
INSERT INTO readings SELECT i, CASE WHEN i % 400 = 0 THEN 'NaN' ELSE i / 3.0 END, now() - interval '1 hour' + i * interval '1 second'
  FROM generate_series(1, 2000) i;
CREATE TABLE price_history (id int PRIMARY KEY, price numeric(10,2), valid_from timestamptz NOT NULL);
INSERT INTO price_history SELECT i, i / 10.0, '2026-01-22Z'::timestamptz + i * interval '1 hour' FROM generate_series(1, 600) i;
CREATE TABLE audit_log (id bigint PRIMARY KEY, what text);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
"""

ROUND_SQL = """
UPDATE customers SET name = name || '.', updated_at = now() WHERE id % {every} = 0;
UPDATE orders SET state = 'paid', updated_at = now() AT TIME ZONE 'UTC' WHERE customer_id % {every} = 1;
INSERT INTO page_views (path, ms, seen_at) SELECT '/p/' || i, 2.5, now() FROM generate_series(1, {views}) i;
INSERT INTO readings SELECT 10000 * {round} + i, CASE WHEN i = 7 THEN 'NaN' ELSE i / 3.0 END, now() FROM generate_series(1, 40 * {round}) i;
"""

FIRST = ["web/customers", "web/orders", "web/page_views", "web/shipments", "web/readings", "web/price_history",
         "billing/invoices", "billing/payments", "billing/currencies"]
OFTEN = ["web/customers", "web/orders", "web/page_views", "web/shipments", "web/readings", "billing/invoices"]


def push(url: str, table: str) -> None:
    """Pushes a table, as a scheduler would; a run that fails is part of the picture."""
    status, report = demo.call("POST", f"{url}/sync/{table}", seconds=demo.PUSH_SECONDS)
    print(f"  {table}: {status}, {report.get('outcome')}, {report.get('rows')} rows", flush=True)


def live(stack: demo.Stack, service: demo.Service, binary: pathlib.Path, workers: ThreadPoolExecutor) -> None:
    """Runs with some life in them: history, a failing table, one that is behind, a backfill, rejected rows."""
    push(service.url, FIRST[0])  # makes the dataset, which the emulator does not do twice at once
    list(workers.map(lambda table: push(service.url, table), FIRST[1:]))
    env = demo.environment(stack, WORK / "highwater.yaml")
    demo.run([str(binary), "backfill", "web/price_history", "--from", "2026-01-22", "--to", "2026-02-01"], env=env)
    # a backlog that no run of two seconds gets through
    hurried = WORK / "hurried.yaml"
    hurried.write_text((WORK / "highwater.yaml").read_text().replace("run_budget: 4m", "run_budget: 3s"))
    for number in range(1, ROUNDS + 1):
        stack.psql(ROUND_SQL.format(every=60 + 45 * (number % 4), views=120 * (1 + number % 5), round=number))
        if number == ROUNDS - 3:
            stack.psql("REVOKE SELECT ON shipments FROM reader")
        time.sleep(1.2)  # the ceiling stays a second behind the clock
        list(workers.map(lambda table: push(service.url, table), OFTEN))
        if number % 3 == 1:
            subprocess.run([str(binary), "sync", "web/sessions"], env={**env, "HIGHWATER_CONFIG": str(hurried)}, capture_output=True, check=False)


def picture(chromium: browser.Browser, url: str, size: tuple[int, int], name: str, whole: bool) -> None:
    chromium.size(*size)
    chromium.open(url)
    chromium.until("return document.readyState === 'complete' && !document.querySelector('#refresh').hidden", name)
    path = DOCS / f"{name}.png"
    path.write_bytes(chromium.picture(whole))
    demo.run([str(browser.TOOLS / "bin/python"), "-c", QUANTISE, str(path), str(COLOURS)])
    weight = path.stat().st_size
    print(f"  {path.relative_to(ROOT)}: {weight} bytes", flush=True)
    if weight > PICTURE_BYTES_MAX:
        raise demo.Failed(f"{path} has {weight} bytes, more than {PICTURE_BYTES_MAX}")


def screenshots() -> None:
    install("postgres,mariadb,storage,bigquery,browser")
    binary = demo.build()
    stack = demo.Stack(WORK / "stack.log")
    try:
        demo.fill(stack)
        stack.psql(MORE_SQL)
        service = demo.Service(binary, stack, WORK / "highwater.log", CONFIG)
        try:
            with ThreadPoolExecutor(AT_ONCE) as workers:
                live(stack, service, binary, workers)
            time.sleep(6)  # a look is kept for 5 s
            for theme in ("light", "dark"):
                with browser.Browser(dark=theme == "dark") as chromium:
                    picture(chromium, f"{service.url}/", browser.WIDE, f"page-desktop-{theme}", True)
                    picture(chromium, f"{service.url}/", (browser.NARROW[0], 1500), f"page-phone-{theme}", False)
                    if theme == "light":
                        picture(chromium, f"{service.url}/tables/web/readings", browser.WIDE, "page-table-light", True)
            if os.environ.get("STAY"):
                input(f"{service.url} stays until Enter")
        finally:
            service.stop()
    finally:
        stack.stop()


def install(names: str) -> None:
    if subprocess.run([sys.executable, str(demo.STACK), "--only", names, "install"], check=False).returncode != 0:
        raise demo.Failed("what is needed could not be installed")


class Storage:
    """The emulator of Cloud Storage alone, filled with states and reports as runs would leave them."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(demo.STACK), "--only", "storage", "up"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self.process.stdout.readline())["storage"]
        demo.call("POST", f"{self.url}/storage/v1/b?project=demo", {"name": BUCKET})

    def put(self, name: str, value: object) -> None:
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
        connection.request("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})
        if connection.getresponse().status != 200:
            raise demo.Failed(f"{name} could not be written")
        connection.close()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)


def fill(storage: Storage, names: list[str], now: datetime.datetime) -> None:
    """A state and two reports each; every ninth failed."""
    def one(number: int) -> None:
        table = names[number]
        stamp = lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        storage.put(f"state/pg/{table}.json", {"version": 1, "watermark": {"cursor": stamp(now), "key": [str(number)]}, "intent": None,
                                               "written_at": stamp(now), "rows_total": 1_234_567 + 7_919 * number, "rejected_total": number % 3})
        for run in (2, 1):
            at = now - datetime.timedelta(minutes=5 * run, seconds=number % 290)
            failed = number % 9 == 0 and run == 1
            error = {"message": f"the source refused: permission denied for table {table}; GRANT SELECT ON {table} TO reader", "class": "permanent"}
            ident = f"01K{number:010d}{run:013d}"
            report = {"source": "pg", "table": table, "target": f"demo.shop.{table}", "mode": "merge", "outcome": "failed" if failed else "synced",
                      "rows": 100 + number * 37 % 9000, "bytes": 12_345 + number, "parts": 1, "chunks": 1, "recovered": 0, "jobs": [],
                      "watermark_before": None, "watermark_after": None, "rejected": 0, "run_id": ident,
                      "durations_ms": {"state": 20, "plan": 90, "extract": 400, "apply": 3000, "total": 3510 + number}}
            fresh = None if failed else stamp(at - datetime.timedelta(seconds=number % 60))
            record = {"run_id": ident, "started_at": stamp(at - datetime.timedelta(seconds=4)), "ended_at": stamp(at), "source": "pg", "table": table,
                      "target": report["target"], "mode": "merge", "outcome": report["outcome"], "error": error["message"] if failed else None,
                      "error_class": error["class"] if failed else None, "fresh_as_of": fresh, "notes": [], "drift": [], "duration_ms": 3510 + number,
                      "highwater": "0.1.0", "report": {**report, **({"error": error} if failed else {"fresh_as_of": fresh})}}
            storage.put(f"reports/{at.strftime('%Y/%m/%d/%H%M%S')}-{ident}.json", {**report, **record})
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(one, range(len(names))))


def get(url: str, packed: bool) -> tuple[float, int]:
    """Milliseconds and bytes on the way."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    begun = time.monotonic()
    connection.request("GET", address.path, headers={"Accept-Encoding": "gzip"} if packed else {})
    answer = connection.getresponse()
    body = answer.read()
    took = (time.monotonic() - begun) * 1000
    if answer.status != 200:
        raise demo.Failed(f"{url} answers {answer.status}: {body[:200]!r}")
    connection.close()
    return took, len(body)


def measure() -> None:
    install("storage,browser")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = pathlib.Path(os.environ.get("HIGHWATER_BINARY", target / "release" / "highwater"))
    for count in (40, int(os.environ.get("TABLES", "500"))):
        storage = Storage()
        try:
            weigh(storage, binary, count)
        finally:
            storage.stop()


def weigh(storage: Storage, binary: pathlib.Path, count: int) -> None:
    names = [f"table_{number:04d}" for number in range(count)]
    fill(storage, names, datetime.datetime.now(datetime.timezone.utc))
    tables = "".join(f'      {name}: {{ cursor: updated_at, schedule: "*/5 * * * *" }}\n' for name in names)
    config = WORK / "measured.yaml"
    port = demo.free_port()
    config.write_text(f"project: demo\ndataset: shop\nlocation: EU\nbucket: {BUCKET}\nserver: {{ listen_port: {port} }}\n"
                      f"sources:\n  pg:\n    url: postgres://nobody:nothing@127.0.0.1:1/none\n    tables:\n{tables}")
    env = {**os.environ, "STORAGE_EMULATOR_HOST": storage.url, "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1", "HIGHWATER_CONFIG": str(config)}
    env.pop("PORT", None)
    url = f"http://127.0.0.1:{port}/"
    with (WORK / "measured.log").open("w") as log:
        process = subprocess.Popen([str(binary), "serve", "--listen", "127.0.0.1"], env=env, stdout=log, stderr=log)
    try:
        wait_for(url, process)
        first, raw = get(url, False)
        print(f"{count} tables")
        print(f"  first look and page          {first:7.0f} ms   {raw:7d} bytes raw")
        again = sorted(get(url, True) for _ in range(AGAIN))[AGAIN // 2]
        print(f"  page of a look that is kept  {again[0]:7.1f} ms   {again[1]:7d} bytes gzip")
        time.sleep(6)
        look, _ = get(url, True)
        print(f"  a later look and page        {look:7.0f} ms")
        metrics, weight = get(url + "metrics", True)
        print(f"  /metrics of a kept look      {metrics:7.1f} ms   {weight:7d} bytes gzip")
        in_chromium(url)
        if again[1] > WEIGHT_MAX:
            raise demo.Failed(f"the page has {again[1]} bytes on its way, more than {WEIGHT_MAX}")
        if count <= 40 and raw > WEIGHT_MAX:
            raise demo.Failed(f"the page of {count} tables has {raw} bytes, more than {WEIGHT_MAX}")
    finally:
        process.terminate()
        process.wait(timeout=15)


def wait_for(url: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            if get(url + "healthz", False):
                return
        except OSError:
            pass
        if time.monotonic() > until or process.poll() is not None:
            raise demo.Failed(f"highwater serve did not start; see {WORK / 'measured.log'}")
        time.sleep(0.05)


def in_chromium(url: str) -> None:
    with browser.Browser() as chromium:
        chromium.size(*browser.WIDE)
        chromium.open(url)  # its process starts
        chromium.open(url)
        times = chromium.until(
            "const n = performance.getEntriesByType('navigation')[0], p = performance.getEntriesByName('first-contentful-paint')[0];"
            "return n.loadEventEnd && p && [n.responseEnd, p.startTime, n.domComplete, n.transferSize, document.querySelectorAll('.tables tbody tr').length]",
            "the page is drawn")
        print(f"  Chromium: answer {times[0]:.0f} ms, first paint {times[1]:.0f} ms, DOM complete {times[2]:.0f} ms, {times[3]:.0f} bytes with headers, "
              f"{times[4]} rows")
        chromium.run("const q = document.querySelector('#q'); q.value = '42'; const t = performance.now(); q.dispatchEvent(new Event('input'));"
                     "document.body.offsetHeight; window.took = performance.now() - t")
        print(f"  Chromium: filtered and laid out in {chromium.run('return window.took'):.0f} ms")


def main() -> int:
    commands = {"screenshots": screenshots, "measure": measure}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        commands[sys.argv[1]]()
    except (demo.Failed, browser.Failed) as failure:
        print(f"page: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
