"""Matrix products and distances against sums over Python numbers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import FLOATS, INF, INTEGERS, NAN, SPECIAL, arrays, run

from pteron.errors import KernelError

COMPLEX = np.dtype(np.complex64)
DTYPES = (*FLOATS, *INTEGERS, COMPLEX)


@st.composite
def matrices(draw, *shapes, dtypes=DTYPES):
    """Matrices of the shapes, given as names of sizes, of one dtype and in any layout."""
    sizes = {name: draw(st.integers(0, 4)) for name in sorted(set("".join(shapes)))}
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    drawn = []
    for names in shapes:
        shape = [sizes[name] for name in names]
        x = rng.integers(0 if dtype.kind == "u" else -12, 13, shape)
        x = x.astype(dtype) if dtype.kind in "iu" else (x / 4).astype(dtype)
        if dtype == COMPLEX:
            x = x + 1j * rng.integers(-3, 4, shape).astype(np.float32)
        if draw(st.booleans()):
            x = np.swapaxes(np.ascontiguousarray(np.swapaxes(x, -1, -2)), -1, -2) if x.ndim > 1 else x
        if draw(st.booleans()):
            room = np.zeros([2 * n for n in x.shape], x.dtype)
            view = room[tuple(slice(None, None, 2) for _ in x.shape)]
            view[...] = x
            x = view
        drawn.append(x)
    return drawn


def python(value):
    return value.item() if value.dtype.kind in "iuc" else float(value)


def naive(a, b):
    """The product of two matrices as rows of Python numbers, its sums unbounded."""
    return [
        [sum(python(a[i, k]) * python(b[k, j]) for k in range(a.shape[1])) for j in range(b.shape[1])]
        for i in range(a.shape[0])
    ]


def compare(actual, expected, shape, dtype):
    assert actual.dtype == dtype
    assert actual.shape == tuple(shape)
    flat = [value for row in expected for value in row]
    if dtype.kind in "iu":
        wrapped = [int(v) % (1 << 64) for v in flat]
        np.testing.assert_array_equal(actual.reshape(-1), np.array(wrapped, np.uint64).astype(dtype))
    else:
        rtol = 1e-2 if dtype.itemsize == 2 else 1e-5
        wide = actual.astype(np.complex128 if dtype == COMPLEX else np.float64)
        np.testing.assert_allclose(wide.reshape(-1), np.array(flat, wide.dtype), rtol=rtol, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(ab=matrices("mk", "kn"))
def test_mm(ab):
    a, b = ab
    compare(run("aten::mm.out", a, b), naive(a, b), (a.shape[0], b.shape[1]), a.dtype)


@settings(max_examples=40, deadline=None)
@given(ab=matrices("bmk", "bkn"))
def test_bmm(ab):
    a, b = ab
    expected = [row for x, y in zip(a, b, strict=True) for row in naive(x, y)]
    compare(run("aten::bmm.out", a, b), expected, (*a.shape[:2], b.shape[2]), a.dtype)


@settings(max_examples=80, deadline=None)
@given(
    given=matrices("mn", "mk", "kn", dtypes=(*FLOATS, *INTEGERS)),
    form=st.sampled_from(["full", "row", "column", "zero-dim"]),
    beta=st.sampled_from([0, 1, 2, -3, 0.5, 2.75]),
    alpha=st.sampled_from([0, 1, 2, -3, 0.5, -1.5]),
)
def test_addmm(given, form, beta, alpha):
    added, a, b = given
    shape = added.shape
    if 0 not in shape:
        added = {"full": added, "row": added[0], "column": added[:, :1], "zero-dim": added[0, 0, ...]}[form]
    expected = naive(a, b)
    if a.dtype.kind in "iu":
        scale_added, scale = int(beta), int(alpha)
    else:
        scale_added, scale = beta, alpha
    for i, j in np.ndindex(shape):
        source = added[tuple(0 if n == 1 else x for n, x in zip(added.shape, (i, j)[2 - added.ndim :], strict=True))]
        expected[i][j] = scale_added * python(np.asarray(source)) + scale * expected[i][j]
    compare(run("aten::addmm.out", added, a, b, beta=beta, alpha=alpha), expected, shape, a.dtype)


def test_addmm_drops_a_term_with_factor_zero():
    one, bad = np.ones((2, 2), np.float32), np.full((2, 2), NAN, np.float32)
    assert run("aten::addmm.out", bad, one, one, beta=0).tolist() == [[2, 2], [2, 2]]
    assert run("aten::addmm.out", one, bad, one, alpha=0).tolist() == [[1, 1], [1, 1]]


@settings(max_examples=60, deadline=None)
@given(
    given=matrices("mk", "nk", "n"),
    biased=st.booleans(),
    lead=st.sampled_from(["matrix", "vector", "batch", "turned batch"]),
)
def test_linear(given, biased, lead):
    x, weight, bias = given
    shapes = {"batch": (1, x.shape[0], 1, x.shape[1]), "vector": x.shape[1:], "matrix": x.shape}
    if lead == "turned batch":
        x = np.stack([x, x]).transpose(1, 0, 2)
    elif lead != "vector" or x.shape[0]:
        x = (x[0] if lead == "vector" else x).reshape(shapes[lead])
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    expected = naive(rows, weight.T)
    if biased:
        expected = [[v + python(b) for v, b in zip(row, bias, strict=True)] for row in expected]
    compare(
        run("aten::linear.out", x, weight, bias if biased else None),
        expected,
        (*x.shape[:-1], weight.shape[0]),
        x.dtype,
    )


@settings(max_examples=20, deadline=None)
@given(given=matrices("mk", "nk", "n", "mn", "mn", dtypes=[np.dtype(np.float32)]), biased=st.booleans())
def test_linear_scratch_example(given, biased):
    x, weight, bias, out, scratch = given
    result = run("aten::linear.scratch_example", x, weight, bias if biased else None, out=out, _scratch_tensor=scratch)
    product = naive(x, weight.T)
    compare(scratch, product, scratch.shape, x.dtype)
    expected = [[v + python(b) for v, b in zip(row, bias, strict=True)] for row in product] if biased else product
    compare(out, expected, out.shape, x.dtype)
    compare(result, expected, out.shape, x.dtype)


@pytest.mark.parametrize("dtype", [*INTEGERS, np.dtype(np.int16)], ids=str)
def test_integer_products_wrap(dtype):
    """Beyond the width of the type, and beyond what a float64 could hold."""
    limits = np.iinfo(dtype)
    a = np.array([[limits.max, limits.min, limits.max], [1, limits.max - 1, 3]], dtype)
    compare(run("aten::mm.out", a, a.T), naive(a, a.T), (2, 2), dtype)


def norm(a, b, p):
    """The distance of two rows of Python numbers."""
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
    if p == 0:
        return float(sum(g > 0 for g in gaps))
    if p == INF:
        return max(gaps, default=0.0)
    return math.fsum(g**p for g in gaps) ** (1 / p)


NORMS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, INF])


@settings(max_examples=60, deadline=None)
@given(given=matrices("ank", "bmk", dtypes=FLOATS), p=NORMS, mode=st.sampled_from([None, 0, 1, 2]))
def test_cdist(given, p, mode):
    x, y = given[0][:, None], given[1]
    expected = [
        [norm([*map(python, row)], [*map(python, other)], p) for other in second]
        for first, second in itertools.product(given[0], y)
        for row in first
    ]
    shape = (given[0].shape[0], y.shape[0], given[0].shape[1], y.shape[1])
    compare(run("aten::_cdist_forward.out", x, y, p, mode), expected, shape, x.dtype)


@settings(max_examples=60, deadline=None)
@given(given=matrices("nk", dtypes=FLOATS), p=NORMS)
def test_pdist(given, p):
    (x,) = given
    expected = [norm([*map(python, a)], [*map(python, b)], p) for a, b in itertools.combinations(x, 2)]
    compare(run("aten::_pdist_forward.out", x, p), [expected], (len(expected),), x.dtype)


@settings(max_examples=40, deadline=None)
@given(x=arrays(FLOATS[:2], dims=(2, 2), sides=(1, 3), values=SPECIAL), p=NORMS)
def test_distances_with_nan_and_infinity(x, p):
    """NaN in a row makes its distances NaN, but cdist's maximum norm passes over it."""
    among = run("aten::_cdist_forward.out", x, x, p, None)
    pairs = run("aten::_pdist_forward.out", x, p)
    for n, ((i, a), (j, b)) in enumerate(itertools.combinations(enumerate(x.tolist()), 2)):
        gaps = [abs(u - v) for u, v in zip(a, b, strict=True)]
        if any(map(math.isnan, gaps)):
            assert math.isnan(pairs[n])
            if p == INF:
                assert among[i, j] == max([g for g in gaps if g == g], default=0)
            else:
                assert math.isnan(among[i, j])
        else:
            assert math.isclose(among[i, j], norm(a, b, p), rel_tol=1e-5)
            assert math.isclose(pairs[n], norm(a, b, p), rel_tol=1e-5)


