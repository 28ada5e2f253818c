#!/usr/bin/env python3
"""Analyses GoogleSQL statements as BigQuery would: names, types, arity. Nothing is run.

usage: DIR/venv/bin/python check.py DIR < cases.jsonl      (DIR as made by setup.sh)

A case is one JSON object a line: {"name": ..., "sql": ..., "tables": {"project.dataset.table": {"column": "TYPE"}}}; one
with "expect": "error" must be refused. Prints `ok NAME` or `FAIL NAME: message` for each, then `N ok, M failed`.
Exit status: 0 all as they should be, 1 some not, 2 nothing was read.
"""

from __future__ import annotations

import json
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(ROOT / "pb"))

import grpc  # noqa: E402
import local_service_pb2 as service  # noqa: E402
import local_service_pb2_grpc as service_grpc  # noqa: E402
from zetasql.proto import options_pb2, simple_catalog_pb2  # noqa: E402
from zetasql.public import options_pb2 as public_options  # noqa: E402
from zetasql.public import simple_table_pb2, type_pb2  # noqa: E402

START_SECONDS = 30
CALLED_OTHERWISE = {"FLOAT64": "DOUBLE"}


def type_of(name: str) -> type_pb2.TypeProto:
    if name.upper().startswith("ARRAY<"):
        element = type_of(name[len("ARRAY<"):-1])
        return type_pb2.TypeProto(type_kind=type_pb2.TYPE_ARRAY, array_type=type_pb2.ArrayTypeProto(element_type=element))
    kind = name.split("(")[0].upper()
    return type_pb2.TypeProto(type_kind=getattr(type_pb2, "TYPE_" + CALLED_OTHERWISE.get(kind, kind)))


def catalog_of(tables: dict[str, dict[str, str]], language: object) -> simple_catalog_pb2.SimpleCatalogProto:
    """Catalogs nested as project, dataset, table, so that a path of three names resolves."""
    root = simple_catalog_pb2.SimpleCatalogProto(
        name="root", builtin_function_options=options_pb2.ZetaSQLBuiltinFunctionOptionsProto(language_options=language))
    nodes: dict[tuple[str, ...], simple_catalog_pb2.SimpleCatalogProto] = {}
    for full, columns in tables.items():
        project, dataset, table = full.split(".", 2)
        if (project,) not in nodes:
            nodes[(project,)] = root.catalog.add(name=project)
        if (project, dataset) not in nodes:
            nodes[(project, dataset)] = nodes[(project,)].catalog.add(name=dataset)
        made = nodes[(project, dataset)].table.add(name=table, full_name=full)
        made.column.extend(simple_table_pb2.SimpleColumnProto(name=name, type=type_of(kind)) for name, kind in columns.items())
    return root


def analyse(stub: object, language: object, case: dict) -> str | None:
    """The analyser's message; none if it accepts."""
    options = options_pb2.AnalyzerOptionsProto(
        language_options=language, error_message_mode=public_options.ERROR_MESSAGE_ONE_LINE, default_timezone="UTC")
    request = service.AnalyzeRequest(options=options, simple_catalog=catalog_of(case["tables"], language), sql_statement=case["sql"])
    try:
        stub.Analyze(request)
    except grpc.RpcError as error:
        return error.details() or "refused"
    return None


def main() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([str(ROOT / "server"), "localhost", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ok = failed = 0
    try:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)])
        grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
        stub = service_grpc.ZetaSqlLocalServiceStub(channel)
        language = stub.GetLanguageOptions(service.LanguageOptionsRequest(maximum_features=True))
        language.product_mode = public_options.PRODUCT_EXTERNAL
        del language.supported_statement_kinds[:]  # none named: all of them
        # BigQuery has it; the analyser counts it among those in the making
        language.enabled_language_features.append(public_options.FEATURE_ALTER_COLUMN_SET_DATA_TYPE)
        for line in filter(str.strip, sys.stdin):
            case = json.loads(line)
            message = analyse(stub, language, case)
            good = (message is not None) == (case.get("expect") == "error")
            ok, failed = ok + good, failed + (not good)
            print(f"ok {case['name']}" if good else f"FAIL {case['name']}: {message or 'accepted, but is wrong'}", flush=True)
    finally:
        server.kill()
        server.wait()
    print(f"{ok} ok, {failed} failed")
    return 2 if ok + failed == 0 else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
