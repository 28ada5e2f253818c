#!/usr/bin/env python3
"""Holds the documents to what is there, without network or cloud.

  docs_check.py                 all of it; what is wrong is printed, and makes it fail

Of every *.md of the repository: relative links and their anchors lead somewhere; each `highwater …` command, in a block or in
a line, has the subcommand and options that the program has; each configuration that is shown, as YAML or as variables, is one that
the program and its schema take; `make` targets, scripts and test modules that are named exist; and the tables that
scripts/reference.py makes are current. At last mistakes are planted, each of which must be found.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import image_check
import reference

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = TARGET / "debug" / "highwater"
COMMAND_SECONDS = 20
# configurations that are wrong on purpose, each with what is told of it: tests/messages.rs holds these
WRONG_ON_PURPOSE = "docs/messages.md"
# what completes a piece of a configuration
BASE = {
    "project": "project: acme",
    "dataset": "dataset: analytics",
    "bucket": "bucket: acme-highwater",
    "sources": "sources: { finance: { url: postgres://u@10.0.0.5/d, tables: { invoices: { cursor: updated_at } } } }",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    seen: dict[str, int] = {}
    found = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", without_code(text), re.MULTILINE):
        name = slug(heading)
        found.add(name if name not in seen else f"{name}-{seen[name]}")
        seen[name] = seen.get(name, 0) + 1
    return found


def without_code(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Blocks of code: line, language, text without the block's own indentation."""
    for found in re.finditer(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
        body = "\n".join(line.removeprefix(found[1]) for line in found[3].split("\n"))
        yield text.count("\n", 0, found.start()) + 1, found[2], body


def link_faults(page: pathlib.Path, text: str, pages: dict[pathlib.Path, str]) -> list[str]:
    faults = []
    for label, link in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", without_code(text))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            faults.append(f"{page.relative_to(ROOT)}: [{label}]({link}) leads nowhere")
        elif anchor and target.suffix == ".md" and anchor not in anchors(pages.get(target) or target.read_text()):
            faults.append(f"{page.relative_to(ROOT)}: [{label}]({link}): there is no heading for #{anchor}")
    return faults


def commands(text: str) -> Iterator[str]:
    """What is said to be typed after `highwater`."""
    # an option list of its own, as of a command's help, is no line to be typed
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.split("\n"):
        for part in re.split(r"&&|\|\||;|\||<\(|\$\(", line):
            part = re.sub(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*", "", part)
            if found := re.match(r"(?:\./|target/\w+/)?highwater +([a-z].*)", part):
                yield found[1]
    yield from (args.replace(",", " ") for args in re.findall(r"--args=(\S+)", joined))


def command_fault(command: str) -> str | None:
    """What the program says of a command that it does not know; nothing is run."""
    text = re.sub(r"\s{3,}.*|\s#.*|[)>].*", "", command)
    text = re.sub(r"[…\[\]]|\.\.\.", "", text)
    try:
        words = [re.sub(r"^[<{](.*)[>}]$", r"\1", word) for word in shlex.split(text)]
    except ValueError as error:
        return f"`highwater {command}`: {error}"
    # a value that the reader is to fill in: numbers where the program wants one
    words = [{"N": "1", "PART": "1", "SHELL": "bash"}.get(word, word) for word in words if word]
    ran = subprocess.run([BINARY, *words, *([] if words[0] == "help" else ["--help"])], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if ran.returncode != 0:
        first = next((line for line in ran.stderr.split("\n") if line.strip()), "it is refused")
        return f"`highwater {command.strip()}`: {first}"
    return None


def command_faults(name: str, text: str) -> list[str]:
    typed = {one for _, language, body in blocks(text) if language in ("", "sh", "console") for one in commands(body)}
    inline = re.findall(r"`(highwater [a-z][^`\n]*)`", without_code(text))
    said = {one for command in inline for one in commands(command)} - typed
    with ThreadPoolExecutor(2) as pool:
        faults = [fault for fault in pool.map(command_fault, sorted(typed)) if fault]
        # in a sentence an option may stand without its value
        faults += [fault for fault in pool.map(command_fault, sorted(said)) if fault and "a value is required for" not in fault]
    return [f"{name}: {fault}" for fault in faults]


def whole(body: str) -> str:
    """A piece of a configuration, with what it lacks."""
    schema = json.loads(reference.SCHEMA.read_text())
    top, settings = set(schema["properties"]), set(schema["definitions"]["Table"]["properties"])
    keys = set(re.findall(r'^("?[\w*.-]+"?):', body, re.MULTILINE))
    if re.match(r"(#[^\n]*\n)* {2,}\S", body):
        body = "sources:\n" + body
    elif not keys <= top:
        # tables, or settings of one
        table = "      t:\n        cursor: c\n" if keys <= settings else ""
        margin = " " * (8 if table else 6)
        body = "sources:\n  finance:\n    url: postgres://u@10.0.0.5/d\n    tables:\n" + table + "\n".join(margin + line for line in body.split("\n") if line)
    lines = [line for key, line in BASE.items() if not re.search(rf"^{key}:", body, re.MULTILINE)]
    for name in re.findall(r"^  (\w[\w-]*):\s*$", body, re.MULTILINE):
        # a source that is shown without tables
        block = re.search(rf"^  {name}:\s*$(?:\n(?: {{4,}}.*)?)*", body, re.MULTILINE)
        if "sources:" in body and block and "url:" in block[0] and "tables:" not in block[0]:
            body = body.replace(block[0].rstrip(), block[0].rstrip() + f"\n    tables: {{ of_{name}: {{ cursor: c }} }}")
    return "\n".join([*lines, body])


def environment(text: str) -> dict[str, str]:
    """An environment in which everything is set that a configuration takes from it, as a url where it is a whole url."""
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    for name in re.findall(r"\$\{(\w+)\}", text):
        env[name] = {"DATABASE_URL": "postgres://u:p@10.0.0.5/d", "SLACK_URL": "https://hooks.example.com/x"}.get(name, "acmevalue")
    return env


def accepted(env: dict[str, str], folder: pathlib.Path) -> str | None:
    ran = subprocess.run([BINARY, "config"], env=env, cwd=folder, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    # nothing is asked of the network: a configuration is read, and printed
    return None if ran.returncode == 0 else ran.stderr.strip()


def configuration_faults(name: str, text: str, folder: pathlib.Path) -> list[str]:
    faults = []
    for line, language, body in blocks(text):
        place = f"{name}:{line}"
        if language == "yaml" and "not-ours" not in text.split("\n")[line - 1]:
            file = folder / f"{re.sub(r'[^a-z0-9]', '-', place.lower())}.yaml"
            file.write_text(whole(body))
            told = accepted({**environment(body), "HIGHWATER_CONFIG": str(file)}, folder)
            faults += [f"{place}: {told}"] if told else []
        elif re.search(r"^SYNC_DATABASES=", body, re.MULTILINE):
            pairs = [one.split("=", 1) for one in body.split("\n") if re.match(r"[A-Z][A-Z0-9_]*=", one)]
            with tempfile.TemporaryDirectory(dir=folder) as empty:
                told = accepted({**environment(""), **dict(pairs)}, pathlib.Path(empty))
            faults += [f"{place}: {told}"] if told else []
    return faults


def name_faults(name: str, text: str) -> list[str]:
    """Targets of make, scripts and tests that are named and not there."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make ([a-z-]+)", text) + [one for _, _, body in blocks(text) for one in re.findall(r"^make ([a-z-]+)", body, re.MULTILINE)]
    faults = [f"{name}: there is no `make {one}`" for one in sorted(set(named) - targets)]
    scripts = {one for one in re.findall(r"\bscripts/[\w.-]+\.py\b", text) if not (ROOT / one).exists()}
    tests = {one for one in re.findall(r"--test main -- (\w+)", text) if not (ROOT / "tests" / f"{one}.rs").exists()}
    return faults + [f"{name}: {one} is not there" for one in sorted(scripts)] + [f"{name}: there is no test {one}" for one in sorted(tests)]


def faults_of(page: pathlib.Path, text: str, pages: dict[pathlib.Path, str], folder: pathlib.Path) -> list[str]:
    name = str(page.relative_to(ROOT))
    shown = [] if name == WRONG_ON_PURPOSE else configuration_faults(name, text, folder)
    return link_faults(page, text, pages) + command_faults(name, text) + shown + name_faults(name, text)


PLANTED = [
    ("a link to nowhere", "See [there](docs/no-such-page.md)."),
    ("a link to no heading", "See [there](docs/types.md#no-such-heading)."),
    ("a subcommand that is not there", "```\nhighwater snyc --all\n```"),
    ("an option that is not there", "Run `highwater sync --al finance/invoices`."),
    ("a wrong value", "```\nhighwater backfill TABLE --by fortnight\n```"),
    ("arguments of a job", "```\ngcloud run jobs execute x --args=sync,--everything\n```"),
    ("a misspelt key", "```yaml\ndefaults: { chunkrows: 5 }\n```"),
    ("a table without a cursor", "```yaml\nsources:\n  a:\n    url: postgres://u@h/d\n    tables:\n      t: {}\n```"),
    ("a database without a host", "```\nSYNC_DATABASES=a\nGCP_PROJECT_ID=p\n```"),
    ("a target of make", "Run `make everything`."),
    ("a script", "Run scripts/nothing.py."),
    ("a test", "`cargo test --test main -- nothing::`"),
]


def main() -> int:
    image_check.install()
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--features", "testing", "--bin", "highwater"], cwd=ROOT, check=True)
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pages = {ROOT / one: (ROOT / one).read_text() for one in listed if (ROOT / one).exists()}
    faults = reference.faults()
    with tempfile.TemporaryDirectory(dir=TARGET) as name:
        folder = pathlib.Path(name)
        for page, text in pages.items():
            faults += faults_of(page, text, pages, folder)
        shown = sorted(folder.glob("*.yaml"))
        faults += image_check.lint("check-jsonschema", "--schemafile", str(ROOT / "docs" / "highwater.schema.json"), *map(str, shown))
        readme = ROOT / "README.md"
        planted = [what for what, text in PLANTED if not faults_of(readme, text, pages, folder)]
    faults += [f"a planted mistake was not caught: {what}" for what in planted]
    for fault in faults:
        say(fault)
    if not faults:
        say(f"{len(pages)} documents are fine: links, commands, {len(shown)} configurations, names, tables; {len(PLANTED)} planted mistakes were caught")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
