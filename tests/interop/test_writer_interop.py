"""Files that Pteron wrote, on the official executorch wheel: equal bits before and after."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import corpus_files

pytestmark = pytest.mark.interop
HERE = Path(__file__).parent
LAYOUTS = (
    "as read",
    "64",
    "4096, 24-byte header",
    "delegates inline",
    "delegates in segments",
    "constants in a segment",
    "constants out and in",
)


# Files of 0.2 and 0.3 that wheels do not run, or not to eager PyTorch's numbers. 1.2.0, the last wheel that reads
# inline constants, fares no better with the files as exported.
UPSTREAM = {
    "channels_last_input.pte": "the channels-last input is read as a contiguous one",
    "demo_backend.pte": "BackendWithCompilerDemo is in no wheel",
    "dynamic_shape_ops.pte": "aten::arange resizes a static tensor",
    "lstm.pte": "an output has a dimension more",
    "map_model.pte": "executorch_prim::add.int is in no wheel",
    "sort.pte": "aten::sort.values is in no wheel",
    "xnnpack_lstm.pte": "an output has a dimension more, or the process ends",
    "xnnpack_mobile_block.pte": "XNNPACK resizes a static tensor",
    "ops/add_scalar.2.pte": "aten::add.Scalar_out refuses its alpha",
    "ops/bucketize.0.pte": "aten::bucketize.Tensor_out is in no wheel",
    "ops/conj_physical.0.pte": "aten::_conj_physical.out has no float kernel",
    "ops/constant_pad_nd.2.pte": "wrong values at 1.2, refused since",
    "ops/cumsum.2.pte": "a tensor without sizes ends the process at 1.2, is refused since",
    "ops/empty_like_fill.0.pte": "aten::empty_permuted.out is in no wheel",
    "ops/norm.0.pte": "aten::linalg_vector_norm.out is in no wheel",
    "ops/remainder_scalar.1.pte": "remainder.Scalar differs for negative integers",
    "ops/remainder_scalar.2.pte": "remainder.Scalar differs for negative integers",
    "ops/sign.1.pte": "sign(nan) is nan, eager gives 0",
    "ops/sort.0.pte": "aten::sort.values is in no wheel",
    "ops/sort.1.pte": "aten::sort.values is in no wheel",
    "ops/view_as_real_copy.0.pte": "aten::complex.out is in no wheel",
}


def on_the_wheel(jobs: list[dict[str, str]], folder: Path) -> list[dict[str, Any]]:
    """The jobs' results; a job during which the runtime ended the process has the stage as result ``crash``."""
    todo, results = folder / "jobs.json", folder / "results.jsonl"
    paths = [str(HERE.parent), str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done: list[dict[str, Any]] = []
    while len(done) < len(jobs):
        todo.write_text(json.dumps(jobs[len(done) :]))
        command = [sys.executable, str(HERE / "wheel_runner.py"), str(todo), str(results)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
        lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
        results.unlink(missing_ok=True)
        done += [line for line in lines if "stage" not in line]
        if ended.returncode > 0 or not lines:
            raise AssertionError(ended.stderr[-4000:])
        if ended.returncode < 0:
            done.append(jobs[len(done)] | {"crash": lines[-1].get("stage", "before the first stage")})
    return done


def program_jobs(cases: list[corpus_files.Case], layouts: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"kind": "program", "release": case.release, "name": case.name, "layout": layouts[index % len(layouts)]}
        for index, case in enumerate(cases)
        if case.name.endswith(".pte") and not case.shape_only
    ]


def test_rewritten_files_give_equal_bits(tmp_path: Path) -> None:
    jobs: list[dict[str, str]] = []
    for release in corpus_files.releases():
        cases = corpus_files.cases(release)
        models = [case for case in cases if not case.name.startswith("ops/")]
        jobs += program_jobs(models + [case for case in cases if case.name.startswith("ops/")][::12], LAYOUTS)
    results = on_the_wheel(jobs, tmp_path)
    ran = [result for result in results if result.get("equal")]
    # Where the wheel runs the file as it is, it runs the rewritten one and gives the same bits.
    refused = [result for result in results if "original" in result or result.get("crash") == "original"]
    assert [result for result in results if result not in ran and result not in refused] == []
    assert len(ran) >= 1400
    assert {result["layout"] for result in ran} == set(LAYOUTS)
    assert {result["release"] for result in ran} == set(corpus_files.releases())


def test_inline_constants_moved_to_a_segment_run_again(tmp_path: Path) -> None:
    """Wheels since 1.3 refuse inline constants, which most files of 0.2 and 0.3 have."""
    jobs = [
        job
        for release in ("0.2.1", "0.3.0")
        for job in program_jobs(corpus_files.cases(release), ("constants in a segment",))
    ]
    results = on_the_wheel(jobs, tmp_path)
    refused = [result for result in results if "original" in result]
    revived = [result for result in refused if result.get("expected")]
    assert len(revived) >= 550
    missed = {result["name"] for result in results if not result.get("expected")}
    assert missed == set(UPSTREAM)


def test_tensor_data_written_again_is_accepted(tmp_path: Path) -> None:
    jobs = [
        {"kind": "data", "release": case.release, "name": case.name}
        for release in corpus_files.releases()
        for case in corpus_files.models(release)
        if case.data
    ]
    results = on_the_wheel(jobs, tmp_path)
    assert [result for result in results if not result.get("expected")] == []
    assert "0.6.0" in {result["release"] for result in results}
    assert len(results) >= 25


def test_bundles_written_again_pass_the_runtime_s_verification(tmp_path: Path) -> None:
    jobs = [
        {"kind": "bundle", "release": case.release, "name": case.name}
        for release in corpus_files.releases()
        for case in corpus_files.models(release)
        if case.name.endswith(".bpte")
    ]
    results = on_the_wheel(jobs, tmp_path)
    assert [result for result in results if not result.get("expected")] == []
    assert len(results) == 48
