"""The facts file of one release: what its wheel registers, and what its sources say that this means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from release_facts.upstream import Sources, libraries, xnnpack

LINKED, LOADABLE, ABSENT = "linked", "loadable", "absent"
ORDER = ("portable", "portable_custom", "optimized", "prim_ops", "quantized", "llm")


def release_facts(
    release: str,
    registered: dict[str, Any],
    sources: Sources,
    aten: dict[str, int],
    released: tuple[str, str],
    torch: str,
) -> dict[str, Any]:
    """The facts of a release.

    ``registered`` is what :mod:`release_facts.wheel` found in the installed wheel, ``aten`` the argument counts of
    ``torch``, ``released`` the day and where it comes from.
    """
    lists = libraries(sources, aten)
    base = set(registered["operators_without_extra_libs"])
    extra = set(registered["operators"]) - base
    known = set().union(*lists.values())
    unknown = sorted((base | extra) - known)
    if unknown:
        raise SystemExit(f"the wheel registers operators that no library of {sources.revision} has: {unknown}")
    placed = {name: _place(set(lists[name]), base, extra) for name in ORDER}
    # Where every optimized kernel has a portable one of the same name, names cannot tell which of them is registered.
    if "_dep_libs optimized_native_cpu_ops_lib" not in (sources.read("CMakeLists.txt") or ""):
        placed["optimized"] = ABSENT
    commit, _ = sources.commit()
    at = f"{sources.revision} ({commit[:10]})"
    return {
        "release": release,
        "released": released[0],
        "commit": commit,
        "torch": torch,
        "wheel": registered["wheel"],
        "evidence": {
            "released": released[1],
            "operators": f"{registered['wheel']}: what its runtime registers, without and with its operator libraries",
            "libraries": f"kernels/*/*.yaml, kernels/prim_ops/register_prim_ops.cpp, custom_ops/*.cpp at {at}",
            "argument_counts": f"torch {torch}: torchgen/packaged/ATen/native/native_functions.yaml; schemas at {at}",
            "backends": _backend_evidence(registered, sources),
            "xnnpack": f"backends/xnnpack/runtime/XNNCompiler.cpp at {at}",
        },
        "backends": _backends(registered),
        "xnnpack": xnnpack(sources),
        "libraries": {name: {"wheel": placed[name], "operators": lists[name]} for name in ORDER},
    }


def _place(operators: set[str], base: set[str], extra: set[str]) -> str:
    if operators <= base:
        return LINKED
    return LOADABLE if operators <= extra else ABSENT


def _backends(registered: dict[str, Any]) -> dict[str, bool]:
    """Backend id → whether the wheel can run it; wheels before 0.6 cannot say, and link XNNPACK alone."""
    if isinstance(registered["backends"], str):
        return {"XnnpackBackend": True}
    available = registered.get("backend_available", {})
    return {name: bool(available.get(name, True)) for name in sorted(registered["backends"])}


def _backend_evidence(registered: dict[str, Any], sources: Sources) -> str:
    if isinstance(registered["backends"], str):
        return f"{registered['wheel']}: it runs programs delegated to XNNPACK and has no list of backends to ask"
    return f"{registered['wheel']}: _get_registered_backend_names and _is_available"


def write(facts: dict[str, Any], folder: Path) -> Path:
    """Write the facts as ``<release>.json``, one operator per line, and return the path."""
    path = folder / f"{facts['release']}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(facts, indent=1, sort_keys=False) + "\n")
    temporary.rename(path)
    return path
