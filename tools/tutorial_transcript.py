"""Writes docs/tutorial-check-migrate-prove.md: three stories of files that would not run, every command really made.

    python tools/tutorial_transcript.py                 # write the page; the release is installed where it is missing

The files are real ones of the corpus in tests/corpus, in a folder that is thrown away. Commands that need a real
release are marked (``real``), so that the rest can be held to the page where there is none.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command_runs import run_command

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial-check-migrate-prove.md"
RELEASE = "1.5.1"
Run = Callable[[list[str], Path], tuple[int, str]]


@dataclass(frozen=True)
class Step:
    """``says`` in plain words, then a command without ``pteron``; ``real``: it runs files on a real release, or reads
    what came of that."""

    says: str
    command: str
    code: int = 0
    real: bool = False


@dataclass(frozen=True)
class Story:
    """What somebody had, what they did, and what they were left with."""

    title: str
    begins: str
    steps: tuple[Step, ...]
    ends: str


STORIES = (
    Story(
        "The app says that a kernel is missing",
        "You exported a model that sorts values into buckets. The export went well, the file is on the phone, and the "
        "app stops with `kernel 'aten::bucketize.Tensor_out' not found`. You have updated the runtime, and it is still "
        "the same. Is there a release that has it?",
        (
            Step("Ask where the file runs:", "check buckets.pte --runtime >=1.3", 1),
            Step(
                "No release has the kernel, so no update would have helped. But the operator can be said in terms of "
                "others:",
                f"migrate buckets.pte --to {RELEASE} -o app.pte",
                1,
            ),
            Step(
                "Before Pteron writes a file it compares the two, here on random numbers. The edges of buckets must be "
                "in order, though, and random ones are not. Give it a real sample, as the model gets it:",
                f"migrate buckets.pte --to {RELEASE} -o app.pte --input sample.npz",
            ),
            Step(
                f"Believe it when you see it. This runs the new file on the official {RELEASE}, in a process of its "
                "own, and keeps the evidence beside the file:",
                f"prove app.pte --runtime {RELEASE} --input sample.npz -o app.pte.evidence.json",
                real=True,
            ),
            Step(
                "From now on that counts more than any prediction, for these very bytes:",
                f"check app.pte --runtime {RELEASE}",
                real=True,
            ),
        ),
        "Put `app.pte` into the app, and `app.pte.evidence.json` beside it under version control.",
    ),
    Story(
        "It ran for two years, and then the runtime was updated",
        "A small classifier, exported with 0.3 by somebody who has left. The app moves to a new ExecuTorch, and now "
        "loading ends with `Error::InvalidProgram`, or 0x23. The training code is gone, so nobody can export it again.",
        (
            Step(
                "Is it the file, or the app? Ask for the release before and those after:",
                "check classifier.pte --runtime >=1.1",
                1,
            ),
            Step(
                "It is how the file keeps its constants: the builds of 1.3 and later have no code for that. The real "
                "release agrees:",
                f"prove classifier.pte --runtime {RELEASE}",
                1,
                real=True,
            ),
            Step(
                "The numbers are all there, they only lie elsewhere. Move them:",
                f"migrate classifier.pte --to {RELEASE} -o classifier-new.pte",
            ),
            Step(
                "Equal bit for bit on Pteron's reference engine. And on the real one:",
                f"prove classifier-new.pte --runtime {RELEASE}",
                real=True,
            ),
            Step(
                "Does anything change for those who call it? No (exit code 4 means: it does, and nothing breaks):",
                "diff classifier.pte classifier-new.pte",
                4,
            ),
        ),
        "Older apps can have the new file too: it runs wherever the old one did.",
    ),
    Story(
        "The weights are in a file of their own",
        "To update weights without the program you export them to a `.ptd`. That was with 0.6. With a newer runtime "
        "the program opens, and then its weights are missing or are not what they were. Both files are whole, and "
        "their identifiers are right.",
        (
            Step(
                "Name both files, as the app loads them:",
                f"check program.pte --data weights.ptd --runtime 0.6.0 --runtime {RELEASE}",
                1,
            ),
            Step(
                "The layout of `.ptd` files changed between 0.6 and 0.7 and kept its name, so nothing could tell you. "
                "Write both anew:",
                f"migrate program.pte --data weights.ptd --to {RELEASE} -o program-new.pte",
            ),
            Step(
                "And see them run together:",
                f"prove program-new.pte --data program-new.ptd --runtime {RELEASE}",
                real=True,
            ),
        ),
        "Keep the old pair for devices that still have 0.6: its runtime would misread the new one, and `check` says "
        "so.",
    ),
)

HEAD = f"""\
# Three files that would not run

