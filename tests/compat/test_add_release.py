"""The tool that writes a release's facts: on a small made-up upstream, and on the real wheel."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pteron.compat import facts

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import add_release
from release_facts.kernel_dtypes import refused_dtypes
from release_facts.upstream import Sources, libraries, schema_arguments, xnnpack

FILES = {
    "kernels/portable/functions.yaml": """
- op: abs.out
  kernels: [{arg_meta: null, kernel_name: "torch::executor::abs_out"}]
- op: add.out
  kernels: [{arg_meta: null, kernel_name: "torch::executor::add_out"}]
- func: dim_order_ops::_clone_dim_order.out(Tensor self, *, int[]? dim_order=None, Tensor(a!) out) -> Tensor(a!)
  kernels: [{arg_meta: null, kernel_name: "torch::executor::_clone_dim_order_out"}]
""",
    "kernels/portable/custom_ops.yaml": """
- func: allclose.out(Tensor self, Tensor other, float rtol=1e-05, bool b=False, *, Tensor(a!) out) -> Tensor(a!)
  kernels: [{arg_meta: null, kernel_name: "torch::executor::allclose_out"}]
""",
    "kernels/optimized/optimized.yaml": """
- op: add.out
  kernels: [{arg_meta: null, kernel_name: "torch::executor::opt_add_out"}]
- op: linear.out
  kernels: [{arg_meta: null, kernel_name: "torch::executor::opt_linear_out"}]
""",
    "kernels/quantized/quantized.yaml": """
- func: quantized_decomposed::q.out(Tensor input, float scale, *, Tensor(a!) out) -> Tensor(a!)
  kernels: [{arg_meta: null, kernel_name: "torch::executor::q_out"}]
""",
    "kernels/portable/cpu/op_abs.cpp": """
