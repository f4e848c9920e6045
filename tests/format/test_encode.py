"""Records to flatbuffer bytes: against byte literals, flatbuffers' own reading, and our reader on any record."""

import contextlib
import dataclasses
import math
import struct
import time
from typing import Any

import flatbuffers.table
import pytest
from flatbuffers.builder import Builder
from flatbuffers.number_types import Float64Flags, Uint64Flags
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pteron.format.bundled_program as bundled
import pteron.format.flat_tensor_schema as fts
from pteron.errors import FormatError, PteronError, UnsupportedError
from pteron.format import schema
from pteron.format.declare import SCALARS, FieldSpec, FlatbufferSchema, slot, table
from pteron.format.encode import encode
from pteron.format.flatbuffer import locate, read_root
from pteron.format.schema import SCHEMA

SCHEMAS = (SCHEMA, fts.OLD, fts.SCHEMA, bundled.SCHEMA)


def there_and_back(record: Any, owner: FlatbufferSchema = SCHEMA) -> Any:
    data = encode(record, owner, identifier="TEST").data
    read, unknown = read_root(memoryview(data), owner, owner.by_record[type(record)].name, file="test")
    assert unknown == frozenset()
    return read


def scalars(kind: str) -> st.SearchStrategy[Any]:
    if kind == "bool":
        return st.booleans()
    if kind in ("float", "double"):
        return st.floats(allow_nan=False, width=32 if kind == "float" else 64)
    bits = 8 * SCALARS[kind][1]
    signed = SCALARS[kind][0].islower()
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else st.integers(0, (1 << bits) - 1)


def values(field: FieldSpec, owner: FlatbufferSchema) -> st.SearchStrategy[Any]:
    kind = field.type
    if kind in SCALARS:
        return scalars(kind)
    if kind in owner.enums:
        return st.sampled_from(list(owner.enums[kind].values))
    if kind in owner.unions:
        return st.none() | st.one_of([records(owner, name) for name in owner.unions[kind].members.values()])
    if kind == "string":
        return st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    if kind == "bytes":
        return st.none() | st.binary(max_size=20).map(memoryview)
    if kind.startswith("["):
        item = kind[1:-1]
        items = scalars(item) if item in SCALARS else records(owner, item)
        return st.none() | st.lists(items, max_size=3 if item in SCALARS else 2).map(tuple)
    return st.none() | records(owner, kind)


def records(owner: FlatbufferSchema, name: str) -> st.SearchStrategy[Any]:
    spec = owner.tables[name]
    return st.builds(spec.record, **{field.name: values(field, owner) for field in spec.fields})


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner in SCHEMAS for name in owner.tables],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_table_comes_back_as_it_was(owner: FlatbufferSchema, name: str, data: st.DataObject) -> None:
    record = data.draw(records(owner, name))
    assert there_and_back(record, owner) == record


def test_the_bytes_are_flatbuffers() -> None:
    assert encode(schema.Int(5), SCHEMA, identifier="ET12").data == bytes.fromhex(
        "14000000"  # root table at byte 20
        "45543132"  # ET12
        "0000"  # padding, so that the long below is at a multiple of 8
        "0000"
        "0000"
        "0600"  # vtable: 6 bytes,
        "0c00"  # a table of 12 bytes,
        "0400"  # slot 0 at byte 4 of it
        "06000000"  # the vtable is 6 bytes before the table
        "0500000000000000"
    )


def test_an_empty_table_has_an_empty_vtable() -> None:
    assert encode(schema.Null(), SCHEMA, identifier="ET12").data == bytes.fromhex(
        "0c000000 45543132 0400 0400 04000000".replace(" ", "")
    )


def root_of(data: bytearray) -> flatbuffers.table.Table:
    return flatbuffers.table.Table(data, struct.unpack_from("<I", data)[0])


def test_flatbuffers_own_reader_reads_the_same() -> None:
    plan = schema.ExecutionPlan(name="forward", non_const_buffer_sizes=(0, 1 << 40))
    data = encode(schema.Program(version=7, execution_plan=(plan, plan)), SCHEMA, identifier="ET12").data
    root = root_of(data)
    assert root.Get(Uint64Flags, root.Pos + root.Offset(4)) & 0xFFFFFFFF == 7
    vector = root.Offset(6)
    assert root.VectorLen(vector) == 2
    for index in range(2):
        item = flatbuffers.table.Table(data, root.Indirect(root.Vector(vector) + 4 * index))
        assert item.String(item.Pos + item.Offset(4)) == b"forward"
        sizes = item.Offset(4 + 2 * 8)
        assert [item.Get(Uint64Flags, item.Vector(sizes) + 8 * i) for i in range(item.VectorLen(sizes))] == [0, 1 << 40]


