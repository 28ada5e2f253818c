#!/usr/bin/env python3
"""A stand-in for BigQuery that moves no rows: it remembers tables and jobs, and counts the rows of what it is told to load.

  stand_in.py STORAGE_URL      prints its url, and stays until its standard input closes

The emulator of BigQuery loads some ten thousand rows a second, which would be all that a measurement of millions shows. This
one takes every load and every statement at once, so that what is measured is ours; but a load's rows are counted in its
parts, and a run ends with an error of its own if they are not as many as it staged. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.parse
import urllib.request
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STORAGE = ""
LOCK = threading.Lock()
TABLES: dict[str, dict] = {}
JOBS: dict[str, tuple[str, Future[int]]] = {}
COUNTERS = ThreadPoolExecutor(1)
BLOCK = 1 << 20


def rows_of(uri: str) -> int:
    """Line feeds in a part, gzipped or plain."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    with urllib.request.urlopen(f"{STORAGE}/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media", timeout=60) as part:
        unpack = zlib.decompressobj(31) if uri.endswith(".gz") else None
        rows = 0
        while block := part.read(BLOCK):
            rows += (unpack.decompress(block) if unpack else block).count(b"\n")
        return rows


def name_of(reference: dict) -> str:
    return f"{reference['datasetId']}.{reference['tableId']}"


def load(configuration: dict) -> int:
    rows = sum(rows_of(uri) for uri in configuration["sourceUris"])
    with LOCK:
        table = TABLES.setdefault(name_of(configuration["destinationTable"]), {"schema": {"fields": []}})
        table["numRows"] = str(rows)
    return rows


def merge(text: str) -> int:
    """The rows of the staging table count as added to the target."""
    names = [".".join(name.replace("`", "").split(".")[-2:]) for name in re.findall(r"`[^`]+`(?:\.`[^`]+`)*", text)]
    with LOCK:
        staged = next((TABLES[name] for name in names if "hw_staging_" in name and name in TABLES), None)
        target = next((TABLES[name] for name in names if "hw_staging_" not in name and name in TABLES), None)
        rows = int(staged.get("numRows", 0)) if staged else 0
        if target is not None:
            target["numRows"] = str(int(target.get("numRows", 0)) + rows)
    return rows


def submit(body: dict) -> bool:
    """Whether the job's id is a new one."""
    job, configuration = body["jobReference"]["jobId"], body["configuration"]
    with LOCK:
        if job in JOBS:
            return False
        if "load" in configuration:
            JOBS[job] = ("load", COUNTERS.submit(load, configuration["load"]))
        else:
            JOBS[job] = ("query", COUNTERS.submit(merge, configuration.get("query", {}).get("query", "")))
    return True


def job(name: str) -> dict | None:
    if name not in JOBS:
        return None
    kind, done = JOBS[name]
    if not done.done():
        return {"kind": "bigquery#job", "status": {"state": "RUNNING"}}
    if done.exception() is not None:
        error = {"reason": "invalid", "message": str(done.exception())}
        return {"kind": "bigquery#job", "status": {"state": "DONE", "errorResult": error, "errors": [error]}}
    rows = str(done.result())
    statistics = {"load": {"outputRows": rows}} if kind == "load" else {"query": {"numDmlAffectedRows": rows}}
    return {"kind": "bigquery#job", "status": {"state": "DONE"}, "statistics": statistics}


class Handler(BaseHTTPRequestHandler):
    """The few calls that a sync makes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: dict | None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, reason: str) -> None:
        self.answer(status, {"error": {"code": status, "message": reason, "errors": [{"reason": reason, "message": reason}]}})

    def body(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def parts(self) -> list[str]:
        return [urllib.parse.unquote(part) for part in urllib.parse.urlparse(self.path).path.split("/projects/")[-1].split("/")[1:]]

    def do_GET(self) -> None:
        match self.parts():
            case ["datasets", _]:
                self.answer(200, {"kind": "bigquery#dataset", "location": "US"})
            case ["datasets", dataset, "tables", table]:
                with LOCK:
                    found = TABLES.get(f"{dataset}.{table}")
                    body = found and {"kind": "bigquery#table", "location": "US", "etag": "x", **found}
                self.answer(200, body) if body else self.refuse(404, "notFound")
            case ["jobs", name]:
                with LOCK:
                    found = job(name)
                self.answer(200, found) if found else self.refuse(404, "notFound")
            case _:
                self.refuse(404, "notFound")

    def do_POST(self) -> None:
        body = self.body()
        match self.parts():
            case ["datasets"]:
                self.answer(200, {"kind": "bigquery#dataset", "location": "US"})
            case ["datasets", _, "tables"]:
                name = name_of(body["tableReference"])
                with LOCK:
                    fresh = name not in TABLES
                    TABLES.setdefault(name, body)
                self.answer(200, {"kind": "bigquery#table"}) if fresh else self.refuse(409, "duplicate")
            case ["jobs"]:
                self.answer(200, {"kind": "bigquery#job"}) if submit(body) else self.refuse(409, "duplicate")
            case ["queries"]:
                self.answer(200, {"kind": "bigquery#queryResponse", "jobComplete": True, "rows": [], "totalRows": "0"})
            case _:
                self.refuse(404, "notFound")

    def do_PATCH(self) -> None:
        body = self.body()
        match self.parts():
            case ["datasets", dataset, "tables", table] if f"{dataset}.{table}" in TABLES:
                with LOCK:
                    TABLES[f"{dataset}.{table}"].update(body)
                self.answer(200, {"kind": "bigquery#table"})
            case _:
                self.refuse(404, "notFound")

    def do_DELETE(self) -> None:
        with LOCK:
            parts = self.parts()
            TABLES.pop(f"{parts[1]}.{parts[3]}" if len(parts) == 4 else "", None)
        self.answer(204, None)


def main() -> int:
    global STORAGE
    STORAGE = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    # whoever started us is gone when this ends
    sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
