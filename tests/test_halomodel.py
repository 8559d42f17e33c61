"""The halo model: closed forms, limits, identities, errors."""

import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from support import narrow
from support.narrow import TERMS, assert_close

from datagen.growth import growth_factor
from datagen.haloes import haloes_of
from datagen.halomodel import (
    HaloModel,
    HaloModelConfig,
    KGrid,
    mass_nodes,
    nfw_fourier,
    panel_edges,
)
from datagen.occupations import occupation
from datagen.occupations.functions import NUMPY
from datagen.outputs import CORRELATIONS
from datagen.space import Space
from datagen.store import Spectra

GALAXY_TERMS = [name for name in TERMS if "g" in name]

QUADRATURE = 1e-4  # what the labels promise
ROUNDING = 1e-11

LOW_K = KGrid(low=1e-4, high=1.0, points=40)


def hod(theta):
    return dict(zip(Space().names, map(float, theta), strict=True))


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [2.0, 9.0])
def test_profile_is_the_fourier_transform_of_nfw(c):
    R, k = 1.7, np.array([0.01, 1.0, 8.0])

    def rho(r):  # r^2 / [r (1 + r)^2], r in units of r_s
        return r / (1 + r) ** 2

    mass = quad(rho, 0, c)[0]
    for k_i, u in zip(k, nfw_fourier(k, np.array([R]), np.array([c]))[0], strict=True):
        x = k_i * R / c
        transform = quad(lambda r, x=x: rho(r) * np.sinc(x * r / np.pi), 0, c, epsabs=1e-13)[0]
        assert u == pytest.approx(transform / mass, rel=1e-9)


def test_profile_is_one_on_large_scales():
    R, c = np.array([0.05, 5.0]), np.array([15.0, 2.0])
    # 1 - u ~ (k R)^2 / 10 or less
    np.testing.assert_allclose(nfw_fourier(np.array([1e-4]), R, c), 1, atol=1e-7)


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("log10_Mth", [9.0, 10.0, 12.345, 16.0])
def test_nodes_resolve_a_step_of_any_width(sigma, log10_Mth):
    """int e dlnM = sigma [t Phi(t) + phi(t)] between the ends, t = ln(M / Mth) / sigma."""
    config = HaloModelConfig()
    low, high, ln_th = np.log([1e10, 1e17, 10**log10_Mth])
    edges = panel_edges(low, high, config.panels)
    point = {"Mth": 10**log10_Mth, "sigma": sigma, "alpha": 1, "Mprime": 1, "beta": 0}
    linke22 = occupation("linke22")
    ln_M, weights = mass_nodes(edges, linke22.cuts(point), config.panel_nodes)
    N_c = linke22.moments(np.exp(ln_M), point, NUMPY).centrals
    t = (np.array([low, high]) - ln_th) / sigma
    primitive = sigma * (t * ndtr(t) + np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))
    # 1e-7: of a panel of 3.5 sigma with 16 nodes
    assert weights @ N_c == pytest.approx(primitive[1] - primitive[0], rel=1e-7)
    assert weights.sum() == pytest.approx(high - low, rel=ROUNDING)
    assert ((ln_M >= low) & (ln_M <= high)).all()


# --- limits --------------------------------------------------------------------------------------


def test_two_halo_terms_are_biased_linear_power_on_large_scales():
    out = narrow.model(k=LOW_K)(narrow.points(6, Mth=1e12))
    b, P_lin = out["b_eff"], out["P_lin"][:, 0]
    # at 1e-4 1/Mpc profiles differ from one by (k R)^2 ~ 1e-6
    np.testing.assert_allclose(out["mm_2h"][:, 0], P_lin, rtol=1e-6)
    np.testing.assert_allclose(out["gm_2h"][:, 0], b * P_lin, rtol=1e-6)
    np.testing.assert_allclose(out["gg_2h"][:, 0], b**2 * P_lin, rtol=1e-6)


def test_one_halo_terms_are_shot_noise_on_large_scales():
    """At k -> 0 the 1-halo terms do not depend on k."""
    out = narrow.model(k=LOW_K)(narrow.points(6))
    for xy in CORRELATIONS:
        np.testing.assert_allclose(out[f"{xy}_1h"][:, 1], out[f"{xy}_1h"][:, 0], rtol=1e-5)


