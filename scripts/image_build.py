#!/usr/bin/env python3
"""Builds the image of the Dockerfile without Docker, and starts it. Needs Debian 12, root, and Rust by rustup.

  image_build.py                 build, size, start; exits with 1 if the image does not hold what is promised
  image_build.py --context DIR   the same Dockerfile over other sources: a small program finds mistakes of the recipe

Debian's buildah builds the Dockerfile as it stands. No image is pulled: in place of the two bases stand images of the
same Debian packages, made by mmdebstrap, with the Rust of this machine mounted. So the sizes of the base's layer are the
stand-in's. What is built is started as uid 65532 on a root that cannot be written, and must answer GET /healthz.

It installs buildah, crun and mmdebstrap where they are missing. All else lies in a folder of its own below target/,
which is removed in the end. A release build with link-time optimisation takes a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = {"buildah": "buildah", "crun": "crun", "mmdebstrap": "mmdebstrap"}
COMPRESSED_BYTES_MAX = 25_000_000
USER = 65532
START_SECONDS = 30
STOP_SECONDS = 15
NICE = "10"
# what `highwater serve` is told: it contacts nothing before the first request
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GCP_PROJECT_ID": "none", "BQ_DATASET_ID": "none", "HIGHWATER_BUCKET": "none-none",
    "SYNC_DATABASES": "shop", "SHOP_DB_HOST": "127.0.0.1", "SHOP_DB_NAME": "shop", "SHOP_DB_USER": "reader",
    "SHOP_DB_PASSWORD": "none", "SHOP_TABLES": "plain",
}
# the root is bound over itself, made read-only and tried; then the program takes the shell's place
READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 97
if touch "$1/written" 2>/dev/null || touch "$1/home/nonroot/written" 2>/dev/null; then exit 98; fi
root=$1; shift
exec /usr/sbin/chroot --userspec={user}:{user} "$root" "$@"
""".replace("{user}", str(USER))


class Trouble(Exception):
    """Something that a person must mend; the text says what and how."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def shell(*command: str | os.PathLike[str], **options) -> str:
    """Runs a command quietly; what it prints is shown only if it fails. All that it starts ends with it."""
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options)
    try:
        output, errors = process.communicate()
    except BaseException:
        # its group: a compiler that buildah started would go on in a folder that is being removed
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        raise Trouble(f"`{' '.join(map(str, command))}` exited with {process.returncode}:\n{(output + errors)[-6000:]}")
    return output


def install() -> None:
    if os.geteuid() != 0:
        raise Trouble("images of other users' files are made by root: run this as root, or with sudo")
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing:
        if shutil.which("apt-get") is None:
            raise Trouble(f"these are missing and there is no apt-get: {', '.join(missing)}")
        say(f"installing {', '.join(missing)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        shell("apt-get", "update", "-qq", env=environment)
        shell("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment)


def bases() -> tuple[str, str]:
    """The images that the Dockerfile begins with: that of the build, that of the result."""
    found = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if len(found) != 2:
        raise Trouble(f"the Dockerfile is expected to have two stages: {found}")
    return found[0], found[1]


@dataclasses.dataclass
class Builder:
    work: pathlib.Path

    def buildah(self, *arguments: str | os.PathLike[str]) -> str:
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.work)}
        return shell("buildah", "--storage-driver", "vfs", "--root", self.work / "store", "--runroot", self.work / "run", *arguments, env=environment).strip()

    def stand_in(self, name: str, debootstrap: list[str], files: dict[str, str], *config: str) -> None:
        """An image of Debian packages and some files, under a name of its own."""
        begun = time.monotonic()
        tar = self.work / f"{name}.tar"
        shell("mmdebstrap", *debootstrap, "bookworm", tar)
        more = self.work / f"{name}-files"
        for path, text in files.items():
            (more / path).parent.mkdir(parents=True, exist_ok=True)
            (more / path).write_text(text)
        (more / "home" / "nonroot").mkdir(parents=True, exist_ok=True)
        os.chown(more / "home" / "nonroot", USER, USER)
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, tar)
        self.buildah("add", "--quiet", container, more, "/")
        self.buildah("config", *config, container)
        self.buildah("commit", "--quiet", "--rm", container, f"localhost/{name}")
        tar.unlink()
        say(f"stand-in {name}: {time.monotonic() - begun:.0f} s")

    def stand_ins(self) -> None:
        self.stand_in(
            "build-base", ["--variant=minbase", "--include=gcc,libc6-dev,ca-certificates"], {},
            "--env", "PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "--env", "CARGO_HOME=/usr/local/cargo", "--env", "CARGO_NET_OFFLINE=true",
        )
        # packages are only unpacked, so what their scripts would make is added
        people = {
            "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin\n",
            "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
            "etc/ssl/certs/ca-certificates.crt": pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_text(),
        }
        packages = "--include=base-files,netbase,tzdata,libc6,libgcc-s1,libstdc++6,libssl3,ca-certificates"
        self.stand_in("run-base", ["--variant=extract", packages], people, "--user", str(USER), "--workingdir", "/home/nonroot")

    def build(self, context: pathlib.Path) -> None:
        """The Dockerfile as it stands; bases are replaced by name, the toolchain and the fetched crates are mounted."""
        sysroot = shell("rustc", "--print", "sysroot", cwd=ROOT).strip()
        if sysroot == "/usr":
            raise Trouble("Rust must be rustup's: the folder of Debian's own cannot be mounted by itself")
        shell("cargo", "fetch", "--locked", "--manifest-path", context / "Cargo.toml")
        registry = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry"
        registry.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        first, second = bases()
        command = [
            "nice", "-n", NICE, "buildah", "--storage-driver", "vfs", "--root", self.work / "store", "--runroot", self.work / "run",
            "bud", "--isolation", "chroot", "--pull-never", "--layers=false", "--format", "docker",
            "--build-context", f"{first}=container-image://localhost/build-base",
            "--build-context", f"{second}=container-image://localhost/run-base",
            "--volume", f"{sysroot}:/usr/local/rust:ro", "--volume", f"{registry}:/usr/local/cargo/registry:ro",
            "--tag", "localhost/highwater", "--file", ROOT / "Dockerfile", context,
        ]
        shell(*command, env={**os.environ, "TMPDIR": str(self.work)})
        say(f"Dockerfile built: {time.monotonic() - begun:.0f} s")

    def sizes(self) -> None:
        """What is stored in a registry: each layer, compressed by gzip."""
        pushed = self.work / "pushed"
        self.buildah("push", "--quiet", "--compression-format", "gzip", "localhost/highwater", f"oci:{pushed}")
        blob = lambda digest: pushed / "blobs" / digest.replace(":", "/")
        index = json.loads((pushed / "index.json").read_text())
        layers = json.loads(blob(index["manifests"][0]["digest"]).read_text())["layers"]
        for number, layer in enumerate(layers):
            say(f"layer {number + 1} of {len(layers)}{' (base, a stand-in)' if number == 0 else ''}: {layer['size'] / 1e6:.1f} MB compressed")
        total = sum(layer["size"] for layer in layers)
        say(f"image: {total / 1e6:.1f} MB compressed, of at most {COMPRESSED_BYTES_MAX / 1e6:.0f}")
        if total > COMPRESSED_BYTES_MAX:
            raise Trouble("the image is too large")

    def config(self) -> None:
        config = json.loads(self.buildah("inspect", "--type", "image", "localhost/highwater"))["Docker"]["config"]
        wanted = {"User": f"{USER}:{USER}", "Entrypoint": ["highwater"], "Cmd": ["serve"], "WorkingDir": "/home/nonroot"}
        wrong = {key: config.get(key) for key, value in wanted.items() if config.get(key) != value}
        if wrong:
            raise Trouble(f"the image's settings are not those of the Dockerfile: {wrong}")
        say(f"settings: {', '.join(f'{key} {value}' for key, value in wanted.items())}")


def has_symbols(program: pathlib.Path) -> bool:
    """Whether a 64-bit ELF file has a symbol table: a section of type SHT_SYMTAB (2)."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        raise Trouble(f"{program.name} is no 64-bit ELF program")
    start, = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    return any(struct.unpack_from("<I", data, start + at * size + 4)[0] == 2 for at in range(count))


