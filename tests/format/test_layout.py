"""Every byte of a file belongs to one span, and to the right one."""

from __future__ import annotations

import dataclasses
import struct

import pytest

import corpus_files
from program_edits import edited, program
from pteron.format.bundled_program import read_bundled_program
from pteron.format.flat_tensor import read_tensor_data
from pteron.format.layout import Span, SpanKind, bundled_program_layout, program_layout, tensor_data_layout
from pteron.format.program import read_program


def cover(spans: tuple[Span, ...]) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in spans]


def assert_whole(spans: tuple[Span, ...], size: int) -> None:
    ends = [0, *(span.end for span in spans)]
    assert [span.start for span in spans] == ends[:-1]
    assert ends[-1] == size
    assert all(span.nbytes > 0 for span in spans)


def total(spans: tuple[Span, ...], kind: SpanKind) -> int:
    return sum(span.nbytes for span in spans if span.kind is kind)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_spans_of_every_model_sum_to_the_file(release: str) -> None:
    names = [name for name in corpus_files.names(release) if not name.startswith("ops/")]
    for name in names:
        data = corpus_files.read(release, name)
        assert_whole(program_layout(read_program(data)), len(data))
    for name in corpus_files.names(release, ".ptd"):
        data = corpus_files.read(release, name)
        assert_whole(tensor_data_layout(read_tensor_data(data), memoryview(data)), len(data))
    for name in corpus_files.names(release, ".bpte"):
        data = corpus_files.read(release, name)
        assert_whole(bundled_program_layout(read_bundled_program(data), memoryview(data)), len(data))


def test_header_and_segments_are_where_the_header_says() -> None:
    data = corpus_files.read("1.5.1", "mlp.pte")
    length, program_size, base, data_size = struct.unpack_from("<IQQQ", data, 12)
    spans = program_layout(read_program(data))
    assert cover(spans) == [(0, 8 + length), (8 + length, program_size), (program_size, base), (base, len(data))]
    assert [span.kind for span in spans] == [
        SpanKind.HEADER,
        SpanKind.FLATBUFFER,
        SpanKind.PADDING,
        SpanKind.CONSTANTS,
    ]
    assert total(spans, SpanKind.CONSTANTS) == data_size


def test_constants_inside_the_flatbuffer_are_told_from_it() -> None:
    data = corpus_files.read("0.2.1", "mlp_cfg_constant_segment_off.pte")
    weights = corpus_files.read("0.2.1", "mlp.pte")
    spans = program_layout(read_program(data))
    # The same weights are in the segment of the other file, where they are padded between each other.
    segment = total(program_layout(read_program(weights)), SpanKind.CONSTANTS)
    inline = total(spans, SpanKind.CONSTANTS)
    assert 0.98 * segment <= inline <= segment
    assert {span.what.partition("[")[0] for span in spans if span.kind is SpanKind.CONSTANTS} == {"constant_buffer"}
    start = next(span.start for span in spans if span.kind is SpanKind.CONSTANTS)
    assert struct.unpack_from("<I", data, start - 4) == (next(s.nbytes for s in spans if s.start == start),)


def test_bytes_after_the_last_segment_are_trailing() -> None:
    data = corpus_files.read("1.5.1", "mlp.pte") + b"signature"
    spans = program_layout(read_program(data))
    assert spans[-1] == Span(len(data) - 9, len(data), SpanKind.TRAILING)


def test_overlapping_segments_are_counted_once() -> None:
    original = program("1.5.1/mlp.pte")
    first = original.root.segments[0]
    half = dataclasses.replace(first, offset=first.size // 2)
    spans = program_layout(edited(original, {"segments": (first, half)}))
    assert_whole(spans, len(original.buffer))
    assert total(spans, SpanKind.CONSTANTS) == first.size
    assert total(spans, SpanKind.UNUSED_SEGMENT) == 0  # the whole of it has gone to the first


def test_bundled_program_holds_the_program_at_its_offset() -> None:
    data = corpus_files.read("1.5.1", "bundled_mlp.bpte")
    spans = bundled_program_layout(read_bundled_program(data), memoryview(data))
    inside = next(span for span in spans if span.kind is SpanKind.PROGRAM)
    assert data[inside.start + 4 : inside.start + 8] == b"ET12"
    assert total(spans, SpanKind.TEST_DATA) > 0


def test_tensor_data_is_told_from_blobs() -> None:
    data = corpus_files.read("1.5.1", "external_constants_mlp._default_external_constant.ptd")
    read = read_tensor_data(data)
    spans = tensor_data_layout(read, memoryview(data))
    assert total(spans, SpanKind.TENSOR_DATA) == sum(len(entry.data) for entry in read.entries.values())
    blobs = corpus_files.read("1.5.1", "external_constants_xnnpack.xnn_weights.ptd")
    kinds = {span.kind for span in tensor_data_layout(read_tensor_data(blobs), memoryview(blobs))}
    assert SpanKind.NAMED_DATA in kinds
    assert SpanKind.TENSOR_DATA not in kinds
