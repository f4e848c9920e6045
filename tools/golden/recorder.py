"""Record golden operator cases from torch: inputs and results, one archive per operator family.

A family's script declares cases and saves them::

    from recorder import Recorder

    rec = Recorder("binary")
    rec.case("aten::add.out", a, b, alpha=3)                        # expected: torch.ops.aten.add.Tensor
    rec.case("llama::update_cache.out", v, c, 0, expected=[...])    # expected: computed by the script

Run ``python tools/golden/<family>.py`` where ``pip install '.[interop]'`` was done; it writes
``tests/golden/<family>.npz``. The archive holds ``cases_json`` (a list of ``{"op", "args", "results", ...}`` whose
tensors are ``{"tensor": key, "dtype": name}``) and the arrays; bfloat16 is stored as its uint16 bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch

from pteron.ops import REGISTRY

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"


class Recorder:
    def __init__(self, family: str) -> None:
        self.family = family
        self.cases: list[dict[str, Any]] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.keys: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def case(
        self,
        op: str,
        *args: Any,
        expected: Sequence[Any] | None = None,
        rtol: float = 1e-5,
        atol: float = 1e-6,
        out_dtype: Any = None,
        source: str = "",
        written: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """One case of the operator that a PTE calls ``op``; arguments are those of its functional schema.

        ``args`` are NumPy arrays, Python scalars, strings, lists and None. Without ``expected`` the results are those
        of torch's functional operator. ``out_dtype`` is handed to kernels that ask for it (a result's dtype where the
        schema does not fix it). ``source`` says where ``expected`` comes from. ``written``: arguments that the operator
        changes, by name, as they are afterwards.
        """
        entry = REGISTRY.get(op)
        if entry is None:
            raise SystemExit(f"{op} is not registered")
        schema = entry.functional
        names = [a.name for a in schema.arguments]
        bound = dict(zip(names, args, strict=False)) | kwargs
        if expected is None:
            namespace, name = schema.name.split("::")
            packet = getattr(getattr(torch.ops, namespace), name)
            function = getattr(packet, schema.overload or "default")
            positional = [_to_torch(bound[a.name]) for a in schema.arguments if a.name in bound and not a.kwarg_only]
            keywords = {
                a.name: _dtype_to_torch(a.name, _to_torch(bound[a.name]))
                for a in schema.arguments
                if a.name in bound and a.kwarg_only
            }
            results = function(*positional, **keywords)
            results = [results] if len(schema.returns) == 1 else list(results)
            expected = [_from_torch(r) for r in results]
            source = source or f"torch {torch.__version__}"
        self.cases.append(
            {
                "op": op,
                "args": {name: self._store(value) for name, value in bound.items()},
                "results": [self._store(value) for value in expected],
                "rtol": rtol,
                "atol": atol,
                "out_dtype": None if out_dtype is None else np.dtype(out_dtype).name,
                "source": source,
                "written": {name: self._store(value) for name, value in (written or {}).items()},
            }
        )

    def save(self) -> None:
        GOLDEN.mkdir(parents=True, exist_ok=True)
        text = np.frombuffer(json.dumps(self.cases).encode(), np.uint8)
        np.savez_compressed(GOLDEN / f"{self.family}.npz", cases_json=text, **self.arrays)
        print(f"{self.family}: {len(self.cases)} cases of {len({c['op'] for c in self.cases})} operators")

    def _store(self, value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            name = array.dtype.name
            key = self.keys.setdefault((name, array.shape, array.tobytes()), f"a{len(self.arrays)}")
            self.arrays[key] = array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array
            channels_last = (
                array.ndim == 4 and not array.flags.c_contiguous and array.transpose(0, 2, 3, 1).flags.c_contiguous
            )
            if channels_last:
                self.arrays[key] = np.ascontiguousarray(self.arrays[key])
            return {"tensor": key, "dtype": name, "channels_last": channels_last}
        if isinstance(value, list | tuple):
            return {"list": [self._store(v) for v in value]}
        return {"value": repr(value) if isinstance(value, float) else value, "float": isinstance(value, float)}


def _to_torch(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(value.view(np.int16).copy()).view(torch.bfloat16)
        if value.ndim == 4 and not value.flags.c_contiguous and value.transpose(0, 2, 3, 1).flags.c_contiguous:
            return torch.from_numpy(np.ascontiguousarray(value)).to(memory_format=torch.channels_last)
        return torch.from_numpy(np.array(value, order="C"))  # a copy: in-place operators write into it
    if isinstance(value, list | tuple):
        return [_to_torch(v) for v in value]
    return value


_TORCH_DTYPES = [
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64,
    None, torch.complex64, torch.complex128, torch.bool, None, None, None, torch.bfloat16,
]  # fmt: skip


def _dtype_to_torch(name: str, value: Any) -> Any:
    return _TORCH_DTYPES[value] if name == "dtype" and isinstance(value, int) else value


def _from_torch(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            return value.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return value.resolve_conj().resolve_neg().contiguous().numpy()
    if isinstance(value, list | tuple):
        return [_from_torch(v) for v in value]
    return value
