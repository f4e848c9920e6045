"""Installing a release: resolve, tell the size, download, try it, mark it as finished.

What is interrupted stays as a half-made environment with the wheels that are complete; installing again goes on there.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from pteron.compat.evidence import Package, RuntimeUsed
from pteron.errors import UnsupportedError
from pteron.prove.environments import (
    DOWNLOADS,
    Environment,
    Recipe,
    changing,
    disk_use,
    environment,
    home,
    recipe,
    running,
)
from pteron.prove.installers import Installer, Resolved, installer, last_words, start
from pteron.prove.process import kill_group, need_posix
from pteron.prove.runtimes import wheel_runtime
from pteron.prove.scratch import scratch_folder, sweep

_SPARE = 200 << 20
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Plan:
    """What an installation will do: ``download`` and ``disk`` in bytes, roughly where the index tells no sizes."""

    release: Version
    torch: str
    build: str
    packages: tuple[Package, ...]
    download: int
    disk: int
    tool: str

    def __str__(self) -> str:
        build = "CPU build" if self.build == "cpu" else "CUDA build, as no index at hand has a lighter one"
        return (
            f"executorch {self.release} with torch {self.torch} ({build}): {len(self.packages)} packages, "
            f"{self.download / 1e6:,.0f} MB to download, about {self.disk / 1e6:,.0f} MB on disk"
        )


Progress = Callable[[int, int], None]
"""Called with bytes on disk so far, and bytes expected in the end."""


def install(
    releases: Sequence[Version],
    *,
    announce: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[Plan], contextlib.AbstractContextManager[Progress]] | None = None,
    only_plan: bool = False,
) -> list[Environment]:
    """Install releases that are not there yet; wheels that several need are downloaded once.

    ``announce`` gets a sentence before each step. Raises ``UnsupportedError`` where one cannot be installed.
    """
    need_posix()
    there = [environment(recipe(release).release) for release in releases]
    if all(place.state == "installed" for place in there):  # also while another installation is under way
        for place in there:
            announce(f"executorch {place.release} is installed already")
        return there
    sweep()
    with changing(lambda: announce("another installation is under way; waiting for it")):
        tool = installer()
        done = [_install(recipe(release), tool, announce, progress, only_plan) for release in releases]
        if not only_plan:
            # Nothing was interrupted, so nobody goes on with what was downloaded; installed files are links of it.
            shutil.rmtree(home() / DOWNLOADS, ignore_errors=True)
    return done


def _install(
    recipe: Recipe,
    tool: Installer,
    announce: Callable[[str], None],
    progress: Callable[[Plan], contextlib.AbstractContextManager[Progress]] | None,
    only_plan: bool,
) -> Environment:
    place = environment(recipe.release)
    if place.state == "installed":
        announce(f"executorch {recipe.release} is installed already")
        return place
    with running(place, alone=True):
        with scratch_folder() as scratch:
            plan = _planned(recipe, tool, place.folder, scratch)
            announce(str(plan))
            if only_plan:
                return place
            _download(plan, tool, place.folder, scratch, progress)
        used = _tried(place, plan)
        place.finish(used.python, plan.packages)
    return place


def _planned(recipe: Recipe, tool: Installer, folder: Path, scratch: Path) -> Plan:
    try:
        tool.make(folder, recipe.pythons)
        roots = [f"torch=={recipe.torch}", f"numpy=={recipe.numpy}", *recipe.needs]
        found = tool.resolve(folder, roots, scratch)
        found += _alone(tool, folder, recipe.release, scratch)
    except UnsupportedError as error:
        raise UnsupportedError(f"executorch {recipe.release} cannot be installed here: {error}") from None
    heavy = any(item.package.name.startswith("nvidia-") for item in found)
    build = "cuda" if heavy else "cpu"
    torch = next(item.package.version for item in found if item.package.name == "torch")
    usual = recipe.sizes.get(build) or recipe.sizes["cpu" if build == "cuda" else "cuda"]
    told = sum(item.size for item in found) if all(item.size for item in found) else usual[0]
    packages = tuple(item.package for item in found)
    return Plan(recipe.release, torch, build, packages, told, usual[1], tool.name)


def _alone(tool: Installer, folder: Path, release: Version, scratch: Path) -> list[Resolved]:
    """The wheel of executorch itself: most of what it asks for is for exporting."""
    found = tool.resolve_alone(folder, f"executorch=={release}", scratch)
    return [item for item in found if item.package.name == "executorch"]


def _download(
    plan: Plan,
    tool: Installer,
    folder: Path,
    scratch: Path,
    progress: Callable[[Plan], contextlib.AbstractContextManager[Progress]] | None,
) -> None:
    free = shutil.disk_usage(folder).free
    if free < plan.disk + _SPARE - disk_use(folder):
        raise UnsupportedError(
            f"executorch {plan.release} needs about {plan.disk / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB "
            "free; make room, or choose another folder with PTERON_RUNTIMES"
        )
    downloads = home() / DOWNLOADS
    downloads.mkdir(parents=True, exist_ok=True)
    pinned = scratch / "pinned.txt"
    pinned.write_text(_pinned(plan.packages), encoding="utf-8")
    shown = progress(plan) if progress else contextlib.nullcontext(lambda done, total: None)
    with (scratch / "printed.txt").open("w+b") as printed:
        process = start(tool.command(folder, pinned), tool.environment(downloads), printed)
        try:
            with shown as tell:
                while process.poll() is None:
                    tell(disk_use(folder, downloads), plan.disk)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_LOOK_SECONDS)
        finally:
            kill_group(process)
        printed.seek(0)
        said = printed.read().decode("utf-8", "replace")
    if process.returncode:
        raise UnsupportedError(f"executorch {plan.release} cannot be installed here: {last_words(said)}")


def _pinned(packages: Sequence[Package]) -> str:
    # Installers want a hash for every wheel or for none.
    hashed = all(package.sha256 for package in packages)
    return "".join(f"{p.name}=={p.version}{f' --hash=sha256:{p.sha256}' if hashed else ''}\n" for p in packages)


def _tried(place: Environment, plan: Plan) -> RuntimeUsed:
    """Start the release once; raises ``UnsupportedError`` where it does not start."""
    runtime = wheel_runtime(place.python, RuntimeUsed(str(plan.release), str(plan.release), packages=plan.packages))
    try:
        problem = runtime.start()
    finally:
        runtime.close()
    if problem is not None:
        log = f" ({' / '.join(problem.log[-3:])})" if problem.log else ""
        raise UnsupportedError(f"executorch {plan.release} was installed, but {problem.text}{log}")
    return runtime.used
