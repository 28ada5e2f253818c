"""What little things cost: a sync with nothing to do, and a hundred tables that are run every minute in one process.

The servers are the stack's own, but for the hundred tables, whose BigQuery is the stand-in: the emulator would need minutes
for their first rows. Requests are counted by relays before the database, Cloud Storage and BigQuery; times are taken
without them.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import threading
import time
import urllib.parse
from typing import Callable

import measure
import program
from relay import Relay
from stages import Failed

TIMES = int(os.environ.get("BENCH_SMALL_TIMES", "50"))
TABLES = int(os.environ.get("BENCH_SMALL_TABLES", "100"))
MINUTES = float(os.environ.get("BENCH_SMALL_MINUTES", "3"))
ROWS = 100
SETTLE_SECONDS = 3

demo = program.demo


class Process:
    """A command of the program that stays."""

    def __init__(self, command: list[str], env: dict[str, str], log: pathlib.Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **env})

    def usage(self) -> tuple[float, int, int]:
        """CPU seconds so far, kilobytes held, and the most that were."""
        if self.process.poll() is not None:
            raise Failed(f"it ended with {self.process.returncode}:\n{self.log.read_text(errors='replace')[-2000:]}")
        return (measure.server_seconds(self.process.pid), *measure.memory(self.process.pid))

    def runs(self) -> int:
        """Runs that it has told of so far."""
        return self.log.read_text(errors="replace").count('"outcome":"up_to_date"')

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answered(url: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if demo.call("GET", f"{url}/healthz", seconds=1)[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise Failed("highwater serve did not answer")


class Small:
    """Measures with tables of their own."""

    def __init__(self, stack: demo.Stack, stand_in: str, binary: pathlib.Path, folder: pathlib.Path, say: Callable[[str], None]) -> None:
        self.stack, self.stand_in, self.binary, self.folder, self.say = stack, stand_in, str(binary), folder, say

    def make(self, prefix: str, number: int) -> list[str]:
        """Tables of a few rows."""
        names = [f"{prefix}_{at:03}" for at in range(number)]
        self.stack.psql("".join(
            f"CREATE TABLE {name} (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL);\n"
            f"INSERT INTO {name} SELECT i, 'row ' || i, timestamptz '2024-01-01' + i * interval '1 s' FROM generate_series(1, {ROWS}) i;\n"
            f"CREATE INDEX ON {name} (updated_at, id);\n" for name in names) + "ANALYZE;", "bench")
        return names

    def command(self, config: pathlib.Path, *arguments: str, **relays: str) -> measure.Sample:
        took = measure.run([self.binary, *arguments], self.folder / "small", env=program.environment(self.stack, config, **relays))
        if not took.ok:
            raise Failed(f"highwater {' '.join(arguments)}: {took.why()}")
        return took

    def push(self, url: str, name: str) -> tuple[float, dict]:
        begun = time.perf_counter()
        status, report = demo.call("POST", f"{url}/sync/bench/{name}", seconds=300)
        if status != 200:
            raise Failed(f"the push of {name} was answered with {status}: {report}")
        return time.perf_counter() - begun, report

    def nothing_to_do(self) -> dict[str, object]:
        """The time of a sync that finds nothing, as a command and as a request, and what it asks of whom."""
        name = self.make("idle", 1)[0]
        tables = {name: "{ cursor: updated_at }"}
        config = program.configuration(self.stack, self.folder / "small", tables, dataset="small")
        for _ in range(2):
            self.command(config, "sync", f"bench/{name}", "--json")
        commands = [self.command(config, "sync", f"bench/{name}", "--json") for _ in range(TIMES)]
        self.say(f"{TIMES} commands with nothing to do")
        port = demo.free_port()
        config = program.configuration(self.stack, self.folder / "served", tables, dataset="small", port=port)
        service = Process([self.binary, "serve", "--listen", "127.0.0.1"], program.environment(self.stack, config), self.folder / "serve.log")
        try:
            url = f"http://127.0.0.1:{port}"
            answered(url)
            first, _ = self.push(url, name)
            pushes = [self.push(url, name) for _ in range(TIMES)]
            if any(report["outcome"] != "up_to_date" for _, report in pushes):
                raise Failed(f"there was something to do: {pushes[-1][1]}")
        finally:
            service.stop()
        self.say(f"{TIMES} requests with nothing to do")
        return {"times": TIMES, "command_seconds": measure.spread([one.seconds for one in commands]),
                "command_cpu": measure.spread([one.cpu for one in commands]),
                "command_peak_kib": max(one.peak_kib for one in commands), "first_request_seconds": first,
                "request_seconds": measure.spread([took for took, _ in pushes]), "steps_ms": pushes[-1][1]["durations_ms"], **self.counted(name, tables)}

    def counted(self, name: str, tables: dict[str, str]) -> dict[str, object]:
        """What one push that finds nothing asks of each server: of a service that has just run the table, and of a new one."""
        port_of = lambda url: urllib.parse.urlparse(url).port
        relays = {"database": Relay(self.stack.at["postgres"]["port"]), "storage": Relay(port_of(self.stack.at["storage"])),
                  "bigquery": Relay(port_of(self.stack.at["bigquery"]))}
        port = demo.free_port()
        config = program.configuration(self.stack, self.folder / "relayed", tables, dataset="small", port=port, pg_port=relays["database"].port)
        at = {one: f"http://127.0.0.1:{relays[one].port}" for one in ("storage", "bigquery")}
        service = Process([self.binary, "serve", "--listen", "127.0.0.1"], program.environment(self.stack, config, **at), self.folder / "relayed.log")
        found: dict[str, object] = {}
        try:
            answered(f"http://127.0.0.1:{port}")
            for which in ("first", "next"):
                _, report = self.push(f"http://127.0.0.1:{port}", name)
                if report["outcome"] != "up_to_date":
                    raise Failed(f"there was something to do: {report}")
                # what comes after the answer belongs to the run
                time.sleep(SETTLE_SECONDS)
                taken = {server: relay.taken() for server, relay in relays.items()}
                found[which] = {server: {"trips": trips, "requests": requests} for server, (trips, requests) in taken.items()}
        finally:
            service.stop()
            for relay in relays.values():
                relay.stop()
        return {"calls": found}

    def every_minute(self) -> dict[str, object]:
        """Tables that are run every minute: by `highwater schedule`, and by requests to `highwater serve`, side by side."""
        ways = {"schedule": self.make("planned", TABLES), "serve": self.make("pushed", TABLES)}
        port = demo.free_port()
        configs = {"schedule": program.configuration(self.stack, self.folder / "schedule", {name: '{ cursor: updated_at, schedule: "* * * * *" }' for name in ways["schedule"]}, dataset="schedule"),
                   "serve": program.configuration(self.stack, self.folder / "pushed", {name: "{ cursor: updated_at }" for name in ways["serve"]}, dataset="serve", port=port)}
        for way, config in configs.items():
            self.command(config, "sync", "--all", "--json", bigquery=self.stand_in)
            self.say(f"{TABLES} tables synced for the first time, for `{way}`")
        arguments = {"schedule": ["schedule", "--json"], "serve": ["serve", "--listen", "127.0.0.1"]}
        processes = {way: Process([self.binary, *arguments[way]], program.environment(self.stack, config, bigquery=self.stand_in), self.folder / f"{way}.log") for way, config in configs.items()}
        try:
            answered(f"http://127.0.0.1:{port}")
            return self.watch(processes, f"http://127.0.0.1:{port}", ways["serve"])
        finally:
            for process in processes.values():
                process.stop()

    def watch(self, processes: dict[str, Process], url: str, names: list[str]) -> dict[str, object]:
        """CPU and memory over whole minutes; meanwhile each table of the service is pushed once a minute, evenly spread."""
        # between two times of the schedule, so that each falls into the measured time whole
        time.sleep((90 - time.time() % 60) % 60)
        before, told = {way: process.usage() for way, process in processes.items()}, processes["schedule"].runs()
        self.say(f"watching for {MINUTES:g} minutes")
        begun, seconds, took, faults = time.monotonic(), MINUTES * 60, [], []

        def push(name: str) -> None:
            try:
                took.append(self.push(url, name)[0])
            except Failed as failed:
                faults.append(str(failed))

        pushes = []
        for number in range(round(len(names) * MINUTES)):
            time.sleep(max(0.0, begun + number * 60 / len(names) - time.monotonic()))
            pushes.append(threading.Thread(target=push, args=(names[number % len(names)],)))
            pushes[-1].start()
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        after = {way: process.usage() for way, process in processes.items()}
        for thread in pushes:
            thread.join()
        if faults:
            raise Failed(faults[0])
        runs = {"schedule": processes["schedule"].runs() - told, "serve": len(took)}
        if runs["schedule"] != round(len(names) * MINUTES):
            raise Failed(f"`highwater schedule` ran {runs['schedule']} times in {MINUTES:g} minutes, not each of {len(names)} tables once a minute")
        return {"tables": len(names), "minutes": MINUTES, "push_seconds": measure.spread(took),
                "ways": {way: {"runs": runs[way], "cpu": after[way][0] - before[way][0], "rss_kib": after[way][1], "peak_kib": after[way][2]} for way in processes}}
