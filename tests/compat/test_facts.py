"""The facts agree with what exporters wrote, with the real wheel and torch, and with themselves."""

import itertools
import re

import pytest
from packaging.version import Version

import corpus_files
from pteron.backends.xnnpack.nodes import SCHEMA as XNNPACK
from pteron.compat import conditions
from pteron.compat.backend_use import backend_uses
from pteron.compat.distribution import input_limits
from pteron.compat.facts import Range, library_links, limits, release_facts, releases, resolve, supports
from pteron.compat.fault_search import fault_uses
from pteron.compat.faults import faults
from pteron.compat.features import CATALOGUE, dtype_since
from pteron.compat.operator_use import operator_uses
from pteron.compat.profile import profile_for
from pteron.errors import UnsupportedError
from pteron.format.program import read_program
from pteron.format.scalar_type import ScalarType

RELEASES = corpus_files.releases()
# A source is tag:path or main@commit:path; anything else says who saw it.
SOURCE = re.compile(r"(v\d+\.\d+\.\d+|main@[0-9a-f]+):[\w./+-]+|observed: .+|wheels? .+: .+")


def test_every_release_of_the_corpus_has_facts() -> None:
    assert tuple(map(str, releases())) == RELEASES


def test_patch_releases_have_the_facts_of_their_minor() -> None:
    assert resolve("1.3.0") == resolve("v1.3.1") == Version("1.3.1")
    for wrong in ("9.9", "0.1.0", "one"):
        with pytest.raises(UnsupportedError, match=r"9\.9|0\.1|one"):
            resolve(wrong)


def test_dates_rise_and_torch_pins_never_fall() -> None:
    facts = [release_facts(release) for release in releases()]
    assert all(a.released < b.released for a, b in itertools.pairwise(facts))
    assert all(Version(a.torch) <= Version(b.torch) for a, b in itertools.pairwise(facts))
    assert str(release_facts("1.2").released) == "2026-04-01"


@pytest.mark.parametrize("release", RELEASES)
def test_argument_counts_are_those_that_the_exporter_wrote(release: str) -> None:
    profile = profile_for(release)
    seen = 0
    for name in corpus_files.names(release):
        for use in operator_uses(read_program(corpus_files.read(release, name), file=name)):
            counts = profile.argument_counts(use.name)
            if counts:
                assert use.argument_count in counts, (name, use.name, use.argument_count, counts)
                seen += 1
    assert seen > 100


@pytest.mark.parametrize("release", RELEASES)
def test_xnnpack_runs_what_its_own_exporter_wrote(release: str) -> None:
    backend = profile_for(release).backends["XnnpackBackend"]
    assert backend.node_types
    assert backend.datatypes
    assert backend.payloads == {"XN00", "XN01"}
    seen = 0
    for case in _ran(release):
        for use in backend_uses(read_program(case.read(), file=str(case))):
            if use.id == "XnnpackBackend":
                assert backend.node_types >= set(use.node_types)
                assert backend.datatypes >= set(use.datatypes)
                seen += 1
    assert seen > 5


def test_the_release_that_dropped_an_xnnpack_node_lacks_it() -> None:
    has = {str(release): "XNNScaledDotProductAttention" in _nodes(release) for release in releases()}
    assert [release for release, yes in has.items() if yes] == ["0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0"]


@pytest.mark.parametrize("release", RELEASES)
def test_xnnpack_nodes_are_members_of_the_schema(release: str) -> None:
    assert _nodes(Version(release)) <= set(XNNPACK.unions["XNodeUnion"].members.values())


def test_no_operator_of_portable_quantized_or_prim_libraries_was_ever_removed() -> None:
    for name in ("portable", "quantized", "prim_ops"):
        for older, newer in itertools.pairwise(map(release_facts, releases())):
            assert set(older.libraries[name].operators) <= set(newer.libraries[name].operators)


def test_argument_counts_never_changed() -> None:
    known: dict[str, int] = {}
    for release in releases():
        for library in release_facts(release).libraries.values():
            for operator, count in library.operators.items():
                assert count is not None
                assert known.setdefault(operator, count) == count, operator


