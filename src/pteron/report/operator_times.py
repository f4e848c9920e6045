"""Where the time went, operator by operator: the part that ``pteron bench`` and ``pteron run --profile`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pteron.report.printer import Printer

if TYPE_CHECKING:
    from pteron.runtime.profiling import MethodProfile

BETWEEN = "between operators"


def profile_fields(profile: MethodProfile) -> dict[str, Any]:
    """The profile as fields of a document; milliseconds and shares per call of the method."""
    whole = profile.seconds or 1.0
    return {
        "calls": profile.runs,
        "call_ms": profile.seconds * 1e3,
        "operators": [
            {
                "operator": " + ".join(each.operators),
                "engine": each.engine,
                "kernels": list(each.kernels),
                "count": each.calls,
                "ms": each.seconds * 1e3,
                "share": each.seconds / whole,
            }
            for each in profile.operators
        ],
        "between_ms": profile.between_seconds * 1e3,
    }


def print_profile(profile: dict[str, Any], out: Printer) -> None:
    """The table for people."""
    out.heading("operators by time")
    rows = [
        (
            each["operator"],
            ", ".join(each["kernels"]) or "NumPy",
            each["engine"],
            f"{each['count']:,g}",
            f"{each['ms']:,.3f}",
            f"{100 * each['share']:.1f} %",
        )
        for each in profile["operators"]
    ]
    rest = profile["between_ms"]
    rows.append((BETWEEN, "", "", "", f"{rest:,.3f}", f"{100 * rest / (profile['call_ms'] or 1):.1f} %"))
    out.table(rows, headers=("operator", "kernel", "engine", "count", "total ms", "share"), right=(3, 4, 5))
    calls = "one call" if profile["calls"] == 1 else f"the median of {profile['calls']} calls"
    out.line(f"{calls}, {profile['call_ms']:,.3f} ms while every operator was timed", 2)
