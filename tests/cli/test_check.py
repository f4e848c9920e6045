"""``pteron check`` and the commands around it: text, formats for CI, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import corpus_files
from pteron.compat.profile import load_profile, profile_for
from pteron.compat.selected_operators import parse_selection

ROOT = Path(__file__).parents[2]
Command = Callable[..., Any]
Corpus = Callable[..., str]


# ---- text and exit codes


def test_a_file_on_one_release(pteron: Command, corpus: Corpus) -> None:
    ran = pteron("check", corpus("1.4.1", "mlp.pte"), "--runtime", "1.5.1", "--produced-by", "1.4.1")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.splitlines()
    assert first == "mlp.pte: made by 1.4 (as told)"
    assert second.split()[:3] == ["1.5.1", "guaranteed", "PT-PR-001"]


def test_wrong_numbers_are_said_first(pteron: Command, corpus: Corpus) -> None:
    ran = pteron("check", corpus("0.6.0", "xnnpack_mlp.pte"), "--runtime", "<=0.6")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert "wrong numbers" in lines[1]
    assert lines[1].endswith("on 0.2.1, 0.3.0, 0.4.0, 0.5.0")
    assert lines[2].split()[:5] == ["0.2.1", "…", "0.5.0", "incompatible", "PT-BE-007"]
    assert "the smallest is 0.6.0" in ran.out


def test_from_0x14_to_what_to_do_in_two_commands(pteron: Command, corpus: Corpus) -> None:
    first = pteron("explain", "0x14")
    assert "pteron check" in first.out
    second = pteron("check", corpus("1.5.1", "grid_sample.pte"), "--runtime", "1.0.1")
    assert second.code == 1
    assert "aten::grid_sampler_2d.out has no kernel in 1.0.1" in second.out
    assert "Release 1.1.0 is the first that has it" in second.out


@pytest.mark.parametrize(
    ("runtime", "level", "code"),
    [
        ("1.5.1", None, 0),
        ("1.5.1", "expected", 1),
        ("1.5.1", "conditional", 0),
        ("1.0.1", None, 1),
        ("1.0.1", "never", 0),
        (None, None, 0),  # it runs somewhere
        (None, "incompatible", 1),
    ],
)
def test_levels(pteron: Command, corpus: Corpus, runtime: str | None, level: str | None, code: int) -> None:
    arguments = [corpus("1.1.0", "grid_sample.pte")]
    arguments += ["--runtime", runtime] if runtime else []
    arguments += ["--fail-on", level] if level else []
    assert pteron("check", *arguments).code == code


def test_a_file_that_runs_nowhere(pteron: Command, corpus: Corpus) -> None:
    ran = pteron("check", corpus("1.5.1", "sort.pte"))
    assert ran.code == 1
    assert "no official wheel that Pteron knows runs this file as it is" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["gone.pte"],
        ["weights.ptd"],
        ["add.pte", "--runtime", "9.9"],
        ["add.pte", "--runtime", "newest"],
        ["add.pte", "--runtime", "none.toml"],
        ["add.pte", "--produced-by", "first"],
        ["add.pte", "--fail-on", "sometimes"],
        ["add.pte", "--data", "gone.ptd"],
        ["add.pte", "--lock"],
        ["."],
    ],
)
def test_wrong_questions(pteron: Command, folder: Path, arguments: list[str]) -> None:
    if arguments != ["."]:
        (folder / "add.pte").write_bytes(corpus_files.read("1.5.1", "add.pte"))
    name = "external_constants_mlp._default_external_constant.ptd"
    (folder / "weights.ptd").write_bytes(corpus_files.read("1.5.1", name))
    ran = pteron("check", *arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err


def test_a_damaged_file_is_an_answer(pteron: Command, folder: Path) -> None:
    (folder / "cut.pte").write_bytes(corpus_files.read("1.5.1", "mlp.pte")[:300])
    ran = pteron("check", "cut.pte", "--runtime", "1.5.1")
    assert ran.code == 1
    assert "cannot be judged" in ran.out


def test_calendar(pteron: Command, corpus: Corpus) -> None:
    ran = pteron("check", corpus("1.1.0", "add.pte"), "-r", "1.2", "-r", "1.3", "--produced-by", "1.1.0", "--calendar")
    assert "up to 1.2; ends when the one after it comes, 2026-05-26" in ran.out
    assert "until 2026-07-27" in ran.out
    assert re.search(r"runtime 1\.3\.1 +by releases no, by months yes", ran.out)


# ---- formats


def mixed(corpus: Corpus, folder: Path) -> list[str]:
    corpus("1.5.1", "sort.pte")
    corpus("0.2.1", "add.pte")
    corpus("1.5.1", "mlp.pte")
    (folder / "a b,c%:d.pte").write_bytes(corpus_files.read("0.6.0", "xnnpack_mlp.pte"))
    (folder / "cut.pte").write_bytes(corpus_files.read("1.5.1", "mlp.pte")[:300])
    return [".", "--runtime", "0.5", "--runtime", ">=1.3"]


def test_json(pteron: Command, corpus: Corpus, folder: Path) -> None:
    ran = pteron("check", *mixed(corpus, folder), "--format", "json")
    document = ran.json
    assert ran.code == 1
    assert (document["schema"], document["passes"], document["fail_on"]) == ("pteron.check/1", False, "incompatible")
    files = {Path(file["file"]).name: file for file in document["files"]}
    assert files["cut.pte"]["error"]
    assert files["mlp.pte"]["verdicts"]["1.5.1"]["status"] == "expected"
    assert files["a b,c%:d.pte"]["verdicts"]["0.5.0"]["wrong_numbers"] is True
    assert document["totals"] == {"files": 5, "failing": 4, "changes": 0}


def test_sarif(pteron: Command, corpus: Corpus, folder: Path) -> None:
    """The properties that SARIF 2.1.0 requires, by its sections 3.13 to 3.28, with their types and value ranges."""
    ran = pteron("check", *mixed(corpus, folder), "--format", "sarif")
    log = ran.json
    assert ran.code == 1
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "pteron"
    identifiers = [rule["id"] for rule in driver["rules"]]
    assert len(identifiers) == len(set(identifiers))
    for rule in driver["rules"]:
        assert set(rule) == {"id", "name", "shortDescription", "fullDescription", "help"}
        assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
    assert run["results"]
    for result in run["results"]:
        assert identifiers[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri)
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    prints = [result["partialFingerprints"]["pteron/v1"] for result in run["results"]]
    assert len(prints) == len(set(prints))
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels["PT-OP-004"] == levels["PT-FM-001"] == levels["PT-BE-007"] == levels["PT-FM-011"] == "error"


def test_junit(pteron: Command, corpus: Corpus, folder: Path) -> None:
    ran = pteron("check", *mixed(corpus, folder), "--format", "junit")
    root = ElementTree.fromstring(ran.out)
    assert root.tag == "testsuites"
    suites = {Path(suite.get("name", "")).name: suite for suite in root}
    assert set(suites) == {"add.pte", "sort.pte", "mlp.pte", "a b,c%:d.pte", "cut.pte"}
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("errors", "")) == len(suite.findall("testcase/error"))
        for case in suite.findall("testcase"):
            assert case.get("name")
            assert case.get("classname")
    for key in ("tests", "failures", "errors"):
        assert int(root.get(key, "")) == sum(int(suite.get(key, "")) for suite in root)
    assert suites["cut.pte"].get("errors") == "1"
    assert (suites["mlp.pte"].get("tests"), suites["mlp.pte"].get("failures")) == ("4", "0")
    failure = suites["sort.pte"].find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "incompatible"
    assert "aten::sort.values" in failure.get("message", "")


COMMAND = re.compile(r"::(error|warning) file=([^,:]*),title=([^,:]*)::([^\n]*)")


def test_github(pteron: Command, corpus: Corpus, folder: Path) -> None:
    """Read back as the runner reads it: percent-encoding of %, line breaks, and in properties of : and ,."""
    ran = pteron("check", *mixed(corpus, folder), "--format", "github")
    files = set()
    for line in ran.out.splitlines():
        match = COMMAND.fullmatch(line)
        assert match, line
        kind, file, title, message = match.groups()
        files.add(_unescape(file))
        assert kind == "error"
        assert re.match(r"PT-[A-Z]{2}-\d{3} ", title)
        assert message
    assert {Path(file).name for file in files} == {"add.pte", "sort.pte", "a b,c%:d.pte", "cut.pte"}


def _unescape(text: str) -> str:
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_conditions_are_warnings(pteron: Command, corpus: Corpus) -> None:
    ran = pteron("check", corpus("1.5.1", "external_constants_mlp.pte"), "-r", "1.5.1", "--format", "github")
    assert ran.code == 0
    assert ran.out.startswith("::warning file=external_constants_mlp.pte,title=PT-FM-008 ")


# ---- the other commands


def test_lock_and_check(pteron: Command, corpus: Corpus, folder: Path) -> None:
    corpus("1.5.1", "mlp.pte")
    locked = pteron("lock", ".", "--runtime", ">=1.3")
    assert (locked.code, locked.out) == (0, "pteron.lock: 1 model on 1.3.1, 1.4.1, 1.5.1\n")
    assert pteron("check", ".", "--lock").code == 0
    (folder / "mlp.pte").write_bytes(corpus_files.read("1.5.1", "lenet.pte"))
    ran = pteron("check", ".", "--lock")
    assert ran.code == 1
    assert "PT-LK-002" in ran.out
    sarif = pteron("check", ".", "--lock", "--format", "sarif").json
    assert {result["ruleId"] for result in sarif["runs"][0]["results"]} >= {"PT-LK-002"}
    root = ElementTree.fromstring(pteron("check", ".", "--lock", "--format", "junit").out)
    assert root[-1].get("name") == "pteron.lock"
    assert int(root[-1].get("failures", "")) > 0


def test_requires(pteron: Command, corpus: Corpus) -> None:
    ran = pteron("requires", corpus("1.5.1", "xnnpack_mlp.pte"), corpus("1.5.1", "grid_sample.pte"))
    assert ran.code == 0
    assert re.search(r"aten::grid_sampler_2d\.out +1 call +float32 +since 1\.1\.0", ran.out)
    assert "Link the CMake target xnnpack_backend" in ran.out
    text = pteron("requires", "xnnpack_mlp.pte", "grid_sample.pte", "--yaml").out
    assert set(parse_selection(text, "x.yaml").operators) == {"aten::grid_sampler_2d.out"}
    assert pteron("requires", "gone.pte").code == 2


def test_a_build_made_from_what_files_require_runs_them(pteron: Command, corpus: Corpus, folder: Path) -> None:
    corpus("1.5.1", "lenet.pte")
    (folder / "selected_operators.yaml").write_text(pteron("requires", "lenet.pte", "--yaml").out, encoding="utf-8")
    build = 'release = "1.5.1"\nselected_operators = "selected_operators.yaml"\n'
    (folder / "build.toml").write_text(build, encoding="utf-8")
    assert pteron("check", "lenet.pte", "--runtime", "build.toml").code == 0
    ran = pteron("check", corpus("1.5.1", "grid_sample.pte"), "--runtime", "build.toml", "--fail-on", "conditional")
    assert ran.code == 1
    assert "PT-OP-002" in ran.out


def test_profile(pteron: Command, folder: Path) -> None:
    assert pteron("profile", "1.4", "--output", "build.toml").code == 0
    assert load_profile("build.toml").operators == profile_for("1.4.1").operators
    assert pteron("profile", "1.4", "--no-libraries").out != (folder / "build.toml").read_text(encoding="utf-8")
    for wrong in (">=1.2", "9.9", "gone.toml"):
        assert pteron("profile", wrong).code == 2


def test_date_and_stamp(pteron: Command, corpus: Corpus) -> None:
    corpus("1.4.1", "mlp.pte")
    dated = pteron("date", "mlp.pte", "--format", "json").json
    assert "1.4" in dated["produced_by"]["releases"]
    assert "from the evidence in its bytes" in pteron("date", "mlp.pte").out
    ran = pteron("stamp", "mlp.pte", "-o", "stamped.pte", "--producer", "1.4.1", "--stability", "stable")
    assert (ran.code, ran.out) == (0, "stamped.pte: the record is inside of the file\n")
    assert "made by 1.4, says its own record" in pteron("date", "stamped.pte").out
    assert " guaranteed " in pteron("check", "stamped.pte", "-r", "1.5.1").out
    assert pteron("stamp", "mlp.pte", "--producer", "1.4.1").out.startswith("mlp.pte.provenance.json: ")
    assert pteron("stamp", "mlp.pte", "--producer", "now").code == 2
    assert pteron("stamp", "mlp.pte", "--place", "inside").code == 2


# ---- hooks and the action


def test_hooks_name_commands_that_there_are(pteron: Command) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in hooks] == ["pteron-check", "pteron-verify", "pteron-lock"]
    for hook in hooks:
        assert set(hook) == {"id", "name", "description", "entry", "language", "files", "types", "require_serial"}
        name, command, *options = hook["entry"].split()
        assert name == "pteron"
        help_text = pteron(command, "--help").out
        assert all(option in help_text for option in options)
        assert re.search(hook["files"], "models/a.pte")
        assert not re.search(hook["files"], "models/a.pter")


def action_step() -> str:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    install, step = action["runs"]["steps"]
    assert 'pip install --quiet "$PTERON_PACKAGE"' in install["run"]
    for name, value in step["env"].items():
        assert value == f"${{{{ inputs.{name.removeprefix('PTERON_').lower().replace('_', '-')} }}}}"
        assert name.removeprefix("PTERON_").lower().replace("_", "-") in action["inputs"]
    # Nothing of the inputs is part of the script, so none can be taken for code.
    assert "${{" not in step["run"]
    return str(step["run"])


@pytest.mark.parametrize(("runtime", "code"), [(">=1.3\n", 1), ("1.5.1\n1.4.1", 0)])
def test_the_actions_steps_run(folder: Path, corpus: Corpus, runtime: str, code: int) -> None:
    corpus("1.5.1", "mlp.pte")
    paths = "mlp.pte" if code == 0 else "mlp.pte\nadd.pte"
    corpus("0.2.1", "add.pte")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    script = bin_folder / "pteron"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pteron "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PTERON_PATHS": paths,
        "PTERON_RUNTIME": runtime,
        "PTERON_PRODUCED_BY": "",
        "PTERON_FAIL_ON": "incompatible",
        "PTERON_LOCK": "false",
        "PTERON_SARIF": "out.sarif",
        "PTERON_JUNIT": "out.xml",
    }
    # As the runner does: bash --noprofile --norc -eo pipefail.
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", action_step()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith("::error file=add.pte,") == (code == 1)
    assert json.loads((folder / "out.sarif").read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert ElementTree.parse(folder / "out.xml").getroot().tag == "testsuites"
