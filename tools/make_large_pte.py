"""Writes a .pte of a gibibyte (or of any size) in no time: a valid program whose weights are a hole in the file.

    python tools/make_large_pte.py large.pte --layers 1024
    python tools/make_large_pte.py large.pte --measure

Each layer multiplies by a 512 × 512 float32 matrix (1 MiB, all zeros) and applies relu, so the default 1024 layers take
1 GiB and 2048 instructions. ``--measure`` then runs ``pteron show`` on it and on a file of one layer,
and prints how much longer it takes (what is beyond the start of the interpreter and the imports) and its peak memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pteron.format import schema
from pteron.format.encode import encode
from pteron.format.header import LENGTH_SINCE_1_0, OFFSET, ExtendedHeader
from pteron.format.relocate import align_up
from pteron.format.scalar_type import ScalarType

WIDTH = 512
WEIGHT_BYTES = 4 * WIDTH * WIDTH
ROW_BYTES = 4 * WIDTH
SEGMENT_ALIGNMENT = 128


def planned(place: int) -> schema.EValue:
    """A row of activations in one of two alternating places."""
    allocation = schema.AllocationDetails(1, place * ROW_BYTES)
    return schema.EValue(schema.Tensor(ScalarType.FLOAT, 0, (1, WIDTH), (0, 1), allocation_info=allocation))


def weight(index: int) -> schema.EValue:
    return schema.EValue(schema.Tensor(ScalarType.FLOAT, 0, (WIDTH, WIDTH), (0, 1), data_buffer_idx=index))


def program(layers: int) -> schema.Program:
    values = [planned(0)]
    instructions = []
    current = 0
    for layer in range(layers):
        values += [weight(layer + 1), planned(1), planned(0)]
        weights, product, result = len(values) - 3, len(values) - 2, len(values) - 1
        instructions.append(schema.Instruction(schema.KernelCall(0, (current, weights, product, product))))
        instructions.append(schema.Instruction(schema.KernelCall(1, (product, result, result))))
        current = result
    plan = schema.ExecutionPlan(
        name="forward",
        values=tuple(values),
        inputs=(0,),
        outputs=(current,),
        chains=(schema.Chain((), (), tuple(instructions)),),
        operators=(schema.Operator("aten::mm", "out"), schema.Operator("aten::relu", "out")),
        delegates=(),
        non_const_buffer_sizes=(0, 2 * ROW_BYTES),
    )
    offsets = (0, *range(0, layers * WEIGHT_BYTES, WEIGHT_BYTES))
    return schema.Program(
        execution_plan=(plan,),
        segments=(schema.DataSegment(0, layers * WEIGHT_BYTES),),
        constant_segment=schema.SubsegmentOffsets(0, offsets),
    )


def write(path: Path, layers: int) -> None:
    body, _ = encode(program(layers), schema.SCHEMA, identifier="ET12", file=str(path))
    size = len(body) + LENGTH_SINCE_1_0
    base = align_up(size, SEGMENT_ALIGNMENT)
    header = ExtendedHeader(LENGTH_SINCE_1_0, size, base, layers * WEIGHT_BYTES)
    root = int.from_bytes(body[:4], "little") + LENGTH_SINCE_1_0
    with path.open("wb") as file:
        file.write(root.to_bytes(4, "little") + body[4:OFFSET] + header.pack() + body[OFFSET:])
        file.truncate(base + layers * WEIGHT_BYTES)  # the hole


def measure(path: Path) -> None:
    def seconds(shown: Path) -> float:
        runs = []
        for _ in range(9):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "pteron", "show", shown], check=True, stdout=subprocess.DEVNULL)
            runs.append(time.perf_counter() - start)
        return min(runs)

    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.pte")
        write(small, 1)
        start_up = seconds(small)
    show = seconds(path)
    resident = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"pteron show of {path.stat().st_size:,} bytes, best of 9 runs")
    print(f"  a file of one layer (interpreter, imports)  {start_up * 1e3:6.0f} ms")
    print(f"  this file, beyond that                      {(show - start_up) * 1e3:6.0f} ms")
    print(f"  peak resident memory                        {resident:6.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a large .pte whose weights are a hole in the file.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--layers", type=int, default=1024)
    parser.add_argument("--measure", action="store_true", help="run pteron show on it and print time and memory")
    arguments = parser.parse_args()
    write(arguments.path, arguments.layers)
    if arguments.measure:
        measure(arguments.path)


if __name__ == "__main__":
    main()
