"""Reads, verifies, loads and runs any number of randomly damaged files, and says what came of them.

    python tools/fuzz.py --mutants 1000000 --seed 1 --workers 2      # a long run; --minutes ends it early
    python tools/fuzz.py --seed 1 --only 4711                        # one mutant again, with the traceback

Each mutant that breaks a promise (another exception than PteronError, more than 1 s of CPU, more than 64 MB plus
twice the file, a lost process) is saved under --keep, and the exit code is 1.
"""

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from pteron.runtime.module import ENGINES  # noqa: E402
from robustness import fleet, mutants  # noqa: E402
from robustness.exercise import ENTRY_POINTS, REFERENCE, examine, warm_up  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other mutants")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no more after that long")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for files that fail")
    parser.add_argument("--only", type=int, help="examine this one mutant here, without a worker")
    parser.add_argument("--engine", default=REFERENCE, choices=ENGINES, help="what runs them (default: %(default)s)")
    options = parser.parse_args()
    if options.only is not None:
        return only(options.seed, options.only, options.engine)
    start = time.monotonic()
    until = start + options.minutes * 60
    numbers = range(options.first, options.first + options.mutants)
    job = fleet.RandomMutants(options.seed, options.engine)
    tally = fleet.run(numbers, job, workers=options.workers, until=until, progress=Progress(len(numbers)))
    print(f"\n{tally.cases:,} mutants with seed {options.seed} in {time.monotonic() - start:,.0f} s, ", end="")
    print(f"{options.workers} workers; worst: {tally.seconds:.2f} s CPU, {tally.nbytes / 2**20:.1f} MiB")
    for outcome, count in tally.outcomes.most_common():
        print(f"{count:10,}  {outcome}")
    for number, fault in sorted(tally.faults.items()):
        mutant = mutants.mutant(options.seed, number)
        options.keep.mkdir(parents=True, exist_ok=True)
        place = options.keep / f"{options.seed}-{number}{mutant.suffix}"
        place.write_bytes(mutant.data)
        print(f"\n{place}, {mutant.origin}:\n  {fault}")
    return 1 if tally.faults else 0


def only(seed: int, number: int, engine: str) -> int:
    """One mutant, in this process; an untyped exception shows its whole traceback."""
    warm_up(mutants.SEEDS, engine)
    mutant = mutants.mutant(seed, number)
    print(f"{mutant.origin}, {len(mutant.data):,} bytes")
    verdict = examine(mutant.suffix, mutant.data, engine=engine)
    print(verdict)
    if verdict.outcome.startswith("untyped"):
        ENTRY_POINTS[mutant.suffix](mutant.data, engine)
    return 1 if verdict.fault else 0


class Progress:
    """A line on stderr, renewed twice a second."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.start = self.last = time.monotonic()

    def __call__(self, tally: fleet.Tally) -> None:
        now = time.monotonic()
        if now - self.last < 0.5 or not sys.stderr.isatty():
            return
        self.last = now
        rate = tally.cases / (now - self.start)
        sys.stderr.write(f"\r{tally.cases:,} of {self.total:,}, {rate:,.0f}/s, {len(tally.faults)} faults ")


if __name__ == "__main__":
    sys.exit(main())
