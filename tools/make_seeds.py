"""Writes the seeds of the robustness suite: one small file per layout, real ones from the corpus where there are.

    python tools/make_seeds.py        # writes tests/robustness/seeds/

No exporter that can still be installed writes the layouts of 0.1 (no constant_segment, BP06) or the PTD layout of 0.5;
these are rewritten from small programs of later releases.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import corpus_files  # noqa: E402
from pteron.format.bundled_program import TestCase, bundle, write_bundled_program  # noqa: E402
from pteron.format.flat_tensor import read_tensor_data, write_tensor_data  # noqa: E402
from pteron.format.program import read_program  # noqa: E402
from pteron.format.write import Layout, Place, write_program  # noqa: E402

SEEDS = ROOT / "tests" / "robustness" / "seeds"
MAX_BYTES = 4096

FROM_CORPUS = {
    "header_24.pte": ("0.4.0", "linear.pte"),
    "header_32.pte": ("1.5.1", "linear.pte"),
    "inline_delegate.pte": ("0.2.1", "demo_backend.pte"),
    "segment_delegate.pte": ("1.5.1", "demo_backend.pte"),
    "mutable_data.pte": ("1.5.1", "initialized_mutable_buffer.pte"),
    "named_data.pte": ("1.5.1", "xnnpack_int8_linear_per_tensor.pte"),
    "loop.pte": ("1.5.1", "map_model.pte"),
    "lists.pte": ("1.5.1", "optional_index_lists.pte"),
    "data_0_6.ptd": ("0.6.0", "external_mutable_weights._default_external_constant.ptd"),
    "data_1_5.ptd": ("1.5.1", "external_mutable_weights._default_external_constant.ptd"),
}


def built() -> dict[str, bytes]:
    """The layouts that no file of the corpus has."""
    linear = read_program(corpus_files.read("0.2.1", "linear.pte"))
    inline = read_program(write_program(linear, Layout(constants=Place.INLINE)))
    first = inline.replace(root=dataclasses.replace(inline.root, constant_segment=None))
    add = corpus_files.read("1.5.1", "add.pte")
    ones = np.ones((2, 3), np.float32)
    suites = {"forward": [TestCase((ones, ones), (ones + ones,))]}
    record = bundle(add, suites)
    entries = read_tensor_data(corpus_files.read(*FROM_CORPUS["data_0_6.ptd"])).entries.values()
    return {
        "layout_0_1.pte": write_program(first, Layout(constants=Place.INLINE)),
        "bundled_06.bpte": write_bundled_program(record, identifier="BP06"),
        "bundled_08.bpte": write_bundled_program(record),
        "data_0_5.ptd": write_tensor_data(entries, layout="0.5"),
    }


def main() -> None:
    files = {name: corpus_files.read(*place) for name, place in FROM_CORPUS.items()} | built()
    SEEDS.mkdir(exist_ok=True)
    for name, data in files.items():
        if len(data) >= MAX_BYTES:
            raise SystemExit(f"{name} has {len(data)} bytes")
        (SEEDS / name).write_bytes(data)
        print(f"{len(data):6} {name}")


if __name__ == "__main__":
    main()
