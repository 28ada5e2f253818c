"""Other programs that move tables, each doing the nearest to what ours does: a whole table to files on local disk.

Each is installed from PyPI at a fixed version into a folder of its own, and run as its documentation says, with nothing set
but what names the table, the files and their format: gzipped JSON lines where it writes them, and the format that it is
fastest with. The tables are on this machine, and rivet, which would else pause between batches to spare a server, is told
so. What does not install, fails, takes too long, or writes another number of rows, is reported with its own words.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
from typing import Callable

import measure
import program
import rows
from stages import Failed, Result, Stage, Table, shown

HERE = pathlib.Path(__file__).resolve().parent
VENVS = program.ROOT / ".stack" / "bench"
PYARROW = VENVS / "count/bin/python"
SECONDS_MAX = float(os.environ.get("BENCH_PEER_SECONDS", "100"))
ENOUGH_SECONDS = float(os.environ.get("BENCH_PEER_ENOUGH", "60"))
"""A peer whose runs took so long in all is not run again: it is far from the fastest, and one run or two say so."""
INSTALL_SECONDS = 900


@dataclasses.dataclass
class Run:
    """How a peer brings one table into `out`."""

    command: list[str]
    env: dict[str, str]
    files: str
    """Pattern of the files with rows, in `out`."""
    configuration: tuple[pathlib.Path, str] | None = None
    """A file that it reads, and what is in it."""


Make = Callable[[pathlib.Path, Table, str, pathlib.Path], Run]


@dataclasses.dataclass
class Peer:
    """A peer in one of its ways."""

    name: str
    title: str
    make: Make
    same: bool = False
    """Whether it writes what ours does: gzipped JSON lines."""


def quiet() -> dict[str, str]:
    """Nobody is told of these runs."""
    return {"RUNTIME__DLTHUB_TELEMETRY": "false", "SLING_DISABLE_TELEMETRY": "TRUE", "DISABLE_TELEMETRY": "true", "INGESTR_DISABLE_TELEMETRY": "true",
            "TELEMETRY_OPTOUT": "true", "DO_NOT_TRACK": "1"}


SLING = "lib/python3*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"


def sling(options: str, suffix: str) -> Make:
    def make(venv: pathlib.Path, table: Table, url: str, out: pathlib.Path) -> Run:
        binary = next(venv.glob(SLING), venv / "bin/sling")
        schema = "public" if table.source == "postgres" else "bench"
        command = [str(binary), "run", "--src-conn", "BENCH", "--src-stream", f"{schema}.{table.name}", "--tgt-object", f"file://{out}/rows{suffix}",
                   "--tgt-options", options]
        return Run(command, {"BENCH": url}, f"rows*{suffix}*")
    return make


def rivet(form: str) -> Make:
    def make(venv: pathlib.Path, table: Table, url: str, out: pathlib.Path) -> Run:
        # its state and configuration lie beside the rows
        config = out.parent / "rivet.yaml"
        kind = "postgres" if table.source == "postgres" else "mysql"
        text = (f"source: {{ type: {kind}, url_env: BENCH_URL, environment: local }}\nexports:\n  - name: {table.name}\n"
                f"    query: SELECT * FROM {table.name}\n    mode: full\n    format: {form}\n    destination: {{ type: local, path: {out} }}\n")
        return Run([str(venv / "bin/rivet"), "run", "-c", str(config)], {"BENCH_URL": url}, f"{table.name}*.{form}*", (config, text))
    return make


def dlt(backend: str, form: str, suffix: str) -> Make:
    def make(venv: pathlib.Path, table: Table, url: str, out: pathlib.Path) -> Run:
        driver = {"postgres": ("postgresql", "postgresql+psycopg2"), "mysql": ("mysql", "mysql+pymysql")}[table.source]
        schema = "public" if table.source == "postgres" else "bench"
        url = url.partition("?")[0].replace(*driver, 1)
        command = [str(venv / "bin/python"), str(HERE / "dlt/run.py"), url, schema, table.name, str(out), backend, form]
        return Run(command, {}, f"out/bench/{table.name}/*{suffix}")
    return make


def ingestr(form: str) -> Make:
    def make(venv: pathlib.Path, table: Table, url: str, out: pathlib.Path) -> Run:
        schema = "public" if table.source == "postgres" else "bench"
        command = [str(venv / "bin/ingestr"), "ingest", "--yes", "--progress", "log", "--source-uri", url, "--source-table", f"{schema}.{table.name}",
                   "--dest-uri", f"{form}://{out}/rows.{form}", "--dest-table", f"out.{table.name}"]
        return Run(command, {}, f"rows.{form}*")
    return make


PEERS = [
    Peer("sling", "JSON lines, gzip", sling('{"format":"jsonlines","compression":"gzip"}', ".jsonl.gz"), True),
    Peer("sling", "CSV", sling('{"format":"csv"}', ".csv")),
    Peer("rivet", "Parquet (it writes no JSON)", rivet("parquet")),
    Peer("rivet", "CSV", rivet("csv")),
    Peer("dlt", "JSON lines, gzip (sqlalchemy)", dlt("sqlalchemy", "jsonl", ".jsonl.gz"), True),
    Peer("dlt", "Parquet (pyarrow)", dlt("pyarrow", "parquet", ".parquet")),
    Peer("dlt", "Parquet (connectorx)", dlt("connectorx", "parquet", ".parquet")),
    Peer("ingestr", "JSON lines (it does not compress them)", ingestr("jsonl")),
    Peer("ingestr", "Parquet", ingestr("parquet")),
    Peer("ingestr", "CSV", ingestr("csv")),
]


def install(name: str) -> str | None:
    """Makes the peer's folder; says why not, if not."""
    wanted = (HERE / name / "requirements.txt").read_text()
    venv, stamp = VENVS / name, VENVS / f"{name}.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    shutil.rmtree(venv, ignore_errors=True)
    venv.parent.mkdir(parents=True, exist_ok=True)
    for command in ([sys.executable, "-m", "venv", str(venv)], [str(venv / "bin/pip"), "install", "-q", "-r", str(HERE / name / "requirements.txt")]):
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            return f"it was not installed within {INSTALL_SECONDS} s"
        if ran.returncode != 0:
            said = [line for line in ran.stderr.splitlines() if line.strip()]
            return f"it does not install: {said[-1] if said else ran.returncode}"
    stamp.write_text(wanted)
    return None


