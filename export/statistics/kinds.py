r"""Functions of separation as outputs of an emulator: xi, w_p, Delta Sigma, Sigma.

::

    from hodspectra import DeltaSigma, Wp, load

    w_p, Delta_Sigma = Wp(r_p, pi_max=100), DeltaSigma(R)
    emulator = load("tinker10", occupation="zheng07")
    measured = emulator(points, outputs=[w_p, Delta_Sigma, "n_g"])
    measured["w_p"]  # (N, len(r_p))

With P the spectrum (gg, gm or mm; its 1-halo or 2-halo term, or their sum):

- xi(r) = int k^2 dk / (2 pi^2) P(k) j0(k r),
- w_p(r_p) = 2 int_0^pi_max xi[sqrt(r_p^2 + pi^2)] dpi, or int k dk / (2 pi) P(k) J0(k r_p) for
  pi_max infinite,
- Sigma(R) = rho_m int k dk / (2 pi) P(k) J0(k R), in excess of the mean,
- Delta Sigma(R) = rho_m int k dk / (2 pi) P(k) J2(k R) = mean Sigma within R minus Sigma at R.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.columns import numbers
from datagen.messages import did_you_mean
from datagen.outputs import CORRELATIONS, TERMS, Output
from export.ranges import read_only
from export.statistics.hankel import Transform, projected, spherical

__all__ = ["RHO_CRITICAL", "DeltaSigma", "Sigma", "Statistic", "Wp", "Xi", "statistic"]

Array = NDArray[np.float64]
Lengths = Literal["Mpc", "Mpc/h"]
Densities = Literal["Msun/Mpc^2", "Msun/pc^2", "h Msun/pc^2"]

RHO_CRITICAL = 2.77536627204e11  # h^2 Msun / Mpc^3, pyccl's value
SHORTEST, LONGEST = 0.02, 300.0  # Mpc, comoving: range of separations

_PER_PART = 8  # Gauss-Legendre nodes of the average over a part of a bin
_WIDEST_PART = 0.5  # of a bin, in ln r; errors are then below 1e-5
_ALONG = 160  # Gauss-Legendre nodes of the integral along the line of sight
_FAINTEST = 1e-3  # smallest pi_max / r_p: below, w_p would be a local quantity


@dataclass(frozen=True)
class Moment:
    """Weighted sums of a transform of the spectrum at radii.

    Attributes:
        transform: A transform of `hankel.spherical` or `hankel.projected`.
        radii: Radii in the lengths of the statistic, shape (R, Q).
        weights: Weights of the radii in each sum, shape (R, Q); those of an integral along the line
            of sight are in the lengths of the statistic.
    """

    transform: Transform
    radii: Array
    weights: Array


class _Sealed(type):
    """Metaclass of classes with immutable instances, which matrices are computed from.

    Instances of a class of the same name in another copy of the module count as instances, too:
    `hodspectra.locate` may load a module twice in one process, under two names.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether an object is of this class, or of its namesake in another copy of the module."""
        return super().__instancecheck__(instance) or any(
            type(one).__name__ == _Sealed.__name__ and one.__name__ == cls.__name__
            for one in type(instance).__mro__
        )

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Make an instance, and seal it."""
        made = super().__call__(*args, **options)
        vars(made)["_is_made"] = True
        return made


