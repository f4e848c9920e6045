"""A command of the user's own, driven by the documented contract."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fake_release import program
from pteron.compat.evidence import Outcome
from pteron.errors import ProfileError, UnsupportedError
from pteron.prove.api import resolve_targets
from pteron.prove.job import cells_of, run_job
from pteron.prove.subject import Options, Source

SCRIPT = """
import array, json, os, signal, sys, time
does = sys.argv[1]
if does == "garbage":
    print("hello"); print("{"); print("[1, 2]"); sys.exit(0)
if does == "hang":
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)
if does == "crash":
    sys.stderr.write("lost the device\\n"); sys.stderr.flush(); os.kill(os.getpid(), signal.SIGSEGV)
if does == "memory":
    held = []
    while True:
        held.append(bytearray(16 << 20))
request = json.loads(sys.stdin.readline())
values = []
for item in request["calls"][0]["inputs"]:
    values.append(array.array("f", open(item["file"], "rb").read()))
total = array.array("f", [a + b for a, b in zip(*values)])
path = os.path.join(request["folder"], "result.raw")
open(path, "wb").write(total.tobytes()[: 8 if does == "short" else None])
print("connecting to the device")
output = {"kind": "tensor", "dtype": "float32", "shape": [2, 3], "file": "result.raw"}
answer = {"id": request["id"], "outcome": "ran", "calls": [{"outputs": [output], "seconds": [0.25]}]}
if does == "unknown":
    answer["outcome"] = "perhaps"
if does == "refuses":
    answer = {"id": request["id"], "outcome": "refused", "stage": "load", "error_code": "0x14", "text": "no operator"}
print(json.dumps(answer))
"""


def outcome(tmp_path: Path, does: str, command: str | None = None) -> tuple[Outcome, str, tuple[float, ...]]:
    script = tmp_path / "device.py"
    script.write_text(SCRIPT)
    profile = tmp_path / "device.toml"
    words = command or f'["{sys.executable}", "{script}", "{does}"]'
    profile.write_text(f'title = "my board"\nrelease = "1.5.1"\n\n[prove]\ncommand = {words}\n')
    targets = resolve_targets([str(profile)], None)
    # Only what hangs is cut off soon: a busy machine may take seconds over the others.
    options = Options(timeout=2.0 if does == "hang" else 60.0, memory=200)
    (record,) = run_job(cells_of([Source(program(tmp_path, "add"))], targets, options))
    assert record.runtime.kind == "command"
    return record.outcome, record.sentence, record.cases[0].seconds


def test_it_runs(tmp_path: Path) -> None:
    assert outcome(tmp_path, "right") == (Outcome.OK, "runs, bit for bit as the reference engine", (0.25,))


@pytest.mark.parametrize(
    ("does", "expected", "words"),
    [
        ("garbage", Outcome.NO_ANSWER, "no answer that follows the contract (exit code 0)"),
        ("hang", Outcome.TIMEOUT, "no answer in 2 s"),
        ("crash", Outcome.CRASH, "signal SIGSEGV"),
        ("memory", Outcome.OUT_OF_MEMORY, "memory"),
        ("short", Outcome.NO_ANSWER, "an output of 24 bytes by its shape has a file of 8 bytes"),
        ("unknown", Outcome.NO_ANSWER, "'perhaps'"),
        ("refuses", Outcome.LOAD_ERROR, "0x14 OperatorMissing, no operator"),
    ],
)
def test_what_may_go_wrong(tmp_path: Path, does: str, expected: Outcome, words: str) -> None:
    found, sentence, _ = outcome(tmp_path, does)
    assert found is expected, sentence
    assert words in sentence


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    found, sentence, _ = outcome(tmp_path, "", command='["./missing.sh"]')
    assert found is Outcome.NOT_INSTALLABLE
    assert f"{tmp_path}/missing.sh cannot be started" in sentence


def test_profiles_without_a_command(tmp_path: Path) -> None:
    profile = tmp_path / "build.toml"
    profile.write_text('release = "1.5.1"\n')
    with pytest.raises(UnsupportedError, match="does not say how to run files there"):
        resolve_targets([str(profile)], None)
    profile.write_text('release = "1.5.1"\n[prove]\ncommand = "run.sh"\n')
    with pytest.raises(ProfileError, match="must be a list of words"):
        resolve_targets([str(profile)], None)
