"""CAMB's modes, taken one by one, are its linear power; and more accurate where that is not."""

import camb
import numpy as np
import pytest
from support import narrow

from datagen.boltzmann import CONVERGED, Accuracy, amplitudes, converged_power, parameters
from datagen.ccl import camb_power
from datagen.growth import growth_factor
from datagen.variance import top_hat

UNIVERSE = {"Om_c": 0.26, "Om_b": 0.045, "h": 0.7}
COSMOLOGY = {name: value for name, value in narrow.FIDUCIAL.items() if name != "z"}
K = np.array([1e-3, 0.01, 0.03, 0.07, 0.1, 0.3, 1.0, 3.0])


def shape(power):
    return power / power[-1]


def test_modes_are_the_transfer_function_that_camb_tabulates():
    """Its own table is asked for at its own wavenumbers, which it is not splined between."""
    chosen = parameters(UNIVERSE, CONVERGED)
    chosen.InitPower.set_params(ns=0.97)
    chosen.set_matter_power(redshifts=[0.0], kmax=4.0)
    results = camb.get_transfer_functions(chosen)
    results.calc_power_spectra()
    k, _, power = results.get_linear_matter_power_spectrum(hubble_units=False, k_hunit=False)
    some = slice(20, None, 25)
    ours = amplitudes(UNIVERSE, k[some])[0] ** 2 * k[some] ** (0.97 - 4)
    # 1e-4: the table has one depth of the hierarchies less
    np.testing.assert_allclose(shape(ours), shape(power[0, some]), rtol=1e-4)


def test_default_accuracy_is_converged_and_pyccl_s_is_not():
    """In a universe whose every fifth gram of matter is of baryons."""
    universe = {"Om_c": 0.2, "Om_b": 0.05, "h": 0.6}
    k = np.geomspace(0.02, 1, 24)
    finest = Accuracy(AccuracyBoost=2, TimeSwitchBoost=2, IntTolBoost=1, DoLateRadTruncation=False)
    truth = shape(amplitudes(universe, k, accuracy=finest)[0] ** 2)
    error = {
        name: np.abs(shape(amplitudes(universe, k, accuracy=accuracy)[0] ** 2) / truth - 1).max()
        for name, accuracy in {
            "converged": CONVERGED,
            "legacy": Accuracy(0, False, 1, 1, 1, 1),
        }.items()
    }
    assert error["converged"] < 2e-4
    assert error["legacy"] > 1e-3


def test_accuracy_of_others_in_the_process_is_left_alone():
    before = camb.config.AccuracyTarget
    try:
        for target in (0, 1):
            camb.config.AccuracyTarget = target
            amplitudes(UNIVERSE, K[:1])
            assert camb.config.AccuracyTarget == target
            with pytest.raises(KeyError):
                amplitudes({"h": 0.7}, K[:1])
            assert camb.config.AccuracyTarget == target
    finally:
        camb.config.AccuracyTarget = before


def test_redshifts_come_in_the_order_asked_for():
    together = amplitudes(UNIVERSE, K, (1.0, 0.0, 2.0))
    for row, z in zip(together, (1.0, 0.0, 2.0), strict=True):
        np.testing.assert_allclose(row, amplitudes(UNIVERSE, K, [z])[0], rtol=2e-6)


@pytest.mark.parametrize(("w0", "wa"), [(-1.0, 0.0), (-0.8, -0.4), (-1.1, 0.2)])
def test_modes_grow_as_the_growth_equation_says(w0, wa):
    universe = UNIVERSE | {"w0": w0, "wa": wa}
    then, now = amplitudes(universe, np.array([0.1, 1.0]), (1.0, 0.0))
    growth = growth_factor(0.305, 0.7, w0, wa, 1.0)
    np.testing.assert_allclose(then / now, growth, rtol=2e-4)


class TestPower:
    @pytest.fixture(scope="class")
    @classmethod
    def power(cls):
        """At wavenumbers even in ln k, at z = 0 and z = 1."""
        k = np.geomspace(5e-5, 100, 4096)
        with narrow.one_run_of_camb():
            return k, converged_power(COSMOLOGY, k, (0.0, 1.0))

    def test_has_the_sigma_8_asked_for(self, power):
        k, (today, _) = power
        integrand = today * k**3 * top_hat(k * 8 / 0.7) ** 2 / (2 * np.pi**2)
        assert np.sqrt(np.trapezoid(integrand, np.log(k))) == pytest.approx(0.83, rel=1e-5)

    def test_has_the_tilt_asked_for(self, power):
        k, (today, _) = power
        assert np.log(today[200] / today[0]) / np.log(k[200] / k[0]) == pytest.approx(
            0.96, abs=0.01
        )

    def test_is_pyccl_s_but_for_what_that_leaves_out(self, power):
        k, (today, _) = power
        error = np.abs(today / camb_power(COSMOLOGY, k) - 1)
        assert error[(k > 1e-3) & (k < 10)].max() < 5e-3
        assert error[k > 90].max() > 0.05

    def test_is_what_pyccl_gets_of_it(self, power):
        k, spectra = power
        some = slice(100, None, 400)
        for z, row in zip((0.0, 1.0), spectra, strict=True):
            theirs = narrow.camb().linear_matter_power(k[some], 1 / (1 + z))
            np.testing.assert_allclose(theirs, row[some], rtol=2e-5)
