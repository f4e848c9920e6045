"""ExecuTorch's selected_operators.yaml: which kernels a selective build registers.

Keys, as codegen/tools/gen_oplist.py writes them and torchgen/selective_build reads them: ``include_all_operators``,
``operators`` (name → ``include_all_overloads`` …) and ``et_kernel_metadata`` (name → kernel keys ``v1/6;0,1|…`` or
``default``). Other keys of torchgen's are accepted and mean nothing to ExecuTorch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml

from pteron.errors import ProfileError

_KEYS = frozenset(
    {
        "include_all_non_op_selectives",
        "include_all_operators",
        "debug_info",
        "operators",
        "kernel_metadata",
        "et_kernel_metadata",
        "custom_classes",
        "build_features",
    }
)
_KERNEL_KEY = re.compile(r"v1/(?:\d+;(?:\d+(?:,\d+)*)?(?:\|\d+;(?:\d+(?:,\d+)*)?)*)?\Z")
DEFAULT_KEY = "default"
"""The key of a kernel that takes every dtype and dim order."""


@dataclass(frozen=True, slots=True)
class Selection:
    """``operators`` maps the names in the file to whether all of their overloads are meant; ``kernel_keys`` has the
    operators whose kernels exist for some keys only."""

    all_operators: bool
    operators: Mapping[str, bool]
    kernel_keys: Mapping[str, frozenset[str]]

    def selects(self, operator: str) -> bool:
        """Whether the build registers the operator (``aten::add.out``)."""
        base = operator.split(".", 1)[0]
        return self.all_operators or operator in self.operators or self.operators.get(base, False)


def parse_selection(text: str, file: str) -> Selection:
    """Parse the text of a selected_operators.yaml; raises ``ProfileError`` naming ``file``."""
    try:
        # No selection has aliases, and they can make a small file unfold into gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ProfileError(f"{file} has YAML aliases, which no selected_operators.yaml has")
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ProfileError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict) or not raw or set(map(str, raw)) - _KEYS:
        known = ", ".join(sorted(_KEYS))
        raise ProfileError(f"{file} is not a selected_operators.yaml, which has the keys {known} and no others")
    everything = raw.get("include_all_operators", False)
    if not isinstance(everything, bool):
        raise ProfileError(f"{file}: include_all_operators must be true or false")
    operators: dict[str, bool] = {}
    for name, info in _mapping(raw, "operators", file).items():
        if info is not None and not isinstance(info, dict):
            raise ProfileError(f"{file}: operators.{name} must be a mapping")
        operators[name] = bool((info or {}).get("include_all_overloads", True)) and "." not in name
    return Selection(everything, MappingProxyType(operators), MappingProxyType(_kernel_keys(raw, file)))


def _kernel_keys(raw: Mapping[str, Any], file: str) -> dict[str, frozenset[str]]:
    found = {}
    for name, keys in _mapping(raw, "et_kernel_metadata", file).items():
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ProfileError(f"{file}: et_kernel_metadata.{name} must be a list of kernel keys")
        if DEFAULT_KEY in keys or not keys:
            continue
        for key in keys:
            if not _KERNEL_KEY.match(key):
                raise ProfileError(
                    f"{file}: et_kernel_metadata.{name} has {key!r}, which is no kernel key (v1/6;0,1|…)"
                )
        found[name] = frozenset(keys)
    return found


def _mapping(raw: Mapping[str, Any], key: str, file: str) -> dict[str, Any]:
    value = raw.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ProfileError(f"{file}: {key} must be a mapping of operator names")
    return value
