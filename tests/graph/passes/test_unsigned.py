from __future__ import annotations

import pytest
from graph_text import expect_pass

from pteron.graph.passes import unsigned

Q = "quantized_decomposed::quantize_per_tensor"
DQ = "quantized_decomposed::dequantize_per_tensor"
SIGNED = "scale=0.5, zero_point=3, quant_min=-128, quant_max=127, dtype=1"
UNSIGNED = "scale=0.5, zero_point=131, quant_min=0, quant_max=255, dtype=0"
POOL = "kernel_size=[2, 2], stride=[2, 2], padding=[1, 1], dilation=[1, 1], ceil_mode=False"


def test_integers_between_quantize_and_dequantize_are_raised() -> None:
    text = """
        graph forward(%x: float32[1, 2, 4, 4]) {{
        block0:
          %1: {kind}[1, 2, 4, 4] = {Q}(input=%x, {P})
          %2: {kind}[1, 2, 3, 3], %3: int64[1, 2, 3, 3] = aten::max_pool2d_with_indices(self=%1, {POOL})
          %4: {kind}[2, 3, 3] = aten::view_copy(self=%2, size=[2, 3, 3])
          %5: {kind}[4, 3, 3] = aten::cat(tensors=[%4, %4], dim=0)
          %6: {kind}[4, 3, 3] = aten::clamp(self=%5, min={low}, max=None)
          %7: float32[4, 3, 3] = {DQ}(input=%6, {P})
          %8: float32[1, 2, 4, 4] = {DQ}(input=%1, {P})
          return %7, %8
        }}
        """
    expect_pass(
        unsigned.run,
        text.format(kind="int8", P=SIGNED, low=-7, Q=Q, DQ=DQ, POOL=POOL),
        text.format(kind="uint8", P=UNSIGNED, low=121, Q=Q, DQ=DQ, POOL=POOL),
    )


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("%2: int8[2, 3] = aten::neg(self=%1)", "%2"),
        ("%2: int8[2, 3] = aten::view_copy(self=%1, size=[2, 3])", "%2"),
        ("%2: int8[4, 3] = aten::cat(tensors=[%1, %y], dim=0)", "%3"),
        (f"%2: float32[2, 3] = {DQ}.tensor(input=%1, {SIGNED.replace('0.5', '%s').replace('=3,', '=%z,')})", "%x"),
    ],
    ids=["computed with", "given back", "joined with other int8", "scale is a tensor"],
)
def test_what_others_see_stays(line: str, result: str) -> None:
    text = f"""
        graph forward(%x: float32[2, 3], %y: int8[2, 3], %s: float64[1], %z: int64[1]) {{
        block0:
          %1: int8[2, 3] = {Q}(input=%x, {SIGNED})
          {line}
          %3: float32[2, 3] = {DQ}(input=%1, {SIGNED})
          return {result}
        }}
        """
    expect_pass(unsigned.run, text, text)
