"""The facts file of one release: what its wheel registers, and what its sources say that this means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from release_facts.kernel_dtypes import refused_dtypes
from release_facts.upstream import YAML_LIBRARIES, Sources, libraries, schema_arguments, xnnpack, yaml_library

LINKED, LOADABLE, ABSENT = "linked", "loadable", "absent"
ORDER = ("portable", "portable_custom", "optimized", "prim_ops", "quantized", "llm")

Facts = dict[str, Any]
Lists = dict[str, dict[str, int | None]]


def release_facts(
    release: str,
    registered: dict[str, Any],
    sources: Sources,
    aten: dict[str, int],
    released: tuple[str, str],
    torch: str,
) -> Facts:
    """The facts of a release from its wheel and its sources.

    ``registered`` is what :mod:`release_facts.wheel` found in the installed wheel, ``aten`` the argument counts of
    ``torch``, ``released`` the day and where it comes from.
    """
    lists: Lists = {name: dict(operators) for name, operators in libraries(sources, aten).items()}
    commit, _ = sources.commit()
    at = f"{sources.revision} ({commit[:10]})"
    facts = _facts(release, registered, lists, released, torch, commit)
    # Where every optimized kernel has a portable one of the same name, names cannot tell which of them is registered.
    if "_dep_libs optimized_native_cpu_ops_lib" not in (sources.read("CMakeLists.txt") or ""):
        facts["libraries"]["optimized"]["wheel"] = ABSENT
    facts["evidence"] |= {
        "libraries": f"kernels/*/*.yaml, kernels/prim_ops/*.cpp, custom_ops/*.cpp at {at}",
        "argument_counts": f"torch {torch}: torchgen/packaged/ATen/native/native_functions.yaml; schemas at {at}",
        "xnnpack": f"backends/xnnpack/runtime/XNNCompiler.cpp at {at}",
        "refused_dtypes": f"dtype switches of kernels/portable/cpu and kernels/optimized/cpu at {at}",
    }
    facts["xnnpack"] = xnnpack(sources)
    facts["refused_dtypes"] = refused_dtypes(sources)
    return facts


def wheel_facts(
    release: str, registered: dict[str, Any], packaged: Path, previous: Facts, released: tuple[str, str], torch: str
) -> Facts:
    """The facts of a release from its wheel alone: ``packaged`` is the installed executorch folder.

    Operators and their arguments come from the wheel and its torch. Which of them are optimized, and how many arguments
    a prim op takes, are read off the previous release; what XNNPACK implements is left unknown.
    """
    schemas: dict[str, int | None] = registered["schema_arguments"]
    counts = {name: None if count is None else count + 1 for name, count in schemas.items()}
    files = {name: [packaged / path for path in paths] for name, paths in YAML_LIBRARIES.items()}
    lists: Lists = {}
    for name in ("portable", "portable_custom", "quantized"):
        text = next((path.read_text() for path in files[name] if path.exists()), None)
        if text is None:
            raise SystemExit(f"{packaged} has none of {', '.join(YAML_LIBRARIES[name])}; give --upstream")
        # The schemas in the lists stand for operators that the wheel does not register.
        lists[name] = {
            operator: None if schema is None else schema_arguments(schema) + 1
            for operator, schema in yaml_library(text).items()
        }
    before = {name: library["operators"] for name, library in previous["libraries"].items()}
    base = set(registered["operators_without_extra_libs"])
    prim = {name for name in base if name.startswith("executorch_prim::") or name in before["prim_ops"]}
    lists["prim_ops"] = {name: before["prim_ops"].get(name) for name in sorted(prim)}
    optimized = (base & set(before["optimized"])) | (base - prim - set(lists["portable"]))
    lists["optimized"] = dict.fromkeys(sorted(optimized))
    lists["llm"] = dict.fromkeys(sorted(set(registered["operators"]) - base - set(lists["quantized"])))
    for name, operators in lists.items():
        if name != "prim_ops":
            lists[name] = {operator: counts.get(operator) or count for operator, count in operators.items()}
    facts = _facts(release, registered, lists, released, torch, registered["commit"])
    facts["evidence"] |= {
        "libraries": f"operator lists packaged in the wheel; optimized ones as in {previous['release']}",
        "argument_counts": f"schemas registered with torch {torch}; prim ops as in {previous['release']}",
        "xnnpack": "not known: no sources were given",
        "refused_dtypes": "not known: no sources were given",
    }
    facts["xnnpack"] = None
    facts["refused_dtypes"] = {}
    return facts


def _facts(
    release: str,
    registered: dict[str, Any],
    lists: Lists,
    released: tuple[str, str],
    torch: str,
    commit: str,
) -> Facts:
    base = set(registered["operators_without_extra_libs"])
    extra = set(registered["operators"]) - base
    unknown = sorted((base | extra) - set().union(*lists.values()))
    if unknown:
        raise SystemExit(f"the wheel registers operators that no library of the sources has: {unknown}")
    return {
        "release": release,
        "released": released[0],
        "commit": commit,
        "torch": torch,
        "wheel": registered["wheel"],
        "wheel_commit": _wheel_commit(registered),
        "evidence": {
            "released": released[1],
            "operators": f"{registered['wheel']}: what its runtime registers, without and with its operator libraries",
            "backends": _backend_evidence(registered),
        },
        "backends": _backends(registered),
        "libraries": {
            name: {"wheel": _place(set(lists[name]), base, extra), "operators": lists[name]} for name in ORDER
        },
    }


def _place(operators: set[str], base: set[str], extra: set[str]) -> str:
    if operators <= base:
        return LINKED
    return LOADABLE if operators <= extra else ABSENT


def _wheel_commit(registered: dict[str, Any]) -> str:
    """The commit that the wheel says it was built from; some are not on a public branch."""
    lines: list[str] = registered.get("exir_version", [])
    said = str(registered.get("commit") or next(line for line in lines if line.startswith("git_version")))
    return said.split("'")[1] if "'" in said else said


def _backends(registered: dict[str, Any]) -> dict[str, bool]:
    """Backend id → whether the wheel can run it; wheels before 0.6 cannot say, and link XNNPACK alone."""
    if isinstance(registered["backends"], str):
        return {"XnnpackBackend": True}
    available = registered.get("backend_available", {})
    return {name: bool(available.get(name, True)) for name in sorted(registered["backends"])}


def _backend_evidence(registered: dict[str, Any]) -> str:
    if isinstance(registered["backends"], str):
        return f"{registered['wheel']}: it runs programs delegated to XNNPACK and has no list of backends to ask"
    return f"{registered['wheel']}: _get_registered_backend_names and _is_available"


def write(facts: Facts, folder: Path) -> Path:
    """Write the facts as ``<release>.json``, one operator per line, and return the path."""
    path = folder / f"{facts['release']}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(facts, indent=1) + "\n")
    temporary.rename(path)
    return path
