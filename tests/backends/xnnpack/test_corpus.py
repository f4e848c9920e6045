"""Every XNNPACK payload that a real exporter wrote is read, verified, and understood down to its constants."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

import corpus_files
from pteron.backends.xnnpack.releases import runtimes, version
from pteron.backends.xnnpack.schema import XN01
from pteron.backends.xnnpack.verify import verify_payload
from xnnpack_payloads import payloads

# Release: payloads, nodes, bytes of constants over all uses, keys into named data.
COUNTS = {
    "0.2.1": (77, 211, 224828, 0),
    "0.3.0": (77, 211, 224828, 0),
    "0.4.0": (75, 215, 232348, 0),
    "0.5.0": (72, 212, 224628, 0),
    "0.6.0": (72, 212, 224628, 136),
    "0.7.0": (72, 280, 241192, 170),
    "1.0.1": (77, 284, 256632, 182),
    "1.1.0": (78, 287, 256632, 182),
    "1.2.0": (79, 291, 264352, 188),
    "1.3.1": (65, 329, 272516, 196),
    "1.4.1": (65, 329, 272516, 196),
    "1.5.1": (66, 334, 272516, 196),
}

# Nodes in all the payloads, by kind without XNN.
NODES = {
    "Abs": 24, "Add": 273, "AvgPooling2d": 1, "BatchMatrixMultiply": 40, "Ceiling": 12, "Clamp": 43,
    "Concatenate2": 26, "Concatenate4": 12, "Conv2d": 120, "ConvTranspose2d": 3, "Convert": 224, "Copy": 6,
    "DepthwiseConv2d": 48, "Div": 40, "Floor": 12, "FullyConnected": 768, "Gelu": 7, "GlobalAvgPooling2d": 15,
    "Hardswish": 6, "LeakyReLU": 12, "MaxPooling2d": 61, "Maximum": 12, "Minimum": 12, "Multiply": 334, "Negate": 12,
    "ReciprocalSquareRoot": 21, "Sigmoid": 175, "Softmax": 36, "SquareRoot": 12, "StaticConstantPad": 12,
    "StaticReshape": 111, "StaticResizeBilinear2D": 12, "StaticSlice": 88, "StaticTranspose": 451, "Subtract": 26,
    "Tanh": 128,
}  # fmt: skip

VALUES = {"fp32": 5861, "qdint8": 104, "qcint8": 132, "fp16": 102, "qint8": 252, "qcint32": 84, "qint32": 12,
          "qbint4": 56}  # fmt: skip


def test_the_counts_are_of_all_the_releases() -> None:
    assert tuple(COUNTS) == corpus_files.releases()


@pytest.mark.parametrize("release", corpus_files.releases())
def test_every_payload_is_read_and_keeps_the_rules(release: str) -> None:
    nodes = constant_bytes = keys = 0
    for found in payloads(release):
        payload = found.read()
        assert payload.format == XN01
        assert payload.has_header
        assert payload.unknown_fields == frozenset()
        verify_payload(payload, found.named_data)
        nodes += len(payload.graph.xnodes or ())
        keys += len(payload.named_keys)
        for index, path in payload.constant_uses():
            constant_bytes += len(payload.constant(index, found.named_data, path=path))
    assert (len(payloads(release)), nodes, constant_bytes, keys) == COUNTS[release]


def test_the_kinds_of_nodes_and_values_are_as_counted() -> None:
    nodes: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for release in corpus_files.releases():
        for payload in (found.read() for found in payloads(release)):
            nodes.update({kind.removeprefix("XNN"): count for kind, count in payload.node_kinds.items()})
            values.update({datatype.short: count for datatype, count in payload.datatypes.items()})
    assert nodes == NODES
    assert values == VALUES


@pytest.mark.parametrize("release", [r for r in corpus_files.releases() if version(r) >= (0, 6)])
def test_a_constant_in_named_data_has_the_hash_that_its_key_ends_with(release: str) -> None:
    checked = 0
    for found in payloads(release):
        payload = found.read()
        for index, _ in payload.constant_uses():
            key = (payload.graph.constant_data or ())[index].named_key
            assert key is not None
            data = payload.constant(index, found.named_data)
            assert key.endswith(hashlib.sha256(data).hexdigest())
            checked += 1
    assert checked >= 136


@pytest.mark.parametrize("name", ["xnnpack_mlp.pte", "xnnpack_lenet.pte", "xnnpack_int8_linear.pte"])
def test_the_region_of_older_payloads_holds_the_weights_that_newer_ones_name_by_their_hash(name: str) -> None:
    def hashes(release: str) -> set[str]:
        table = set()
        for found in payloads(release):
            if found.file == f"{release}/{name}":
                payload = found.read()
                for index, _ in payload.constant_uses():
                    table.add(hashlib.sha256(payload.constant(index, found.named_data)).hexdigest())
        return table

    def keys(release: str) -> set[str]:
        files = (found for found in payloads(release) if found.file == f"{release}/{name}")
        return {key for found in files for key in found.read().named_keys}

    assert len(keys("0.6.0")) >= 2
    assert hashes("0.5.0") == keys("0.6.0")


@pytest.mark.parametrize("release", corpus_files.releases())
def test_a_payload_is_never_said_to_need_more_than_the_release_that_wrote_it(release: str) -> None:
    for found in payloads(release):
        judged = runtimes(found.read())
        assert release in judged, (found.file, judged)
        assert version("0.2.0") <= version(judged.first)
        assert judged.last == ""


@pytest.mark.parametrize(
    ("release", "file", "first", "why"),
    [
        ("0.5.0", "xnnpack_mlp.pte", "0.2.0", "format XN01"),
        ("0.6.0", "xnnpack_mlp.pte", "0.6.0", "constants in named data"),
        ("0.7.0", "xnnpack_int8_linear.pte", "0.7.0", "scales per channel in a constant"),
    ],
)
def test_what_needs_the_newest_runtime_is_named_first(release: str, file: str, first: str, why: str) -> None:
    judged = next(runtimes(found.read()) for found in payloads(release) if found.file == f"{release}/{file}")
    assert judged.first == first
    assert why in {need.what for need in judged.needs if need.since == judged.needs[0].since}