def test_without_satellites_no_pairs():
    """With S = Mprime^-beta -> 0, gg 1-halo falls as S; what is left does not depend on S."""
    few, fewer = (
        narrow.model()(narrow.points(5, alpha=0.7, Mprime=Mprime, beta=2.0))
        for Mprime in (1e18, 1e19)
    )
    np.testing.assert_allclose(few["gg_1h"], 100 * fewer["gg_1h"], rtol=1e-3)  # 2 N_c N_s leads
    assert (fewer["f_sat"] < 1e-5).all()
    assert_close(few, fewer, 1e-3, ["gm_1h", "gg_2h", "gm_2h"])


@pytest.mark.parametrize("model", ["standard", "g3lhalo"])
def test_without_centrals_mprime_drops_out(model):
    """alpha = 0 is no 0/0: galaxies are the satellites, and only pairs know how many there are."""
    one, other = (
        narrow.model(model=model)(narrow.points(3, seed=1, alpha=0.0, Mprime=Mprime))
        for Mprime in (1e12, 1e14)
    )
    blind = GALAXY_TERMS if model == "standard" else ["gm_1h", "gm_2h", "gg_2h"]
    assert_close(one, other, ROUNDING, [*blind, "b_eff", "mean_mass"])
    np.testing.assert_allclose(one["f_sat"], 1, rtol=ROUNDING)


def test_alpha_goes_to_zero_smoothly():
    none, little = (narrow.model()(narrow.points(5, alpha=a, Mprime=1e13)) for a in (0.0, 1e-9))
    assert_close(none, little, 1e-6)


def narrow_step(theta, k):
    """n_g, gm 1-halo and gg 1-halo to first order in sigma, with 3200 nodes.

    For a smooth f, int e f dlnM = int_Mth f dlnM + O(sigma^2), and since pairs go with e^2,
    int e^2 f dlnM = int_Mth f dlnM - f(Mth) sigma / sqrt(pi) + O(sigma^2).
    """
    p = hod(theta[0])
    (haloes,) = haloes_of(narrow.columns(theta), HaloModelConfig().fits(), k, narrow.table())
    x, w = np.polynomial.legendre.leggauss(16)
    edges = panel_edges(np.log(p["Mth"]), np.log(1e17), 200)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2

    def weighted(ln_M, weights):
        M = np.exp(ln_M)
        n = weights * haloes.dn_dlnM_and_bias(M)[0]
        u = nfw_fourier(k, haloes.radius(M), haloes.concentration(M))
        N_s = (M / p["Mprime"]) ** p["beta"]
        N_s_u = N_s[:, None] * u
        return (
            n @ (p["alpha"] + N_s),
            (n * M) @ (p["alpha"] * u + N_s_u * u),
            n @ (2 * p["alpha"] * N_s_u + N_s_u**2),
        )

    n_g, gm, gg = weighted((middle + half * x).ravel(), (half * w).ravel())
    gg -= weighted(np.log([p["Mth"]]), np.array([p["sigma"] / np.sqrt(np.pi)]))[2]
    return n_g, gm / (n_g * haloes.rho_m), gg / n_g**2


@pytest.mark.parametrize("Mth", [2e11, 3.3e13])
@pytest.mark.parametrize("sigma", [1e-3, 1e-2])
def test_narrow_threshold_is_a_step(Mth, sigma):
    theta = narrow.points(1, seed=4, sigma=sigma, Mth=Mth)
    ours = narrow.model()(theta)
    n_g, gm, gg = narrow_step(theta, KGrid().values())
    rtol = 1e-5 + 3 * sigma**2  # quadrature, and second derivatives of order one
    assert ours["n_g"][0] == pytest.approx(n_g, rel=rtol)
    np.testing.assert_allclose(ours["gm_1h"][0], gm, rtol=rtol)
    np.testing.assert_allclose(ours["gg_1h"][0], gg, rtol=rtol)


# --- identities ----------------------------------------------------------------------------------


def test_total_is_the_sum_of_the_terms():
    theta, halo_model = narrow.points(3), narrow.model()
    spectra = Spectra(theta, halo_model.k, halo_model(theta), {})
    for xy in CORRELATIONS:
        total = spectra[f"{xy}_1h"] + spectra[f"{xy}_2h"]
        np.testing.assert_array_equal(spectra[f"{xy}_total"], total)


