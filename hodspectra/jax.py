"""Emulators as pure functions of JAX; see `export.to_jax`.

``from hodspectra.jax import function``; it needs ``pip install 'hodspectra[jax]'``.
"""

from typing import TYPE_CHECKING

from hodspectra.locate import ours

if TYPE_CHECKING:
    from export.to_jax import JaxFunction, function
else:
    try:
        _to_jax = ours("export.to_jax")
    except ModuleNotFoundError as error:
        if error.name != "jax":
            raise
        raise ModuleNotFoundError(
            "hodspectra.jax needs JAX: pip install 'hodspectra[jax]'", name="jax"
        ) from error
    JaxFunction, function = _to_jax.JaxFunction, _to_jax.function

__all__ = ["JaxFunction", "function"]
