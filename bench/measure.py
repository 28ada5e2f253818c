"""One command, measured: time from its start to its end, CPU seconds of its processes and of the servers, peak memory.

Time is the wall clock's, from before the process is made until it is gone. CPU is what the kernel counted (rusage of the
process and of all that it waited for; /proc/PID/stat of servers, in ticks of 10 ms). Peak memory is VmHWM, asked of the
kernel while the process lives. Of a process that may have others it is the most that all of them held at one look, of which
there are 20 a second: less than was, rather than more.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import statistics
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.05
SAMPLE_FIRST_SECONDS = 0.002
TAIL_BYTES = 2000
READ_BYTES = 1 << 20


@dataclasses.dataclass
class Sample:
    """What one run of a command took."""

    seconds: float
    cpu: float
    servers: dict[str, float]
    peak_kib: int
    status: int
    stdout: str
    stderr: str
    timed_out: bool = False
    rss: list[tuple[float, int]] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.timed_out

    def why(self) -> str:
        """Why it failed, in one line of its own."""
        said = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        last = said[-1] if said else "it said nothing"
        return f"stopped after {self.seconds:.0f} s" if self.timed_out else f"exit status {self.status}: {last[-300:]}"


def ticks(pid: int, dead_children: bool) -> int:
    """CPU ticks of a process; 0 if it is gone."""
    try:
        # the name, in parentheses, may hold anything
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(fields[at]) for at in ((11, 12, 13, 14) if dead_children else (11, 12)))


def children(pid: int) -> list[int]:
    """Living children of all its threads."""
    found: list[int] = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def server_seconds(pid: int) -> float:
    """CPU seconds of a server so far: its process, those of it that ended, and those that live."""
    return (ticks(pid, True) + sum(ticks(child, True) for child in children(pid))) / TICKS


def memory(pid: int) -> tuple[int, int]:
    """Kilobytes that a process holds, and the most that it has held."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM:", "VmRSS:"))}
    return found.get("VmRSS", 0), found.get("VmHWM", 0)


class Watcher(threading.Thread):
    """Looks at a process's memory, and at that of its children if it has any, until it is told to stop."""

    def __init__(self, pid: int, tree: bool, keep: bool) -> None:
        super().__init__(daemon=True)
        self.pid, self.tree, self.keep = pid, tree, keep
        self.begun = time.monotonic()
        self.ended = threading.Event()
        self.peak = 0
        self.rss: list[tuple[float, int]] = []

    def look(self) -> None:
        pids = [self.pid]
        if self.tree:
            for pid in pids:
                pids += children(pid)
        now = 0
        for pid in pids:
            rss, peak = memory(pid)
            now += rss
            if not self.tree:
                self.peak = peak or self.peak
        if self.tree:
            self.peak = max(self.peak, now)
        if self.keep and now:
            self.rss.append((round(time.monotonic() - self.begun, 2), now))

    def run(self) -> None:
        # a command that is over in tens of milliseconds is seen too
        while not self.ended.wait(SAMPLE_SECONDS if time.monotonic() - self.begun > SAMPLE_SECONDS else SAMPLE_FIRST_SECONDS):
            self.look()

    def stop(self) -> None:
        self.ended.set()
        self.join()


def warm(paths: list[pathlib.Path]) -> None:
    """Reads files and all files of folders: what has lain idle a kernel may have taken out of its cache, and how fast a disk is, is
    not what is measured."""
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb", buffering=0) as content:
                    while content.read(READ_BYTES):
                        pass


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads its own group, with all of the group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command: list[str], folder: pathlib.Path, *, env: dict[str, str] | None = None, servers: dict[str, int] | None = None,
        seconds_max: float = 3600, tree: bool = False, keep_rss: bool = False, discard: bool = False) -> Sample:
    """Runs a command and measures it. `discard` sends its standard output to /dev/null; else it is a file of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "stdout", folder / "stderr"
    before = {name: server_seconds(pid) for name, pid in (servers or {}).items()}
    with open(os.devnull if discard else out, "wb") as stdout, err.open("wb") as stderr:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=folder,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        watcher = Watcher(process.pid, tree, keep_rss)
        watcher.start()
        fired = threading.Event()
        timer = threading.Timer(seconds_max, lambda: (fired.set(), end_group(process)))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end_group(process)
            raise
        finally:
            timer.cancel()
            watcher.stop()
        seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    after = {name: server_seconds(pid) for name, pid in (servers or {}).items()}
    text = lambda path: path.read_bytes()[-TAIL_BYTES:].decode(errors="replace") if path.exists() else ""
    return Sample(seconds, usage.ru_utime + usage.ru_stime, {name: after[name] - before[name] for name in before},
                  watcher.peak, process.returncode, "" if discard else text(out), text(err), fired.is_set(), watcher.rss)


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
