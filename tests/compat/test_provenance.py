"""Provenance: records inside and beside files, read back, and stamped files on the official runtime."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from program_edits import program
from pteron.compat.dating import date
from pteron.compat.provenance import KEY, MAX_BYTES, Provenance, parse_provenance, read_provenance
from pteron.compat.stamp import stamp, stamped_bytes, stamped_program
from pteron.errors import FileAccessError, FormatError, UnsupportedError
from pteron.format import schema
from pteron.format.program import Program, read_program
from pteron.format.verify import Severity, verify_program
from pteron.format.write import write_program

RECORD = Provenance("1.2.0", "to_edge_transform_and_lower", "stable")


def placed(folder: Path, name: str) -> Path:
    release, _, file = name.partition("/")
    path = folder / Path(file).name
    path.write_bytes(corpus_files.read(release, file))
    return path


def content(program: Program) -> schema.Program:
    """The root without what a further blob changes."""
    root = program.root
    segments = tuple(bytes(data) for data in program.segment_data)
    kept = [entry for entry in root.named_data or () if entry.key != KEY]
    assert segments or not root.segments
    return dataclasses.replace(root, segments=None, named_data=tuple(kept) or None)


@pytest.mark.parametrize("release", corpus_files.releases())
@pytest.mark.parametrize("name", ["add.pte", "mlp.pte", "xnnpack_mlp.pte", "multi_method.pte"])
def test_a_stamped_copy_differs_in_the_record_only(tmp_path: Path, release: str, name: str) -> None:
    path = placed(tmp_path, f"{release}/{name}")
    before = path.read_bytes()
    written = stamp(path, tmp_path / "out.pte", record=RECORD)
    assert written.inside
    assert path.read_bytes() == before
    old, new = read_program(before), read_program(tmp_path / "out.pte")
    assert content(new) == content(old)
    segments = [bytes(data) for data in old.segment_data]
    assert [bytes(data) for data in new.segment_data][: len(segments)] == segments
    assert len(new.segment_data) == len(segments) + 1
    assert not [f for f in verify_program(new) if f.severity is Severity.ERROR]
    found = read_provenance(tmp_path / "out.pte")
    assert found == written.record
    assert found is not None
    assert (found.producer, found.exporter_api, found.api_stability) == (
        "1.2.0",
        "to_edge_transform_and_lower",
        "stable",
    )
    assert found.dated == date(old).releases
    assert found.stamped_by.startswith("pteron")


def test_the_record_decides_when_dating(tmp_path: Path) -> None:
    path = placed(tmp_path, "0.6.0/add.pte")
    stamp(path, tmp_path / "named.pte", record=dataclasses.replace(RECORD, producer="0.6.0"))
    found = date(read_program(tmp_path / "named.pte"))
    assert (found.releases, found.source) == (("0.6",), "provenance")
    stamp(path, tmp_path / "unnamed.pte", record=Provenance())
    found = date(read_program(tmp_path / "unnamed.pte"))
    assert (found.releases, found.source) == (date(read_program(path)).releases, "provenance")
    assert date(read_program(tmp_path / "named.pte"), produced_by="1.0.0").releases == ("1.0",)


def test_stamping_again_replaces_the_record(tmp_path: Path) -> None:
    path = placed(tmp_path, "1.5.1/xnnpack_mlp.pte")
    stamp(path, tmp_path / "once.pte", record=RECORD)
    stamp(tmp_path / "once.pte", tmp_path / "twice.pte", record=dataclasses.replace(RECORD, producer="1.3.0"))
    twice = read_program(tmp_path / "twice.pte")
    assert [entry.key for entry in twice.root.named_data or ()].count(KEY) == 1
    assert len(twice.segment_data) == len(read_program(path).segment_data) + 1
    assert read_provenance(twice).producer == "1.3.0"  # type: ignore[union-attr]


def test_a_segment_that_others_use_is_left_alone() -> None:
    """A file whose record shares its segment with the constants."""
    base = program("1.5.1/mlp.pte")
    index = base.root.constant_segment.segment_index  # type: ignore[union-attr]
    shared = base.replace(root=dataclasses.replace(base.root, named_data=(schema.NamedData(KEY, index),)))
    again = stamped_program(shared, RECORD)
    assert again.segment_data[index] == base.segment_data[index]
    assert read_provenance(again) == RECORD


def test_beside_the_file(tmp_path: Path) -> None:
    path = placed(tmp_path, "1.5.1/add.pte")
    before = path.read_bytes()
    written = stamp(path, record=RECORD)
    assert written.path == tmp_path / "add.pte.provenance.json"
    assert not written.inside
    assert path.read_bytes() == before
    assert json.loads(written.path.read_text())["file_sha256"] == hashlib.sha256(before).hexdigest()
    assert read_provenance(path).producer == "1.2.0"  # type: ignore[union-attr]
    assert date(read_program(path)).releases == ("1.2",)
    copy = stamp(path, tmp_path / "copy.pte", record=RECORD, place="beside")
    assert copy.path == tmp_path / "copy.pte.provenance.json"
    assert (tmp_path / "copy.pte").read_bytes() == before


def test_a_record_beside_another_file_is_refused(tmp_path: Path) -> None:
    path = placed(tmp_path, "1.5.1/add.pte")
    stamp(path, record=RECORD)
    path.write_bytes(corpus_files.read("1.5.1", "mlp.pte"))
    with pytest.raises(FormatError, match="belongs to other contents"):
        read_provenance(path)
    assert date(read_program(path)).source == "evidence"


def test_external_data_and_0_7_go_beside(tmp_path: Path) -> None:
    path = placed(tmp_path, "1.5.1/external_constants_mlp.pte")
    assert not stamp(path, tmp_path / "a.pte", record=RECORD).inside
    assert (tmp_path / "a.pte").read_bytes() == path.read_bytes()
    assert not stamp(path, tmp_path / "b.pte", record=RECORD, targets=["0.7.0", "1.5.1"]).inside
    assert stamp(path, tmp_path / "c.pte", record=RECORD, targets=["1.0.1", "1.5.1"]).inside
    with pytest.raises(UnsupportedError, match=r"0\.7 refuses"):
        stamp(path, tmp_path / "d.pte", record=RECORD, place="inside")
    assert not (tmp_path / "d.pte").exists()


def test_weights_of_a_delegate_in_a_ptd_go_beside_too(tmp_path: Path) -> None:
    assert not stamp(placed(tmp_path, "1.5.1/external_constants_xnnpack.pte"), tmp_path / "a.pte", record=RECORD).inside


def test_the_program_is_never_overwritten(tmp_path: Path) -> None:
    path = placed(tmp_path, "1.5.1/add.pte")
    link = tmp_path / "link.pte"
    link.symlink_to(path)
    for output in (path, link):
        with pytest.raises(FileAccessError, match="never overwritten"):
            stamp(path, output, record=RECORD)
    assert path.read_bytes() == corpus_files.read("1.5.1", "add.pte")


def test_what_stamping_refuses(tmp_path: Path) -> None:
    data = corpus_files.read("1.5.1", "add.pte")
    with pytest.raises(UnsupportedError, match="output path is missing"):
        stamp(data, record=RECORD)
    with pytest.raises(UnsupportedError, match="no ExecuTorch release"):
        stamp(data, tmp_path / "a.pte", record=dataclasses.replace(RECORD, producer="nightly"))
    with pytest.raises(UnsupportedError, match="no ExecuTorch release"):
        stamp(data, tmp_path / "a.pte", record=RECORD, targets=["old"])
    assert not list(tmp_path.iterdir())


def test_the_models_hash(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text("class Model: ...\n")
    written = stamp(corpus_files.read("1.5.1", "add.pte"), tmp_path / "a.pte", record=RECORD, model=model)
    assert written.record.source_sha256 == hashlib.sha256(b"class Model: ...\n").hexdigest()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not JSON"),
        (b"[]", "does not say that it is one"),
        (b'{"schema": "else/1"}', "does not say that it is one"),
        (b"[" * 100_000, "not JSON"),
        (b'{"schema": "pteron.provenance/1", "producer": 1}', "wrong type"),
        (b'{"schema": "pteron.provenance/1", "dated": "0.4"}', "wrong type"),
        (b'{"schema": "pteron.provenance/1", "producer": "soon"}', "no release"),
        (b" " * (MAX_BYTES + 1), "are the most"),
    ],
)
def test_damaged_records_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        parse_provenance(data, "model.pte")
    base = program("1.5.1/mlp.pte")
    named = (schema.NamedData(KEY, len(base.segment_data)),)
    segments = (*(base.root.segments or ()), schema.DataSegment(0, len(data)))
    root = dataclasses.replace(base.root, named_data=named, segments=segments)
    damaged = base.replace(root=root, segment_data=(*base.segment_data, memoryview(data)))
    assert date(damaged).source == "evidence"


def test_newer_records_are_read_as_far_as_they_are_known() -> None:
    text = b'{"schema": "pteron.provenance/2", "producer": "2.1.0", "api_stability": "frozen", "mood": 1}'
    found = parse_provenance(text, "model.pte")
    assert (found.producer, found.api_stability) == ("2.1.0", "unknown")


def test_records_survive_writing_the_program_again() -> None:
    stamped = read_program(stamped_bytes(program("0.4.0/mlp.pte"), RECORD))
    assert read_provenance(read_program(write_program(stamped))) == RECORD


RUN = """
import json, sys
import numpy as np
import torch
from executorch.extension.pybindings import portable_lib
import executorch.kernels.quantized

