"""The two ways to fill an environment: uv where it is, else ``venv`` and pip.

Both first resolve (which wheels, with hashes and sizes), so that the size is known before anything is downloaded, and
then install exactly that.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Protocol

from packaging.utils import canonicalize_name

from pteron.compat.evidence import Package
from pteron.errors import UnsupportedError
from pteron.prove.environments import not_needed
from pteron.prove.process import kill_group
from pteron.prove.worker import die_with_parent

RESOLVE_SECONDS = 600


@dataclass(frozen=True)
class Resolved:
    """A wheel to be installed; ``size`` is 0 where the index does not tell."""

    package: Package
    size: int = 0


class Installer(Protocol):
    """How environments are made."""

    name: str

    def make(self, folder: Path, pythons: Sequence[str]) -> None:
        """Make an empty environment, or leave one that is there."""

    def resolve(self, folder: Path, roots: Sequence[str], scratch: Path) -> list[Resolved]:
        """What would be installed for the requirements."""

    def resolve_alone(self, folder: Path, root: str, scratch: Path) -> list[Resolved]:
        """What would be installed for one requirement, without what it requires itself."""

    def command(self, folder: Path, requirements: Path) -> list[str]:
        """The command that installs a list of pinned requirements."""

    def environment(self, downloads: Path) -> dict[str, str]:
        """The environment variables of all its commands."""


def installer() -> Installer:
    """uv where it is, else pip."""
    uv = _uv()
    return Uv(uv) if uv else Pip()


def _uv() -> str | None:
    with contextlib.suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin  # type: ignore[import-not-found,unused-ignore]

        return str(find_uv_bin())
    return shutil.which("uv")


def best_python(pythons: Sequence[str]) -> str:
    """The Python version to use: this one where the release's wheels are for it, else the newest that they are for."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return own if own in pythons else pythons[-1]


