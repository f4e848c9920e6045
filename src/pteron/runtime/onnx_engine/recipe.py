"""Recipes: what is kept of a prepared method, so that the next process opens it without lifting it again.

A method that became one session is known by the entry of the cache that holds its optimised model, the names of the
model's inputs and outputs, and what its nodes were made from. A recipe is found under a digest of all that the way
there depends on: the content of the program's file, the method's name, the source files of Pteron and the versions.
So a hit skips reading delegates' payloads, lifting, the passes and the lowering, and none of their modules is imported.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pteron.format.limits import DEFAULT_LIMITS
from pteron.ops import REGISTRY
from pteron.runtime.onnx_engine.cache import Cache, surroundings

if TYPE_CHECKING:
    from pteron.format.method import Method
    from pteron.format.program import Program
    from pteron.format.source import FileIdentity
    from pteron.runtime.settings import Settings

FOLDER = "recipes"


@dataclass(frozen=True, slots=True)
class NodeOrigin:
    """What a node of the graph was made from."""

    op: str
    source: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to open a method that is one session.

    ``entry``: the key of the optimised model. ``inputs``: for each input of the method its name in the model, None for
    one that is not used. ``outputs``: the model's names of the results in order. ``nodes``: of the graph, in order,
    for the plan and for messages. ``parallel``: whether it may use more than one thread; ``prepack`` as the model's.
    """

    entry: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    nodes: tuple[NodeOrigin, ...]
    block: str
    parallel: bool
    prepack: bool


@dataclass(frozen=True)
class RecipePlace:
    """Where the recipe of one method of one file is, or will be."""

    cache: Cache
    origin: FileIdentity
    method: str
    verified: bool

    def find(self) -> Recipe | None:
        """The recipe, or None where there is none or it is damaged."""
        content = self.cache.known_content(self.origin)
        if content is None:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            seal, _, body = self._path(content).read_bytes().partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() == seal:
                kept = json.loads(body)
                kept["nodes"] = tuple(NodeOrigin(*node) for node in kept["nodes"])
                kept |= {name: tuple(kept[name]) for name in ("inputs", "outputs")}
                return Recipe(**kept)
        return None

    def keep(self, recipe: Recipe) -> None:
        """Keep a recipe; what fails is not told, as nothing but time is lost."""
        with contextlib.suppress(OSError):
            content = self.cache.content(Path(self.origin.path), self.origin)
            if content is None:
                return
            body = json.dumps(
                {
                    "entry": recipe.entry,
                    "inputs": recipe.inputs,
                    "outputs": recipe.outputs,
                    "nodes": [[node.op, node.source] for node in recipe.nodes],
                    "block": recipe.block,
                    "parallel": recipe.parallel,
                    "prepack": recipe.prepack,
                }
            ).encode()
            if self.verified:
                self.cache.write_note(_verified_note(self.cache, content), b"")
            self.cache.write_note(self._path(content), hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    def _path(self, content: str) -> Path:
        named = repr((content, self.method, _sources(), surroundings()))
        return self.cache.folder / FOLDER / hashlib.sha256(named.encode()).hexdigest()[:40]


def recipe_place(program: Program, method: Method, settings: Settings, cache: Cache | None) -> RecipePlace | None:
    """Where a recipe of the method would be; None where more than the file decides what the method becomes.

    That is: programs that are not a whole file as it is on disk, external weights, limits, operators or backends other
    than the usual ones.
    """
    origin = settings.origin
    if cache is None or origin is None or len(program.buffer) != origin.size or settings.external:
        return None
    if program.limits != DEFAULT_LIMITS or settings.operators is not REGISTRY or REGISTRY.reduced:
        return None
    if not all(settings.backends.is_own(backend_id) for backend_id in method.backends):
        return None
    return RecipePlace(cache, origin, method.name, settings.verified)


def verified_before(cache: Cache, origin: FileIdentity) -> bool:
    """Whether the very bytes of a file were verified, by these sources, before a recipe of it was kept."""
    content = cache.known_content(origin)
    return content is not None and not REGISTRY.reduced and _verified_note(cache, content).exists()


def _verified_note(cache: Cache, content: str) -> Path:
    named = repr((content, _sources(), "verified"))
    return cache.folder / FOLDER / hashlib.sha256(named.encode()).hexdigest()[:40]


@functools.cache
def _sources() -> str:
    """What tells one state of Pteron's sources from another: names, sizes and times of the files.

    A version number does not, while Pteron itself is worked on.
    """
    package = Path(__file__).parents[2]
    found: list[Any] = []
    _scan(str(package), found)
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()


# Rooms whose code has no part in preparing a method.
_APART = frozenset({"cli", "compat", "prove", "report", "__pycache__"})


def _scan(folder: str, found: list[Any]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _APART:
                    _scan(entry.path, found)
            elif entry.name.endswith(".py"):
                stat = entry.stat()
                found.append((entry.path, stat.st_size, stat.st_mtime_ns))


def names_of(labels: Sequence[NodeOrigin]) -> dict[str, NodeOrigin]:
    """The nodes under the labels that their ONNX nodes carry."""
    return {f"n{number}": node for number, node in enumerate(labels)}