def outputs(path, data, calls):
    module = portable_lib._load_for_executorch(path, *data)
    results = []
    for method, arrays in calls:
        inputs = [torch.from_numpy(np.load(a)) if isinstance(a, str) else a for a in arrays]
        results.append([o.numpy().tobytes().hex() if isinstance(o, torch.Tensor) else o
                        for o in module.run_method(method, inputs)])
    return results

for job in json.load(open(sys.argv[1])):
    before = outputs(job["before"], job["data"], job["calls"])
    after = outputs(job["after"], job["data"], job["calls"])
    print(json.dumps([job["name"], before == after and len(before) > 0]), flush=True)
"""
ON_WHEEL = [
    *(f"{release}/{name}" for release in corpus_files.releases() for name in ("mlp.pte", "lenet.pte")),
    "0.6.0/xnnpack_mlp.pte",
    "1.1.0/xnnpack_int8_linear.pte",
    "1.5.1/xnnpack_mlp.pte",
    "1.5.1/xnnpack_int8_convnet.pte",
    "1.5.1/xnnpack_inline_delegate.pte",
    "1.5.1/xnnpack_inline_alignment.pte",
    "1.5.1/mutable_counter.pte",
    "1.5.1/initialized_mutable_buffer.pte",
    "1.5.1/multi_method.pte",
    "1.5.1/add.pte",
    "1.5.1/external_constants_mlp.pte",
    "1.5.1/mlp_cfg_segment_alignment_4096.pte",
]


@pytest.mark.interop
def test_the_official_runtime_gives_the_same_bits(tmp_path: Path) -> None:
    import numpy as np

    jobs: list[dict[str, Any]] = []
    for number, full in enumerate(ON_WHEEL):
        release, _, name = full.partition("/")
        folder = tmp_path / str(number)
        folder.mkdir()
        case = next(case for case in corpus_files.models(release) if case.name == name)
        before = placed(folder, full)
        # 1.5.1 takes both together, so external data may have the record inside as well.
        assert stamp(before, folder / "stamped.pte", record=RECORD, targets=["1.5.1"]).inside
        data = []
        for index, raw in enumerate(case.read_data()):
            (folder / f"{index}.ptd").write_bytes(raw)
            data.append(str(folder / f"{index}.ptd"))
        calls = []
        for index, call in enumerate(case.calls()):
            arrays: list[Any] = []
            for position, value in enumerate(call.inputs):
                if isinstance(value, np.ndarray):
                    np.save(folder / f"{index}_{position}.npy", value)
                    value = str(folder / f"{index}_{position}.npy")
                arrays.append(value)
            calls.append((call.method, arrays))
        jobs.append(
            {
                "name": full,
                "before": str(before),
                "after": str(folder / "stamped.pte"),
                "data": data[:1],
                "calls": calls,
            }
        )
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    (tmp_path / "run.py").write_text(RUN)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "jobs.json")],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]
    assert dict(lines) == dict.fromkeys(ON_WHEEL, True)
