"""Finding operators by the name of their functional schema."""

from __future__ import annotations

import numpy as np

from pteron.ops import REGISTRY, Registry, operator


def test_every_operator_is_found_by_its_functional_name() -> None:
    for entry in REGISTRY:
        found = REGISTRY.by_functional(entry.functional.qualified_name)
        assert found is not None
        assert found.functional == entry.functional
    assert REGISTRY.by_functional("aten::add.out") is None
    assert REGISTRY.by_functional("aten::nothing") is None


def test_the_index_follows_registrations() -> None:
    registry = Registry()
    assert registry.by_functional("test::twice") is None

    @operator("test::twice(Tensor self) -> Tensor", out="out", registry=registry)
    def twice(self: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return self + self

    found = registry.by_functional("test::twice")
    assert found is not None
    assert found.name == "test::twice.out"
    registry.remove("test::twice.out")
    assert registry.by_functional("test::twice") is None
