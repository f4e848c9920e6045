"""Whether ONNX Runtime can be used here. It is imported when a method is first prepared, not before."""

from __future__ import annotations

import functools
import warnings
from typing import Any

# Opset 21 and IR version 10, which the models are written in, came with 1.20.
OLDEST = (1, 20)


@functools.cache
def problem() -> str:
    """Why ONNX Runtime cannot be used, or an empty string."""
    try:
        version = runtime().__version__
    except (ImportError, OSError) as error:
        return f"onnxruntime cannot be imported ({error}); install it with: pip install onnxruntime"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return f"onnxruntime {version} is older than {'.'.join(map(str, OLDEST))}; upgrade it"
    return ""


@functools.cache
def warn_once() -> None:
    """Say, once for the process, that the reference engine runs in place of ONNX Runtime."""
    warnings.warn(f"{problem()}; programs run on the reference engine, which is slow", stacklevel=4)


def runtime() -> Any:
    """The ``onnxruntime`` module; raises ImportError."""
    import onnxruntime

    return onnxruntime