def test_one_row_at_most_speaks_for_a_feature_in_a_release() -> None:
    for feature, rows in supports().items():
        for release in releases():
            speaking = [row for row in rows if release in row.releases]
            assert len(speaking) <= 1, (feature, release)


def test_rows_name_features_that_exist() -> None:
    others = {"ptd.0.6", "ptd.0.7", "xnnpack.constants.named", "xnnpack.scales.constant", "xnnpack.constants.region"}
    for feature in supports():
        dtype = feature.removeprefix("dtype.")
        assert feature in CATALOGUE or feature in others or ScalarType[dtype.upper()], feature


def test_dtypes_are_refused_exactly_before_their_first_release() -> None:
    for scalar_type in ScalarType:
        since = Version(dtype_since(scalar_type))
        for release in releases():
            row = profile_for(release).support(f"dtype.{scalar_type.name.lower()}")
            assert (row is not None and row.outcome == "refused") == (release < since), (scalar_type, release)


def test_every_fact_has_evidence_that_names_its_source() -> None:
    stated = [*itertools.chain(*supports().values()), *limits(), *input_limits(), *faults()]
    assert len(stated) > 50
    for fact in stated:
        assert fact.evidence, fact
        for source in fact.evidence:
            assert SOURCE.match(source), source
    for release in releases():
        facts = release_facts(release)
        assert set(facts.evidence) >= {"released", "operators", "libraries", "argument_counts", "backends", "xnnpack"}


def test_every_fault_has_a_condition_that_exists() -> None:
    known = {*conditions.CALL_CONDITIONS, *conditions.NODE_CONDITIONS}
    for fault in faults():
        assert fault.condition in known
        for release in releases():
            names = {name for library in release_facts(release).libraries.values() for name in library.operators}
            if release in fault.releases and not any(name.startswith("XNN") for name in fault.operators):
                assert fault.operators & names, (fault.id, release)


def test_no_fault_is_stated_by_file_name() -> None:
    names = {name.removesuffix(".pte").split("/")[-1] for release in RELEASES for name in corpus_files.names(release)}
    for fault in faults():
        assert not {str(value) for value in fault.parameters.values()} & names


@pytest.mark.parametrize("release", RELEASES)
def test_no_certain_fault_is_found_in_a_program_that_its_own_release_ran(release: str) -> None:
    profile = profile_for(release)
    for case in _ran(release):
        uses = fault_uses(read_program(case.read(), file=str(case)))
        held = [use.fault.id for use in uses if use.fault in profile.faults and use.fault.certain]
        assert not held, case


def test_links_name_cmake_targets_of_every_library() -> None:
    for release in releases():
        for name in release_facts(release).libraries:
            assert library_links()[name].title
    assert "quantized_ops_lib" in library_links()["quantized"].cmake_targets
    assert library_links()["quantized"].python_module == "executorch.kernels.quantized"


def test_ranges() -> None:
    assert Version("1.3.1") in Range("1.3", "")
    assert Version("1.3.1") in Range("", "1.3")
    assert Version("1.4.0") not in Range("", "1.3")
    assert Version("1.2.0") not in Range("1.3", "")
    assert [str(Range(*ends)) for ends in (("1.3", ""), ("", "1.2"), ("0.5", "0.5"), ("0.5", "0.7"), ("", ""))] == [
        "1.3 and later",
        "up to 1.2",
        "0.5",
        "0.5 to 0.7",
        "every release",
    ]


@pytest.mark.interop
def test_argument_counts_are_those_of_the_real_torch() -> None:
    import torch

    checked = 0
    for library in release_facts("1.5").libraries.values():
        for operator, count in library.operators.items():
            name, _, overload = operator.partition(".")
            if operator.startswith("aten::") and library.name in ("portable", "optimized"):
                assert count == len(torch._C._get_schema(name, overload).arguments) + 1, operator
                checked += 1
    assert checked > 200


def _ran(release: str) -> list[corpus_files.Case]:
    """Programs that the release's own runtime ran with the right results."""
    cases = (case for case in corpus_files.cases(release) if case.name.endswith(".pte"))
    return [case for case in cases if case.own_runtime.get("status") == "ok"]


def _nodes(release: Version) -> frozenset[str]:
    xnnpack = release_facts(release).xnnpack
    assert xnnpack is not None
    return xnnpack["node_types"]
