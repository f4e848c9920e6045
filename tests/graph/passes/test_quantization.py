from __future__ import annotations

import numpy as np
import pytest
from graph_text import expect_pass, read_graph

from pteron.graph.evaluate import evaluate
from pteron.graph.passes import quantization, run_passes

Q = "quantized_decomposed::quantize_per_tensor"
DQ = "quantized_decomposed::dequantize_per_tensor"
P = "scale=0.5, zero_point=3, quant_min=-128, quant_max=127, dtype=1"


@pytest.mark.parametrize(
    ("result", "call"),
    [
        ("[6]", "aten::view_copy(self={}, size=[6])"),
        ("[3, 2]", "aten::permute_copy(self={}, dims=[1, 0])"),
        ("[1, 3]", "aten::slice_copy.Tensor(self={}, dim=0, start=0, end=1)"),
        ("[3]", "aten::select_copy.int(self={}, dim=0, index=1)"),
    ],
)
def test_integers_are_moved_instead_of_floats(result: str, call: str) -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: int8[2, 3]) {{
        block0:
          %1: float32[2, 3] = {DQ}(input=%x, {P})
          %2: float32{result} = {call.format("%1")}
          %3: float32{result} = aten::relu(self=%2)
          return %3
        }}
        """,
        f"""
        graph forward(%x: int8[2, 3]) {{
        block0:
          %1: float32[2, 3] = {DQ}(input=%x, {P})
          %2: int8{result} = {call.format("%x")}
          %4: float32{result} = {DQ}(input=%2, {P})
          %3: float32{result} = aten::relu(self=%4)
          return %3
        }}
        """,
    )


def test_a_quantisation_goes_before_what_moves() -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: float32[2, 3]) {{
        block0:
          %1: float32[2, 3] = aten::relu(self=%x)
          %2: float32[3, 2] = aten::permute_copy(self=%1, dims=[1, 0])
          %3: int8[3, 2] = {Q}(input=%2, {P})
          return %3
        }}
        """,
        f"""
        graph forward(%x: float32[2, 3]) {{
        block0:
          %1: float32[2, 3] = aten::relu(self=%x)
          %2: int8[2, 3] = {Q}(input=%1, {P})
          %3: int8[3, 2] = aten::permute_copy(self=%2, dims=[1, 0])
          return %3
        }}
        """,
    )


def test_a_quantisation_of_a_part_stays_behind() -> None:
    text = f"""
        graph forward(%x: float32[2, 3]) {{
        block0:
          %1: float32[3] = aten::select_copy.int(self=%x, dim=0, index=0)
          %2: int8[3] = {Q}(input=%1, {P})
          return %2
        }}
        """
    expect_pass(quantization.run, text, text)


def test_a_pair_that_undoes_itself_goes() -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: int8[2]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: int8[2] = {Q}(input=%1, {P})
          %3: int8[2] = aten::neg(self=%2)
          return %3
        }}
        """,
        f"""
        graph forward(%x: int8[2]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: int8[2] = {Q}(input=%1, {P})
          %3: int8[2] = aten::neg(self=%x)
          return %3
        }}
        """,
    )


@pytest.mark.parametrize(
    "other",
    [
        P.replace("0.5", "0.25"),
        P.replace("=3", "=4"),
    ],
)
def test_other_parameters_requantise(other: str) -> None:
    text = f"""
        graph forward(%x: int8[2]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {other})
          %2: int8[2] = {Q}(input=%1, {P})
          return %2
        }}
        """
    expect_pass(quantization.run, text, text)


NARROW = P.replace("-128", "-100").replace("=127", "=3")


def test_a_narrower_range_cuts_integers() -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: int8[2]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: int8[2] = {Q}(input=%1, {NARROW})
          return %2
        }}
        """,
        f"""
        graph forward(%x: int8[2]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: int8[2] = aten::clamp(self=%x, min=-100, max=3)
          return %2
        }}
        """,
    )


