"""Builder: collects the ONNX nodes and initializers of one model.

Element types: half and bfloat16 are *carried* as float32 whose values are rounded wherever ATen would round them
(ONNX Runtime's CPU kernels have neither, and numpy has no bfloat16 to hand over). At the model's boundary float16 is
float16 again, bfloat16 stays float32. Scalars of a graph (symbolic sizes) are zero-dim tensors marked ``scalar``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.conversion import convert
from pteron.ops.lowering.model_bytes import (
    ELEMENT_TYPES,
    Attribute,
    GraphRecord,
    NodeRecord,
    ValueRecord,
    WeightRecord,
    encode_model,
)
from pteron.ops.lowering.registry import Declined, Lowering
from pteron.ops.promotion import BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT64, Array, DType, is_floating, is_reduced

_UNSUPPORTED = frozenset({"uint64", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"})

# Constants up to this many bytes are written into the model, where ONNX Runtime's optimisers can look at them.
INLINE_BYTES = 1024

# Numbers among the attributes are float32.
_LARGEST = float(np.finfo(np.float32).max)


def carrier(dtype: DType) -> DType:
    """The dtype that holds ``dtype`` inside of a model; raises :class:`Declined` where there is none."""
    if is_reduced(dtype):
        return FLOAT32
    if dtype not in ELEMENT_TYPES or dtype.name in _UNSUPPORTED:
        raise Declined(f"ONNX Runtime has no {dtype.name}")
    return dtype


def boundary(dtype: DType) -> DType:
    """The dtype of the arrays that enter and leave a model for values of ``dtype``."""
    return FLOAT32 if dtype == BFLOAT16 else carrier(dtype) if dtype != FLOAT16 else FLOAT16


@dataclass(frozen=True, slots=True)
class Spec:
    """What a result must be: ``shape`` is an upper bound where ``dynamic``; nobody reads one that is not ``used``."""

    dtype: DType
    shape: tuple[int, ...] = ()
    dynamic: bool = False
    used: bool = True


@dataclass(eq=False, slots=True)
class Ref:
    """A value inside of the model.

    ``dtype`` is ATen's, ``shape`` an upper bound where ``dynamic``. ``data`` is the content of a constant;
    ``producer`` the node that computes the value.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...] = ()
    dynamic: bool = False
    scalar: bool = False
    data: Array | None = None
    producer: NodeRecord | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)


Size = int | Ref


