"""Every file of the corpus without delegates or with XNNPACK's only, on both engines, against eager PyTorch.

A file may miss only where it is listed in ``corpus_runs.UPSTREAM`` with the fault of its exporter, and where the real
runtime of its own release failed on it, too.
"""

from __future__ import annotations

import pytest

import corpus_files
from corpus_runs import UPSTREAM, open_cases, run
from pteron.runtime.engines import EngineName

ENGINES: list[EngineName] = ["reference", "onnxruntime"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("release", corpus_files.releases())
def test_corpus(release: str, engine: EngineName, record_property: pytest.RecordProperty) -> None:
    passed, misses, unexplained = 0, {}, []
    cases = open_cases(release)
    for case in cases:
        found = run(case, engine)
        releases, fault = UPSTREAM.get(case.name, ((), ""))
        own = case.own_runtime.get("status")
        if not found:
            passed += 1
        elif release in releases and own != "ok":
            misses[case.name] = f"{fault} (its own runtime: {own})"
        else:
            unexplained.append(f"{case}: {found} (its own runtime: {own})")
    row = {"release": release, "engine": engine, "files": len(cases), "passed": passed, "misses": misses}
    record_property("corpus", row)
    assert not unexplained, "\n".join(unexplained)
    assert passed + len(misses) == len(cases)


@pytest.mark.parametrize("engine", ENGINES)
def test_listed_faults_are_still_there(engine: EngineName) -> None:
    """A file that runs right must not stay on the list of faults."""
    for name, (releases, _) in UPSTREAM.items():
        for release in releases:
            case = next(c for c in corpus_files.models(release) if c.name == name)
            assert run(case, engine), f"{case} runs right now"
