"""What to judge against: releases, ranges of releases and descriptions of builds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, Union

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from pteron.compat.facts import minor_of
from pteron.compat.profile import Profile, load_profile, profile_for, releases
from pteron.errors import FileAccessError, UnsupportedError

_FILES = (".toml", ".yaml", ".yml")

Runtime: TypeAlias = Union[str, Version, Profile, "Target"]


@dataclass(frozen=True)
class Target:
    """One build: ``name`` is what verdicts are called by; ``release`` is the exact release, where it is known.

    ``described`` is whether the name says all, so that another process can make the same target of it.
    """

    name: str
    profile: Profile
    release: Version | None
    described: bool = True


def targets(runtime: Runtime | Iterable[Runtime] | None = None) -> tuple[Target, ...]:
    """The builds that are asked for, each once.

    ``1.5.1`` is the official wheel of that release, ``>=1.2`` those of a range (a minor stands for its patches),
    ``build.toml`` or ``selected_operators.yaml`` a described build; None is every known release. Raises
    ``UnsupportedError`` for a release or range without facts, ``ProfileError`` and ``FileAccessError`` for a file.
    """
    if runtime is None:
        return tuple(_wheel(release, release) for release in releases())
    single = isinstance(runtime, str | Version | Profile | Target)
    found: dict[str, Target] = {}
    for item in (runtime,) if single else runtime:  # type: ignore[union-attr]
        for target in _targets(item):  # type: ignore[arg-type]
            found.setdefault(target.name, target)
    return tuple(found.values())


def _targets(runtime: Runtime) -> tuple[Target, ...]:
    if isinstance(runtime, Target):
        return (runtime,)
    if isinstance(runtime, Profile):
        return (Target(runtime.title, runtime, runtime.release, described=False),)
    if isinstance(runtime, Version):
        return (_wheel(runtime, runtime),)
    text = runtime.strip()
    if text.lower().endswith(_FILES):
        profile = load_profile(text)
        return (Target(text, profile, profile.release),)
    try:
        version = Version(text)
    except InvalidVersion:
        return _range(text)
    return (_wheel(version, version),)


def _range(text: str) -> tuple[Target, ...]:
    try:
        wanted = SpecifierSet(text)
    except InvalidSpecifier:
        if Path(text).exists():
            raise FileAccessError(
                f"{text}: a build is described by a .toml or .yaml file; see docs/profiles.md"
            ) from None
        raise UnsupportedError(
            f"{text!r} is no runtime; give a release (1.5.1), a range ('>=1.2') or a .toml or .yaml file"
        ) from None
    # A range that speaks of minors means their patches: 1.3.1 is in <=1.3.
    minors = all(len(Version(clause.version.removesuffix(".*")).release) < 3 for clause in wanted)
    chosen = [r for r in releases() if wanted.contains(minor_of(r) if minors else r, prereleases=True)]
    if not text or not chosen:
        known = ", ".join(map(str, releases()))
        raise UnsupportedError(f"no known release is in the range {text!r}; known are {known}")
    return tuple(_wheel(release, release) for release in chosen)


def _wheel(asked: Version, release: Version) -> Target:
    profile = profile_for(release)
    # "1.3" means the release of that minor with facts; "1.3.0" is a patch of its own.
    exact = asked if len(asked.release) > 2 else profile.release
    return Target(str(exact), profile, exact)