class Builder:
    """One model in the making; ``lower`` adds an operator, ``model`` gives the bytes."""

    def __init__(self) -> None:
        self.nodes: list[NodeRecord] = []
        self.inputs: list[tuple[Ref, ValueRecord]] = []
        self.weights: dict[str, WeightRecord] = {}
        self.arrays: dict[str, Array] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Ref] = {}
        self._made: dict[str, NodeRecord] = {}
        # Types that results must have, for ONNX Runtime to check before anything is computed.
        self._claimed: dict[str, ValueRecord] = {}
        # Results of operators, inputs and constants by name, with their shapes.
        self._known: dict[str, Ref] = {}
        self._count = 0
        self._symbols = 0

    # --- what a model is made of

    def input(self, name: str, spec: Spec, *, scalar: bool = False) -> Ref:
        """A model input; where ``spec`` is dynamic every dimension is symbolic."""
        outside = boundary(spec.dtype)
        shape: tuple[int | str, ...] = spec.shape
        if spec.dynamic:
            shape = tuple(f"d{self._symbols + i}" for i in range(len(spec.shape)))
            self._symbols += len(shape)
        ref = Ref(name, outside, spec.shape, spec.dynamic, scalar)
        self.inputs.append((ref, ValueRecord(name, ELEMENT_TYPES[outside], shape)))
        return self._entered(ref, spec.dtype)

    def weight(self, name: str, data: Array, dtype: DType) -> Ref:
        """A constant of the graph. Large ones stay outside of the model: ``arrays`` has them by name."""
        if data.dtype not in ELEMENT_TYPES:
            raise Declined(f"ONNX Runtime has no {data.dtype.name}")
        shape = tuple(data.shape)
        inline = data.nbytes <= INLINE_BYTES
        if not inline:
            self.arrays[name] = data
        element = ELEMENT_TYPES[data.dtype]
        content = np.ascontiguousarray(data).tobytes() if inline else None
        self.weights[name] = WeightRecord(name, element, shape, content, "weights", 0, data.nbytes)
        return self._entered(Ref(name, data.dtype, shape, data=data), dtype)

    def _entered(self, ref: Ref, dtype: DType) -> Ref:
        """A value of the boundary as it is carried inside."""
        if ref.dtype == carrier(dtype):
            inside = replace(ref, dtype=dtype)
        else:
            inside = self.op("Cast", ref, dtype=dtype, shape=ref.shape, to=ELEMENT_TYPES[carrier(dtype)])
            inside.dynamic, inside.data = ref.dynamic, ref.data
        self._known[inside.name] = inside
        return inside

    def op(
        self,
        op_type: str,
        *inputs: Ref | None,
        dtype: DType,
        shape: Sequence[int] = (),
        dynamic: bool = False,
        domain: str = "",
        **attributes: Attribute,
    ) -> Ref:
        """Add a node with one result."""
        return self.ops(op_type, *inputs, dtypes=[dtype], shape=shape, dynamic=dynamic, domain=domain, **attributes)[0]

    def ops(
        self,
        op_type: str,
        *inputs: Ref | None,
        dtypes: Sequence[DType | None],
        shape: Sequence[int] = (),
        dynamic: bool = False,
        domain: str = "",
        **attributes: Attribute,
    ) -> list[Ref]:
        """Add a node with several results; ``shape`` is that of the first, None in ``dtypes`` an absent result."""
        for key, value in attributes.items():
            if isinstance(value, list | tuple) and any(item is None or isinstance(item, str | Ref) for item in value):
                raise Declined(f"{key} that are not constant numbers")
        names = [self._name() if dtype is not None else "" for dtype in dtypes]
        for key, value in attributes.items():
            if isinstance(value, float) and math.isfinite(value) and abs(value) > _LARGEST:
                raise Declined(f"{key} of {value}, which is more than float32 holds")
        node = NodeRecord(op_type, [x.name if x else "" for x in inputs], names, dict(attributes), domain)
        self.nodes.append(node)
        self._made.update((name, node) for name in names if name)
        return [
            Ref(name, dtype or FLOAT32, tuple(shape), dynamic, producer=node)
            for name, dtype in zip(names, dtypes, strict=True)
        ]

    def _name(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def const(self, value: Any, dtype: DType | None = None) -> Ref:
        """A small constant; half and bfloat16 content is carried as float32."""
        array = np.asarray(value, dtype)
        stored = array.astype(carrier(array.dtype), copy=False)
        if stored.nbytes > INLINE_BYTES:
            name = f"c{len(self.weights)}"
            return replace(self.weight(name, np.ascontiguousarray(stored), stored.dtype), dtype=array.dtype, data=array)
        key = (stored.dtype.str, stored.shape, stored.tobytes())
        ref = self._constants.get(key)
        if ref is None:
            name = f"c{len(self.weights)}"
            self.weights[name] = WeightRecord(name, ELEMENT_TYPES[stored.dtype], stored.shape, stored.tobytes())
            ref = self._constants[key] = self._known[name] = Ref(name, stored.dtype, stored.shape, data=stored)
        return replace(ref, dtype=array.dtype, data=array)

    # --- conversions

    def cast(self, x: Ref, dtype: DType) -> Ref:
        """``x`` converted as ``c10::convert`` does (:mod:`pteron.ops.conversion`)."""
        if x.dtype == dtype:
            return x
        if x.data is not None and x.data.size <= 64:
            return replace(self.const(convert(x.data, dtype)), scalar=x.scalar)
        source = x.dtype
        if is_reduced(dtype):
            return self.round(x if carrier(source) == FLOAT32 else self._cast(x, FLOAT32), dtype)
        if is_floating(source) and dtype.kind in "iu" and dtype not in (np.dtype(np.int32), INT64):
            x = self._cast(x, INT64)
        return self._cast(x, dtype)

    def round(self, x: Ref, dtype: DType) -> Ref:
        """A float32 result rounded to half or bfloat16, carried on as float32; other dtypes as they are."""
        if not is_reduced(dtype):
            return x if x.dtype == dtype else replace(x, dtype=dtype)
        narrow = self.op("Cast", x, dtype=dtype, to=ELEMENT_TYPES[dtype])
        return self.op("Cast", narrow, dtype=dtype, shape=x.shape, dynamic=x.dynamic, to=ELEMENT_TYPES[FLOAT32])

    def _cast(self, x: Ref, dtype: DType) -> Ref:
        if carrier(x.dtype) == carrier(dtype):
            return replace(x, dtype=dtype)
        kind = ELEMENT_TYPES[carrier(dtype)]
        return self.op("Cast", x, dtype=dtype, shape=x.shape, dynamic=x.dynamic, to=kind)

    # --- shapes

    def dims(self, x: Ref) -> Ref:
        """The shape of ``x`` as a vector of int64."""
        if not x.dynamic:
            return self.const(np.array(x.shape, np.int64))
        return self.op("Shape", x, dtype=INT64, shape=(x.rank,))

    def size(self, x: Ref, dim: int) -> Size:
        """One dimension of ``x``: a number where it is known, else a scalar."""
        if not x.dynamic:
            return x.shape[dim]
        vector = self.op("Shape", x, dtype=INT64, shape=(1,), start=dim, end=dim + 1)
        return self.scalar(vector)

    def scalar(self, vector: Ref) -> Ref:
        """A vector of one element as a scalar."""
        ref = self.op("Squeeze", vector, self.ints([0]), dtype=vector.dtype)
        ref.scalar = True
        return ref

    def ints(self, values: Iterable[Size | bool]) -> Ref:
        """A vector of int64 from numbers and scalars."""
        items = list(values)
        if not any(isinstance(item, Ref) for item in items):
            return self.const(np.array(items, np.int64))
        parts = [
            self.op("Unsqueeze", x, self.ints([0]), dtype=INT64) if isinstance(x, Ref) else self.ints([x])
            for x in items
        ]
        return self.op("Concat", *parts, dtype=INT64, shape=(len(items),), axis=0) if len(parts) > 1 else parts[0]

    def reshape(self, x: Ref, sizes: Sequence[Size], spec: Spec | None = None) -> Ref:
        """``x`` in another shape (one size may be -1)."""
        fixed = [s for s in sizes if not isinstance(s, Ref)]
        if len(fixed) == len(sizes) and -1 not in fixed and tuple(fixed) == x.shape and not x.dynamic:
            return x
        dynamic = spec.dynamic if spec else x.dynamic or len(fixed) != len(sizes)
        shape = spec.shape if spec else self._resolved(x, fixed) if len(fixed) == len(sizes) else (0,) * len(sizes)
        result = self.op("Reshape", x, self.ints(sizes), dtype=x.dtype, shape=shape, dynamic=dynamic, allowzero=1)
        if x.data is not None and not dynamic and math.prod(shape) == x.data.size:
            result.data = x.data.reshape(shape)
        return result

    @staticmethod
    def _resolved(x: Ref, sizes: list[int]) -> tuple[int, ...]:
        known = math.prod(s for s in sizes if s != -1)
        rest = math.prod(x.shape) // known if known else 0
        return tuple(rest if s == -1 else s for s in sizes)

    def transpose(self, x: Ref, order: Sequence[int]) -> Ref:
        """``x`` with its dimensions in another order."""
        if list(order) == list(range(x.rank)):
            return x
        shape = tuple(x.shape[d] for d in order)
        result = self.op("Transpose", x, dtype=x.dtype, shape=shape, dynamic=x.dynamic, perm=list(order))
        if x.data is not None:
            result.data = x.data.transpose(list(order))
        return result

    def expand(self, x: Ref, sizes: Sequence[Size], spec: Spec) -> Ref:
        """``x`` broadcast to ``sizes``."""
        if not x.dynamic and not spec.dynamic and x.shape == spec.shape:
            return x
        return self.op("Expand", x, self.ints(sizes), dtype=x.dtype, shape=spec.shape, dynamic=spec.dynamic)

    def gather(self, x: Ref, index: Ref, axis: int, shape: Sequence[int] = (), dynamic: bool = False) -> Ref:
        return self.op("Gather", x, index, dtype=x.dtype, shape=shape, dynamic=dynamic, axis=axis)

    # --- the whole

    def lower(self, entry: Lowering, arguments: dict[str, Any], specs: Sequence[Spec]) -> list[Ref | None]:
        """Add one operator; arguments by the schema's names with defaults. Raises :class:`Declined`."""
        mark = len(self.nodes)
        given = {name: specs if name == "out" else arguments[name] for name in entry.parameters}
        try:
            for spec in specs:
                carrier(spec.dtype)
            result = entry.function(self, **given)
        except KernelError as error:
            del self.nodes[mark:]
            raise Declined(str(error)) from error
        except Declined:
            del self.nodes[mark:]
            raise
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            # Arguments of a kind that only a damaged file gives; the kernel refuses them in its own words, if at all.
            del self.nodes[mark:]
            raise Declined(f"arguments that have no lowering ({error})") from error
        results = list(result) if isinstance(result, list | tuple) else [result]
        if len(results) != len(specs):
            del self.nodes[mark:]
            raise Declined(f"{len(results)} results, where the program has {len(specs)}")
        typed = [None if r is None else self._typed(r, spec) for r, spec in zip(results, specs, strict=True)]
        for ref in typed:
            if ref is not None:
                self._known[ref.name] = ref
                if ref.name in self._made and not ref.dynamic and not ref.scalar:
                    self._claimed[ref.name] = ValueRecord(ref.name, ELEMENT_TYPES[carrier(ref.dtype)], ref.shape)
        return typed

    def source(self, x: Ref, op_type: str) -> tuple[NodeRecord, list[Ref | None]] | None:
        """The node that computes ``x``, if it is of that type, and its inputs as far as they are known."""
        node = x.producer
        if node is None or node.op_type != op_type:
            return None
        return node, [self._known.get(name) for name in node.inputs]

    def maker(self, name: str) -> NodeRecord | None:
        """The node that computes the value of this name; None for inputs and constants."""
        return self._made.get(name)

    def content(self, name: str) -> Array | None:
        """The content of a constant, by name."""
        ref = self._known.get(name)
        return None if ref is None else ref.data

    def dtype(self, name: str) -> DType | None:
        """The dtype of a result, input or constant by name, where it is known."""
        ref = self._known.get(name)
        return None if ref is None else ref.dtype

    def static_shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a result, input or constant by name, where it is known and does not change."""
        ref = self._known.get(name)
        return None if ref is None or ref.dynamic else ref.shape

    def _typed(self, ref: Ref, spec: Spec) -> Ref:
        ref = self.cast(ref, spec.dtype)
        if ref.shape == spec.shape and ref.dynamic == spec.dynamic:
            return ref
        data = ref.data if ref.data is not None and ref.data.shape == spec.shape else None
        return replace(ref, shape=spec.shape, dynamic=spec.dynamic, data=data)

    def model(self, outputs: Sequence[tuple[str, Ref]], name: str = "graph") -> bytes:
        """The model's bytes; ``outputs`` are the values it gives, under the names they have outside.

        Nodes and constants that no output needs are left out, unused inputs stay.
        """
        return encode_model(self.graph(outputs, name))

    def graph(self, outputs: Sequence[tuple[str, Ref]], name: str = "graph") -> GraphRecord:
        """What :meth:`model` encodes."""
        records: list[ValueRecord] = []
        for label, ref in outputs:
            outside = boundary(ref.dtype)
            if carrier(ref.dtype) == outside:
                self.nodes.append(NodeRecord("Identity", [ref.name], [label]))
            else:
                self.nodes.append(NodeRecord("Cast", [ref.name], [label], {"to": ELEMENT_TYPES[outside]}))
            shape = None if ref.dynamic else ref.shape
            records.append(ValueRecord(label, ELEMENT_TYPES[outside], shape))
        nodes = self.nodes = self._renamed(needed_nodes(self.nodes, [label for label, _ in outputs]))
        read = {name for node in nodes for name in node.reads()}
        weights = [weight for weight in self.weights.values() if weight.name in read]
        self.arrays = {key: data for key, data in self.arrays.items() if key in read}
        made = {result for node in nodes for result in node.outputs} - {record.name for record in records}
        known = [record for key, record in self._claimed.items() if key in made]
        return GraphRecord(nodes, [record for _, record in self.inputs], records, weights, name, known=known)

    def overwrites(self, output: str, op_types: Collection[str]) -> str:
        """The input whose memory the output may take, after :meth:`model`, or an empty string.

        That is so where one of ``op_types`` makes the output of the input, and nothing else reads the input's content.
        """
        producer = next((node for node in self.nodes if output in node.outputs), None)
        if producer is None or producer.op_type not in op_types:
            return ""
        source = producer.inputs[0]
        readers = sum(node.inputs.count(source) for node in self.nodes if node.op_type != "Shape")
        return source if readers == 1 and any(record.name == source for _, record in self.inputs) else ""

    def _renamed(self, nodes: list[NodeRecord]) -> list[NodeRecord]:
        """Identity nodes of outputs folded into the node that computes the value, where that is possible.

        ONNX Runtime would copy otherwise, and could not write a result straight into memory that it is given.
        """
        produced = {name: node for node in nodes for name in node.outputs}
        for node in nodes:
            for name in set(node.reads()).difference(node.inputs):
                produced.pop(name, None)  # what branches read keeps its name
        rename: dict[str, str] = {}
        kept = []
        for node in nodes:
            source = node.inputs[0] if node.op_type == "Identity" else ""
            if source in produced and source not in rename and produced[source].op_type != "Identity":
                rename[source] = node.outputs[0]
            else:
                kept.append(node)
        return [
            replace(
                node, inputs=[rename.get(n, n) for n in node.inputs], outputs=[rename.get(n, n) for n in node.outputs]
            )
            for node in kept
        ]


def needed_nodes(nodes: Sequence[NodeRecord], outputs: Iterable[str]) -> list[NodeRecord]:
    """The nodes that the outputs need, in their order."""
    wanted = set(outputs)
    kept: list[NodeRecord] = []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.reads())
    kept.reverse()
    return kept


def scalar_kind(dtype: DType) -> type:
    """The Python type of a graph's scalar that is carried as ``dtype``."""
    return bool if dtype == BOOL else float if dtype == FLOAT64 else int
