"""Bundled programs: every .bpte of the corpus against its recorded calls, BP06 from byte literals, and damage."""

import dataclasses
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import corpus_files
from pteron.errors import FormatError, PteronError, UnknownFileError
from pteron.format import bundled_program as bp
from pteron.format.bundled_program import TestCase, bundle, read_bundled_program, save_bundled_program
from pteron.format.bundled_program import write_bundled_program as write
from pteron.format.flatbuffer import locate
from pteron.format.program import read_program
from pteron.format.scalar_type import ScalarType

BUNDLES = [
    case for release in corpus_files.releases() for case in corpus_files.models(release) if case.name.endswith(".bpte")
]
PTE = corpus_files.read("1.5.1", "add.pte")


def same(actual: Any, expected: Any, rtol: float = 0, atol: float = 0) -> None:
    if not isinstance(expected, np.ndarray):
        assert type(actual) is type(expected)
        assert actual == expected
        return
    assert isinstance(actual, np.ndarray)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(actual.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol)


def test_the_corpus_has_bundles_of_every_release() -> None:
    assert len(BUNDLES) == 4 * len(corpus_files.releases())


@pytest.mark.parametrize("case", BUNDLES, ids=str)
def test_every_bundle_has_the_recorded_calls(case: corpus_files.Case) -> None:
    data = case.read()
    read = read_bundled_program(data, file=case.name)
    assert read.identifier == "BP08"
    assert read.root.version == bp.VERSION
    assert read.unknown_fields == frozenset()
    recorded = case.calls()
    assert sum(map(len, read.test_suites.values())) == len(recorded)
    left = {name: list(cases) for name, cases in read.test_suites.items()}
    for call in recorded:
        found = left[call.method].pop(0)
        for actual, expected in zip(found.inputs, call.inputs, strict=True):
            same(actual, expected)
        for actual, expected in zip(found.expected_outputs, call.outputs, strict=True):
            same(actual, expected, case.rtol, case.atol)
    assert set(read.test_suites) <= set(read.program.methods)
    assert read.program.root == read_program(data[data.index(read.program_bytes) :][: len(read.program_bytes)]).root


@pytest.mark.parametrize("case", BUNDLES, ids=str)
def test_what_is_read_is_written_and_read_again_without_change(case: corpus_files.Case) -> None:
    read = read_bundled_program(case.read())
    assert read_bundled_program(write(read.root)).root == read.root
    # The arrays and numbers say all that the record holds.
    assert bundle(read.program_bytes, read.test_suites) == read.root


@pytest.mark.parametrize(("identifier", "alignment"), [("BP06", 16), ("BP08", 32)])
def test_the_program_inside_is_aligned(identifier: Any, alignment: int) -> None:
    for count in range(4):
        case = TestCase((np.zeros(count, np.int8),), ())
        data = write(bundle(PTE, {"m" * (count + 1): [case]}), identifier=identifier)
        assert data[4:8] == identifier.encode()
        field = locate(memoryview(data), bp.SCHEMA, "BundledProgram", "program")
        assert field is not None
        start = field + struct.unpack_from("<I", data, field)[0] + 4
        assert start % alignment == 0
        assert data[start : start + len(PTE)] == PTE


