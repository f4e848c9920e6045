"""Quantised embeddings against rows packed and dequantised one number at a time."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pteron.errors import KernelError
from pteron.format.scalar_type import ScalarType
from pteron.ops import REGISTRY
from pteron.ops.invoke import call

TABLES = {"embedding_byte": 8, "embedding_4bit": 4, "embedding_2bit": 2}
FLOATS = {
    "float32": (ScalarType.FLOAT, 1e-6),
    "float16": (ScalarType.HALF, 2e-3),
    "bfloat16": (ScalarType.BFLOAT16, 2e-2),
}


def run(name, *args):
    operator = REGISTRY.get(f"quantized_decomposed::{name}")
    assert operator is not None
    names = [a.name for a in operator.functional.arguments]
    (result,) = call(operator, dict(zip(names, args, strict=False)))
    return result


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name) if name == "bfloat16" else name)


def pack(numbers, bits):
    """The bytes of a row of signed numbers."""
    if bits == 8:
        return numbers
    if bits == 4:
        return [16 * (numbers[i] + 8) + numbers[i + 1] + 8 for i in range(0, len(numbers), 2)]
    return [sum((numbers[i + j] + 2) * 4**j for j in range(4)) for i in range(0, len(numbers), 4)]


@pytest.mark.parametrize("table", TABLES)
@given(data=st.data(), kind=st.sampled_from(sorted(FLOATS)), target=st.sampled_from([None, *sorted(FLOATS)]))
@settings(max_examples=40)
def test_lookup(table, data, kind, target):
    bits = TABLES[table]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rows, groups, per_group = (data.draw(st.integers(1, n)) for n in (4, 3, 2))
    columns = groups * per_group * 4
    values = [data.draw(st.lists(st.integers(low, high), min_size=columns, max_size=columns)) for _ in range(rows)]
    weight = np.array([pack(row, bits) for row in values], np.int8 if bits == 8 else np.uint8)
    one_dimension = groups == 1 and data.draw(st.booleans())
    shape = (rows,) if one_dimension else (rows, groups)
    count = rows * groups
    scales, zeros = (
        np.array(data.draw(st.lists(numbers, min_size=count, max_size=count)), np.float32).astype(dtype(kind))
        for numbers in (st.floats(0.0078125, 2, width=16), st.integers(-3, 3))
    )
    with_zeros = data.draw(st.booleans())
    indices = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=4)), np.int64)
    given_zeros = zeros.reshape(shape) if with_zeros else None
    arguments = (weight, scales.reshape(shape), given_zeros, low, high, indices)
    if target is None:
        result = run(f"{table}.out", *arguments)
    else:
        result = run(f"{table}.dtype_out", *arguments, int(FLOATS[target][0]))
    assert result.shape == (len(indices), columns)
    assert result.dtype == dtype(target or kind)
    tolerance = max(FLOATS[kind][1], FLOATS[target or kind][1])
    for i, j in itertools.product(range(len(indices)), range(columns)):
        row = int(indices[i])
        group = row * groups + j // (per_group * 4)
        zero = float(zeros[group]) if with_zeros else 0
        expected = (values[row][j] - zero) * float(scales[group])
        assert math.isclose(result[i, j], expected, rel_tol=tolerance, abs_tol=1e-6)


@pytest.mark.parametrize("table", TABLES)
def test_index_shapes_and_views(table):
    rows = np.arange(6, dtype=np.uint8).reshape(3, 2)
    scales = np.array([1, 2, 4], np.float32)
    for weight in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2]):
        columns = 2 * 8 // TABLES[table]
        plain = run(f"{table}.out", weight, scales, None, -8, 7, np.array([0, 1, 2]))
        grid = run(f"{table}.out", weight, scales, None, -8, 7, np.array([[2, 0], [1, 1]], np.int32))
        assert grid.shape == (2, 2, columns)
        assert grid.tolist() == [[plain[2].tolist(), plain[0].tolist()], [plain[1].tolist(), plain[1].tolist()]]
        assert run(f"{table}.out", weight, scales, None, -8, 7, np.array(1)).tolist() == plain[1].tolist()
        assert run(f"{table}.out", weight, scales, None, -8, 7, np.zeros((0, 2), int)).shape == (0, 2, columns)


WEIGHT = np.zeros((3, 2), np.uint8)
SCALES = np.ones(3, np.float32)
INDICES = np.array([0, 2])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("overload", ["out", "dtype_out"])
@pytest.mark.parametrize(
    "arguments",
    [
        (WEIGHT[0], SCALES, None, -2, 1, INDICES),
        (WEIGHT.astype(np.int32), SCALES, None, -2, 1, INDICES),
        (WEIGHT, SCALES[:2], None, -2, 1, INDICES),
        (WEIGHT, SCALES.astype(np.int64), None, -2, 1, INDICES),
        (WEIGHT, np.ones((3, 3), np.float32), None, -2, 1, INDICES),
        (WEIGHT, np.ones((3, 0), np.float32), None, -2, 1, INDICES),
        (WEIGHT, SCALES, SCALES[:2], -2, 1, INDICES),
        (WEIGHT, SCALES, None, 1, -2, INDICES),
        (WEIGHT, SCALES, None, -2, 1, np.array([3])),
        (WEIGHT, SCALES, None, -2, 1, np.array([-1])),
        (WEIGHT, SCALES, None, -2, 1, np.array([0.0])),
    ],
)
def test_refusals(table, overload, arguments):
    with pytest.raises(KernelError):
        run(f"{table}.{overload}", *arguments)


@pytest.mark.parametrize("table", ["embedding_4bit", "embedding_2bit"])
def test_packed_weights_are_unsigned(table):
    with pytest.raises(KernelError, match="uint8"):
        run(f"{table}.out", WEIGHT.view(np.int8), SCALES, None, -2, 1, INDICES)


def test_a_dtype_that_is_not_floating_is_refused():
    with pytest.raises(KernelError, match="int8"):
        run("embedding_byte.dtype_out", WEIGHT, SCALES, None, -2, 1, INDICES, int(ScalarType.CHAR))
