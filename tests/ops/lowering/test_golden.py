"""Every recorded operator case through its lowering, run by ONNX Runtime, or declined with a reason.

Results are held to the recorded ones. Arguments are tried as inputs, as constants and as inputs of symbolic sizes,
since a lowering may take another way for each.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from one_node import run

from golden import GoldenCase, cases, families
from pteron.ops import REGISTRY
from pteron.ops.lowering import Declined, lowered_names

# Float32 results of ONNX Runtime's approximations (tanh, erf, exp) against torch's.
RTOL, ATOL = 1e-4, 1e-5


def non_finite(case: GoldenCase) -> bool:
    """Whether an argument holds NaN or infinities.

    ONNX Runtime's MaxPool passes over NaN; Resize and the products that average unequal windows weigh infinities by 0.
    """
    arrays = [x for x in case.args.values() if isinstance(x, np.ndarray)]
    return any(not np.isfinite(x.astype(np.float64)).all() for x in arrays if x.dtype.kind in "fV")


# Operators whose lowering differs where the input is not finite, which the reference kernels reproduce.
FINITE_ONLY = {
    "aten::_adaptive_avg_pool2d.out",
    "aten::max_pool2d_with_indices.out",
    "aten::upsample_bilinear2d.vec_out",
}


def check(actual: object, expected: object, case: GoldenCase) -> None:
    if isinstance(expected, list):
        assert isinstance(actual, list)
        for a, e in zip(actual, expected, strict=True):
            check(a, e, case)
        return
    a, e = np.asarray(actual), np.asarray(expected)
    assert a.shape == e.shape
    if isinstance(expected, np.ndarray):
        assert a.dtype == e.dtype, f"dtype {a.dtype} instead of {e.dtype}"
    if a.dtype == ml_dtypes.bfloat16:
        a, e = a.astype(np.float32), e.astype(np.float32)
    if a.dtype.kind in "fc":
        np.testing.assert_allclose(a, e, rtol=max(case.rtol, RTOL), atol=max(case.atol, ATOL), equal_nan=True)
    else:
        np.testing.assert_array_equal(a, e)


def expected_of(case: GoldenCase) -> list[object]:
    """Results as a lowering gives them: after its own, those arguments that the operator writes."""
    operator = REGISTRY.get(case.op)
    assert operator is not None
    if any(result.writes for result in operator.functional.returns):
        return case.results or list(case.written.values())
    return [*case.results, *case.written.values()]


@pytest.mark.parametrize("way", ["inputs", "constants", "dynamic"])
@pytest.mark.parametrize("family", families())
def test_golden(family: str, way: str) -> None:
    failures = []
    for case in cases(family):
        if case.op in FINITE_ONLY and non_finite(case):
            continue
        expected = expected_of(case)
        if not expected:
            continue
        try:
            results = run(case.op, case.args, expected, constant=way == "constants", dynamic=way == "dynamic")
            check(results, expected, case)
        except Declined as reason:
            if not str(reason):
                failures.append(f"{case}: declined without a reason")
        except Exception as error:
            failures.append(f"{case}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    assert not failures, f"{len(failures)} of {len(cases(family))} cases:\n" + "\n".join(failures)


def test_lowerings_are_of_known_operators() -> None:
    """Every lowering names an operator that the registry has, by its functional name."""
    functional = {entry.functional.qualified_name for entry in REGISTRY}
    assert lowered_names() <= functional, sorted(lowered_names() - functional)
    assert len(lowered_names()) > 150


def test_most_cases_are_not_declined() -> None:
    """Declining is for what ONNX Runtime cannot do, not a way out."""
    ran = {"elementwise": 0, "all": 0}
    for family in ("binary", "unary", "activation", "comparison", "shape", "split", "reduction"):
        for case in cases(family):
            ran["all"] += 1
            try:
                run(case.op, case.args, case.results)
            except Declined:
                continue
            ran["elementwise"] += 1
    assert ran["elementwise"] > 0.8 * ran["all"]
