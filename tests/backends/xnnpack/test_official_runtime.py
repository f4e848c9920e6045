"""XNNPACK files of twelve releases on both engines, side by side with the official 1.5.1 wheel on the same inputs.

Quantised outputs agree within one step of their quantisation, float32 within 1e-4 relative.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import corpus_files
import pteron
from corpus_files import Case
from pteron.runtime.engines import EngineName
from xnnpack_agreement import disagreement, output_steps

pytestmark = pytest.mark.interop
HERE = Path(__file__).parent
TESTS = HERE.parents[1]

# Files that the wheel does not run.
REFUSED = {("0.2.1", "xnnpack_mobile_block.pte"): "the runtime resizes a static tensor"}


def delegated(release: str) -> list[Case]:
    # The manifest lists no backend for the bundled programs, so the delegated one is told by its name.
    return [
        case
        for case in corpus_files.cases(release)
        if case.backends == ["XnnpackBackend"] or case.name == "bundled_xnnpack.bpte"
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the wheel's outputs of each file are; one process for all, another one after each crash."""
    folder = tmp_path_factory.mktemp("wheel")
    cases = [case for release in corpus_files.releases() for case in delegated(release)]
    jobs = folder / "jobs.json"
    jobs.write_text(json.dumps([(case.release, case.name) for case in cases]))
    paths = [str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, str(HERE / "wheel_outputs.py"), str(jobs), str(folder)]
    for _ in cases:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert ended.returncode <= 0, ended.stderr[-4000:]
        if ended.returncode == 0:
            break
    found = {}
    for number, case in enumerate(cases):
        (found[str(case)],) = folder.glob(f"{number}.*")
    return found


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
@pytest.mark.parametrize("release", corpus_files.releases())
def test_side_by_side(
    release: str, engine: EngineName, wheel: dict[str, Path], record_property: pytest.RecordProperty
) -> None:
    passed, missed, wrong = 0, [], []
    for case in delegated(release):
        outputs = wheel[str(case)]
        if outputs.suffix != ".npz":
            if (release, case.name) in REFUSED:
                missed.append(case.name)
            else:
                wrong.append(f"{case}: the wheel gives {outputs.suffix}: {outputs.read_text()[:200]}")
            continue
        found = compare(case, engine, outputs)
        if found:
            wrong.append(f"{case}: {found}")
        else:
            passed += 1
    record_property(
        "table: XNNPACK files against the official 1.5.1 wheel",
        {
            "release": release,
            "engine": engine,
            "files": passed + len(missed) + len(wrong),
            "agree": passed,
            "not on wheel": len(missed),
        },
    )
    assert not wrong, "\n".join(wrong)


def compare(case: Case, engine: EngineName, outputs: Path) -> str:
    """The first disagreement of a file's calls with the wheel, in words; empty where there is none."""
    module = pteron.load(case.read(), data=case.read_data(), engine=engine, threads=1)
    with np.load(outputs) as wheel:
        for number, call in enumerate(case.calls()):
            if module.plan()[call.method].engine != engine:
                return f"{call.method} runs on {module.plan()[call.method].engine}"
            steps = output_steps(module.program, call.method)
            for position, (actual, step) in enumerate(zip(module[call.method](*call.inputs), steps, strict=True)):
                if difference := disagreement(actual, wheel[f"{number}_{position}"], step):
                    return f"call {number}, output {position}: {difference}"
    return ""
