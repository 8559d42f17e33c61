"""The study of how exact statistics are, on a few labels."""

import numpy as np
import pytest

from benchmarks.codes.fftlog import transformed
from benchmarks.evaluate.statistics import RANGES, render, statistics
from datagen.design import Design
from datagen.generate import generate
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.space import Range, Space

SPACE = Space(
    occupation="zheng07",
    log10Mmin=Range(12.0, 13.0), log10M0=Range(12.0, 13.0), log10M1=Range(13.0, 14.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    model = HaloModelConfig(k=KGrid(1e-4, 110.0, 300))
    return generate(tmp_path_factory.mktemp("labels") / "fine.h5", Design(8), SPACE, model)


def test_fftlog_has_a_closed_form():
    """int k^1.5 P J_1/2(k r) r dk with P = 8 pi / (1 + k^2)^2 is that of xi = exp(-r)."""
    ln_k = np.log(np.geomspace(1e-4, 1e3, 600))
    r, found = transformed(ln_k, np.log(8 * np.pi / (1 + np.exp(2 * ln_k)) ** 2), 0.5, 1.5)
    xi = found * np.sqrt(np.pi / 2) / (2 * np.pi**2) * r**-1.5
    near = (r > 0.05) & (r < 8)
    np.testing.assert_allclose(xi[near], np.exp(-r[near]), rtol=1e-4)


def test_errors_are_small(labels):
    result = statistics(labels, "standard", timed=False)
    assert set(result["errors"]) == {"xi_gg", "w_p", "w_p, infinite", "Sigma", "Delta_Sigma"}
    assert result["points"] == 8
    for name, ranges in result["errors"].items():
        assert list(ranges) == list(RANGES)
        assert ranges["0.1 to 30"]["95"] < 2e-3, name
        assert ranges["30 to 150"]["95"] < 2e-2, name
    assert "| w_p, infinite |" in render(result)


def test_labels_that_do_not_serve(labels, tmp_path):
    coarse = generate(
        tmp_path / "coarse.h5", Design(2), SPACE, HaloModelConfig(k=KGrid(1e-4, 110.0, 50))
    )
    with pytest.raises(ValueError, match="has 50 wavenumbers .* make labels with --model.k.low"):
        statistics(coarse, "standard")
    with pytest.raises(ValueError, match="another halo model"):
        statistics(labels, "tinker10")
