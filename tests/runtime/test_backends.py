"""The delegate interface on real delegated files: an own backend, a missing backend, errors inside a backend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.backends.interface import BackendRegistry, DelegateContext, PayloadInfo


class Demo:
    """Runs what ExecuTorch's BackendWithCompilerDemo writes: a list of operators in text, here only sin."""

    id = "BackendWithCompilerDemo"

    def is_available(self) -> bool:
        return True

    def identify(self, payload: memoryview) -> PayloadInfo:
        version = re.match(rb"\d+version:(\d+)#", bytes(payload))
        return PayloadInfo("text", version[1].decode() if version else "")

    def init(self, payload: memoryview, context: DelegateContext) -> SinHandle:
        operators = re.findall(r"op:demo::aten\.(\w+)\.default", bytes(payload).decode())
        if operators != ["sin"]:
            raise pteron.BackendError(f"{context.file}: only sin is known, not {operators}", self.id)
        return SinHandle(context)


class SinHandle:
    def __init__(self, context: DelegateContext) -> None:
        self.context = context
        self.calls = 0

    def execute(self, args: Sequence[Any]) -> None:
        self.calls += 1
        source, target = args
        target.store(np.sin(source.array))

    def reset(self) -> None:
        self.calls = 0


def demo_case(release: str) -> corpus_files.Case:
    return next(c for c in corpus_files.models(release) if c.name == "demo_backend.pte")


@pytest.mark.parametrize("release", corpus_files.releases())
def test_an_own_backend_runs_real_payloads(release: str) -> None:
    backends = BackendRegistry()
    backends.register(Demo())
    case = demo_case(release)
    module = pteron.load(case.read(), backends=backends)
    for call in case.calls():
        np.testing.assert_allclose(module[call.method](*call.inputs)[0], call.outputs[0], rtol=1e-6)
    assert module.methods["forward"].backends == (Demo.id,)


def test_the_context_says_what_the_exporter_said() -> None:
    seen: list[DelegateContext] = []

    class Watching(Demo):
        def init(self, payload: memoryview, context: DelegateContext) -> SinHandle:
            seen.append(context)
            return super().init(payload, context)

    backends = BackendRegistry()
    backends.register(Watching())
    _ = pteron.load(demo_case("1.5.1").read(), backends=backends).forward
    (context,) = seen
    assert context.method == "forward"
    assert context.compile_specs == {"max_value": b"\x04"}


def test_a_missing_backend_is_named() -> None:
    with pytest.raises(pteron.BackendError) as error:
        _ = pteron.load(demo_case("1.5.1").read(), backends=BackendRegistry()).forward
    assert "no backend here runs 'BackendWithCompilerDemo'" in str(error.value)
    assert error.value.backend == "BackendWithCompilerDemo"
    assert error.value.et_error == 0x20


def test_a_backend_that_is_not_available_is_told_from_one_that_is_not_there() -> None:
    class Elsewhere(Demo):
        def is_available(self) -> bool:
            return False

    backends = BackendRegistry()
    backends.register(Elsewhere())
    with pytest.raises(pteron.BackendError, match=r"'BackendWithCompilerDemo' is registered, but says that it is not"):
        _ = pteron.load(demo_case("1.5.1").read(), backends=backends).forward


def test_a_failing_backend_is_an_execution_error() -> None:
    class Failing(SinHandle):
        def execute(self, args: Sequence[Any]) -> None:
            raise ZeroDivisionError("boom")

    class Backend(Demo):
        def init(self, payload: memoryview, context: DelegateContext) -> SinHandle:
            return Failing(context)

    backends = BackendRegistry()
    backends.register(Backend())
    module = pteron.load(demo_case("1.5.1").read(), backends=backends)
    with pytest.raises(pteron.ExecutionError, match="the backend failed with ZeroDivisionError: boom"):
        module.forward(np.zeros((1, 1), np.float32))


def test_a_backend_id_is_taken_once() -> None:
    backends = BackendRegistry()
    backends.register(Demo())
    with pytest.raises(ValueError, match="registered already"):
        backends.register(Demo())
    backends.unregister(Demo.id)
    assert backends.get(Demo.id) is None
