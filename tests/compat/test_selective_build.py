"""Selective-build YAML: its text, and what upstream's own tools make of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import corpus_files
from program_edits import program
from pteron.compat.operator_use import OperatorUse
from pteron.compat.requirements import requirements
from pteron.compat.selective_build import kernel_dtypes, kernel_keys, to_selective_build_yaml
from pteron.format.program import read_program
from pteron.format.scalar_type import ScalarType

B, L, H, F, D, BF = (ScalarType[n] for n in ("BOOL", "LONG", "HALF", "FLOAT", "DOUBLE", "BFLOAT16"))
U8, I8, I16 = (ScalarType[n] for n in ("BYTE", "CHAR", "SHORT"))


def use(name: str, count: int, dtypes: tuple[ScalarType, ...], numbers: tuple[ScalarType, ...]) -> OperatorUse:
    return OperatorUse(name, count, dtypes, (), ("v1/" + "|".join(f"{int(t)};0" for t in dtypes),), numbers, 1, (), "")


def test_the_text_for_one_file() -> None:
    assert to_selective_build_yaml([requirements(program("1.5.1/add.pte"))]) == (
        "build_features: []\n"
        "custom_classes: []\n"
        "et_kernel_metadata:\n"
        '  "aten::add.out":\n'
        '  - "v1/6;0,1|6;0,1|6;0,1|6;0,1"\n'
        '  - "v1/4;"\n'
        "include_all_non_op_selectives: false\n"
        "include_all_operators: false\n"
        "kernel_metadata: {}\n"
        "operators:\n"
        '  "aten::add.out":\n'
        "    debug_info:\n"
        '    - "1.5.1/add.pte"\n'
        "    include_all_overloads: false\n"
        "    is_root_operator: true\n"
        "    is_used_for_training: true\n"
    )


def test_many_files_make_one_selection() -> None:
    names = ("1.5.1/add.pte", "1.5.1/mlp.pte", "1.5.1/views.pte")
    loaded = yaml.safe_load(to_selective_build_yaml([requirements(program(name)) for name in names]))
    assert list(loaded["operators"]) == sorted(loaded["operators"])
    assert loaded["operators"].keys() == loaded["et_kernel_metadata"].keys()
    expected = set()
    for name in names:
        found = requirements(program(name))
        expected |= {entry.name for entry in (*found.operators, *found.prim_ops)}
    assert loaded["operators"].keys() == expected
    assert loaded["operators"]["aten::add.out"]["debug_info"] == ["1.5.1/add.pte", "1.5.1/views.pte"]
    assert loaded["operators"]["aten::tanh.out"]["debug_info"] == ["1.5.1/mlp.pte"]


def test_no_operators() -> None:
    loaded = yaml.safe_load(to_selective_build_yaml([requirements(program("1.5.1/xnnpack_mlp.pte"))]))
    assert loaded["operators"] == {}
    assert loaded["et_kernel_metadata"] == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        # a number beside a tensor: the kernel switches on the number's own type
        (use("aten::add.Scalar_out", 5, (F,), (D, L)), {F, D, L}),
        # integers that are no Scalar (dim, keepdim) do not count
        (use("aten::cumsum.out", 5, (F,), (L,)), {F}),
        # half precision is computed in float32
        (use("aten::add.out", 5, (H,), (L,)), {H, F, L}),
        # mixed arguments are computed in what they promote to
        (use("aten::mul.out", 4, (F, D), ()), {F, D}),
        (use("aten::mul.out", 4, (H, BF), ()), {H, BF, F}),
        (use("aten::mul.out", 4, (U8, I8), ()), {U8, I8, I16}),
        # a floating result of integers goes through float32
        (use("aten::div.out", 4, (L, D), ()), {L, D, F}),
        # of an operator that nobody knows, every number counts
        (use("mine::op.out", 4, (F,), (B,)), {F, B}),
    ],
)
def test_dtypes_are_complete(entry: OperatorUse, expected: set[ScalarType]) -> None:
    assert kernel_dtypes(entry) == expected
    listed = {ScalarType(int(part.split(";")[0])) for key in kernel_keys([entry]) for part in key[3:].split("|")}
    assert listed == expected


def test_an_operator_without_tensors_takes_every_kernel() -> None:
    entry = OperatorUse("executorch_prim::add.Scalar", 3, (), (), ("v1/",), (), 1, (), "")
    assert kernel_keys([entry]) == ("default",)


@pytest.mark.interop
def test_upstreams_tools_take_the_file_and_find_their_own_dtypes_in_it(tmp_path: Path) -> None:
    from executorch.codegen.tools import gen_all_oplist, gen_oplist, gen_selected_op_variants
    from torchgen.selective_build.selector import SelectiveBuilder

    files: dict[str, dict[str, Any]] = {}
    for name in corpus_files.names("1.5.1"):
        if name.startswith("other_backends/"):
            continue
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(corpus_files.read("1.5.1", name))
        ours = yaml.safe_load(to_selective_build_yaml([requirements(read_program(path))]))
        theirs = gen_oplist._get_kernel_metadata_for_model(str(path))
        assert set(ours["operators"]) == set(gen_oplist._get_operators(str(path))), name
        for operator, keys in theirs.items():
            assert dtypes(keys) <= dtypes(ours["et_kernel_metadata"][operator]), (name, operator)
        files[path.name] = ours
    assert len(files) > 600
    texts = []
    for name in ("add.pte", "mlp.pte", "half_bf16.pte", "tensor_lists.pte", "cond_model.pte"):
        text = tmp_path / f"{name}.yaml"
        text.write_text(to_selective_build_yaml([requirements(read_program(tmp_path / name))]))
        builder = SelectiveBuilder.from_yaml_path(str(text))
        for operator in files[name]["operators"]:
            assert builder.is_root_operator(operator)
            assert builder.et_get_selected_kernels(operator, ["default"]) == ["default"]
        texts.append(str(text))
    listing = tmp_path / "files.txt"
    listing.write_text(" ".join(texts))
    merged = tmp_path / "merged"
    merged.mkdir()
    gen_all_oplist.main([f"--output_dir={merged}", f"--model_file_list_path=@{listing}"])
    selection = yaml.safe_load((merged / "selected_operators.yaml").read_text())
    assert set(selection["operators"]) == {name for one in texts for name in files[Path(one).stem]["operators"]}
    gen_selected_op_variants.write_selected_op_variants(texts[0], str(tmp_path))
    header = (tmp_path / "selected_op_variants.h").read_text()
    assert '"add.out"' in header
    assert "executorch::aten::ScalarType::Float || scalar_type == executorch::aten::ScalarType::Long" in header


@pytest.mark.interop
def test_upstreams_tool_leaves_out_what_kernels_switch_on(tmp_path: Path) -> None:
    """Why Pteron writes the file itself: alpha's dtype, without which the kernel of ``add.out`` aborts, is missing."""
    from executorch.codegen.tools import gen_oplist

    path = tmp_path / "add.pte"
    path.write_bytes(corpus_files.read("1.5.1", "add.pte"))
    theirs = gen_oplist._get_kernel_metadata_for_model(str(path))
    assert dtypes(theirs["aten::add.out"]) == {int(F)}
    ours = yaml.safe_load(to_selective_build_yaml([requirements(read_program(path))]))
    assert dtypes(ours["et_kernel_metadata"]["aten::add.out"]) == {int(F), int(L)}
    assert json.dumps(ours)


def dtypes(keys: list[str]) -> set[int]:
    """Dtypes of kernel keys, as codegen/tools/gen_selected_op_variants.py takes them."""
    metas = [meta for key in keys if "/" in key for meta in key.split("/")[1].split("|")]
    return {int(meta.split(";")[0]) for meta in metas if meta}
