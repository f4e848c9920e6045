"""Words for people: text from files made safe to print, numbers with their units."""

from __future__ import annotations


def escape(text: str) -> str:
    """The text with every character that a terminal may act on, or that shows nothing, as an escape (``\\x1b``).

    Names and keys come from files that nobody should trust: control characters could move the cursor or change what
    is on the screen, and bidirectional marks make one name look like another.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(nbytes: int) -> str:
    """Bytes exactly, and from a MiB on also roughly: ``1,048,576 bytes (1.0 MiB)``."""
    exact = count(nbytes, "byte")
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if nbytes >= scale:
            return f"{exact} ({nbytes / scale:.1f} {unit})"
    return exact


def share(part: int, whole: int) -> str:
    """``12.3 %``; a part that rounds to nothing is ``< 0.1 %``."""
    percent = 100 * part / whole if whole else 0.0
    return "< 0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """``1.23 ms``, ``4.56 s``."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"
