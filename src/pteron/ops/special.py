"""Special functions that NumPy lacks, vectorised, and the walk that keeps long elementwise formulas in cache.

``erf`` is a piecewise Taylor expansion: the nodes are a fine, even grid over the range where erf is not yet ±1, and
the coefficients at a node x0 are erf(x0) and, from DLMF 7.10.1, the derivatives
erf⁽ⁿ⁺¹⁾(x0) = 2/√π · (-1)ⁿ · Hₙ(x0) · exp(-x0²) with the Hermite polynomials Hₙ. One gather, no branches, and an error
of about one unit in the last place.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from pteron.ops.promotion import FLOAT32, Array, DType, compute_dtype, float_dtype

# Elements per step of `blockwise`: a few float32 temporaries of this size stay in the level-2 cache.
BLOCK = 1 << 14

# A formula over one block: reads the first array, fills the second.
BlockFunction = Callable[[Array, Array], object]


def blockwise(function: BlockFunction, x: Array, dtype: DType) -> Array:
    """The result, of ``dtype``, of a formula applied to ``x`` block by block.

    ``function(source, target)`` gets flat arrays in the compute dtype of ``dtype`` and fills ``target``. The result
    has the memory layout of ``x``.
    """
    computed = compute_dtype(dtype)
    result = np.empty_like(x, dtype=dtype)
    with np.errstate(all="ignore"):
        if x.dtype == dtype == computed and x.size <= BLOCK and x.flags.c_contiguous:
            function(x.reshape(-1), result.reshape(-1))
            return result
        with np.nditer(
            [x, result],
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=[["readonly"], ["writeonly"]],
            op_dtypes=[computed, computed],
            casting="unsafe",
            buffersize=BLOCK,
        ) as blocks:
            for source, target in blocks:
                function(source, target)
    return result


@functools.cache
def _erf_table(dtype: DType) -> tuple[int, int, Array]:
    """Nodes per unit, limit, and the Taylor coefficients of each node from -limit to limit.

    The coefficients are for a distance measured in nodes, so that no scaling is left for the evaluation.
    """
    per_unit, limit, order = (4096, 4, 1) if dtype == FLOAT32 else (64, 6, 7)
    nodes = np.arange(limit * per_unit + 1) / per_unit
    table = np.empty((nodes.size, order + 1))
    table[:, 0] = [math.erf(node) for node in nodes]
    table[-1, 0] = 1.0
    slope = 2 / math.sqrt(math.pi) * np.exp(-nodes * nodes)
    hermite, following = np.ones_like(nodes), 2 * nodes
    for n in range(order):
        table[:, n + 1] = (-1) ** n * slope * hermite / (math.factorial(n + 1) * per_unit ** (n + 1))
        hermite, following = following, 2 * nodes * following - 2 * (n + 1) * hermite
    odd = np.where(np.arange(order + 1) % 2, 1.0, -1.0)
    return per_unit, limit, np.concatenate([(table * odd)[:0:-1], table]).astype(dtype)


def erf_block(source: Array, target: Array) -> None:
    """erf of a flat float32 or float64 array, into ``target`` (which may be ``source``)."""
    per_unit, limit, table = _erf_table(source.dtype)
    bound = source.dtype.type(limit * per_unit)
    place = source * source.dtype.type(per_unit)
    np.maximum(place, -bound, out=place)
    np.minimum(place, bound, out=place)
    node = np.rint(place)
    place -= node
    node += bound
    # A NaN gives some index, clipped into the table, and stays NaN through `place`.
    coefficients = table.take(node.astype(np.intp), axis=0, mode="clip")
    np.multiply(coefficients[:, -1], place, out=target)
    for n in range(table.shape[1] - 2, 0, -1):
        target += coefficients[:, n]
        target *= place
    target += coefficients[:, 0]


def sigmoid_block(source: Array, target: Array) -> None:
    """1 / (1 + exp(-x)) of a flat array, into ``target``."""
    np.negative(source, out=target)
    np.exp(target, out=target)
    target += 1
    np.reciprocal(target, out=target)


def erf(x: Array) -> Array:
    """The error function; integers give float32, half and bfloat16 are rounded once."""
    return blockwise(erf_block, x, float_dtype(x.dtype))
