"""Checking files: read, work out what they need, judge them against builds; one file or many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from packaging.version import Version

from pteron.compat.case import Case, examine
from pteron.compat.dating import ProducedBy
from pteron.compat.evidence_files import NOTHING, EvidenceFiles, EvidenceSource, Found, collect, content_of
from pteron.compat.facts import releases
from pteron.compat.judge import judge
from pteron.compat.judge_evidence import about_build, with_evidence
from pteron.compat.opening import open_program
from pteron.compat.profile import Profile, profile_for
from pteron.compat.requirements import Requirements
from pteron.compat.targets import Runtime, Target, targets
from pteron.compat.verdict import Reason, Status, Verdict
from pteron.errors import FileAccessError, PteronError, UnknownFileError
from pteron.format.flat_tensor import TensorData, read_tensor_data
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.program import Program
from pteron.format.source import FileSource

SUFFIXES = (".pte", ".bpte")
_FILES_PER_WORKER = 100


@dataclass(frozen=True)
class CheckResult:
    """What was found about one file.

    ``verdicts`` has one per build, by release or by the build's name. ``producers`` are the releases that can have
    made the file. ``serving`` are the releases whose official
    wheels run the file as it is. ``remarks`` are about evidence that is not used. ``error`` says why the file could
    not be judged, and then the rest is empty; ``missing`` is whether it is not there or no program at all.
    """

    file: str
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    produced_by: ProducedBy | None = None
    requirements: Requirements | None = None
    producers: tuple[Version, ...] = ()
    serving: tuple[str, ...] = ()
    remarks: tuple[Reason, ...] = ()
    error: str = ""
    missing: bool = False

    @property
    def worst(self) -> Status:
        """The worst of the verdicts; ``incompatible`` for a file that could not be judged."""
        if self.error:
            return Status.INCOMPATIBLE
        return max((v.status for v in self.verdicts.values()), key=_badness, default=Status.EXPECTED)

    def fails(self, level: Status) -> bool:
        """Whether some verdict is as bad as ``level`` or worse."""
        return bool(self.error) or any(v.status.rank >= level.rank for v in self.verdicts.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what ``pteron check --format json`` has per file."""
        return {
            "file": self.file,
            "error": self.error or None,
            "missing": self.missing,
            "produced_by": self.produced_by.to_dict() if self.produced_by is not None else None,
            "serving": list(self.serving),
            "remarks": [reason.to_dict() for reason in self.remarks],
            "verdicts": {name: verdict.to_dict() for name, verdict in self.verdicts.items()},
        }


def check(
    source: FileSource | Program,
    runtime: Runtime | Iterable[Runtime] | None = None,
    *,
    data: Sequence[FileSource | TensorData] = (),
    produced_by: str | None = None,
    evidence: Iterable[EvidenceSource] | None = (),
    limits: Limits = DEFAULT_LIMITS,
) -> CheckResult:
    """Judge one program: ``check("model.pte", runtime=">=1.2").verdicts["1.3.1"].status``.

    ``source`` is a path, bytes or a program that was opened; a .bpte is judged by the program inside. ``runtime`` is as
    in :func:`pteron.compat.targets.targets`, every known release by default. ``data`` are the .ptd files that the
    program is going to run with. ``produced_by`` is the release that made it, if that is known; else it is dated.
    ``evidence`` are records of real runs, or files and folders with such, which rank above predictions; beside those
    ``model.pte.evidence.json`` is read where ``source`` is the path ``model.pte``. None: no evidence at all.

    Raises ``FormatError`` for a file that cannot be read, and ``UnsupportedError``, ``ProfileError`` or
    ``FileAccessError`` for a runtime or release that is none.
    """
    program = source if isinstance(source, Program) else open_program(source, limits)
    given = [item if isinstance(item, TensorData) else read_tensor_data(item, limits=limits) for item in data]
    found = Found()
    if evidence is not None:
        raw = [item for item in data if not isinstance(item, TensorData)]
        content, path = (source.buffer, None) if isinstance(source, Program) else content_of(source)
        found = collect(evidence).about(content, path, raw if len(raw) == len(data) else None)
    return _judged(program.file, examine(program, given, produced_by=produced_by), targets(runtime), found)