def test_many_distances_are_taken_in_blocks():
    x = np.arange(3000, dtype=np.float32).reshape(-1, 1) * 2
    among, pairs = run("aten::_cdist_forward.out", x, x[:100], 2.0, None), run("aten::_pdist_forward.out", x[:700], 1.0)
    assert [among[i, j] for i, j in [(0, 99), (2999, 0), (1500, 7)]] == [198, 5998, 2986]
    assert pairs.shape == (700 * 699 // 2,)
    assert [pairs[0], pairs[698], pairs[699], pairs[-1]] == [2, 1398, 2, 2]


MATRIX = np.zeros((2, 3), np.float32)
TURNED = np.zeros((3, 2), np.float32)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("mm", (MATRIX, MATRIX)),
        ("mm", (MATRIX, TURNED[0])),
        ("mm", (MATRIX, TURNED.astype(np.float64))),
        ("mm", (MATRIX > 0, TURNED > 0)),
        ("mm", (np.zeros((1 << 20, 0), np.float32), np.zeros((0, 1 << 20), np.float32))),
        ("bmm", (MATRIX, TURNED)),
        ("bmm", (MATRIX[None], np.stack([TURNED, TURNED]))),
        ("bmm", (MATRIX[None], MATRIX[None])),
        ("addmm", (MATRIX.astype(np.float64), MATRIX, TURNED)),
        ("addmm", (np.zeros((1, 2, 2), np.float32), MATRIX, TURNED)),
        ("addmm", (np.zeros(3, np.float32), MATRIX, TURNED)),
        ("linear", (MATRIX, TURNED)),
        ("linear", (MATRIX[0, 0, ...], MATRIX)),
        ("linear", (MATRIX, MATRIX[None])),
        ("linear", (MATRIX, MATRIX.astype(np.float16))),
        ("linear", (MATRIX, MATRIX, np.zeros(3, np.float32))),
        ("linear", (MATRIX, MATRIX, np.zeros((1, 2, 2), np.float32))),
        ("linear", (MATRIX > 0, MATRIX > 0)),
        ("_cdist_forward", (MATRIX, MATRIX, -1.0, None)),
        ("_cdist_forward", (MATRIX, MATRIX, NAN, None)),
        ("_cdist_forward", (MATRIX, MATRIX, 2.0, 3)),
        ("_cdist_forward", (MATRIX, TURNED, 2.0, None)),
        ("_cdist_forward", (np.zeros((2, 1, 1), np.float32), np.zeros((3, 1, 1), np.float32), 2.0, None)),
        ("_cdist_forward", (MATRIX[0], MATRIX[0], 2.0, None)),
        ("_cdist_forward", (MATRIX.astype(int), MATRIX.astype(int), 2.0, None)),
        ("_cdist_forward", (MATRIX, MATRIX.astype(np.float64), 2.0, None)),
        ("_cdist_forward", (np.zeros((1 << 20, 0), np.float32), np.zeros((1 << 20, 0), np.float32), 2.0, None)),
        ("_pdist_forward", (MATRIX[0], 2.0)),
        ("_pdist_forward", (MATRIX, -2.0)),
        ("_pdist_forward", (MATRIX.astype(int), 2.0)),
        ("_pdist_forward", (np.zeros((1 << 20, 0), np.float32), 2.0)),
    ],
)
def test_refusals(op, arguments):
    with pytest.raises(KernelError):
        run(f"aten::{op}.out", *arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"out": np.zeros((2, 3), np.float32)},
        {"_scratch_tensor": np.zeros(4, np.float32)},
        {"bias": np.zeros(1, np.float32)},
        {"input": np.zeros((2, 3))},
        {"input": np.zeros((2, 2, 3), np.float32)},
    ],
    ids=str,
)
def test_scratch_example_refusals(change):
    square = np.zeros((2, 2), np.float32)
    good = {"input": MATRIX, "weight": MATRIX, "bias": None, "out": square, "_scratch_tensor": square.copy()}
    run("aten::linear.scratch_example", **good)
    with pytest.raises(KernelError):
        run("aten::linear.scratch_example", **(good | change))
