"""Promises: the policy's own examples, owners' promises, and files that are no promises."""

from __future__ import annotations

import dataclasses
import sys
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from packaging.version import Version

from judging import dated, on, told, with_backend, with_operator
from pteron.compat import promises as module
from pteron.compat.history import add_months, known_history, make_history
from pteron.compat.promises import Coverage, Promise, coverage, known_promises, read_promises
from pteron.compat.verdict import Status
from pteron.errors import FormatError

POLICY = next(promise for promise in known_promises().promises if promise.subject == "program")
TO_2 = make_history(["1.0", "1.1", "1.2", "2.0", "2.1"])


def covered(produced: str, runtime: str, minors: list[str] | None = None, promise: Promise = POLICY) -> Coverage:
    history = make_history(minors) if minors else known_history()
    return coverage(promise, Version(produced), Version(runtime), history)


# ---- the policy's own examples


def test_the_next_minor_release_is_promised() -> None:
    assert covered("1.2.0", "1.3.0").by_count
    assert on(told("1.2.0/add.pte"), "1.3.1").status is Status.GUARANTEED


def test_a_major_release_that_follows_is_promised() -> None:
    assert covered("1.2.0", "2.0.0", ["1.1", "1.2", "2.0"]).by_count
    assert not covered("1.1.0", "2.0.0", ["1.1", "1.2", "2.0"]).by_count
    assert not covered("1.2.0", "2.1.0", ["1.1", "1.2", "2.0", "2.1"]).by_count
    # What follows is the next release, so 2.0 is not promised where 1.3 came between.
    assert not covered("1.2.0", "2.0.0", ["1.2", "1.3", "2.0"]).by_count


@pytest.mark.parametrize("runtime", ["1.3.0", "1.3.1", "1.3.9", "1.2.7"])
def test_patch_releases_do_not_count(runtime: str) -> None:
    assert covered("1.2.0", runtime).by_count
    assert covered("1.2.5", runtime).by_count or runtime < "1.2.5"


def test_the_release_after_the_next_is_not_promised() -> None:
    found = covered("1.2.0", "1.4.0")
    assert (found.by_count, found.why) == (False, "beyond")
    assert on(told("1.2.0/add.pte"), "1.4.1").status is Status.EXPECTED


@pytest.mark.parametrize(("produced", "runtime"), [("1.3.0", "1.2.0"), ("2.0.0", "1.2.0"), ("1.3.1", "1.3.0")])
def test_newer_on_older_is_never_promised(produced: str, runtime: str) -> None:
    found = covered(produced, runtime)
    assert (found.by_count, found.by_time, found.why) == (False, False, "forward")


def test_a_newer_patch_on_an_older_one_is_told_apart() -> None:
    newer = told("1.3.1/add.pte", "1.3.1")
    assert on(newer, "1.3.0").status is Status.EXPECTED
    assert on(newer, "1.3.1").status is Status.GUARANTEED


def test_a_custom_operator_has_no_promise() -> None:
    case = with_operator("1.4.1/add.pte", "aten::add.out", name="acme::add.out")
    verdict = on(case, "1.5.1")
    assert not verdict.promised
    assert "PT-PR-006" in verdict.rules


def test_a_backend_with_a_longer_promise() -> None:
    longer = dataclasses.replace(
        next(promise for promise in known_promises().promises if promise.id == "executorch.backends"),
        owner="Acme",
        names=frozenset({"AcmeBackend"}),
        next_releases=4,
    )
    assert covered("1.0.1", "1.4.1", promise=longer).by_count
    assert not covered("1.0.1", "1.5.1", promise=longer).by_count
    case = dataclasses.replace(with_backend("1.0.1/xnnpack_mlp.pte", id="AcmeBackend"))
    known = [longer, *known_promises().promises]
    # The payload is promised there, the program around it is not.
    assert "PT-PR-007" not in on(case, "1.4.1", promises=known).rules
    assert "PT-PR-003" in on(case, "1.4.1", promises=known).rules
    assert "PT-PR-007" in on(case, "1.5.1", promises=known).rules


@pytest.mark.parametrize("stability", ["experimental", "deprecated"])
def test_unstable_interfaces_make_no_promise(stability: str) -> None:
    case = dataclasses.replace(told("1.2.0/add.pte"), api_stability=stability)
    verdict = on(case, "1.3.1")
    assert (verdict.status, verdict.promised) == (Status.EXPECTED, False)
    assert "PT-PR-008" in verdict.rules
    assert on(dataclasses.replace(case, api_stability="stable"), "1.3.1").status is Status.GUARANTEED


def test_nothing_is_promised_before_the_policy() -> None:
    assert covered("0.3.0", "0.4.0").why == "before"
    assert covered("0.4.0", "0.5.0").by_count


# ---- months


def test_the_two_rules_differ_at_the_real_pace() -> None:
    # 1.1 came on 2026-01-27, 1.3 on 2026-05-26: two releases later, within six months.
    found = covered("1.1.0", "1.3.1")
    assert (found.by_count, found.by_time, found.until) == (False, True, date(2026, 7, 27))
    verdict = on(told("1.1.0/add.pte"), "1.3.1")
    assert verdict.status is Status.EXPECTED
    assert "2026-07-27, would reach that far" in next(r.sentence for r in verdict.reasons if r.rule == "PT-PR-003")


