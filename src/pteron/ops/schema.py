"""ATen schema strings: parsed, and turned into the out-variant that a PTE calls.

An operator is declared by its functional schema, as ATen writes it::

    aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)

A PTE calls the out-variant. Its argument list follows from the functional one by torchgen's rule: the four
TensorOptions arguments (dtype, layout, device, pin_memory) are dropped where all four are present, and one
writable tensor per result is appended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TENSOR_OPTIONS = ("dtype", "layout", "device", "pin_memory")
_NAME = re.compile(r"^(?:(?P<ns>\w+)::)?(?P<op>\w+)(?:\.(?P<overload>\w+))?$")
_ARGUMENT = re.compile(
    r"^(?P<base>[A-Za-z]+)(?:\((?P<alias>[^)]*)\))?(?P<list>(?:\[\d*\]|\?)*)"
    r"(?:\s+(?P<name>\w+))?(?:\s*=\s*(?P<default>.+))?$"
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument or result: ``type`` is ATen's spelling without alias marks (``Tensor?``, ``int[]``, ``Scalar``)."""

    name: str
    type: str
    default: str | None = None
    kwarg_only: bool = False
    writes: bool = False

    @property
    def is_tensor(self) -> bool:
        return self.type in ("Tensor", "Tensor?")


@dataclass(frozen=True, slots=True)
class Schema:
    """A parsed schema: ``name`` is ``namespace::op`` and ``overload`` may be empty."""

    name: str
    overload: str
    arguments: tuple[Argument, ...]
    returns: tuple[Argument, ...]

    @property
    def qualified_name(self) -> str:
        return f"{self.name}.{self.overload}" if self.overload else self.name

    def __str__(self) -> str:
        parts: list[str] = []
        for argument in self.arguments:
            if argument.kwarg_only and "*" not in parts:
                parts.append("*")
            default = f"={argument.default}" if argument.default is not None else ""
            alias = "!" if argument.writes else ""
            parts.append(f"{argument.type}{alias} {argument.name}{default}")
        returns = ", ".join(f"{r.type} {r.name}".strip() for r in self.returns)
        return f"{self.qualified_name}({', '.join(parts)}) -> {returns if len(self.returns) == 1 else f'({returns})'}"


def parse(text: str) -> Schema:
    """Parse ``ns::op.overload(args) -> returns``; raises ValueError naming the part that does not parse."""
    head, arrow, tail = text.partition("->")
    open_paren = head.find("(")
    close_paren = head.rfind(")")
    match = _NAME.match(head[:open_paren].strip())
    if not arrow or open_paren < 0 or close_paren < open_paren or not match:
        raise ValueError(f"not an operator schema: {text!r}")
    arguments: list[Argument] = []
    kwarg_only = False
    for part in _split(head[open_paren + 1 : close_paren]):
        if part == "*":
            kwarg_only = True
        else:
            arguments.append(_argument(part, kwarg_only, text))
    tail = tail.strip()
    if tail.startswith("(") and tail.endswith(")"):
        tail = tail[1:-1]
    returns = tuple(_argument(part, False, text) for part in _split(tail))
    namespace = match["ns"] or "aten"
    return Schema(f"{namespace}::{match['op']}", match["overload"] or "", tuple(arguments), returns)


def out_variant(functional: Schema, overload: str) -> Schema:
    """The out-variant of a functional schema, under the overload name given."""
    names = {a.name for a in functional.arguments}
    drop = _TENSOR_OPTIONS if names.issuperset(_TENSOR_OPTIONS) else ()
    kept = tuple(a for a in functional.arguments if a.name not in drop)
    outs: list[Argument] = []
    for index, result in enumerate(functional.returns):
        if len(functional.returns) == 1:
            name = result.name or "out"
        else:
            name = result.name or f"out{index}"
        while name in names:
            name += "_out"
        outs.append(Argument(name, result.type, None, True, True))
    return Schema(functional.name, overload, kept + tuple(outs), functional.returns)


def _split(text: str) -> list[str]:
    parts: list[str] = []
    depth = 0
    current = ""
    for char in text:
        depth += char in "([" and 1
        depth -= char in ")]" and 1
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    if current.strip():
        parts.append(current.strip())
    return parts


def _argument(part: str, kwarg_only: bool, text: str) -> Argument:
    match = _ARGUMENT.match(part)
    if not match:
        raise ValueError(f"argument {part!r} does not parse in {text!r}")
    suffix = re.sub(r"\[\d+\]", "[]", match["list"] or "")
    kind = match["base"] + suffix
    kind = kind.replace("SymInt", "int")
    return Argument(match["name"] or "", kind, match["default"], kwarg_only, "!" in (match["alias"] or ""))
