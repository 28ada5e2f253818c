#!/usr/bin/env python3
"""How soon `highwater serve` answers, and what it takes when idle: the release build, started again and again.

  startup.py [--starts N] [--binary FILE]

The configuration has 20 tables, two databases, hooks and reports; nobody listens where any of them should be, nor at the
proxy on the way to Google. Measured is the time from the spawn to the first byte of the answer to GET /healthz, by a client
that connects again at once while it is refused; and the resident size 5 s later. Standard library only; some lines are
printed, nothing else is left.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/highwater"
TABLES = 20
IDLE_SECONDS = 5
ANSWER_SECONDS = 30
RETRY_SECONDS = 0.0002
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: startup\r\nconnection: close\r\n\r\n"


class Failed(Exception):
    """The text says what and how to mend it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(dead: int) -> str:
    """Two databases, half of the tables each, at a port that nobody listens at."""
    half = TABLES // 2
    named = lambda prefix: "".join(f"      {prefix}_{at}: {{ cursor: updated_at, schedule: '*/5 * * * *' }}\n" for at in range(half))
    return f"""\
project: acme
dataset: analytics
location: EU
bucket: acme-highwater
defaults: {{ unrepresentable: clamp, deletes: soft }}
notify:
  - pubsub: projects/acme/topics/highwater
  - webhook: https://127.0.0.1:{dead}/hook
sources:
  finance:
    url: postgres://reader:secret@127.0.0.1:{dead}/finance
    tables:
{named("ledger")}  shop:
    url: mysql://reader:secret@127.0.0.1:{dead}/shop
    tables:
{named("order")}"""


def first_byte(port: int, process: subprocess.Popen[bytes]) -> float:
    """The moment at which the first byte of an answer came."""
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        with socket.socket() as client:
            client.settimeout(ANSWER_SECONDS)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                client.sendall(REQUEST)
                answer = client.recv(12)
                at = time.perf_counter()
                if answer != b"HTTP/1.1 200":
                    raise Failed(f"GET /healthz was answered with {answer!r}")
                return at
        if process.poll() is not None:
            raise Failed(f"it ended with {process.returncode}")
        time.sleep(RETRY_SECONDS)
    raise Failed(f"no answer within {ANSWER_SECONDS} s")


def memory(pid: int) -> dict[str, int]:
    """Kilobytes, as the kernel counts them."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    return {name: found[name] for name in ("Rss", "Pss", "Private_Dirty")}


def start(binary: pathlib.Path, folder: pathlib.Path, env: dict[str, str], idle: bool) -> tuple[float, dict[str, int] | None]:
    """Milliseconds until the first byte; and the size when idle, if it is wanted."""
    port = free_port()
    with (folder / "log").open("ab") as log:
        begun = time.perf_counter()
        process = subprocess.Popen([str(binary), "serve", "--listen", "127.0.0.1"], cwd=folder, env={**env, "PORT": str(port)},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    try:
        took = (first_byte(port, process) - begun) * 1000
        if not idle:
            return took, None
        time.sleep(IDLE_SECONDS)
        return took, memory(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=ANSWER_SECONDS)


def measured(binary: pathlib.Path, starts: int) -> tuple[list[float], dict[str, int]]:
    """Milliseconds of each start, and kilobytes when idle."""
    with tempfile.TemporaryDirectory(prefix="hw-startup-") as name:
        folder, dead = pathlib.Path(name), free_port()
        (folder / "highwater.yaml").write_text(configuration(dead))
        # Google's own services, as on Cloud Run, by way of nobody
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{dead}", "GCE_METADATA_HOST": f"127.0.0.1:{dead}"}
        try:
            taken = [start(binary, folder, env, idle=number == 0) for number in range(starts)]
        except Failed as failed:
            log = (folder / "log").read_text(errors="replace")[-2000:]
            raise Failed(f"{failed}; its log ends:\n{log}") from None
        return [took for took, _ in taken], next(size for _, size in taken if size is not None)


def measure(binary: pathlib.Path, starts: int) -> None:
    times, size = measured(binary, starts)
    print(f"startup: {starts} starts with {TABLES} tables, spawn to the first byte of GET /healthz: "
          f"median {statistics.median(times):.1f} ms, min {min(times):.1f} ms, max {max(times):.1f} ms")
    print(f"startup: idle after {IDLE_SECONDS} s: " + ", ".join(f"{name} {kib / 1024:.1f} MiB" for name, kib in size.items()))
    print(f"startup: the binary has {binary.stat().st_size / 2**20:.1f} MiB, this machine {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20, help="how often it is started (20)")
    parser.add_argument("--binary", type=pathlib.Path, default=BINARY, help="the program (target/release/highwater)")
    arguments = parser.parse_args()
    try:
        if not arguments.binary.is_file():
            raise Failed(f"{arguments.binary} is not there; run `make startup`, which builds it")
        if arguments.starts < 1:
            raise Failed("--starts takes 1 or more")
        measure(arguments.binary.resolve(), arguments.starts)
    except Failed as failed:
        print(f"startup: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
