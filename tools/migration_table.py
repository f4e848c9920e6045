"""Measure migration: every pair (corpus file, real release) that failed in the observed runs, and could be migrated.

    python tools/migration_table.py OBSERVED.jsonl [--run] [--jobs N] [--to RELEASE]... [--write docs/migrate.md]

OBSERVED has one JSON object per run: ``file`` (``0.2.1/add.pte``), ``runtime_release``, ``status``. Pairs are judged;
those whose reasons are of layout, operators, argument lists, data or delegates are migrated, and the result is compared
with the original on the reference engine. ``--run`` also runs what comes out on the official wheel that is installed
beside this script, for pairs of that release, on the corpus's own inputs, and compares with eager PyTorch's outputs.
``--write`` puts the tables between the markers of the page.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import importlib.metadata
import json
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

import numpy as np  # noqa: E402

import corpus_files  # noqa: E402
from pteron.compat.case import examine  # noqa: E402
from pteron.compat.judge import fact_reasons  # noqa: E402
from pteron.compat.profile import profile_for  # noqa: E402
from pteron.compat.verdict import Status  # noqa: E402
from pteron.errors import PteronError  # noqa: E402
from pteron.format.flat_tensor import read_tensor_data  # noqa: E402
from pteron.migration import plan  # noqa: E402
from pteron.runtime.opening import open_program  # noqa: E402

CAUSES = {
    "layout": ("PT-FM-001", "PT-FM-002", "PT-FM-003", "PT-FM-004", "PT-FM-013"),
    "PTD layout": ("PT-FM-007", "PT-FM-009"),
    "argument list": ("PT-OP-005", "PT-OP-006"),
    "operator": ("PT-OP-001", "PT-OP-004", "PT-OP-013"),
    "delegate": ("PT-BE-003", "PT-BE-004", "PT-BE-005", "PT-BE-006", "PT-BE-007", "PT-BE-008"),
}
"""In the order in which a pair of several causes is counted."""
START, END = "<!-- measured: tools/migration_table.py -->", "<!-- end of measured -->"
_SKIPPED = "/other_backends/"


@dataclasses.dataclass
class Outcome:
    """One pair: ``planned`` is ``migrated``, ``refused`` or ``not compared``; ``ran`` what the wheel did."""

    file: str
    runtime: str
    cause: str
    planned: str
    reason: str = ""
    steps: tuple[str, ...] = ()
    ran: str = ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("observed", type=Path)
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--to", action="append")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    failed: dict[str, list[str]] = collections.defaultdict(list)
    for line in given.observed.read_text().splitlines():
        row = json.loads(line)
        wanted = given.to is None or row["runtime_release"] in given.to
        if row["status"] not in ("ok", "not_run") and _SKIPPED not in row["file"] and wanted:
            failed[row["file"]].append(row["runtime_release"])
    outcomes: list[Outcome] = []
    work = list(failed.items())
    with ProcessPoolExecutor(given.jobs, get_context("fork")) as pool:
        for number, found in enumerate(pool.map(_migrate, work, [given.run] * len(work), chunksize=4)):
            outcomes += found
            if number % 100 == 0:
                print(f"{number}/{len(work)} files, {len(outcomes)} pairs", file=sys.stderr)
    if given.log:
        given.log.write_text("".join(json.dumps(dataclasses.asdict(o)) + "\n" for o in outcomes))
    text = "\n".join(tables(outcomes))
    print(text)
    if given.write:
        page = given.write.read_text()
        before, _, rest = page.partition(START)
        after = rest.partition(END)[2]
        given.write.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}")


def _cases(release: str) -> dict[str, corpus_files.Case]:
    return {case.name: case for case in corpus_files.cases(release)}


def _migrate(item: tuple[str, list[str]], run: bool) -> list[Outcome]:
    """The outcomes of one file on the releases that failed on it."""
    warnings.simplefilter("ignore")
    file, runtimes = item
    release, _, name = file.partition("/")
    case = _cases(release)[name]
    image, data = case.read(), case.read_data()
    examined = examine(open_program(image, verify=False), [read_tensor_data(part) for part in data])
    outcomes = []
    for runtime in runtimes:
        blocking = {r.rule for r in fact_reasons(examined, profile_for(runtime)) if r.status is Status.INCOMPATIBLE}
        cause = next((cause for cause, rules in CAUSES.items() if blocking & set(rules)), "")
        if cause:
            outcomes.append(_outcome(file, runtime, cause, case, image, data, run))
    return outcomes


def _outcome(
    file: str, runtime: str, cause: str, case: corpus_files.Case, image: bytes, data: list[bytes], run: bool
) -> Outcome:
    try:
        migrated = plan(image, runtime, data=data)
        steps = tuple(applied.step for applied in migrated.plan.applied)
        migrated.require()
        comparison = migrated.checked()
    except PteronError as error:
        return Outcome(file, runtime, cause, "refused", str(error))
    except Exception as error:
        return Outcome(file, runtime, cause, "failed", f"{type(error).__name__}: {error}")
    planned = "not compared" if comparison.unrun else "migrated"
    outcome = Outcome(file, runtime, cause, planned, "; ".join(comparison.unrun), steps)
    if run and runtime == importlib.metadata.version("executorch"):
        new_data = migrated.data_image or (data[0] if len(data) == 1 and migrated.plan.data else None)
        program, calls = bytes(migrated.plan.image or image), case.calls()
        _import_wheel()
        outcome.ran = _apart(lambda: _on_wheel(program, case, calls, new_data))
    return outcome


def _apart(work: Callable[[], str]) -> str:
    """The answer of a function that may end its process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            answer = work()
        except BaseException as error:
            answer = f"error: {error}"
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    return str(pickle.loads(content)) if content else f"crash: status {status}"


