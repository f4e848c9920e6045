"""Write ``promises/core_aten.json``: the operators that the Core ATen policy covers, as programs spell them.

    python tools/make_core_aten.py

Needs torch (its torchgen package): an operator is Core ATen where native_functions.yaml tags it ``core``; programs call
its out-variant, which torchgen pairs with it.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torchgen
from torchgen.gen import get_grouped_by_view_native_functions, get_grouped_native_functions, parse_native_yaml
from torchgen.model import NativeFunctionsGroup, NativeFunctionsViewGroup

TARGET = Path(__file__).resolve().parents[1] / "src" / "pteron" / "compat" / "promises" / "core_aten.json"


def core_operators() -> list[str]:
    """Names of Core ATen operators, of their out- and in-place variants, and of the copies of core views.

    Exporting makes operators functional: a view becomes its ``_copy``, and a call its out-variant.
    """
    aten = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native"
    functions = parse_native_yaml(str(aten / "native_functions.yaml"), str(aten / "tags.yaml")).native_functions
    core = {str(f.func.name) for f in functions if "core" in f.tags}
    for group in get_grouped_by_view_native_functions(functions):
        if isinstance(group, NativeFunctionsViewGroup) and group.view_copy and str(group.view.func.name) in core:
            core.add(str(group.view_copy.func.name))
    names = set(core)
    for group in get_grouped_native_functions(functions):
        members = [str(f.func.name) for f in group.functions()] if isinstance(group, NativeFunctionsGroup) else []
        if core & set(members):
            names |= set(members)
    return sorted(f"aten::{name}" for name in names)


def main() -> int:
    release = version("torch").split("+")[0]
    document = {
        "evidence": f"torch {release}: torchgen/packaged/ATen/native/native_functions.yaml, tag core",
        "operators": core_operators(),
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(document['operators'])} operators")
    return 0


if __name__ == "__main__":
    sys.exit(main())