def test_none_empty_and_default_stay_apart() -> None:
    absent = schema.Program()
    empty = schema.Program(execution_plan=(), constant_buffer=(), segments=())
    assert there_and_back(absent) == absent
    assert there_and_back(empty) == empty
    assert absent != empty
    assert there_and_back(schema.String("")).string_val == ""
    assert there_and_back(schema.String(None)).string_val is None
    assert there_and_back(schema.Buffer(memoryview(b""))).storage == b""
    assert there_and_back(schema.Buffer(None)).storage is None


def test_a_scalar_equal_to_its_default_is_not_stored() -> None:
    assert len(encode(schema.Int(0), SCHEMA, identifier="ET12").data) == len(
        encode(schema.Null(), SCHEMA, identifier="ET12").data
    )


def test_negative_zero_and_nan_are_values_of_their_own() -> None:
    assert math.copysign(1, there_and_back(schema.Double(-0.0)).double_val) == -1
    assert math.isnan(there_and_back(schema.Double(math.nan)).double_val)
    assert there_and_back(schema.Double(-math.inf)).double_val == -math.inf
    data = encode(schema.Double(-0.0), SCHEMA, identifier="ET12").data
    root = root_of(data)
    assert math.copysign(1, root.Get(Float64Flags, root.Pos + root.Offset(4))) == -1


def test_a_union_without_a_member_is_none() -> None:
    value = schema.EValue(None)
    assert there_and_back(value) == value
    assert there_and_back(schema.EValue(schema.Null())) == schema.EValue(schema.Null())


def test_every_union_member_keeps_its_number() -> None:
    for owner in SCHEMAS:
        for union in owner.unions.values():
            holder = next(
                (spec, field) for spec in owner.tables.values() for field in spec.fields if field.type == union.name
            )
            spec, field = holder
            for number, member in union.members.items():
                record = spec.record(**{field.name: owner.tables[member].record()})
                data = encode(record, owner, identifier="TEST").data
                root = root_of(data)
                assert data[root.Pos + root.Offset(4 + 2 * (field.slot - 1))] == number


@pytest.mark.parametrize("alignment", [16, 32, 64, 256, 4096])
def test_byte_vectors_are_aligned(alignment: int) -> None:
    program = schema.Program(
        constant_buffer=tuple(schema.Buffer(memoryview(bytes(range(n)))) for n in (1, 7, 16, 30)),
        backend_delegate_data=(schema.BackendDelegateInlineData(memoryview(b"payload")),),
    )
    encoded = encode(program, SCHEMA, identifier="ET12", align={"Buffer.storage": alignment})
    assert encoded.alignment == alignment
    assert len(encoded.data) % alignment == 0
    view = memoryview(encoded.data)
    for index in range(4):
        field = locate(view, SCHEMA, "Program", f"constant_buffer[{index}].storage")
        assert field is not None
        start = field + struct.unpack_from("<I", view, field)[0] + 4
        assert start % alignment == 0
    field = locate(view, SCHEMA, "Program", "backend_delegate_data[0].data")
    assert field is not None
    assert (field + struct.unpack_from("<I", view, field)[0] + 4) % 16 == 0


@pytest.mark.parametrize("alignment", [0, 3, -16, 1 << 40])
def test_an_impossible_alignment_is_refused(alignment: int) -> None:
    with pytest.raises(FormatError, match="power of two"):
        encode(schema.Program(), SCHEMA, identifier="ET12", align={"Buffer.storage": alignment})


def test_an_alignment_of_no_field_is_refused() -> None:
    with pytest.raises(FormatError, match=r"Buffer\.store is no vector"):
        encode(schema.Program(), SCHEMA, identifier="ET12", align={"Buffer.store": 16})


PLAN = schema.ExecutionPlan(name="forward")


