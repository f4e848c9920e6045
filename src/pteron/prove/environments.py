"""Environments of real releases: where they are, what they hold, who may touch them when.

One folder per release below :func:`home`. A finished environment has a ``pteron-runtime.json``; without one it is
half-made, and the next installation finishes or replaces it. Locks are ``flock``s, so the system drops them with the
process: one installation or removal at a time, and no removal of a release that runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.version import Version

from pteron.compat.evidence import Package, RuntimeUsed
from pteron.compat.facts import minor_of
from pteron.errors import UnsupportedError
from pteron.format.save import save_parts

HOME_VARIABLE = "PTERON_RUNTIMES"
MARKER = "pteron-runtime.json"
DOWNLOADS = ".downloads"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a release is installed: pins, the Pythons that its wheels are for, and bytes (download, disk) by build of
    torch: ``cpu`` or ``cuda``, measured on Linux x86-64."""

    release: Version
    torch: str
    numpy: str
    pythons: tuple[str, ...]
    needs: tuple[str, ...]
    sizes: Mapping[str, tuple[int, int]]


@cache
def _table() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(files("pteron.prove").joinpath("recipes.json").read_text(encoding="utf-8"))
    return loaded


def not_needed() -> tuple[str, ...]:
    """Packages that torch asks for, and that running programs on the CPU does without."""
    return tuple(_table()["not_needed"])


def recipe(release: Version) -> Recipe:
    """The recipe of a release; a patch release has that of its minor. Raises ``UnsupportedError``."""
    for row in _table()["releases"]:
        if minor_of(Version(row["release"])) == minor_of(release):
            exact = release if len(release.release) > 2 else Version(row["release"])
            sizes = {build: (size[0], size[1]) for build, size in row["sizes"].items()}
            return Recipe(exact, row["torch"], row["numpy"], tuple(row["pythons"]), tuple(row["needs"]), sizes)
    known = ", ".join(row["release"] for row in _table()["releases"])
    raise UnsupportedError(f"there is no recipe for executorch {release}; known are {known}")


def recipes() -> tuple[Recipe, ...]:
    """Every recipe, oldest release first."""
    return tuple(recipe(Version(row["release"])) for row in _table()["releases"])


def home() -> Path:
    """The folder with all environments: ``PTERON_RUNTIMES``, or in the user's cache folder."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("pteron", appauthor=False) / "runtimes"


@dataclass(frozen=True)
class Environment:
    """The environment of one release, there or not."""

    release: Version
    folder: Path

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def used(self) -> RuntimeUsed | None:
        """What it holds; None where it is not finished."""
        try:
            raw = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
            packages = tuple(Package(**package) for package in raw["packages"])
            return RuntimeUsed(str(self.release), str(self.release), python=raw["python"], packages=packages)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def state(self) -> str:
        """``installed``, ``unfinished`` or ``absent``."""
        if self.used() is not None:
            return "installed"
        return "unfinished" if self.folder.exists() else "absent"

    @property
    def torch(self) -> str:
        """The version of torch in it, empty where it is not finished."""
        used = self.used()
        return next((package.version for package in used.packages if package.name == "torch"), "") if used else ""

    def nbytes(self) -> int:
        """Bytes on disk; files that several environments share count for each."""
        return disk_use(self.folder)

    def finish(self, python: str, packages: tuple[Package, ...]) -> None:
        """Mark it as finished."""
        rows = [{"name": p.name, "version": p.version, "wheel": p.wheel, "sha256": p.sha256} for p in packages]
        text = json.dumps({"release": str(self.release), "python": python, "packages": rows}, indent=1)
        save_parts(self.folder / MARKER, [text.encode()])


def environment(release: Version) -> Environment:
    """Where the release's environment is or will be."""
    return Environment(release, home() / str(release))


def environments() -> tuple[Environment, ...]:
    """Environments that exist, finished or not, and those of every release with a recipe."""
    found = {entry.release: environment(entry.release) for entry in recipes()}
    if home().is_dir():
        for folder in home().iterdir():
            with contextlib.suppress(ValueError):
                if folder.is_dir() and not folder.name.startswith("."):
                    found.setdefault(Version(folder.name), Environment(Version(folder.name), folder))
    return tuple(found[release] for release in sorted(found))


def remove(environment: Environment) -> int:
    """Remove an environment and give the bytes that it had; raises ``UnsupportedError`` where it is running."""
    with changing(), running(environment, alone=True):
        size = environment.nbytes()
        # Without its marker it counts as half-made, whatever happens while files go.
        (environment.folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(environment.folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        _lock_file(environment).unlink()
    return size


def _lock_file(environment: Environment) -> Path:
    return environment.folder.with_name(f".{environment.release}.lock")


@contextlib.contextmanager
def changing(waits: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock under which environments are made and removed; ``waits`` is called when another holds it."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            waits()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def running(environment: Environment, *, alone: bool = False) -> Iterator[None]:
    """Keep an environment from being removed; ``alone`` is for who removes it. Raises ``UnsupportedError``."""
    home().mkdir(parents=True, exist_ok=True)
    with _lock_file(environment).open("w") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError:
            doing = "runs in another process" if alone else "is just being changed by another process"
            raise UnsupportedError(f"executorch {environment.release} {doing}; try again when that has ended") from None
        yield


def disk_use(*folders: Path) -> int:
    """Bytes of the folders' files on disk, each file once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    status = os.lstat(os.path.join(place, name))
                    seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())
