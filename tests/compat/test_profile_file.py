"""Profiles as files: written and read again, ExecuTorch's own YAML, and files that are no profiles."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from pteron.compat.profile import load_profile, profile_for, releases
from pteron.compat.profile_file import dump_profile
from pteron.errors import FileAccessError, ProfileError

SELECTED = """\
include_all_non_op_selectives: False
include_all_operators: False
debug_info: []
operators:
  aten::add.out:
    is_root_operator: Yes
    is_used_for_training: Yes
    include_all_overloads: No
    debug_info: [model@v1]
  aten::mul:
    include_all_overloads: Yes
custom_classes: []
et_kernel_metadata:
  aten::add.out:
  - v1/6;0,1|6;0,1|6;0,1|6;0,1
  aten::mul.out:
  - default
"""


def stored(folder: Path, text: str, name: str = "device.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("release", [str(release) for release in releases()])
@pytest.mark.parametrize("libraries", [True, False])
def test_profiles_come_back_as_they_were(release: str, libraries: bool, tmp_path: Path) -> None:
    profile = profile_for(release, libraries=libraries)
    assert replace(load_profile(stored(tmp_path, dump_profile(profile))), source=profile.source) == profile


def test_a_written_profile_is_short() -> None:
    assert dump_profile(profile_for("1.5")) == (
        'title = "ExecuTorch 1.5.1, official Python wheel"\n'
        'release = "1.5.1"\n'
        'build = "cmake"\n'
        'distribution = "python"\n'
        'libraries = ["llm", "optimized", "portable", "quantized"]\n'
        'backends = ["QnnBackend", "XnnpackBackend"]\n'
        'missing_backends = ["OpenvinoBackend"]\n'
    )


def test_everything_a_toml_can_say(tmp_path: Path) -> None:
    path = stored(
        tmp_path,
        """
        title = "camera, Android"
        release = "1.3.0"
        build = "buck"
        libraries = ["portable"]
        backends = ["XnnpackBackend", "VulkanBackend"]
        missing_operators = ["aten::topk.values", "executorch_prim::sym_max.Scalar"]

        [operators]
        "acme::blur.out" = 5
        "acme::warp.out" = [4, 6]
        "acme::other.out" = true

        [kernel_keys]
        "aten::abs.out" = ["v1/6;0,1|6;0,1|6;0,1"]

        [features]
        "named_data" = false
        """,
    )
    profile = load_profile(path)
    assert (profile.title, profile.release, profile.build) == ("camera, Android", Version("1.3.1"), "buck")
    assert profile.argument_counts("acme::blur.out") == {5}
    assert profile.argument_counts("acme::warp.out") == {4, 6}
    assert profile.argument_counts("acme::other.out") is None
    assert not profile.has_operator("aten::topk.values")
    assert not profile.has_operator("executorch_prim::sym_max.Scalar")
    assert profile.has_kernel("aten::abs.out", "v1/6;0,1|6;0,1|6;0,1")
    assert not profile.has_kernel("aten::abs.out", "v1/5;0,1|5;0,1|5;0,1")
    assert profile.has_kernel("aten::add.out", "v1/5;0,1|5;0,1|5;0,1")
    assert profile.backends["XnnpackBackend"].node_types
    assert profile.backends["VulkanBackend"].node_types is None
    assert profile.input_limits == ()
    assert replace(load_profile(stored(tmp_path, dump_profile(profile))), source=profile.source) == profile


def test_selected_operators_of_a_release(tmp_path: Path) -> None:
    stored(tmp_path, SELECTED, "selected_operators.yaml")
    text = 'release = "1.5.1"\nselected_operators = "selected_operators.yaml"\nbackends = ["XnnpackBackend"]\n'
    profile = load_profile(stored(tmp_path, text))
    assert set(profile.operators) == {"aten::add.out", "aten::mul", "aten::mul.out", "aten::mul.Scalar_out"}
    assert profile.argument_counts("aten::add.out") == {5}
    assert profile.has_kernel("aten::add.out", "v1/6;0,1|6;0,1|6;0,1|6;0,1")
    assert not profile.has_kernel("aten::add.out", "v1/3;0,1|3;0,1|3;0,1|3;0,1")
    assert profile.has_kernel("aten::mul.out", "v1/3;0,1|3;0,1|3;0,1")
    assert profile.has_operator("executorch_prim::add.Scalar")


def test_a_bare_yaml_does_not_say_its_release(tmp_path: Path) -> None:
    profile = load_profile(stored(tmp_path, SELECTED, "selected_operators.yaml"))
    assert profile.release is None
    assert profile.argument_counts("aten::add.out") is None
    assert profile.argument_counts("aten::sub.out") == frozenset()
    assert profile.argument_counts("executorch_prim::add.Scalar") is None
    assert profile.support("constants.no_segment") is None
    assert profile.limits == {}
    assert profile.faults == ()
    assert profile.knows_field("Program", "named_data") is None


def test_all_operators_may_be_selected(tmp_path: Path) -> None:
    profile = load_profile(stored(tmp_path, "include_all_operators: true\n", "all.yaml"))
    assert profile.argument_counts("aten::anything.out") is None
    stored(tmp_path, "include_all_operators: true\n", "all.yaml")
    text = 'release = "1.5.1"\nlibraries = ["portable"]\nselected_operators = "all.yaml"\n'
    whole = load_profile(stored(tmp_path, text))
    assert whole.operators == load_profile(stored(tmp_path, 'release = "1.5.1"\nlibraries = ["portable"]\n')).operators


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("release = ", "not TOML"),
        ('release = "9.9"', "no facts about ExecuTorch 9.9"),
        ('release = "new"', "not a release"),
        ("release = 1.5", "release must not be a float"),
        ('colour = "red"', "unknown key 'colour'"),
        ('libraries = ["portable"]', "add release"),
        ('release = "1.5.1"\nlibraries = ["portables"]', "no operator library 'portables'"),
        ('build = "make"', "build is 'make'"),
        ("backends = [1]", "backends must be a list of strings"),
        ('[operators]\n"a::b" = 0', "operators.a::b must be the number"),
        ('[features]\nnamed_data = "no"', "features.named_data must be true or false"),
        ('selected_operators = "none.yaml"', "cannot be read"),
    ],
)
def test_bad_toml(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises((ProfileError, FileAccessError), match=says):
        load_profile(stored(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "not a selected_operators.yaml"),
        ("", "not a selected_operators.yaml"),
        ("a: b: c", "not YAML"),
        ("operators: [aten::add.out]", "must be a mapping"),
        ("operators: {aten::add.out: 3}", "must be a mapping"),
        ("include_all_operators: maybe", "must be true or false"),
        ("et_kernel_metadata: {aten::add.out: [v2/6]}", "no kernel key"),
        ("et_kernel_metadata: {aten::add.out: 6}", "list of kernel keys"),
        ("other_key: 1", "not a selected_operators.yaml"),
        ("operators: &a {x: *a}", "aliases"),
        ("operators: !!python/object/apply:os.getcwd []", "not YAML"),
        ("{" * 5000, "not YAML"),
    ],
)
def test_bad_yaml(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=says):
        load_profile(stored(tmp_path, text, "selected.yaml"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        load_profile(tmp_path / "missing.toml")
    with pytest.raises(FileAccessError):
        load_profile(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="UTF-8"):
        load_profile(tmp_path / "binary.toml")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(ProfileError, match="larger than"):
        load_profile(tmp_path / "huge.yaml")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80) | st.integers(0, len(SELECTED)).map(lambda end: SELECTED[:end]), toml=st.booleans())
def test_any_text_is_a_profile_or_an_error(text: str, toml: bool, tmp_path: Path) -> None:
    path = tmp_path / ("any.toml" if toml else "any.yaml")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    told = ""
    try:
        load_profile(path)
    except ProfileError as error:
        told = str(error)
    assert not told or str(path) in told


@given(title=st.text(max_size=30).filter(lambda s: "\ud800" > s or s.isascii()))
def test_any_title_can_be_written(title: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    profile = replace(profile_for("1.5"), title=title or "x")
    path = tmp_path_factory.mktemp("title") / "p.toml"
    path.write_text(dump_profile(profile), encoding="utf-8")
    assert load_profile(path).title == profile.title
