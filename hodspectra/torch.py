"""Emulators in torch, of ONNX files; see `export.to_torch`.

``from hodspectra.torch import load``; it needs ``pip install 'hodspectra[train]'``.
"""

from typing import TYPE_CHECKING

from hodspectra.locate import ours

if TYPE_CHECKING:
    from export.to_torch import load
else:
    load = ours("export.to_torch").load

__all__ = ["load"]
