"""Writes docs/troubleshooting.md: calls that go wrong, really made, with what Pteron says and what to do.

    python tools/troubleshooting_transcript.py            # write the page
    python tools/troubleshooting_transcript.py --check    # exit code 1 where the page is not what the commands say now

The files are of the corpus in tests/corpus, changed where a fault is wanted, in a folder that is thrown away.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command_runs import run_command

from pteron.format.program import Program, read_program
from pteron.format.schema import ExecutionPlan
from pteron.format.write import write_program

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
RELEASE = "1.5.1"


@dataclass(frozen=True)
class Case:
    """A call that goes wrong: ``command`` without ``pteron``, and what to do."""

    title: str
    command: str
    advice: str


CASES = {
    "The file is not what it seems": (
        Case(
            "A text file",
            "show notes.pte",
            "Look at the file: a page of an error, or a `git-lfs` pointer (`git lfs pull` gets what it points to).",
        ),
        Case("An empty file", "show empty.pte", "Download or export again; the disk may have been full."),
        Case(
            "A .ptd given as the program",
            "run weights.ptd",
            "Give the `.pte` first and the `.ptd` with `--data`.",
        ),
        Case(
            "A TorchScript or .pt2 archive",
            "run model.pt2",
            "Export it: `to_edge_transform_and_lower(torch.export.export(model, inputs)).to_executorch()`.",
        ),
        Case("No file at all", "run nowhere.pte", "Check the path; the working folder may be another one."),
        Case(
            "A truncated download",
            "verify cut.pte",
            "Get the file again and compare size or checksum with the original.",
        ),
        Case(
            "A damaged file",
            "verify damaged.pte",
            "The rule's id tells more: `pteron explain PT-VF-006`. Get the file again, or export again.",
        ),
    ),
    "The call does not fit the method": (
        Case("Too few inputs", "run add.pte --input x.npy", "`pteron show` lists the inputs."),
        Case("Wrong dtype", "run add.pte --input x.npy --input float64.npy", "Convert it: `y.astype('float32')`."),
        Case(
            "Wrong shape",
            "run add.pte --input x.npy --input wide.npy",
            "Give the exported shape, or export with a dynamic dimension: `torch.export.Dim('n', max=64)`.",
        ),
        Case(
            "More than a dynamic dimension allows",
            "run dynamic_mlp.pte --input nine_rows.npy",
            "The bound was fixed at export. Split the input, or export with a larger maximum.",
        ),
        Case("Unknown method", "run add.pte --method backward", "`pteron show` lists the methods."),
        Case("Several methods, none asked for", "run multi_method.pte", "Name one with `--method`."),
        Case(
            "The output exists already",
            "run add.pte --output out.npz",
            "Nothing was run. Give another name, or `--force`.",
        ),
    ),
    "Something is missing": (
        Case(
            "The .ptd with the weights",
            "run external_constants_mlp.pte",
            "Give every `.ptd` that was written with the program: `--data weights.ptd`, repeated for several.",
        ),
        Case(
            "The .ptd of another model",
            "run external_constants_mlp.pte --data other.ptd",
            "Program and data belong together; `pteron show` on both lists their keys.",
        ),
        Case(
            "An operator that nobody provides",
            "run unknown_operator.pte",
            "For an operator of your own, register a kernel in Python ([own operators](operators.md)).",
        ),
        Case(
            "A backend that Pteron does not know",
            "run demo_backend.pte",
            "Run the file where that backend is, export without it, or register a backend of your own.",
        ),
        Case(
            "A backend of other hardware",
            "run vulkan_add.pte",
            "`show` and `verify` work all the same. To run the model here, export it without the delegate.",
        ),
    ),
    "An error code from a device": (
        Case(
            "A bare number",
            "explain 18",
            "Mobile apps print the code in decimal: 18 is `0x12`. `pteron explain --list` has all.",
        ),
        Case("A name that does not exist", "explain InvalidArgumnt", "Take one of those that were meant."),
    ),
}


def prepare(folder: Path) -> None:
    """Put the files that the cases name into the folder."""
    with zipfile.ZipFile(ROOT / "tests" / "corpus" / f"{RELEASE}.zip") as corpus:
        for name in ("add", "dynamic_mlp", "multi_method", "external_constants_mlp", "demo_backend"):
            (folder / f"{name}.pte").write_bytes(corpus.read(f"{name}.pte"))
        (folder / "vulkan_add.pte").write_bytes(corpus.read("other_backends/vulkan_add.pte"))
        (folder / "weights.ptd").write_bytes(corpus.read("external_constants_mlp._default_external_constant.ptd"))
        (folder / "other.ptd").write_bytes(corpus.read("external_constants_lenet._default_external_constant.ptd"))
        mlp = corpus.read("mlp.pte")
    (folder / "notes.pte").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")
    (folder / "empty.pte").write_bytes(b"")
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    (folder / "cut.pte").write_bytes(mlp[: len(mlp) // 2])
    program = read_program(mlp)
    plan = program.root.execution_plan[0]
    damaged = dataclasses.replace(plan, outputs=(99,))
    (folder / "damaged.pte").write_bytes(write_program(_with_plan(program, damaged)))
    first, *others = plan.operators
    renamed = dataclasses.replace(plan, operators=(dataclasses.replace(first, name="mine::permute"), *others))
    (folder / "unknown_operator.pte").write_bytes(write_program(_with_plan(program, renamed)))
    for name, array in (
        ("x", np.ones((2, 3), np.float32)),
        ("float64", np.ones((2, 3))),
        ("wide", np.ones((2, 4), np.float32)),
        ("nine_rows", np.ones((9, 16), np.float32)),
    ):
        np.save(folder / f"{name}.npy", array)
    (folder / "out.npz").write_bytes(b"kept")


def _with_plan(program: Program, plan: ExecutionPlan) -> Program:
    return program.replace(root=dataclasses.replace(program.root, execution_plan=(plan,)))


def transcript(case: Case, code: int, said: str) -> str:
    """One case as Markdown."""
    shown = f"$ pteron {case.command}\n{said}$ echo $?\n{code}\n"
    return f"### {case.title}\n\n```console\n{shown}```\n\n{case.advice}\n"


HEAD = """\
# Troubleshooting

What Pteron says to calls that cannot work, and what to do about each. Exit code 1 means that the answer is no, 2 that
the question was wrong ([all exit codes](cli.md#exit-codes)). In Python the same sentences are the messages of the
errors in [the API](api.md#errors).

This page is written by `tools/troubleshooting_transcript.py`, which makes the calls.
"""


def page(folder: Path, run: Callable[[list[str], Path], tuple[int, str]] = run_command) -> str:
    """The whole page; ``folder`` is an empty one to work in."""
    prepare(folder)
    parts = [HEAD]
    for section, cases in CASES.items():
        parts.append(f"## {section}\n")
        for case in cases:
            code, said = run(case.command.split(), folder)
            parts.append(transcript(case, code, said.replace(str(folder), ".")))
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/troubleshooting.md from calls really made.")
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        written = page(Path(folder))
    if not arguments.check:
        PAGE.write_text(written, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == written:
        return 0
    print(f"{PAGE} is not what the commands say now; run tools/troubleshooting_transcript.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
