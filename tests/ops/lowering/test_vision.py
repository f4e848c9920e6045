"""Samples of images through their lowering, at places of every kind, against the reference kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from one_node import run

from pteron.ops.vision import grid_sampler_2d

PLACES = [-math.inf, -1e30, -5e3, -3.0, -1.2, -1.0, -0.75, -0.5, 0.0, 0.3, 0.5, 1.0, 1.1, 2.5, 1e4, math.inf, math.nan]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", [0, 1])
@pytest.mark.parametrize("interpolation_mode", [0, 1, 2])
def test_places_of_every_kind(interpolation_mode: int, padding_mode: int, align_corners: bool) -> None:
    image = np.random.default_rng(0).normal(size=(1, 2, 4, 6)).astype(np.float32)
    grid = np.stack(np.meshgrid(PLACES, PLACES), -1)[np.newaxis].astype(np.float32)
    options = (interpolation_mode, padding_mode, align_corners)
    with np.errstate(all="ignore"):
        expected = grid_sampler_2d(image, grid, *options)
    names = ("interpolation_mode", "padding_mode", "align_corners")
    args = {"input": image, "grid": grid, **dict(zip(names, options, strict=True))}
    (found,) = run("aten::grid_sampler_2d.out", args, [expected])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
