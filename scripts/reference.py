#!/usr/bin/env python3
"""Makes the tables of docs/configuration.md and docs/types.md.

  reference.py                  writes them anew (`make schema` does)
  reference.py check            prints what is not current, and fails

The keys of the configuration come from docs/highwater.schema.json, which `highwater config --schema` prints and a unit test
holds to what the program reads, defaults included. The types come from tests/types/*.tsv, each line of which is a test
against a real database (`cargo test --features testing --test main -- cases::`). Text around the tables is written by hand:
a table stands between `<!-- begin NAME: … -->` and `<!-- end NAME -->`.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "docs" / "highwater.schema.json"
# variables that say a key where there is no file, and what of their names stands in the code that reads them
VARIABLES = {
    ("", "project"): "GCP_PROJECT_ID",
    ("", "dataset"): "BQ_DATASET_ID",
    ("", "bucket"): "HIGHWATER_BUCKET",
    ("", "location"): "HIGHWATER_LOCATION",
    ("", "prefix"): "HIGHWATER_PREFIX",
    ("", "parallel"): "HIGHWATER_PARALLEL",
    ("Server", "run_budget"): "SYNC_TIMEOUT",
    ("Auth", "audience"): "HIGHWATER_AUTH_AUDIENCE",
    ("Auth", "invokers"): "HIGHWATER_AUTH_INVOKERS",
    ("Reports", "bigquery"): "HIGHWATER_REPORTS_BIGQUERY",
    ("Hook", "webhook"): "HIGHWATER_NOTIFY_WEBHOOK",
    ("Hook", "pubsub"): "HIGHWATER_NOTIFY_PUBSUB",
    ("Lineage", "url"): "HIGHWATER_LINEAGE_URL",
    ("Lineage", "token"): "HIGHWATER_LINEAGE_TOKEN",
    ("Source", "url"): "{ID}_DB_HOST, {ID}_DB_PORT, {ID}_DB_NAME, {ID}_DB_USER, {ID}_DB_TYPE",
    ("Source", "password"): "{ID}_DB_PASSWORD",
    ("Source", "tables"): "{ID}_TABLES",
    ("Tls", "mode"): "{ID}_DB_TLS_MODE, {ID}_DB_SSLMODE",
    ("Tls", "ca"): "{ID}_DB_TLS_CA_PATH",
    ("Tls", "cert"): "{ID}_DB_TLS_CERT_PATH",
    ("Tls", "key"): "{ID}_DB_TLS_KEY_PATH",
    ("Table", "chunk_rows"): "HIGHWATER_CHUNK_ROWS",
    ("Table", "create"): "AUTO_CREATE_TABLES",
    ("Table", "max_rejects"): "MAX_ROW_PARSE_FAILURES",
    ("Table", "cursor"): "{ID}_{TABLE}_TIMESTAMP_COLUMN",
    ("Table", "key"): "{ID}_{TABLE}_PRIMARY_KEY",
    ("Table", "columns"): "{ID}_{TABLE}_COLUMNS",
    ("Table", "target"): "{ID}_{TABLE}_TARGET_TABLE",
}
# the objects of the schema in the order of the page: definition, heading, what is said above the table
SECTIONS = [
    ("", "The file", ""),
    ("Server", "server", ""),
    ("Auth", "auth", "Who may call the service; [HTTP](http.md#who-may-call) says when it is needed."),
    ("Reports", "reports", "[Watching](watching.md#reports-and-status) says what is in them."),
    ("Told", "notify", "`notify` may also be the list of `hooks` alone. [Watching](watching.md#who-is-told) says who is told of what, when."),
    ("Hook", "notify.hooks", "Each has either `webhook` or `pubsub`."),
    ("Lineage", "lineage", "[Lineage](watching.md#lineage) says what is told."),
    ("Source", "sources.NAME", "A source is a database. `NAME` is yours: it stands in paths (`/sync/NAME/TABLE`), states and reports."),
    ("Tls", "sources.NAME.tls", ""),
    ("Table", "Table settings", "Of `sources.NAME.tables.TABLE`. Those marked * may also stand in `defaults` and `sources.NAME.defaults`: the table's own wins, then the source's, then the global one."),
    ("DeletesEvery", "deletes", "`deletes` may also be the mode alone."),
    ("Policies", "unrepresentable", "`unrepresentable` may also be one policy for all columns. [Types](types.md#values-that-do-not-fit) says what each does."),
    ("Zoned", "naive_timestamps", "`naive_timestamps` may also be `datetime`."),
    ("SchemaChanges", "schema", "[Changes of the source's columns](syncing.md#when-the-sources-columns-change) says what is done without asking."),
    ("Divided", "partition_by", "`partition_by` may also be the column alone: divided by day."),
]
WORDS = {
    "Scalar": "text", "Bool": "`true`, `false`", "Duration": "duration", "Fraction": "0 to 1", "Integer": "whole number",
    "Texts": "text or list", "Events": "`failure`, `drift`, `recovery`: one or a list", "BqTypeName": "BigQuery type",
    "Deletes": "mode, or [mapping](#deletes)", "Unrepresentable": "policy, or [mapping](#unrepresentable)",
    "NaiveTimestamps": "`datetime`, or [mapping](#naive_timestamps)", "PartitionBy": "column, or [mapping](#partition_by)",
    "Notify": "list, or [mapping](#notify)", "Shared": "[table settings](#table-settings) marked *",
}

# what a mapping by names holds, by the definition of its values
MAPPED = {"Source": "[sources](#sourcesname)", "Table": "[tables](#table-settings)", "BqTypeName": "columns to BigQuery types", "Policy": "columns to policies"}


def heading_anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def number(value: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:,}"


def type_of(value: dict, definitions: dict) -> str:
    """A key's type in words."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        if name in WORDS:
            return WORDS[name]
        if limits := re.fullmatch(r"(Number|Size)(\d+)To(\d+)", name):
            low, high = int(limits[2]), int(limits[3])
            return f"{number(low)} to {number(high)}"
        definition = definitions[name]
        if "properties" in definition:
            heading = next(heading for known, heading, _ in SECTIONS if known == name)
            return f"[mapping](#{heading_anchor(heading)})"
        return ", ".join(f"`{word}`" for word in definition["anyOf"][0]["enum"])
    for key in ("allOf", "anyOf"):
        if key in value:
            return " or ".join(type_of(one, definitions) for one in value[key] if one != {"type": "null"})
    if value.get("type") == "array" or "array" in value.get("type", []):
        return "list of " + type_of(value["items"], definitions)
    if "additionalProperties" in value:
        of = json.dumps(value["additionalProperties"])
        return "mapping of " + next(what for name, what in MAPPED.items() if f'/{name}"' in of)
    raise SystemExit(f"reference.py does not know the type of {value}")


