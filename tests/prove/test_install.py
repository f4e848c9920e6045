"""Installing, resuming and removing, with an installer that copies a fake release."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.version import Version

from fake_release import make_release
from pteron.compat.evidence import Package
from pteron.errors import UnsupportedError
from pteron.prove import environments, installers
from pteron.prove import install as install_module
from pteron.prove.install import install
from pteron.prove.installers import Resolved

RELEASE = Version("1.4.1")


@dataclass
class Copying:
    """Installs by copying: ``fails`` are the words with which the first attempts end."""

    made_from: Path
    heavy: bool = False
    missing: bool = False
    fails: list[str] = field(default_factory=list)
    name: str = "copying"

    def make(self, folder: Path, pythons: Sequence[str]) -> None:
        folder.mkdir(exist_ok=True)

    def resolve(self, folder: Path, roots: Sequence[str], scratch: Path) -> list[Resolved]:
        if self.missing:
            raise UnsupportedError("there is no version of torch==2.13.0")
        names = [root.partition("==")[0] for root in roots] + ["nvidia-cublas"] * self.heavy
        return [Resolved(Package(name, "2.13.0", f"{name}.whl", "ab" * 32), 1_000_000) for name in names]

    def resolve_alone(self, folder: Path, root: str, scratch: Path) -> list[Resolved]:
        name, _, version = root.partition("==")
        return [Resolved(Package(name, version, f"{name}-{version}.whl", "cd" * 32), 5_000_000)]

    def command(self, folder: Path, requirements: Path) -> list[str]:
        if self.fails:
            return [sys.executable, "-c", f"import sys; print({self.fails.pop(0)!r}); sys.exit(1)"]
        assert "executorch==1.4.1 --hash=sha256:cdcd" in requirements.read_text()
        code = "import shutil, sys; shutil.copytree(*sys.argv[1:], dirs_exist_ok=True)"
        return [sys.executable, "-c", code, str(self.made_from), str(folder)]

    def environment(self, downloads: Path | None = None) -> dict[str, str]:
        return dict(os.environ)


@pytest.fixture
def copying(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copying:
    source = make_release(tmp_path / "source", "1.4.1")
    (source / environments.MARKER).unlink()
    made = Copying(source)
    monkeypatch.setattr(install_module, "installer", lambda: made)
    return made


def test_sizes_are_told_before_and_the_wheels_are_kept(copying: Copying, home: Path) -> None:
    said: list[str] = []
    (place,) = install([RELEASE], announce=said.append)
    assert said == [
        "executorch 1.4.1 with torch 2.13.0 (CPU build): 7 packages, 11 MB to download, about "
        f"{environments.recipe(RELEASE).sizes['cpu'][1] / 1e6:,.0f} MB on disk"
    ]
    assert place.state == "installed"
    used = place.used()
    assert used is not None
    assert Package("executorch", "1.4.1", "executorch-1.4.1.whl", "cd" * 32) in used.packages
    assert not (home / environments.DOWNLOADS).exists()
    install([RELEASE], announce=said.append)
    assert said[1:] == ["executorch 1.4.1 is installed already"]


def test_only_telling(copying: Copying) -> None:
    copying.heavy = True
    said: list[str] = []
    (place,) = install([RELEASE], announce=said.append, only_plan=True)
    assert "CUDA build" in said[0]
    assert place.state != "installed"


def test_what_failed_is_finished_later(copying: Copying, home: Path) -> None:
    copying.fails.append("the connection was lost")
    with pytest.raises(UnsupportedError, match=r"1\.4\.1 cannot be installed here: the connection was lost"):
        install([RELEASE])
    place = environments.environment(RELEASE)
    assert place.state == "unfinished"
    assert (home / environments.DOWNLOADS).is_dir()  # what is complete is not fetched again
    install([RELEASE])
    assert place.state == "installed"


def test_a_release_that_does_not_start_is_not_finished(copying: Copying, tmp_path: Path) -> None:
    copying.made_from = make_release(tmp_path / "broken", "1.4.1", starts=False)
    (copying.made_from / environments.MARKER).unlink()
    with pytest.raises(UnsupportedError, match="was installed, but the release does not start: ImportError: libtorch"):
        install([RELEASE])
    assert environments.environment(RELEASE).state == "unfinished"


def test_nothing_fits(copying: Copying) -> None:
    copying.missing = True
    with pytest.raises(UnsupportedError, match=r"cannot be installed here: there is no version of torch==2\.13\.0"):
        install([RELEASE])


def test_no_room(copying: Copying, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(install_module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UnsupportedError, match=r"has 1 MB free; make room, or choose another folder"):
        install([RELEASE])


def test_removing(copying: Copying, home: Path) -> None:
    (place,) = install([RELEASE])
    with environments.running(place), pytest.raises(UnsupportedError, match="runs in another process"):
        environments.remove(place)
    assert place.state == "installed"
    assert environments.remove(place) > 1000
    assert place.state == "absent"
    assert [path.name for path in home.iterdir()] == [".lock"]


def test_two_at_once(copying: Copying, home: Path) -> None:
    code = (
        "import sys, time\nfrom pteron.prove.environments import changing\n"
        "with changing():\n    print('held', flush=True)\n    time.sleep(1.5)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    said: list[str] = []
    start = time.monotonic()
    install([RELEASE], announce=said.append)
    assert said[0] == "another installation is under way; waiting for it"
    assert time.monotonic() - start > 0.5
    other.stdout.close()
    assert other.wait() == 0


def test_recipes() -> None:
    found = environments.recipes()
    assert str(found[0].release) == "0.2.1"
    assert len(found) == 12
    assert str(environments.recipe(Version("1.4")).release) == "1.4.1"
    assert str(environments.recipe(Version("1.4.0")).release) == "1.4.0"
    with pytest.raises(UnsupportedError, match=r"no recipe for executorch 9\.9"):
        environments.recipe(Version("9.9"))


def test_the_python_that_is_used() -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert installers.best_python(["3.1", own, "3.99"]) == own
    assert installers.best_python(["3.1", "3.2"]) == "3.2"


def test_pip_settings_are_meant_for_uv_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    installers._pip_settings.cache_clear()
    assert installers.Uv("uv").environment()["UV_FIND_LINKS"] == "/wheels,/more"
    monkeypatch.setenv("UV_FIND_LINKS", "/own")
    assert installers.Uv("uv").environment()["UV_FIND_LINKS"] == "/own"
    installers._pip_settings.cache_clear()