def check_file(
    path: str,
    wanted: Sequence[Target],
    *,
    data: Sequence[FileSource] = (),
    produced_by: str | None = None,
    evidence: EvidenceFiles = NOTHING,
) -> CheckResult:
    """Like :func:`check`, but says in the result why a file cannot be judged instead of raising."""
    given = [read_tensor_data(item) for item in data]
    try:
        program = open_program(path)
    except PteronError as error:
        return CheckResult(path, error=str(error), missing=isinstance(error, FileAccessError | UnknownFileError))
    found = evidence.about(*content_of(path), data)
    return _judged(path, examine(program, given, produced_by=produced_by), wanted, found)


def check_files(
    paths: Sequence[str],
    wanted: Sequence[Target],
    *,
    data: Sequence[str] = (),
    produced_by: str | None = None,
    evidence: EvidenceFiles = NOTHING,
    jobs: int | None = None,
) -> Iterator[CheckResult]:
    """The results of many files in order, as they come; ``jobs`` processes work (None: as many as pay off).

    Nothing is kept, so memory stays flat however many files there are.
    """
    workers = jobs or min(os.cpu_count() or 1, len(paths) // _FILES_PER_WORKER)
    if workers <= 1 or not all(target.described for target in wanted):
        for path in paths:
            yield check_file(path, wanted, data=data, produced_by=produced_by, evidence=evidence)
        return
    names = tuple(target.name for target in wanted)
    setting = (names, tuple(data), produced_by, evidence)
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, setting) as pool:
        yield from pool.map(_work, paths, chunksize=8)


def find_programs(paths: Iterable[str], suffixes: tuple[str, ...] = SUFFIXES) -> tuple[str, ...]:
    """The files named, and the files with these suffixes in the folders named, each once.

    Raises ``FileAccessError`` for a folder that holds none.
    """
    files: dict[str, None] = {}
    for path in paths:
        if not Path(path).is_dir():
            files[path] = None
            continue
        found = sorted(
            str(Path(folder, name))
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(suffixes)
        )
        if not found:
            kinds = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
            raise FileAccessError(f"the folder {path} holds no {kinds} file; check the path")
        files.update(dict.fromkeys(found))
    return tuple(files)


_setting: tuple[tuple[Target, ...], tuple[str, ...], str | None, EvidenceFiles] = ((), (), None, NOTHING)


def _start(names: tuple[str, ...], data: tuple[str, ...], produced_by: str | None, evidence: EvidenceFiles) -> None:
    """Set a worker up; builds are named, because a profile is cheaper to make again than to send."""
    global _setting
    _setting = (targets(names), data, produced_by, evidence)


def _work(path: str) -> CheckResult:
    wanted, data, produced_by, evidence = _setting
    return check_file(path, wanted, data=data, produced_by=produced_by, evidence=evidence)


def _judged(file: str, case: Case, wanted: Sequence[Target], found: Found) -> CheckResult:
    verdicts = {t.name: _verdict(case, t.name, t.profile, t.release, found) for t in wanted}
    serving = []
    for release in releases():
        verdict = verdicts.get(str(release))
        if verdict is None:
            verdict = _verdict(case, str(release), profile_for(release), release, found)
        if verdict.runs:
            serving.append(str(release))
    return CheckResult(
        file, verdicts, case.produced_by, case.requirements, case.producers, tuple(serving), found.remarks
    )


def _verdict(case: Case, name: str, profile: Profile, release: Version | None, found: Found) -> Verdict:
    predicted = judge(case, profile, runtime=release)
    records = about_build(found.records, name, profile, release) if found.records else []
    return with_evidence(predicted, case, profile, records) if records else predicted


def _badness(status: Status) -> tuple[int, bool]:
    return (status.rank, status is Status.BROKEN)
