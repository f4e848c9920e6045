"""Runs the files of the corpus on the real releases, one release at a time, and writes docs/promise-measured.md.

    python tools/prove_corpus.py --work FOLDER [--releases 1.4.1,1.5.1] [--keep] [--page-only]

Each release is installed, runs every file of the corpus, and is removed again (unless ``--keep``); evidence is kept in
FOLDER, one journal per release, and a release whose journal is complete is not installed again. With PTERON_RUNTIMES
the environments go elsewhere than the user's cache folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from promise_page import write_page  # noqa: E402

import corpus_files  # noqa: E402
from pteron.prove.cases import Call, Case  # noqa: E402
from pteron.prove.compare import Tolerance  # noqa: E402
from pteron.prove.environments import environment, recipes, remove  # noqa: E402
from pteron.prove.install import Plan, Progress, install  # noqa: E402
from pteron.prove.job import Target, cells_of, key_of_record, run_job  # noqa: E402
from pteron.prove.journal import Journal  # noqa: E402
from pteron.prove.subject import Options, Source  # noqa: E402

EXTRA_OUTPUTS = ("external_mutable_weights", "training_xor", "train_")
"""Training programs give gradients and parameters after the outputs that eager PyTorch gives."""
OPTIONS = Options(timeout=30)


def sources(folder: Path) -> Iterator[Source]:
    """Every model of the corpus with its stored inputs and the outputs of eager PyTorch."""
    for release in corpus_files.releases():
        for case in corpus_files.models(release):
            path = folder / release / case.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(case.read())
            data = [path.parent / name for name in case.data]
            for file, content in zip(data, case.read_data(), strict=True):
                file.write_bytes(content)
            yield Source(path, tuple(data), (as_case(case),), str(case))


def as_case(case: corpus_files.Case) -> Case:
    calls = case.calls()
    tolerance = Tolerance(
        case.rtol,
        case.atol,
        integer_atol=case.atol if case.atol >= 0.05 else 0.0,
        shape_only=case.shape_only,
        literal=True,
    )
    return Case(
        case.name,
        "given",
        tuple(Call(call.method, tuple(call.inputs)) for call in calls),
        tuple(tuple(call.outputs) for call in calls),
        tolerance,
        ignore_extra=case.name.startswith(EXTRA_OUTPUTS),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--releases", default="")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--page-only", action="store_true")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "promise-measured.md")
    arguments = parser.parse_args()
    wanted = [Version(text) for text in arguments.releases.split(",") if text] or [r.release for r in recipes()]
    if not arguments.page_only:
        prove(arguments.work, wanted, keep=arguments.keep)
    write_page(arguments.page, arguments.work)


def keeping(plans: list[Plan]) -> Callable[[Plan], AbstractContextManager[Progress]]:
    """Shows no progress, and keeps what was planned."""

    def keep(plan: Plan) -> AbstractContextManager[Progress]:
        plans.append(plan)
        return nullcontext(lambda done, total: None)

    return keep


def prove(work: Path, wanted: list[Version], *, keep: bool) -> None:
    listed = list(sources(work / "files"))
    subjects: dict[int, object] = {}
    for release in wanted:
        place = environment(release)
        started = time.time()
        cells = cells_of(listed, [Target(str(release), place)], OPTIONS)
        with Journal(work / f"{release}.jsonl") as journal:
            known = {key_of_record(record) for record in journal.records}
            if all(cell.key in known for cell in cells):
                continue
            had = place.state == "installed"
            plans: list[Plan] = []
            install([release], announce=lambda sentence: print(sentence, flush=True), progress=keeping(plans))
            installed = time.time()
            if plans:
                stats = {"download": plans[0].download, "disk": place.nbytes(), "seconds": installed - started}
                (work / f"{release}.install.json").write_text(json.dumps(stats), encoding="utf-8")
            records = run_job(cells, journal=journal, subjects=subjects)  # type: ignore[arg-type]
        counts = {outcome: sum(r.outcome is outcome for r in records) for outcome in {r.outcome for r in records}}
        print(f"{release}: {place.nbytes() / 1e6:,.0f} MB, installed in {installed - started:.0f} s, ", end="")
        print(
            f"ran in {time.time() - installed:.0f} s:",
            ", ".join(f"{k} {v}" for k, v in sorted(counts.items())),
            flush=True,
        )
        if not (keep or had):
            remove(place)


if __name__ == "__main__":
    main()
