"""Recipes: a method opened without lifting it is the same method, and only ever of the same file."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from corpus_files import Case
from pteron.backends.interface import BackendRegistry
from pteron.format.limits import DEFAULT_LIMITS
from pteron.ops.registry import FAMILIES, Registry
from pteron.runtime.onnx_engine import cache as cache_module
from pteron.runtime.onnx_engine import recipe as recipe_module
from pteron.runtime.onnx_engine.cache import Cache, default_cache
from pteron.runtime.onnx_engine.method import OnnxMethod
from pteron.runtime.onnx_engine.recalled import RecalledMethod

LATEST = corpus_files.releases()[-1]


def case(name: str) -> Case:
    return next(c for c in corpus_files.models(LATEST) if c.name == name)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, for models however small and files however new."""
    monkeypatch.setenv("PTERON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_module, "MIN_NODES", 1)
    monkeypatch.setattr(cache_module, "SETTLED", -60.0)
    return tmp_path / "cache" / "onnx"


def written(recorded: Case, folder: Path) -> Path:
    path = folder / Path(recorded.name).name
    path.write_bytes(recorded.read())
    return path


def load(path: Path, **options: Any) -> Any:
    """The method ``forward``, by a module of its own."""
    return pteron.load(path, engine="onnxruntime", **{"threads": 1, **options}).forward


def check(method: Any, recorded: Case) -> None:
    for call in recorded.calls():
        outputs = method(*call.inputs)
        for actual, expected in zip(outputs, call.outputs, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=recorded.rtol, atol=recorded.atol)


@pytest.mark.parametrize(
    "name", ["lenet.pte", "xnnpack_lenet.pte", "xnnpack_int8_linear.pte", "dynamic_mlp.pte", "xnnpack_int8_convnet.pte"]
)
def test_what_is_recalled_is_the_same_method(name: str, tmp_path: Path) -> None:
    recorded = case(name)
    path = written(recorded, tmp_path)
    first = load(path)
    assert isinstance(first, OnnxMethod)
    check(first, recorded)
    second = load(path)
    assert isinstance(second, RecalledMethod)
    check(second, recorded)
    assert str(second.plan()) == str(first.plan())
    seen: list[str] = []
    call = recorded.calls()[0]
    traced = second.execute(call.inputs, lambda name, seconds: seen.append(name))
    assert len(seen) == 1
    for actual, expected in zip(traced, first.execute(call.inputs), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_it_refuses_the_same_inputs_in_the_same_words(tmp_path: Path) -> None:
    recorded = case("lenet.pte")
    path = written(recorded, tmp_path)
    first = load(path)
    (x,) = recorded.calls()[0].inputs
    first(x)
    second = load(path)
    assert isinstance(second, RecalledMethod)
    for wrong in ([], [x, x], [x[:, :, 1:]], [x.astype(np.float64)], ["x"], [None]):
        with pytest.raises(pteron.InputError) as by_first:
            first(*wrong)
        with pytest.raises(pteron.InputError) as by_second:
            second(*wrong)
        assert str(by_second.value) == str(by_first.value)
    np.testing.assert_array_equal(second(np.asfortranarray(x))[0], first(x)[0])


IMPORTS = """
import sys
import pteron
pteron.load(sys.argv[1], engine="onnxruntime").forward
print(*[name for name in sys.modules if name.startswith("pteron.")])
"""


def test_a_hit_imports_neither_lifting_nor_lowering_nor_the_backend(tmp_path: Path) -> None:
    recorded = case("xnnpack_lenet.pte")
    path = written(recorded, tmp_path)
    check(load(path), recorded)
    done = subprocess.run([sys.executable, "-c", IMPORTS, str(path)], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert "pteron.runtime.onnx_engine.recalled" in imported
    apart = ("pteron.graph", "pteron.ops.lowering", "pteron.ops.activation", "pteron.backends.xnnpack.backend")
    assert not [name for name in imported if name.startswith(apart)]


def test_another_file_under_the_same_name_is_not_taken_for_the_first(tmp_path: Path) -> None:
    """Not even one of the same size and time."""
    recorded = case("lenet.pte")
    path = written(recorded, tmp_path)
    check(load(path), recorded)
    stat = path.stat()
    content = path.read_bytes()
    weight = max(recorded_weights(path), key=len)
    place = content.index(weight)
    path.write_bytes(content[:place] + bytes(len(weight)) + content[place + len(weight) :])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    changed = load(path)
    assert isinstance(changed, OnnxMethod)
    (x,) = recorded.calls()[0].inputs
    expected = pteron.load(path.read_bytes(), engine="reference").forward(x)[0]
    np.testing.assert_allclose(changed(x)[0], expected, rtol=1e-3, atol=1e-4)
    assert not np.allclose(expected, recorded.calls()[0].outputs[0], rtol=1e-3, atol=1e-4)
    path.write_bytes(content)
    back = load(path)
    check(back, recorded)
    assert isinstance(load(path), RecalledMethod)


def recorded_weights(path: Path) -> list[bytes]:
    program = pteron.open(path)
    place = program.root.constant_segment
    assert place is not None
    data = program.segment_data[place.segment_index]
    return [bytes(data[a:b]) for a, b in itertools.pairwise([*(place.offsets or ()), len(data)])]


def test_a_file_that_changed_just_now_is_read_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change once more without getting another time."""
    monkeypatch.setattr(cache_module, "SETTLED", 3600.0)
    recorded = case("lenet.pte")
    path = written(recorded, tmp_path)
    for _ in range(2):
        method = load(path)
        assert isinstance(method, OnnxMethod)
        check(method, recorded)
    assert not list(cache.glob("files/*"))


def test_a_copy_shares_the_recipe(tmp_path: Path, cache: Path) -> None:
    recorded = case("lenet.pte")
    check(load(written(recorded, tmp_path)), recorded)
    (tmp_path / "copy").mkdir()
    copy = written(recorded, tmp_path / "copy")
    check(load(copy), recorded)
    assert isinstance(load(copy), RecalledMethod)
    assert len([note for note in cache.glob("recipes/*") if note.stat().st_size]) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "other"])
@pytest.mark.parametrize("what", ["recipes/*", "files/*", "*/model.onnx", "*/weights.bin", "*/seal.json"])
def test_damage(what: str, damage: str, tmp_path: Path, cache: Path) -> None:
    recorded = case("lenet.pte")
    path = written(recorded, tmp_path)
    check(load(path), recorded)
    (target,) = (found for found in cache.glob(what) if found.stat().st_size)
    content = bytearray(target.read_bytes())
    match damage:
        case "flip":
            content[len(content) // 2] ^= 0x40
        case "cut":
            del content[len(content) // 2 :]
        case "empty":
            content.clear()
        case "other":
            content[:] = b"[1, 2]\n{}"
    target.unlink()
    if damage != "gone":
        target.write_bytes(content)
    check(load(path), recorded)
    check(load(path), recorded)
    healed = load(path)
    check(healed, recorded)
    assert isinstance(healed, RecalledMethod)


def test_damaged_notes_do_not_make_two_files_one(tmp_path: Path, cache: Path) -> None:
    """As a disk leaves them that lost its power: all of their length, and empty."""
    paths = [written(case(name), tmp_path) for name in ("lenet.pte", "mlp.pte")]
    for _ in range(2):
        for path in paths:
            check(load(path), case(path.name))
        for note in cache.glob("files/*"):
            note.write_bytes(bytes(note.stat().st_size))
    for path in paths:
        check(load(path), case(path.name))


def test_only_the_usual_surroundings_are_recalled(tmp_path: Path) -> None:
    recorded = case("lenet.pte")
    path = written(recorded, tmp_path)
    check(load(path), recorded)
    assert isinstance(load(path), RecalledMethod)
    for options in (
        {"operators": Registry(FAMILIES)},
        {"limits": replace(DEFAULT_LIMITS, max_instructions=10**6)},
        {"cache": False},
    ):
        try:
            method = load(path, **options)
        except pteron.MissingOperatorError:  # a registry of one's own starts empty
            continue
        assert isinstance(method, OnnxMethod)
    for source in (path.read_bytes(), pteron.open(path)):
        assert isinstance(pteron.load(source, engine="onnxruntime").forward, OnnxMethod)


def test_not_where_operators_or_backends_were_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = case("xnnpack_lenet.pte")
    path = written(recorded, tmp_path)
    check(load(path), recorded)
    assert isinstance(load(path, backends=BackendRegistry()), RecalledMethod)

    from pteron.backends.xnnpack.backend import XnnpackBackend

    class Own(XnnpackBackend):
        pass

    backends = BackendRegistry()
    backends.unregister("XnnpackBackend")
    assert not backends.is_own("XnnpackBackend")
    backends.register(Own())
    assert not backends.is_own("XnnpackBackend")
    assert isinstance(load(path, backends=backends), OnnxMethod)
    monkeypatch.setattr(pteron.operators, "reduced", True)
    assert isinstance(load(path), OnnxMethod)


def test_a_registry_remembers_that_an_operator_was_removed() -> None:
    registry = Registry()
    registry.add(next(iter(pteron.operators)))
    assert not registry.reduced
    registry.remove(next(iter(registry)).name)
    assert registry.reduced


def test_every_method_has_its_own(tmp_path: Path) -> None:
    recorded = case("multi_method.pte")
    path = written(recorded, tmp_path)
    for kind in (OnnxMethod, RecalledMethod):
        module = pteron.load(path, engine="onnxruntime", threads=1)
        for call in recorded.calls():
            outputs = module[call.method](*call.inputs)
            assert isinstance(module[call.method], kind)
            for actual, expected in zip(outputs, call.outputs, strict=True):
                np.testing.assert_allclose(actual, expected, rtol=recorded.rtol, atol=recorded.atol)


def test_another_state_of_the_sources_has_other_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = case("lenet.pte")
    path = written(recorded, tmp_path)
    check(load(path), recorded)
    assert isinstance(load(path), RecalledMethod)
    monkeypatch.setattr(recipe_module, "_sources", lambda: "another")
    assert isinstance(load(path), OnnxMethod)


def test_a_note_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    note = tmp_path / "recipes" / "note"
    cache.write_note(note, b"first")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    cache.write_note(note, b"second")
    assert [path.read_bytes() for path in note.parent.iterdir()] == [b"first"]


def test_notes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_NOTES", 3)
    cache = default_cache()
    assert cache is not None
    for number in range(5):
        note = cache.folder / "files" / str(number)
        cache.write_note(note, b"x")
        os.utime(note, (number, number))
    cache._shrink()
    assert sorted(path.name for path in (cache.folder / "files").iterdir()) == ["2", "3", "4"]