@pytest.mark.parametrize(
    ("record", "path", "problem"),
    [
        (schema.Program(version=-1), "version", "-1 does not fit in a uint"),
        (schema.Program(version=1 << 32), "version", "does not fit"),
        (schema.Program(version="1"), "version", "a uint belongs here, not str '1'"),  # type: ignore[arg-type]
        (
            schema.Program(execution_plan=(PLAN, dataclasses.replace(PLAN, inputs=(1, 1 << 31)))),
            "execution_plan[1].inputs",
            "an item does not fit in a int",
        ),
        (
            schema.Program(execution_plan=(dataclasses.replace(PLAN, inputs=5),)),  # type: ignore[arg-type]
            "execution_plan[0].inputs",
            "a tuple belongs here",
        ),
        (
            schema.Program(execution_plan=(dataclasses.replace(PLAN, values=(schema.Int(1),)),)),  # type: ignore[arg-type]
            "execution_plan[0].values[0]",
            "a EValue belongs here, not Int",
        ),
        (
            schema.Program(execution_plan=(dataclasses.replace(PLAN, values=(schema.EValue(3),)),)),  # type: ignore[arg-type]
            "execution_plan[0].values[0].val",
            "a member of KernelTypes belongs here, not int 3",
        ),
        (schema.Tensor(scalar_type=99), "scalar_type", "99 is no ScalarType"),  # type: ignore[arg-type]
        (schema.String("\ud800"), "string_val", "UTF-8"),
        (schema.String(b"x"), "string_val", "a string belongs here, not bytes"),  # type: ignore[arg-type]
        (schema.Buffer("x"), "storage", "contiguous bytes belong here"),  # type: ignore[arg-type]
        (schema.Buffer(memoryview(b"abcd")[::2]), "storage", "contiguous bytes belong here"),
        (schema.Double("x"), "double_val", "a double belongs here"),  # type: ignore[arg-type]
        (schema.DoubleList(("x",)), "items", "an item does not fit in a double"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_stored_is_named(record: Any, path: str, problem: str) -> None:
    with pytest.raises(FormatError) as caught:
        encode(record, SCHEMA, identifier="ET12", file="new.pte")
    assert caught.value.path == path
    assert problem in str(caught.value)
    assert str(caught.value).startswith("new.pte")


def test_a_float_too_large_for_its_field_is_refused() -> None:
    owner = FlatbufferSchema("floats", identifiers=("TEST",))

    @table(owner, since="0.1.0")
    class Floats:
        one: float = slot(0, "float", default=0.0, since="0.1.0")
        many: tuple[float, ...] | None = slot(1, "[float]", default=None, since="0.1.0")

    assert there_and_back(Floats(1.5, (2.5,)), owner) == Floats(1.5, (2.5,))
    for record in (Floats(1e300), Floats(many=(1e300,))):
        with pytest.raises(FormatError):
            encode(record, owner, identifier="TEST")


def test_more_than_flatbuffers_hold_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Builder, "MAX_BUFFER_SIZE", 1 << 16)
    with pytest.raises(UnsupportedError, match="2 GiB"):
        encode(schema.Buffer(memoryview(bytes(1 << 17))), SCHEMA, identifier="ET12")


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner).map(tuple),
        max_leaves=4,
    )
)
def test_values_of_any_type_end_in_a_typed_error_or_in_bytes(value: Any) -> None:
    for spec in SCHEMA.tables.values():
        for field in spec.fields:
            record = spec.record(**{field.name: value})
            with contextlib.suppress(PteronError):
                assert encode(record, SCHEMA, identifier="ET12").data[4:8] == b"ET12"


def test_tens_of_thousands_of_values_take_a_moment() -> None:
    tensor = schema.EValue(schema.Tensor(schema.ScalarType.FLOAT, sizes=(1, 64), dim_order=(0, 1)))
    call = schema.Instruction(schema.KernelCall(1, (1, 2, 3, 3)))
    plan = schema.ExecutionPlan(
        name="forward",
        values=(tensor, schema.EValue(schema.Int(3))) * 15_000,
        chains=(schema.Chain(instructions=(call,) * 10_000),),
    )
    start = time.process_time()
    data = encode(schema.Program(execution_plan=(plan,)), SCHEMA, identifier="ET12").data
    assert time.process_time() - start < 10
    assert there_and_back(schema.Program(execution_plan=(plan,))).execution_plan == (plan,)
    assert len(data) < 3_000_000
