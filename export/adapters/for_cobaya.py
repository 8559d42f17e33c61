"""An emulator as a theory of Cobaya; a likelihood asks it for spectra.

In an input file::

    theory:
      export.adapters.for_cobaya.HaloModel:
        emulator: standard

and in a likelihood::

    def get_requirements(self):
        return {"halo_model": {"outputs": ["gg_total", "n_g"], "k": [0.1, 1.0]}}

    def logp(self, **parameters):
        spectra = self.provider.get_halo_model()  # by name: (K,) in Mpc^3, and numbers

Parameters have the emulator's names (``Om_c``, ..., ``Mth`` in Msun). Masses are sampled in their
logarithm through Cobaya's dynamic parameters: ``Mth: {value: "lambda log10Mth: 10**log10Mth"}``.
"""

from typing import Any

import numpy as np
from cobaya.log import LoggedError
from cobaya.theory import Theory

from export.ranges import OutOfRange
from export.runtime import load

__all__ = ["HaloModel"]


class HaloModel(Theory):
    """Spectra of one emulator; points outside its ranges have no likelihood.

    Attributes:
        emulator: File, or name of a shipped one.
        extrapolate: Whether k may lie below the emulator's.
    """

    emulator: str = "standard"
    extrapolate: bool = True

    def initialize(self) -> None:
        """Open the emulator."""
        self._model = load(self.emulator)
        self._wanted: dict[tuple[float, ...] | None, set[str]] = {}

    def get_requirements(self) -> dict[str, None]:
        """The emulator's parameters."""
        return dict.fromkeys(self._model.names)

    def must_provide(self, **requirements: Any) -> None:
        """Take up what a likelihood asks for: ``outputs`` and, if not those of the grid, ``k``.

        Raises:
            LoggedError: An output that the emulator does not have, or a second set of k.
        """
        super().must_provide(**requirements)
        for options in [requirements["halo_model"]] if "halo_model" in requirements else []:
            k = None if options.get("k") is None else tuple(map(float, options["k"]))
            self._wanted.setdefault(k, set()).update(options["outputs"])
            if len(self._wanted) > 1:
                raise LoggedError(self.log, "all likelihoods must ask for the same k")
            if unknown := self._wanted[k] - set(self._model.outputs):
                raise LoggedError(self.log, "no output %s", ", ".join(sorted(unknown)))

    def calculate(self, state: dict[str, Any], want_derived: bool = True, **point: float) -> bool:
        """Evaluate one point; False if it lies outside the trained ranges."""
        ((k, outputs),) = self._wanted.items()
        try:
            state["halo_model"] = self._model(
                {name: point[name] for name in self._model.names},
                sorted(outputs),
                k,
                extrapolate=self.extrapolate and k is not None,
            )
        except OutOfRange as error:
            self.log.debug("%s", error)
            return False
        return True

    def get_halo_model(self) -> dict[str, Any]:
        """Outputs by name of the point at hand: spectra [Mpc^3], shape (K,), and numbers."""
        spectra: dict[str, Any] = self.current_state["halo_model"]
        return spectra

    def get_k(self) -> Any:
        """Wavenumbers [1/Mpc] of the spectra, shape (K,)."""
        (k,) = self._wanted
        return self._model.k if k is None else np.array(k)
