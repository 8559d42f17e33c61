import pyccl
import pytest

from benchmarks.studies.ingredients import ingredients, render
from datagen.ingredients import KINDS


@pytest.mark.slow
def test_fits_are_compared_with_pyccl_s():
    moments = pyccl.spline_params.A_SPLINE_NA_SM
    record = ingredients(points=1, seed=2)
    assert moments == pyccl.spline_params.A_SPLINE_NA_SM
    for kind, fits in KINDS.items():
        rows = record["fits"][kind]
        assert set(rows) == {f"{name} {mass}" for name, masses in fits.items() for mass in masses}
        for row in rows.values():
            assert row["formula"] is None or row["formula"] < 1e-4
            assert row["mass"] is None or row["mass"] < 1e-3
    printed = render(record)
    assert "mass_function Tinker10 200m" in printed
    assert "  Tinker10, Tinker10, Duffy08, 200m" in printed


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="points = 0 must be at least 1"):
        ingredients(points=0)
