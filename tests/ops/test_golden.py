"""Every recorded operator case, called functionally, against the results recorded for it."""

import ml_dtypes
import numpy as np
import pytest

from golden import GoldenCase, cases, families
from pteron.ops import REGISTRY
from pteron.ops.invoke import call


def check(actual: object, expected: object, case: GoldenCase) -> None:
    if isinstance(expected, list):
        assert isinstance(actual, list | tuple)
        assert len(actual) == len(expected)
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
        np.testing.assert_allclose(a, e, rtol=case.rtol, atol=case.atol, equal_nan=True)
    else:
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("family", families())
def test_golden(family: str) -> None:
    failures = []
    for case in cases(family):
        operator = REGISTRY.get(case.op)
        assert operator is not None, case.op
        try:
            check(list(call(operator, case.args, out_dtype=case.out_dtype)), case.results, case)
            check([case.args[name] for name in case.written], list(case.written.values()), case)
        except Exception as error:
            failures.append(f"{case}: {type(error).__name__}: {str(error).strip()[:300]}")
    assert not failures, f"{len(failures)} of {len(cases(family))} cases:\n" + "\n".join(failures)
