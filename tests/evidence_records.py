"""Evidence as ``pteron prove`` would write it, for files of the corpus, made by hand."""

from __future__ import annotations

import hashlib
from typing import Any

import corpus_files
from pteron.compat.evidence import CaseEvidence, DataFile, Difference, Evidence, Outcome, Package, RuntimeUsed

LINUX = {"system": "Linux", "machine": "x86_64"}
STAGES = {Outcome.LOAD_ERROR: "load", Outcome.METHOD_LOAD_ERROR: "method_load"}


def record(
    file: str,
    runtime: str,
    outcome: str = "ok",
    *,
    said: str = "",
    method: str = "forward",
    against: str = "reference",
    reference: str = "ran",
    inputs: str = "11" * 32,
    data: tuple[str, ...] = (),
    platform: dict[str, str] | None = None,
    made: str = "2026-11-02T03:04:05+00:00",
    **fields: Any,
) -> Evidence:
    """What the wheel of a release did with ``1.5.1/add.pte``: one case with one call of a method."""
    release, _, name = file.partition("/")
    content = corpus_files.read(release, name)
    result = Outcome(outcome)
    ran = result in (Outcome.OK, Outcome.WRONG)
    difference = Difference(against, 0, "out0", exact=result is Outcome.OK, within=result is Outcome.OK)
    case = CaseEvidence(
        method,
        "bundled" if against == "expected" else "seed",
        result,
        inputs,
        seed=0,
        calls=(f"{method}(float32[2, 3])",),
        stage="" if ran else STAGES.get(result, "execute"),
        reference=reference,
        differences=(difference,) if ran else (),
    )
    wheel = Package("executorch", runtime, f"executorch-{runtime}-cp311-cp311-manylinux_2_28_x86_64.whl", "ab" * 32)
    made_of: dict[str, Any] = {
        "file": f"models/{name.rpartition('/')[2]}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "runtime": RuntimeUsed(runtime, runtime, packages=(wheel,)),
        "outcome": result,
        "sentence": said or ("runs, bit for bit as the reference engine" if ran else "the process died: SIGSEGV"),
        "cases": (case,),
        "data": tuple(DataFile(n, hashlib.sha256(corpus_files.read(release, n)).hexdigest()) for n in data),
        "platform": LINUX if platform is None else platform,
        "options": {"method": None, "seed": 0},
        "made": made,
    }
    return Evidence(**{**made_of, **fields})
