"""``pteron prove`` on the real 1.4.1 and 1.5.1, installed into an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from program_edits import edited, program
from pteron.format import schema
from pteron.format.write import write_program

RELEASES = ("1.4.1", "1.5.1")
FILES = {
    "0.2.1": ("add.pte", "mlp.pte"),
    "0.4.0": ("map_model.pte", "xnnpack_mlp.pte", "kv_cache.pte"),
    "0.6.0": ("lenet.pte", "xnnpack_lenet.pte", "half_only.pte"),
    "1.0.1": ("multi_method.pte", "dynamic_mlp.pte", "bundled_mlp.bpte"),
    "1.5.1": (
        "add.pte",
        "embedding_mean.pte",
        "quantized_embedding_byte.pte",
        "portable_quantized_convnet.pte",
        "xnnpack_int8_linear.pte",
        "bundled_xnnpack.bpte",
        "demo_backend.pte",
    ),
}
FAILS = {
    "0.2.1/add.pte": "exec_error",  # inline constants, which wheels refuse since 1.3
    "0.4.0/map_model.pte": "exec_error",  # collects rows in a static tensor, which runtimes refuse since 1.1
    "1.5.1/demo_backend.pte": "method_load_error",  # a backend that no wheel has
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the corpus; one with a corrupt payload, one that wants 200 GB, one that never ends."""
    place = tmp_path_factory.mktemp("prove")
    for release, names in FILES.items():
        (place / "models" / release).mkdir(parents=True)
        for name in names:
            (place / "models" / release / name).write_bytes(corpus_files.read(release, name))
    whole = bytearray(corpus_files.read("1.5.1", "xnnpack_mlp.pte"))
    at = whole.index(b"XH00")
    whole[at + 64 : at + 600] = b"\xff" * 536
    (place / "models" / "corrupt.pte").write_bytes(whole)
    mlp = program("1.5.1/mlp.pte")
    huge = edited(mlp, {"plan.non_const_buffer_sizes": (0, 200 << 30)})
    (place / "models" / "huge.pte").write_bytes(write_program(huge))
    never = schema.EValue(val=schema.Bool(bool_val=False))
    condition = len(mlp.methods["forward"].plan.values or ())
    again = schema.Instruction(instr_args=schema.JumpFalseCall(condition, 0))
    loop = edited(mlp, {"values": lambda values: (*values, never), "code": lambda code: (*code, again)})
    (place / "models" / "loop.pte").write_bytes(write_program(loop))
    return place


def pteron(folder: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "PTERON_RUNTIMES": str(folder / "runtimes")}
    command = [sys.executable, "-m", "pteron", *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == code, ran.stderr + ran.stdout
    return ran.stdout


@pytest.mark.interop
def test_from_a_clean_cache(folder: Path) -> None:
    options = ("--repeat", "2", "--timeout", "10", "-o", "evidence.json")
    pteron(folder, "prove", "models", "--runtime", ">=1.4", *options, code=1)
    document: dict[str, Any] = json.loads((folder / "evidence.json").read_text())
    outcomes = {(r["file"].removeprefix("models/"), r["runtime"]["name"]): r["outcome"] for r in document["records"]}
    assert len(outcomes) == (sum(map(len, FILES.values())) + 3) * len(RELEASES)
    for release in RELEASES:
        # A payload that makes no sense is refused, or kills its own process only.
        assert outcomes.pop(("corrupt.pte", release)) in ("method_load_error", "exec_error", "crash")
        assert outcomes.pop(("huge.pte", release)) == "out_of_memory"
        # Since 1.3 the runtime gives up after ten million instructions, if it gets that far in time.
        assert outcomes.pop(("loop.pte", release)) in ("timeout", "exec_error")
    assert {file for file, _ in outcomes} == {f"{release}/{name}" for release, names in FILES.items() for name in names}
    assert outcomes == {cell: FAILS.get(cell[0], "ok") for cell in outcomes}
    for record in document["records"]:
        packages = {package["name"]: package for package in record["runtime"]["packages"]}
        assert packages["executorch"]["version"] == record["runtime"]["release"]
        assert packages["executorch"]["wheel"].startswith(f"executorch-{record['runtime']['release']}-cp3")
        assert len(packages["executorch"]["sha256"]) == 64
        for case in record["cases"]:
            if case["outcome"] == "ok":
                assert (len(case["seconds"]), case["repeatable"]) == (2, True), record["file"]
    # torch would be 7 GB with what its CUDA build needs
    listed = json.loads(pteron(folder, "runtimes", "list", "--format", "json"))
    sizes = {r["release"]: r["bytes"] for r in listed["runtimes"] if r["state"] == "installed"}
    assert set(sizes) == set(RELEASES)
    assert max(sizes.values()) < 1_500_000_000


@pytest.mark.interop
def test_replay_and_remove(folder: Path) -> None:
    add = "models/1.5.1/add.pte"
    pteron(folder, "prove", add, "--runtime", "1.5.1", "--no-install", "-o", "one.json")
    assert pteron(folder, "prove", "--replay", "one.json") == f"{add} on 1.5.1: ok, as before\n"
    pteron(folder, "runtimes", "remove", "--all")
    assert "no runtime" in pteron(folder, "prove", add, "--runtime", "1.5.1", "--no-install", code=1)
