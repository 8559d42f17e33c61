"""The semi-analytic emulator in the common interface: settings, weights and spec."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from torch import Tensor, nn

from datagen.halomodel import HaloModelConfig
from datagen.linear_power import LinearPower
from datagen.occupations.extras import C_SAT, EXTRAS, parameters_of
from datagen.outputs import CORRELATIONS, spectra_of
from datagen.space import BACKGROUND, Space
from emulator.bao import fit_bao
from emulator.base import Emulator, Spec
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.fit import FitConfig, fit_cosmology, halo_model_units
from emulator.semianalytic.grid import MassGrid
from emulator.semianalytic.ingredients import Ingredients
from emulator.semianalytic.model import SemiAnalytic, Units
from emulator.semianalytic.occupation import Weights
from emulator.semianalytic.profiles import Line, Profiles, tabulate
from emulator.semianalytic.radii import Radii, interpolation
from emulator.semianalytic.scaled_concentration import concentration_range

__all__ = [
    "ADDED",
    "HALOES",
    "KINDS",
    "OUTPUTS",
    "OfGalaxies",
    "SemiAnalyticConfig",
    "SemiAnalyticEmulator",
    "make_semianalytic",
    "with_finer_grid",
    "with_fits",
    "with_wavenumbers",
]

Array = NDArray[np.float64]

_PROFILES = ("profiles", "profiles_of_satellites")
_FINEST = 10  # intervals in place of one, in `with_finer_grid`
_POINTS, _SEED = 2048, 1  # within a box, and at its corners, to see how concentrations vary

ADDED: tuple[str, ...] = tuple(p.name for p in parameters_of(EXTRAS))
"""Parameters of all effects that can be added to an occupation."""
KINDS = ("more", "all")  # of outputs: with all added effects but c_sat, and with c_sat
HALOES = ("ln_M", "ln_n", "n", "step")
"""Arguments of the galaxies at the nodes; see `SemiAnalytic.of_galaxies`."""
OUTPUTS: tuple[str, ...] = (*spectra_of(CORRELATIONS), "P_lin", "n_g", "b_eff", "f_sat")


@dataclass(frozen=True)
class SemiAnalyticConfig:
    """Settings of a semi-analytic emulator.

    Attributes:
        grid: Grid of halo masses.
        cosmology: Size of the network for the cosmology.
        units: Constants of the halo model; computed when the emulator is made.
    """

    grid: MassGrid = MassGrid()
    cosmology: CosmologyConfig = CosmologyConfig()
    units: Units = Units()


class SemiAnalyticEmulator(Emulator, kind="semianalytic"):
    """Emulator of all nine spectra, P_lin, n_g, b_eff and f_sat; see `SemiAnalytic`.

    Args:
        spec: Outputs, wavenumbers and box; ``halo_model`` has the fits for haloes.
    """

    Config = SemiAnalyticConfig
    packaged = ("model.growth.",)

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if spec.total != "sum":
            raise ValueError("total: network needs a network; a semi-analytic emulator adds terms")
        if unknown := [name for name in spec.outputs if name not in OUTPUTS]:
            raise ValueError(f"no output {', '.join(unknown)}; there are {', '.join(OUTPUTS)}")
        config, model = spec.network, spec.halo_model
        fits = Ingredients(**{one.name: model[one.name] for one in fields(Ingredients)}).fits()
        self.model = SemiAnalytic(
            config.grid,
            config.cosmology,
            spec.k,
            config.units,
            fits,
            Radii.of(model["mass_def"], spec.space),
            spec.space,
        )

    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """See `Emulator.forward`."""
        spectra = self.model(theta)
        return tuple(spectra[name] for name in self.spec.outputs)


class OfGalaxies(nn.Module):
    """Spectra of an emulator for given galaxies of any occupation.

    There are three sets of outputs: without added effects (`datagen.occupations.extras`), with all
    of them but another concentration of satellites, and with all of them.

    Args:
        emulator: The emulator.
        outputs: Names of the outputs to return.
    """

    def __init__(self, emulator: SemiAnalyticEmulator, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.outputs = emulator.model, tuple(outputs)
        self.names = (*outputs, *HALOES, *(f"{kind}/{name}" for kind in KINDS for name in outputs))

    def forward(self, background: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """The plain outputs and `HALOES`, then the outputs with each of `KINDS`.

        Args:
            background: Cosmology and redshift, columns `datagen.space.BACKGROUND`, shape (B, 8).
            given: The galaxies at the nodes, in the order of `Weights`, then the parameters
                `ADDED`, each (B, 1).
        """
        weights, added = given[: len(Weights._fields)], given[len(Weights._fields) :]
        extras = dict(zip(ADDED, added, strict=True))
        haloes, t, P_lin, depends = self.model.before_galaxies(background)
        spectra = self.model.spectra
        parts, numbers, sums = spectra.parts(haloes, Weights(*weights), t)
        concentrated = spectra.with_concentration(parts, sums, t, extras.pop("c_sat"))
        plain = spectra.of_parts(parts, P_lin, {}) | spectra.numbers(numbers, {})
        more = [
            spectra.of_parts(one, P_lin, extras) | spectra.numbers(numbers, extras)
            for one in (parts, concentrated)
        ]
        found = [plain[name] for name in self.outputs] + list(depends.values())
        return (*found, *(one[name] for one in more for name in self.outputs))


def make_semianalytic(
    space: Space,
    model: HaloModelConfig,
    linear_power: LinearPower,
    config: SemiAnalyticConfig = SemiAnalyticConfig(),
    fit: FitConfig = FitConfig(),
) -> SemiAnalyticEmulator:
    """Make and fit a semi-analytic emulator of a halo model on a box.

    Args:
        space: Box of the parameters.
        model: The halo model, of kind ``standard``.
        linear_power: Linear power spectrum of the halo model.
        config: Mass grid and size of the network.
        fit: Settings of the fit of the network.

    Returns:
        The emulator, ready to predict.

    Raises:
        ValueError: If the grid does not cover the box, or the halo model has no such form.
    """
    units, ln_c = halo_model_units(model, space, config.grid)
    k = model.k.values()
    spec = Spec(
        kind="semianalytic",
        space=space,
        k=tuple(k.tolist()),
        outputs=OUTPUTS,
        total="sum",
        network=replace(config, units=units),
        halo_model=asdict(model),
        bao=fit_bao(k, linear_power, space),
    )
    emulator = SemiAnalyticEmulator(spec)
    x = config.grid.x().numpy()
    fit_cosmology(emulator.model.cosmology, space, linear_power, x, k, fit)
    return _with_profiles(emulator, ln_c)


def with_fits(emulator: Emulator, occupation: str = "", **fits: str) -> Emulator:
    """Return an emulator with other fits for haloes, or with another occupation.

    Nothing is trained again: the learnt functions depend on the cosmology alone. The record of
    accuracy is not copied.

    Args:
        emulator: A semi-analytic emulator.
        occupation: Name of the occupation, whose parameters get their usual ranges; unchanged by
            default.
        fits: Names of fits by ``mass_function``, ``halo_bias``, ``concentration``, ``mass_def``;
            those not given are unchanged.

    Raises:
        ValueError: If the emulator is not semi-analytic; if fits are unknown, do not go together,
            are not made for the haloes of the box, or need weights that the emulator lacks; or if
            the occupation is unknown.
    """
    spec = emulator.spec
    if not isinstance(emulator, SemiAnalyticEmulator):
        raise ValueError(
            f"{', '.join([*fits, *(['occupation'] if occupation else [])])}: a {spec.kind} "
            f"emulator has learnt the spectra of its halo model; other fits for haloes, or other "
            f"galaxies, need a semi-analytic one (emulator.train_semianalytic)"
        )
    space = _with_occupation(spec.space, occupation) if occupation else spec.space
    model = HaloModelConfig.from_dict({**spec.halo_model, **fits})
    haloes = Ingredients(model.mass_function, model.halo_bias, model.concentration, model.mass_def)
    *_, of_haloes = haloes.fits()
    if of_haloes.slope == "power" and (lost := emulator.unknown()):
        raise ValueError(
            f"concentration = {model.concentration} follows the slope of the power, and this "
            f"emulator does not know its {', '.join(lost)}: it was read from an ONNX file, which "
            f"does not hold them; take the emulator.safetensors of its training"
        )
    units, ln_c = halo_model_units(model, space, spec.network.grid)
    provenance = {**spec.provenance, "made_with": spec.halo_model}
    if space is not spec.space:
        provenance["made_with_occupation"] = spec.space.occupation
    changed = SemiAnalyticEmulator(
        replace(
            spec,
            space=space,
            network=replace(spec.network, units=units),
            halo_model=asdict(model),
            provenance=provenance,
            record={},
        )
    )
    changed.model.cosmology.load_state_dict(emulator.model.cosmology.state_dict())
    return _with_profiles(changed, ln_c)


def _with_occupation(space: Space, occupation: str) -> Space:
    """The same cosmologies and redshifts, with the parameters of an occupation."""
    if occupation == space.occupation:
        return space
    return Space(**{name: space[name] for name in BACKGROUND}, occupation=occupation)


def _with_profiles(emulator: SemiAnalyticEmulator, ln_c: Array) -> SemiAnalyticEmulator:
    """Add halo profiles to an emulator whose cosmology has been fitted.

    Args:
        emulator: The emulator, changed in place.
        ln_c: Slope and value at x = 0 of ln c, if the concentration is a power law.
    """
    model = emulator.model
    ranges = _concentrations(emulator, ln_c)
    x = model.grid.x().numpy()
    if model.concentration is not None:
        middle, half = ranges[0]
        model.concentration.set_ends(middle(x), half(x))
    k, R = np.array(emulator.spec.k), model.radii.radius
    for name, ends in zip(_PROFILES, ranges, strict=True):
        setattr(model.spectra, name, Profiles(tabulate(x, k, R, *ends)))
    return emulator.eval()


def _concentrations(emulator: SemiAnalyticEmulator, ln_c: Array) -> list[tuple[Line, Line]]:
    """Middle and half the range of ln c over x: of haloes, and of their satellites."""
    model = emulator.model
    if model.concentration is None:
        low, high = emulator.spec.network.units.amplitudes(model.radii.half)
        middle: Line = np.poly1d(ln_c + np.array([0.0, 0.5 * (low + high)]))
        half: Line = np.poly1d([0.5 * (high - low)])
    else:
        middle, half = concentration_range(*_sample(emulator))
    low, high = C_SAT.range
    return [
        (middle, half),
        (
            lambda x: middle(x) + 0.5 * math.log(low * high),
            lambda x: half(x) + 0.5 * math.log(high / low),
        ),
    ]


def with_finer_grid(emulator: Emulator, finer: int) -> SemiAnalyticEmulator:
    """Return the emulator with a finer grid of halo masses, for narrow thresholds in rare haloes.

    Nothing is trained again: functions of the cosmology are interpolated to the new nodes, and
    halo profiles are computed there. The record of accuracy is not copied.

    Args:
        emulator: A semi-analytic emulator with weights.
        finer: Number of intervals in place of each interval of its grid, 1 to 10.

    Raises:
        ValueError: If the emulator is not semi-analytic, or ``finer`` is out of range.
    """
    spec = emulator.spec
    if not isinstance(emulator, SemiAnalyticEmulator):
        raise ValueError(
            f"finer: a {spec.kind} emulator has no grid of halo masses; take a semi-analytic one "
            f"(emulator.train_semianalytic)"
        )
    if not 1 <= finer <= _FINEST:
        raise ValueError(f"finer = {finer} must lie in [1, {_FINEST}]")
    own = spec.network.grid
    grid = own.finer(finer)
    to_finer = torch.from_numpy(interpolation(own.x().numpy(), grid.x().numpy()))
    changed = SemiAnalyticEmulator(
        replace(spec, network=replace(spec.network, grid=grid), record={})
    )
    rows = torch.block_diag(to_finer, to_finer, torch.eye(len(spec.k)).double())
    learnt = emulator.model.cosmology.state_dict()
    for layer, matrix in (("expand", rows), ("slope", to_finer)):
        for name in (f"{layer}.weight", f"{layer}.bias"):
            learnt[name] = (matrix @ learnt[name].double()).float()
    changed.model.cosmology.load_state_dict(learnt)
    model = HaloModelConfig.from_dict(spec.halo_model)
    return _with_profiles(changed, halo_model_units(model, spec.space, grid)[1])


def with_wavenumbers(emulator: SemiAnalyticEmulator, more: Array) -> SemiAnalyticEmulator:
    """Return the emulator with additional wavenumbers.

    Profiles are computed there, as the same functions of the concentration. The linear power there
    is a cubic spline of ln P_lin in ln k.

    Args:
        emulator: An emulator with weights.
        more: Additional wavenumbers [1/Mpc], within the range of its own.
    """
    spec, model = emulator.spec, emulator.model
    own = np.array(spec.k)
    k = np.sort(np.concatenate([own, more]))
    changed = SemiAnalyticEmulator(replace(spec, k=tuple(k.tolist())))
    new = changed.model
    weights = model.state_dict()
    spline = make_interp_spline(np.log(own), np.eye(len(own)))(np.log(k))
    for name in ("cosmology.expand.weight", "cosmology.expand.bias"):
        rows = weights[name].double()
        ln_P = torch.from_numpy(spline) @ rows[-len(own) :]
        weights[name] = torch.cat([rows[: -len(own)], ln_P]).float()
    new.load_state_dict(weights)  # profiles take any shape
    halo_model = HaloModelConfig.from_dict(spec.halo_model)
    ranges = _concentrations(
        emulator, halo_model_units(halo_model, spec.space, spec.network.grid)[1]
    )
    x, at_own = model.grid.x().numpy(), np.isin(k, own)
    for name, ends in zip(_PROFILES, ranges, strict=True):
        profiles, wider = (getattr(one.spectra, name) for one in (model, new))
        known = [powers.double().numpy() for powers in (profiles.u_powers, profiles.u2_powers)]
        table = tabulate(x, more, model.radii.radius, *ends, known)
        for which, values in (("u", table.u), ("u2", table.u2)):
            old = getattr(profiles, which)
            m = old.shape[1] // len(own)
            both = torch.empty(len(old), len(k), m)
            both[:, at_own] = old.unflatten(1, (-1, m))
            both[:, ~at_own] = torch.from_numpy(values).float().unflatten(1, (-1, m))
            setattr(wider, which, both.flatten(1))
    return changed.eval()


def _sample(emulator: SemiAnalyticEmulator) -> tuple[Array, Array, Array]:
    """Nodes x (Q,), and ln c and ln sigma there (N, Q) at the corners of its box and within."""
    space, model = emulator.spec.space, emulator.model
    rng = np.random.default_rng(_SEED)
    unit = rng.random((2 * _POINTS, len(space.names)))
    unit[_POINTS:] = unit[_POINTS:].round()
    theta = torch.from_numpy(space.from_unit(unit)).float()
    with torch.no_grad():
        ln_c, ln_sigma = (part.double().numpy() for part in model.concentrations(theta))
    return model.grid.x().numpy(), ln_c, ln_sigma
