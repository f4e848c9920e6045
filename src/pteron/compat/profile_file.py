"""Profiles as files: a short TOML of Pteron's own, and ExecuTorch's selected_operators.yaml (docs/profiles.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from pteron.compat.facts import release_facts, releases, resolve
from pteron.compat.operator_use import is_prim
from pteron.compat.profile import CMAKE, PRIM_OPS, Profile, build_profile, counts_of
from pteron.compat.selected_operators import Selection, parse_selection
from pteron.errors import FileAccessError, ProfileError, PteronError

MAX_BYTES = 16 * 1024 * 1024
BUILDS = ("cmake", "buck")
DISTRIBUTIONS = ("", "python")

_KEYS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "release": str,
    "build": str,
    "distribution": str,
    "libraries": list,
    "backends": list,
    "missing_backends": list,
    "operators": (list, dict),
    "missing_operators": list,
    "kernel_keys": dict,
    "features": dict,
    "selected_operators": str,
    "include_all_operators": bool,
    "prove": dict,
}


def read_profile(path: Path) -> Profile:
    """Read a TOML profile, or a selected_operators.yaml (any other ending than ``.toml``).

    A bare selected_operators.yaml does not say which release it builds: the profile's release is None. Raises
    ``FileAccessError`` and ``ProfileError``.
    """
    if path.suffix == ".toml":
        return _from_toml(_read(path), path)
    selection = parse_selection(_read(path), str(path))
    empty: Mapping[str, Any] = MappingProxyType({})
    bare = Profile(f"selective build of {path.name}", None, empty, empty, empty, source=str(path), all_operators=True)
    return _select(replace(bare, all_operators=selection.all_operators), selection)


def dump_profile(profile: Profile) -> str:
    """The profile as TOML text that :func:`read_profile` turns into an equal one, but for where it came from."""
    lines = [f"title = {_quote(profile.title)}"]
    if profile.release is not None:
        lines.append(f"release = {_quote(str(profile.release))}")
    if profile.build:
        lines.append(f"build = {_quote(profile.build)}")
    if profile.distribution:
        lines.append(f"distribution = {_quote(profile.distribution)}")
    if profile.all_operators:
        lines.append("include_all_operators = true")
    base = build_profile("", profile.release, profile.libraries, {})
    lines.append(_list("libraries", sorted(profile.libraries - {PRIM_OPS})))
    lines.append(_list("backends", sorted(name for name, backend in profile.backends.items() if backend.available)))
    absent = sorted(name for name, backend in profile.backends.items() if not backend.available)
    if absent:
        lines.append(_list("missing_backends", absent))
    here = {**profile.operators, **profile.prim_ops}
    there = {**base.operators, **base.prim_ops}
    missing = sorted(set(there) - set(here))
    if missing:
        lines.append(_list("missing_operators", missing))
    extra = {name: counts for name, counts in here.items() if name not in there or there[name] != counts}
    if extra:
        lines += ["", "[operators]"]
        lines += [f"{_quote(name)} = {_counts(counts)}" for name, counts in sorted(extra.items())]
    if profile.kernel_keys:
        lines += ["", "[kernel_keys]"]
        lines += [_list(_quote(name), sorted(keys)) for name, keys in sorted(profile.kernel_keys.items())]
    if profile.overrides:
        lines += ["", "[features]"]
        lines += [f"{_quote(name)} = {str(value).lower()}" for name, value in sorted(profile.overrides.items())]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ProfileError(f"{path} is larger than {MAX_BYTES} bytes, so it is no profile")
        return content.decode("utf-8")
    except OSError as error:
        raise FileAccessError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path} is not text in UTF-8; a profile is a TOML or YAML file") from error


def _from_toml(text: str, path: Path) -> Profile:
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError(f"{path} is not TOML: {error}") from None
    table = _Table(raw, str(path))
    release = table.release()
    libraries, available, absent = table.names("libraries"), table.names("backends"), table.names("missing_backends")
    _check_libraries(libraries, release, str(path))
    backends = {**dict.fromkeys(available, True), **dict.fromkeys(absent, False)}
    title = table.text("title") or f"build of {path.name}"
    build = table.choice("build", BUILDS, CMAKE)
    distribution = table.choice("distribution", DISTRIBUTIONS, "")
    profile = build_profile(
        title, release, libraries, backends, build=build, distribution=distribution, source=str(path)
    )
    operators = {**profile.operators, **{n: c for n, c in table.operators().items() if not is_prim(n)}}
    prim = {**profile.prim_ops, **{n: c for n, c in table.operators().items() if is_prim(n)}}
    for name in table.names("missing_operators"):
        operators.pop(name, None)
        prim.pop(name, None)
    profile = replace(
        profile,
        operators=MappingProxyType(operators),
        prim_ops=MappingProxyType(prim),
        kernel_keys=table.kernel_keys(),
        overrides=table.features(),
        all_operators=bool(raw.get("include_all_operators", False)),
    )
    selected = table.text("selected_operators")
    if not selected:
        return profile
    file = path.parent / selected
    return _select(profile, parse_selection(_read(file), str(file)))


def _check_libraries(libraries: tuple[str, ...], release: Version | None, file: str) -> None:
    if not libraries:
        return
    if release is None:
        raise ProfileError(f'{file}: libraries are those of a release; add release = "{releases()[-1]}" or another')
    known = release_facts(release).libraries
    for name in libraries:
        if name not in known:
            raise ProfileError(f"{file}: {release} has no operator library {name!r}; it has {', '.join(known)}")


def _select(profile: Profile, selection: Selection) -> Profile:
    """The profile with only the selected operators; without a base, with exactly them, taking any argument count."""
    known = release_facts(profile.release) if profile.release is not None else None
    counts: dict[str, frozenset[int] | None] = dict(profile.operators)
    if known is not None:
        for library in known.libraries.values():
            if library.name != PRIM_OPS:
                for name, count in library.operators.items():
                    counts.setdefault(name, counts_of(count))
    if selection.all_operators:
        operators: dict[str, frozenset[int] | None] = dict(profile.operators)
    else:
        operators = {name: count for name, count in counts.items() if selection.selects(name)}
        operators.update((name, counts.get(name)) for name in selection.operators if not is_prim(name))
    return replace(
        profile,
        operators=MappingProxyType(operators),
        kernel_keys=MappingProxyType({**profile.kernel_keys, **selection.kernel_keys}),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """A parsed TOML profile; every accessor checks the type and raises ``ProfileError``."""

    raw: dict[str, Any]
    file: str

    def __post_init__(self) -> None:
        for key, value in self.raw.items():
            if key not in _KEYS:
                raise ProfileError(f"{self.file}: unknown key {key!r}; known are {', '.join(sorted(_KEYS))}")
            if not isinstance(value, _KEYS[key]):
                raise ProfileError(f"{self.file}: {key} must not be a {type(value).__name__}; see docs/profiles.md")

    def text(self, key: str) -> str:
        return str(self.raw.get(key, ""))

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.raw.get(key, default)
        if value not in choices:
            raise ProfileError(f"{self.file}: {key} is {value!r}; it can be {', '.join(map(repr, choices))}")
        return str(value)

    def release(self) -> Version | None:
        if "release" not in self.raw:
            return None
        try:
            return resolve(self.raw["release"])
        except PteronError as error:
            raise ProfileError(f"{self.file}: {error}") from None

    def names(self, key: str) -> tuple[str, ...]:
        return self._strings(self.raw.get(key, []), key)

    def operators(self) -> dict[str, frozenset[int] | None]:
        raw = self.raw.get("operators", {})
        if isinstance(raw, list):
            return dict.fromkeys(self._strings(raw, "operators"))
        return {name: self._counts(value, f"operators.{name}") for name, value in raw.items()}

    def kernel_keys(self) -> Mapping[str, frozenset[str]]:
        raw: dict[str, Any] = self.raw.get("kernel_keys", {})
        return MappingProxyType({n: frozenset(self._strings(v, f"kernel_keys.{n}")) for n, v in raw.items()})

    def features(self) -> Mapping[str, bool]:
        raw: dict[str, Any] = self.raw.get("features", {})
        for name, value in raw.items():
            if not isinstance(value, bool):
                raise ProfileError(f"{self.file}: features.{name} must be true or false")
        return MappingProxyType(raw)

    def _strings(self, value: Any, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ProfileError(f"{self.file}: {key} must be a list of strings")
        return tuple(value)

    def _counts(self, value: Any, key: str) -> frozenset[int] | None:
        counts = value if isinstance(value, list) else [value]
        if counts == [True]:
            return None
        if not counts or not all(type(count) is int and count > 0 for count in counts):
            raise ProfileError(f"{self.file}: {key} must be the number of entries in a call, a list of them, or true")
        return frozenset(counts)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def _list(key: str, items: list[str]) -> str:
    return f"{key} = [{', '.join(map(_quote, items))}]"


def _counts(counts: frozenset[int] | None) -> str:
    if counts is None:
        return "true"
    return str(next(iter(counts))) if len(counts) == 1 else str(sorted(counts))
