"""The cache of optimised models: right answers whatever happens to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.runtime.onnx_engine import cache as cache_module
from pteron.runtime.onnx_engine.cache import Cache, checksum, default_cache

LATEST = corpus_files.releases()[-1]
CASE = next(c for c in corpus_files.models(LATEST) if c.name == "lenet.pte")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with weights, and a cache folder that is its own."""
    monkeypatch.setenv("PTERON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_module, "MIN_NODES", 1)
    path = tmp_path / "lenet.pte"
    path.write_bytes(CASE.read())
    return path


def run(path: Path, **options: Any) -> None:
    """Load, run, and hold the outputs to the recorded ones."""
    call = CASE.calls()[0]
    outputs = pteron.load(path, engine="onnxruntime", threads=1, **options).forward(*call.inputs)
    np.testing.assert_allclose(outputs[0], call.outputs[0], rtol=1e-3, atol=1e-4)


def entries(path: Path) -> list[Path]:
    folder = path.parent / "cache" / "onnx"
    return [p for p in folder.iterdir() if p.name not in ("files", "recipes")] if folder.exists() else []


def test_an_entry_is_written_once_and_used(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(model)
    (entry,) = entries(model)
    assert sorted(p.name for p in entry.iterdir()) == ["model.onnx", "seal.json", "weights.bin"]
    written = (entry / "model.onnx").stat().st_mtime_ns
    monkeypatch.setattr(Cache, "writing", None)  # would fail if it were called
    run(model)
    assert (entry / "model.onnx").stat().st_mtime_ns == written


def test_another_file_with_the_same_content_shares_the_entry_name_part(model: Path) -> None:
    """The content decides: a copy finds what the first file left, a changed file does not."""
    run(model)
    copy = model.parent / "copy" / "lenet.pte"
    copy.parent.mkdir()
    copy.write_bytes(model.read_bytes())
    run(copy)
    assert len(entries(model)) == 1
    changed = bytearray(model.read_bytes())
    changed[-1] ^= 1
    model.write_bytes(changed)
    pteron.load(model, engine="onnxruntime", threads=1).forward(*CASE.calls()[0].inputs)
    assert len(entries(model)) == 2


def test_switched_off(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(model, cache=False)
    assert not entries(model)
    monkeypatch.setenv("PTERON_CACHE", "0")
    assert default_cache() is None
    run(model)
    assert not entries(model)


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin", "seal.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "zeros"])
def test_a_damaged_entry_is_ignored_and_written_anew(model: Path, name: str, damage: str) -> None:
    run(model)
    (entry,) = entries(model)
    target = entry / name
    content = bytearray(target.read_bytes())
    match damage:
        case "flip":
            content[len(content) // 2] ^= 0x40
        case "cut":
            del content[len(content) // 2 :]
        case "empty":
            content.clear()
        case "zeros":
            content[: len(content) // 2] = bytes(len(content) // 2)
    target.unlink()
    if damage != "gone":
        target.write_bytes(content)
    run(model)
    (entry,) = entries(model)
    seal = json.loads((entry / "seal.json").read_text())
    assert [checksum(entry / n) for n in ("model.onnx", "weights.bin")] == [seal["model.onnx"], seal["weights.bin"]]
    run(model)


def test_a_folder_that_cannot_be_written(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the place of the folder, as permissions do not stop every user."""
    place = model.parent / "taken"
    place.write_text("here first")
    monkeypatch.setenv("PTERON_CACHE", str(place))
    run(model)
    assert place.read_text() == "here first"


LIMITED = """
import resource, signal, sys
import numpy as np, pteron
from pteron.runtime.onnx_engine import cache
cache.MIN_NODES = 1
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
x = np.load(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
np.save(sys.stdout.buffer, pteron.load(sys.argv[1], engine="onnxruntime", threads=1).forward(x)[0])
"""


def test_a_full_disk(model: Path) -> None:
    """Writes fail after two kilobytes; the answer is right and nothing of the entry is left."""
    call = CASE.calls()[0]
    given = model.parent / "in.npy"
    np.save(given, call.inputs[0])
    done = subprocess.run([sys.executable, "-c", LIMITED, str(model), str(given)], capture_output=True, check=True)
    output = np.frombuffer(done.stdout[-call.outputs[0].nbytes :], np.float32).reshape(call.outputs[0].shape)
    np.testing.assert_allclose(output, call.outputs[0], rtol=1e-3, atol=1e-4)
    assert not entries(model)


KILLED = """
import os, sys
import pteron
from pteron.runtime.onnx_engine import cache
cache.MIN_NODES = 1
moment = sys.argv[2]
if moment == "seal":
    cache.Cache._seal = lambda *a: (print("now", flush=True), os.read(0, 1))
else:
    find = cache.checksum
    cache.checksum = lambda path: (print("now", flush=True), os.read(0, 1))
import numpy as np
pteron.load(sys.argv[1], engine="onnxruntime", threads=1).plan()
"""


@pytest.mark.parametrize("moment", ["seal", "checksum"])
def test_a_process_that_is_killed_while_writing(model: Path, moment: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(model), moment], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.close()
    (draft,) = entries(model)
    assert draft.name.startswith("draft-")
    run(model)
    run(model)
    assert len([p for p in entries(model) if not p.name.startswith("draft-")]) == 1
    # A draft that nobody finished goes with the next entry that is written, once it is old.
    old = time.time() - 2 * cache_module.STALE
    os.utime(draft, (old, old))
    Cache(draft.parent)._shrink()
    assert not draft.exists()


MANY = """
import sys
import numpy as np, pteron
from pteron.runtime.onnx_engine import cache
cache.MIN_NODES = 1
x = np.load(sys.argv[2])
for _ in range(3):
    np.save(sys.argv[3], pteron.load(sys.argv[1], engine="onnxruntime", threads=1).forward(x)[0])
"""


def test_many_processes_at_once(model: Path) -> None:
    call = CASE.calls()[0]
    given = model.parent / "in.npy"
    np.save(given, call.inputs[0])
    results = [model.parent / f"out{n}.npy" for n in range(4)]
    running = [
        subprocess.Popen([sys.executable, "-c", MANY, str(model), str(given), str(result)]) for result in results
    ]
    assert [process.wait() for process in running] == [0] * len(running)
    for result in results:
        np.testing.assert_allclose(np.load(result), call.outputs[0], rtol=1e-3, atol=1e-4)
    (entry,) = entries(model)
    assert not entry.name.startswith("draft-")


def test_the_size_is_bounded(tmp_path: Path) -> None:
    """The entries that were not used for the longest time go first; what alone is too large never enters."""
    cache = Cache(tmp_path, limit=100_000)

    def put(name: str, size: int) -> None:
        with cache.writing(name) as draft:
            assert draft is not None
            (draft / "model.onnx").write_bytes(bytes(100))
            (draft / "weights.bin").write_bytes(bytes(size))

    for number, name in enumerate("abcd"):
        put(name, 30_000)
        os.utime(tmp_path / name, (1000 + number, 1000 + number)) if (tmp_path / name).exists() else None
        if name == "c":
            assert cache.find("a") is not None  # used just now
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "c", "d"]
    put("huge", 60_000)
    assert not (tmp_path / "huge").exists()


def test_checksum_sees_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for size in (0, 1, 7, 8, 65_535, 65_536, 200_001):
        content = bytearray(np.random.default_rng(size).bytes(size))
        path.write_bytes(content)
        whole = checksum(path)
        for place in {0, size // 3, size - 1} if size else set():
            content[place] ^= 1
            path.write_bytes(content)
            assert checksum(path) != whole
            content[place] ^= 1
