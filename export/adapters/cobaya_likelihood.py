"""A Cobaya likelihood for a file of measurements, for fits without code.

::

    theory:
      hodspectra.cobaya.HaloModel:
        emulator: tinker10
        occupation: zheng07
    likelihood:
      hodspectra.cobaya.Gaussian:
        data: sample.csv               # w_p, Delta Sigma, ..., n_g: see export.measurements
        covariance: covariance.txt     # default: as in the data file
        cuts: {w_p: [0.5, 40]}         # default: all separations
        z: 0.52

For several independent files use several likelihoods with different names, each with
``class: hodspectra.cobaya.Gaussian``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from cobaya.likelihood import Likelihood
from cobaya.log import LoggedError
from cobaya.theory import Provider
from numpy.typing import NDArray

from datagen.columns import numbers
from export.measurements import Measurements
from export.runtime import OnnxEmulator

__all__ = ["Gaussian"]


class Gaussian(Likelihood):
    """A Gaussian likelihood of a file of measurements, ln L = -chi^2 / 2.

    Attributes:
        data: File of measurements; see `export.measurements` for the format.
        covariance: File with the covariance of all rows of `data`, in their order; default: the
            file that `data` names, else independent errors.
        cuts: Range of separations to use of each statistic, in its lengths: ``{w_p: [0.5, 40]}``.
        z: Redshift of the measurements, unless it is an option of the theory or a parameter.
    """

    data: str | Path | None = None
    covariance: str | Path | None = None
    cuts: dict[str, Any] | None = None
    z: Any = None
    _enforce_types = True

    def initialize(self) -> None:
        """Read the files.

        Raises:
            LoggedError: No file, an invalid one, or more than one redshift.
        """
        if self.data is None:
            raise LoggedError(self.log, "give the option data: a file of measurements")
        try:
            cuts = {name: _ends(name, ends) for name, ends in (self.cuts or {}).items()}
            self.measured = Measurements.read(self.data, self.covariance, cuts)
            if self.z is not None and np.ndim(numbers(self.z, "z", "1")):
                raise ValueError(f"z = {self.z} must be one number; a file has one redshift")
        except (OSError, ValueError) as error:
            raise LoggedError(self.log, "%s", error) from error
        # names that no other likelihood uses
        self._names = {
            one.name: f"{self.get_name()}: {one.name}" for one in self.measured.statistics
        }
        self.log.info("%s", self.measured)

    def get_requirements(self) -> dict[str, Any]:
        """Return the measured statistics and numbers as outputs of the theory."""
        asked: dict[str, Any] = {
            "statistics": {self._names[one.name]: one for one in self.measured.statistics},
            "outputs": list(self.measured.numbers),
        }
        return {"halo_model": asked if self.z is None else asked | {"z": self.z}}

    def initialize_with_provider(self, provider: Provider) -> None:
        """Check that the theory is at one redshift.

        Raises:
            LoggedError: The theory has several redshifts.
        """
        super().initialize_with_provider(provider)
        z: Any = getattr(provider.requirement_providers.get("halo_model"), "z", None)
        if np.size(z) > 1:
            raise LoggedError(
                self.log, "the theory has the redshifts %s, but %s has one; give the likelihood "
                "the option z in place of the theory", z, self.data,
            )  # fmt: skip

    def logp(self, **_parameters: Any) -> float:
        """Return ln L = -chi^2 / 2 at the current point."""
        return -0.5 * float(self.measured.chi2_of(self.predicted()))

    def predicted(self) -> NDArray[np.float64]:
        """Return the predictions for ``measured.data`` at the current point, shape (D,)."""
        answer: Mapping[str, Any] = self.provider.get_halo_model()
        found = {name: np.ravel(answer[theirs]) for name, theirs in self._names.items()}
        found |= {name: np.ravel(answer[name])[0] for name in self.measured.numbers}

        def given(*_call: Any, **_options: Any) -> dict[str, Any]:
            return found

        # stands in for an emulator, and returns the results of the theory
        return self.measured.model(cast(OnnxEmulator, given), {"h": answer["h"]}, out_of_range=None)


def _ends(name: str, given: Any) -> tuple[Any, Any]:
    """Both ends of a cut; Cobaya may have turned a list of a YAML file into an array."""
    ends = list(given) if np.ndim(given) == 1 and not isinstance(given, str) else []
    if len(ends) != 2:
        raise ValueError(f"cuts: {name} = {given!r} must be two numbers, [low, high]")
    return ends[0], ends[1]
