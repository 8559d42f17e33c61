"""Galaxy populations of an emulator: registered or custom occupations, one or a pair."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.occupations import (
    OCCUPATIONS,
    Extended,
    Moments,
    Occupation,
    occupation,
)
from datagen.occupations.extras import parameters_of
from datagen.occupations.functions import NUMPY, Functions
from datagen.parameters import Parameter
from datagen.space import BACKGROUND
from export.quadrature import MOMENTS

__all__ = [
    "CROSS",
    "OccupationError",
    "Population",
    "Populations",
    "Thresholds",
    "as_occupation",
    "populations",
]

Array = NDArray[np.float64]

CROSS = (
    Parameter("A", "1", "cross", "A", (-10.0, 10.0), (-10.0, 10.0), 0.0,
              text="Amplitude of the correlation of satellites of two populations."),
    Parameter("epsilon", "1", "cross", r"\epsilon", (-5.0, 5.0), (-5.0, 5.0), 0.0,
              text="Its power of the halo mass [Msun]."),
)  # fmt: skip
"""Parameters of <N_1 N_2> = max(N_1 N_2 + A M^epsilon sqrt(N_1 N_2), 0) (Linke et al. 2022)."""


_MOST_PAIRS = 1e30


class OccupationError(ValueError):
    """An invalid occupation, or moments that are negative or not finite."""


class _Own(Occupation):
    """A custom object with ``parameters`` and ``moments``, wrapped as an `Occupation`."""

    name = "own"
    source = "the user"
    parameters: ClassVar[tuple[Parameter, ...]] = ()

    def __init__(self, given: Any) -> None:
        self._given = given
        self.name = str(getattr(given, "name", type(given).__name__))  # type: ignore[misc]
        self.parameters = tuple(_parameters(given.parameters, self.name))  # type: ignore[misc]
        width = getattr(given, "width", 0.0)
        if not isinstance(width, int | float):
            raise OccupationError(f"occupation {self.name}: width = {width!r} is not a number")
        self.width = float(width)  # type: ignore[misc]

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        found: Any = self._given.moments(M, p, f)  # checked in `Population.moments`
        return found


def _parameters(given: Any, name: str) -> list[Parameter]:
    if not isinstance(given, Mapping):
        if not isinstance(given, Iterable) or not all(isinstance(p, Parameter) for p in given):
            raise OccupationError(
                f"occupation {name}: parameters is {given!r}; give ranges by name, "
                f"{{'log10Mmin': (11, 15), ...}}"
            )
        given = {p.name: p for p in given}
    found = []
    for key, one in given.items():
        if not isinstance(key, str):
            raise OccupationError(f"occupation {name}: {key!r} in its parameters is not a name")
        if not isinstance(one, Parameter):
            try:
                low, high = map(float, one)
            except (TypeError, ValueError):
                raise OccupationError(
                    f"occupation {name}: parameters[{key!r}] is {one!r}; give its range as "
                    f"(low, high)"
                ) from None
            one = Parameter(key, "1", name, rf"\mathrm{{{key}}}", (low, high), (low, high))
        if not -np.inf < one.range[0] <= one.range[1] < np.inf:
            raise OccupationError(f"occupation {name}: {key} has the range {one.range}")
        if key in BACKGROUND:
            raise OccupationError(
                f"occupation {name}: {key} is a parameter of cosmology, which moments are given "
                f"too; leave it out of its own"
            )
        found.append(one)
    return found


def as_occupation(given: Any) -> Occupation:
    """Return an occupation, given by name or as an object.

    Args:
        given: A name, such as ``zheng07`` or ``zheng07+damping``, an `Occupation`, or any object
            with ``parameters`` and ``moments``.

    Raises:
        OccupationError: An unknown name, a class, or an object without ``parameters`` or
            ``moments``.
    """
    if isinstance(given, str):
        try:
            return occupation(given)
        except ValueError as error:
            raise OccupationError(str(error)) from None
    if isinstance(given, type):
        raise OccupationError(f"occupation = {given.__name__} is a class; give {given.__name__}()")
    if isinstance(given, Occupation):
        return given
    lacking = [name for name in ("parameters", "moments") if not hasattr(given, name)]
    if lacking:
        raise OccupationError(
            f"occupation = {given!r} has no {' and no '.join(lacking)}; give a name "
            f"({', '.join(OCCUPATIONS)}), an object with both, or two of them in a dictionary"
        )
    return _Own(given)


@dataclass(frozen=True)
class Population:
    """Galaxies of one occupation.

    Attributes:
        occupation: The occupation.
        prefix: Prefix of the names of its parameters and outputs; empty for a single population.
    """

    occupation: Occupation
    prefix: str = ""

    @property
    def is_registered(self) -> bool:
        """Whether this is a registered occupation, not a custom one with the same name."""
        return type(self.base) is type(OCCUPATIONS.get(self.base.name))

    @property
    def base(self) -> Occupation:
        """The occupation without additions, such as ``+damping``."""
        return self.occupation.base if isinstance(self.occupation, Extended) else self.occupation

    @property
    def added(self) -> tuple[str, ...]:
        """Names of the parameters of the additions."""
        return tuple(p.name for p in parameters_of(self.occupation.extras))

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters by their names in points, prefix included."""
        return {self.prefix + p.name: p for p in self.occupation.parameters}

    def moments(self, M: Array, point: Mapping[str, Array]) -> Moments:
        """Moments of the numbers of galaxies, each of the shape of M.

        Args:
            M: Halo masses [Msun].
            point: Parameters of cosmology and occupation by name, prefix included, each of the
                shape of M.

        Raises:
            OccupationError: A moment that is negative or not finite, with its mass; a wrong number
                or shape of moments; an unknown parameter.
        """
        own = {p.name: point[name] for name, p in self.parameters.items()}
        background = {name: point[name] for name in BACKGROUND}
        try:
            with np.errstate(all="ignore"):  # the moments are checked below
                found = self.base.moments(M, background | own, NUMPY)
        except KeyError as error:
            raise OccupationError(
                f"occupation {self.occupation.name}: moments uses {error}, which is unknown; "
                f"there are {', '.join(background | own)}"
            ) from error
        given = tuple(found) if isinstance(found, Iterable) else (found,)
        if len(given) != len(MOMENTS):
            raise OccupationError(
                f"occupation {self.occupation.name}: moments returns {len(given)}, not the "
                f"{len(MOMENTS)} {', '.join(MOMENTS)}"
            )
        for name, one in zip(MOMENTS, given, strict=True):
            if np.shape(one) not in ((), (1,), M.shape):
                raise OccupationError(
                    f"occupation {self.occupation.name}: {name} has the shape {np.shape(one)}, not "
                    f"that of the masses, {M.shape}"
                )
        arrays = [np.broadcast_to(np.asarray(one, np.float64), M.shape) for one in given]
        for name, one in zip(MOMENTS, arrays, strict=True):
            bad = ~(np.isfinite(one) & (one >= 0))
            if bad.any():
                i = int(np.argmax(bad))
                at = ", ".join(f"{n} = {v[i]:g}" for n, v in own.items())
                raise OccupationError(
                    f"occupation {self.occupation.name}: {name} = {one[i]:g} at M = {M[i]:.4g} "
                    f"Msun ({at}); it must be finite and not negative"
                )
        return Moments(*arrays)


