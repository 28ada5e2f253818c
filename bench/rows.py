"""How many rows files have, of any of the formats that are written here: whoever is measured has to have written all of them."""

from __future__ import annotations

import gzip
import pathlib
import subprocess

PARQUET = "import sys, pyarrow.parquet as p; print(p.read_metadata(sys.argv[1]).num_rows)"


class Unreadable(Exception):
    """A file is not what its name says."""


def count(files: list[pathlib.Path], python: pathlib.Path) -> int:
    """Rows of all of these; `python` is one that has pyarrow."""
    return sum(of_parquet(file, python) if ".parquet" in file.name else of_text(file) for file in files)


def of_parquet(file: pathlib.Path, python: pathlib.Path) -> int:
    try:
        ran = subprocess.run([str(python), "-c", PARQUET, str(file)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Unreadable(f"its Parquet cannot be read: {error.strerror}") from None
    if ran.returncode != 0:
        raise Unreadable(f"its Parquet cannot be read: {ran.stderr.strip()[-200:]}")
    return int(ran.stdout)


def of_text(file: pathlib.Path) -> int:
    # a suffix says nothing: one of them writes plain text into a file that is called .gz
    with file.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    with gzip.open(file) if packed else file.open("rb") as text:
        if ".csv" not in file.name:
            return sum(block.count(b"\n") for block in iter(lambda: text.read(1 << 20), b""))
        # a line feed within quotes is a value's, as bytes have them; the first line has names
        rows, quotes = -1, 0
        for line in text:
            quotes += line.count(b'"')
            rows += quotes % 2 == 0
        return rows
