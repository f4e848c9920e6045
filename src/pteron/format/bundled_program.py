"""Bundled programs (``.bpte``): a program with test cases, in one flatbuffer without an extended header.

``BP06`` is what 0.1 wrote, ``BP08`` what every release since 0.2 writes; tables were renamed between them and no slot
or type moved (schema/bundled_program_schema.fbs at v0.1.0, devtools/bundled_program/schema since).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from pteron.errors import FormatError
from pteron.format.declare import FlatbufferSchema, slot, table
from pteron.format.encode import encode
from pteron.format.flatbuffer import locate, read_root
from pteron.format.identify import FileKind, expect
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.program import Program, read_program
from pteron.format.save import save_parts
from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.format.source import FileSource, read_source
from pteron.format.tensor_bytes import array_bytes, dim_order_of, layout_problem, tensor_array

SCHEMA = FlatbufferSchema("bundled_program", identifiers=("BP06", "BP08"))
SCHEMA.enum(ScalarType, "byte")


@table(SCHEMA, since="0.1.0")
class Tensor:
    """``dim_order`` lists dimensions from outermost to innermost; ``data`` is in that order."""

    scalar_type: ScalarType = slot(0, "ScalarType", default=ScalarType.BYTE, since="0.1.0")
    sizes: tuple[int, ...] | None = slot(1, "[int]", default=None, since="0.1.0")
    data: memoryview | None = slot(2, "bytes", default=None, since="0.1.0", align=16)
    dim_order: tuple[int, ...] | None = slot(3, "[ubyte]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Int:
    int_val: int = slot(0, "long", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Bool:
    bool_val: bool = slot(0, "bool", default=False, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Double:
    double_val: float = slot(0, "double", default=0.0, since="0.1.0")


SCHEMA.union("ValueUnion", Tensor=1, Int=2, Bool=3, Double=4)


@table(SCHEMA, since="0.1.0")
class Value:
    val: Tensor | Int | Bool | Double | None = slot(1, "ValueUnion", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class BundledMethodTestCase:
    """One call; named BundledIOSet in 0.1."""

    inputs: tuple[Value, ...] | None = slot(0, "[Value]", default=None, since="0.1.0")
    expected_outputs: tuple[Value, ...] | None = slot(1, "[Value]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class BundledMethodTestSuite:
    """The test cases of one method; named BundledExecutionPlanTest in 0.1."""

    method_name: str | None = slot(0, "string", default=None, since="0.1.0")
    test_cases: tuple[BundledMethodTestCase, ...] | None = slot(
        1, "[BundledMethodTestCase]", default=None, since="0.1.0", was="test_sets"
    )


@table(SCHEMA, since="0.1.0", name="BundledProgram")
class BundledProgramRecord:
    """The root table. ``program`` is a whole PTE file."""

    version: int = slot(0, "uint", default=0, since="0.1.0")
    method_test_suites: tuple[BundledMethodTestSuite, ...] | None = slot(
        1, "[BundledMethodTestSuite]", default=None, since="0.1.0", was="execution_plan_tests"
    )
    program: memoryview | None = slot(2, "bytes", default=None, since="0.1.0", align=32)


VERSION = 2
"""``BundledProgram.version`` as every release wrote it; no reader looks at it."""

TestValue: TypeAlias = np.ndarray[Any, np.dtype[Any]] | int | bool | float | None


@dataclass(frozen=True)
class TestCase:
    """One call: arrays for tensors, Python numbers for numbers, None for a value left out."""

    __test__ = False  # a record, not a test that pytest should collect

    inputs: tuple[TestValue, ...]
    expected_outputs: tuple[TestValue, ...]


@dataclass(frozen=True)
class BundledProgram:
    """A bundled program as read: ``root`` is the record on disk, everything else is a view of it.

    ``program`` is the program inside, ``test_suites`` the calls by method name, arrays as views into the file.
    """

    root: BundledProgramRecord
    identifier: str
    program: Program
    test_suites: Mapping[str, tuple[TestCase, ...]]
    file: str = "<bytes>"
    unknown_fields: frozenset[tuple[str, int]] = field(default=frozenset())

    @property
    def program_bytes(self) -> memoryview:
        """The PTE file inside; a view."""
        return self.root.program or memoryview(b"")


def read_bundled_program(
    source: FileSource, *, limits: Limits = DEFAULT_LIMITS, file: str | None = None
) -> BundledProgram:
    """Read a bundled program of any release, with the program inside and every test value.

    Messages about the program inside name it ``FILE (program)`` and count bytes from its start. Raises
    ``UnknownFileError`` for another kind of file, ``LimitError`` beyond ``limits``, ``FormatError`` for anything else
    that cannot be read, also where a tensor's data is shorter than its sizes.
    """
    buffer, name = read_source(source)
    name = file or name
    expect(buffer, FileKind.BUNDLED_PROGRAM, name)
    root, unknown = read_root(buffer, SCHEMA, "BundledProgram", file=name, limits=limits)
    values = _Values(buffer, name, limits)
    suites: dict[str, tuple[TestCase, ...]] = {}
    for index, suite in enumerate(root.method_test_suites or ()):
        path = f"method_test_suites[{index}]"
        if suite.method_name is None or suite.method_name in suites:
            raise values.fault(f"the suite's method name {suite.method_name!r} is missing or stands twice", path)
        suites[suite.method_name] = tuple(values.cases(suite.test_cases or (), path))
    program = read_program(root.program or memoryview(b""), limits=limits, file=f"{name} (program)")
    return BundledProgram(root, str(buffer[4:8], "ascii"), program, MappingProxyType(suites), name, unknown)


class _Values:
    """Test values of one file as arrays and Python numbers."""

    def __init__(self, buffer: memoryview, file: str, limits: Limits) -> None:
        self.buffer = buffer
        self.file = file
        self.limits = limits

    def cases(self, records: Sequence[BundledMethodTestCase], path: str) -> Iterator[TestCase]:
        for index, record in enumerate(records):
            place = f"{path}.test_cases[{index}]"
            yield TestCase(
                self.values(record.inputs or (), f"{place}.inputs"),
                self.values(record.expected_outputs or (), f"{place}.expected_outputs"),
            )

    def values(self, records: Sequence[Value], path: str) -> tuple[TestValue, ...]:
        return tuple(self.value(record.val, f"{path}[{index}].val") for index, record in enumerate(records))

    def value(self, val: Tensor | Int | Bool | Double | None, path: str) -> TestValue:
        if isinstance(val, Tensor):
            data = val.data if val.data is not None else memoryview(b"")
            problem = layout_problem(val.scalar_type, val.sizes, val.dim_order, len(data), self.limits)
            if problem:
                raise self.fault(problem, path)
            return tensor_array(data, val.scalar_type, val.sizes or (), val.dim_order or ())
        if isinstance(val, Int):
            return val.int_val
        if isinstance(val, Bool):
            return val.bool_val
        return val.double_val if isinstance(val, Double) else None

    def fault(self, problem: str, path: str) -> FormatError:
        offset = locate(self.buffer, SCHEMA, "BundledProgram", path)
        return FormatError(problem, file=self.file, path=path, offset=offset)


def bundle(program: memoryview | bytes, test_suites: Mapping[str, Sequence[TestCase]]) -> BundledProgramRecord:
    """The record of a bundled program, of a PTE file's bytes and calls by method name.

    Arrays keep their dim order where it is packed and are stored contiguous otherwise; bool, int and float become the
    value of that type. Suites are ordered by method name, as the exporter orders them. Raises ``FormatError`` for a
    value that a bundled program cannot hold.
    """
    suites = []
    for name in sorted(test_suites):
        path = f"test_suites[{name!r}]"
        cases = tuple(
            BundledMethodTestCase(
                tuple(_record(value, path) for value in case.inputs),
                tuple(_record(value, path) for value in case.expected_outputs),
            )
            for case in test_suites[name]
        )
        suites.append(BundledMethodTestSuite(name, cases))
    return BundledProgramRecord(VERSION, tuple(suites), memoryview(program))


def _record(value: TestValue, path: str) -> Value:
    if isinstance(value, np.ndarray):
        try:
            scalar_type = from_dtype(value.dtype)
        except KeyError:
            raise FormatError(
                f"a test value of dtype {value.dtype} has no ScalarType", file="<bundled program>", path=path
            ) from None
        dim_order = dim_order_of(value)
        return Value(Tensor(scalar_type, value.shape, array_bytes(value, dim_order), dim_order))
    if isinstance(value, bool):
        return Value(Bool(value))
    if isinstance(value, int):
        return Value(Int(value))
    if isinstance(value, float):
        return Value(Double(value))
    if value is None:
        return Value()
    raise FormatError(
        f"a test value is an array, int, bool, float or None, not {type(value).__name__}",
        file="<bundled program>",
        path=path,
    )


def write_bundled_program(root: BundledProgramRecord, *, identifier: Literal["BP06", "BP08"] = "BP08") -> bytes:
    """The bytes of a ``.bpte`` file; the program inside starts at a multiple of 32 bytes (of 16 for ``BP06``).

    Raises ``FormatError`` for records that cannot be stored, ``UnsupportedError`` above flatbuffers' 2 GiB.
    """
    align = {"BundledProgram.program": 16} if identifier == "BP06" else None
    return bytes(encode(root, SCHEMA, identifier=identifier, align=align, file="<bundled program>").data)


def save_bundled_program(root: BundledProgramRecord, path: str | os.PathLike[str]) -> None:
    """Write the file whole or not at all; see :func:`write_bundled_program`. Raises ``FileAccessError`` as well."""
    save_parts(path, [write_bundled_program(root)])
