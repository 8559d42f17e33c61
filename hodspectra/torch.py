"""Emulators in torch, from ONNX files; see `export.to_torch`.

``from hodspectra.torch import load``; it needs ``pip install 'hodspectra[train]'``.
"""

from typing import TYPE_CHECKING

from hodspectra.locate import ours

if TYPE_CHECKING:
    from export.to_torch import load
else:
    try:
        load = ours("export.to_torch").load
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "safetensors"):
            raise
        raise ModuleNotFoundError(
            f"hodspectra.torch needs {error.name}: pip install 'hodspectra[train]'", name=error.name
        ) from error

__all__ = ["load"]