def literal_bundle() -> bytearray:
    """A BP06 file by hand: one call of ``f``, an int16 tensor [[1, 2], [3, 4]] stored by columns → 5, True, 0.5."""
    head = bytearray(400)

    def put(at: int, form: str, *values: int | float | bytes) -> None:
        struct.pack_into(f"<{form}", head, at, *values)

    put(0, "I4s", 24, b"BP06")
    put(8, "5H", 10, 16, 4, 8, 12)  # BundledProgram
    put(24, "iIII", 16, 2, 40 - 32, 396 - 36)
    put(40, "II", 1, 60 - 44)  # execution_plan_tests
    put(50, "4H", 8, 12, 4, 8)  # BundledExecutionPlanTest
    put(60, "iII", 10, 72 - 64, 80 - 68)
    put(72, "I2s", 1, b"f")
    put(80, "II", 1, 96 - 84)  # test_sets
    put(88, "4H", 8, 12, 4, 8)  # BundledIOSet
    put(96, "iII", 8, 108 - 100, 120 - 104)
    put(108, "II", 1, 152 - 112)  # inputs
    put(120, "4I", 3, 168 - 124, 184 - 128, 200 - 132)  # expected_outputs
    put(140, "4H", 8, 12, 8, 4)  # BundledValue
    put(152, "iIB", 12, 232 - 156, 1)  # a BundledTensor
    put(168, "iIB", 28, 300 - 172, 2)  # a BundledInt
    put(184, "iIB", 44, 324 - 188, 3)  # a BundledBool
    put(200, "iIB", 60, 352 - 204, 4)  # a BundledDouble
    put(216, "6H", 12, 20, 16, 4, 8, 12)  # BundledTensor
    put(232, "iIIIB", 16, 256 - 236, 272 - 240, 284 - 244, ScalarType.SHORT)
    put(256, "Iii", 2, 2, 2)  # sizes
    put(272, "I4h", 8, 1, 3, 2, 4)  # data
    put(284, "I2B", 2, 1, 0)  # dim_order
    put(292, "3H", 6, 12, 4)  # BundledInt
    put(300, "iq", 8, 5)
    put(316, "3H", 6, 5, 4)  # BundledBool
    put(324, "iB", 8, 1)
    put(336, "3H", 6, 16, 8)  # BundledDouble
    put(352, "iId", 16, 0, 0.5)
    put(396, "I", len(PTE))
    return head + PTE


def check_literal(read: bp.BundledProgram) -> None:
    assert list(read.test_suites) == ["f"]
    (call,) = read.test_suites["f"]
    (array,) = call.inputs
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.int16
    assert array.strides == (2, 4)
    np.testing.assert_array_equal(array, [[1, 2], [3, 4]])
    assert call.expected_outputs == (5, True, 0.5)
    assert [type(value) for value in call.expected_outputs] == [int, bool, float]
    assert bytes(read.program_bytes) == PTE
    assert list(read.program.methods) == ["forward"]


def test_a_bundle_of_0_1_is_read() -> None:
    read = read_bundled_program(literal_bundle())
    assert (read.identifier, read.root.version) == ("BP06", 2)
    check_literal(read)
    again = write(bundle(read.program_bytes, read.test_suites), identifier="BP06")
    assert read_bundled_program(again).root == read.root
    check_literal(read_bundled_program(write(read.root)))


def test_every_truncation_and_bit_flip_of_a_bundle_ends_in_values_or_a_typed_error() -> None:
    data = bytes(literal_bundle()[:400])
    for end in range(len(data)):
        with pytest.raises(PteronError):
            read_bundled_program(data[:end])
    refused = 0
    for bit in range(8 * 400):
        damaged = bytearray(data + PTE)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            read_bundled_program(damaged)
        except PteronError:
            refused += 1
    assert refused > 800


TENSOR = bp.Tensor(ScalarType.SHORT, (2, 2), memoryview(bytes(8)), (0, 1))


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (dataclasses.replace(TENSOR, sizes=(2, 3)), r"int16\[2, 3\] takes 12 bytes, there are 8"),
        (dataclasses.replace(TENSOR, data=None), "takes 8 bytes, there are 0"),
        (dataclasses.replace(TENSOR, sizes=None), "no sizes"),
        (dataclasses.replace(TENSOR, dim_order=None), "no dim_order"),
        (dataclasses.replace(TENSOR, dim_order=(0, 0)), "no permutation"),
        (dataclasses.replace(TENSOR, sizes=(-1, 2)), "negative"),
        (dataclasses.replace(TENSOR, sizes=(2**31 - 1,) * 2), "takes"),
    ],
)
def test_a_tensor_that_its_data_cannot_hold_is_named(tensor: bp.Tensor, problem: str) -> None:
    case = bp.BundledMethodTestCase((bp.Value(), bp.Value(tensor)), ())
    root = bp.BundledProgramRecord(2, (bp.BundledMethodTestSuite("forward", (case,)),), memoryview(PTE))
    with pytest.raises(FormatError, match=problem) as caught:
        read_bundled_program(write(root), file="a.bpte")
    assert caught.value.path == "method_test_suites[0].test_cases[0].inputs[1].val"
    assert caught.value.file == "a.bpte"
    assert caught.value.offset is not None