def flow(value: object, inner: bool = False) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key, True)}: {flow(one, True)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(one, True) for one in value) + "]"
    if isinstance(value, str):
        # what YAML would take for something else; braces and commas only inside of mappings and lists
        other = re.search(r"^[*&!%@'\"|>{\[]| #|: |^(null|true|false|)$" + (r"|[{},\[\]]" if inner else ""), value)
        return json.dumps(value, ensure_ascii=False) if other else value
    return json.dumps(value)


def meaning(text: str) -> str:
    """A description without the default, which has a column of its own."""
    text = " ".join(text.split())
    return re.sub(r"[;.,] (?:[^;.,]|\d\.\d)*(?:by default|is the default)(?:, else `UTC`)?\.$", ".", text).replace("|", "\\|")


def example(key: str, value: dict) -> str:
    return " ".join(f"`{key}: {flow(one)}`" for one in value.get("examples", [])).replace("|", "\\|")


def configuration() -> str:
    schema = json.loads(SCHEMA.read_text())
    definitions = schema["definitions"]
    shared = set(definitions["Shared"]["properties"])
    described = {name for name, definition in definitions.items() if "properties" in definition} - {"Shared"}
    if missing := described - {name for name, _, _ in SECTIONS}:
        raise SystemExit(f"reference.py has no section for {', '.join(sorted(missing))}")
    code = "".join(path.read_text() for path in [ROOT / "src/config/environment.rs", *(ROOT / "src/config/environment").glob("*.rs")])
    lines = []
    for name, heading, text in SECTIONS:
        definition = definitions[name] if name else schema
        lines += [f"### {heading}", ""]
        lines += [text, ""] if text else []
        lines += ["| key | values | default | meaning | example |", "| --- | --- | --- | --- | --- |"]
        required = definition.get("required", [])
        for key, value in sorted(definition["properties"].items(), key=lambda item: (item[0] not in required, item[0])):
            star = " *" if name == "Table" and key in shared else ""
            default = f"`{flow(value['default'])}`" if "default" in value else value.get("x-default", "**required**" if key in required else "")
            said = meaning(value["description"])
            if variable := VARIABLES.get((name, key)):
                for one in variable.split(", "):
                    if not re.search(rf'"{re.sub(r"^.*[}]_(DB_)?", "", one)}"|_{re.sub(r"^.*[}]_", "", one)}[`"]', code):
                        raise SystemExit(f"reference.py names the variable {one}, which src/config/environment does not read")
                said += " Variable: " + ", ".join(f"`{one}`" for one in variable.split(", ")) + "."
            lines.append(f"| `{key}`{star} | {type_of(value, definitions)} | {default} | {said} | {example(key, value)} |")
        lines.append("")
    if unknown := {place for place in VARIABLES if place[1] not in (definitions[place[0]] if place[0] else schema)["properties"]}:
        raise SystemExit(f"reference.py has variables of keys that are not there: {unknown}")
    return "\n".join(lines)


