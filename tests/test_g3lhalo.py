"""Inputs of networks for g3lhalo: what they depend on, and that its spectra follow them."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from support import narrow

from datagen.halomodel import HaloModelConfig
from datagen.space import Range, Space
from emulator.g3lhalo import g3lhalo_inputs
from emulator.scaling import Features

CONFIG = HaloModelConfig(model="g3lhalo")
STEP = math.log(1e7) / 127  # of the grid of masses, in ln M
POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.85, "n_s": 0.96, "alpha": 0.5,
    "sigma": 0.02, "Mth": 1e14, "Mprime": 3e16, "beta": 1.0,
}  # fmt: skip
COSINES = slice(8, 12)  # of the threshold
PHASES, FRACTIONS, PAIRS = 16, slice(17, 20), slice(20, 23)


def inputs(**changes):
    """Inputs of one point, shape (F,)."""
    values = (POINT | changes).items()
    point = {name: torch.tensor([[x]], dtype=torch.float64) for name, x in values}
    return g3lhalo_inputs(point, asdict(CONFIG))[0].numpy()


def inputs_of(theta):
    """Inputs of points, shape (N, F)."""
    columns = torch.tensor(theta).split(1, dim=1)
    return g3lhalo_inputs(dict(zip(Space().names, columns, strict=True)), asdict(CONFIG))


def test_phases_return_with_every_mass_of_the_grid():
    here = inputs()[:PHASES]
    shifted = inputs(Mth=1e14 * math.exp(STEP), h=0.7 * math.exp(STEP / 2))[:PHASES]
    np.testing.assert_allclose(shifted, here, atol=1e-9)
    half = inputs(Mth=1e14 * math.exp(STEP / 2), h=0.7 * math.exp(STEP / 4))[:PHASES]
    np.testing.assert_allclose(half[::4], -here[::4], atol=1e-9)  # of n = 1
    np.testing.assert_allclose(half[1::4], here[1::4], atol=1e-9)  # of n = 2
    on_grid = inputs(Mth=1e10 * math.exp(50 * STEP), sigma=1e-3)[COSINES]
    np.testing.assert_allclose(on_grid, np.ones(4), rtol=0.03)  # cosines; the width takes 2 %
    assert np.abs(inputs(sigma=0.2)[COSINES]).max() < 1e-20  # a wide threshold has no phase


def test_only_ratios_of_galaxies_count_and_no_galaxy_is_needed():
    same = inputs(alpha=0.05, Mprime=10 * 3e16)
    np.testing.assert_allclose(same[FRACTIONS], inputs()[FRACTIONS], rtol=1e-12)
    for changes in ({"alpha": 0.0}, {"Mth": 1e10, "Mprime": 1e17, "beta": 2.0}):
        assert np.isfinite(inputs(**changes)).all()
    none = inputs(alpha=0.0)[FRACTIONS]
    np.testing.assert_allclose(none, np.log([1e-2, 1e-4, 1e-3]), rtol=1e-12)
    assert np.abs(inputs(Mprime=1e19, beta=2.0)[FRACTIONS]).max() < 1e-7  # hardly a satellite


@pytest.mark.parametrize("varied", ["h", "Mth"])
def test_what_a_polynomial_leaves_of_spectra_follows_the_phases(varied):
    """Errors of the sums over the grid are what oscillates; without phases they are noise."""
    if varied == "h":  # profiles; a wide threshold
        changes, k = (
            {"h": 0.7 * np.exp(np.linspace(-0.15, 0.15, 120)), "sigma": 0.5},
            slice(-6, None),
        )
        phases = slice(0, 8)
    else:  # a narrow threshold
        changes, k = {"Mth": 2e14 * np.exp(np.linspace(-0.3, 0.3, 120))}, slice(0, 40)
        phases = slice(8, 16)
    names = Space().names
    columns = POINT | {"w0": -1.0, "wa": 0.0, "z": 0.0} | changes
    theta = np.stack([np.broadcast_to(columns[name], 120) for name in names], axis=1)
    P = narrow.model(model="g3lhalo")(theta)["gm_1h"][:, k]
    x = inputs_of(theta).numpy()[:, phases]
    smooth = np.polynomial.legendre.legvander(np.linspace(-1, 1, 120), 5)

    def left(basis):
        y = np.log(P)
        return y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]

    drift = np.linspace(-1, 1, 120)[:, None] * x  # amplitudes change along the way
    before, after = (
        np.sqrt(np.mean(left(b) ** 2)) for b in (smooth, np.hstack([smooth, x, drift]))
    )
    assert before > 5e-4
    assert after < 0.2 * before


def test_pairs_tell_the_sign_of_gg_1h():
    even = inputs(beta=0.0, Mth=1e13, sigma=1e-3)[PAIRS]  # one satellite in each halo
    np.testing.assert_allclose(even, np.full(3, math.log(2 * 0.5 + 1)), rtol=1e-9)
    theta = narrow.points(400, seed=2, z=0.0, w0=-1.0, wa=0.0)
    gg_1h = narrow.model(model="g3lhalo")(theta)["gg_1h"][:, 0]
    middle = inputs_of(theta).numpy()[:, PAIRS][:, 1]
    assert 0.1 < (gg_1h > 0).mean() < 0.9
    assert ((middle > 0) == (gg_1h > 0)).mean() > 0.9


def test_networks_of_g3lhalo_have_these_inputs():
    space = Space(Mth=Range(1e10, 1e15), Mprime=Range(1e10, 1e17))
    theta = torch.tensor(space.from_unit(np.random.default_rng(1).random((200, len(space.names)))))
    features = Features(space, asdict(CONFIG)).double()
    features.fit(theta)
    x = features(theta)
    free = len(space.free)
    assert x.shape == (200, free + PAIRS.stop)
    expected = inputs_of(theta.numpy())
    scaled = (expected - expected.mean(dim=0)) / expected.std(dim=0, correction=0)
    torch.testing.assert_close(x[:, free:], scaled)
    single = Features(space, asdict(CONFIG))
    single.load_state_dict(features.state_dict())
    torch.testing.assert_close(single(theta.float()).double(), x, rtol=0, atol=2e-3)
