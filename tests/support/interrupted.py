"""Computations that are interrupted as by a user."""

from types import ModuleType

import pytest

__all__ = ["interrupt_after"]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, module: ModuleType, updates: int) -> None:
    """Interrupt the progress bar of a module, once, at one of its updates."""
    bar, left = module.tqdm, [updates]

    class Stopped(bar):
        def update(self, n=1):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return super().update(n)

    monkeypatch.setattr(module, "tqdm", Stopped)