def test_matter_does_not_see_galaxies():
    """To the nodes, which follow the threshold; exactly so where they stay."""
    one, other = (narrow.model()(narrow.fiducial(2, seed=seed)) for seed in (1, 2))
    assert_close(one, other, QUADRATURE, ["mm_1h", "mm_2h"])
    one, other = (
        narrow.model()(narrow.fiducial(2, alpha=a, Mprime=m, beta=b, Mth=1e12, sigma=0.3))
        for a, m, b in ((0.1, 1e12, 0.5), (1.0, 1e15, 2.0))
    )
    for name in ("mm_1h", "mm_2h", "P_lin"):
        np.testing.assert_array_equal(one[name], other[name])


def test_two_halo_terms_factorise():
    out = narrow.model()(narrow.points(5))
    np.testing.assert_allclose(out["gm_2h"] ** 2, out["mm_2h"] * out["gg_2h"], rtol=ROUNDING)


def test_dark_energy_enters_by_growth_alone():
    """As much as another amplitude does, at the same redshift."""
    theta = narrow.points(6, seed=2)
    columns, column = narrow.columns(theta), Space().names.index
    Om_m, h, z = columns["Om_c"] + columns["Om_b"], columns["h"], columns["z"]
    growth = growth_factor(Om_m, h, columns["w0"], columns["wa"], z)
    constant = theta.copy()
    constant[:, column("w0")], constant[:, column("wa")] = -1.0, 0.0
    constant[:, column("sigma_8")] *= growth / growth_factor(Om_m, h, -1.0, 0.0, z)
    assert_close(narrow.model()(theta), narrow.model()(constant), 1e-9, [*TERMS, "P_lin", "n_g"])


def test_power_grows_and_haloes_come_late():
    theta = narrow.fiducial(4, Mth=1e12, sigma=0.3, alpha=0.8, Mprime=1e13, beta=1.0)
    theta[:, Space().names.index("z")] = [0.0, 0.5, 1.0, 2.0]
    out = narrow.model()(theta)
    growth = growth_factor(0.3375, 0.7, -1.0, 0.0, theta[:, Space().names.index("z")])
    np.testing.assert_allclose(out["P_lin"], growth[:, None] ** 2 * out["P_lin"][0], rtol=ROUNDING)
    assert (np.diff(out["n_g"]) < 0).all()
    assert (np.diff(out["b_eff"]) > 0).all()


@pytest.mark.parametrize("model", ["standard", "g3lhalo"])
def test_alpha_and_mprime_come_out_of_the_integrals(model):
    """With S = Mprime^-beta, the unnormalised terms are polynomials in alpha and S.

    n_g = alpha A + S B; n_g gm1h = alpha G + S H; n_g sqrt(gg2h) = alpha C + S T; and
    n_g^2 gg1h = 2 alpha S D + S^2 E - S F, where F = 0 for Poisson satellites. The pieces from
    three (alpha, Mprime) predict a fourth.
    """
    beta, nodes = 0.9, [(1.0, 1e13), (0.3, 1e13), (0.3, 2e12)]
    target = (0.65, 4e14)
    halo_model = narrow.model(model=model)

    def unnormalised(alpha, Mprime):
        out = halo_model(narrow.fiducial(1, alpha=alpha, Mprime=Mprime, beta=beta, Mth=1e12))
        n_g = out["n_g"][0]
        linear = n_g * np.stack([np.ones_like(halo_model.k), out["gm_1h"][0]])
        linear = np.vstack([linear, n_g * np.sqrt(out["gg_2h"][0])])
        return linear, n_g**2 * out["gg_1h"][0]

    def monomials(alpha, Mprime):
        S = (Mprime / 1e13) ** -beta
        return np.array([alpha, S]), np.array([2 * alpha * S, S**2, -S])

    values = [unnormalised(*node) for node in nodes]
    bases = [monomials(*node) for node in nodes]
    linear, pairs = unnormalised(*target)
    in_linear, in_pairs = monomials(*target)

    weights = np.linalg.solve(np.array([b[0] for b in bases[1:]]).T, in_linear)
    predicted = np.einsum("i,i...->...", weights, np.array([v[0] for v in values[1:]]))
    np.testing.assert_allclose(predicted, linear, rtol=1e-9)

    weights = np.linalg.solve(np.array([b[1] for b in bases]).T, in_pairs)
    predicted = weights @ np.array([v[1] for v in values])
    np.testing.assert_allclose(predicted, pairs, rtol=1e-9)


