from __future__ import annotations

import pytest
from graph_text import expect_pass

from pteron.graph.passes import quantization

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
        P.replace("-128", "-127"),
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
    narrow = P.replace("-128", "-127")
    text = text.replace(P, narrow).replace(other, narrow)
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
