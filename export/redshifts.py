"""Emulators of one halo model at several redshifts, as one function of k and z."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.ranges import Policy, read_only
from export.runtime import OnnxEmulator, load
from export.shipped import shipped

__all__ = ["Redshifts"]

Array = NDArray[np.float64]

_FAMILY = "standard"


class Redshifts:
    """Emulators of one halo model, by redshift.

    Args:
        emulators: One or several files, names or emulators; by default the shipped ``standard``,
            ``standard-z0.5`` and so on.

    Attributes:
        emulators: In the order of redshift.
        z: Their redshifts, shape (Z,), read-only.
        parameters: Their inputs, with ranges.
        names: Of the inputs.
        units: Of the outputs, by name: ``Mpc^3`` of spectra.

    Raises:
        ValueError: Emulators that do not belong together.
    """

    def __init__(
        self, emulators: str | Path | OnnxEmulator | Sequence[str | Path | OnnxEmulator] = ()
    ) -> None:
        if isinstance(emulators, (str, Path, OnnxEmulator)):
            emulators = [emulators]
        chosen = list(emulators) or [n for n in shipped() if n.split("-z")[0] == _FAMILY]
        models = [e if isinstance(e, OnnxEmulator) else load(e) for e in chosen]
        self.emulators = tuple(sorted(models, key=lambda model: model.z))
        self.z = read_only(np.array([model.z for model in self.emulators]))
        first, *others = self.emulators
        self.parameters, self.names, self.units = first.parameters, first.names, dict(first.units)
        for other in others:
            for what in ("parameters", "outputs"):
                if getattr(first, what) != getattr(other, what):
                    raise ValueError(f"{other.path} has other {what} than {first.path}")
            mine, theirs = (m.metadata["halo_model"] | {"z": 0} for m in (first, other))
            if mine != theirs:
                raise ValueError(f"{other.path} is of another halo model than {first.path}")
        if len(set(self.z)) < len(self.z):
            raise ValueError(f"emulators of equal redshift: {', '.join(map(str, self.z))}")

    def __call__(
        self,
        point: Mapping[str, float],
        outputs: str | Sequence[str],
        k: Array,
        out_of_range: Policy | None = None,
    ) -> dict[str, Array]:
        """Outputs at one point, spectra (Z, K) and numbers (Z,).

        Args:
            point: Parameters by name.
            outputs: Names.
            k: Wavenumbers [1/Mpc], shape (K,); below the emulators', linear theory goes on.
            out_of_range: What happens outside the trained ranges, as of each emulator.
        """
        parts = [
            model(point, outputs, k, extrapolate=True, out_of_range=out_of_range)
            for model in self.emulators
        ]
        return {name: np.array([part[name] for part in parts], np.float64) for name in parts[0]}
