"""Migrates every file of the corpus that a real release failed on, runs it there, and writes the record of it.

    python tools/prove_migrations.py --work FOLDER [--releases 1.4.1,1.5.1] [--again refused,wrong] [--keep]

Pairs (file, release) that failed when the corpus was made (`tests/observed/matrix.json.xz`) for reasons that migration
is for are migrated; each release is installed, runs what came of it on the corpus's own inputs, and is removed again
(unless ``--keep``). Plans, migrated files and evidence are kept in FOLDER, so that an interrupted run goes on where
it was; ``--again`` plans pairs anew whose last result was one of those given (``all``: every one). What is known of all
releases then goes to `tests/observed/migrated.json.xz`, and `migration_page.py` puts it into `docs/migrate.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from migration_page import write_page  # noqa: E402
from migration_record import Pair, cause_of, failed_pairs, save, wrong_at_home  # noqa: E402
from prove_corpus import OPTIONS, as_case, keeping  # noqa: E402

import corpus_files  # noqa: E402
from pteron.compat.evidence import Evidence, Outcome  # noqa: E402
from pteron.compat.verdict import Status  # noqa: E402
from pteron.errors import InputError, MigrationError, PteronError  # noqa: E402
from pteron.migration import Migrated, plan  # noqa: E402
from pteron.prove.cases import with_expected  # noqa: E402
from pteron.prove.environments import Environment, environment, recipes, remove  # noqa: E402
from pteron.prove.exchange import Work  # noqa: E402
from pteron.prove.install import install  # noqa: E402
from pteron.prove.job import Target, cells_of, run_job  # noqa: E402
from pteron.prove.journal import Journal  # noqa: E402
from pteron.prove.runtimes import wheel_runtime  # noqa: E402
from pteron.prove.subject import Source  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--releases", default="")
    parser.add_argument("--again", default="", help="refused, failed, migrated, wrong, crash …, or all")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only-plan", action="store_true")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "migrate.md")
    given = parser.parse_args()
    releases = [str(recipe.release) for recipe in recipes()]
    wanted = [text for text in given.releases.split(",") if text] or releases
    again = {word for word in given.again.split(",") if word}
    for release in wanted:
        pairs = planned(given.work, release, again)
        if not given.only_plan:
            prove(given.work, release, pairs, keep=given.keep)
    known = [pair for release in releases for pair in read_pairs(given.work, release)]
    left = [pair for pair in known if pair.planned == "migrated" and not pair.ran]
    if {pair.runtime for pair in known} == set(releases) and not left:
        save(known)
        write_page(given.page)


# ---- planning


def planned(work: Path, release: str, again: set[str]) -> list[Pair]:
    """What migration makes of each pair of the release; files are written below ``work``."""
    warnings.simplefilter("ignore")
    old = {pair.file: pair for pair in read_pairs(work, release)}
    started, made = time.time(), 0
    path = work / f"{release}.pairs.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs: list[Pair] = []
    for file in failed_pairs()[release]:
        pair = old.get(file)
        if pair is None or "all" in again or {pair.planned, pair.ran} & again:
            pair = migrate(work, release, file)
            made += 1
            if made % 100 == 0:
                print(f"{release}: {made} planned in {time.time() - started:.0f} s, at {file}", flush=True)
                write_pairs(path, [*pairs, pair, *(p for p in old.values() if p.file > file)])
        pairs.append(pair)
    write_pairs(path, pairs)
    counted = Counter(pair.planned for pair in pairs if pair.cause)
    print(f"{release}: {made} planned in {time.time() - started:.0f} s; {dict(counted)}", flush=True)
    return pairs


def migrate(work: Path, release: str, file: str) -> Pair:
    """One pair; the migrated file, if there is one, is written."""
    case = case_of(file)
    image, data = case.read(), case.read_data()
    cause = cause_of(image, data, release)
    if not cause:
        return Pair(file, release, "")
    try:
        migrated = plan(image, release, data=data)
        migrated.require()
        compared = compare(migrated, case)
    except PteronError as error:
        return Pair(file, release, cause, "refused", str(error))
    except Exception:
        return Pair(file, release, cause, "failed", traceback.format_exc(limit=-3))
    steps = tuple(applied.step for applied in migrated.plan.applied)
    conditions = {r.rule for r in migrated.plan.after.reasons if r.status is Status.CONDITIONAL}
    target = path_of(work, release, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(migrated.image)
    asked = [migrated.data_image] if migrated.data_image is not None else data if migrated.plan.data else []
    for name, content in zip(case.data, asked, strict=False):
        (target.parent / name).write_bytes(content)
    names = case.data[: len(asked)]
    digest = hashlib.sha256(migrated.image).hexdigest()
    return Pair(file, release, cause, "migrated", "", compared, tuple(sorted(conditions)), steps, names, digest)


def compare(migrated: Migrated, case: corpus_files.Case) -> str:
    """On which inputs the result was compared with the original: ``made`` ones, or ``given`` ones where those will not
    do; empty where the original does not run on either and its layout alone changed."""
    try:
        if not migrated.checked().unrun:
            return "made"
    except MigrationError:
        pass
    given = {call.method: call.inputs for call in reversed(case.calls())}
    try:
        return "" if migrated.checked(inputs=given).unrun else "given"
    except InputError:
        migrated.checked()
        return ""


_CASES: dict[str, corpus_files.Case] = {}


def case_of(file: str) -> corpus_files.Case:
    if not _CASES:
        _CASES.update({str(case): case for release in corpus_files.releases() for case in corpus_files.cases(release)})
    return _CASES[file]


def path_of(work: Path, release: str, file: str) -> Path:
    return work / "migrated" / release / file


def read_pairs(work: Path, release: str) -> list[Pair]:
    path = work / f"{release}.pairs.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Pair.from_row(json.loads(line)) for line in lines]


def write_pairs(path: Path, pairs: list[Pair]) -> None:
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(pair.to_row()) + "\n" for pair in pairs), encoding="utf-8")
    part.replace(path)


# ---- running


def prove(work: Path, release: str, pairs: list[Pair], *, keep: bool) -> None:
    """Run what was migrated on the real release, and keep what came of it.

    The release also runs its own files that it does not run as eager PyTorch: what comes out is what a migrated file
    has to give where it does not give eager PyTorch's outputs either.
    """
    place = environment(Version(release))
    had = place.state == "installed"
    listed = list(sources(work, release, pairs))
    own = [file for file in wrong_at_home(release) if not outputs_of(work, file).exists()]
    with Journal(work / f"{release}.jsonl") as journal, Journal(work / f"{release}.again.jsonl") as second:
        started = time.time()
        if own or not _known(journal, listed, pairs):
            ready(release)
        installed = time.time()
        for file in own:
            keep_outputs(work, place, file)
        found = {
            record.file: record
            for record in run_job(cells_of(listed, [Target(release, place)], OPTIONS), journal=journal)
        }
        wrong = [pair for pair in pairs if pair.file in found and found[pair.file].outcome is Outcome.WRONG]
        again = [source for source in sources(work, release, wrong, at_home=True) if source.cases]
        if again and not _known(second, again, pairs):
            ready(release)
        as_at_home = run_job(cells_of(again, [Target(release, place)], OPTIONS), journal=second)
    same = {record.file for record in as_at_home if record.outcome is Outcome.OK}
    done = [with_evidence(pair, found.get(pair.file), pair.file in same) for pair in pairs]
    write_pairs(work / f"{release}.pairs.jsonl", done)
    counted = Counter(pair.ran for pair in done if pair.ran)
    took = f"installed in {installed - started:.0f} s, ran in {time.time() - installed:.0f} s"
    print(f"{release}: {took}: {dict(counted)}", flush=True)
    if not (keep or had) and place.state != "absent":
        remove(place)


def ready(release: str) -> None:
    """Install the release, if it is not."""
    install([Version(release)], announce=lambda sentence: print(sentence, flush=True), progress=keeping([]))


def sources(work: Path, release: str, pairs: list[Pair], *, at_home: bool = False) -> Iterator[Source]:
    """The migrated files with the corpus's inputs and the outputs of eager PyTorch.

    ``at_home`` asks for the original's outputs on its own release instead (no case where these are not known).
    """
    for pair in pairs:
        if pair.planned != "migrated":
            continue
        path = path_of(work, release, pair.file)
        data = tuple(path.parent / name for name in pair.data)
        cases = (as_case(case_of(pair.file)),)
        if at_home:
            outputs = outputs_of(work, pair.file)
            known = pickle.loads(outputs.read_bytes()) if outputs.exists() else None
            cases = (with_expected(cases[0], known),) if known is not None else ()
        yield Source(path, data, cases, pair.file)


def _known(journal: Journal, listed: list[Source], pairs: list[Pair]) -> bool:
    hashes = {pair.file: pair.sha256 for pair in pairs}
    known = {(record.file, record.sha256) for record in journal.records}
    return all((source.name, hashes[source.name]) in known for source in listed)


def outputs_of(work: Path, file: str) -> Path:
    return work / "at_home" / f"{file}.pickle"


def keep_outputs(work: Path, place: Environment, file: str) -> None:
    """Run a file of the corpus on its own release, and keep what it gives; None where it does not run."""
    case, target = case_of(file), outputs_of(work, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    program = target.with_suffix(".pte")
    program.write_bytes(case.read())
    used = place.used()
    assert used is not None
    runtime = wheel_runtime(place.python, used)
    try:
        reply = runtime.run(Work(program, as_case(case)))
    finally:
        runtime.close()
    target.write_bytes(pickle.dumps(reply.outputs if reply.outcome == "ran" else None))


def with_evidence(pair: Pair, record: Evidence | None, as_at_home: bool) -> Pair:
    """The pair with what the real release did with the migrated file."""
    if record is None or pair.planned != "migrated":
        return pair.without_run()
    if as_at_home:
        return pair.with_run("as the original", "")
    return pair.with_run(str(record.outcome), "" if record.outcome.runs else record.sentence)


if __name__ == "__main__":
    main()
