"""A warning where a threshold is too sharp for the grid of halo masses."""

import numpy as np
import pytest

from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.parallel import RayConfig
from datagen.power import linear_power
from datagen.space import Space
from export.populations import populations
from export.runtime import load
from export.sharp_thresholds import SharpThresholds, SharpThresholdWarning
from export.statistics import DeltaSigma, Wp, Xi

# galaxies in haloes above 8e14 Msun at z = 1, with an effective bias of 9
SHARP = {
    "Om_c": 0.3, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.9, "n_s": 0.96, "w0": -1.0, "wa": 0.0,
    "z": 1.0, "alpha": 1.0, "sigma": 0.02, "Mth": 8e14, "Mprime": 1e14, "beta": 1.0,
}  # fmt: skip
WIDE, COMMON = SHARP | {"sigma": 0.3}, SHARP | {"Mth": 1e12}

warned = pytest.mark.filterwarnings("error::export.sharp_thresholds.SharpThresholdWarning")


@warned
@pytest.mark.parametrize("outputs", [None, "gg_total", ["b_eff", "gg_1h"]])
def test_sharp_thresholds_among_rare_haloes_are_warned_of(outputs):
    emulator = load("standard")
    for point in (SHARP, [SHARP], SHARP | {"z": [0.9, 1.0]}):
        with pytest.warns(SharpThresholdWarning, match="row 0: the threshold is too sharp") as told:
            emulator(point, outputs)
        assert told[0].filename == __file__
    for point in (WIDE, [WIDE], COMMON, COMMON | {"z": [0.0, 0.5]}):
        emulator(point, outputs)


@warned
def test_only_what_is_inexact_is_warned_of():
    emulator = load("standard")
    for outputs in ("mm_total", ["P_lin", "n_g", "b_eff"], Xi([1.0], "mm")):
        for point in (SHARP, [SHARP]):
            emulator(point, outputs)
    with pytest.warns(SharpThresholdWarning):
        emulator(SHARP, Wp([1.0]))
    with pytest.warns(SharpThresholdWarning):
        emulator([SHARP], DeltaSigma([1.0]))


@warned
def test_the_first_row_and_the_number_of_others_are_named():
    emulator = load("standard")
    rows = np.array([[*one.values()] for one in (COMMON, SHARP, WIDE, SHARP)])
    with pytest.warns(SharpThresholdWarning, match=r"row 1: .*; widen .* \(and 1 more rows\)"):
        emulator(rows)
    assert emulator.is_resolved(rows).tolist() == [True, False, True, False]
    assert emulator.is_resolved(WIDE)
    assert not emulator.is_resolved(SHARP)


@warned
def test_derivatives_warn_once(recwarn):
    with pytest.warns(SharpThresholdWarning) as told:
        load("standard").jacobian(SHARP, "gg_total", "sigma_8")
    assert len(told) == 1


@warned
def test_other_occupations_are_warned_of_by_their_own_thresholds():
    background = {name: SHARP[name] for name in list(SHARP)[:8]}
    emulator = load("tinker10", occupation="zehavi05")  # a step
    with pytest.warns(SharpThresholdWarning):
        emulator(background | {"log10Mmin": 14.8, "log10M1": 15.5, "alpha": 1.0})
    emulator(background | {"log10Mmin": 12.0, "log10M1": 13.0, "alpha": 1.0})
    load("tinker10", occupation="gaussian")(
        background | load("tinker10", occupation="gaussian").example
    )


def test_grids_that_resolve_every_phase_need_no_warning():
    names = tuple(SHARP)
    point, values = [*SHARP.values()], {"b_eff": 10.0, "f_sat": 0.2}
    for spacing, k_max, told in ((0.22, 100.0, True), (0.0275, 100.0, False), (0.22, 10.0, False)):
        thresholds = SharpThresholds(
            names,
            spacing,
            k_max,
            populations("linke22"),
            lambda names, x: {name: np.full(len(x), values[name]) for name in names},
        )
        assert thresholds.is_near(point) == told
        assert len(thresholds.rows(np.array([point], np.float32))) == told


def test_satellites_alone_are_warned_of_at_a_lower_bias():
    point = [*SHARP.values()]
    thresholds = SharpThresholds(
        tuple(SHARP),
        0.22,
        100.0,
        populations("linke22"),
        lambda names, x: {name: np.full(len(x), np.nan) for name in names},
    )
    for b_eff, f_sat, told in ((1.9, 0.5, False), (2.2, 0.5, True), (1.9, 0.95, True)):
        assert thresholds.is_near(point, {"b_eff": b_eff, "f_sat": f_sat}) == told
    assert not len(thresholds.rows(np.array([point], np.float32)))  # neither is an output


def test_errors_above_a_percent_are_warned_of():
    """Against the label code, at random narrow thresholds among rare haloes."""
    emulator = load("standard", out_of_range="nan")
    space = Space.from_dict(emulator.metadata["parameters"])
    theta = space.from_unit(np.random.default_rng(1).random((400, len(space.names))))
    at = {name: i for i, name in enumerate(space.names)}
    theta[:, at["sigma"]] = np.linspace(0.01, 0.4, len(theta))
    theta[:, at["Mth"]] = 10 ** np.random.default_rng(2).uniform(12, 15, len(theta))
    config = HaloModelConfig.from_dict(emulator.metadata["halo_model"])
    code = HaloModel(config, linear_power(config, space, RayConfig()), space.occupation)
    true = code(theta)
    counts = (true["n_g"] > 1e-7) & (true["b_eff"] < 20) & (true["f_sat"] > 1e-6)
    resolved, found = emulator.is_resolved(theta), emulator(theta)
    worst = np.max([np.abs(found[n] / true[n] - 1).max(1) for n in ("gm_1h", "gg_1h", "gg_2h")], 0)
    assert worst[counts & resolved].max() < 0.01
    assert worst[counts & ~resolved].max() > 0.02
    assert (counts & resolved).sum() > 100
