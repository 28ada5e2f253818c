#!/usr/bin/env python3
"""Fuzzes the parsers: values of both databases, casts, state, envelopes, paths, configuration, and what we compress (targets of fuzz/).

  fuzz.py lint               format and lints of the targets
  fuzz.py check [TARGET…]    replays the corpus, then a bounded run from a fixed seed: what `make test` does
  fuzz.py run [TARGET…]      fuzzes each target for --seconds; findings go to fuzz/artifacts, and any makes it fail
  fuzz.py minimise [TARGET…] puts the fewest inputs of fuzz/corpus and of earlier runs that cover the same into fuzz/corpus

The targets are in the layout of cargo-fuzz, so `cargo fuzz run TARGET` works too. This needs no nightly compiler: the
instrumentation is plain LLVM, without a sanitizer, which code without `unsafe` can do without. It needs a C++ compiler
for libFuzzer itself. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
WORK = ROOT / "target" / "fuzz"
MANIFEST = ["--locked", "--manifest-path", str(FUZZ / "Cargo.toml")]
# what cargo-fuzz gives to the compiler, the sanitizer apart
FLAGS = ["-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4", "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
         "-Cllvm-args=-sanitizer-coverage-pc-table", "-Cllvm-args=-sanitizer-coverage-trace-compares", "--cfg", "fuzzing"]
SEED = 1
CHECK_RUNS = 300_000
CHECK_SECONDS_MAX = 20
INPUT_SECONDS_MAX = 10
INPUT_BYTES_MAX = 4096
MEMORY_MIB_MAX = 1024
CORPUS_FILES_MAX = 48
GAIN_EDGES_MIN = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Trouble(Exception):
    """Something that a person must mend; the text says what and how."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- build -----------------------------------------------------------------------------------------------------------


def host() -> str:
    """The compiler's own platform. Naming it keeps build scripts and macros from being instrumented."""
    answer = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in answer.splitlines() if line.startswith("host:"))


def cargo(*arguments: str) -> None:
    environment = {**os.environ, "RUSTFLAGS": " ".join(FLAGS), "CARGO_TARGET_DIR": str(WORK)}
    done = subprocess.run([os.environ.get("CARGO", "cargo"), *arguments], env=environment, check=False)
    if done.returncode != 0:
        raise Trouble(f"`cargo {' '.join(arguments)}` exited with {done.returncode}")


def build(targets: list[str]) -> dict[str, pathlib.Path]:
    """The targets' programs."""
    if shutil.which(os.environ.get("CXX", "c++")) is None and shutil.which("g++") is None:
        raise Trouble("libFuzzer needs a C++ compiler; install g++")
    begun, platform = time.monotonic(), host()
    cargo("build", "--quiet", "--release", "--target", platform, *MANIFEST, *(part for target in targets for part in ("--bin", target)))
    say(f"fuzz: built {len(targets)} targets ({time.monotonic() - begun:.1f} s)")
    return {target: WORK / platform / "release" / target for target in targets}


def lint() -> None:
    cargo("fmt", "--check", *MANIFEST[1:])
    cargo("clippy", "--quiet", "--release", "--target", host(), "--lib", "--bins", *MANIFEST, "--", "-D", "warnings")


# --- run -------------------------------------------------------------------------------------------------------------


def corpus(target: str) -> pathlib.Path:
    return FUZZ / "corpus" / target


def findings(target: str) -> list[pathlib.Path]:
    return sorted(path for path in (FUZZ / "artifacts" / target).glob("*") if path.is_file())


def fuzz(target: str, program: pathlib.Path, folders: list[pathlib.Path], limits: list[str]) -> None:
    """Runs one target; says what it did, and raises if there is a finding."""
    artifacts = FUZZ / "artifacts" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    log = WORK / "logs" / f"{target}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(program), *map(str, folders), f"-artifact_prefix={artifacts}/", f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_SECONDS_MAX}",
               f"-rss_limit_mb={MEMORY_MIB_MAX}", "-print_final_stats=1", *limits]
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            code = process.wait()
        finally:
            process.kill()
            process.wait()
    lines = log.read_text(errors="replace").splitlines()
    found = findings(target)
    if code != 0 or found:
        shown = "\n".join(line for line in lines if not line.startswith("#"))[-3000:]
        names = ", ".join(str(path.relative_to(ROOT)) for path in found) or "none was kept"
        raise Trouble(f"{target} has a finding (exit {code}; {names}); try again with `{program} FILE`:\n{shown}")
    executions = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
    covered = next((line for line in reversed(lines) if " cov: " in line), "")
    coverage = covered.split(" cov: ")[-1].split()[0] if covered else "?"
    say(f"fuzz: {target}: {executions} executions, {coverage} edges covered, no finding ({time.monotonic() - begun:.1f} s)")


