"""Kernels that cannot take float16 or bfloat16, from the dtype switches in their sources.

A kernel whose every dtype switch leaves a type out cannot take it: the switch's default ends the call. The conclusion
is drawn only for kernels that have such a switch over float types; a kernel without one (it copies bytes, or calls
helpers) says nothing. Other element types are not judged: kernels read those beside their switches, as indices, masks
and sizes.
"""

from __future__ import annotations

import re

import yaml
from release_facts.upstream import YAML_LIBRARIES, Sources

FOLDERS = {"portable": "kernels/portable/cpu", "optimized": "kernels/optimized/cpu"}
JUDGED = {"HALF": ("H", "Half"), "BFLOAT16": ("BF16", "BFloat16")}

_SWITCH = re.compile(r"\bET_SWITCH_([A-Z0-9_]+?)_TYPES(_AND\w*)?\s*\(([^;{]*)")
_DEFINITION = re.compile(r"^[\w:<>&, *]*?\b(\w+)\(\s*(?:KernelRuntimeContext|RuntimeContext)&", re.MULTILINE)
_FLOATING = re.compile(r"^(REAL|FLOAT)")
# With these, types beyond the file's own switches may be taken, so the file says nothing.
_ELSEWHERE = re.compile(r"SupportedTensorDtypes|ET_SWITCH_(ALL|TWO|THREE)_TYPES|internal::comparison|kernels::impl::")


def refused_dtypes(sources: Sources) -> dict[str, dict[str, list[str]]]:
    """Library → operator → float types that no dtype switch of its kernel has."""
    found = {}
    for library, folder in FOLDERS.items():
        by_kernel = _kernels(sources, folder)
        listing = next(text for text in map(sources.read, YAML_LIBRARIES[library]) if text is not None)
        refused = {}
        for entry in yaml.safe_load(listing):
            name = entry.get("op") or entry["func"].split("(")[0]
            kernel = entry["kernels"][0]["kernel_name"].split("::")[-1]
            if missing := by_kernel.get(kernel):
                refused[name if "::" in name else f"aten::{name}"] = missing
        found[library] = refused
    return found


def _kernels(sources: Sources, folder: str) -> dict[str, list[str]]:
    """Kernel function → float types that its own switches leave out."""
    found = {}
    for path in sources.folder(folder):
        if not re.fullmatch(re.escape(folder) + r"/op_\w+\.cpp", path):
            continue
        text = sources.read(path) or ""
        definitions = list(_DEFINITION.finditer(text))
        switches = [(m[1], m[2] or "", m[3]) for m in _SWITCH.finditer(text)]
        floating = [s for s in switches if _FLOATING.match(s[0])]
        if not floating or _ELSEWHERE.search(text):
            continue
        # Kernels of one file share helpers, so the file's switches speak for each of them.
        missing = [name for name, marks in JUDGED.items() if not any(_covers(s, name, marks) for s in switches)]
        if missing:
            for match in definitions:
                found[match[1]] = missing
    return found


def _covers(switch: tuple[str, str, str], name: str, marks: tuple[str, str]) -> bool:
    """Whether a switch has the type in its name (REALHBBF16) or among its further types (_AND(Half, …))."""
    kinds, further, arguments = switch
    if further and re.search(rf"\b{marks[1]}\b", arguments):
        return True
    letters = re.sub(r"^(REAL|FLOAT|INT|COMPLEX)", "", kinds.split("_")[0])
    if name == "BFLOAT16":
        return "BF16" in letters
    return "H" in letters
