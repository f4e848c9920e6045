"""Opens a program: read, then verified against what is known of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pteron.errors import VerificationError
from pteron.format.identify import FileKind, identify
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.program import Program, read_program
from pteron.format.source import FileSource, read_source
from pteron.ops import REGISTRY
from pteron.ops.registry import call_length

if TYPE_CHECKING:
    from pteron.format.verify import Finding


def arity(name: str) -> frozenset[int] | None:
    """How many entries a call of the operator may list, or None for an operator that Pteron does not know."""
    operator = REGISTRY.get(name)
    if operator is None:
        return None
    return frozenset(call_length(schema) for schema in (operator.schema, *operator.older))


def open_program(source: FileSource, *, limits: Limits = DEFAULT_LIMITS, verify: bool = True) -> Program:
    """Open a .pte file (or the program inside a .bpte) without running anything.

    ``source``: path, bytes or buffer; files are mapped, weights stay in the file. ``limits``: caps against hostile
    files. ``verify``: also check the records against each other; the first error is raised as ``VerificationError``
    with all findings. Raises ``FormatError`` for a file that cannot be read.
    """
    buffer, name = read_source(source)
    if identify(buffer) is FileKind.BUNDLED_PROGRAM:
        from pteron.format.bundled_program import read_bundled_program

        program = read_bundled_program(buffer, file=name, limits=limits).program
    else:
        program = read_program(buffer, limits=limits, file=name)
    if verify:
        from pteron.format.verify import verify_program

        refuse(program, verify_program(program, limits=limits, arity=arity))
    return program


def refuse(program: Program, findings: tuple[Finding, ...]) -> None:
    """Raise ``VerificationError`` where the findings hold an error."""
    from pteron.format.verify import Severity

    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        more = f" (and {len(errors) - 1} more; see `pteron verify`)" if len(errors) > 1 else ""
        raise VerificationError(f"{program.file}: {errors[0]}{more}", findings)


def verify(source: FileSource | Program, *, limits: Limits = DEFAULT_LIMITS) -> tuple[Finding, ...]:
    """Everything that is wrong or odd in a program, worst first; empty for a file with nothing to say about.

    Raises ``FormatError`` for a file that cannot be read at all.
    """
    from pteron.format.verify import verify_program

    program = source if isinstance(source, Program) else open_program(source, limits=limits, verify=False)
    return verify_program(program, limits=limits, arity=arity)
