"""Own operators: the decorator, its errors, and how a missing operator reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.ops import Registry, operator


def renamed(name: str, overload: str) -> pteron.Program:
    """add.pte with its operator under another name."""
    program = pteron.open(corpus_files.read("1.5.1", "add.pte"))
    plan = program.root.execution_plan[0]
    changed = tuple(dataclasses.replace(o, name=name, overload=overload) for o in plan.operators)
    plan = dataclasses.replace(plan, operators=changed)
    return program.replace(root=dataclasses.replace(program.root, execution_plan=(plan,)))


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_missing_operator_is_named() -> None:
    with pytest.raises(pteron.MissingOperatorError) as error:
        _ = pteron.load(renamed("acme::blend", "out")).forward
    assert error.value.operators == ("acme::blend.out",)
    assert "no kernel for acme::blend.out" in str(error.value)
    assert error.value.et_error == 0x14


def test_an_own_operator_runs() -> None:
    registry = Registry()

    @operator(
        "acme::blend(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        out="out",
        owner="Acme",
        version="2",
        promise="two years",
        registry=registry,
    )
    def blend(self: np.ndarray, other: np.ndarray, alpha: float) -> np.ndarray:
        return self * 100 + other * alpha

    (output,) = pteron.load(renamed("acme::blend", "out"), operators=registry).forward(X, X)
    np.testing.assert_array_equal(output, X * 101)
    entry = registry.get("acme::blend.out")
    assert (entry.owner, entry.version, entry.promise) == ("Acme", "2", "two years")


def test_a_kernel_that_fails_is_an_execution_error() -> None:
    registry = Registry()

    @operator("acme::blend(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out="out", registry=registry)
    def blend(self: np.ndarray) -> np.ndarray:
        raise RuntimeError("no luck")

    module = pteron.load(renamed("acme::blend", "out"), operators=registry)
    with pytest.raises(pteron.ExecutionError, match=r"instruction 0 \(acme::blend.out\): .*RuntimeError: no luck"):
        module.forward(X, X)


def test_another_argument_list_is_refused() -> None:
    registry = Registry()

    @operator("acme::blend(Tensor self, Tensor other) -> Tensor", out="out", registry=registry)
    def blend(self: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self + other

    with pytest.raises(pteron.LoadError, match="is called with 5 arguments, it takes 4"):
        _ = pteron.load(renamed("acme::blend", "out"), operators=registry, verify=False).forward


def test_declaration_errors() -> None:
    registry = Registry()
    with pytest.raises(ValueError, match="not an operator schema"):
        operator("nonsense", registry=registry)
    with pytest.raises(ValueError, match=r"parameters \['other'\] are not in"):
        operator("acme::one(Tensor self) -> Tensor", registry=registry)(lambda other: other)
    operator("acme::one(Tensor self) -> Tensor", registry=registry)(lambda self: self)
    with pytest.raises(ValueError, match="registered twice"):
        operator("acme::one(Tensor self) -> Tensor", registry=registry)(lambda self: self + 1)


def test_packages_offer_operators_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_operators.py").write_text(
        "from pteron.ops import operator\n"
        "@operator('acme::twice(Tensor self) -> Tensor', out='out', owner='Acme')\n"
        "def twice(self):\n    return self * 2\n"
    )
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pteron.operators]\nacme = acme_operators\nbroken = no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        with pytest.warns(UserWarning, match="operators of no_such_module cannot be loaded: ModuleNotFoundError"):
            assert Registry((), "pteron.operators").get("nothing") is None
        entry = pteron.operators.get("acme::twice.out")
        assert entry is not None
        assert entry.owner == "Acme"
    finally:
        pteron.operators.remove("acme::twice.out")
