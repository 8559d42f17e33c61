"""Scalings invert, and do not trip over what does not vary."""

import torch

from emulator.scaling import Features, Standardize

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


def test_features_invert_and_take_log10_only_where_told():
    theta = torch.tensor([[0.3, 1e12], [0.1, 1e15], [0.0, 1e10]], dtype=torch.float64)
    features = Features([False, True]).double()
    features.fit(theta)
    x = features(theta)
    torch.testing.assert_close(features.inverse(x), theta, rtol=1e-10, atol=EPS)
    logs = torch.log10(theta[:, 1])
    torch.testing.assert_close(x[:, 1], (logs - logs.mean()) / logs.std(correction=0))


def test_float32_masses_keep_their_logarithm():
    features = Features([True])
    features.fit(torch.tensor([[1e10], [1e17]], dtype=torch.float64))
    masses = torch.logspace(10, 17, 1000, dtype=torch.float64)[:, None]
    exact = Features([True]).double()
    exact.load_state_dict(features.state_dict())
    torch.testing.assert_close(features(masses.float()).double(), exact(masses), rtol=0, atol=2e-6)


def test_gradient_of_features_is_finite_where_no_log_is_taken():
    theta = torch.zeros(1, 2, requires_grad=True)
    Features([False, False])(theta).sum().backward()
    assert torch.isfinite(theta.grad).all()
