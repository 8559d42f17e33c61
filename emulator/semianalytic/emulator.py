"""The semi-analytic emulator as an emulator: settings, weights and spec."""

from dataclasses import asdict, dataclass, replace

from torch import Tensor

from datagen.halomodel import CORRELATIONS, TERMS, HaloModelConfig
from datagen.linear_power import LinearPower
from datagen.space import Space
from emulator.bao import fit_bao
from emulator.base import Emulator, Spec
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.fit import FitConfig, fit_cosmology, halo_model_units, halo_radius
from emulator.semianalytic.grid import MassGrid
from emulator.semianalytic.ingredients import Ingredients
from emulator.semianalytic.model import SemiAnalytic, Units
from emulator.semianalytic.profiles import ProfileTable, tabulate

__all__ = [
    "OUTPUTS",
    "SemiAnalyticConfig",
    "SemiAnalyticEmulator",
    "make_semianalytic",
    "with_fits",
]

OUTPUTS: tuple[str, ...] = (
    *(f"{xy}_{term}" for xy in CORRELATIONS for term in TERMS),
    "P_lin", "n_g", "b_eff", "f_sat",
)  # fmt: skip


@dataclass(frozen=True)
class SemiAnalyticConfig:
    """Settings of a semi-analytic emulator.

    Attributes:
        grid: The grid of halo masses.
        cosmology: Size of the network of the cosmology.
        units: Of the halo model; found when the emulator is made.
    """

    grid: MassGrid = MassGrid()
    cosmology: CosmologyConfig = CosmologyConfig()
    units: Units = Units()


class SemiAnalyticEmulator(Emulator, kind="semianalytic"):
    """All nine spectra, P_lin, n_g, b_eff and f_sat, from a learnt cosmology; see `SemiAnalytic`.

    Args:
        spec: What it predicts and where; ``halo_model`` has the fits for haloes.
        table: Halo profiles; without one, they wait for the weights.
    """

    Config = SemiAnalyticConfig

    def __init__(self, spec: Spec, table: ProfileTable | None = None) -> None:
        super().__init__(spec)
        if spec.total != "sum":
            raise ValueError("total: network needs a network; a semi-analytic emulator adds terms")
        if unknown := [name for name in spec.outputs if name not in OUTPUTS]:
            raise ValueError(f"no output {', '.join(unknown)}; there are {', '.join(OUTPUTS)}")
        config, model = spec.network, spec.halo_model
        self.model = SemiAnalytic(
            config.grid,
            config.cosmology,
            len(spec.k),
            config.units,
            model["mass_function"],
            model["halo_bias"],
            model["mass_def"],
            spec.space.names,
            table,
        )

    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """See `Emulator.forward`."""
        spectra = self.model(theta)
        return tuple(spectra[name] for name in self.spec.outputs)


def make_semianalytic(
    space: Space,
    model: HaloModelConfig,
    linear_power: LinearPower,
    config: SemiAnalyticConfig = SemiAnalyticConfig(),
    fit: FitConfig = FitConfig(),
) -> SemiAnalyticEmulator:
    """A semi-analytic emulator of a halo model on a box, ready to predict.

    Args:
        space: The box of the parameters.
        model: The halo model; a ``standard`` one, with masses of 200m.
        linear_power: Its linear power.
        config: Grid and network.
        fit: How the network is fitted.

    Raises:
        ValueError: A grid that does not cover the box, or a halo model without this form.
    """
    units, table = _tables(model, space, config.grid)
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
    emulator = SemiAnalyticEmulator(spec, table)
    x = config.grid.x().numpy()
    fit_cosmology(emulator.model.cosmology, space, linear_power, x, k, fit)
    return emulator.eval()


def with_fits(emulator: Emulator, **fits: str) -> Emulator:
    """An emulator with other fits for haloes: what it has learnt does not depend on them.

    Its record of accuracy is left behind.

    Args:
        emulator: A semi-analytic one.
        fits: Names by ``mass_function``, ``halo_bias``, ``concentration``; others stay.

    Raises:
        ValueError: An emulator that has learnt these fits; fits that do not go together, or that
            there are not.
    """
    spec = emulator.spec
    if not isinstance(emulator, SemiAnalyticEmulator):
        raise ValueError(
            f"{', '.join(fits)}: a {spec.kind} emulator has learnt the spectra of its halo model; "
            f"other fits for haloes need a semi-analytic one (emulator.train_semianalytic)"
        )
    model = HaloModelConfig.from_dict({**spec.halo_model, **fits})
    Ingredients(model.mass_function, model.halo_bias, model.concentration, model.mass_def)
    units, table = _tables(model, spec.space, spec.network.grid)
    provenance = {**spec.provenance, "made_with": spec.halo_model}
    changed = SemiAnalyticEmulator(
        replace(
            spec,
            network=replace(spec.network, units=units),
            halo_model=asdict(model),
            provenance=provenance,
            record={},
        ),
        table,
    )
    changed.model.cosmology.load_state_dict(emulator.model.cosmology.state_dict())
    return changed.eval()


def _tables(model: HaloModelConfig, space: Space, grid: MassGrid) -> tuple[Units, ProfileTable]:
    """What a halo model has besides its cosmology."""
    units, ln_c = halo_model_units(model, space, grid)
    x, k = grid.x().numpy(), model.k.values()
    return units, tabulate(x, k, halo_radius(model), ln_c, *units.amplitudes)
