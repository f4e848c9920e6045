"""Write the facts about one ExecuTorch release: ``python tools/add_release.py 1.6.0 --upstream ../executorch``.

Installs the official wheel in a virtual environment of its own (with uv), asks it what it registers, and reads what
that means from a checkout or bare clone of ExecuTorch at the release's tag. Without ``--upstream`` the wheel alone is
asked; what it cannot tell is written as not known. docs/adding-a-release.md says what to look at afterwards.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from release_facts.aten import aten_argument_counts, torchgen_of
from release_facts.record import release_facts, wheel_facts, write
from release_facts.upstream import Sources
from release_facts.wheel import build_day, make_environment, registered

FACTS = Path(__file__).parents[1] / "src" / "pteron" / "compat" / "facts" / "releases"


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", help="such as 1.6.0")
    parser.add_argument("--wheel", type=Path, help="the wheel file; default: the one that the package index has")
    parser.add_argument("--python", type=Path, help="Python of an environment that has the wheel installed already")
    parser.add_argument("--registered", type=Path, help="what --save-registered of an earlier run kept")
    parser.add_argument("--save-registered", type=Path, help="keep what the wheel registers, as JSON")
    parser.add_argument("--upstream", type=Path, help="git directory of pytorch/executorch")
    parser.add_argument("--revision", help="tag or commit to read; default: v<release>")
    parser.add_argument("--released", help="day of the release (ISO); default: the wheel's, or the revision's")
    parser.add_argument("--torch", help="torch that the release is built with; default: the one that its wheel gets")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "pteron-release-facts")
    parser.add_argument("--output", type=Path, default=FACTS, help="folder to write to")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        found = _registered(given, Path(work))
        if given.save_registered:
            given.save_registered.write_text(json.dumps(found, indent=1) + "\n")
        facts = _facts(given, found)
    path = write(facts, given.output)
    print(f"wrote {path}")
    for name, library in facts["libraries"].items():
        print(f"  {name:16} {library['wheel']:9} {len(library['operators'])} operators")


def _registered(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    if given.registered:
        found: dict[str, Any] = json.loads(given.registered.read_text())
        return found
    requirement = str(given.wheel) if given.wheel else f"executorch=={given.release}"
    torch = f"torch=={given.torch}" if given.torch else "torch"
    return registered(given.python or make_environment(requirement, torch, work / "environment"))


def _facts(given: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    if found["release"] != given.release:
        raise SystemExit(f"the wheel is of release {found['release']}, not {given.release}")
    torch = given.torch or found["torch"].split("+")[0]
    sources = Sources(given.upstream, given.revision or f"v{given.release}") if given.upstream else None
    released = _released(given, sources, found)
    if sources is None:
        return wheel_facts(given.release, found, Path(found["folder"]), _previous(given.release), released, torch)
    aten = aten_argument_counts(torchgen_of(torch, given.cache))
    return release_facts(given.release, found, sources, aten, released, torch)


def _released(given: argparse.Namespace, sources: Sources | None, found: dict[str, Any]) -> tuple[str, str]:
    if given.released:
        return given.released, "given by hand"
    if sources is not None and sources.revision == f"v{given.release}":
        return sources.commit()[1], f"commit date of tag v{given.release}"
    if given.wheel:
        return build_day(given.wheel), f"newest member of {found['wheel']}"
    raise SystemExit("the day of the release is not known; give --released, --wheel or the tag's --upstream")


def _previous(release: str) -> dict[str, Any]:
    def key(name: str) -> tuple[int, ...]:
        return tuple(int(part) for part in name.split("."))

    earlier = [path for path in FACTS.glob("*.json") if key(path.stem) < key(release)]
    if not earlier:
        raise SystemExit(f"no release before {release} has facts; give --upstream")
    facts: dict[str, Any] = json.loads(max(earlier, key=lambda path: key(path.stem)).read_text())
    return facts


if __name__ == "__main__":
    main()
