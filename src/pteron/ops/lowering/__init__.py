"""Operators as ONNX nodes: one lowering per functional operator, one file per family. Loaded by the fast engine."""

from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.registry import Declined, Lowering, find_lowering, lowered_names, lowering

__all__ = ["Builder", "Declined", "Lowering", "Ref", "Spec", "find_lowering", "lowered_names", "lowering"]
