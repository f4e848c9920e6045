"""Programs of the corpus with single fields changed."""

import dataclasses
import functools
import re
from typing import Any

import corpus_files
from pteron.format.program import Program, read_program

_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


@functools.cache
def program(name: str) -> Program:
    """``1.5.1/mlp.pte`` of the corpus."""
    release, _, file = name.partition("/")
    return read_program(corpus_files.read(release, file), file=name)


def full_path(path: str) -> str:
    """The path that a short form stands for, in the first method: ``plan.name``, ``values[3].val.sizes``,
    ``code`` (the instructions of its first chain) and ``code[2].args`` (those of one instruction)."""
    path = re.sub(r"^code(\[\d+\])", r"plan.chains[0].instructions\1.instr_args", path)
    path = re.sub(r"^code$", "plan.chains[0].instructions", path)
    path = re.sub(r"^values\b", "plan.values", path)
    return re.sub(r"^plan\b", "execution_plan[0]", path)


def edited(base: Program, changes: dict[str, Any]) -> Program:
    """The program with other records; keys are paths as in :func:`full_path`, callables get the old value."""
    root = base.root
    for key, value in changes.items():
        root = change(root, full_path(key), value)
    return base.replace(root=root)


def change(record: Any, path: str, value: Any) -> Any:
    """A copy of nested frozen records with the field at ``path`` replaced; a callable gets the old value."""
    return _change(record, [(name, int(index) if index else -1) for name, index in _STEP.findall(path)], value)


def _change(record: Any, steps: list[tuple[str, int]], value: Any) -> Any:
    if not steps:
        return value(record) if callable(value) else value
    (name, index), rest = steps[0], steps[1:]
    if name:
        return dataclasses.replace(record, **{name: _change(getattr(record, name), rest, value)})
    return (*record[:index], _change(record[index], rest, value), *record[index + 1 :])
