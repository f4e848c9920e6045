"""What runs where: the plan that ``module.plan()`` shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanEntry:
    """One step: ``engine`` runs ``operators`` (functional names in order); ``reason`` says why not ONNX Runtime."""

    engine: str
    operators: tuple[str, ...]
    reason: str = ""
    block: str = ""

    def __str__(self) -> str:
        listed = ", ".join(self.operators[:3]) + (", …" if len(self.operators) > 3 else "")
        where = f"{self.block}: " if self.block else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{where}{self.engine}, {len(self.operators)} operators ({listed}){why}"


@dataclass(frozen=True)
class MethodPlan:
    """How a method is run: by which engine and, where that is ONNX Runtime, in which steps."""

    method: str
    engine: str
    entries: tuple[PlanEntry, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return "\n".join([f"{self.method}: {self.engine}{why}", *(f"  {entry}" for entry in self.entries)])
