"""XNNPACK payloads of the corpus, and small ones made by hand."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import corpus_files
from pteron.backends.xnnpack.header import ALIGNMENT, LENGTH, XNNHeader
from pteron.backends.xnnpack.nodes import XNNAdd, XNode
from pteron.backends.xnnpack.payload import Payload, read_payload
from pteron.backends.xnnpack.schema import SCHEMA, Buffer, XNNGraph
from pteron.backends.xnnpack.values import XNNDatatype, XNNTensorValue, XValue
from pteron.format.bundled_program import read_bundled_program
from pteron.format.encode import encode
from pteron.format.flat_tensor import read_tensor_data
from pteron.format.program import read_program

INVALID = 0xFFFFFFFF
FP32 = XNNDatatype.xnn_datatype_fp32


@dataclass(frozen=True)
class Found:
    """One payload of the corpus: its bytes, the named data of its program and .ptd files, and where it is."""

    file: str
    path: str
    data: memoryview
    named_data: Mapping[str, memoryview]

    def read(self) -> Payload:
        return read_payload(self.data, file=self.file, path=self.path)


@functools.cache
def payloads(release: str) -> tuple[Found, ...]:
    """Every XNNPACK payload of the release's programs and bundled programs, one per delegate."""
    found = []
    external = {case.name: case for case in corpus_files.models(release)}
    for name in [*corpus_files.names(release), *corpus_files.names(release, ".bpte")]:
        data = corpus_files.read(release, name)
        program = read_bundled_program(data, file=name).program if name.endswith(".bpte") else read_program(data)
        for method in program.methods.values():
            for index, delegate in enumerate(method.plan.delegates or ()):
                if delegate.id != "XnnpackBackend":
                    continue
                path = f"execution_plan[{method.index}].delegates[{index}]"
                named = dict(program.named_data)
                for ptd in external[name].read_data() if name in external else ():
                    named.update((key, entry.data) for key, entry in read_tensor_data(ptd).entries.items())
                found.append(Found(f"{release}/{name}", path, program.payload(delegate, path), named))
    return tuple(found)


def tensor(number: int, *dims: int, external: int = INVALID, flags: int = 0, **more: Any) -> XValue:
    """A float32 value with that id."""
    return XValue(XNNTensorValue(FP32, len(dims), dims, external_id=external, flags=flags, id_out=number, **more))


def add_graph(**changes: Any) -> XNNGraph:
    """``out = x + constant 1``, as 0.1 wrote it: constants in the flatbuffer, ids 0 (x), 1 (constant), 2 (out)."""
    graph = XNNGraph(
        version="0",
        xnodes=(XNode(XNNAdd(0, 1, 2, 0), debug_handle=7),),
        xvalues=(
            tensor(0, 2, 3, external=0, flags=1),
            tensor(1, 2, 3, constant_buffer_idx=1),
            tensor(2, 2, 3, external=1, flags=2),
        ),
        num_externs=2,
        input_ids=(0,),
        output_ids=(2,),
        constant_buffer=(Buffer(memoryview(b"")), Buffer(memoryview(bytes(range(24))))),
        mem_buffer_sizes=(0,),
    )
    return replace(graph, **changes)


def bare(graph: XNNGraph, identifier: str = "XN00") -> memoryview:
    """The graph as a payload without header."""
    return memoryview(bytes(encode(graph, SCHEMA, identifier=identifier).data))


def headered(graph: XNNGraph, region: bytes = b"", identifier: str = "XN01") -> memoryview:
    """The graph behind an XH00 header, with a region of constants after it."""
    flatbuffer = bytes(encode(graph, SCHEMA, identifier=identifier).data)
    start = -(-LENGTH // ALIGNMENT) * ALIGNMENT
    end = start + -(-len(flatbuffer) // ALIGNMENT) * ALIGNMENT
    header = XNNHeader(start, len(flatbuffer), end, len(region)).pack()
    return memoryview(header.ljust(start, b"\0") + flatbuffer.ljust(end - start, b"\0") + region)
