"""Facts read from ExecuTorch's sources at one tag: operator libraries, the pinned torch, XNNPACK's nodes and dtypes."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

# library → operator lists, the first that exists counts. CMake builds of 0.2 to 0.5 took the -oss list.
YAML_LIBRARIES = {
    "portable": ("kernels/portable/functions.yaml",),
    "portable_custom": ("kernels/portable/custom_ops.yaml",),
    "optimized": ("kernels/optimized/optimized-oss.yaml", "kernels/optimized/optimized.yaml"),
    "quantized": ("kernels/quantized/quantized.yaml",),
}
LLM_FOLDERS = ("extension/llm/custom_ops", "examples/models/llama2/custom_ops")
PRIM_OPS = "kernels/prim_ops"
XNN_COMPILER = "backends/xnnpack/runtime/XNNCompiler.cpp"

_PRIM_NAME = re.compile(r'"((?:executorch_prim|aten)::[\w.]+)"')
_STACK_INDEX = re.compile(r"\bstack\[(\d+)\]")
_DEFINITION = re.compile(r"""(?:m\.def|\.define)\(\s*((?:"[^"]*"\s*)+)""")
_REGISTRATION = re.compile(r'(?:EXECUTORCH_LIBRARY\(\s*(\w+),\s*"([\w.]+)"|Kernel\(\s*"(\w+)::([\w.]+)")')


@dataclass(frozen=True)
class Sources:
    """A git directory of ExecuTorch and the tag or commit to read."""

    git: Path
    revision: str

    def read(self, path: str) -> str | None:
        """The file's text, or None where the revision has no such file."""
        shown = self._git("show", f"{self.revision}:{path}")
        return shown.stdout if shown.returncode == 0 else None

    def folder(self, path: str) -> list[str]:
        """Paths of all files below a folder."""
        return self._git("ls-tree", "-r", "--name-only", self.revision, f"{path}/").stdout.split()

    def commit(self) -> tuple[str, str]:
        """Commit id and commit date (ISO, day) of the revision."""
        commit, day = self._git("log", "-1", "--format=%H %cs", self.revision).stdout.split()
        return commit, day

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(self.git), *arguments], capture_output=True, text=True, check=False)


def schema_arguments(schema: str) -> int:
    """Number of arguments of a schema string, out arguments included."""
    depth, count = 0, 0
    inside = schema[schema.index("(") + 1 : schema.rindex(") ->")]
    for piece in re.split(r"([()\[\],])", inside):
        if piece in ("(", "["):
            depth += 1
        elif piece in (")", "]"):
            depth -= 1
        elif piece == "," and depth == 0:
            count += 1
    return count + 1 - len(re.findall(r"(?:^|,)\s*\*\s*(?:,|$)", inside)) if inside.strip() else 0


def libraries(sources: Sources, aten: dict[str, int]) -> dict[str, dict[str, int]]:
    """Library → operator → entries of a call: the schema's arguments and one more for the return.

    ``aten`` are the argument counts of the pinned torch (:mod:`release_facts.aten`).
    """
    found = {name: _sources_library(sources, paths, aten) for name, paths in YAML_LIBRARIES.items()}
    found["prim_ops"] = _prim_ops(sources)
    found["llm"] = _llm(sources)
    return found


def _sources_library(sources: Sources, paths: tuple[str, ...], aten: dict[str, int]) -> dict[str, int]:
    text = next((text for text in map(sources.read, paths) if text is not None), None)
    if text is None:
        raise SystemExit(f"{sources.revision} has none of {', '.join(paths)}")
    return {
        name: (aten[name] if schema is None else schema_arguments(schema)) + 1
        for name, schema in yaml_library(text).items()
    }


def yaml_library(text: str) -> dict[str, str | None]:
    """Operators of a functions.yaml with their schemas, None where ATen has it."""
    found: dict[str, str | None] = {}
    for entry in yaml.safe_load(text):
        name = entry["op"] if "op" in entry else entry["func"].split("(")[0]
        found[name if "::" in name else f"aten::{name}"] = entry.get("func")
    return found


def _prim_ops(sources: Sources) -> dict[str, int]:
    """Prim ops take the entries that their code indexes; macros stand for three (two operands and the result)."""
    text = sources.read(f"{PRIM_OPS}/register_prim_ops.cpp") or ""
    names = list(_PRIM_NAME.finditer(text))
    counts = {}
    for match, following in zip(names, [*names[1:], None], strict=True):
        body = text[match.end() : following.start() if following else len(text)]
        helper = re.match(r"executorch_prim::(et_\w+)", match[1])
        if helper:
            body = sources.read(f"{PRIM_OPS}/{helper[1]}.cpp") or ""
        indices = [int(i) for i in _STACK_INDEX.findall(body)]
        counts[match[1]] = max(indices) + 1 if indices else 3
    return counts


def _llm(sources: Sources) -> dict[str, int]:
    """Custom operators for language models: names as registered with the runtime, counts from torch.library's text."""
    names: set[str] = set()
    schemas: dict[str, str] = {}
    for folder in LLM_FOLDERS:
        for path in sources.folder(folder):
            if "/test" in path or "third-party" in path or not path.endswith((".cpp", ".py", ".yaml")):
                continue
            text = sources.read(path) or ""
            if path.endswith(".yaml"):
                for entry in yaml.safe_load(text):
                    names.add(entry["func"].split("(")[0])
                    schemas[entry["func"].split("(")[0].split("::")[1]] = entry["func"]
            for match in _REGISTRATION.finditer(text):
                names.add(f"{match[1] or match[3]}::{match[2] or match[4]}")
            for match in _DEFINITION.finditer(text):
                schema = "".join(re.findall(r'"([^"]*)"', match[1]))
                schemas.setdefault(schema.split("(")[0], schema)
    return {name: schema_arguments(schemas[name.split("::")[1]]) + 1 for name in sorted(names)}


def xnnpack(sources: Sources) -> dict[str, list[str]]:
    """What the XNNPACK runtime implements: node types that XNNCompiler defines, dtypes that it maps or names."""
    compiler = sources.read(XNN_COMPILER) or ""
    nodes = re.findall(r"^\s+_DEFINE\((\w+)\)", compiler, re.MULTILINE)
    mapping = compiler[compiler.index("getDataType") :]
    dtypes = re.findall(r"case DataType::xnn_datatype_(\w+):\s*return", mapping)
    return {
        "payloads": sorted(set(re.findall(r'"(XN\d\d)"', compiler))),
        "node_types": sorted(f"XNN{node}" for node in nodes),
        "datatypes": sorted(set(dtypes)),
    }