def test_a_narrower_range_is_taken_where_the_integers_are_made() -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: float32[2]) {{
        block0:
          %1: int8[2] = {Q}(input=%x, {P.replace("=127", "=120")})
          %2: float32[2] = {DQ}(input=%1, {P})
          %3: int8[2] = {Q}(input=%2, {NARROW.replace("max=3", "max=125")})
          return %3
        }}
        """,
        f"""
        graph forward(%x: float32[2]) {{
        block0:
          %1: int8[2] = {Q}(input=%x, {NARROW.replace("max=3", "max=120")})
          %2: float32[2] = {DQ}(input=%1, {P})
          %3: int8[2] = {Q}(input=%2, {NARROW.replace("max=3", "max=125")})
          return %1
        }}
        """,
    )


def test_a_chain_of_ranges_cuts_to_the_narrowest() -> None:
    """Every link is seen, though the first one takes the second's place."""
    first, last = P.replace("=127", "=100"), P.replace("=-128", "=-90").replace("=127", "=50")
    graph = read_graph(
        f"""
        graph forward(%x: float32[3]) {{
        block0:
          %1: int8[3] = {Q}(input=%x, {P})
          %2: float32[3] = {DQ}(input=%1, {P})
          %3: int8[3] = {Q}(input=%2, {first})
          %4: float32[3] = {DQ}(input=%3, {P})
          %5: int8[3] = {Q}(input=%4, {last})
          return %5
        }}
        """
    )
    run_passes(graph)
    (node,) = graph.nodes()
    assert (node.operands["quant_min"], node.operands["quant_max"]) == (-90, 50)
    results, _ = evaluate(graph, [np.array([-1000, 0, 1000], np.float32)])
    np.testing.assert_array_equal(results[0], [-90, 3, 50])


@pytest.mark.parametrize(
    ("clamp", "range"),
    [
        ("aten::relu(self=%x)", "quant_min=3, quant_max=127"),
        ("aten::clamp(self=%x, min=-1.2, max=None)", "quant_min=1, quant_max=127"),
        ("aten::clamp(self=%x, min=None, max=6.0)", "quant_min=-128, quant_max=15"),
        ("aten::hardtanh(self=%x, min_val=-1000.0, max_val=0.26)", "quant_min=-128, quant_max=4"),
    ],
)
def test_a_clamp_becomes_a_range(clamp: str, range: str) -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: float32[7]) {{
        block0:
          %1: float32[7] = {clamp}
          %2: int8[7] = {Q}(input=%1, {P})
          return %2
        }}
        """,
        f"""
        graph forward(%x: float32[7]) {{
        block0:
          %1: float32[7] = {clamp}
          %2: int8[7] = {Q}(input=%x, {P.replace("quant_min=-128, quant_max=127", range)})
          return %2
        }}
        """,
    )


def test_a_clamp_that_others_read_stays() -> None:
    text = f"""
        graph forward(%x: float32[7]) {{
        block0:
          %1: float32[7] = aten::relu(self=%x)
          %2: int8[7] = {Q}(input=%1, {P})
          return %2, %1
        }}
        """
    expect_pass(quantization.run, text, text)


def test_parts_of_one_scale_are_joined_as_integers() -> None:
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: int8[2], %y: int8[3]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: float32[3] = {DQ}(input=%y, {P})
          %3: float32[5] = aten::cat(tensors=[%1, %2], dim=0)
          return %3
        }}
        """,
        f"""
        graph forward(%x: int8[2], %y: int8[3]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: float32[3] = {DQ}(input=%y, {P})
          %4: int8[5] = aten::cat(tensors=[%x, %y], dim=0)
          %3: float32[5] = {DQ}(input=%4, {P})
          return %3
        }}
        """,
    )


def test_parts_of_two_scales_are_not() -> None:
    text = f"""
        graph forward(%x: int8[2], %y: int8[3]) {{
        block0:
          %1: float32[2] = {DQ}(input=%x, {P})
          %2: float32[3] = {DQ}(input=%y, {P.replace("0.5", "0.25")})
          %3: float32[5] = aten::cat(tensors=[%1, %2], dim=0)
          return %3
        }}
        """
    expect_pass(quantization.run, text, text)


def test_the_axis_of_channels_follows_a_permutation() -> None:
    channels = "quantized_decomposed::dequantize_per_channel"
    rest = "quant_min=-128, quant_max=127, dtype=1"
    expect_pass(
        quantization.run,
        f"""
        graph forward(%x: int8[2, 3]) {{
          constant %scales: float32[2]
          constant %zeros: int64[2]
        block0:
          %1: float32[2, 3] = {channels}(input=%x, scales=%scales, zero_points=%zeros, axis=0, {rest})
          %2: float32[3, 2] = aten::permute_copy(self=%1, dims=[1, 0])
          return %2
        }}
        """,
        f"""
        graph forward(%x: int8[2, 3]) {{
          constant %scales: float32[2]
          constant %zeros: int64[2]
        block0:
          %1: float32[2, 3] = {channels}(input=%x, scales=%scales, zero_points=%zeros, axis=0, {rest})
          %3: int8[3, 2] = aten::permute_copy(self=%x, dims=[1, 0])
          %2: float32[3, 2] = {channels}(input=%3, scales=%scales, zero_points=%zeros, axis=1, {rest})
          return %2
        }}
        """,
    )