class Uv:
    """Astral's uv: fetches a Python too where none fits."""

    name = "uv"

    def __init__(self, binary: str) -> None:
        self._binary = binary

    def make(self, folder: Path, pythons: Sequence[str]) -> None:
        python = best_python(pythons)
        asked = sys.executable if _is_own(python) else python
        command = [self._binary, "venv", "--quiet", "--allow-existing", "--python", asked, str(folder)]
        output(command, self.environment())

    def resolve(self, folder: Path, roots: Sequence[str], scratch: Path) -> list[Resolved]:
        found = self._resolve(folder, roots, scratch, [])
        if _is_light(found):
            return found
        # The index at hand has no CPU build; torch's own index of them may not be within reach.
        with contextlib.suppress(UnsupportedError):
            return self._resolve(folder, roots, scratch, ["--torch-backend", "cpu"])
        return found

    def resolve_alone(self, folder: Path, root: str, scratch: Path) -> list[Resolved]:
        return self._resolve(folder, [root], scratch, ["--no-deps"])

    def _resolve(self, folder: Path, roots: Sequence[str], scratch: Path, extra: Sequence[str]) -> list[Resolved]:
        wanted, without, lock = scratch / "roots.txt", scratch / "without.txt", scratch / "pylock.toml"
        wanted.write_text("\n".join(roots) + "\n", encoding="utf-8")
        without.write_text("".join(f"{name}; python_version < '0'\n" for name in not_needed()), encoding="utf-8")
        command = [self._binary, "pip", "compile", "--quiet", "--only-binary", ":all:"]
        command += [
            "--python",
            str(python_in(folder)),
            "--override",
            str(without),
            "--format",
            "pylock.toml",
            "-o",
            str(lock),
            *extra,
            str(wanted),
        ]
        # Another index than the user's own is tried once, and quickly.
        hasty = {"UV_HTTP_RETRIES": "0"} if "--torch-backend" in extra else {}
        output(command, {**self.environment(), **hasty})
        locked = tomllib.loads(lock.read_text(encoding="utf-8"))
        return [_from_lock(package) for package in locked["packages"]]

    def command(self, folder: Path, requirements: Path) -> list[str]:
        command = [self._binary, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        return [*command, "--python", str(python_in(folder)), "-r", str(requirements)]

    def environment(self, downloads: Path | None = None) -> dict[str, str]:
        variables = dict(os.environ)
        variables.pop("VIRTUAL_ENV", None)
        for name, value in _pip_settings().items():
            variables.setdefault(name, value)
        if downloads is not None:
            variables["UV_CACHE_DIR"] = str(downloads)
        return variables


@cache
def _pip_settings() -> dict[str, str]:
    """Folders of wheels and the index that pip is set up for, as uv's variables: who set them means uv as well."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        variable = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX"}.get(key.rpartition(".")[2])
        if variable:
            words = str(ast.literal_eval(value)).split()
            found[variable] = ",".join(words) if variable == "UV_FIND_LINKS" else words[0]
    return found


def _is_own(python: str) -> bool:
    return python == f"{sys.version_info.major}.{sys.version_info.minor}"


def _from_lock(package: Mapping[str, object]) -> Resolved:
    wheels = package.get("wheels")
    wheel = wheels[0] if isinstance(wheels, list) and wheels else {}
    place = str(wheel.get("name") or wheel.get("url") or wheel.get("path") or "")
    hashes = wheel.get("hashes") or {}
    name, version = str(package["name"]), str(package.get("version", ""))
    size = int(wheel.get("size") or 0)
    if not size and wheel.get("path"):
        with contextlib.suppress(OSError):
            size = Path(wheel["path"]).stat().st_size
    return Resolved(Package(name, version, place.rpartition("/")[2], str(hashes.get("sha256", ""))), size)


def _is_light(found: Sequence[Resolved]) -> bool:
    return not any(item.package.name.startswith("nvidia-") for item in found)


class Pip:
    """``python -m venv`` and pip, with whatever index pip is set up for."""

    name = "pip"

    def make(self, folder: Path, pythons: Sequence[str]) -> None:
        own = best_python(pythons)
        python = sys.executable if _is_own(own) else next(filter(None, map(_which, reversed(pythons))), None)
        if python is None:
            raise UnsupportedError(
                f"it has wheels for Python {', '.join(pythons)}, none of which is here; install uv, which fetches one"
            )
        output([python, "-m", "venv", str(folder)], self.environment())

    def resolve(self, folder: Path, roots: Sequence[str], scratch: Path) -> list[Resolved]:
        return self._resolve(folder, roots, scratch)

    def resolve_alone(self, folder: Path, root: str, scratch: Path) -> list[Resolved]:
        return self._resolve(folder, ["--no-deps", root], scratch)

    def _resolve(self, folder: Path, roots: Sequence[str], scratch: Path) -> list[Resolved]:
        report = scratch / "report.json"
        command = [str(python_in(folder)), "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--only-binary", ":all:", "--report", str(report), *roots]
        output(command, self.environment())
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
        found = []
        for item in items:
            name, place = canonicalize_name(item["metadata"]["name"]), item["download_info"]
            digest = place.get("archive_info", {}).get("hashes", {}).get("sha256", "")
            wheel = place["url"].rpartition("/")[2].replace("%2B", "+")
            if name not in not_needed():
                found.append(Resolved(Package(name, item["metadata"]["version"], wheel, digest)))
        return found

    def command(self, folder: Path, requirements: Path) -> list[str]:
        command = [str(python_in(folder)), "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        return [*command, "-r", str(requirements)]

    def environment(self, downloads: Path | None = None) -> dict[str, str]:
        variables = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
        variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        if downloads is not None:
            variables["PIP_CACHE_DIR"] = str(downloads)
            variables["TMPDIR"] = str(downloads)
        return variables


def _which(version: str) -> str | None:
    found = shutil.which(f"python{version}")
    # Version managers put a name on the path whether or not there is such a Python behind it.
    if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
        return found
    return None


def python_in(folder: Path) -> Path:
    """The environment's Python."""
    return folder / "bin" / "python"


def output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a short command prints; raises ``UnsupportedError`` with its last words where it fails."""
    with tempfile.TemporaryFile() as printed:
        process = start(command, environment, printed)
        try:
            process.wait(timeout=RESOLVE_SECONDS)
        except subprocess.TimeoutExpired:
            raise UnsupportedError(f"{Path(command[0]).name} took more than {RESOLVE_SECONDS} s") from None
        finally:
            kill_group(process)
        printed.seek(0)
        text = printed.read().decode("utf-8", "replace")
    if process.returncode:
        raise UnsupportedError(last_words(text) or f"{Path(command[0]).name} failed")
    return text


def start(command: Sequence[str], environment: Mapping[str, str], printed: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a command that ends when this process ends; what it prints goes to ``printed``."""
    return subprocess.Popen(
        list(command),
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=printed,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def last_words(text: str) -> str:
    """The end of what a failing command printed, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-4:])[:600]
