"""A fit that is an input file of Cobaya and no code: measurements of a file, with a covariance."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from support.hosts import COSMOLOGY, POINT, ZHENG07

from export.measurements import Measurements
from export.runtime import load
from export.statistics import DeltaSigma, Wp

pytest.importorskip("cobaya")

from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.run import run
from cobaya.yaml import yaml_load

ROOT = Path(__file__).resolve().parent.parent
THEORY = "export.adapters.for_cobaya.HaloModel"
LIKELIHOOD = "export.adapters.cobaya_likelihood.Gaussian"
Z = 0.5
H = POINT["h"]
ROUNDING = 1e-4  # of chi^2: the emulators compute in float32
W_P = Wp(np.geomspace(0.2, 30, 8), pi_max=60, lengths="Mpc/h")
DELTA_SIGMA = DeltaSigma(np.geomspace(0.1, 10, 6), units="h Msun/pc^2", lengths="Mpc/h")
STATISTICS = (W_P, DELTA_SIGMA)


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


def vector(emulator, point):
    """What is measured, by hand: with h, as most do."""
    found = emulator(point | {"z": Z}, [*STATISTICS, "n_g"])
    return np.concatenate([found["w_p"], found["Delta_Sigma"], [found["n_g"] / point["h"] ** 3]])


@pytest.fixture(scope="module")
def files(emulator, tmp_path_factory):
    """Made-up data and their correlated errors, in files."""
    folder, rng = tmp_path_factory.mktemp("measured"), np.random.default_rng(2)
    truth = vector(emulator, POINT)
    errors = 0.1 * truth
    shape = 0.6 ** np.abs(np.subtract.outer(np.arange(len(truth)), np.arange(len(truth))))
    covariance = shape * np.outer(errors, errors)
    data = truth + np.linalg.cholesky(covariance) @ rng.standard_normal(len(truth))
    path = folder / "sample.csv"
    Measurements(STATISTICS, data, errors, {"n_g": "h^3/Mpc^3"}).write(path)
    np.savetxt(folder / "covariance.txt", covariance)
    return path, folder / "covariance.txt", data, covariance


def chi2(files, model, kept=slice(None)):
    _, _, data, covariance = files
    apart = (model - data)[kept]
    return apart @ np.linalg.solve(covariance[kept][:, kept], apart)


@pytest.fixture
def info(small_file, files):
    """An input, as YAML has it."""

    def make(params=(), theory=(), without=(), **options):
        given = POINT | {"sigma_8": {"prior": {"min": 0.7, "max": 1.0}, "ref": 0.85}}
        given |= dict(params)
        likelihood = {"python_path": str(ROOT), "data": str(files[0]), "z": Z} | options
        text = yaml.safe_dump(
            {
                "theory": {
                    THEORY: {"python_path": str(ROOT), "emulator": str(small_file)} | dict(theory)
                },
                "likelihood": {LIKELIHOOD: likelihood},
                "params": {name: value for name, value in given.items() if name not in without},
                "sampler": {"evaluate": None},
            }
        )
        return yaml_load(text)

    return make


@pytest.mark.filterwarnings("ignore")  # pandas' to cobaya (3.6)
def test_a_file_of_input_gives_the_chi2_of_numpy(info, files, emulator):
    _, sampler = run(info(covariance=str(files[1])))
    expected = chi2(files, vector(emulator, POINT | {"sigma_8": 0.85}))
    one = sampler.products()["sample"]
    assert one["chi2"].iloc[0] == pytest.approx(expected, rel=ROUNDING)
    assert one[f"chi2__{LIKELIHOOD}"].iloc[0] == pytest.approx(expected, rel=ROUNDING)


def loglike(info, **point):
    return float(get_model(info).loglike({"sigma_8": 0.85} | point, return_derived=False))


def test_separations_can_be_cut(info, files, emulator):
    cuts = {"w_p": [0.5, 20], "Delta_Sigma": [None, 5.0]}
    kept = np.concatenate(
        [(W_P.radii >= 0.5) & (W_P.radii <= 20), DELTA_SIGMA.radii <= 5.0, [True]]
    )
    ours = loglike(info(covariance=str(files[1]), cuts=cuts))
    expected = chi2(files, vector(emulator, POINT | {"sigma_8": 0.85}), kept)
    assert kept.sum() < len(kept)
    assert ours == pytest.approx(-0.5 * expected, rel=ROUNDING)


def test_errors_are_independent_without_a_covariance(info, files, emulator):
    apart = (vector(emulator, POINT | {"sigma_8": 0.85}) - files[2]) / np.sqrt(np.diag(files[3]))
    assert loglike(info()) == pytest.approx(-0.5 * apart @ apart, rel=ROUNDING)


def test_the_redshift_and_h_may_come_as_they_like(info):
    expected = loglike(info())
    assert loglike(info(z=None, theory={"z": Z})) == pytest.approx(expected)
    assert loglike(info(z=None, params={"z": Z})) == pytest.approx(expected)
    assert loglike(info(params={"H0": 70.0}, without=["h"])) == pytest.approx(expected)
    one = loglike(info(z=None, theory={"z": [Z]}))
    assert one == pytest.approx(expected)
    with pytest.raises(LoggedError, match=r"the theory has the redshifts \[0.5, 1.0\], but .* has"):
        get_model(info(z=None, theory={"z": [Z, 1.0]}))


def test_two_files_of_the_same_names_are_two_likelihoods(info, files):
    both = info()
    both["likelihood"] = {
        name: {"class": LIKELIHOOD, "python_path": str(ROOT), "data": str(files[0]), "z": Z}
        | {"cuts": {"w_p": cut}}
        for name, cut in {"near": [0.1, 3.0], "far": [3.0, 40.0]}.items()
    }
    alone = [loglike(info(cuts={"w_p": cut})) for cut in ([0.1, 3.0], [3.0, 40.0])]
    assert loglike(both) == pytest.approx(sum(alone))


def test_points_without_an_answer_have_no_likelihood(info):
    wide = info({"sigma_8": {"prior": {"min": 0.5, "max": 1.4}}})
    assert loglike(wide, sigma_8=1.3) == -np.inf
    assert np.isfinite(loglike(wide))


def test_galaxies_of_another_occupation(info, files, small_file):
    occupation = load(small_file, occupation="zheng07")
    without = POINT.keys() - COSMOLOGY.keys() - {"alpha"}
    given = info(ZHENG07, {"occupation": "zheng07"}, without, covariance=str(files[1]))
    model = vector(occupation, COSMOLOGY | ZHENG07 | {"sigma_8": 0.85})
    assert loglike(given) == pytest.approx(-0.5 * chi2(files, model), rel=ROUNDING)


def test_a_parameter_of_a_statistic_is_one_of_the_input(info, emulator, tmp_path):
    one = DeltaSigma(DELTA_SIGMA.radii, units="h Msun/pc^2", lengths="Mpc/h", point_mass="M")
    data = emulator(POINT | {"z": Z, "M": 1e12}, one)["Delta_Sigma"]
    Measurements([one], data, 0.1 * data).write(tmp_path / "lensing.csv")
    given = info({"M": {"prior": {"min": 0, "max": 1e13}}}, data=str(tmp_path / "lensing.csv"))
    assert loglike(given, M=1e12, sigma_8=0.82) == pytest.approx(0, abs=1e-6)
    assert loglike(given, M=2e12, sigma_8=0.82) < -1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": None}, "give the option data: a file of measurements"),
        ({"data": "nowhere.csv"}, "no measurements at nowhere.csv"),
        ({"covariance": "nowhere.txt"}, "no covariance at nowhere.txt"),
        ({"cuts": {"wp": [1, 2]}}, r"cuts of wp \(did you mean 'w_p'\?\): statistics with separat"),
        ({"cuts": {"w_p": [50, 60]}}, "cuts of w_p: .*leaves none of its 8"),
        ({"cuts": {"w_p": 3.0}}, r"cuts: w_p = 3.0 must be two numbers, \[low, high\]"),
        ({"z": [0.1, 0.2]}, r"z = \[0.1, 0.2\] must be one number"),
        ({"z": "low"}, "z = 'low' is not a real number"),
        ({"z": 5.0}, "halo_model: z = 5: small is for z = 0 to 2"),
        ({"z": None}, "no redshift: the emulator is for z = 0 to 2"),
        ({"cut": {"w_p": [1, 2]}}, "cut"),
    ],
)
def test_mistakes_of_the_input_are_errors_at_set_up(info, options, message):
    with pytest.raises(LoggedError, match=message):
        get_model(info(**options))


def test_the_front_door_has_both():
    import hodspectra.cobaya as door

    assert door.Gaussian.__name__ == "Gaussian"
    assert door.HaloModel.__name__ == "HaloModel"
