"""Labels that are off by a known amount are reported to be off by that amount."""

from dataclasses import asdict

import numpy as np
import pytest
from support.serial import without_ray

from datagen import power
from datagen.ccl import camb_power
from datagen.error_budget import ErrorBudget, error_budget
from datagen.halomodel import HaloModel, HaloModelConfig, KGrid
from datagen.space import Range, Space
from datagen.store import Spectra

SPACE = Space(Om_c=Range(0.25, 0.27), Om_b=Range(0.049, 0.05), h=Range(0.68, 0.7))
COARSE = HaloModelConfig(
    k=KGrid(0.1, 10.0, 5), camb="pyccl", table_nodes=(2, 2), panels=6, panel_nodes=6
)
ROUNDING = 1e-10  # P_lin of the same table, summed in another order


@pytest.fixture(scope="module")
def labels():
    """Six points with coarse integrals and a table of four CAMB runs."""
    theta = SPACE.from_unit(np.random.default_rng(4).random((6, len(SPACE.names))))
    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch, power)
        table = power.linear_power(COARSE, SPACE)
    metadata = {"space": SPACE.as_dict(), "model": asdict(COARSE)}
    return Spectra(theta, COARSE.k.values(), HaloModel(COARSE, table)(theta), metadata)


def test_quadrature_errors_are_seen_where_there_are_integrals(labels):
    budget = error_budget(labels, ErrorBudget(quadrature=6, linear_power=0))
    entry = budget["quadrature"]
    assert entry["points"] == 6
    assert entry["spectra"]["P_lin"]["all"]["100"] < ROUNDING
    for name in ("mm_1h", "gm_1h", "gg_1h", "gg_2h", "gg_total"):
        assert 1e-7 < entry["spectra"][name]["all"]["100"] < 0.1  # coarse, and not senseless
    assert budget["linear_power"] == {"skipped": "no points were asked for"}


def test_labels_that_are_one_percent_off_are_reported_so(labels):
    arrays = labels.arrays | {"gm_2h": 1.01 * labels.arrays["gm_2h"]}
    off = Spectra(labels.theta, labels.k, arrays, labels.metadata)
    entry = error_budget(off, ErrorBudget(quadrature=3, linear_power=0))["quadrature"]
    errors = entry["spectra"]["gm_2h"]
    assert errors["all"]["50"] == pytest.approx(0.01, rel=0.05)
    np.testing.assert_allclose(errors["per_k"]["50"], 0.01, rtol=0.05)


def test_linear_power_is_judged_by_camb(labels):
    labels = labels.select(np.arange(2))
    entry = error_budget(labels, ErrorBudget(quadrature=0, linear_power=2))["linear_power"]
    camb = [camb_power(dict(zip(SPACE.names, row, strict=True)), labels.k) for row in labels.theta]
    error = np.abs(labels["P_lin"] / np.array(camb) - 1)
    for q in (50, 95, 100):
        np.testing.assert_allclose(
            entry["spectra"]["P_lin"]["per_k"][f"{q}"], np.percentile(error, q, axis=0), rtol=1e-6
        )
    # two nodes on a narrow box are good to 1e-3, which also bounds what follows from sigma(M)
    assert entry["spectra"]["gg_total"]["all"]["100"] < 1e-2


def test_what_does_not_apply_is_skipped_with_its_reason(labels):
    model = asdict(HaloModelConfig(model="g3lhalo", linear_power="camb", k=COARSE.k))
    other = Spectra(labels.theta, labels.k, labels.arrays, labels.metadata | {"model": model})
    budget = error_budget(other, ErrorBudget())
    assert budget["quadrature"] == {"skipped": "the trapezoid over 128 masses defines the model"}
    assert budget["linear_power"] == {"skipped": "the labels have CAMB's linear power"}


def test_negative_numbers_of_points_are_refused():
    with pytest.raises(ValueError, match="quadrature = -1 must not be negative"):
        ErrorBudget(quadrature=-1)
