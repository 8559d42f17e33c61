"""Work that Ray's workers do elsewhere, done in this process: it starts no Ray."""

from contextlib import nullcontext
from types import ModuleType

import pytest

__all__ = ["without_ray"]


def without_ray(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Let `ray_map` and `ray_session` of modules work in this process, one item after another."""

    def one_by_one(function, items, **_):
        return ((i, function(item)) for i, item in enumerate(items))

    for module in modules:
        monkeypatch.setattr(module, "ray_session", nullcontext)
        monkeypatch.setattr(module, "ray_map", one_by_one)
