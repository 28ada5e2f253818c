"""What is measured of ours: building it, its configuration against the local servers, and what it is run with."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402  (the demo's servers are the benchmark's)

BUCKET = "highwater-bench"
PROFILE = os.environ.get("BENCH_PROFILE", "release")
"""Another one than `release` is for trying the harness; the results say which it was."""


DATA = os.environ.get("BENCH_DATA", "")
MEMORY = pathlib.Path("/dev/shm")
MEMORY_BYTES_MIN = 12 << 30
"""The databases' files and what else is held while all parts are measured: 20 million rows are the most."""


def data_folder() -> pathlib.Path:
    """Where the databases' files lie: in memory where there is room, so that no disk is measured; else where programs keep scratch."""
    if DATA:
        return pathlib.Path(DATA)
    try:
        about = os.statvfs(MEMORY)
    except OSError:
        return pathlib.Path("/tmp")
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    return MEMORY if min(about.f_bavail * about.f_frsize, available) >= MEMORY_BYTES_MIN else pathlib.Path("/tmp")


def build(benches: list[str], program: bool) -> dict[str, pathlib.Path]:
    """Builds the program and programs of benches/, and says where each is."""
    wanted = [["bench", "--no-run", "--profile", PROFILE, *(part for bench in benches for part in ("--bench", bench))]] if benches else []
    # apart from the benches: their dependencies switch on features that the program is released without
    wanted += [["build", "--profile", PROFILE, "--bin", "highwater"]] if program else []
    found: dict[str, pathlib.Path] = {}
    for command in wanted:
        ran = subprocess.run(["cargo", *command, "--locked", "--message-format=json-render-diagnostics"], cwd=ROOT, stdout=subprocess.PIPE,
                             text=True, check=False)
        if ran.returncode != 0:
            raise demo.Failed(f"`cargo {' '.join(command)}` failed")
        for line in ran.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable"):
                found[message["target"]["name"]] = pathlib.Path(message["executable"])
    missing = {*benches, *(["highwater"] if program else [])} - set(found)
    if missing:
        raise demo.Failed(f"cargo did not say where it put {', '.join(sorted(missing))}")
    return found


def extract_settings(stack: demo.Stack, source: str, table: str, gzip_level: int, parts_to: object, chunk_rows: int | None,
                     cursor: str | None = "updated_at") -> dict[str, object]:
    """Settings of the program benches/extract.rs."""
    at = stack.at[source]
    return {"source": source, "port": at["port"], "user": at["user"], "password": at["password"], "database": "bench",
            "schema": "public" if source == "postgres" else None, "table": table, "cursor": cursor, "gzip_level": gzip_level,
            "chunk_rows": chunk_rows, "parts_to": parts_to}


def configuration(stack: demo.Stack, folder: pathlib.Path, tables: dict[str, str], *, dataset: str = "bench", port: int = 8080,
                  pg_port: int | None = None) -> pathlib.Path:
    """Writes a highwater.yaml of these tables of PostgreSQL; its state lies below the dataset's name."""
    at = stack.at["postgres"]
    named = "".join(f"      {name}: {settings}\n" for name, settings in tables.items())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "highwater.yaml"
    file.write_text(f"""\
project: demo
dataset: {dataset}
location: US
bucket: {BUCKET}
prefix: {dataset}
reports: {{ bigquery: false }}
server: {{ listen_port: {port}, max_concurrent_runs: 100, run_budget: 2h }}
sources:
  bench:
    url: postgres://{at['user']}:${{BENCH_PASSWORD}}@127.0.0.1:{pg_port or at['port']}/bench
    tables:
{named}""")
    return file


def environment(stack: demo.Stack, config: pathlib.Path, *, storage: str | None = None, bigquery: str | None = None) -> dict[str, str]:
    """Where the program finds configuration and servers; others than the stack's where they are named."""
    return {"BENCH_PASSWORD": stack.at["postgres"]["password"], "HIGHWATER_CONFIG": str(config), "HIGHWATER_LOG": "warn",
            "STORAGE_EMULATOR_HOST": storage or stack.at["storage"], "BIGQUERY_EMULATOR_HOST": bigquery or stack.at["bigquery"]}


def make_bucket(stack: demo.Stack) -> None:
    status, answer = demo.call("POST", f"{stack.at['storage']}/storage/v1/b?project=demo", {"name": BUCKET})
    if status != 200:
        raise demo.Failed(f"the bucket was refused with {status}: {answer}")


def empty_bucket(stack: demo.Stack, prefix: str) -> None:
    """Objects that a measurement has left: the emulator keeps them in memory."""
    root = f"{stack.at['storage']}/storage/v1/b/{BUCKET}/o"
    _, answer = demo.call("GET", f"{root}?prefix={prefix}")
    for item in answer.get("items", []):
        name = item["name"].replace("/", "%2F")
        demo.call("DELETE", f"{root}/{name}")