def test_data_after_a_tensor_is_left_out() -> None:
    longer = dataclasses.replace(TENSOR, data=memoryview(bytes(range(12))))
    case = bp.BundledMethodTestCase((bp.Value(longer),), None)
    root = bp.BundledProgramRecord(2, (bp.BundledMethodTestSuite("forward", (case,)),), memoryview(PTE))
    (read,) = read_bundled_program(write(root)).test_suites["forward"][0].inputs
    assert isinstance(read, np.ndarray)
    assert read.tobytes() == bytes(range(8))


@pytest.mark.parametrize("names", [("forward", "forward"), (None,)])
def test_suites_need_names_of_their_own(names: tuple[str | None, ...]) -> None:
    suites = tuple(bp.BundledMethodTestSuite(name, ()) for name in names)
    with pytest.raises(FormatError, match="is missing or stands twice"):
        read_bundled_program(write(bp.BundledProgramRecord(2, suites, memoryview(PTE))))


@pytest.mark.parametrize("inside", [None, memoryview(b""), memoryview(PTE)[:100], memoryview(b"text")])
def test_a_program_inside_that_cannot_be_read_is_named(inside: memoryview | None) -> None:
    data = write(bp.BundledProgramRecord(2, (), inside))
    with pytest.raises(FormatError, match=r"a\.bpte \(program\)"):
        read_bundled_program(data, file="a.bpte")


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(UnknownFileError, match="not a bundled program"):
        read_bundled_program(PTE)


DTYPES = (
    [np.dtype(name) for name in ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")]
    + [np.dtype(name) for name in ("uint16", "uint32", "uint64", "complex64", "complex128")]
    + [np.dtype(ml_dtypes.bfloat16), np.dtype(ml_dtypes.float8_e5m2)]
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(DTYPES),
    arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    st.data(),
)
def test_any_array_comes_back_equal(dtype: np.dtype[Any], shape: tuple[int, ...], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    count = int(np.prod(shape, dtype=int))
    flat = np.arange(count * dtype.itemsize, dtype=np.uint8) % 2
    stored = flat.view(dtype) if count else np.zeros(0, dtype)
    array = stored.reshape([shape[dim] for dim in order]).transpose(np.argsort(np.asarray(order, np.intp)))
    if data.draw(st.booleans()) and array.ndim:
        array = array[::2]
    read = read_bundled_program(write(bundle(PTE, {"forward": [TestCase((array, 7, -0.0, False, None), (array,))]})))
    (call,) = read.test_suites["forward"]
    back = call.inputs[0]
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert repr(call.inputs[1:]) == "(7, -0.0, False, None)"


def test_channels_last_stays_channels_last() -> None:
    array = np.arange(24, dtype=np.float32).reshape(1, 3, 4, 2).transpose(0, 3, 1, 2)
    record = bundle(PTE, {"forward": [TestCase((array,), ())]})
    value = (record.method_test_suites or ())[0].test_cases[0].inputs[0].val  # type: ignore[index]
    assert isinstance(value, bp.Tensor)
    assert (value.sizes, value.dim_order) == ((1, 2, 3, 4), (0, 2, 3, 1))
    assert bytes(value.data or b"") == np.arange(24, dtype=np.float32).tobytes()


@pytest.mark.parametrize("value", ["text", np.array(["text"]), np.zeros(2, ">f4"), 1 << 63])
def test_a_value_that_a_bundle_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        write(bundle(PTE, {"forward": [TestCase((value,), ())]}))


def test_saving_writes_the_same_bytes(tmp_path: Path) -> None:
    record = bundle(PTE, {"forward": [TestCase((1,), (2.0,))]})
    save_bundled_program(record, tmp_path / "a.bpte")
    assert (tmp_path / "a.bpte").read_bytes() == write(record)
