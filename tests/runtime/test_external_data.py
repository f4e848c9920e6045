"""External weights: what fits runs, what does not is named before anything runs."""

from __future__ import annotations

import pytest

import corpus_files
import pteron

NAME = "external_constants_mlp"
PTE = corpus_files.read("1.5.1", f"{NAME}.pte")
PTD = corpus_files.read("1.5.1", f"{NAME}._default_external_constant.ptd")


def test_missing_data_is_named() -> None:
    with pytest.raises(pteron.ExternalDataError) as error:
        pteron.load(PTE)
    keys = list(pteron.read_tensor_data(PTD).entries)
    assert all(f"{key!r} is missing" in str(error.value) for key in keys)
    assert "pass the .ptd files" in str(error.value)


def test_data_of_another_model_does_not_fit() -> None:
    other = corpus_files.read("1.5.1", "external_constants_lenet._default_external_constant.ptd")
    with pytest.raises(pteron.ExternalDataError, match=r"is missing|is needed|are needed"):
        pteron.load(PTE, data=other)


def test_extra_keys_are_warned_of() -> None:
    other = corpus_files.read("1.5.1", "external_constants_lenet._default_external_constant.ptd")
    unused = set(pteron.read_tensor_data(other).entries) - set(pteron.read_tensor_data(PTD).entries)
    assert unused
    with pytest.warns(UserWarning, match="external data holds keys that nothing in the program uses"):
        pteron.load(PTE, data=[PTD, other])


def test_a_key_in_two_files_is_refused() -> None:
    with pytest.raises(pteron.ExternalDataError, match="is in <bytes> as well"):
        pteron.load(PTE, data=[PTD, PTD])


def test_a_program_is_no_data() -> None:
    with pytest.raises(pteron.UnknownFileError, match=r"is an ExecuTorch program \(.pte\), not ExecuTorch tensor data"):
        pteron.load(PTE, data=PTE)
    with pytest.raises(pteron.UnknownFileError, match=r"give it as data \(--data FILE.ptd\)"):
        pteron.load(PTD)
