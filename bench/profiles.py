"""Ways to build the program, beside the one that is released: its size, how soon it answers, how fast it reads, what it holds."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Callable

import data
import measure
import program
import stages
from stages import Failed

sys.path.insert(0, str(program.ROOT / "scripts"))
import startup  # noqa: E402  (how the release build is started is told once)

ROWS = int(os.environ.get("BENCH_PROFILE_ROWS", "1000000"))
STARTS = 4
"""Starts in a round; the first is left idle for a while, to see what it holds."""
RELEASE = "CARGO_PROFILE_RELEASE_"
WAYS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    # what is told, and settings, features of the engine's program, and which programs it is about
    "as it is released": ({}, [], ["highwater", "extract"]),
    "no LTO, 16 units": ({"LTO": "off", "CODEGEN_UNITS": "16"}, [], ["highwater", "extract"]),
    "mimalloc": ({}, ["mimalloc"], ["extract"]),
}


def build(settings: dict[str, str], features: list[str], programs: list[str], to: pathlib.Path) -> dict[str, pathlib.Path]:
    """Builds the programs so and copies them: a benchmark's build replaces the program by one with its own features."""
    to.mkdir(parents=True)
    env = {**os.environ, **{RELEASE + key: value for key, value in settings.items()}}
    if name := "-".join(f"{key}-{value}" for key, value in settings.items()).lower():
        env["CARGO_TARGET_DIR"] = str(program.ROOT / "target" / "profiles" / name)
    found = {}
    for wanted in programs:
        what = ["build", "--release", "--bin", "highwater"] if wanted == "highwater" else ["bench", "--no-run", "--bench", wanted]
        command = ["cargo", *what, "--locked", "--message-format=json-render-diagnostics", *(["--features", ",".join(features)] if features else [])]
        ran = subprocess.run(command, cwd=program.ROOT, env=env, stdout=subprocess.PIPE, text=True, check=False)
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        made = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == wanted]
        if ran.returncode != 0 or len(made) != 1:
            raise Failed(f"`{' '.join(command)}` exited with {ran.returncode}")
        found[wanted] = pathlib.Path(shutil.copy2(made[0], to / wanted))
    return found


@dataclasses.dataclass
class Profiles:
    """Builds and measures all ways."""

    stack: program.demo.Stack
    folder: pathlib.Path
    say: Callable[[str], None]

    def ways(self, runs: int) -> list[dict[str, object]]:
        """Rounds of starts and of reading one table, every other backwards, with the program of each way, once all are built."""
        found = []
        for title, (settings, features, programs) in WAYS.items():
            self.say(f"building: {title}")
            found.append({"title": title, "built": build(settings, features, programs, self.folder / f"built-{len(found)}"), "runs": []})
            if "highwater" in found[-1]["built"]:
                found[-1] |= {"program_bytes": found[-1]["built"]["highwater"].stat().st_size, "starts_ms": [], "idle_kib": []}
        self.stack.psql(data.POSTGRES_MIXED.format(name="profiles", rows=ROWS), "bench")
        for number in range(runs):
            for way in found if number % 2 == 0 else reversed(found):
                self.round(way)
                self.say(f"round {number + 1}/{runs}: {way['title']}")
        return [{key: value for key, value in way.items() if key != "built"} for way in found]

    def round(self, way: dict) -> None:
        if "highwater" in way["built"]:
            try:
                times, idle = startup.measured(way["built"]["highwater"], STARTS)
            except startup.Failed as failed:
                raise Failed(str(failed)) from None
            way["starts_ms"] += times
            way["idle_kib"].append(idle["Rss"])
        if "extract" in way["built"]:
            way["runs"].append(self.read(way["built"]["extract"]))

    def read(self, binary: pathlib.Path) -> dict[str, float]:
        settings = program.extract_settings(self.stack, "postgres", "profiles", 1, "nowhere", stages.UNCHUNKED_ROWS)
        took = measure.run([str(binary), json.dumps(settings)], self.folder / "profiles", servers={})
        if not took.ok:
            raise Failed(f"benches/extract.rs: {took.why()}")
        said = json.loads(took.stdout)
        if said["rows"] != ROWS:
            raise Failed(f"benches/extract.rs: {said['rows']} rows of {ROWS}")
        return {"seconds": said["durations_ms"]["extract"] / 1000, "cpu": took.cpu, "peak_kib": said["peak_kib"]}
