"""Binds a KernelCall to its operator: which values it takes, where results go."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.errors import ExecutionError, KernelError, PteronError
from pteron.ops import Operator
from pteron.ops.invoke import default_value
from pteron.ops.schema import Argument, Schema
from pteron.runtime.tensor import Tensor
from pteron.runtime.values import IntListBox, TensorListBox

Values = list[Any]
Step = Callable[[], int | None]
Getter = Callable[[], Any]

ET_VIEW = "executorch_prim::et_view.default"
ET_COPY_INDEX = "executorch_prim::et_copy_index.tensor"


@functools.cache
def _signature(kernel: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the positional and of the keyword-only parameters."""
    parameters = inspect.signature(kernel).parameters.values()
    keyword = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY), keyword


def bind(operator: Operator, schema: Schema, args: tuple[int, ...], values: Values, rng: np.random.Generator) -> Step:
    """The step that runs one call of ``operator``; ``args`` are value indices in the order of ``schema``.

    The step raises ``KernelError`` where the operator refuses its arguments, ``ExecutionError`` where the kernel
    itself fails.
    """
    if operator.name == ET_VIEW:
        return _et_view(args, values)
    if operator.name == ET_COPY_INDEX:
        return _et_copy_index(args, values)
    index_of = {argument.name: args[i] for i, argument in enumerate(schema.arguments)}
    functional = {a.name for a in operator.functional.arguments}
    outs = [index_of[a.name] for a in schema.arguments if a.name not in functional]
    getters = _getters(operator, schema, index_of, values, outs, rng)
    positional_names, keyword_names = _signature(operator.kernel)
    positional = [getters[name] for name in positional_names]
    keywords = [(name, getters[name]) for name in keyword_names]
    kernel = operator.kernel
    put = _putter(operator, schema, args, values, outs, index_of)

    def step() -> None:
        try:
            put(kernel(*[get() for get in positional], **{name: get() for name, get in keywords}))
        except PteronError:
            raise
        except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, MemoryError) as error:
            raise KernelError(str(error) or type(error).__name__) from error
        except Exception as error:
            raise ExecutionError(f"the kernel failed with {type(error).__name__}: {error}") from error

    return step


def _getters(
    operator: Operator,
    schema: Schema,
    index_of: dict[str, int],
    values: Values,
    outs: list[int],
    rng: np.random.Generator,
) -> dict[str, Getter]:
    getters: dict[str, Getter] = {"rng": lambda: rng, "out_dtype": lambda: _out_dtype(values, outs)}
    called = {a.name: a for a in schema.arguments}
    for argument in operator.functional.arguments:
        if argument.name in called:
            getters[argument.name] = _getter(argument, index_of[argument.name], values)
        else:
            getters[argument.name] = _constant(None if argument.default is None else default_value(argument.default))
    return getters


def _constant(value: Any) -> Getter:
    return lambda: value


def _out_dtype(values: Values, outs: list[int]) -> np.dtype[Any] | None:
    out = values[outs[0]] if outs else None
    if isinstance(out, TensorListBox):
        out = values[out.items[0]] if out.items else None
    return out.dtype if isinstance(out, Tensor) else None


def _getter(argument: Argument, index: int, values: Values) -> Getter:
    kind = argument.type
    name = argument.name
    if kind in ("Tensor", "Tensor?"):
        return lambda: tensor_array(values[index], name, kind == "Tensor?")
    if kind.startswith("Tensor"):
        return lambda: tensor_list(values[index], name, values, kind.endswith("?"))
    if "[]" in kind:
        return lambda: number_list(values[index], name, values, kind.endswith("?"))
    return lambda: scalar(values[index], name, kind)


def tensor_array(value: Any, name: str, optional: bool) -> Any:
    if type(value) is Tensor:
        if value.array is None:
            raise KernelError(f"argument {name!r} has no data")
        return value.array
    if value is None and optional:
        return None
    if isinstance(value, bool | int | float):
        return np.asarray(value, np.float32 if isinstance(value, float) else None)
    raise KernelError(f"argument {name!r} must be a tensor, not {_kind(value)}")


def tensor_list(value: Any, name: str, values: Values, optional: bool) -> Any:
    if value is None and optional:
        return None
    if type(value) is not TensorListBox:
        raise KernelError(f"argument {name!r} must be a list of tensors, not {_kind(value)}")
    return [None if i < 0 or values[i] is None else tensor_array(values[i], name, True) for i in value.items]


def number_list(value: Any, name: str, values: Values, optional: bool) -> Any:
    if type(value) is IntListBox:
        items = [values[i] for i in value.items]
        if not all(isinstance(item, int) for item in items):
            raise KernelError(f"argument {name!r} must list integers")
        return items
    if type(value) is list:
        return value
    if value is None and optional:
        return None
    if isinstance(value, int | float):
        return [value]
    raise KernelError(f"argument {name!r} must be a list of numbers, not {_kind(value)}")


