"""``pteron.check``: builds asked for, many files, and how fast it is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from packaging.version import Version

import corpus_files
import pteron
from pteron.compat.check import check, check_files, find_programs
from pteron.compat.profile import profile_for
from pteron.compat.targets import targets
from pteron.compat.verdict import Status
from pteron.errors import FileAccessError, FormatError, ProfileError, UnknownFileError, UnsupportedError

ALL = ("0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "1.0.1", "1.1.0", "1.2.0", "1.3.1", "1.4.1", "1.5.1")


def put(folder: Path, release: str, name: str) -> Path:
    path = folder / name.rpartition("/")[2]
    path.write_bytes(corpus_files.read(release, name))
    return path


# ---- what is asked for


@pytest.mark.parametrize(
    ("runtime", "names"),
    [
        (None, ALL),
        ("1.5.1", ("1.5.1",)),
        ("1.3", ("1.3.1",)),
        ("1.3.0", ("1.3.0",)),
        ("v1.2.0", ("1.2.0",)),
        (">=1.2", ALL[8:]),
        ("<=1.3", ALL[:10]),
        (">1.3", ALL[10:]),
        (">=1.3.1,<1.5", ("1.3.1", "1.4.1")),
        ("~=1.2", ALL[8:]),
        ("==1.*", ALL[6:]),
        (["1.2", ">=1.4", "1.4.1"], ("1.2.0", "1.4.1", "1.5.1")),
    ],
)
def test_targets(runtime: str | list[str] | None, names: tuple[str, ...]) -> None:
    assert tuple(target.name for target in targets(runtime)) == names


@pytest.mark.parametrize("runtime", ["9.9", "0.1.0", ">=7", "newest", "", "==1.2.7"])
def test_no_such_runtime(runtime: str) -> None:
    with pytest.raises(UnsupportedError):
        targets(runtime)


def test_described_builds(tmp_path: Path) -> None:
    path = tmp_path / "build.toml"
    path.write_text('release = "1.4.1"\nlibraries = ["portable"]\n', encoding="utf-8")
    (target,) = targets(str(path))
    assert (target.name, target.release) == (str(path), Version("1.4.1"))
    (mine,) = targets(profile_for("1.2.0"))
    assert mine.profile is profile_for("1.2.0")
    path.write_text("release = 7\n", encoding="utf-8")
    with pytest.raises(ProfileError):
        targets(str(path))
    with pytest.raises(FileAccessError):
        targets(str(tmp_path / "none.toml"))
    other = tmp_path / "build.txt"
    other.write_text("", encoding="utf-8")
    with pytest.raises(FileAccessError, match="profiles"):
        targets(str(other))


# ---- one file


def test_the_public_call(tmp_path: Path) -> None:
    path = put(tmp_path, "1.5.1", "grid_sample.pte")
    result = pteron.check(path, runtime=">=1.0", produced_by="1.5.1")
    assert {name: verdict.status.value for name, verdict in result.verdicts.items()} == {
        "1.0.1": "incompatible",
        "1.1.0": "expected",
        "1.2.0": "expected",
        "1.3.1": "expected",
        "1.4.1": "expected",
        "1.5.1": "guaranteed",
    }
    reason = result.verdicts["1.0.1"].reasons[0]
    assert reason.rule == "PT-OP-001"
    assert "aten::grid_sampler_2d.out" in reason.sentence
    assert reason.place == "execution_plan[0].chains[0].instructions[0].instr_args"
    assert "Release 1.1.0" in reason.remedy
    assert result.serving == ALL[7:]
    assert result.worst is Status.INCOMPATIBLE


def test_one_patch_stands_for_another_but_not_for_promises(tmp_path: Path) -> None:
    path = put(tmp_path, "1.3.1", "add.pte")
    result = check(path, ["1.3.0", "1.3.1"], produced_by="1.3.1")
    assert result.verdicts["1.3.0"].status is Status.EXPECTED
    assert result.verdicts["1.3.1"].status is Status.GUARANTEED


def test_bytes_bundles_and_opened_programs(tmp_path: Path) -> None:
    data = corpus_files.read("1.5.1", "bundled_mlp.bpte")
    assert check(data, "1.5.1").verdicts["1.5.1"].runs
    program = pteron.open(put(tmp_path, "1.5.1", "mlp.pte"))
    assert check(program, "1.5.1").verdicts["1.5.1"].runs
    assert pteron.requirements(program).operators == pteron.requirements(program.buffer).operators
    assert pteron.date(program).contains("1.5.1")
    assert str(pteron.date(program, produced_by="1.4.1")) == "1.4"


def test_tensor_data(tmp_path: Path) -> None:
    path = put(tmp_path, "1.5.1", "external_constants_mlp.pte")
    beside = put(tmp_path, "1.5.1", "external_constants_mlp._default_external_constant.ptd")
    without = check(path, "1.5.1").verdicts["1.5.1"]
    assert (without.status, without.rules[0]) == (Status.CONDITIONAL, "PT-FM-008")
    assert check(path, "1.5.1", data=[beside]).verdicts["1.5.1"].status is Status.EXPECTED
    with pytest.raises(UnknownFileError, match="tensor data"):
        check(beside)


def test_the_worst_comes_first(tmp_path: Path) -> None:
    result = check(put(tmp_path, "0.7.0", "xnnpack_int8_linear.pte"), "0.5.0")
    verdict = result.verdicts["0.5.0"]
    assert verdict.wrong_numbers
    assert verdict.reasons[0].wrong_numbers
    ranks = [(not r.wrong_numbers, -(r.status.rank if r.status else -1)) for r in verdict.reasons]
    assert ranks == sorted(ranks)


def test_a_provenance_record_counts(tmp_path: Path) -> None:
    from pteron.compat.provenance import Provenance
    from pteron.compat.stamp import stamp

    path = put(tmp_path, "1.4.1", "mlp.pte")
    stamped = tmp_path / "stamped.pte"
    stamp(path, stamped, record=Provenance("1.4.1", api_stability="stable"))
    assert check(stamped, "1.5.1").verdicts["1.5.1"].status is Status.GUARANTEED
    stamp(path, tmp_path / "other.pte", record=Provenance("1.4.1", api_stability="experimental"))
    assert check(tmp_path / "other.pte", "1.5.1").verdicts["1.5.1"].status is Status.EXPECTED


# ---- many files


def test_folders_and_files_that_cannot_be_judged(tmp_path: Path) -> None:
    put(tmp_path, "1.5.1", "mlp.pte")
    (tmp_path / "sub").mkdir()
    put(tmp_path / "sub", "1.5.1", "bundled_mlp.bpte")
    (tmp_path / "cut.pte").write_bytes(corpus_files.read("1.5.1", "mlp.pte")[:300])
    (tmp_path / "notes.txt").write_text("no program", encoding="utf-8")
    found = find_programs([str(tmp_path), str(tmp_path / "mlp.pte"), "gone.pte"])
    assert [Path(name).name for name in found] == ["cut.pte", "mlp.pte", "bundled_mlp.bpte", "gone.pte"]
    results = list(check_files(found, targets("1.5.1")))
    assert [bool(result.error) for result in results] == [True, False, False, True]
    assert [result.missing for result in results] == [False, False, False, True]
    assert results[0].worst is Status.INCOMPATIBLE
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileAccessError, match="holds no"):
        find_programs([str(tmp_path / "empty")])


def test_workers_give_the_same_answers_in_order(tmp_path: Path) -> None:
    names = [put(tmp_path, "1.5.1", name) for name in corpus_files.names("1.5.1")[:12] if "/" not in name]
    files = [str(name) for name in names]
    wanted = targets(">=1.3")
    assert list(check_files(files, wanted, jobs=2)) == list(check_files(files, wanted, jobs=1))


def test_damaged_files_only_raise_our_own_errors() -> None:
    data = corpus_files.read("1.5.1", "xnnpack_mlp.pte")
    for length in range(0, len(data), max(1, len(data) // 60)):
        try:
            check(data[:length], "1.5.1")
        except FormatError:
            continue


# ---- time


def test_one_file_against_all_profiles_takes_under_20_ms() -> None:
    for name in ("mlp.pte", "xnnpack_mobile_block.pte", "lstm.pte"):
        data = corpus_files.read("1.5.1", name)
        check(data)
        assert min(_cpu_seconds(data) for _ in range(5)) < 0.020, name


def _cpu_seconds(data: bytes) -> float:
    start = time.process_time()
    check(data)
    return time.process_time() - start


def test_a_hundred_files_a_second_per_core() -> None:
    names = [name for name in corpus_files.names("1.5.1") if name.startswith("ops/")][:200]
    files = [corpus_files.read("1.5.1", name) for name in names]
    check(files[0])
    start = time.process_time()
    for data in files:
        check(data)
    assert len(files) / (time.process_time() - start) > 100
