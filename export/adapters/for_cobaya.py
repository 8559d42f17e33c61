"""An emulator as a theory of Cobaya; a likelihood asks it for spectra.

In an input file::

    theory:
      hodspectra.cobaya.HaloModel:
        emulator: standard

and in a likelihood::

    def get_requirements(self):
        return {"halo_model": {"outputs": ["gg_total", "n_g"], "k": [0.1, 1.0]}}

    def logp(self, **parameters):
        spectra = self.provider.get_halo_model()  # by name; "k" holds the wavenumbers

There is no h in any unit: k in 1/Mpc, spectra in Mpc^3, ``n_g`` in 1/Mpc^3, masses in Msun.

Parameters have the emulator's names (``Om_c``, ..., ``Mth``). Masses are sampled in their logarithm
through Cobaya's dynamic parameters: ``Mth: {value: "lambda log10Mth: 10**log10Mth"}``. Beside CAMB
or CLASS the cosmology comes from their parameters (``omch2``, ``ombh2``, ``H0``, ``ns``), and from
what they derive (``sigma8``). Numbers, such as ``n_g`` and ``b_eff``, can be derived parameters:
list them under ``params`` with a LaTeX label alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cobaya.log import LoggedError
from cobaya.theory import Provider, Theory
from numpy.typing import NDArray

from datagen.columns import numbers
from datagen.messages import did_you_mean
from export.adapters.cobaya_inputs import Inputs
from export.adapters.cobaya_setup import check_setup
from export.adapters.common import centre, words
from export.ranges import OutOfRange, Policy
from export.runtime import load

__all__ = ["HaloModel"]


class HaloModel(Theory):
    """Spectra of one emulator; points outside its ranges have no likelihood.

    All other errors stop the run: those of the input file when it is set up.

    Attributes:
        emulator: File, or name of a shipped one.
        extrapolate: Whether k may lie below the emulator's.
        renames: Names of parameters in the input file, by the emulator's: ``{Mth: M_min}``.
        ignore: Parameters of CAMB or CLASS that galaxy and matter spectra do not depend on, of
            which the emulator does not know that.
    """

    emulator: str | Path = "standard"
    extrapolate: bool = True
    renames: dict[str, str] = {}  # noqa: RUF012 (Cobaya copies the defaults of its options)
    ignore: str | list[str] = []  # noqa: RUF012
    _enforce_types = True

    def initialize(self) -> None:
        """Open the emulator."""
        try:
            self._model = load(self.emulator)
            self._inputs = Inputs(self._model.names, self.renames)
        except (OSError, TypeError, ValueError) as error:
            raise LoggedError(self.log, "%s", error) from error
        self._numbers = [name for name, unit in self._model.units.items() if unit != "Mpc^3"]
        self._spectra: set[str] = set()  # outputs that likelihoods ask for
        self._k: NDArray[Any] | None = None
        self._derived: set[str] = set()  # numbers that are parameters

    def get_can_support_params(self) -> list[str]:
        """Names that inputs go by, for the parameters that are given."""
        return self._inputs.supported

    def get_can_provide_params(self) -> list[str]:
        """The numbers among the outputs."""
        return self._numbers

    def initialize_with_params(self) -> None:
        """Settle under which name each input comes."""
        self._inputs.settle(self.input_params)
        for ours, theirs in self._inputs.asked.items():
            self.log.info("no parameter %s: other theories are asked for %s", ours, theirs)

    def get_requirements(self) -> dict[str, None]:
        """The emulator's parameters, under the names that are settled by then."""
        return dict.fromkeys(self._inputs.required)

    def must_provide(self, **requirements: Any) -> None:
        """Take up what is asked for: ``halo_model``, and numbers as derived parameters.

        The options of ``halo_model`` are ``outputs`` (one name or several; by default all) and
        ``k`` [1/Mpc] (by default the emulator's).

        Raises:
            LoggedError: Options, outputs or wavenumbers that there are not; a second set of k.
        """
        super().must_provide(**requirements)
        self._derived |= requirements.keys() & set(self._numbers)
        if "halo_model" in requirements:
            try:
                self._ask(requirements["halo_model"])
            except (TypeError, ValueError) as error:
                raise LoggedError(self.log, "halo_model: %s", error) from error

    def _ask(self, options: Any) -> None:
        if not isinstance(options, (Mapping, type(None))):
            raise ValueError(f"{options!r} must be a dictionary with outputs and k")
        given = dict(options or {})
        outputs = words(given.pop("outputs", self._model.outputs))
        asked = given.pop("k", None)
        if unknown := [f"{name}{did_you_mean(name, ('outputs', 'k'))}" for name in given]:
            raise ValueError(f"no option {', '.join(unknown)}; there are outputs and k")
        k = None if asked is None else np.atleast_1d(numbers(asked, "k", "1/Mpc"))
        if not outputs or (k is not None and k.size == 0):
            raise ValueError("outputs and k must not be empty")
        # what every step of a sampler asks for, so that its errors come now
        self._evaluate(centre(self._model.parameters), outputs, k, out_of_range="nan")
        if self._spectra and not np.array_equal(k, self._k):  # type: ignore[arg-type]
            raise ValueError("all likelihoods must ask for the same k")
        self._k = k
        self._spectra |= set(outputs)

    def initialize_with_provider(self, provider: Provider) -> None:
        """Hold the parameters of the whole input against what the emulator knows.

        Raises:
            LoggedError: A range that no point of the prior is in; physics that is not LCDM's.
        """
        super().initialize_with_provider(provider)
        if self._spectra or self._derived:
            check_setup(self, provider.model, self._model.parameters, self._inputs)

    def calculate(self, state: dict[str, Any], want_derived: bool = True, **point: float) -> bool:
        """Evaluate one point; False if it lies outside the trained ranges.

        Raises:
            LoggedError: Anything else that goes wrong.
        """
        outputs = sorted(self._spectra | self._derived)
        if not outputs:
            return True
        try:
            inputs = self._inputs.point(point)
            results = self._evaluate(inputs, outputs, self._k)
        except OutOfRange as error:
            self.log.debug("%s", error)
            return False
        except Exception as error:  # which Cobaya would take for a point without likelihood
            raise LoggedError(self.log, "%s", error) from error
        state["halo_model"] = {name: results[name] for name in self._spectra}
        state["derived"] = {name: float(results[name]) for name in self._derived}
        return True

    def _evaluate(
        self,
        point: dict[str, float],
        outputs: list[str],
        k: NDArray[Any] | None,
        out_of_range: Policy | None = None,
    ) -> dict[str, Any]:
        extrapolate = self.extrapolate and k is not None
        return self._model(point, outputs, k, extrapolate=extrapolate, out_of_range=out_of_range)

    def get_halo_model(self) -> dict[str, Any]:
        """Outputs by name of the point at hand, and their wavenumbers as ``k`` [1/Mpc].

        Spectra [Mpc^3] have the shape (K,), as k. All are copies.
        """
        k = self._model.k if self._k is None else self._k
        results = self.current_state["halo_model"]
        return _Answer({"k": np.array(k)} | {n: np.copy(v) for n, v in results.items()})


class _Answer(dict[str, Any]):
    """Outputs by name; one that nobody asked for is an error that says so."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(
            f"{name} was not asked for: list it in the outputs of the requirement 'halo_model' "
            f"(there are {', '.join(self)})"
        )
