"""Resampling against the definition, one output element at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BOOL, FLOATS, INTEGERS, NAN, run

from pteron.errors import KernelError

NEAREST, LINEAR, ANTIALIASED = (
    "aten::upsample_nearest2d.vec_out",
    "aten::upsample_bilinear2d.vec_out",
    "aten::_upsample_bilinear2d_aa.out",
)
# Powers of two, so that float32 has the positions exactly, and the neighbours hang on no rounding.
SCALES = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
UINT8 = np.dtype(np.uint8)


@st.composite
def images(draw, dtypes, least=1):
    shape = draw(st.integers(0, 2)), draw(st.integers(1, 2)), *[draw(st.integers(least, 8)) for _ in "hw"]
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    if dtype == BOOL:
        x = rng.integers(0, 2, shape).astype(dtype)
    elif dtype.kind in "iu":
        x = rng.integers(0, 100, shape).astype(dtype)
    else:
        x = (rng.integers(-16, 17, shape) / 4).astype(dtype)
    if draw(st.booleans()):
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x


@st.composite
def sizes(draw, x):
    """Output size or scale factors, the other one None; and the size that they mean."""
    if draw(st.booleans()):
        factors = [draw(SCALES) for _ in "hw"]
        made = [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
        if min(made) > 0:
            return None, factors, made
    made = [draw(st.integers(1, 11)) for _ in "hw"]
    return made, None, made


def ratio(size, count, factor, align_corners):
    if align_corners:
        return (size - 1) / (count - 1) if count > 1 else 0.0
    return 1 / factor if factor else size / count


def weigh_linear(size, count, factor, align_corners):
    """For every output element its input elements and their weights."""
    step, result = ratio(size, count, factor, align_corners), []
    for i in range(count):
        position = i * step if align_corners else max((i + 0.5) * step - 0.5, 0)
        position = float(i) if size == count else position
        low = min(math.floor(position), size - 1)
        share = min(position - low, 1.0)
        result.append([(low, 1 - share), (min(low + 1, size - 1), share)])
    return result


def weigh_antialiased(size, count, factor, align_corners):
    step, result = ratio(size, count, factor, align_corners), []
    width = max(step, 1.0)
    for i in range(count):
        center = (i + 0.5) * step
        found = [(j, max(1 - abs(j + 0.5 - center) / width, 0.0)) for j in range(size)]
        total = sum(weight for _, weight in found)
        result.append([(i, 1.0)] if size == count else [(j, weight / total) for j, weight in found])
    return result


def resampled(x, made, factors, align_corners, weigh):
    """Both passes in Python's floats; uint8 is rounded half up after each of them."""
    factors = factors or [None, None]
    rows = weigh(x.shape[2], made[0], factors[0], align_corners)
    columns = weigh(x.shape[3], made[1], factors[1], align_corners)

    def rounded(value):
        return float(math.floor(value + 0.5)) if x.dtype == UINT8 else value

    result = np.zeros((*x.shape[:2], *made))
    for n, c in np.ndindex(x.shape[:2]):
        plane = x[n, c].astype(np.float64).tolist()
        wide = [[rounded(sum(row[j] * w for j, w in places)) for places in columns] for row in plane]
        for i, places in enumerate(rows):
            for j in range(made[1]):
                result[n, c, i, j] = rounded(sum(wide[k][j] * w for k, w in places))
    return result


def close(actual, expected, dtype):
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    atol = {1: 1.0, 2: 4e-2, 4: 1e-5, 8: 1e-12}[dtype.itemsize]
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=atol / 4, atol=atol)


@settings(max_examples=80, deadline=None)
@given(x=images((*FLOATS, *INTEGERS, BOOL)), data=st.data())
def test_upsample_nearest2d(x, data):
    size, factors, made = data.draw(sizes(x))
    result = run(NEAREST, x, size, factors)
    assert result.dtype == x.dtype
    assert result.shape == (*x.shape[:2], *made)
    given = factors or [None, None]

    def source(i, axis):
        step = x.shape[axis + 2] / made[axis] if given[axis] is None else 1 / given[axis]
        return min(math.floor(i * step + 1e-6), x.shape[axis + 2] - 1)

    for n, c, i, j in np.ndindex(result.shape):
        assert result[n, c, i, j] == x[n, c, source(i, 0), source(j, 1)]


