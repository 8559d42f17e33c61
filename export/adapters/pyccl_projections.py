r"""Angular statistics with pyccl: C_ell, w(theta) and gamma_t(theta).

::

    C_ell = angular_power(cosmo, ell, (z, n), occupation="zheng07", log10Mmin=12.5, ...)
    w = w_theta(cosmo, theta, (z, n), occupation="zheng07", log10Mmin=12.5, ...)
    gamma_t = gamma_t(cosmo, theta, lenses, sources, occupation="zheng07", log10Mmin=12.5, ...)

pyccl projects the spectra of an emulator along the line of sight. Angular correlations follow from
the C_ell as

- w(theta) = int L dL / (2 pi) C_ell J0(L theta) (theta / sin theta)^(1/2), with
  L^2 = (ell + 1/2)^2 + 1/12, and
- gamma_t(theta) with J2 in place of J0, and L^2 = (ell + 1/2)^2 - 5/4,

which equal the sums over multipoles on the full sky up to terms of the order of
theta^2 (ell + 1/2)^-2. They are evaluated with complex powers of L, as in `export.statistics`, and
not with ``pyccl.correlation``: its FFTLog ends at ell = 60,000 by default, where C_ell of galaxies
is still large, so that it oscillates (by up to a third below 0.1 degrees for a sample at z = 1.15).

Redshift-space distortions, magnification and intrinsic alignments are not included. The occupation
is the same at all redshifts of a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyccl
from numpy.typing import ArrayLike, NDArray

from datagen.columns import numbers
from datagen.messages import did_you_mean
from datagen.outputs import CORRELATIONS, TERMS, name_of, output
from export.adapters.common import at_redshifts, centre, redshift
from export.adapters.for_pyccl import HaloModelPk
from export.adapters.pyccl_physics import cosmology_of
from export.interpolate import AtK
from export.runtime import OnnxEmulator, load
from export.statistics.evaluate import NODES, modes
from export.statistics.hankel import projected
from export.statistics.kinds import SHORTEST

__all__ = ["angular_power", "gamma_t", "w_theta"]

Array = NDArray[np.float64]
Unit = Literal["deg", "arcmin", "rad"]
Limber = int | Literal["auto"]

_UNITS = {"deg": np.pi / 180, "arcmin": np.pi / 10800, "rad": 1.0}
_GRID = 400  # wavenumbers, from the first node to the emulator's last
_K_MAX = 1e5  # 1/Mpc; up to here, spectra continue as parabolas in ln k
_LAST = 2e3  # 1/Mpc at the mean redshift; beyond, C_ell continues as a power of L
_Z_NODES = 24
_FINE = 512  # points of n(z) that are passed to pyccl
_NOTHING = 1e-8  # fraction of the maximum of n(z) below which it counts as 0
_FKEM = {"fkem_chi_min": 1e-1, "fkem_Nchi": 4096}  # Mpc, and points; pyccl warns of its defaults
_MARGIN = 5e-3  # in ln(1 + z), on both sides of the redshifts of galaxies


def angular_power(
    cosmo: pyccl.Cosmology,
    ell: ArrayLike,
    n_z_1: tuple[ArrayLike, ArrayLike],
    n_z_2: tuple[ArrayLike, ArrayLike] | None = None,
    kind: str = "gg",
    *,
    emulator: str | Path | OnnxEmulator = "standard",
    occupation: Any = None,
    term: str = "total",
    of: str | Sequence[str] = (),
    l_limber: Limber = -1,
    **parameters: float,
) -> Any:
    """Angular power spectra C_ell of galaxy counts and shear.

    Args:
        cosmo: A flat w0waCDM cosmology; see `HaloModelPk`.
        ell: Multipoles, increasing, shape (L,) or a number.
        n_z_1: Redshift distribution (z, n) in any normalisation, interpolated linearly: of the
            galaxies for ``gg`` and ``gm``, of the sources for ``mm``.
        n_z_2: Redshift distribution of the second sample: galaxies for ``gg``, sources for ``gm``
            and ``mm``. By default the first one; required for ``gm``.
        kind: ``gg`` (counts and counts), ``gm`` (counts and shear) or ``mm`` (shear and shear).
        emulator: A file, the name of a shipped emulator, or an open emulator, which saves time.
        occupation: Occupation in place of the one in the file; see `HaloModelPk`.
        term: ``1h``, ``2h`` or ``total``.
        of: With two populations, the name of one, or both names for their cross power.
        l_limber: The ell above which Limber's approximation is used; ``auto`` chooses it. Below,
            b_eff^2 P_lin is projected with FKEM of pyccl (Fang et al. 2020, JCAP 05, 010), and the
            rest, including the whole 1-halo term, with Limber's approximation.
        parameters: Parameters of the occupation; none are needed for ``mm``.

    Returns:
        C_ell, shape (L,), or a number.

    Raises:
        ValueError: ell that do not increase, or whose wavenumbers at the mean redshift exceed those
            of the emulator; n(z) that is negative, empty, unsorted, or outside the redshifts of the
            emulator; unknown kind, term or population; missing or unknown parameters.

    Examples:
        >>> import numpy as np
        >>> import pyccl
        >>> from hodspectra import load
        >>> from hodspectra.pyccl import angular_power
        >>> cosmo = pyccl.Cosmology(Omega_c=0.25, Omega_b=0.05, h=0.7, sigma8=0.8, n_s=0.96)
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> galaxies = {"log10Mmin": 12.5, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 13.6}
        >>> z = np.linspace(0, 2, 200)
        >>> lenses = z, np.exp(-0.5 * ((z - 0.5) / 0.05) ** 2)
        >>> C_ell = angular_power(
        ...     cosmo, [10, 100, 1000], lenses, emulator=emulator, alpha=1.0, **galaxies
        ... )
        >>> C_ell.shape
        (3,)
    """
    pair = _Pair.of(cosmo, kind, n_z_1, n_z_2, emulator, occupation, term, of, parameters)
    wanted = np.atleast_1d(numbers(ell, "ell", "1")).astype(np.float64)
    _check_increasing(wanted, "ell", "", lowest=0.0)
    k = (wanted[-1] + 0.5) / pair.distance
    if k > pair.spectra.emulator.k[-1]:
        raise ValueError(
            f"ell = {wanted[-1]:g} is k = {k:.4g} 1/Mpc at z = {pair.mean_z:.3g}, the mean of the "
            f"sample; the emulator ends at {pair.spectra.emulator.k[-1]:g} 1/Mpc"
        )
    C_ell = pair.power(wanted, l_limber)
    return C_ell if np.ndim(ell) else C_ell[0]


def w_theta(
    cosmo: pyccl.Cosmology,
    theta: ArrayLike,
    n_z: tuple[ArrayLike, ArrayLike],
    n_z_2: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    unit: Unit = "deg",
    emulator: str | Path | OnnxEmulator = "standard",
    occupation: Any = None,
    term: str = "total",
    of: str | Sequence[str] = (),
    l_limber: Limber = -1,
    **parameters: float,
) -> Any:
    """The angular correlation function of galaxies, w(theta).

    The integral constraint is not subtracted; w is negative beyond its zero crossing.

    Args:
        cosmo: A flat w0waCDM cosmology; see `HaloModelPk`.
        theta: Angles, increasing, in `unit`, shape (T,) or a number; at least 0.02 Mpc at the mean
            redshift of the galaxies.
        n_z: Redshift distribution (z, n); see `angular_power`.
        n_z_2: Redshift distribution of a second sample, for a cross correlation.
        unit: Unit of theta: ``deg``, ``arcmin`` or ``rad``.
        emulator: See `angular_power`.
        occupation: See `angular_power`.
        term: See `angular_power`.
        of: See `angular_power`.
        l_limber: See `angular_power`.
        parameters: Parameters of the occupation.

    Returns:
        w, shape (T,), or a number.

    Raises:
        ValueError: See `angular_power`; angles that do not increase, or are not between 0.02 Mpc
            and 180 degrees.

    Examples:
        >>> import numpy as np
        >>> import pyccl
        >>> from hodspectra import load
        >>> from hodspectra.pyccl import w_theta
        >>> cosmo = pyccl.Cosmology(Omega_c=0.25, Omega_b=0.05, h=0.7, sigma8=0.8, n_s=0.96)
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> galaxies = {"log10Mmin": 12.5, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 13.6}
        >>> z = np.linspace(0, 2, 200)
        >>> lenses = z, np.exp(-0.5 * ((z - 0.5) / 0.05) ** 2)
        >>> w = w_theta(cosmo, [0.1, 1.0], lenses, emulator=emulator, alpha=1.0, **galaxies)
        >>> w.shape
        (2,)
    """
    pair = _Pair.of(cosmo, "gg", n_z, n_z_2, emulator, occupation, term, of, parameters)
    return pair.correlation(theta, unit, 0, l_limber)


def gamma_t(
    cosmo: pyccl.Cosmology,
    theta: ArrayLike,
    lens_n_z: tuple[ArrayLike, ArrayLike],
    source_n_z: tuple[ArrayLike, ArrayLike],
    *,
    unit: Unit = "deg",
    emulator: str | Path | OnnxEmulator = "standard",
    occupation: Any = None,
    term: str = "total",
    of: str | Sequence[str] = (),
    l_limber: Limber = -1,
    **parameters: float,
) -> Any:
    """The mean tangential shear of sources around lenses.

    Args:
        cosmo: A flat w0waCDM cosmology; see `HaloModelPk`.
        theta: Angles, increasing, in `unit`, shape (T,) or a number; at least 0.02 Mpc at the mean
            redshift of the lenses.
        lens_n_z: Redshift distribution of the lenses (z, n); see `angular_power`.
        source_n_z: Redshift distribution of the sources, which may exceed the redshifts of the
            emulator.
        unit: Unit of theta: ``deg``, ``arcmin`` or ``rad``.
        emulator: See `angular_power`.
        occupation: See `angular_power`.
        term: See `angular_power`.
        of: See `angular_power`.
        l_limber: See `angular_power`.
        parameters: Parameters of the occupation.

    Returns:
        gamma_t, shape (T,), or a number.

    Raises:
        ValueError: See `w_theta`.

    Examples:
        >>> import numpy as np
        >>> import pyccl
        >>> from hodspectra import load
        >>> from hodspectra.pyccl import gamma_t
        >>> cosmo = pyccl.Cosmology(Omega_c=0.25, Omega_b=0.05, h=0.7, sigma8=0.8, n_s=0.96)
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> galaxies = {"log10Mmin": 12.5, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 13.6}
        >>> z = np.linspace(0, 2, 200)
        >>> lenses = z, np.exp(-0.5 * ((z - 0.5) / 0.05) ** 2)
        >>> sources = z, z**2 * np.exp(-((z / 0.5) ** 1.5))
        >>> gamma = gamma_t(
        ...     cosmo, [0.1, 1.0], lenses, sources, emulator=emulator, alpha=1.0, **galaxies
        ... )
        >>> gamma.shape
        (2,)
    """
    pair = _Pair.of(cosmo, "gm", lens_n_z, source_n_z, emulator, occupation, term, of, parameters)
    return pair.correlation(theta, unit, 2, l_limber)


@dataclass(frozen=True)
class _Sample:
    """A galaxy sample along the line of sight.

    Attributes:
        z: Redshifts of a fine grid, shape (`_FINE`,).
        n: Their distribution, in any normalisation, shape (`_FINE`,).
    """

    z: Array
    n: Array

    @classmethod
    def of(cls, given: Any, said: str) -> "_Sample":
        """Check a redshift distribution (z, n); see `angular_power`."""
        try:
            z, n = (np.asarray(numbers(one, said, "1"), np.float64) for one in given)
        except TypeError:
            raise ValueError(
                f"{said} = {given!r} must be redshifts and densities, (z, n)"
            ) from None
        except ValueError as error:
            if "unpack" not in str(error):
                raise
            raise ValueError(f"{said} must be two arrays, (z, n)") from None
        if z.ndim != 1 or z.shape != n.shape or len(z) < 2:
            raise ValueError(
                f"{said}: z and n have the shapes {z.shape} and {n.shape}, expected two alike, "
                f"(Z,), with at least 2 redshifts"
            )
        _check_increasing(z, f"z of {said}", "", lowest=0.0)
        if not (np.isfinite(n) & (n >= 0)).all():
            i = int(np.argmin(np.isfinite(n) & (n >= 0)))
            raise ValueError(
                f"{said}: n = {n[i]:g} at z = {z[i]:g} must be finite, and not below 0"
            )
        there = np.flatnonzero(n > _NOTHING * n.max())
        if not len(there):
            raise ValueError(f"{said} is empty: n = 0 at all of its {len(z)} redshifts")
        first, last = max(there[0] - 1, 0), min(there[-1] + 1, len(z) - 1)
        if first == last:
            raise ValueError(f"{said} has galaxies at z = {z[first]:g} only; give it a width")
        fine = np.unique(np.r_[np.linspace(z[first], z[last], _FINE), z[first : last + 1]])
        return cls(fine, np.interp(fine, z, n))

    @property
    def mean(self) -> float:
        """The mean redshift."""
        return float(np.trapezoid(self.z * self.n, self.z) / np.trapezoid(self.n, self.z))

    def counts(self, cosmo: pyccl.Cosmology, bias: Array) -> pyccl.NumberCountsTracer:
        """The sample as a tracer of number counts, with a bias at its redshifts."""
        return pyccl.NumberCountsTracer(
            cosmo, has_rsd=False, dndz=(self.z, self.n), bias=(self.z, bias)
        )

    def shear(self, cosmo: pyccl.Cosmology) -> pyccl.WeakLensingTracer:
        """The sample as sources of shear."""
        return pyccl.WeakLensingTracer(cosmo, dndz=(self.z, self.n), n_samples=4 * _FINE)


@dataclass(frozen=True)
class _Pair:
    """Two samples and their cross spectrum."""

    cosmo: pyccl.Cosmology
    kind: str
    one: _Sample
    two: _Sample
    spectra: HaloModelPk
    populations: tuple[str, ...]
    ends: tuple[float, float]  # range of redshifts that contribute

    @classmethod
    def of(
        cls,
        cosmo: pyccl.Cosmology,
        kind: str,
        n_z_1: Any,
        n_z_2: Any,
        emulator: Any,
        occupation: Any,
        term: str,
        of: str | Sequence[str],
        parameters: dict[str, float],
    ) -> "_Pair":
        """Check the arguments of `angular_power`."""
        for what, value, known in (("kind", kind, CORRELATIONS), ("term", term, TERMS)):
            if value not in known:
                hint = did_you_mean(value, known) if isinstance(value, str) else ""
                raise ValueError(f"{what} = {value!r}{hint} must be one of {', '.join(known)}")
        populations = (of,) if isinstance(of, str) else tuple(of)
        name = "".join(f"{each}_" for each in populations) + name_of(kind, term)
        if not isinstance(emulator, OnnxEmulator):
            emulator, occupation = load(emulator, occupation=occupation), None
        if kind == "mm" and not parameters:  # the matter spectrum needs no galaxies
            middle = centre(emulator)
            parameters = {p.name: middle[p.name] for p in emulator.parameters if p.is_occupation}
        if odd := {"output", "extrapolate"} & parameters.keys():
            raise ValueError(f"{odd.pop()} is not a parameter of the occupation")
        spectra = HaloModelPk(name, emulator, occupation=occupation, **cast(Any, parameters))
        if kind == "gm" and n_z_2 is None:
            raise ValueError("gm: give n_z_2, the redshifts of the sources")
        first, second = {
            "gg": ("n(z)", "n(z) of the second sample"),
            "gm": ("n(z) of the lenses", "n(z) of the sources"),
            "mm": ("n(z) of the sources", "n(z) of the second sources"),
        }[kind]
        one = _Sample.of(n_z_1, first)
        two = one if n_z_2 is None else _Sample.of(n_z_2, second)
        galaxies = {"gg": (one, two), "gm": (one,), "mm": ()}[kind]
        ends = _ends(spectra.emulator, zip(galaxies, (first, second), strict=False), one, two)
        return cls(cosmo, kind, one, two, spectra, populations, ends)

    @property
    def mean_z(self) -> float:
        """Redshift of the signal: the mean of the first sample, or half of that for shear."""
        return self.one.mean if self.kind != "mm" else self.one.mean / 2

    @property
    def distance(self) -> float:
        """Comoving distance to `mean_z` [Mpc]."""
        return float(self.cosmo.comoving_radial_distance(1 / (1 + self.mean_z)))

    def power(self, ell: Array, l_limber: Limber) -> Array:
        """C_ell, shape (L,)."""
        if not (l_limber == "auto" or type(l_limber) is int):
            raise ValueError(f"l_limber = {l_limber!r} must be an integer, or 'auto'")
        is_limber = l_limber == -1 or output(self.spectra.output).term == "1h"
        z = _nodes(self.ends)
        table, biases = self._table(z, with_bias=not is_limber)
        for bias in biases:
            table = table / bias[:, None]
        p_of_k_a = self._spectrum(z, table)
        tracers = []
        for i, sample in enumerate((self.one, self.two)):
            if self.kind == "mm" or (self.kind == "gm" and i == 1):
                tracers.append(sample.shear(self.cosmo))
            else:
                ln_b = np.log(biases[i]) if biases else np.zeros(len(z))
                at = np.interp(-np.log1p(sample.z), -np.log1p(z), ln_b)
                tracers.append(sample.counts(self.cosmo, np.exp(at)))
        options: dict[str, Any] = {}
        if not is_limber:
            options = {"l_limber": l_limber, "p_of_k_a_lin": self._linear()} | _FKEM
        C_ell = pyccl.angular_cl(self.cosmo, *tracers, ell, p_of_k_a=p_of_k_a, **options)
        return np.asarray(C_ell, np.float64)

    def correlation(self, theta: ArrayLike, unit: Unit, order: int, l_limber: Limber) -> Any:
        """Transform C_ell to angles with a Bessel function of order 0 or 2, (T,) or a number."""
        if unit not in _UNITS:
            raise ValueError(f"unit = {unit!r} must be one of {', '.join(_UNITS)}")
        angles = np.atleast_1d(numbers(theta, "theta", unit)).astype(np.float64)
        _check_increasing(angles, "theta", f" {unit}")
        radians = angles * _UNITS[unit]
        if radians[-1] >= np.pi:
            raise ValueError(
                f"theta = {angles[-1]:g} {unit} must be below 180 degrees; set its unit, "
                f"unit='deg', 'arcmin' or 'rad'"
            )
        R = radians * self.distance
        if R[0] < SHORTEST * (1 - 1e-6):
            raise ValueError(
                f"theta = {angles[0]:g} {unit} is {R[0]:.3g} Mpc at z = {self.mean_z:.3g}, the "
                f"mean redshift of the galaxies; the smallest separation is {SHORTEST:g} Mpc"
            )
        C = self._at_nodes(l_limber, order)
        matrix = modes().rows(projected(order), R[:, None], np.ones((len(R), 1))).matrix()
        result = matrix @ C * self.distance**2 * np.sqrt(radians / np.sin(radians))
        return result if np.ndim(theta) else float(result[0])

    def _at_nodes(self, l_limber: Limber, order: int) -> Array:
        """C_ell at L = chi `NODES`, continued as powers of L beyond the range of pyccl."""
        ln_L = np.log(NODES * self.distance)
        ell = np.sqrt(np.maximum(np.exp(2 * ln_L) + (order**2 - 0.25) / 3, 0)) - 0.5
        inside = np.flatnonzero((ell >= order) & (NODES <= _LAST))
        known = self.power(ell[inside], l_limber)
        C = np.zeros(len(NODES))
        C[inside] = known
        for outside, (end, next_) in (
            (np.arange(inside[0]), (0, 1)),
            (np.arange(inside[-1] + 1, len(NODES)), (-1, -2)),
        ):
            if known[end] > 0 and known[next_] > 0:
                step = ln_L[inside[end]] - ln_L[inside[next_]]
                slope = np.log(known[end] / known[next_]) / step
                C[outside] = known[end] * np.exp(slope * (ln_L[outside] - ln_L[inside[end]]))
        return C

    def _linear(self) -> pyccl.Pk2D:
        """Linear power, also at z = 0, where FKEM needs it."""
        first = redshift(self.spectra.emulator).low
        z = _nodes((first, self.ends[1]))
        table, _ = self._table(z, output_name="P_lin")
        if first > 0:
            growth = self.cosmo.growth_factor(1.0) / self.cosmo.growth_factor(1 / (1 + first))
            z, table = np.r_[z, 0.0], np.r_[table, table[-1:] * growth**2]
        return self._spectrum(z, table)

    def _table(
        self, z: Array, *, with_bias: bool = False, output_name: str = ""
    ) -> tuple[Array, list[Array]]:
        """A spectrum [Mpc^3] at redshifts and `_wavenumbers`, (Z, K), and biases, each (Z,)."""
        emulator, name = self.spectra.emulator, output_name or self.spectra.output
        terms = output(name).terms
        summands = terms if terms and {*terms} <= emulator.units.keys() else (name,)
        prefixes = [f"{one}_" for one in self.populations] or [""]
        prefixes = {"gg": [prefixes[0], prefixes[-1]], "gm": prefixes[:1], "mm": []}[self.kind]
        biased = [f"{prefix}b_eff" for prefix in prefixes] if with_bias else []
        if missing := [
            one for one in (*biased, *(["P_lin"] * with_bias)) if one not in emulator.units
        ]:
            raise ValueError(f"l_limber needs {missing[0]}, which the emulator does not have")
        k = np.geomspace(NODES[0], emulator.k[-1], _GRID)
        point = cosmology_of(self.cosmo, emulator.names, HaloModelPk) | self.spectra.parameters
        found = at_redshifts(emulator, point, z, [*dict.fromkeys((*summands, *biased))], k)
        further = AtK(k, _wavenumbers(emulator), True, None, above=True)
        on_grid = further({one: found[one] for one in summands}, {})
        total: Array = np.sum([on_grid[one] for one in summands], axis=0)
        return total, [found[one].astype(np.float64) for one in biased]

    def _spectrum(self, z: Array, table: Array) -> pyccl.Pk2D:
        self.cosmo.compute_growth()  # for extrapolation in redshift
        return pyccl.Pk2D(
            a_arr=1 / (1 + z),
            lk_arr=np.log(_wavenumbers(self.spectra.emulator)),
            pk_arr=np.log(np.maximum(table, 1e-60)),
            is_logp=True,
        )


def _nodes(ends: tuple[float, float]) -> Array:
    """Redshifts of the spline, descending; see `HaloModelPk`."""
    way = 0.5 + 0.5 * np.cos(np.pi * np.arange(_Z_NODES) / (_Z_NODES - 1))
    low, high = np.log1p(ends)
    return np.clip(np.expm1(low + way * (high - low)), *ends)


def _wavenumbers(emulator: OnnxEmulator) -> Array:
    """Wavenumbers of a table [1/Mpc]."""
    k = np.geomspace(NODES[0], emulator.k[-1], _GRID)
    steps = int(np.ceil(np.log(_K_MAX / k[-1]) / np.log(k[1] / k[0])))
    return np.r_[k, np.geomspace(k[-1], _K_MAX, steps + 1)[1:]]


def _ends(emulator: OnnxEmulator, galaxies: Any, one: _Sample, two: _Sample) -> tuple[float, float]:
    """First and last redshift of a projection, checked to lie within the emulator's range."""
    p = redshift(emulator)
    name = emulator.path.stem
    low, high = p.low, p.high
    if low == high:
        raise ValueError(f"{name} is for z = {low:g} only; a projection needs a range of redshifts")
    ends = []
    for sample, said in galaxies:
        for z in sample.z[[0, -1]]:
            if not low * (1 - 1e-6) <= z <= high * (1 + 1e-6):
                raise ValueError(
                    f"{said} has galaxies to z = {z:g}: {name} is for z = {low:g} to {high:g}; cut "
                    f"it there"
                )
        ends.append(np.log1p(sample.z[[0, -1]]) + [-_MARGIN, _MARGIN])
    if not ends:  # of shear: all that is in front of the sources
        for z in (0.0, max(one.z[-1], two.z[-1])):
            if not low <= z <= high * (1 + 1e-6):
                raise ValueError(
                    f"shear of sources at z = {max(one.z[-1], two.z[-1]):g} needs matter from z = 0"
                    f" to there: {name} is for z = {low:g} to {high:g}"
                )
        ends.append(np.log1p([0.0, min(one.z[-1], two.z[-1])]) + [0.0, _MARGIN])
    both = np.expm1([min(each[0] for each in ends), max(each[1] for each in ends)])
    return float(max(both[0], low)), float(min(both[1], high))


def _check_increasing(values: Array, said: str, unit: str, lowest: float | None = None) -> None:
    """Check that values are one-dimensional, finite, increasing, and above 0 or `lowest`."""
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{said} must be a number or an array of one dimension, not empty")
    bad = ~np.isfinite(values) | ((values <= 0) if lowest is None else (values < lowest))
    if bad.any():
        rule = "above 0" if lowest is None else f"at least {lowest:g}"
        raise ValueError(f"{said} = {values[np.argmax(bad)]:g}{unit} must be finite and {rule}")
    if (np.diff(values) <= 0).any():
        i = int(np.argmax(np.diff(values) <= 0))
        raise ValueError(
            f"{said} must increase, but {values[i]:g} is followed by {values[i + 1]:g}{unit}; sort "
            f"it"
        )
