"""emit: corpus programs, lifted and written again, give the same bits in no more memory than upstream planned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.program import Program, read_program
from pteron.format.write import Layout, write_program
from pteron.graph.constant_pool import ConstantPool
from pteron.graph.emit_method import emit_method
from pteron.graph.lift import lift

EMPTY = Program(
    schema.Program(
        execution_plan=(),
        constant_buffer=(),
        backend_delegate_data=(),
        segments=(schema.DataSegment(0, 0),),
        constant_segment=schema.SubsegmentOffsets(0, (0,)),
    ),
    (memoryview(b""),),
)
NAMES = [
    "add.pte",
    "mlp.pte",
    "lenet.pte",
    "attention_block.pte",
    "views.pte",
    "kv_cache.pte",
    "tensor_lists.pte",
    "shared_weights_methods.pte",
    "topk.pte",
    "portable_quantized_convnet.pte",
    "return_input_and_const.pte",
]


def emitted(program: Program) -> bytes:
    pool = ConstantPool(EMPTY)
    plans = tuple(emit_method(lift(program, name), pool) for name in program.methods)
    root = dataclasses.replace(EMPTY.root, execution_plan=plans)
    return write_program(pool.finish(EMPTY.replace(root=root)), Layout())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_in_no_more_memory(name: str) -> None:
    case = next(case for case in corpus_files.models("1.5.1") if case.name == name)
    original = pteron.open(case.read())
    image = emitted(original)
    before, after = (pteron.load(data, engine="reference") for data in (case.read(), image))
    for call in case.calls():
        expected = before[call.method](*call.inputs)
        found = after[call.method](*call.inputs)
        assert [np.asarray(x).tobytes() for x in found] == [np.asarray(x).tobytes() for x in expected]
    again = read_program(image)
    for method in original.methods:
        theirs, ours = (sum(program.methods[method].memory_plan) for program in (original, again))
        assert ours <= 1.05 * theirs


def test_methods_share_weights() -> None:
    original = pteron.open(corpus_files.read("1.5.1", "shared_weights_methods.pte"))
    image = read_program(emitted(original))
    assert image.root.constant_segment is not None
    assert original.root.constant_segment is not None
    assert len(image.root.constant_segment.offsets or ()) == len(original.root.constant_segment.offsets or ())


def test_what_is_emitted_follows_the_rules_of_the_format() -> None:
    image = emitted(pteron.open(corpus_files.read("1.5.1", "attention_block.pte")))
    assert [finding for finding in pteron.verify(image) if finding.severity.value != "note"] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cond_pred_computed.pte", "jumps"), ("xnnpack_mlp.pte", "delegate::XnnpackBackend cannot be called")],
)
def test_what_cannot_be_emitted_is_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        emitted(pteron.open(corpus_files.read("1.5.1", name)))
