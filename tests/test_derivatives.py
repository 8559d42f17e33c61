"""Jacobians by calls alone, against those of JAX in double precision, and what is refused."""

import numpy as np
import pytest

from export.derivatives import stencil
from export.ranges import OutOfRange
from export.runtime import load
from export.statistics import DeltaSigma, Wp

POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "z": 0.5,
    "log10Mmin": 13.0, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 14.0, "alpha": 1.0,
}  # fmt: skip
MEASURED = 1e-3  # of the largest derivative of an output by a parameter


def inside(model, N, seed=0):
    rng = np.random.default_rng(seed)
    low, high = np.array([[p.low, p.high] for p in model.parameters]).T
    x = low + (high - low) * rng.random((6 * N, len(low)))
    x[:, model.names.index("z")] *= 0.3  # where there are galaxies
    return x[model.is_inside(x)][:N]


@pytest.mark.parametrize(("name", "occupation"), [("standard", None), ("tinker10", "zheng07")])
def test_jacobians_are_those_of_jax(name, occupation):
    jax = pytest.importorskip("jax")
    from hodspectra.jax import function

    model, outputs = load(name, occupation=occupation), ["gg_total", "gm_1h", "mm_2h", "n_g"]
    x = inside(model, 60)
    jax.config.update("jax_enable_x64", True)
    try:
        exact = jax.jit(jax.vmap(jax.jacfwd(function(model, outputs, dtype="float64"))))(x)
    finally:
        jax.config.update("jax_enable_x64", False)
    found = model.jacobian(x, outputs)
    for output in outputs:
        for i, parameter in enumerate(model.names):
            expected = np.asarray(exact[output])[..., i]
            error = np.abs(found[output][parameter] - expected)
            most = np.abs(expected).max()  # 0 of matter by parameters of galaxies
            assert np.quantile(error, 0.95) <= MEASURED * most + 1e-8, (output, parameter)


def test_one_point_many_points_statistics_and_own_wavenumbers():
    model = load("tinker10", occupation="zheng07")
    r = [0.3, 3.0, 20.0]
    outputs = [Wp(r, pi_max=60, lengths="Mpc/h"), DeltaSigma(r), "gg_total"]
    one = model.jacobian(POINT, outputs, ["sigma_8", "z"], k=[0.1, 1.0])
    assert one["w_p"]["z"].shape == (3,)
    assert one["gg_total"]["sigma_8"].shape == (2,)
    many = model.jacobian(
        {name: np.full(4, value) for name, value in POINT.items()}, outputs, k=[0.1, 1.0]
    )
    assert many["w_p"].keys() == set(model.names)
    np.testing.assert_allclose(many["w_p"]["z"], np.tile(one["w_p"]["z"], (4, 1)), rtol=1e-2)
    step = 0.02
    ends = [model(POINT | {"z": 0.5 + s * step}, outputs)["w_p"] for s in (1, -1)]
    np.testing.assert_allclose(one["w_p"]["z"], (ends[0] - ends[1]) / (2 * step), rtol=2e-2)


def test_at_the_ends_of_the_ranges_calls_stay_inside():
    model = load("tinker10", occupation="zheng07")
    ends = {"sigma_8": 1.2, "z": 0.0, "w0": -0.3, "wa": 0.19, "Om_c": 0.1}
    found = model.jacobian(POINT | ends, "mm_total")["mm_total"]
    assert all(np.isfinite(slope).all() for slope in found.values())
    x = np.array([[{**POINT, "w0": -1.0, "wa": 0.0, **ends}[n] for n in model.names]], np.float32)
    calls = stencil(x, model.parameters, range(x.shape[1]), model.domains)
    assert model.is_inside(calls.points.reshape(-1, x.shape[1])).all()


def test_what_is_refused():
    model = load("tinker10", occupation="zheng07")
    with pytest.raises(ValueError, match="no parameter sigma8.*sigma_8"):
        model.jacobian(POINT, "n_g", "sigma8")
    with pytest.raises(OutOfRange, match="sigma_8"):
        model.jacobian(POINT | {"sigma_8": 2.0}, "n_g")
    lost = model.jacobian(POINT | {"sigma_8": 2.0}, "n_g", out_of_range="nan")
    assert all(np.isnan(slope) for slope in lost["n_g"].values())
    with pytest.raises(ValueError, match="are parameters of statistics, which are linear in them"):
        model.jacobian(POINT, [DeltaSigma([1.0], point_mass="log10M_pm")], "z")