def interpreter() -> list[pathlib.Path]:
    """What a virtual environment has of the Python that it was made by: the program, its library, the standard modules."""
    standard = pathlib.Path(sysconfig.get_paths()["stdlib"])
    libraries = pathlib.Path(str(sysconfig.get_config_var("LIBDIR"))).glob("libpython*.so*")
    modules = (one for one in standard.iterdir() if one.name not in ("site-packages", "dist-packages", "test"))
    return [pathlib.Path(sys.executable).resolve(), *libraries, *modules]


def versions() -> dict[str, str]:
    """What is wanted of each, as pip calls it."""
    found = {}
    for name in dict.fromkeys(peer.name for peer in PEERS):
        lines = (HERE / name / "requirements.txt").read_text().splitlines()
        found[name] = ", ".join(line for line in lines if not line.startswith("#"))
    return found


def stage(stack: program.demo.Stack, table: Table, peer: Peer, number: int, folder: pathlib.Path, servers: dict[str, int]) -> Stage:
    """A peer and a table as something that is measured."""
    at = stack.at[table.source]
    scheme, tail = ("postgresql", "?sslmode=disable") if table.source == "postgres" else ("mysql", "")
    url = f"{scheme}://{at['user']}:{at['password']}@127.0.0.1:{at['port']}/bench{tail}"
    out = folder / "peers" / f"{number}" / "out"
    made = peer.make(VENVS / peer.name, table, url, out)
    title = f"{peer.name}: {peer.title}"

    def run() -> Result:
        shutil.rmtree(out.parent, ignore_errors=True)
        out.mkdir(parents=True)
        if made.configuration is not None:
            made.configuration[0].write_text(made.configuration[1])
        took = measure.run(made.command, out.parent, env=made.env | quiet() | {"HOME": str(out.parent)}, servers=servers, seconds_max=SECONDS_MAX, tree=True)
        if not took.ok:
            raise Failed(took.why().replace(str(program.ROOT), "."))
        files = [file for file in out.glob(made.files) if file.is_file()]
        try:
            written = rows.count(files, PYARROW)
        except rows.Unreadable as fault:
            raise Failed(str(fault)) from None
        if written != table.rows:
            raise Failed(f"it wrote {written:,} rows of {table.rows:,}")
        size = sum(file.stat().st_size for file in files)
        shutil.rmtree(out.parent, ignore_errors=True)
        return Result(took.seconds, took.seconds, took.cpu, took.servers, took.peak_kib, None, size)

    told = shown(made.command) + (f"\n{made.configuration[1]}" if made.configuration else "")
    for here, there in ((str(out), "OUT"), (str(out.parent), "OUT/.."), (at["password"], "…"), (str(at["port"]), "PORT"), ("./.stack/bench/", "")):
        told = told.replace(here, there)
    return Stage(table.key, f"{peer.name}-{number}", title, table.rows, run, told.strip().replace("\n", "\n    "), "peer", peer.same,
                 enough=ENOUGH_SECONDS, ready=lambda: measure.warm([VENVS / peer.name, *interpreter()]))


def stages(stack: program.demo.Stack, tables: list[Table], folder: pathlib.Path, servers: Callable[[Table], dict[str, int]],
           say: Callable[[str], None]) -> list[Stage]:
    """Every peer with every one of these tables; one that does not install is among them, with its failure."""
    faults: dict[str, str | None] = {}
    for name in ["count", *dict.fromkeys(peer.name for peer in PEERS)]:
        say(f"installing {name}")
        faults[name] = install(name)
    found = []
    for table in tables:
        for number, peer in enumerate(PEERS):
            made = stage(stack, table, peer, number, folder, servers(table))
            made.failure = faults[peer.name]
            found.append(made)
    return found