@dataclass(frozen=True)
class Populations:
    """A single population of galaxies, or two correlated populations.

    Attributes:
        each: The populations.
    """

    each: tuple[Population, ...]

    @property
    def is_pair(self) -> bool:
        """Whether there are two populations."""
        return len(self.each) == 2

    @property
    def cross(self) -> str:
        """Prefix of the names of cross spectra and their parameters, such as ``red_blue_``."""
        return "".join(one.prefix for one in self.each)

    @property
    def said(self) -> str:
        """Description of the populations: ``zheng07``, or ``red: zheng07, blue: hmq``."""
        named = ((one.prefix.removesuffix("_"), one.occupation.name) for one in self.each)
        return ", ".join(f"{name}: {which}" if name else which for name, which in named)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters of the occupations and of their correlation, by name."""
        named = {name: p for one in self.each for name, p in one.parameters.items()}
        return named | ({self.cross + p.name: p for p in CROSS} if self.is_pair else {})

    def moments(self, M: Array, point: Mapping[str, Array]) -> list[Array]:
        """Moments of each population; for a pair also <N_c1 N_s2 + N_c2 N_s1> / 2 and <N_s1 N_s2>.

        Args:
            M: Halo masses [Msun].
            point: Parameters by name, each of the shape of M.

        Raises:
            OccupationError: See `Population.moments`; pairs that exceed single precision.
        """
        found = [one.moments(M, point) for one in self.each]
        arrays = [moment for moments in found for moment in moments]
        if self.is_pair:
            one, two = found
            A, epsilon = (point[self.cross + p.name] for p in CROSS)
            pairs = one.satellites * two.satellites
            pairs = np.maximum(pairs + A * M**epsilon * np.sqrt(pairs), 0.0)
            if not (pairs < _MOST_PAIRS).all():
                i = int(np.argmax(~(pairs < _MOST_PAIRS)))
                raise OccupationError(
                    f"populations: <N_s1 N_s2> = {pairs[i]:g} at M = {M[i]:.4g} Msun with "
                    f"{self.cross}A = {A[i]:g}, {self.cross}epsilon = {epsilon[i]:g}; it must be "
                    f"below {_MOST_PAIRS:g}, where single precision ends"
                )
            mixed = one.centrals * two.satellites + two.centrals * one.satellites
            arrays += [0.5 * mixed, pairs]
        return arrays


class Thresholds:
    """Thresholds of populations, from points whose columns have names.

    Args:
        names: Names of the columns.
        whose: The populations.
    """

    def __init__(self, names: Sequence[str], whose: Populations) -> None:
        places = {name: i for i, name in enumerate(names)}
        self._places = {
            one.prefix: {p.name: places[n] for n, p in one.parameters.items()} for one in whose.each
        }

    def __call__(self, one: Population, columns: Any) -> tuple[Any, Any] | None:
        """Threshold mass of centrals [Msun] and its width in ln M; None if unknown.

        Args:
            one: One of the populations.
            columns: The columns, numbers or arrays.
        """
        places = self._places[one.prefix].items()
        return one.occupation.threshold({name: columns[i] for name, i in places})


def populations(given: Any) -> Populations:
    """Return the populations for the argument ``occupation`` of `load`.

    Args:
        given: An occupation (see `as_occupation`), or two occupations by population name.

    Raises:
        OccupationError: An invalid occupation; not two populations; names that are no identifiers,
            begin with one another, or clash with parameters of cosmology.
    """
    if not isinstance(given, Mapping):
        return Populations((Population(as_occupation(given)),))
    if len(given) != 2:
        raise OccupationError(
            f"{len(given)} populations are given; two have a cross power, one is an occupation"
        )
    each = []
    for name, one in given.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise OccupationError(
                f"population {name!r}: its name must be a word, to begin names of parameters with"
            )
        each.append(Population(as_occupation(one), f"{name}_"))
    for population in each:
        if population.added:
            raise OccupationError(
                f"{population.occupation.name}: nothing can be added to one of two populations; "
                f"give {population.base.name}"
            )
    one, two = (population.prefix for population in each)
    if one.startswith(two) or two.startswith(one):
        raise OccupationError(
            f"populations {' and '.join(given)}: names of parameters begin with these, and one of "
            f"them with the other; give them names of which none begins the other"
        )
    both = Populations(tuple(each))
    if taken := [name for name in both.parameters if name in BACKGROUND]:
        raise OccupationError(
            f"populations {' and '.join(given)}: {', '.join(taken)} would be one of their "
            f"parameters, and is one of cosmology; give them other names"
        )
    return both