_SCALARS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool, int),
    "str": (str,),
    "Scalar": (bool, int, float),
}


def scalar(value: Any, name: str, kind: str) -> Any:
    base = kind.removesuffix("?")
    if value is None:
        if kind.endswith("?"):
            return None
        raise KernelError(f"argument {name!r} is missing")
    if not isinstance(value, _SCALARS.get(base, (int,))):
        raise KernelError(f"argument {name!r} must be {base}, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    names = {Tensor: "a tensor", IntListBox: "a list of integers", TensorListBox: "a list of tensors", list: "a list"}
    return names.get(type(value), f"{type(value).__name__} {value!r}")


def _putter(
    operator: Operator,
    schema: Schema,
    args: tuple[int, ...],
    values: Values,
    outs: list[int],
    index_of: dict[str, int],
) -> Callable[[Any], None]:
    """What to do with the kernel's result."""
    if len(outs) == 1:
        (out,) = outs
        if schema.arguments[-1].type.startswith("Tensor["):
            return lambda result: _store_all(values[out], result, values)
        return lambda result: _store(values[out], result)
    if outs:
        return lambda result: _store_each(values, outs, result)
    written = [index_of[a.name] for a in schema.arguments if a.writes]
    if len(args) <= len(schema.arguments):
        return lambda result: None
    target = args[len(schema.arguments)]
    if written and operator.functional.returns and operator.functional.returns[0].writes:
        return lambda result: _assign(values, target, written[0])

    def put(result: Any) -> None:
        if type(values[target]) is Tensor:
            values[target].store(result)
        else:
            values[target] = result.item() if isinstance(result, np.generic | np.ndarray) else result

    return put


def _store(out: Any, result: Any) -> None:
    if type(out) is not Tensor:
        raise KernelError(f"the result has no tensor to go to, only {_kind(out)}")
    out.store(result)


def _store_each(values: Values, outs: list[int], results: Any) -> None:
    for out, result in zip(outs, results, strict=True):
        _store(values[out], result)


def _store_all(out: Any, results: Any, values: Values) -> None:
    if type(out) is not TensorListBox:
        raise KernelError(f"the results have no list of tensors to go to, only {_kind(out)}")
    if len(results) != len(out.items):
        raise KernelError(f"{len(results)} results for a list of {len(out.items)} tensors")
    _store_each(values, list(out.items), results)


def _assign(values: Values, target: int, source: int) -> None:
    values[target] = values[source]


def _et_view(args: tuple[int, ...], values: Values) -> Step:
    """``et_view`` moves no data: its result is the input's memory under other sizes."""
    source, size, out = args[:3]

    def step() -> None:
        tensor, view = values[source], values[out]
        if type(tensor) is not Tensor or type(view) is not Tensor:
            raise KernelError("et_view takes a tensor and gives a tensor")
        if tensor.dtype != view.dtype:
            raise KernelError(f"et_view from {tensor.dtype.name} to {view.dtype.name}")
        sizes = resolve_sizes(number_list(values[size], "size", values, False), math.prod(tensor.sizes))
        if sizes is None:
            raise KernelError(f"et_view of {list(tensor.sizes)}: the new shape has another number of elements")
        if tensor.memory is None:
            raise KernelError("et_view of a tensor without data")
        view.alias(tensor, sizes)

    return step


def resolve_sizes(sizes: list[int], count: int) -> tuple[int, ...] | None:
    """``sizes`` with its one -1 replaced so that they hold ``count`` elements; None where that cannot be."""
    known = math.prod(size for size in sizes if size != -1)
    unknown = sizes.count(-1)
    if unknown > 1 or any(size < -1 for size in sizes):
        return None
    if unknown:
        if known == 0 or count % known:
            return None
        return tuple(count // known if size == -1 else size for size in sizes)
    return tuple(sizes) if known == count else None


def _et_copy_index(args: tuple[int, ...], values: Values) -> Step:
    """``et_copy_index`` grows its target to ``index + 1`` rows and fills the last one (``map`` and ``scan``)."""
    target, source, index = args[:3]

    def step() -> None:
        rows, row, number = values[target], values[source], values[index]
        if type(rows) is not Tensor or type(row) is not Tensor or not isinstance(number, int) or number < 0:
            raise KernelError("et_copy_index takes two tensors and an index that is not negative")
        if row.array is None or rows.memory is None:
            raise KernelError("et_copy_index of tensors without data")
        if rows.dtype != row.dtype:
            raise KernelError(f"et_copy_index from {row.dtype.name} to {rows.dtype.name}")
        if not rows.sizes or rows.dynamism or number >= rows.sizes[0]:
            rows.resize((number + 1, *row.sizes))
        if rows.array is None or rows.sizes[1:] != row.sizes:
            raise KernelError(f"et_copy_index of {list(row.sizes)} into {list(rows.sizes)}")
        rows.array[number] = row.array

    return step