def shown(text: str) -> str:
    short = text if len(text) <= 56 else text[:53] + "…"
    return "`" + short.replace("|", "\\|").replace("`", "'") + "`"


def types(database: str) -> str:
    """What each declared type becomes, a line a type; the cases are those of tests/types."""
    rows: dict[tuple[str, str], dict[str, list[str]]] = {}
    for line in (ROOT / "tests" / "types" / f"{database}.tsv").read_text().split("\n"):
        if not line or line.startswith("#"):
            continue
        _, declared, expression, becomes, expected = line.split("\t")
        row = rows.setdefault((declared, becomes), {"fits": [], "not": []})
        if expected == "!unrepresentable":
            row["not"].append(expression)
        else:
            row["fits"].append(f"{shown(expression)} → {shown(expected)}")
    lines = ["| declared | BigQuery | for example | does not fit |", "| --- | --- | --- | --- |"]
    for (declared, becomes), row in rows.items():
        lines.append(f"| `{declared}` | {becomes} | {(row['fits'] or [''])[0]} | {', '.join(shown(one) for one in row['not'])} |")
    return "\n".join(lines) + "\n"


PARTS = {
    "configuration.md": {"keys": configuration},
    "types.md": {"postgres": lambda: types("postgres"), "mysql": lambda: types("mysql")},
}


def filled(text: str, parts: dict, page: str) -> str:
    for name, make in parts.items():
        found = re.compile(rf"(<!-- begin {name}: .*? -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if len(found.findall(text)) != 1:
            raise SystemExit(f"docs/{page}: there must be one part between `<!-- begin {name}: … -->` and `<!-- end {name} -->`")
        made = make()
        text = found.sub(lambda match: match[1] + "\n" + made + "\n" + match[2], text)
    return text


def faults() -> list[str]:
    """Pages that are not current."""
    old = [page for page, parts in PARTS.items() if filled(text := (ROOT / "docs" / page).read_text(), parts, page) != text]
    return [f"docs/{page} is not current: run `make schema`" for page in old]


def main() -> int:
    if sys.argv[1:] == ["check"]:
        told = faults()
        print("\n".join(told) or "docs/configuration.md and docs/types.md are current", file=sys.stderr)
        return 1 if told else 0
    for page, parts in PARTS.items():
        path = ROOT / "docs" / page
        path.write_text(filled(path.read_text(), parts, page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
