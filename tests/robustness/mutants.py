"""Damaged files: every truncation and bit flip of a file, and any number of reproducible random mutations.

A random mutant is known by two numbers: the seed of the run and its own number in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import corpus_files
from pteron.errors import PteronError
from pteron.format.header import HEAD_BYTES, MAGIC, OFFSET
from pteron.format.program import read_program
from pteron.format.write import write_program

SEEDS = Path(__file__).parent / "seeds"
_LARGEST = 12_000
_EVERY_OPERATOR = 20


@dataclass(frozen=True)
class Mutant:
    """A damaged file: ``suffix`` says what it was, ``origin`` from which file and by what."""

    suffix: str
    data: bytes
    origin: str


def truncations(data: bytes) -> list[int]:
    """Every length that the file can be cut to."""
    return list(range(len(data)))


def flipped(data: bytes, bit: int) -> bytes:
    """The file with one bit turned over; bits count from the lowest of byte 0."""
    damaged = bytearray(data)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    return bytes(damaged)


@functools.cache
def pool() -> tuple[tuple[str, bytes], ...]:
    """The files that random mutants are made of, by name: the seeds, and small files of every kind and release."""
    files = [(path.name, path.read_bytes()) for path in sorted(SEEDS.iterdir())]
    for release in corpus_files.releases():
        operators = corpus_files.names(release, ".pte")
        sample = [n for n in operators if n.startswith("ops/")][::_EVERY_OPERATOR]
        models = [n for n in operators if not n.startswith("ops/")]
        for name in (*models, *sample, *corpus_files.names(release, ".bpte"), *corpus_files.names(release, ".ptd")):
            data = corpus_files.read(release, name)
            if len(data) <= _LARGEST:
                files.append((f"{release}/{name}", data))
    return tuple(files)


def mutant(seed: int, number: int, suffix: str = "") -> Mutant:
    """The mutant of that number; only of files with that suffix where one is given."""
    rng = random.Random(f"{seed}:{number}")
    files = pool()
    if suffix:
        files = tuple(file for file in files if file[0].endswith(suffix))
    name, data = rng.choice(files)
    damaged = bytearray(data)
    done = []
    for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 5))):
        change = rng.choice(_CHANGES)
        change(damaged, rng, files)
        done.append(change.__name__.lstrip("_"))
    return Mutant(f".{name.rsplit('.', 1)[1]}", bytes(damaged), f"{name} by {', '.join(done)}")


Change = Callable[[bytearray, random.Random, tuple[tuple[str, bytes], ...]], None]


def _place(data: bytearray, rng: random.Random, size: int = 1) -> int:
    """Where to change ``size`` bytes: mostly in the flatbuffer, sometimes in the head, seldom in the segments."""
    end = len(data)
    if data[OFFSET : OFFSET + 4] == MAGIC and len(data) >= HEAD_BYTES and rng.random() < 0.8:
        end = min(end, struct.unpack_from("<Q", data, OFFSET + 8)[0])
    if rng.random() < 0.1:
        end = min(end, HEAD_BYTES)
    return rng.randrange(max(end - size + 1, 1)) // size * size


def _flip_bits(data: bytearray, rng: random.Random, _: object) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, rng: random.Random, _: object) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 1, 2, 5, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _set_word(data: bytearray, rng: random.Random, _: object) -> None:
    """Put an interesting number at an aligned place: sizes, signs, neighbours of what is there."""
    size, code = rng.choice(((2, "H"), (4, "I"), (4, "I"), (4, "I"), (8, "Q")))
    if len(data) < size:
        return
    place = _place(data, rng, size)
    old = struct.unpack_from(f"<{code}", data, place)[0]
    top = 1 << (8 * size)
    interesting = (0, 1, 2, 3, 4, 7, 8, 12, 16, 17, 255, 256, 65535, 1 << 20, len(data), len(data) - 4)
    new = rng.choice(
        (*interesting, top - 1, top - 2, top >> 1, (top >> 1) - 1, old + 1, old - 1, old + 4, old - 4, old * 2)
    )
    struct.pack_into(f"<{code}", data, place, new % top)


def _set_index(data: bytearray, rng: random.Random, _: object) -> None:
    """Change a small number: most of these are indices, sizes and counts, and the rest of the file stays readable."""
    small = [place for place in range(0, len(data) - 3, 4) if not any(data[place + 1 : place + 4])]
    inside = [place for place in small if data[place] < 64]
    if inside:
        place = rng.choice(inside)
        old = data[place]
        new = rng.choice(
            (0, 1, 2, 3, old + 1, old - 1, old * 2, rng.randrange(64), rng.randrange(4096), -1, -(1 << 31))
        )
        struct.pack_into("<i", data, place, new)


def _swap_words(data: bytearray, rng: random.Random, _: object) -> None:
    if len(data) >= 8:
        one, two = _place(data, rng, 4), _place(data, rng, 4)
        if max(one, two) + 4 <= len(data):
            data[one : one + 4], data[two : two + 4] = data[two : two + 4], data[one : one + 4]


def _slice(data: bytearray | bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    length = int(rng.expovariate(1 / 64)) + 1
    if rng.random() < 0.5:
        start, length = start // 4 * 4, (length + 3) // 4 * 4
    return start, min(start + length, len(data))


def _repeat_slice(data: bytearray, rng: random.Random, _: object) -> None:
    start, end = _slice(data, rng)
    data[end:end] = data[start:end]


def _remove_slice(data: bytearray, rng: random.Random, _: object) -> None:
    start, end = _slice(data, rng)
    del data[start:end]


def _copy_slice(data: bytearray, rng: random.Random, _: object) -> None:
    """Write one part of the file over another, so that the length stays."""
    start, end = _slice(data, rng)
    target = rng.randrange(len(data) + 1) // 4 * 4
    part = data[start:end][: len(data) - target]
    data[target : target + len(part)] = part


def _splice(data: bytearray, rng: random.Random, files: tuple[tuple[str, bytes], ...]) -> None:
    """Write a part of another file over this one, from the same place or another."""
    other = rng.choice(files)[1]
    start, end = _slice(other, rng)
    target = min(start, len(data)) if rng.random() < 0.5 else rng.randrange(len(data) + 1) // 4 * 4
    part = other[start:end]
    data[target : target + len(part)] = part


def _cut(data: bytearray, rng: random.Random, _: object) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _append(data: bytearray, rng: random.Random, _: object) -> None:
    data += rng.randbytes(rng.randrange(1, 64))


def _edit_records(data: bytearray, rng: random.Random, _: object) -> None:
    """Change one field of one record and write the file anew: well-formed, and wrong in what it says."""
    with contextlib.suppress(PteronError):
        program = read_program(bytes(data))
        root = _edited(program.root, rng)
        data[:] = write_program(dataclasses.replace(program, root=root), drop_unknown_fields=True)


def _edited(value: Any, rng: random.Random) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if getattr(value, f.name) is not None]
        if not names:
            return value
        name = rng.choice(names)
        return dataclasses.replace(value, **{name: _edited(getattr(value, name), rng)})
    if isinstance(value, tuple):
        return _edited_list(value, rng)
    if isinstance(value, bool):
        return not value
    if isinstance(value, IntEnum):
        return rng.choice(list(type(value)))
    if isinstance(value, int):
        return rng.choice((0, 1, value + 1, value - 1, value * 2, rng.randrange(64), -1, 2**31 - 1))
    if isinstance(value, float):
        return rng.choice((0.0, -value, float("nan"), float("inf"), 1e300, value * 2))
    if isinstance(value, str):
        return rng.choice(("", value + "x", value[:-1], "aten::add", "executorch_prim::et_view", "out"))
    return value


def _edited_list(value: tuple[Any, ...], rng: random.Random) -> Any:
    kind = rng.random()
    if not value or kind < 0.05:
        return rng.choice(((), None))
    at = rng.randrange(len(value))
    if kind < 0.1:
        return value[:at] + value[at + 1 :]
    if kind < 0.15:
        return (*value[:at], rng.choice(value), *value[at:])
    if kind < 0.2:
        return (*value[:at], rng.choice(value), *value[at + 1 :])
    return (*value[:at], _edited(value[at], rng), *value[at + 1 :])


_CHANGES: tuple[Change, ...] = (
    *(_flip_bits, _flip_bits, _set_byte, _set_byte, _set_word, _set_word, _set_word, _set_word),
    *(_set_index,) * 8,
    *(_edit_records,) * 12,
    *(_swap_words, _swap_words, _copy_slice, _copy_slice, _splice),
    *(_repeat_slice, _remove_slice, _cut, _append),
)