def check(targets: list[str]) -> None:
    """The same runs each time, as far as the machine is fast enough."""
    for target, program in build(targets).items():
        if not any(corpus(target).iterdir()):
            raise Trouble(f"{corpus(target)} is empty")
        with tempfile.TemporaryDirectory() as fresh:
            limits = [f"-seed={SEED}", f"-runs={CHECK_RUNS}", f"-max_total_time={CHECK_SECONDS_MAX}"]
            fuzz(target, program, [pathlib.Path(fresh), corpus(target)], limits)


def run(targets: list[str], seconds: int) -> None:
    for target, program in build(targets).items():
        grown = WORK / "corpus" / target
        grown.mkdir(parents=True, exist_ok=True)
        fuzz(target, program, [grown, corpus(target)], [f"-max_total_time={seconds}"])


def covered_by(control: pathlib.Path) -> dict[pathlib.Path, set[str]]:
    """What each input covers, from the record that libFuzzer keeps of a merge: a count of files, a count of those that are
    kept whatever they cover, the files' names, and then what each of them was found to reach."""
    lines = control.read_text().splitlines()
    names = [pathlib.Path(name) for name in lines[2:2 + int(lines[0])]]
    words = [line.split() for line in lines[2 + len(names):]]
    return {names[int(word[1])]: set(word[2:]) for word in words if word[0] == "FT"}


def minimise(targets: list[str]) -> None:
    for target, program in build(targets).items():
        sources = [folder for folder in (corpus(target), WORK / "corpus" / target) if folder.is_dir()]
        with tempfile.TemporaryDirectory() as fresh:
            control, merged = pathlib.Path(fresh, "control"), pathlib.Path(fresh, "merged")
            merged.mkdir()
            command = [str(program), "-set_cover_merge=1", "-use_counters=0", f"-merge_control_file={control}", f"-max_len={INPUT_BYTES_MAX}",
                       str(merged), *map(str, sources)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode != 0:
                raise Trouble(f"{target} could not be merged:\n{done.stderr[-3000:]}")
            left = covered_by(control)
        every, reached, kept = set[str]().union(*left.values()), set[str](), dict[str, bytes]()
        # greedily: always the input that adds most, the smaller of two
        while len(kept) < CORPUS_FILES_MAX and left:
            best = max(left, key=lambda path: (len(left[path] - reached), -path.stat().st_size, path.name))
            if len(left[best] - reached) < GAIN_EDGES_MIN:
                break
            reached |= left.pop(best)
            kept[best.name] = best.read_bytes()
        shutil.rmtree(corpus(target), ignore_errors=True)
        corpus(target).mkdir(parents=True)
        for name, content in kept.items():
            (corpus(target) / name).write_bytes(content)
        say(f"fuzz: {target}: {len(kept)} inputs kept, which reach {len(reached)} of {len(every)} edges")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["lint", "check", "run", "minimise"])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all of fuzz/fuzz_targets")
    parser.add_argument("--seconds", type=int, default=600, help="of each target, for run (default: 600)")
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    known = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
    targets = arguments.targets or known
    try:
        unknown = [target for target in targets if target not in known]
        if unknown:
            raise Trouble(f"no target {', '.join(unknown)}; there are {', '.join(known)}")
        if arguments.command == "lint":
            lint()
        elif arguments.command == "check":
            check(targets)
        elif arguments.command == "run":
            run(targets, arguments.seconds)
        else:
            minimise(targets)
        return 0
    except Trouble as trouble:
        say(f"fuzz: {trouble}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
