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


def test_weights_in_memory_count(model: Path) -> None:
    """Programs that are no files have entries, too, and another weight makes another one."""
    content = model.read_bytes()
    (x,) = CASE.calls()[0].inputs
    for _ in range(2):
        first = pteron.load(content, engine="onnxruntime", threads=1).forward(x)[0]
        np.testing.assert_allclose(first, CASE.calls()[0].outputs[0], rtol=1e-3, atol=1e-4)
        assert len(entries(model)) == 1
    changed = bytearray(content)
    header = pteron.open(content).header
    assert header is not None
    start = header.segment_base_offset
    changed[start : start + 4096] = bytes(4096)
    second = pteron.load(bytes(changed), engine="onnxruntime", threads=1).forward(x)[0]
    assert len(entries(model)) == 2
    expected = pteron.load(bytes(changed), engine="reference").forward(x)[0]
    np.testing.assert_allclose(second, expected, rtol=1e-3, atol=1e-4)
    assert not np.allclose(first, second)


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


READ_ONLY = """
import ctypes, os, sys
import numpy as np, pteron
from pteron.runtime.onnx_engine import cache
cache.MIN_NODES, cache.SETTLED = 1, -60.0
if os.geteuid() == 0:  # root may write anywhere, unless it gives its capabilities up
    assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
try:
    open(os.path.join(os.environ["PTERON_CACHE"], "onnx", "probe"), "w")
    sys.exit("the folder can be written")
except PermissionError:
    pass
method = pteron.load(sys.argv[1], engine="onnxruntime", threads=1).forward
np.save(sys.argv[3], method(np.load(sys.argv[2]))[0])
print(type(method).__name__)
"""


@pytest.mark.parametrize(("filled", "kind"), [(False, "OnnxMethod"), (True, "RecalledMethod")])
def test_a_folder_that_can_only_be_read(
    model: Path, filled: bool, kind: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in it is used; nothing is written, and nothing fails."""
    monkeypatch.setattr(cache_module, "SETTLED", -60.0)
    folder = model.parent / "cache" / "onnx"
    folder.mkdir(parents=True)
    if filled:
        run(model)
    call = CASE.calls()[0]
    out = tmp_path_factory.mktemp("out") / "out.npy"
    given = out.with_name("in.npy")
    np.save(given, call.inputs[0])
    before = everything(folder)
    folders = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    try:
        command = [sys.executable, "-c", READ_ONLY, str(model), str(given), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path in folders:
            path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [kind]
    np.testing.assert_allclose(np.load(out), call.outputs[0], rtol=1e-3, atol=1e-4)
    assert everything(folder) == before


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LIMITED = """
import resource, signal, sys
import numpy as np, pteron
from pteron.runtime.onnx_engine import cache
cache.MIN_NODES, cache.SETTLED = 1, -60.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
x = np.load(sys.argv[2])
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
np.save(sys.stdout.buffer, pteron.load(sys.argv[1], engine="onnxruntime", threads=1).forward(x)[0])
"""


@pytest.mark.parametrize("limit", [16, 2048, 10_000])
def test_a_full_disk(model: Path, limit: int) -> None:
    """Writes fail after some bytes, in notes, in the model or in its weights; the answer is right, nothing is left."""
    call = CASE.calls()[0]
    given = model.parent / "in.npy"
    np.save(given, call.inputs[0])
    command = [sys.executable, "-c", LIMITED, str(model), str(given), str(limit)]
    done = subprocess.run(command, capture_output=True, check=True)
    output = np.frombuffer(done.stdout[-call.outputs[0].nbytes :], np.float32).reshape(call.outputs[0].shape)
    np.testing.assert_allclose(output, call.outputs[0], rtol=1e-3, atol=1e-4)
    assert not entries(model)
    left = everything(model.parent / "cache" / "onnx")
    assert not [name for name, content in left.items() if "-" in Path(name).name or not content]
    run(model)
    run(model)
    assert len(entries(model)) == 1


KILLED = """
import os, sys
import pteron
from pteron.runtime.onnx_engine import cache
cache.MIN_NODES = 1
moment = sys.argv[2]
wait = lambda *a: (print("now", flush=True), os.read(0, 1))
if moment == "seal":
    cache.Cache._seal = wait
elif moment == "checksum":
    cache.checksum = wait
elif moment == "rename":
    cache.Path.rename = wait
import numpy as np
pteron.load(sys.argv[1], engine="onnxruntime", threads=1).plan()
"""


@pytest.mark.parametrize("moment", ["seal", "checksum", "rename"])
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


def test_a_process_that_is_killed_at_any_time(model: Path) -> None:
    """Killed while ONNX Runtime writes the model, or before or after: the next one has the right answers."""
    code = KILLED.replace("import numpy as np\n", 'print("now", flush=True)\n')
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        process = subprocess.Popen([sys.executable, "-c", code, str(model), "-"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        run(model)
    whole = [path for path in entries(model) if not path.name.startswith("draft-")]
    assert len(whole) == 1
    assert Cache(whole[0].parent).find(whole[0].name) is not None


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
