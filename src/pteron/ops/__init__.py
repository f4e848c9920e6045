"""The operator library: one file per family, one entry per operator."""

from pteron.ops.registry import REGISTRY, Operator, Registry, operator
from pteron.ops.schema import Argument, Schema

__all__ = ["REGISTRY", "Argument", "Operator", "Registry", "Schema", "operator"]