`pteron check` says why, `pteron migrate` rewrites, `pteron prove` shows it on the real runtime. Three stories, each of
which people had, on real files that real exporters wrote.

This page is written by `tools/tutorial_transcript.py`, which makes the calls. To run them yourself you need
`pip install 'pteron[prove]'`; the first `prove` downloads the official {RELEASE} with a CPU build of torch (250 MB).
"""

TAIL = """\
## Where to read on

[Every verdict and its reasons](check.md) · [what migration can do](migrate.md) ·
[proof, and devices of your own](prove.md) · [doing it in CI](ci.md)
"""


def prepare(folder: Path) -> None:
    """Put the files of the stories into the folder."""

    def take(release: str, name: str, here: str) -> None:
        (folder / here).write_bytes(_read(release, name))

    take("1.5.1", "ops/bucketize.0.pte", "buckets.pte")
    take("0.3.0", "mlp_cfg_constant_segment_off.pte", "classifier.pte")
    take("0.6.0", "external_constants_mlp.pte", "program.pte")
    take("0.6.0", "external_constants_mlp._default_external_constant.ptd", "weights.ptd")
    entries = json.loads(_read("1.5.1", "ops/manifest.json"))["entries"]
    (call,) = next(entry for entry in entries if entry["file"] == "bucketize.0.pte")["calls"]
    (folder / "recorded.npz").write_bytes(_read("1.5.1", "ops/bucketize.npz"))
    with np.load(folder / "recorded.npz") as arrays:
        np.savez(folder / "sample.npz", *(arrays[item["key"]] for item in call["inputs"]))
    (folder / "recorded.npz").unlink()


def _read(release: str, name: str) -> bytes:
    with zipfile.ZipFile(ROOT / "tests" / "corpus" / f"{release}.zip") as corpus:
        return corpus.read(name)


def parts(folder: Path, run: Run, *, real: bool = True) -> Iterator[str | None]:
    """The page piece by piece; None for the output of a command that was not made, as it is ``real``.

    ``folder`` is an empty one to work in. Raises ``RuntimeError`` where a command ends otherwise than the story has it.
    """
    prepare(folder)
    yield HEAD
    for story in STORIES:
        yield f"\n## {story.title}\n\n{_wrapped(story.begins)}\n"
        for step in story.steps:
            yield f"\n{_wrapped(step.says)}\n\n```console\n$ pteron {_quoted(step.command)}\n"
            if step.real and not real:
                yield None
            else:
                code, said = run(step.command.split(), folder)
                if code != step.code:
                    raise RuntimeError(f"pteron {step.command} ended with {code} instead of {step.code}:\n{said}")
                yield said.replace(str(folder), ".")
            yield "```\n"
        yield f"\n{_wrapped(story.ends)}\n"
    yield f"\n{TAIL}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _quoted(command: str) -> str:
    return re.sub(r"(>=\S+)", r"'\1'", command)


def steady(text: str) -> str:
    """The text without what differs from machine to machine and day to day."""
    for pattern, instead in (
        (r"\d{4}-\d\d-\d\d", "DATE"),
        (r"wheel [0-9a-f]{16}…", "WHEEL"),
        (r"executorch 1\.5\.1, \w+ \w+, ", "executorch 1.5.1, MACHINE, "),
        (r"within [\d.e+-]+ of the", "within SOME of the"),
        (r"\d\d:\d\d:\d\d\.\d+", "TIME"),
    ):
        text = re.sub(pattern, instead, text)
    return text


def main() -> int:
    run_command(["runtimes", "install", RELEASE], ROOT)
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text("".join(part for part in parts(Path(folder), run_command) if part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
