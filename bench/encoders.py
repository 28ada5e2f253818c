"""The encoders alone: time of a value by Criterion, instructions of a value by callgrind, for each type of both databases."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
from typing import Callable

import program
from stages import Failed

CASES = os.environ.get("BENCH_ENCODERS", "")
BATCHES = (1, 11)
"""callgrind counts a whole program; the difference of two runs is what the batches between them cost."""


def ran(command: list[str], folder: pathlib.Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"`{pathlib.Path(command[0]).name} {' '.join(command[1:])}` exited with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done


def instructions(binary: pathlib.Path, case: str, folder: pathlib.Path) -> float:
    """Of one batch."""
    counts = []
    for batches in BATCHES:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(binary), "--count", case, str(batches)]
        found = re.search(r"Collected : (\d+)", ran(command, folder).stderr)
        if found is None:
            raise Failed("callgrind did not say how many instructions it counted")
        counts.append(int(found[1]))
    return (counts[1] - counts[0]) / (BATCHES[1] - BATCHES[0])


def measure(binary: pathlib.Path, folder: pathlib.Path, say: Callable[[str], None]) -> list[dict[str, object]]:
    """All cases with BENCH_ENCODERS in their names; without valgrind their instructions are unknown."""
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / "criterion"
    shutil.rmtree(home, ignore_errors=True)
    counted = shutil.which("valgrind") is not None
    found: list[dict[str, object]] = []
    for case in ran([str(binary), "--cases"], folder).stdout.split():
        if CASES not in case:
            continue
        ran([str(binary), "--bench", "--exact", f"encode/{case}", "--warm-up-time", "0.5", "--measurement-time", "2", "--noplot"], folder, {"CRITERION_HOME": str(home)})
        batch = json.loads(ran([str(binary), "--count", case, "1"], folder).stdout)
        values = batch["rows"] * batch["columns"]
        files = list(home.glob(f"encode/{case.replace('/', '_')}/new/estimates.json"))
        if len(files) != 1:
            raise Failed(f"Criterion left no estimate of {case}")
        median = json.loads(files[0].read_text())["median"]
        interval = median["confidence_interval"]
        of_value = lambda nanoseconds: nanoseconds / values
        found.append({"case": case, "ns": of_value(median["point_estimate"]), "ns_low": of_value(interval["lower_bound"]),
                      "ns_high": of_value(interval["upper_bound"]), "bytes": batch["bytes"] / values,
                      "instructions": instructions(binary, case, folder) / values if counted else None})
        say(f"{case}: {found[-1]['ns']:.1f} ns a value")
    return found