def test_slow_releases_are_still_counted() -> None:
    slow = make_history({"1.2": date(2026, 4, 1), "1.3": date(2026, 12, 1)})
    found = coverage(POLICY, Version("1.2.0"), Version("1.3.0"), slow)
    assert (found.by_count, found.by_time) == (True, False)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 27), 6, date(2026, 7, 27)),
        (date(2025, 8, 31), 6, date(2026, 2, 28)),
        (date(2023, 8, 31), 6, date(2024, 2, 29)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 12, 31), 1, date(2027, 1, 31)),
    ],
)
def test_months(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


# ---- who made it


def test_it_must_hold_for_every_possible_producer() -> None:
    both = told("1.2.0/add.pte", "1.1", "1.2")
    assert on(both, "1.2.0").status is Status.GUARANTEED
    verdict = on(both, "1.3.1")
    assert verdict.status is Status.EXPECTED
    sentence = next(reason.sentence for reason in verdict.reasons if reason.rule == "PT-PR-004")
    assert "1.2 would be covered, 1.1 would not" in sentence


def test_files_of_unknown_producers_are_dated() -> None:
    case = dated("1.2.0/add.pte")
    assert len(case.producers) > 1
    assert Version("1.2") in case.producers


# ---- what the policy leaves out


def test_tensor_data_has_no_promise() -> None:
    verdict = on(told("1.4.1/external_constants_mlp.pte"), "1.5.1")
    assert verdict.status is Status.EXPECTED
    assert "PT-PR-009" in verdict.rules


def test_core_aten_operators_and_their_variants_are_known() -> None:
    known = known_promises()
    for name in ("aten::add.out", "aten::expand_copy.out", "aten::copy_", "aten::topk.values"):
        promise = known.about("operator", name)
        assert promise is not None
        assert promise.id == "core_aten"
    for name in ("aten::bitwise_left_shift.Tensor_out", "dim_order_ops::_to_dim_order_copy.out", "llama::sdpa.out"):
        assert known.about("operator", name) is None


def test_broken_means_promised_and_it_ran_before() -> None:
    assert on(told("0.4.0/gru.pte"), "0.5.0").status is Status.BROKEN
    # Not promised: two releases later.
    assert on(told("0.4.0/gru.pte"), "0.6.0").status is Status.INCOMPATIBLE
    # Promised on its own release, but it never ran there.
    assert on(told("1.5.1/sort.pte"), "1.5.1").status is Status.INCOMPATIBLE
    assert on(told("0.5.0/gru.pte"), "0.5.0").status is Status.INCOMPATIBLE


# ---- promises of others

ACME = """
[[promise]]
id = "acme.operators"
owner = "Acme"
subject = "operator"
names = ["acme::*"]
runtimes = ">=1.0,<3"
sentence = "Acme's operators run on every runtime from 1.0 to 2.x."
"""


def test_a_package_brings_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "acme_ops_for_this_test"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "promises.toml").write_text(ACME, encoding="utf-8")
    (package / "broken.toml").write_text("[[promise]]\nid = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("acme", "acme_ops_for_this_test:promises.toml", module.GROUP),
        EntryPoint("broken", "acme_ops_for_this_test:broken.toml", module.GROUP),
        EntryPoint("gone", "no_such_package_at_all:promises.toml", module.GROUP),
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: points if group == module.GROUP else [])
    known_promises.cache_clear()
    try:
        known = known_promises()
        promise = known.about("operator", "acme::add.out")
        assert promise is not None
        assert promise.owner == "Acme"
        assert covered("0.4.0", "2.9.9", promise=promise).by_count
        assert not covered("0.4.0", "3.0.0", promise=promise).by_count
        assert not covered("1.0.0", "0.7.0", promise=promise).by_count
        assert len(known.faults) == 2
        case = with_operator("1.4.1/add.pte", "aten::add.out", name="acme::add.out")
        assert on(case, "1.5.1").promised
    finally:
        known_promises.cache_clear()
        sys.modules.pop("acme_ops_for_this_test", None)


def test_a_registered_operators_own_promise() -> None:
    from pteron.ops.registry import REGISTRY, Operator, operator

    @operator("promised_here::twice(Tensor self) -> Tensor", out="out", owner="Acme", version="2", promise=">=1.0,<2")
    def twice(self: object) -> object:
        return self

    name = "promised_here::twice.out"
    assert isinstance(REGISTRY.get(name), Operator)
    found = module.Promises(()).about("operator", name)
    assert found is not None
    assert (found.owner, str(found.runtimes)) == ("Acme", "<2,>=1.0")


BASE = ACME.strip() + "\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not toml", "not a TOML file"),
        ("", "consists of"),
        ("[[promise]]\n[other]\n", "consists of"),
        (BASE.replace('id = "acme.operators"\n', ""), "id is missing"),
        (BASE.replace('subject = "operator"', 'subject = "people"'), "subject is 'people'"),
        (BASE.replace('names = ["acme::*"]\n', ""), "names is missing"),
        (BASE.replace('runtimes = ">=1.0,<3"\n', ""), "it says nothing"),
        (BASE.replace(">=1.0,<3", "newer"), "newer"),
        (BASE + "months = true\n", "months must not be a bool"),
        (BASE + "weeks = 3\n", "unknown key 'weeks'"),
        (BASE + 'since = "first"\n', "first"),
        ("promise = [1]\n", "must be a table"),
    ],
)
def test_files_that_are_no_promises(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "promises.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=problem):
        read_promises(path)


def test_the_example_in_the_documentation_is_a_promise(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "promises.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n[[promise]]")[2].partition("```")[0]
    path = tmp_path / "promises.toml"
    path.write_text(f"[[promise]]{example}", encoding="utf-8")
    (promise,) = read_promises(path)
    assert covered("1.0.1", "1.4.1", promise=promise).by_count
    for key in module._KEYS:
        assert key in page or key == "name_list"
