"""The module that CosmoSIS loads; its options are those of `export.adapters.for_cosmosis`."""

from typing import TYPE_CHECKING

from hodspectra.locate import adapter

if TYPE_CHECKING:
    from export.adapters.for_cosmosis import execute, setup
else:
    _module = adapter("cosmosis")
    execute, setup = _module.execute, _module.setup

__all__ = ["execute", "setup"]
