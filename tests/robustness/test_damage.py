"""Damaged files end in a ``PteronError`` or run: no other exception, no hang, no flood of memory.

The default run takes a sample. ``pytest -m robustness`` takes every truncation and every bit flip of every seed, and
100,000 random mutants of all kinds of file on the reference engine and 40,000 others on the fast one.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import pteron
from robustness import fleet, mutants
from robustness.exercise import ENTRY_POINTS, FAST, examine, warm_up

FILES = sorted(mutants.SEEDS.iterdir())
RANDOM_SEED = 20240607
SHARDS = 10
RANDOM_MUTANTS = 100_000
FAST_SEED = 20261123
FAST_MUTANTS = 40_000
WORKERS = 1 if "PYTEST_XDIST_WORKER" in os.environ else os.cpu_count() or 1

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    warm_up(mutants.SEEDS)


def test_there_is_a_seed_for_every_layout() -> None:
    assert len(FILES) >= 10
    assert all(path.stat().st_size < 4096 for path in FILES)
    assert {path.suffix for path in FILES} == set(ENTRY_POINTS)


@each_file
def test_a_seed_is_fine_as_it_is(path: Path) -> None:
    verdict = examine(path.suffix, path.read_bytes())
    assert verdict.fault == ""
    delegated = "delegate" in path.name or path.name == "named_data.pte"
    assert verdict.outcome in (("runs", "cannot run: BackendError") if delegated else ("runs", "reads"))


@each_file
def test_a_sample_of_truncations_and_bit_flips(path: Path) -> None:
    damaged = fleet.DamagedSeed(path.suffix, path.read_bytes())
    tally = fleet.Tally()
    for number in damaged.cases[::23]:
        tally.add(number, damaged(number))
    assert tally.faults == {}


@pytest.mark.parametrize("shard", range(4))
def test_a_sample_of_random_mutants(shard: int) -> None:
    tally = fleet.Tally()
    job = fleet.RandomMutants(RANDOM_SEED)
    for number in range(shard * 1000, (shard + 1) * 1000):
        tally.add(number, job(number))
    assert tally.faults == {}
    assert len(tally.outcomes) > 20
    assert tally.outcomes["runs"] > 100


def test_a_sample_of_random_mutants_on_the_fast_engine() -> None:
    tally = fleet.Tally()
    job = fleet.RandomMutants(FAST_SEED, FAST)
    for number in range(1000):
        tally.add(number, job(number))
    assert tally.faults == {}
    assert tally.outcomes["runs"] > 100


@pytest.mark.parametrize("number", [6511, 18801, 31010])
def test_mutants_that_once_broke_the_fast_engine(number: int) -> None:
    """A permutation of another rank than its tensor, a geometry with a hole, a payload's output beyond the call's."""
    assert fleet.RandomMutants(7, FAST)(number).fault == ""


def test_results_of_other_sizes_than_declared_are_refused_before_they_are_computed() -> None:
    """A padding of 65,537: ONNX Runtime would compute, and give, a result of 131,078 rows where the file says 6."""
    mutant = mutants.mutant(8, 17266)
    assert examine(mutant.suffix, mutant.data, engine=FAST).fault == ""
    method = pteron.load(mutant.data, engine=FAST, cache=False, verify=False)["forward"]
    with pytest.raises(pteron.ExecutionError, match=r"of shape \[1, 8, 131078, 6\] does not fit float32\[1, 8, 6, 6\]"):
        method(np.ones((1, 3, 6, 6), np.float32))


@pytest.mark.parametrize("number", [64668, 66276, 109724, 180506, 245673])
def test_more_mutants_that_once_broke_the_fast_engine(number: int) -> None:
    """A gigabyte inside of a payload, reductions to another rank, an immense range, a view of another rank."""
    assert fleet.RandomMutants(8, FAST)(number).fault == ""


@pytest.mark.robustness
@each_file
def test_every_truncation_and_every_bit_flip(path: Path) -> None:
    damaged = fleet.DamagedSeed(path.suffix, path.read_bytes())
    tally = fleet.run(damaged.cases, damaged, workers=WORKERS)
    assert tally.faults == {}
    assert tally.cases == 9 * path.stat().st_size


@pytest.mark.robustness
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_hundred_thousand_random_mutants(shard: int) -> None:
    size = RANDOM_MUTANTS // SHARDS
    tally = fleet.run(range(shard * size, (shard + 1) * size), fleet.RandomMutants(RANDOM_SEED), workers=WORKERS)
    assert tally.faults == {}
    assert tally.cases == size


@pytest.mark.robustness
@pytest.mark.parametrize("shard", range(SHARDS))
def test_forty_thousand_random_mutants_on_the_fast_engine(shard: int) -> None:
    size = FAST_MUTANTS // SHARDS
    numbers = range(shard * size, (shard + 1) * size)
    tally = fleet.run(numbers, fleet.RandomMutants(FAST_SEED, FAST), workers=WORKERS)
    assert tally.faults == {}
    assert tally.cases == size
