"""Scalings invert, and do not trip over what does not vary."""

import numpy as np
import pytest
import torch

from datagen.space import Range, Space
from emulator.scaling import Components, Features, Standardize

EPS = 1e-12  # float64 rounding


def test_standardize_inverts_and_has_unit_moments():
    x = 5 + 3 * torch.randn(1000, 2, 4, dtype=torch.float64, generator=torch.manual_seed(1))
    scaling = Standardize(2, 4).double()
    scaling.fit(x)
    y = scaling(x)
    torch.testing.assert_close(scaling.inverse(y), x, rtol=EPS, atol=EPS)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(2, 4).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(y.std(dim=0, correction=0), torch.ones(2, 4).double())


def test_constant_column_maps_to_zero():
    scaling = Standardize(1).double()
    scaling.fit(torch.full((10, 1), 0.1, dtype=torch.float64))
    assert scaling(torch.tensor([[0.1]], dtype=torch.float64)).abs() < 1e-7


def _correlated(directions: int) -> torch.Tensor:
    """Values of mean 0 along some directions of 5, shape (1000, 5)."""
    generator = torch.manual_seed(1)
    mixing = torch.randn(directions, 5, dtype=torch.float64, generator=generator)
    x = torch.randn(1000, directions, dtype=torch.float64, generator=generator) @ mixing
    return x - x.mean(dim=0)


def test_as_many_components_as_directions_lose_nothing_and_have_unit_variance():
    x = _correlated(3)
    components = Components(3, 5).double()
    components.fit(x)
    coefficients = x @ torch.linalg.pinv(components.basis)
    torch.testing.assert_close(components.inverse(coefficients), x, rtol=0, atol=1e-12)
    covariance = coefficients.T @ coefficients / len(x)
    torch.testing.assert_close(covariance, torch.eye(3).double(), rtol=0, atol=1e-12)


def test_fewer_components_lose_what_a_singular_value_decomposition_loses():
    x = _correlated(5)
    components = Components(2, 5).double()
    components.fit(x)
    left = x - components.inverse(x @ torch.linalg.pinv(components.basis))
    expected = torch.linalg.svdvals(x)[2:].square().sum()
    torch.testing.assert_close(left.square().sum(), expected, rtol=1e-9, atol=0)


def test_more_components_than_there_can_be_are_refused():
    with pytest.raises(ValueError, match="components = 6 must be at most the number of values"):
        Components(6, 5)
    x = torch.zeros(10, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match="components = 2 is more than the labels have"):
        Components(2, 5).fit(x)


MODEL = {"model": "standard"}
SPACE = Space(z=Range(0.0, 2.0))  # masses in their log10; dark energy held fixed


def _points(n: int) -> torch.Tensor:
    unit = np.random.default_rng(1).random((n, len(SPACE.names)))
    return torch.tensor(SPACE.from_unit(unit))


def test_features_are_standardised_with_log10_where_told_and_of_the_satellites():
    theta = _points(1000)
    features = Features(SPACE, MODEL).double()
    features.fit(theta)
    x = features(theta)
    point = dict(zip(SPACE.names, theta.T, strict=True))
    free = len(SPACE.names) - 2  # without w0 and wa
    assert SPACE.free == tuple(name for name in SPACE.names if name not in ("w0", "wa"))
    assert x.shape == (1000, features.inputs) == (1000, free + 2)
    expected = {
        SPACE.free.index("h"): point["h"],
        SPACE.free.index("z"): point["z"],
        SPACE.free.index("Mth"): torch.log10(point["Mth"]),
        free: torch.log(point["alpha"] + 1e-4),
        free + 1: point["beta"] * (torch.log(point["Mth"]) - torch.log(point["Mprime"])),
    }
    for column, value in expected.items():
        scaled = (value - value.mean()) / value.std(correction=0)
        torch.testing.assert_close(x[:, column], scaled)


def test_float32_features_are_those_of_float64():
    theta = _points(1000)
    features = Features(SPACE, MODEL)
    features.fit(theta)
    exact = Features(SPACE, MODEL).double()
    exact.load_state_dict(features.state_dict())
    ours, expected = features(theta.float()).double(), exact(theta)
    torch.testing.assert_close(ours, expected, rtol=0, atol=5e-6)
    masses = [SPACE.free.index(name) for name in ("Mth", "Mprime")]
    torch.testing.assert_close(ours[:, masses], expected[:, masses], rtol=0, atol=2e-6)


def test_features_and_their_gradients_are_finite_without_centrals():
    theta = _points(10).float()
    theta[:, SPACE.names.index("alpha")] = 0
    theta.requires_grad_()
    Features(SPACE, MODEL)(theta).sum().backward()
    assert torch.isfinite(theta.grad).all()