def test_poisson_satellites_leave_nothing_negative():
    out = narrow.model()(narrow.points(100, seed=7))
    for name in TERMS:
        assert (out[name] > 0).all(), name


def test_a_batch_is_its_rows_one_by_one():
    theta = narrow.points(70, seed=5)  # more than are computed at once
    together = narrow.model()(theta)
    for i in (0, 63, 64, 69):
        alone = narrow.model()(theta[i : i + 1])
        for name in together:
            np.testing.assert_allclose(alone[name][0], together[name][i], rtol=ROUNDING)


def test_k_grid_is_a_choice_of_output_alone():
    theta = narrow.points(2)
    few = narrow.model(k=KGrid(points=8))(theta)
    many = narrow.model(k=KGrid(points=15))(theta)
    for name in TERMS:
        np.testing.assert_allclose(few[name], many[name][:, ::2], rtol=1e-8)


# --- errors --------------------------------------------------------------------------------------


def test_wrong_shape():
    with pytest.raises(ValueError, match=r"theta has shape \(2, 10\), expected \(N, 13\)"):
        narrow.model()(np.ones((2, 10)))


@pytest.mark.parametrize("name", Space().names)
@pytest.mark.parametrize("end", ["not a number", "below", "above"])
def test_parameter_out_of_validity_is_named(name, end):
    low, high = Space().parameters[name].valid
    value = {"not a number": np.nan, "below": low - 0.1, "above": 2 * high + 1}[end]
    theta = narrow.points(3)
    theta[1, Space().names.index(name)] = value
    with pytest.raises(ValueError, match=re.escape(f"row 1: {name} = {value:g} is outside")):
        narrow.model()(theta)


def test_dark_energy_that_matters_early_is_named():
    with pytest.raises(ValueError, match=r"row 0: w0 \+ wa = 0.1 must be below -0.1"):
        narrow.model()(narrow.points(1, w0=-0.9, wa=1.0))


def test_no_galaxies():
    theta = narrow.points(1, sigma_8=0.1, Mth=1e16, sigma=0.01)
    with pytest.raises(ValueError, match="no galaxies .*n_g = .*'Mth': 1e\\+16"):
        narrow.model()(theta)


def test_density_out_of_the_table():
    with pytest.raises(ValueError, match=r"Om_c h\^2 = 0.57.* is outside the table"):
        narrow.model()(narrow.points(1, Om_c=0.7, h=0.91))


def test_table_and_choice_of_linear_power_belong_together():
    with pytest.raises(ValueError, match="linear_power: table needs a LinearPower"):
        HaloModel(HaloModelConfig())
    with pytest.raises(ValueError, match="linear_power: camb takes no LinearPower"):
        HaloModel(HaloModelConfig(linear_power="camb"), narrow.table())


def test_g3lhalo_has_the_published_occupation_alone():
    config = HaloModelConfig(model="g3lhalo", linear_power="camb")
    with pytest.raises(ValueError, match="occupation = 'zheng07': the g3lhalo model.* linke22"):
        HaloModel(config, galaxies="zheng07")


def test_an_occupation_that_there_is_not():
    with pytest.raises(ValueError, match=r"no occupation 'zheng' \(did you mean 'zheng07'\?\)"):
        HaloModel(HaloModelConfig(), narrow.table(), "zheng")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "other"}, "model = 'other' must be"),
        ({"linear_power": "class"}, "linear_power = 'class' must be"),
        ({"camb": "exact"}, "camb = 'exact' must be 'converged' or 'pyccl'"),
        ({"k": KGrid(high=200.0)}, "converged linear power ends at 110,.* camb: pyccl"),
        ({"log10M_min": 15.0, "log10M_max": 14.0}, "must increase"),
        ({"table_nodes": (1, 4)}, "table_nodes = .* at least 2"),
        ({"panels": 0}, "panels = 0"),
        ({"panel_nodes": 1}, "panel_nodes = 1"),
    ],
)
def test_bad_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HaloModelConfig(**options)


@pytest.mark.parametrize("options", [{"low": 1.0, "high": 0.1}, {"low": 1e-5}, {"points": 1}])
def test_bad_k_grids_are_refused(options):
    with pytest.raises(ValueError, match="k grid"):
        KGrid(**options)
