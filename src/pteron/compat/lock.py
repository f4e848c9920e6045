"""``pteron.lock``: what each model requires and its verdicts, kept under version control; and what changed since.

A lock file is JSON with sorted keys, so that its changes read well in a review. Paths are relative to its folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from pteron.compat.check import CheckResult
from pteron.compat.facts import releases
from pteron.compat.features import Feature
from pteron.compat.profile import profile_for
from pteron.compat.requirements import Requirements
from pteron.compat.rules import RULES, Rule
from pteron.compat.verdict import Status
from pteron.errors import FileAccessError, FormatError
from pteron.format.save import save_parts
from pteron.version import __version__

SCHEMA_ID = "pteron.lock/1"
NAME = "pteron.lock"
MAX_BYTES = 256 << 20

_KINDS = {
    "features": "format feature",
    "operators": "operator",
    "backends": "backend",
    "payloads": "payload content",
    "external_keys": "external data",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the lock and now. ``bad``: the model needs more, or a verdict is worse."""

    rule: str
    model: str
    sentence: str
    bad: bool


@dataclass(frozen=True)
class Lock:
    """The locked models: name → ``requires`` (kind → list of texts), ``produced_by`` and ``verdicts``."""

    models: Mapping[str, Mapping[str, Any]]
    runtimes: tuple[str, ...]

    def to_json(self) -> str:
        """The text of the lock file."""
        document = {
            "schema": SCHEMA_ID,
            "pteron": __version__,
            "runtimes": list(self.runtimes),
            "models": {name: self.models[name] for name in sorted(self.models)},
        }
        return json.dumps(document, indent=1) + "\n"


def make_lock(results: Iterable[CheckResult], folder: Path) -> Lock:
    """The lock of these results; ``folder`` is where the lock file will stand.

    Raises ``FormatError`` for a file that could not be judged.
    """
    models = {}
    runtimes: tuple[str, ...] = ()
    for result in results:
        if result.error or result.requirements is None:
            raise FormatError(f"it cannot be locked ({result.error})", file=result.file)
        runtimes = tuple(result.verdicts)
        models[model_name(result.file, folder)] = locked(result)
    return Lock(models, runtimes)


def locked(result: CheckResult) -> dict[str, Any]:
    """What a lock keeps of one model; verdicts are predictions, which hang on the file's own bytes alone."""
    assert result.requirements is not None
    return {
        "produced_by": str(result.produced_by),
        "requires": needs(result.requirements),
        "verdicts": {name: verdict.prediction.value for name, verdict in result.verdicts.items()},
    }


def needs(required: Requirements) -> dict[str, list[str]]:
    """What a model needs as sorted texts by kind; what tells nothing about compatibility is left out."""
    uses = (*required.operators, *required.prim_ops)
    operators = {f"{use.name}/{use.argument_count}" for use in uses}
    operators |= {f"{use.name} {dtype.torch_name}" for use in uses for dtype in use.dtypes}
    payloads = {
        f"{use.id} {item}" for use in required.backends for item in (*use.node_types, *use.datatypes, *use.features)
    }
    return {
        "features": sorted(feature.id for feature in required.features if _matters(feature)),
        "operators": sorted(operators),
        "backends": sorted({" ".join(filter(None, (use.id, use.format, use.version))) for use in required.backends}),
        "payloads": sorted(payloads),
        "external_keys": sorted(key.key for key in required.external_keys),
    }


def _matters(feature: Feature) -> bool:
    """Whether some known release does not take the feature; what all of them take is how an exporter writes today."""
    for release in releases():
        row = profile_for(release).support(feature.id)
        if row is None and (not feature.since or Version(feature.since) > release):
            return True
        if row is not None and row.outcome != "accepted":
            return True
    return False


def read_lock(path: str | Path) -> Lock:
    """Read a lock file; raises ``FileAccessError`` where there is none and ``FormatError`` for another file."""
    file = Path(path)
    try:
        data = file.read_bytes() if file.stat().st_size <= MAX_BYTES else b""
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileAccessError(f"{file}: cannot be read ({reason}); `pteron lock` writes it") from None
    try:
        raw = json.loads(data)
        if raw["schema"] != SCHEMA_ID:
            raise FormatError(f"its schema is {raw['schema']!r}, not {SCHEMA_ID!r}; lock again", file=str(file))
        models = {str(name): _model(model) for name, model in raw["models"].items()}
        return Lock(models, tuple(map(str, raw["runtimes"])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError("it is not a lock file of Pteron; `pteron lock` writes one", file=str(file)) from None


def _model(raw: Any) -> dict[str, Any]:
    requires = {kind: list(map(str, raw["requires"].get(kind, ()))) for kind in _KINDS}
    verdicts = {str(name): Status(status).value for name, status in raw["verdicts"].items()}
    return {"produced_by": str(raw["produced_by"]), "requires": requires, "verdicts": verdicts}


def write_lock(lock: Lock, path: str | Path) -> None:
    """Write the lock file whole or not at all."""
    save_parts(Path(path), [lock.to_json().encode()])


def compare(lock: Lock, results: Iterable[CheckResult], folder: Path) -> tuple[Change, ...]:
    """What changed since the lock was written, model by model, bad changes first within each."""
    changes: list[Change] = []
    seen = set()
    for result in results:
        name = model_name(result.file, folder)
        seen.add(name)
        changes += sorted(_changes(name, lock.models.get(name), result), key=lambda change: not change.bad)
    changes += [_change("PT-LK-004", name) for name in sorted(set(lock.models) - seen)]
    return tuple(changes)


def _changes(name: str, before: Mapping[str, Any] | None, result: CheckResult) -> list[Change]:
    if result.error or result.requirements is None:
        return []  # said as an error of the file itself
    if before is None:
        return [_change("PT-LK-001", name)]
    now = locked(result)
    found = []
    for kind, word in _KINDS.items():
        old, new = set(before["requires"][kind]), set(now["requires"][kind])
        found += [_change("PT-LK-002", name, kind=word, item=item) for item in sorted(new - old)]
        found += [_change("PT-LK-005", name, kind=word, item=item) for item in sorted(old - new)]
    for runtime, verdict in result.verdicts.items():
        earlier = before["verdicts"].get(runtime)
        if earlier is not None and verdict.status.rank > Status(earlier).rank:
            found.append(_change("PT-LK-003", name, runtime=runtime, before=earlier, now=verdict.status.value))
    return found


def _change(rule_id: str, model: str, **fields: object) -> Change:
    rule: Rule = RULES[rule_id]
    return Change(rule.id, model, rule.sentence.format_map(fields), rule.gives is not None)


def model_name(file: str, folder: Path) -> str:
    """The file's path relative to the lock's folder, with slashes; as given where it lies elsewhere."""
    try:
        return Path(file).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return Path(file).as_posix()