def confined(root: pathlib.Path, *command: str) -> list[str]:
    """A command on that root, read-only, as the image's user; in a mount namespace that ends with it."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", READ_ONLY, "sh", str(root), *command]


def start(root: pathlib.Path, serve: bool) -> None:
    program = root / "usr/local/bin/highwater"
    if has_symbols(program):
        raise Trouble("the program is not stripped")
    say(f"program: {program.stat().st_size / 1e6:.1f} MB, stripped")
    if any((root / name).exists() for name in ("bin/sh", "usr/bin/sh", "usr/bin/apt-get", "usr/bin/dpkg")):
        raise Trouble("the image has a shell or a package manager")
    said = shell(*confined(root, "highwater", "--version"), env=ENVIRONMENT).strip()
    say(f"as uid {USER} on a read-only root: highwater --version says {said!r}")
    if serve:
        healthy(root)


def healthy(root: pathlib.Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.monotonic()
    process = subprocess.Popen(confined(root, "highwater", "serve"), env={**ENVIRONMENT, "PORT": str(port)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                    status = answer.status
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                    process.kill()
                    raise Trouble(f"`serve` did not answer /healthz:\n{process.communicate()[0][-3000:]}") from None
                time.sleep(0.02)
        # what the kernel says of it, not what was asked for
        facts = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        uids = re.search(r"^Uid:\s+(.*)$", facts, re.MULTILINE).group(1).split()
        say(f"as uid {uids[0]} on a read-only root: GET /healthz answers {status} after {time.monotonic() - begun:.2f} s")
        if status != 200 or set(uids) != {str(USER)}:
            raise Trouble(f"expected 200 from uid {USER}")
        process.terminate()
        process.communicate(timeout=STOP_SECONDS)
        say(f"SIGTERM: it ended with {process.returncode}")
        if process.returncode != 0:
            raise Trouble("a service that is told to stop must end with 0")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--context", type=pathlib.Path, default=ROOT, help="other sources than this clone's; `serve` is not started then")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (ROOT / "target").mkdir(exist_ok=True)
    work = None
    try:
        install()
        work = pathlib.Path(tempfile.mkdtemp(prefix="image-build-", dir=ROOT / "target"))
        # a root that another user can walk into
        work.chmod(0o755)
        builder = Builder(work)
        builder.stand_ins()
        builder.build(arguments.context.resolve())
        builder.config()
        builder.sizes()
        container = builder.buildah("from", "--pull-never", "localhost/highwater")
        start(pathlib.Path(builder.buildah("mount", container)), serve=arguments.context == ROOT)
    except Trouble as trouble:
        say(str(trouble))
        return 1
    finally:
        if work is not None:
            shutil.rmtree(work)
    say("the image is fine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
