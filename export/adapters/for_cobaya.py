"""An emulator as a theory for Cobaya.

In an input file::

    theory:
      hodspectra.cobaya.HaloModel:
        emulator: standard
        z: 0.5

and in a likelihood::

    def get_requirements(self):
        return {"halo_model": {"outputs": ["gg_total", "n_g"], "k": [0.1, 1.0]}}

    def logp(self, **parameters):
        spectra = self.provider.get_halo_model()  # by name, and "k", "z", "h"

No unit contains h: k in 1/Mpc, spectra in Mpc^3, ``n_g`` in 1/Mpc^3, masses in Msun.

Functions of separation (see `export.statistics`) are requested by names of your choice, with their
class and its arguments, in the units given there::

    {"halo_model": {"statistics": {
        "w_p": {"kind": "Wp", "r_p": r_p, "pi_max": 60, "lengths": "Mpc/h"},
        "Delta_Sigma": {"kind": "DeltaSigma", "R": R, "lengths": "Mpc/h", "units": "h Msun/pc^2"},
    }}}

The provider returns them by these names, with the spectra. Parameters of a statistic, such as the
``point_mass: M_point`` of a DeltaSigma, become parameters of the input file.
`hodspectra.cobaya.Gaussian` is a likelihood for files of such measurements.

The redshift is an option of the theory or of the requirement: a number, for spectra (K,), or a
list, for spectra (Z, K). Otherwise ``z`` is a parameter, fixed or sampled.

The option ``occupation`` selects another occupation than that of the file: a name, such as
``zheng07``, or two populations, ``{red: zheng07, blue: hmq}``, with outputs such as
``red_gg_total`` and ``red_blue_gg_total``. The input file then has their parameters.

Parameters have the names of the emulator (``Om_c``, ..., ``Mth``). To sample the logarithm of a
mass, use a dynamic parameter of Cobaya: ``Mth: {value: "lambda log10Mth: 10**log10Mth"}``. Together
with CAMB or CLASS, the cosmology is given by their parameters (``omch2``, ``ombh2``, ``H0``,
``ns``, ``w``, ``wa``) and their derived ``sigma8``. Dark energy is a cosmological constant by
default. Derived numbers, such as ``n_g`` and ``b_eff``, can be derived parameters at one redshift:
list them under ``params`` with only a LaTeX label.
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
from datagen.outputs import output
from export.adapters.asked_statistics import AskedStatistics, named, rehearse_lengths
from export.adapters.cobaya_inputs import Inputs
from export.adapters.cobaya_setup import check_setup
from export.adapters.common import at_redshifts, left_out, redshift, redshifts, rehearse, words
from export.ranges import OutOfRange
from export.runtime import load
from export.statistics import Statistic

__all__ = ["HaloModel"]

_OPTIONS = ("outputs", "statistics", "k", "z")  # options of the requirement


class HaloModel(Theory):
    """Theory for the spectra and statistics of an emulator.

    Points outside the trained ranges have zero likelihood. All other errors stop the run; errors
    of the input file do so at set-up.

    Attributes:
        emulator: A file, or the name of a shipped emulator.
        occupation: Occupation in place of the one in the file: a name, or two populations; in
            Python also an object of your own, see `export.runtime.OnnxEmulator`.
        z: Redshift, or a list of redshifts; None if z is a parameter or given by likelihoods.
        extrapolate: Allow k below those of the emulator.
        renames: Names of parameters in the input file, by those of the emulator:
            ``{Mth: M_min}``.
        ignore: Parameters of CAMB or CLASS to ignore: those that do not affect galaxy and matter
            spectra, but are not known to the emulator.
    """

    emulator: str | Path = "standard"
    occupation: Any = None
    z: Any = None
    extrapolate: bool = True
    renames: dict[str, str] = {}  # noqa: RUF012 (Cobaya copies the defaults of its options)
    ignore: str | list[str] = []  # noqa: RUF012
    _enforce_types = True

    def initialize(self) -> None:
        """Open the emulator."""
        try:
            self._model = load(self.emulator, occupation=self.occupation)
            self._unsaid = left_out(self._model.parameters)
            self._option = self._z = self._redshifts(self.z)
            names = [name for name in self._model.names if name != "z" or self._z is None]
            self._inputs = Inputs(names, self.renames, {*self._unsaid, "z"})
        except (OSError, TypeError, ValueError) as error:
            raise LoggedError(self.log, "%s", error) from error
        self._numbers = [name for name in self._model.outputs if output(name).is_number]
        self._spectra: set[str] = set()  # outputs that likelihoods request
        self._statistics = AskedStatistics(self._model)
        self._is_asked = False
        self._k: NDArray[Any] | None = None
        self._derived: set[str] = set()  # outputs that are derived parameters

    def _redshifts(self, z: Any) -> Any:
        """Check the option z, and return None, a number, or an array (Z,)."""
        if z is None:
            return None
        values = redshifts(z, self._model)
        return values if np.ndim(z) else float(values[0])

    def get_can_support_params(self) -> list[str]:
        """Return the names that the input file may use for the emulator's parameters."""
        return self._inputs.supported

    def get_can_provide_params(self) -> list[str]:
        """Return the outputs that are numbers."""
        return self._numbers

    def initialize_with_params(self) -> None:
        """Choose the name of each parameter, from those in the input file."""
        self._inputs.settle(self.input_params)
        for ours, theirs in self._inputs.asked.items():
            self.log.info("no parameter %s: other theories are asked for %s", ours, theirs)

    def get_requirements(self) -> dict[str, None]:
        """Return the emulator's parameters, under their chosen names."""
        return dict.fromkeys(self._inputs.required)

    def must_provide(self, **requirements: Any) -> dict[str, None]:
        """Register the requirement ``halo_model``, and numbers as derived parameters.

        The options of ``halo_model`` are ``outputs`` (one or several names; default: all, or none
        if there are statistics), ``statistics`` (records or `Statistic` by name), ``k`` [1/Mpc]
        (default: those of the emulator) and ``z`` (default: that of the theory).

        Args:
            requirements: Requirements by name.

        Returns:
            Parameters of the statistics, which the input file must define.

        Raises:
            LoggedError: Unknown options, outputs or statistics; invalid redshifts or wavenumbers;
                different k or z for two likelihoods; two statistics with one name.
        """
        super().must_provide(**requirements)
        self._derived |= requirements.keys() & set(self._numbers)
        if "halo_model" in requirements:
            try:
                self._ask(requirements["halo_model"])
            except (TypeError, ValueError) as error:
                raise LoggedError(self.log, "halo_model: %s", error) from error
        return dict.fromkeys(self._statistics.parameters)

    def _ask(self, options: Any) -> None:
        if not isinstance(options, (Mapping, type(None))):
            raise ValueError(f"{options!r} must be a dictionary with {', '.join(_OPTIONS)}")
        given = dict(options or {})
        if unknown := [
            f"{name}{did_you_mean(name, _OPTIONS)}" for name in given if name not in _OPTIONS
        ]:
            raise ValueError(f"no option {', '.join(unknown)}; there are {', '.join(_OPTIONS)}")
        statistics, asked = named(given.get("statistics") or ()), given.get("k")
        outputs = words(given.get("outputs", () if statistics else self._model.outputs))
        k = None if asked is None else np.atleast_1d(numbers(asked, "k", "1/Mpc"))
        z = self._option if given.get("z") is None else self._redshifts(given["z"])
        if not (outputs or statistics) or (k is not None and k.size == 0):
            raise ValueError("outputs and k must not be empty")
        self._statistics.add(statistics, taken=("k", "z", "h"))
        # try the call of each step of a sampler, so that errors occur at set-up
        at = {} if z is None else {"z": z}
        rehearse(self._model, [*outputs, *statistics], k, self.extrapolate and k is not None, **at)
        if z is not None and self._inputs.is_given("z"):
            raise ValueError("z is both requested and a parameter; remove one of them")
        if self._option is not None and not _same(z, self._option):
            raise ValueError(f"z = {z} is requested, but the theory has the option z: {self.z}")
        other_k = bool(self._spectra and outputs) and not _same(k, self._k)
        if other_k or (self._is_asked and not _same(z, self._z)):
            raise ValueError("all likelihoods must request the same k and z")
        self._z, self._is_asked = z, True
        if outputs:
            self._k = k
            self._spectra |= set(outputs)

    def initialize_with_provider(self, provider: Provider) -> None:
        """Check the parameters of the whole input against those of the emulator.

        Args:
            provider: Cobaya's provider of all parameters and results.

        Raises:
            LoggedError: No redshift, or several for a derived parameter; a prior outside the
                trained ranges; physics that the emulator does not include.
        """
        super().initialize_with_provider(provider)
        if self._spectra or self._derived or self._is_asked:
            self._check_z()
            points = check_setup(self, provider.model, self._model, self._inputs, self._unsaid)
            at = {} if self._z is None else {"z": self._z}
            try:
                rehearse_lengths(self._model, self._statistics.by_name.values(), points | at)
            except ValueError as error:
                raise LoggedError(self.log, "in the prior of h and z, %s", error) from error

    def _check_z(self) -> None:
        known = redshift(self._model)
        if self._z is None and known.low < known.high and not self._inputs.is_given("z"):
            raise LoggedError(
                self.log,
                "no redshift: the emulator is for z = %g to %g; give the theory the option z, or "
                "list z among the parameters", known.low, known.high,
            )  # fmt: skip
        if self._derived and np.size(self._z) > 1:
            raise LoggedError(
                self.log,
                "%s cannot be a parameter at %d redshifts; give z as one number, or ask for it as "
                "an output", ", ".join(sorted(self._derived)), np.size(self._z),
            )  # fmt: skip

    def calculate(self, state: dict[str, Any], want_derived: bool = True, **point: float) -> bool:
        """Evaluate one point.

        Args:
            state: Dictionary for the results.
            want_derived: Ignored; derived parameters are always stored.
            point: Parameters by name.

        Returns:
            False if the point lies outside the trained ranges, else True.

        Raises:
            LoggedError: Any other error.
        """
        outputs: list[str | Statistic] = [*sorted(self._spectra | self._derived)]
        outputs += self._statistics.by_name.values()
        if not outputs:
            return True
        try:
            inputs = self._unsaid | self._inputs.point(point)
            own = {name: self.provider.get_param(name) for name in self._statistics.parameters}
            if not all(value >= 0 for value in own.values()):
                self.log.debug("%s must not be below 0", own)
                return False
            results = self._evaluate(inputs | own, outputs)
        except OutOfRange as error:
            self.log.debug("%s", error)
            return False
        except Exception as error:  # Cobaya would give the point zero likelihood
            raise LoggedError(self.log, "%s", error) from error
        z = inputs.get("z", redshift(self._model).low) if self._z is None else self._z
        names = [*self._spectra, *self._statistics.outputs]
        state["halo_model"] = {"z": z, "h": inputs["h"]} | {name: results[name] for name in names}
        state["derived"] = {name: float(np.ravel(results[name])[0]) for name in self._derived}
        return True

    def _evaluate(self, point: dict[str, float], outputs: list[str | Statistic]) -> dict[str, Any]:
        k, extrapolate = self._k, self.extrapolate and self._k is not None
        if isinstance(self._z, np.ndarray):
            return at_redshifts(self._model, point, self._z, outputs, k, extrapolate)
        if self._z is not None:
            point = {**point, "z": self._z}
        return self._model(point, outputs, k, extrapolate=extrapolate)

    def get_halo_model(self) -> dict[str, Any]:
        """Return the outputs at the current point by name, with ``k`` [1/Mpc], ``z`` and ``h``.

        Spectra [Mpc^3] have the shape (K,), or (Z, K) if z is a list; statistics (R,) or (Z, R), in
        their own units; numbers have the shape of z. All arrays are copies.
        """
        k = self._model.k if self._k is None else self._k
        results = self.current_state["halo_model"]
        return _Answer({"k": np.array(k)} | {n: np.copy(v) for n, v in results.items()})


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal arrays or numbers, or both None."""
    if one is None or other is None:
        return one is other
    return np.shape(one) == np.shape(other) and bool(np.all(np.equal(one, other)))


class _Answer(dict[str, Any]):
    """Outputs by name; the error for a missing one says that it was not requested."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(
            f"{name} was not requested: list it in the outputs of the requirement 'halo_model' "
            f"(there are {', '.join(self)})"
        )
