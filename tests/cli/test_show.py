"""``pteron show``: text and JSON against what the corpus records of its files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corpus_files
from program_edits import edited, program
from pteron.format import schema
from pteron.format.flat_tensor import TensorEntry, write_tensor_data
from pteron.format.write import write_program

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("1.5.1", "initialized_mutable_buffer.pte"),  # state with initial data
        ("1.5.1", "custom_update_cache.pte"),  # state without
        ("1.5.1", "external_mutable_weights.pte"),  # several methods, external data, outputs that are no tensors
        ("1.5.1", "dynamic_mlp.pte"),  # dynamic shapes
        ("1.5.1", "channels_last_input.pte"),  # dim orders
        ("1.5.1", "scalar_inputs.pte"),  # inputs that are no tensors
        ("1.5.1", "cond_model.pte"),  # jumps and moves
        ("1.5.1", "other_backends/vulkan_mlp.pte"),  # named data
        ("0.2.1", "mlp_cfg_constant_segment_off.pte"),  # no segments, constants inside
        ("0.2.1", "xnnpack_mixed.pte"),  # payloads inside
        ("0.6.0", "external_constants_mlp._default_external_constant.ptd"),
        ("1.5.1", "external_constants_xnnpack.xnn_weights.ptd"),
        ("0.3.0", "bundled_mlp.bpte"),
    ],
)
def test_text(pteron: Callable[..., Any], corpus: Callable[..., str], release: str, name: str) -> None:
    """A golden file is what ``pteron show NAME`` prints."""
    here = corpus(release, name)
    expected = (GOLDEN / f"{release}-{here}.txt").read_text(encoding="utf-8")
    assert pteron("show", here).out == expected


@pytest.mark.parametrize("release", ["0.2.1", "0.7.0", "1.5.1"])
def test_signature_operators_and_backends_are_those_of_the_manifest(
    pteron: Callable[..., Any], corpus: Callable[..., str], release: str
) -> None:
    cases = [case for case in corpus_files.models(release) if "operators" in case.entry]
    assert len(cases) > 60
    for case in cases[::3]:
        shown = pteron("show", corpus(release, case.name), "--format", "json").json
        assert shown["schema"] == "pteron.show/1"
        assert shown["bytes"] == len(case.read())
        methods = {method["name"]: method for method in shown["program"]["methods"]}
        assert set(methods) == set(case.entry["methods"])
        operators = {name for method in methods.values() for name in method["operators"]}
        assert operators == set(case.entry["operators"])
        backends = {delegate["backend"] for method in methods.values() for delegate in method["delegates"]}
        assert backends == set(case.entry["backends"])
        for call in case.entry["calls"]:
            described = methods[call["method"]]
            for recorded, given in zip(call["inputs"], described["inputs"], strict=True):
                assert given["kind"] == recorded["kind"]
                if recorded["kind"] == "tensor":
                    assert given["dtype"] == recorded["dtype"]
                    bound = given["dynamism"] != "static"
                    assert len(given["shape"]) == len(recorded["shape"])
                    fits = [n <= m if bound else n == m for n, m in zip(recorded["shape"], given["shape"], strict=True)]
                    assert all(fits)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_totals_sum_to_the_file(pteron: Callable[..., Any], corpus: Callable[..., str], release: str) -> None:
    for name in ("mlp.pte", "xnnpack_mlp.pte", "kv_cache.pte"):
        shown = pteron("show", corpus(release, name), "--format", "json").json
        assert sum(shown["layout"]["totals"].values()) == shown["bytes"]
        assert sum(span["bytes"] for span in shown["layout"]["spans"]) == shown["bytes"]


def test_payload_format_and_version_of_every_backend_in_the_corpus(
    pteron: Callable[..., Any], corpus: Callable[..., str]
) -> None:
    found = {}
    for name in ("coreml_add", "vulkan_add", "arm_tosa_add", "webgpu_add"):
        shown = pteron("show", corpus("1.5.1", f"other_backends/{name}.pte"), "--format", "json").json
        [delegate] = shown["program"]["methods"][0]["delegates"]
        found[name] = (delegate["backend"], delegate["payload"]["format"])
    assert found == {
        "coreml_add": ("CoreMLBackend", "in-memory file system"),
        "vulkan_add": ("VulkanBackend", "VK00"),
        "arm_tosa_add": ("TOSABackend", "TOSA"),
        "webgpu_add": ("VulkanBackend", "VK00"),
    }
    for release in ("0.2.1", "1.5.1"):
        shown = pteron("show", corpus(release, "xnnpack_mlp.pte"), "--format", "json").json
        for delegate in shown["program"]["methods"][0]["delegates"]:
            assert (delegate["backend"], delegate["payload"]["format"]) == ("XnnpackBackend", "XN01")


def test_a_tagged_method_plan_names_its_device(pteron: Callable[..., Any], folder: Path) -> None:
    devices = (schema.NonConstBufferDevice(1, schema.DeviceType.CUDA, 0),)
    changed = edited(program("1.5.1/add.pte"), {"plan.non_const_buffer_device": devices})
    (folder / "cuda.pte").write_bytes(write_program(changed))
    shown = pteron("show", "cuda.pte", "--format", "json").json
    assert [buffer["device"] for buffer in shown["program"]["methods"][0]["memory_plan"]] == ["cuda:0"]
    assert " cuda:0 " in pteron("show", "cuda.pte").out


def test_names_from_the_file_are_shown_escaped_and_never_as_markup(pteron: Callable[..., Any], folder: Path) -> None:
    name = "[bold]for\x1b[2Jward\u202e\n[/bold]"
    changed = edited(program("1.5.1/add.pte"), {"plan.name": name})
    (folder / "odd.pte").write_bytes(write_program(changed))
    assert "\nmethod [bold]for\\x1b[2Jward\\u202e\\n[/bold]\n" in pteron("show", "odd.pte").out
    listed = pteron("show", "odd.pte", "--format", "json")
    assert listed.json["program"]["methods"][0]["name"] == name
    assert listed.out.isascii()
    assert "\x1b" not in listed.out
    refused = pteron("run", "odd.pte", "--method", "\x1b[31m")
    assert (refused.code, "\x1b" in refused.err) == (2, False)


def test_json_has_numbers_that_json_lacks_as_strings(pteron: Callable[..., Any], folder: Path) -> None:
    base = program("1.5.1/scalar_inputs.pte")
    third = base.root.execution_plan[0].inputs[2]
    changed = edited(base, {f"values[{third}].val": schema.Double(float("-inf"))})
    (folder / "inf.pte").write_bytes(write_program(changed))
    shown = pteron("show", "inf.pte", "--format", "json").json
    values = [given.get("value") for given in shown["program"]["methods"][0]["inputs"]]
    assert values == [None, 3, "-Infinity", True]


def test_keys_of_tensor_data_and_blobs(pteron: Callable[..., Any], folder: Path) -> None:
    weight = np.arange(6, dtype=np.float32)
    entries = [
        TensorEntry("w\x07", memoryview(weight).cast("B"), schema.ScalarType.FLOAT, (2, 3), (0, 1)),
        TensorEntry("blob", memoryview(b"12345")),
    ]
    (folder / "w.ptd").write_bytes(write_tensor_data(entries))
    shown = pteron("show", "w.ptd", "--format", "json").json
    assert shown["kind"] == "ptd"
    assert shown["tensor_data"]["entries"] == [
        {"key": "w\x07", "dtype": "float32", "shape": [2, 3], "dim_order": [0, 1], "bytes": 24},
        {"key": "blob", "dtype": None, "shape": None, "dim_order": None, "bytes": 5},
    ]
    assert "  w\\x07  float32[2, 3]  24\n" in pteron("show", "w.ptd").out


@pytest.mark.parametrize(
    ("data", "kind", "title"),
    [
        (struct.pack("<I4s", 8, b"ED00") + bytes(56), "etdump", "an ETDump profile (.etdp)"),
        (b"PK\x03\x04" + bytes(26) + b"ETRECORD_V0" + bytes(60), "etrecord", "an ETRecord of the exporter (.etrecord)"),
    ],
)
def test_etdump_and_etrecord_are_told_by_name(
    pteron: Callable[..., Any], folder: Path, data: bytes, kind: str, title: str
) -> None:
    (folder / "x").write_bytes(data)
    assert pteron("show", "x").out == f"x: {title}, {len(data)} bytes\n"
    assert pteron("show", "x", "--format", "json").json["kind"] == kind


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"hello, this is no program\n" * 4, "is text, not an ExecuTorch program (.pte)"),
        (b"", "is an empty file"),
        (b"PK\x03\x04" + bytes(60), "is a zip archive"),
        (b"\x00\x01\x02\x03ET13" + bytes(60), "file identifier ET13 instead of ET12"),
        (bytes(64), "is of no kind known here"),
    ],
)
def test_other_files_are_2_and_one_sentence(
    pteron: Callable[..., Any], folder: Path, data: bytes, sentence: str
) -> None:
    (folder / "x.pte").write_bytes(data)
    ran = pteron("show", "x.pte")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("pteron: x.pte")
    assert ran.err.count("\n") == 1
    assert sentence in ran.err


def test_every_truncation_is_refused(pteron: Callable[..., Any], folder: Path) -> None:
    data = corpus_files.read("1.5.1", "mlp.pte")
    for size in range(1, len(data), 911):
        (folder / "cut.pte").write_bytes(data[:size])
        ran = pteron("show", "cut.pte")
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), size