Tensor& abs_out(KernelRuntimeContext& ctx, const Tensor& in, Tensor& out) {
  ET_SWITCH_REALH_TYPES(in.scalar_type(), ctx, "abs.out", CTYPE, [&] {});
""",
    "kernels/portable/cpu/op_add.cpp": """
Tensor& add_out(KernelRuntimeContext& ctx, const Tensor& a, const Tensor& b, Tensor& out) {
  ET_SWITCH_REAL_TYPES_AND2(Half, BFloat16, a.scalar_type(), ctx, "add.out", CTYPE, [&] {});
""",
    "kernels/optimized/cpu/op_add.cpp": """
Tensor& opt_add_out(KernelRuntimeContext& ctx, const Tensor& a, const Tensor& b, Tensor& out) {
  ET_SWITCH_REAL_TYPES_AND(Bool, a.scalar_type(), ctx, "add.out", CTYPE, [&] {});
""",
    "kernels/prim_ops/register_prim_ops.cpp": """
    Kernel("executorch_prim::add.Scalar", [](Context& c, EValue** stack) { ALGEBRA_ET_PRIM_OP(+, stack, c); }),
    Kernel("aten::sym_numel", [](Context& c, EValue** stack) { EValue& self = *stack[0]; *stack[1] = n(self); }),
    Kernel("executorch_prim::et_view.default", &et_view),
""",
    "kernels/prim_ops/et_view.cpp": "void et_view(C& c, EValue** stack) { (*stack[0]); (*stack[1]); (*stack[2]); }",
    "extension/llm/custom_ops/op_sdpa.cpp": 'EXECUTORCH_LIBRARY(\\n    llama,\\n    "update_cache.out",\\n    fn);',
    "extension/llm/custom_ops/op_sdpa_aot.cpp": """
  m.def(
      "update_cache.out(Tensor value, Tensor(a!) cache, "
      "SymInt start_pos, *, Tensor(b!) out) -> Tensor(b!)");
""",
    "backends/xnnpack/runtime/XNNCompiler.cpp": """
xnn_datatype getDataType(const DataType& t) {
    case DataType::xnn_datatype_fp32:
      return xnn_datatype::xnn_datatype_fp32;
}
#define _DEFINE(name) \\\\
    _DEFINE(Add)
    _DEFINE(Softmax)
  "XN00" "XN01"
""",
    "CMakeLists.txt": "list(APPEND _dep_libs optimized_native_cpu_ops_lib)",
}
ATEN = {"aten::abs.out": 2, "aten::add.out": 4, "aten::linear.out": 4}
BASE = [
    "aten::abs.out",
    "aten::add.out",
    "aten::linear.out",
    "aten::sym_numel",
    "dim_order_ops::_clone_dim_order.out",
    "executorch_prim::add.Scalar",
    "executorch_prim::et_view.default",
]
REGISTERED: dict[str, Any] = {
    "release": "9.1.0",
    "commit": "0123456789abcdef",
    "torch": "2.99.0+cpu",
    "wheel": "executorch-9.1.0-py3-none-any.whl",
    "operators_without_extra_libs": BASE,
    "operators": [*BASE, "llama::update_cache.out", "quantized_decomposed::q.out"],
    "backends": ["XnnpackBackend", "FarBackend"],
    "backend_available": {"XnnpackBackend": True, "FarBackend": False},
}


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = tmp_path / "executorch"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("\\n", "\n").replace("\\\\", "\\"))
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "m"], ["tag", "v9.1.0"]):
        subprocess.run([*git, *command], check=True)
    return folder


def test_schema_arguments() -> None:
    assert schema_arguments("a::b(Tensor self) -> Tensor") == 1
    assert schema_arguments("a::b() -> Tensor") == 0
    assert schema_arguments("b.out(Tensor[] a, int[2] b=[0, 0], *, Tensor(a!) out) -> Tensor(a!)") == 3
    assert schema_arguments("b.out(Tensor a, *, Tensor(a!) x, Tensor(b!) y) -> (Tensor(a!), Tensor(b!))") == 3


def test_libraries(upstream: Path) -> None:
    assert libraries(Sources(upstream, "v9.1.0"), ATEN) == {
        "portable": {"aten::abs.out": 3, "aten::add.out": 5, "dim_order_ops::_clone_dim_order.out": 4},
        "portable_custom": {"aten::allclose.out": 6},
        "optimized": {"aten::add.out": 5, "aten::linear.out": 5},
        "quantized": {"quantized_decomposed::q.out": 4},
        "prim_ops": {"executorch_prim::add.Scalar": 3, "aten::sym_numel": 2, "executorch_prim::et_view.default": 3},
        "llm": {"llama::update_cache.out": 5},
    }


def test_kernels_speak_of_float_types_only_where_their_switches_do(upstream: Path) -> None:
    assert refused_dtypes(Sources(upstream, "v9.1.0")) == {
        "portable": {"aten::abs.out": ["BFLOAT16"]},
        "optimized": {"aten::add.out": ["HALF", "BFLOAT16"]},
    }


def test_xnnpack(upstream: Path) -> None:
    assert xnnpack(Sources(upstream, "v9.1.0")) == {
        "payloads": ["XN00", "XN01"],
        "node_types": ["XNNAdd", "XNNSoftmax"],
        "datatypes": ["fp32"],
    }


def test_the_file_has_what_the_package_reads(upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_release, "torchgen_of", lambda torch, cache: cache)
    monkeypatch.setattr(add_release, "aten_argument_counts", lambda torchgen: ATEN)
    given = tmp_path / "registered.json"
    given.write_text(json.dumps(REGISTERED))
    add_release.main(["9.1.0", "--registered", str(given), "--upstream", str(upstream), "--output", str(tmp_path)])
    written = json.loads((tmp_path / "9.1.0.json").read_text())
    committed = facts.load_table("releases/1.5.1.json")
    assert list(written) == list(committed)
    assert set(written["evidence"]) == set(committed["evidence"])
    places = {name: library["wheel"] for name, library in written["libraries"].items()}
    assert places == {
        "portable": "linked",
        "portable_custom": "absent",
        "optimized": "linked",
        "prim_ops": "linked",
        "quantized": "loadable",
        "llm": "loadable",
    }
    assert (written["torch"], written["wheel_commit"]) == ("2.99.0", "0123456789abcdef")
    assert written["backends"] == {"FarBackend": False, "XnnpackBackend": True}


def test_an_operator_of_no_library_is_not_passed_over(
    upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(add_release, "torchgen_of", lambda torch, cache: cache)
    monkeypatch.setattr(add_release, "aten_argument_counts", lambda torchgen: ATEN)
    given = tmp_path / "registered.json"
    given.write_text(json.dumps({**REGISTERED, "operators": [*REGISTERED["operators"], "new::op.out"]}))
    with pytest.raises(SystemExit, match=r"new::op\.out"):
        add_release.main(["9.1.0", "--registered", str(given), "--upstream", str(upstream), "--output", str(tmp_path)])


@pytest.mark.interop
def test_the_real_wheel_gives_the_committed_facts(tmp_path: Path) -> None:
    release = "1.5.1"
    committed = facts.load_table(f"releases/{release}.json")
    add_release.main(
        [release, "--python", sys.executable, "--released", committed["released"], "--output", str(tmp_path)]
    )
    written = json.loads((tmp_path / f"{release}.json").read_text())
    for part in ("release", "released", "torch", "wheel", "wheel_commit", "backends", "libraries"):
        assert written[part] == committed[part], part
    assert written["xnnpack"] is None