@settings(max_examples=80, deadline=None)
@given(x=images((*FLOATS, UINT8)), data=st.data(), align_corners=st.booleans())
def test_upsample_bilinear2d(x, data, align_corners):
    size, factors, made = data.draw(sizes(x))
    expected = resampled(x, made, factors, align_corners, weigh_linear)
    close(run(LINEAR, x, size, align_corners, factors), expected, x.dtype)


@settings(max_examples=80, deadline=None)
@given(x=images((*FLOATS, UINT8), least=2), data=st.data(), align_corners=st.booleans())
def test_upsample_bilinear2d_aa(x, data, align_corners):
    _, factors, made = data.draw(sizes(x))
    if align_corners and 1 in made:
        made = [n + 1 for n in made]
    if factors and made != [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]:
        factors = None
    expected = resampled(x, made, factors, align_corners, weigh_antialiased)
    close(run(ANTIALIASED, x, made, align_corners, *(factors or ())), expected, x.dtype)


def test_uint8_keeps_to_its_range():
    for value in (0, 255):
        x = np.full((1, 1, 5, 7), value, np.uint8)
        assert set(run(LINEAR, x, [9, 4], False, None).reshape(-1).tolist()) == {value}
        assert set(run(ANTIALIASED, x, [3, 9], False).reshape(-1).tolist()) == {value}


def test_nan_stays_with_its_neighbours():
    x = np.zeros((1, 1, 1, 6), np.float32)
    x[0, 0, 0, 2] = NAN
    assert np.isnan(run(ANTIALIASED, x, [1, 3], False)).tolist() == [[[[True, True, False]]]]
    assert np.isnan(run(NEAREST, x, [1, 3], None)).tolist() == [[[[False, True, False]]]]
    assert np.flatnonzero(np.isnan(run(LINEAR, x, [1, 12], False, None))).tolist() == [3, 4, 5, 6]


IMAGE = np.zeros((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize("op", [NEAREST, LINEAR])
@pytest.mark.parametrize(
    ("x", "size", "factors"),
    [
        (IMAGE, None, None),
        (IMAGE, [8, 8], [2.0, 2.0]),
        (IMAGE, [8], None),
        (IMAGE, [8, 0], None),
        (IMAGE, [8, -8], None),
        (IMAGE, [1 << 20, 1 << 20], None),
        (IMAGE, [1, 1 << 40], None),
        (IMAGE, None, [2.0]),
        (IMAGE, None, [0.1, 0.1]),
        (IMAGE, None, [-1.0, 1.0]),
        (IMAGE, None, [1e30, 1.0]),
        (IMAGE, None, [NAN, 1.0]),
        (IMAGE, None, [math.inf, 1.0]),
        (IMAGE[0], [8, 8], None),
        (IMAGE[:, :0], [8, 8], None),
        (IMAGE[:, :, :0], [8, 8], None),
    ],
)
def test_refusals(op, x, size, factors):
    options = {"align_corners": False} if op == LINEAR else {}
    with pytest.raises(KernelError):
        run(op, input=x, output_size=size, scale_factors=factors, **options)


@pytest.mark.parametrize(
    ("x", "size"),
    [
        (IMAGE, [8]),
        (IMAGE, [0, 8]),
        (IMAGE, [1 << 20, 1 << 20]),
        (IMAGE[0], [8, 8]),
        (IMAGE[:, :, :, :0], [8, 8]),
        (IMAGE.astype(np.int64), [8, 8]),
        (IMAGE > 0, [8, 8]),
    ],
)
def test_antialiased_refusals(x, size):
    with pytest.raises(KernelError):
        run(ANTIALIASED, x, size, False)


def test_bilinear_is_for_floats_and_bytes():
    with pytest.raises(KernelError):
        run(LINEAR, IMAGE.astype(np.int32), [8, 8], False, None)