class Statistic(metaclass=_Sealed):
    """A function of separation that is linear in a power spectrum; immutable.

    Attributes:
        radii: Separations, or edges of bins, in `lengths`, read-only.
        bins: Whether ``radii`` are edges of bins, over which the statistic is averaged.
        name: Name of the total among the outputs of a call; names of terms end with ``_1h`` and
            ``_2h``.
        correlation: Correlated fields: ``gg``, ``gm`` or ``mm``.
        terms: Terms to return, of ``1h``, ``2h`` and ``total``.
        of: With two populations, the name of one of them, or both names for their cross power.
        bias: ``tinker05`` for scale-dependent bias in the 2-halo term, or empty; see
            `export.statistics.transition`.
        exclusion: ``spheres`` for a 2-halo term of gg or gm without overlapping haloes, or empty;
            see `export.statistics.transition`.
        lengths: Unit of all lengths, given and returned: ``Mpc`` or ``Mpc/h``.
        physical: Whether lengths and areas are physical instead of comoving.
        unit: Unit of the values.
    """

    kind: ClassVar[str]
    axis: ClassVar[Literal["r", "r_p", "R"]]
    _volume: ClassVar[int] = 2  # power of the radius in averages over bins: areas
    unit: str = "1"
    symbol: str

    def __init__(
        self,
        radii: ArrayLike,
        correlation: str,
        *,
        bins: bool = False,
        lengths: Lengths = "Mpc",
        physical: bool = False,
        terms: str | Sequence[str] = "total",
        of: str | Sequence[str] = (),
        bias: str = "",
        exclusion: str = "",
        name: str = "",
    ) -> None:
        if lengths not in ("Mpc", "Mpc/h"):
            raise ValueError(f"{self.kind}: lengths = {lengths!r} must be 'Mpc' or 'Mpc/h'")
        if correlation not in CORRELATIONS:
            raise ValueError(
                f"{self.kind}: correlation = {correlation!r} must be one of "
                f"{', '.join(CORRELATIONS)}"
            )
        self.bins, self.physical = self._choice("bins", bins), self._choice("physical", physical)
        self.lengths = lengths
        self.radii = read_only(_radii(radii, f"{self.kind}: {self.axis}", lengths, self.bins))
        if not isinstance(name, str):
            raise ValueError(f"{self.kind}: name = {name!r} must be a text")
        self.correlation, self.name = correlation, name or self._name(correlation)
        self.terms = (terms,) if isinstance(terms, str) else tuple(terms)
        once = [term for term in TERMS if term in self.terms]
        if not self.terms or len(once) != len(self.terms):
            raise ValueError(
                f"{self.kind}: terms = {terms!r} must be some of {', '.join(TERMS)}, each once"
            )
        self.of = (of,) if isinstance(of, str) else tuple(of)
        if len(self.of) > 2 or not all(isinstance(one, str) for one in self.of):
            raise ValueError(f"{self.kind}: of = {of!r} must be one population or two, by name")

        for option, value, known in (
            ("bias", bias, "tinker05"),
            ("exclusion", exclusion, "spheres"),
        ):
            if value not in ("", known):
                raise ValueError(f"{self.kind}: {option} = {value!r} must be {known!r}, or ''")
        if exclusion and (correlation == "mm" or self.of):
            raise ValueError(
                f"{self.kind}: exclusion is of galaxies of one population, with each other or with "
                f"matter"
            )
        self.bias, self.exclusion = bias, exclusion

    def __setattr__(self, name: str, value: Any) -> None:
        if "_is_made" in vars(self):
            raise AttributeError(
                f"{name} of a statistic cannot be changed; make another {self.kind}"
            )
        super().__setattr__(name, value)

    def _choice(self, option: str, value: Any) -> bool:
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{self.kind}: {option} = {value!r} must be True or False")
        return bool(value)

    def called(self, name: str) -> "Statistic":
        """Return a copy with another name."""
        other = copy(self)
        vars(other)["name"] = name
        return other

    def _name(self, correlation: str) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        low, high = self.radii[0], self.radii[-1]
        kind = "physical" if self.physical else "comoving"
        what = f"{len(self)} bins" if self.bins else f"{len(self)}"
        return f"<{self.kind} {self.name}: {what}, {low:g}..{high:g} {self.lengths} {kind}>"

    def __len__(self) -> int:
        """Number of values for a point, R."""
        return len(self.radii) - self.bins

    @property
    def outputs(self) -> dict[str, Output]:
        """Outputs by name, in the order of `terms`."""
        total = self.name
        parts = {term: total if term == "total" else f"{total}_{term}" for term in TERMS}
        found = {}
        for term in self.terms:
            raised = "" if term == "total" else rf"^\mathrm{{{term}}}"
            found[parts[term]] = Output(
                parts[term], self.axis, self.unit, self.symbol + raised, is_positive=False,
                correlation=self.correlation, term=term,
                terms=(parts["1h"], parts["2h"]) if term == "total" else (),
            )  # fmt: skip
        return found

    @property
    def spectra(self) -> dict[str, str]:
        """Name of the spectrum behind each of `terms`, by term."""
        prefix = "".join(f"{one}_" for one in self.of)
        return {term: f"{prefix}{self.correlation}_{term}" for term in self.terms}

    @property
    def needs(self) -> tuple[str, ...]:
        """Outputs of the emulator that are needed besides the spectra."""
        matter = ("mm_1h", "mm_2h") if self.bias else ()
        return (*matter, f"{self.correlation}_2h", "n_g") if self.exclusion else matter

    @property
    def is_bent(self) -> bool:
        """Whether the 2-halo term is modified by `bias` or `exclusion`."""
        return bool(self.bias or self.exclusion)

    @property
    def is_comoving(self) -> bool:
        """Whether lengths are comoving Mpc, the same for all points."""
        return self.lengths == "Mpc" and not self.physical

    def scale(self, point: Mapping[str, Any], xp: Any = np) -> Any:
        """Unit of the lengths [comoving Mpc] for each point, shape (N,), or 1.

        Args:
            point: Parameters by name, each (N,).
            xp: Array library, numpy or jax.numpy.
        """
        scale: Any = 1.0
        if self.lengths == "Mpc/h":
            scale = scale / xp.asarray(point["h"], float)
        if self.physical:
            scale = scale * (1 + self._redshift(point, xp))
        return scale

    def factor(self, point: Mapping[str, Any], xp: Any = np) -> Any:
        """Factor of the sums for each point, shape (N, 1), or None."""
        return None

    def _redshift(self, point: Mapping[str, Any], xp: Any) -> Any:
        if "z" not in point:
            raise ValueError(
                f"{self.kind}: physical lengths need a redshift; give z, or physical=False"
            )
        return xp.asarray(point["z"], float)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of additional parameters of the points, besides those of the emulator."""
        return ()

    def point_masses(self, point: Mapping[str, Any], xp: Any = np) -> Any:
        """Contribution of point masses to the total and 1-halo term, shape (N, R), or None."""
        return None

    def moment(self) -> Moment:
        """Transform of the spectrum, with radii and weights."""
        raise NotImplementedError

    def _averaged(self) -> tuple[Array, Array]:
        """Radii and weights of the averages over bins, (R, Q); Q = 1 without bins."""
        if not self.bins:
            return self.radii[:, None], np.ones((len(self.radii), 1))
        x, w = np.polynomial.legendre.leggauss(_PER_PART)
        low, high = np.log(self.radii[:-1, None]), np.log(self.radii[1:, None])
        parts = int(np.ceil((high - low).max() / _WIDEST_PART))
        x = (np.arange(parts)[:, None] + 0.5 * (x + 1)).ravel() / parts
        r = np.exp(low + (high - low) * x)
        weights = np.tile(w, parts) * r**self._volume
        return r, weights / weights.sum(axis=1, keepdims=True)


class Xi(Statistic):
    """The correlation function xi(r) in real space.

    Args:
        r: Separations, increasing; 0.02 to 300 Mpc.
        correlation: ``gg``, ``gm`` or ``mm``.
        options: ``bins``, ``lengths``, ``physical``, ``terms``, ``of``, ``bias``, ``exclusion``,
            ``name`` of `Statistic`.

    Raises:
        ValueError: Separations that do not increase or are out of range; an unknown option.

    Examples:
        >>> from hodspectra import Xi
        >>> Xi([1.0, 10.0, 50.0], "gm")
        <Xi xi_gm: 3, 1..50 Mpc comoving>
    """

    kind, axis, _volume = "Xi", "r", 3

    def __init__(self, r: ArrayLike, correlation: str = "gg", **options: Any) -> None:
        super().__init__(r, correlation, **_known(options, self.kind))
        self.symbol = rf"\xi_\mathrm{{{correlation}}}"

    def _name(self, correlation: str) -> str:
        return f"xi_{correlation}"

    def moment(self) -> Moment:
        """See `Statistic.moment`."""
        return Moment(spherical(0), *self._averaged())


class Wp(Statistic):
    """The projected correlation function w_p(r_p), in `lengths`.

    Args:
        r_p: Projected separations, increasing; 0.02 to 300 Mpc.
        pi_max: Half the length of the line of sight, in `lengths`; infinite by default.
        kaiser: Multiply by the ratio of linear theory with and without redshift-space distortions,
            for a finite line of sight: van den Bosch et al. 2013 (MNRAS 430, 725), equation 48,
            with the multipoles of Kaiser (1987) and Hamilton (1992), beta = f / b_eff and the
            growth rate f of Linder (2005), accurate to 0.3 %.
        correlation: ``gg``, ``gm`` or ``mm``.
        options: ``bins``, ``lengths``, ``physical``, ``terms``, ``of``, ``bias``, ``exclusion``,
            ``name`` of `Statistic`.

    Raises:
        ValueError: Separations that do not increase or are out of range; pi_max that is not
            positive; an unknown option.

    Examples:
        >>> import numpy as np
        >>> from hodspectra import Wp, load
        >>> w_p = Wp(np.geomspace(0.1, 30, 12), pi_max=60, lengths="Mpc/h")
        >>> w_p
        <Wp w_p: 12, 0.1..30 Mpc/h comoving>
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> emulator(emulator.example, [w_p, "n_g"])["w_p"].shape
        (12,)
    """

    kind, axis, symbol = "Wp", "r_p", r"w_\mathrm{p}"

    def __init__(
        self,
        r_p: ArrayLike,
        pi_max: float | None = None,
        *,
        kaiser: bool = False,
        correlation: str = "gg",
        **options: Any,
    ) -> None:
        super().__init__(r_p, correlation, **_known(options, self.kind))
        self.unit = self.lengths
        given = np.inf if pi_max is None else numbers(pi_max, "Wp: pi_max", self.lengths)
        if np.ndim(given) or not given > 0:
            raise ValueError(f"Wp: pi_max = {pi_max!r} must be one number above 0 {self.lengths}")
        self.pi_max, self.kaiser = float(given), self._choice("kaiser", kaiser)
        if self.pi_max < _FAINTEST * self.radii[-1]:
            raise ValueError(
                f"Wp: pi_max = {self.pi_max:g} {self.lengths} is below a thousandth of r_p"
            )
        if self.kaiser and (correlation != "gg" or np.isinf(self.pi_max)):
            raise ValueError(
                "Wp: kaiser is for galaxies (correlation 'gg') and a finite pi_max: of an "
                "infinite one w_p does not depend on velocities"
            )

    def _name(self, correlation: str) -> str:
        return "w_p" if correlation == "gg" else f"w_p_{correlation}"

    @property
    def needs(self) -> tuple[str, ...]:
        """See `Statistic.needs`."""
        if not self.kaiser:
            return super().needs
        return (*super().needs, "P_lin", *self.biases)

    @property
    def biases(self) -> tuple[str, ...]:
        """Names of the outputs with the bias of each population."""
        return tuple(f"{one}_b_eff" for one in self.of) or ("b_eff",)

    def moment(self) -> Moment:
        """See `Statistic.moment`."""
        if np.isinf(self.pi_max):
            return Moment(projected(0), *self._averaged())
        return self.multipole(0)

    def factor(self, point: Mapping[str, Any], xp: Any = np) -> Any:
        """See `Statistic.factor`; converts w_p of an infinite line of sight from Mpc."""
        if np.isinf(self.pi_max) and not self.is_comoving:
            return 1 / self.scale(point, xp)[:, None]
        return None

    @staticmethod
    def velocities(beta: Sequence[Any], moments: Sequence[Any]) -> Any:
        """Factor of w_p from peculiar velocities in linear theory, shape (N, R); see `Wp`.

        Args:
            beta: f / b of the population, or of both populations, each (N,).
            moments: Multipoles of order 0, 2, 4 of the linear power, each (N, R).
        """
        one, two = beta[0], beta[-1]
        both, product = (one + two)[:, None], (one * two)[:, None]
        w_0, w_2, w_4 = moments
        # the transform of order 2 enters with a minus sign: i^l j_l
        moved = (1 + both / 3 + product / 5) * w_0
        moved = moved - (2 * both / 3 + 4 * product / 7) * w_2
        return (moved + 8 * product / 35 * w_4) / w_0

    def multipole(self, order: int) -> Moment:
        """2 int_0^pi_max L_l(pi / r) T_l(r) dpi, with the transform T_l of order l."""
        r_p, average = self._averaged()
        x, w = np.polynomial.legendre.leggauss(_ALONG)
        end = np.arcsinh(self.pi_max / r_p)[..., None]
        t = 0.5 * end * (x + 1)
        r = r_p[..., None] * np.cosh(t)  # dpi = r dt with pi = r_p sinh t
        legendre = np.polynomial.legendre.Legendre.basis(order)(np.tanh(t))
        weights = average[..., None] * end * w * r * legendre
        return Moment(spherical(order), r.reshape(len(r), -1), weights.reshape(len(r), -1))


class Sigma(Statistic):
    """The surface density of matter around galaxies in excess of the mean, Sigma(R).

    Args:
        R: Projected separations, increasing; 0.02 to 300 Mpc.
        units: ``Msun/Mpc^2``, ``Msun/pc^2`` or ``h Msun/pc^2``.
        correlation: ``gm`` or ``mm``.
        options: ``bins``, ``lengths``, ``physical``, ``terms``, ``of``, ``bias``, ``exclusion``,
            ``name`` of `Statistic`.

    Raises:
        ValueError: Separations that do not increase or are out of range; an unknown unit or option.
    """

    kind, axis, symbol = "Sigma", "R", r"\Sigma"
    _order = 0

    def __init__(
        self,
        R: ArrayLike,
        *,
        units: Densities = "Msun/Mpc^2",
        correlation: str = "gm",
        **options: Any,
    ) -> None:
        super().__init__(R, correlation, **_known(options, self.kind))
        if units not in ("Msun/Mpc^2", "Msun/pc^2", "h Msun/pc^2"):
            raise ValueError(
                f"{self.kind}: units = {units!r} must be 'Msun/Mpc^2', 'Msun/pc^2' or 'h Msun/pc^2'"
            )
        if correlation == "gg":
            raise ValueError(f"{self.kind} is of matter: correlation must be 'gm' or 'mm'")
        self.unit = units

    def _name(self, correlation: str) -> str:
        return self.kind if correlation == "gm" else f"{self.kind}_{correlation}"

    def factor(self, point: Mapping[str, Any], xp: Any = np) -> Any:
        """See `Statistic.factor`: the mean density, in units of the result."""
        Om_c, Om_b, h = (xp.asarray(point[name], float) for name in ("Om_c", "Om_b", "h"))
        rho_m = RHO_CRITICAL * (Om_c + Om_b) * h**2
        return (rho_m * self._per_area(point, h, xp))[:, None]

    def _per_area(self, point: Mapping[str, Any], h: Any, xp: Any) -> Any:
        """One Msun / Mpc^2 (comoving) in units of the result."""
        factor: Any = 1.0 if self.unit == "Msun/Mpc^2" else 1e-12
        if self.unit == "h Msun/pc^2":
            factor = factor / h
        if self.physical:
            factor = factor * (1 + self._redshift(point, xp)) ** 2
        return factor

    def moment(self) -> Moment:
        """See `Statistic.moment`."""
        return Moment(projected(self._order), *self._averaged())


class DeltaSigma(Sigma):
    """The excess surface density of matter around galaxies, Delta Sigma(R).

    Args:
        R: Projected separations, increasing; 0.02 to 300 Mpc.
        units: ``Msun/Mpc^2``, ``Msun/pc^2`` or ``h Msun/pc^2``.
        point_mass: Point mass at the centre of each lens [Msun]: a number, or the name of an
            additional parameter of the points, such as ``M_point``. It adds M / (pi R^2).
        correlation: ``gm`` or ``mm``.
        options: ``bins``, ``lengths``, ``physical``, ``terms``, ``of``, ``bias``, ``exclusion``,
            ``name`` of `Statistic`.

    Raises:
        ValueError: Separations that do not increase or are out of range; an unknown unit or option.

    Examples:
        >>> from hodspectra import DeltaSigma, load
        >>> lensing = DeltaSigma([0.1, 1.0, 10.0], units="Msun/pc^2", point_mass="M_point")
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> emulator(emulator.example | {"M_point": 1e11}, lensing)["Delta_Sigma"].shape
        (3,)
    """

    kind, axis, symbol = "DeltaSigma", "R", r"\Delta\Sigma"
    _order = 2

    def __init__(
        self,
        R: ArrayLike,
        *,
        point_mass: float | str = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(R, **options)
        self.point_mass = point_mass
        if not isinstance(point_mass, str):
            given = numbers(point_mass, f"{self.kind}: point_mass", "Msun")
            if np.ndim(given) or not 0 <= given < np.inf:
                raise ValueError(f"{self.kind}: point_mass = {point_mass!r} must be a mass [Msun]")
            self.point_mass = float(given)
        elif not point_mass or point_mass.startswith("log"):
            raise ValueError(
                f"{self.kind}: point_mass = {point_mass!r} must be the name of a mass in Msun, not "
                f"of its logarithm"
            )

    @property
    def parameters(self) -> tuple[str, ...]:
        """See `Statistic.parameters`."""
        return (self.point_mass,) if isinstance(self.point_mass, str) else ()

    def _name(self, correlation: str) -> str:
        return "Delta_Sigma" if correlation == "gm" else f"Delta_Sigma_{correlation}"

    def point_masses(self, point: Mapping[str, Any], xp: Any = np) -> Any:
        """See `Statistic.point_masses`."""
        if self.point_mass == 0.0:
            return None
        given = point[self.point_mass] if isinstance(self.point_mass, str) else self.point_mass
        mass = xp.asarray(given, float).reshape(-1, 1)
        r, weights = self._averaged()
        per_area = np.sum(weights / (np.pi * r**2), axis=1)
        h = xp.asarray(point["h"], float)
        area = xp.asarray(self.scale(point, xp), float).reshape(-1, 1) ** 2
        unit = xp.asarray(self._per_area(point, h, xp), float).reshape(-1, 1)
        return mass * per_area / area * unit


KINDS: dict[str, type[Statistic]] = {one.kind: one for one in (Xi, Wp, Sigma, DeltaSigma)}


def statistic(given: Any) -> Statistic:
    """Return a statistic from a record such as ``{"kind": "Wp", "r_p": [...], "pi_max": 60}``.

    Args:
        given: A statistic, which is returned unchanged, or a record with the name of its class as
            ``kind`` and the arguments by name.

    Raises:
        ValueError: If the argument is neither of these, or has an unknown kind or argument.
    """
    if isinstance(given, Statistic):
        return given
    if not isinstance(given, Mapping) or "kind" not in given:
        raise ValueError(
            f"{given!r} is not a statistic: give {', '.join(KINDS)}, or a record with its kind, "
            f"{{'kind': 'Wp', 'r_p': [...], 'pi_max': 60}}"
        )
    arguments = {name: value for name, value in given.items() if name != "kind"}
    if given["kind"] not in KINDS:
        raise ValueError(
            f"no statistic {given['kind']}{did_you_mean(given['kind'], KINDS)}; there are "
            f"{', '.join(KINDS)}"
        )
    try:
        return KINDS[given["kind"]](**arguments)
    except TypeError as error:
        raise ValueError(f"{given['kind']}: {error}") from None


_OPTIONS = ("bins", "lengths", "physical", "terms", "of", "bias", "exclusion", "name")


def _known(options: dict[str, Any], kind: str) -> dict[str, Any]:
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(
                f"{kind}: no option {name}{did_you_mean(name, _OPTIONS)}; there are "
                f"{', '.join(_OPTIONS)}"
            )
    return options


def _radii(given: ArrayLike, what: str, lengths: str, bins: bool) -> Array:
    radii = np.atleast_1d(numbers(given, what, lengths)).astype(np.float64)
    if radii.ndim != 1 or len(radii) < 1 + bins:
        expected = "edges of bins, two at least" if bins else "(R,)"
        raise ValueError(f"{what} has shape {radii.shape}, expected {expected}")
    if not np.isfinite(radii).all() or not (radii > 0).all():
        i = int(np.argmax(~(np.isfinite(radii) & (radii > 0))))
        raise ValueError(f"{what}[{i}] = {radii[i]:g} must be above 0 {lengths}")
    if (np.diff(radii) <= 0).any():
        i = int(np.argmax(np.diff(radii) <= 0))
        raise ValueError(
            f"{what} must increase, but {what.split()[-1]}[{i}] = {radii[i]:g} is followed by "
            f"{radii[i + 1]:g} {lengths}; sort it"
        )
    return radii