def _import_wheel() -> None:
    """Import once what every forked process needs."""
    import executorch.extension.llm.custom_ops.custom_ops
    import executorch.kernels.quantized  # noqa: F401

    if str(ROOT / "tests" / "interop") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests" / "interop"))
    import wheel_runner  # noqa: F401


def _on_wheel(image: bytes, case: corpus_files.Case, calls: list[corpus_files.Call], data: bytes | None) -> str:
    import wheel_runner
    from executorch.extension.pybindings import portable_lib

    module = portable_lib._load_for_executorch_from_buffer(image, data)
    for number, call in enumerate(calls):
        found = module.run_method(call.method, tuple(map(wheel_runner.to_torch, call.inputs)))
        for place, (value, expected) in enumerate(zip(found, call.outputs, strict=False)):
            if case.shape_only:
                if isinstance(expected, np.ndarray) and list(value.shape) != list(expected.shape):
                    return f"wrong: call {number}, output {place}: another shape"
            elif not wheel_runner.close(value, expected, case):
                return f"wrong: call {number}, output {place}"
    return "ok"


def tables(outcomes: list[Outcome]) -> Iterator[str]:
    """Markdown: by cause, by runtime, on the wheel, and why the rest is refused."""
    yield "| cause | pairs that failed | migrated, same outputs | migrated, not compared | refused |"
    yield "|---|---|---|---|---|"
    for cause in (*CAUSES, ""):
        rows = [o for o in outcomes if cause in ("", o.cause)]
        if rows:
            yield _row(cause or "**all**", rows)
    yield ""
    yield "| runtime | pairs that failed | migrated, same outputs | migrated, not compared | refused |"
    yield "|---|---|---|---|---|"
    for runtime in sorted({o.runtime for o in outcomes}, key=lambda r: tuple(map(int, r.split(".")))):
        yield _row(runtime, [o for o in outcomes if o.runtime == runtime])
    ran = [o for o in outcomes if o.ran]
    if ran:
        yield ""
        yield "| real runtime | migrated files run | as eager PyTorch | wrong | error or crash |"
        yield "|---|---|---|---|---|"
        for runtime in sorted({o.runtime for o in ran}):
            rows = [o for o in ran if o.runtime == runtime]
            counts = collections.Counter(o.ran.partition(":")[0] for o in rows)
            yield (
                f"| {runtime} | {len(rows)} | {counts['ok']} ({counts['ok'] / len(rows):.1%}) | {counts['wrong']} "
                f"| {counts['error'] + counts['crash']} |"
            )
    yield ""
    yield "| why refused | pairs |"
    yield "|---|---|"
    reasons = collections.Counter(_short(o.reason) for o in outcomes if o.planned in ("refused", "failed"))
    for reason, count in reasons.most_common():
        yield f"| {reason} | {count} |"


def _row(name: str, rows: list[Outcome]) -> str:
    counts = collections.Counter(o.planned for o in rows)
    done, total = counts["migrated"] + counts["not compared"], len(rows)
    return (
        f"| {name} | {total} | {counts['migrated']} | {counts['not compared']} "
        f"| {total - done} ({(total - done) / total:.1%}) |"
    )


def _short(reason: str) -> str:
    """What a refusal is about: the rule and the operator, without the place."""
    reason = reason.partition(" run it: ")[2] or reason
    head, _, rest = reason.partition(": ")
    if head.startswith("PT-"):
        return f"{head} `{rest.split(' ')[0].rstrip(':')}`" if head.startswith("PT-OP") else f"{head} {rest[:60]}"
    for known in ("would not say the same", "could not be compared", "no longer runs"):
        if known in reason:
            return f"the rewritten file {known}"
    return reason.rpartition(": ")[2][:80]


if __name__ == "__main__":
    main()
