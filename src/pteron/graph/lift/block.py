"""BlockLift: one block while it is lifted: what each value is, and what each byte of memory holds, at this point.

What a block reads and did not write itself becomes a parameter of it, made when it is first asked for; the entry block
asks for state instead. Reading never guesses: what cannot be told for certain raises ``UnsupportedError``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

from pteron.graph.build import Builder
from pteron.graph.ir import Block, Operand, TensorType, Value
from pteron.graph.lift.aliases import FREED, NO_TENSOR, STALE, Aliases
from pteron.graph.lift.forms import flat_form, from_flat, same_bytes
from pteron.graph.lift.plan import PlanTensor
from pteron.graph.lift.regions import Pointer, Regions, Segment, Space

if TYPE_CHECKING:
    from pteron.graph.lift.method import MethodLift

# What a block needs from before: a scalar value; a tensor value that may be one of several tensors; a tensor as it is
# (its sizes belong to it); or a window of memory read as a static type.
Key: TypeAlias = (
    tuple[Literal["scalar"], int]
    | tuple[Literal["value"], int]
    | tuple[Literal["tensor"], int]
    | tuple[Literal["window"], Pointer, TensorType]
)


class BlockLift:
    """``number`` is the instruction being lifted, for messages."""

    def __init__(self, method: MethodLift, block: Block, aliases: Aliases, *, entry: bool) -> None:
        self.method = method
        self.plan = method.plan
        self.builder = Builder(method.graph, block)
        self.number: int | None = None
        self.entry = entry
        self.keys: list[Key] = []
        self._aliases = aliases.copy()
        self._regions = Regions()
        self._known: dict[Key, Value] = {}
        self._scalars: dict[int, Operand] = {}
        # The value whose shape a dynamic tensor has now, by value index.
        self._shapes: dict[int, Value] = {}
        self._sizes: dict[Value, list[Operand]] = {}

    # Values

    def read(self, slot: int) -> Operand:
        """A tensor or scalar value now: a Value, or a Python constant where the file fixes it."""
        tensors = self._aliases.tensors_of(slot, self.plan)
        if len(tensors) > 1:
            return self._ambiguous(slot, tensors)
        (index,) = tensors
        if index != NO_TENSOR:
            return self.read_tensor(self.plan.tensor(index))
        content = self.plan.slots[slot]
        if slot in self.plan.written_slots:
            known = self._scalars.get(slot)
            return self.need(("scalar", slot)) if known is None else known
        if isinstance(content, int | float | str | None):
            return content
        raise self.unsupported(f"value {slot} is a list where one value is needed")

    def write_scalar(self, slot: int, content: Operand) -> None:
        """The value is this scalar from now on."""
        self._scalars[slot] = content

    def tensor(self, slot: int) -> PlanTensor | None:
        """The tensor that a value is now, None where it is none; raises where it may be one of several."""
        tensors = self._aliases.tensors_of(slot, self.plan)
        if len(tensors) > 1:
            raise self.unsupported(f"value {slot} may be one of the tensors {sorted(tensors)}, and is written to")
        (index,) = tensors
        return None if index == NO_TENSOR else self.plan.tensor(index)

    def move(self, source: int, target: int) -> None:
        """Make the value ``target`` what ``source`` is."""
        if NO_TENSOR in self._aliases.tensors_of(source, self.plan):
            if not isinstance(self.plan.slots[target], int | float):
                raise self.unsupported(f"value {target} is no number, and one may be moved to it")
            self._scalars[target] = self.read(source)
        self._aliases.move(source, target, self.plan)

    def free(self, slot: int) -> None:
        """Take a tensor's memory away."""
        self._aliases.free(slot, self.plan)

    # Tensors

    def read_tensor(self, tensor: PlanTensor) -> Value:
        """The tensor's content now."""
        places = self._places(tensor)
        if len(places) > 1:
            return self._captured(("tensor", tensor.index), places)
        (place,) = places
        if tensor.type.dynamic and place.space.kind != "const":
            return self._read_dynamic(tensor, place)
        return self.read_window(place, tensor.type)

    def write_tensor(self, tensor: PlanTensor, value: Value) -> None:
        """The tensor holds ``value``, which has its type, from now on."""
        place = self.place(tensor)
        if place == FREED:
            place = Pointer(Space("own", tensor.index), 0, tensor.type.nbytes)
            self._aliases.places[tensor.index] = frozenset((place,))
        if place.space.kind == "const":
            raise self.unsupported(f"value {tensor.index} is a constant of the file, and is written to")
        if tensor.type.dynamic:
            self._shapes[tensor.index] = value
        else:
            place = self._window(place, tensor.type)
        if place.nbytes:
            self._regions.put(place, value)

    def view(self, source: PlanTensor, size: list[Operand], out: PlanTensor) -> None:
        """``et_view``: ``out`` shares the memory of ``source`` under the sizes given."""
        if out.unbound or source.unbound or out.type.scalar_type != source.type.scalar_type:
            raise self.unsupported(f"value {out.index} is a view of value {source.index}, of another kind")
        place = self.place(source)
        if out.type.dynamic:
            # What is read below is the bytes as they are now; the tensor's sizes stay what they are here.
            if not (source.type.contiguous and out.type.contiguous):
                raise self.unsupported(f"value {out.index} is a dynamic view under another dim order")
            shaped = self.builder.call("aten::view_copy", {"self": self.read_tensor(source), "size": size}, out.type)
            self._shapes[out.index] = shaped
            segment = self._regions.exact(place)
            if segment is None:
                raise self.unsupported(f"value {out.index} is a dynamic view of a part of memory")
            segment.views[out.index] = shaped
        elif not _fits(size, out.type.shape):
            raise self.unsupported(f"value {out.index} is a static view of {list(out.type.shape)}, not of {size}")
        self._aliases.places[out.index] = frozenset((place,))

    def read_window(self, place: Pointer, type: TensorType) -> Value:
        """The first bytes of a place as a static type."""
        place = self._window(place, type)
        if place.space.kind == "const" or not place.nbytes:
            return self.method.constant(place.space, type)
        for gap in self._regions.gaps(place):
            whole = gap == place
            self._regions.put(gap, self.need(("window", gap, type if whole else self._flat(gap, type))), captured=True)
        segment = self._regions.exact(place)
        if segment is not None:
            return self._as_type(segment, type)
        pieces = [self._part(segment, place, type) for segment in self._regions.overlapping(place)]
        joined = pieces[0]
        if len(pieces) > 1:
            count = sum(piece.tensor_type.shape[0] for piece in pieces)
            flat = TensorType(type.scalar_type, (count,))
            joined = self.builder.call("aten::cat", {"tensors": list(pieces), "dim": 0}, flat)
        return from_flat(self.builder, joined, type)

    # What comes from before

    def need(self, key: Key) -> Value:
        """What ``key`` stood for when the block began: a parameter of the block, or state in the entry block."""
        value = self._known.get(key)
        if value is None:
            if self.entry:
                value = self.method.state(key, self.number)
            else:
                value = self.method.graph.value(self.method.type_of(key, self.number))
                self.builder.block.parameters.append(value)
                self.keys.append(key)
            self._known[key] = value
        return value

    def holds(self, place: Pointer, type: TensorType) -> bool:
        """Whether the place is known in this block to hold just one tensor, of the same element type."""
        segment = self._regions.exact(place)
        return segment is not None and segment.value.tensor_type.scalar_type == type.scalar_type

    def look_up(self, key: Key) -> Operand:
        """What ``key`` stands for at this point, for the blocks that follow."""
        match key:
            case ("window", place, type):
                return self.read_window(place, type)
            case ("tensor", index):
                return self.read_tensor(self.plan.tensor(index))
            case (_, slot):
                return self.read(slot)

    def unsupported(self, reason: str) -> Exception:
        """The error for what cannot be lifted at this instruction."""
        return self.plan.unsupported(reason, self.number)

    def _ambiguous(self, slot: int, tensors: frozenset[int]) -> Value:
        if NO_TENSOR in tensors:
            raise self.unsupported(f"value {slot} may be a tensor or a number")
        places = [place for t in tensors for place in self._places(self.plan.tensor(t))]
        return self._captured(("value", slot), places)

    def _captured(self, key: Key, places: Iterable[Pointer]) -> Value:
        """What was there when the block began, which must be there still."""
        if any(self._regions.written(place) for place in places):
            raise self.unsupported(f"value {key[1]} may lie in several places, and one of them was overwritten")
        return self.need(key)

    def _places(self, tensor: PlanTensor) -> frozenset[Pointer]:
        places = self._aliases.places_of(tensor.index, self.plan)
        # A tensor without data cannot be read, so where it is read it is not that.
        alive = places - {FREED}
        if not alive or STALE in alive:
            raise self.unsupported(f"value {tensor.index} is read, and its memory is gone")
        return alive

    def place(self, tensor: PlanTensor) -> Pointer:
        """Where the tensor's bytes lie; raises where that may be in one of several places."""
        places = self._aliases.places_of(tensor.index, self.plan)
        own = Space("own", tensor.index)
        if len(places) > 1 and all(p == FREED or p.space == own for p in places):
            places -= {FREED}
        if len(places) > 1 or STALE in places:
            raise self.unsupported(f"value {tensor.index} may lie in one of several places; one is needed")
        (place,) = places
        return place

    def _window(self, place: Pointer, type: TensorType) -> Pointer:
        if type.nbytes > place.nbytes:
            raise self.unsupported(f"{type} does not fit the {place.nbytes} bytes that it shares")
        return place if place.nbytes == type.nbytes else Pointer(place.space, place.offset, type.nbytes)

    def _read_dynamic(self, tensor: PlanTensor, place: Pointer) -> Value:
        shape = self._shapes.get(tensor.index)
        segment = self._regions.exact(place)
        if shape is None:
            # The sizes were set before this block, and the content must come from there, too.
            shape = self._captured(("tensor", tensor.index), (place,))
            self._shapes[tensor.index] = shape
            if segment is not None:
                segment.views[tensor.index] = shape
            elif not self._regions.overlapping(place) and place.nbytes:
                self._regions.put(place, shape, captured=True)
            return shape
        if not place.nbytes:
            return shape
        if segment is None:
            if self._known.get(("tensor", tensor.index)) is shape and not self._regions.written(place):
                return shape
            raise self.unsupported(f"value {tensor.index} is dynamic, and other tensors overlap it")
        if segment.value is shape:
            return shape
        seen = segment.views.get(tensor.index)
        if seen is None:
            seen = segment.views[tensor.index] = self._resized(segment.value, shape, tensor)
        return seen

    def _resized(self, value: Value, shape: Value, tensor: PlanTensor) -> Value:
        """Bytes that another tensor wrote, under the sizes that a dynamic tensor has."""
        type = value.tensor_type
        if type.scalar_type != tensor.type.scalar_type or not (type.contiguous and tensor.type.contiguous):
            raise self.unsupported(f"value {tensor.index} is dynamic, and reads what was written as {type}")
        sizes = self._sizes.get(shape)
        if sizes is None:
            dims = range(tensor.type.rank)
            sizes = [self.builder.call("aten::sym_size.int", {"self": shape, "dim": i}, "int") for i in dims]
            self._sizes[shape] = sizes
        return self.builder.call("aten::view_copy", {"self": value, "size": list(sizes)}, tensor.type)

    def _as_type(self, segment: Segment, type: TensorType) -> Value:
        written = segment.value.tensor_type
        if written is type or same_bytes(written, type):
            return segment.value
        seen = segment.views.get(type)
        if seen is None:
            self._check_dtype(written, type)
            if not written.dynamic:
                seen = from_flat(self.builder, segment.value, type)
            elif written.contiguous and type.contiguous:
                seen = self.builder.reshape(segment.value, type.shape)
            else:
                raise self.unsupported(f"a dynamic {written} is read as {type}")
            segment.views[type] = seen
        return seen

    def _part(self, segment: Segment, place: Pointer, type: TensorType) -> Value:
        """The elements of the window that a segment holds, flat."""
        written = segment.value.tensor_type
        self._check_dtype(written, type)
        if written.dynamic:
            raise self.unsupported(f"a part of a dynamic {written} is read as {type}")
        flat = segment.views.get(None)
        if flat is None:
            flat = segment.views[None] = flat_form(self.builder, segment.value)
        start, end = max(segment.start, place.offset) - segment.base, min(segment.end, place.end) - segment.base
        itemsize = type.scalar_type.itemsize
        if start % itemsize or end % itemsize:
            raise self.unsupported(f"{type} is read across elements of {written}")
        first, last = start // itemsize, end // itemsize
        if (first, last) == (0, flat.tensor_type.shape[0]):
            return flat
        part = TensorType(type.scalar_type, (last - first,))
        operands: dict[str, Operand] = {"self": flat, "dim": 0, "start": first, "end": last}
        return self.builder.call("aten::slice_copy.Tensor", operands, part)

    def _flat(self, place: Pointer, type: TensorType) -> TensorType:
        if place.nbytes % type.scalar_type.itemsize:
            raise self.unsupported(f"{type} is read across elements of another tensor")
        return TensorType(type.scalar_type, (place.nbytes // type.scalar_type.itemsize,))

    def _check_dtype(self, written: TensorType, type: TensorType) -> None:
        if written.scalar_type != type.scalar_type:
            raise self.unsupported(f"bytes written as {written} are read as {type}")


def _fits(size: list[Operand], shape: tuple[int, ...]) -> bool:
    """Whether constant sizes, one of them -1 perhaps, come out as ``shape``."""
    return len(size) == len(shape) and all(
        (isinstance(n, int) and (n == m or n == -1)) for n, m in zip(size, shape, strict=True)
    )
