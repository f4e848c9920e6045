"""``pteron.lock``: what changed since, model by model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import corpus_files
from pteron.compat.check import CheckResult, check
from pteron.compat.lock import Lock, compare, make_lock, needs, read_lock, write_lock
from pteron.compat.verdict import Status, Verdict
from pteron.errors import FileAccessError, FormatError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return put(tmp_path, "1.1.0", "mlp.pte")


def put(folder: Path, release: str, name: str, to: str = "model.pte") -> Path:
    path = folder / to
    path.write_bytes(corpus_files.read(release, name))
    return path


def result(path: Path) -> CheckResult:
    return check(path, runtime=[">=1.3"], produced_by="1.2.0")


def rules(lock: Lock, results: list[CheckResult], folder: Path) -> list[tuple[str, bool]]:
    return [(change.rule, change.bad) for change in compare(lock, results, folder)]


def test_there_and_back(model: Path) -> None:
    lock = make_lock([result(model)], model.parent)
    path = model.parent / "pteron.lock"
    write_lock(lock, path)
    assert read_lock(path) == lock
    assert lock.runtimes == ("1.3.1", "1.4.1", "1.5.1")
    assert list(lock.models) == ["model.pte"]
    assert lock.models["model.pte"]["verdicts"] == {
        "1.3.1": "guaranteed",
        "1.4.1": "expected",
        "1.5.1": "expected",
    }
    assert "aten::addmm.out/7" in lock.models["model.pte"]["requires"]["operators"]
    assert [path.name for path in model.parent.iterdir() if path.name.endswith(".tmp")] == []


def test_nothing_changed(model: Path) -> None:
    lock = make_lock([result(model)], model.parent)
    assert rules(lock, [result(model)], model.parent) == []


def test_the_same_model_exported_by_another_release_needs_no_more(model: Path) -> None:
    lock = make_lock([result(put(model.parent, "1.4.1", "mlp.pte"))], model.parent)
    assert not any(bad for _, bad in rules(lock, [result(put(model.parent, "1.5.1", "mlp.pte"))], model.parent))


def test_a_model_that_needs_more_or_less(model: Path) -> None:
    small, large = result(model), result(put(model.parent, "1.1.0", "lenet.pte"))
    more = rules(make_lock([small], model.parent), [large], model.parent)
    assert ("PT-LK-002", True) in more
    less = rules(make_lock([large], model.parent), [small], model.parent)
    assert ("PT-LK-005", False) in less
    sentences = [change.sentence for change in compare(make_lock([small], model.parent), [large], model.parent)]
    assert any("aten::convolution.out/11" in sentence for sentence in sentences)
    # What is bad comes first.
    assert [bad for _, bad in more] == sorted((bad for _, bad in more), reverse=True)


def test_models_that_came_and_went(model: Path) -> None:
    lock = make_lock([result(model)], model.parent)
    other = put(model.parent, "1.1.0", "add.pte", to="other.pte")
    assert rules(lock, [result(other)], model.parent) == [("PT-LK-001", True), ("PT-LK-004", False)]


def test_a_worse_verdict(model: Path) -> None:
    before = result(model)
    worse = dataclasses.replace(before, verdicts={"1.3.1": verdict(Status.CONDITIONAL)})
    better = dataclasses.replace(before, verdicts={"1.4.1": verdict(Status.GUARANTEED)})
    lock = make_lock([before], model.parent)
    assert rules(lock, [worse], model.parent) == [("PT-LK-003", True)]
    assert rules(lock, [better], model.parent) == []


def verdict(status: Status) -> Verdict:
    return Verdict(status, (), "a build", None, False)


def test_what_is_locked_says_nothing_of_paths_or_time(model: Path) -> None:
    text = make_lock([result(model)], model.parent).to_json()
    assert str(model.parent) not in text
    assert text == make_lock([result(model)], model.parent).to_json()
    kinds = needs(result(model).requirements)  # type: ignore[arg-type]
    assert all(items == sorted(items) for items in kinds.values())


def test_a_file_that_cannot_be_judged_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be locked"):
        make_lock([CheckResult("cut.pte", error="it ends early")], tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"schema": "pteron.lock/1"}', '{"schema": "pteron.lock/2", "models": {}, "runtimes": []}']
    + ['{"schema": "pteron.lock/1", "runtimes": [], "models": {"a.pte": {"requires": [], "verdicts": {}}}}']
    + [
        json.dumps(
            {
                "schema": "pteron.lock/1",
                "runtimes": [],
                "models": {"a": {"produced_by": "", "requires": {}, "verdicts": {"1.5.1": "fine"}}},
            }
        )
    ],
)
def test_files_that_are_no_lock(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pteron.lock"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=r"pteron\.lock"):
        read_lock(path)


def test_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="pteron lock"):
        read_lock(tmp_path / "pteron.lock")
