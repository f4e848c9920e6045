"""Measuring: what is timed, how often, and how much memory was resident."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.errors import ExecutionError
from pteron.runtime.benchmark import Measured, _Calls, measure
from pteron.runtime.engines import EngineName
from pteron.runtime.resident import Peak, resident_bytes


def measured(name: str, engine: EngineName = "auto", **options: Any) -> Measured:
    call = next(case for case in corpus_files.models("1.5.1") if case.name == name).calls()[0]
    return measure(
        corpus_files.read("1.5.1", name), lambda _: call.method, lambda *_: call.inputs, engine=engine, **options
    )


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_so_many_calls_as_asked_for(engine: EngineName) -> None:
    found = measured("add.pte", engine, repeat=7)
    assert len(found.call_seconds) == 7
    assert (found.engine, found.plan.engine, found.resets) == (engine, engine, 0)
    assert 0 < min(found.call_seconds) <= found.median_seconds <= found.p90_seconds <= max(found.call_seconds)
    assert min(found.load_seconds, found.first_call_seconds) > 0
    assert found.profile().engine == engine


def test_as_many_as_fit_and_three_at_least() -> None:
    assert len(measured("add.pte", seconds=0).call_seconds) == 3
    assert len(measured("add.pte", seconds=0.05).call_seconds) > 3


def test_p90_is_what_nine_of_ten_do_not_exceed() -> None:
    found = measured("add.pte", repeat=1)
    for count, expected in ((1, 1), (9, 9), (10, 9), (11, 10), (20, 18)):
        times = tuple(float(number) for number in range(count, 0, -1))
        fields = {name: getattr(found, name) for name in found.__dataclass_fields__}
        assert Measured(**{**fields, "call_seconds": times}).p90_seconds == expected


def test_state_that_cannot_go_on_is_put_back() -> None:
    class Counter:
        """Takes three calls."""

        calls = resets = 0

        def __call__(self) -> list[Any]:
            if self.calls == 3:
                raise ExecutionError("out of range")
            self.calls += 1
            return []

        def reset(self) -> None:
            self.calls, self.resets = 0, self.resets + 1

    counter: Any = Counter()
    calls = _Calls(counter, [])
    for _ in range(10):
        calls.time()
    assert calls.resets == counter.resets == 3


def test_a_call_that_never_works_is_an_error() -> None:
    data = corpus_files.read("1.5.1", "embedding_mean.pte")
    (info,) = pteron.open(data).methods["forward"].inputs
    assert info.scalar_type is not None
    beyond = np.full(info.shape, 1 << 20, info.scalar_type.dtype)
    with pytest.raises(pteron.ExecutionError):
        measure(data, lambda _: "forward", lambda *_: [beyond], engine="reference")


def test_resident_memory() -> None:
    """In a process of its own, where nothing else takes memory."""
    if not Path("/proc/self/status").exists():
        assert resident_bytes() is None
        return
    code = """
import numpy
from pteron.runtime.resident import Peak, resident_bytes
before = resident_bytes()
large = numpy.ones(64 << 20, numpy.uint8)
assert 63 << 20 < resident_bytes() - before < 80 << 20
peak = Peak()
assert peak.growth() < 8 << 20, peak.growth()
more = numpy.ones(32 << 20, numpy.uint8)
del more
print(peak.growth())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 31 << 20 < int(ran.stdout) < 48 << 20


def test_where_the_system_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pteron.runtime.resident._STATUS", tmp_path / "none")
    assert resident_bytes() is None
    growth = Peak().growth()
    assert growth is None if sys.platform == "win32" else growth == 0
