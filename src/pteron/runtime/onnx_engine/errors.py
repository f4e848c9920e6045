"""What ONNX Runtime reports, as Pteron's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from pteron.errors import ExecutionError

_NODE = re.compile(r"(?:with name|Name:|Node:)\s*'?(?:\w+/)?(n\d+)")
_PREFIX = "[ONNXRuntimeError] : "


class Named(Protocol):
    """What a node of a model was made from: an operator, called at ``source`` of the program."""

    @property
    def op(self) -> str: ...

    @property
    def source(self) -> str: ...


def message_of(error: Exception) -> tuple[str, str]:
    """The message on one line, and the label of the node that it names, or an empty string."""
    message = " ".join(str(error).split()).removeprefix(_PREFIX)
    found = _NODE.search(message)
    return message, found[1] if found else ""


def run_error(error: Exception, labels: Mapping[str, Named], where: str) -> ExecutionError:
    """What ONNX Runtime reports of a run, with the instruction that it happened in."""
    message, label = message_of(error)
    node = labels.get(label)
    if node is not None:
        where = f"{where}, {node.source or 'a node'} ({node.op})"
    return ExecutionError(f"{where}: {message}")
