"""Where in its box an emulator holds: told from labels, carried in the file, held to per row."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.small_network import SMALL_SPACE, SMALL_TRAINING

from datagen.domain import FEATURES, Domain
from datagen.fields import from_record
from datagen.space import Range, Space, columns_by_name
from emulator.domain import fit_domain, terms_of
from emulator.schedule import ScheduleConfig
from emulator.train import fit
from export.info import card, summaries
from export.ranges import OutOfRange, OutOfRangeWarning
from export.runtime import load
from export.to_onnx import to_onnx

REFERENCE = Path(__file__).parent / "reference"
POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96,
    "alpha": 0.8, "sigma": 0.3, "Mth": 1e13, "Mprime": 2e14, "beta": 1.0,
}  # fmt: skip
TODAY = POINT | {"z": 0.0}
FEW = {"alpha": 0.2}  # with so few centrals, gg_1h of g3lhalo is -12 % of gg_2h at k = 0.1
ALPHA = Space().names.index("alpha")
QUICK = replace(SMALL_TRAINING, schedule=ScheduleConfig("stages", max_epochs=(2,), patience=(2,)))
REASON = "lies where gg_1h of this halo model is negative; the emulator was not trained there"


@pytest.fixture(scope="module")
def model():
    return load("published-gg")


@pytest.fixture
def rows() -> dict[str, object]:
    """Four points, of which the last but one is outside of the domain."""
    return POINT | {"alpha": [0.8, 0.9, FEW["alpha"], 0.7]}


@pytest.mark.parametrize(("masses", "let_in", "refused"), [("linear", 0, 3), ("log", 2, 4)])
def test_it_knows_the_signs_that_g3lhalo_itself_computed(model, masses, let_in, refused):
    """G3LHalo's own spectra (tests/reference) at points that no fit has seen."""
    known = np.load(REFERENCE / f"g3lhalo_{masses}_mass.npz")
    points = dict(zip(known["names"].tolist(), known["params"].T, strict=True))
    positive = (known["Pk_ll_1h"] > 0).all(axis=1)
    assert 10 <= (~positive).sum() <= len(positive) - 10
    inside = model.is_inside(points)
    assert (inside & ~positive).sum() <= let_in
    assert (~inside & positive).sum() <= refused


def test_a_row_outside_is_an_error_that_says_why(model, rows):
    with pytest.raises(OutOfRange) as error:
        model(rows)
    assert str(error.value) == f"row 2 {REASON}"
    with pytest.raises(OutOfRange, match=f"row 0 {REASON}"):
        model(POINT | FEW)
    with pytest.raises(OutOfRange, match="row 0: h = 0.9 is outside .*; row 2 lies where gg_1h"):
        model(rows | {"h": [0.9, 0.7, 0.7, 0.7]})


def test_rows_outside_are_nan_and_others_are_not(model, rows):
    for k in (None, [0.1, 1.0]):
        results = model(rows, k=k, out_of_range="nan")
        for name, values in results.items():
            assert np.isnan(values[2]).all(), name
            assert np.isfinite(np.delete(values, 2, axis=0)).all(), name
    alone = model(POINT, out_of_range="nan")
    np.testing.assert_allclose(alone["gg_total"], model(POINT)["gg_total"])
    assert np.isnan(model(POINT | FEW, out_of_range="nan")["gg_2h"]).all()


def test_a_warning_names_the_row(model, rows):
    with pytest.warns(OutOfRangeWarning, match=f"row 2 {REASON}") as caught:
        results = model(rows, out_of_range="warn")
    assert caught[0].filename == __file__
    assert np.isfinite(results["gg_total"]).all()


def test_there_is_no_end_to_clip_to(model, rows):
    with pytest.raises(OutOfRange, match=f"row 2 {REASON}"):
        model(rows, out_of_range="clip")
    clipped = model(POINT | {"h": 0.9}, out_of_range="clip")
    np.testing.assert_array_equal(clipped["gg_1h"], model(POINT | {"h": 0.82})["gg_1h"])
    with pytest.raises(OutOfRange, match="row 0 lies where"):
        model(POINT | FEW | {"h": 0.9}, out_of_range="clip")


def test_of_many_rows_the_first_are_named(model):
    with pytest.raises(OutOfRange, match=r"row 6 lies .*; and 3 more such rows$") as error:
        model(POINT | {"alpha": [0.8, 0.8, *[0.1] * 8]})
    assert str(error.value).count("lies where") == 5


def test_one_asks_beforehand(model, rows, small_file):
    np.testing.assert_array_equal(model.is_inside(rows), [True, True, False, True])
    assert model.is_inside(POINT)
    assert not model.is_inside(POINT | FEW)
    assert not model.is_inside(POINT | {"h": 0.9})
    assert not model.is_inside(POINT | {"h": np.nan})
    assert load(small_file).is_inside(TODAY | FEW)  # its satellites are Poisson: none is negative
    assert model.is_inside(np.empty((0, len(Space().names)))).shape == (0,)


def test_many_points_are_as_few(model):
    theta = Space().from_unit(np.random.default_rng(0).random((10_000, len(Space().names))))
    inside = model.is_inside(theta)
    assert 0.5 < inside.mean() < 0.9  # masses drawn evenly in their logarithm
    np.testing.assert_array_equal(inside[4090:4110], model.is_inside(theta[4090:4110]))


def test_the_card_tells_of_it(model, small_file):
    text = card(model)
    assert "part of this box: points where gg_1h of this halo model is negative are refused" in text
    made = model.metadata["provenance"]
    assert 100_000 < made["dropped"] < made["points"]["all"] == 200_000
    left_out = f"{made['dropped']:,} of 200,000 points, 63 %"
    assert f"points left out of the training: {left_out}" in text
    assert "of 34,500 test points" in text
    assert "'points': 100000, 'seed': 37}, for training only" in text
    assert "gg_total is learnt separately: it is not the sum of gg_1h and gg_2h" in text
    separate = card(load("published-gm-separate"))
    assert "part of this box" not in separate
    assert "learnt separately" not in separate
    early = "domain       part of this box: points where w0 + wa is not below -0.1 are refused\n\n"
    assert early in card(load(small_file))
    assert "on a part of its box" in summaries()["published-gg"]
    assert "  but not     where gg_1h of this halo model is negative>" in repr(model)


def synthetic(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Points, and which of them have satellites enough, by a rule that is known."""
    theta = Space().from_unit(np.random.default_rng(1).random((points, len(Space().names))))
    x = columns_by_name(theta, Space().names)
    return theta, 2 * x["alpha"] + np.minimum((x["Mth"] / x["Mprime"]) ** x["beta"], 10.0) > 1


def test_a_fit_errs_on_the_side_of_refusing():
    theta, kept = synthetic(6000)
    domain = fit_domain(theta[:4000], kept[:4000], ["gg_1h"])
    assert domain.points == 600
    assert domain.share == pytest.approx((~kept[:4000]).mean())
    inside = domain.is_inside(theta[4000:])
    assert inside[~kept[4000:]].mean() < 0.02
    assert (~inside)[kept[4000:]].mean() < 0.1
    assert domain.accepted < 0.02
    assert domain.refused < 0.1


@pytest.mark.parametrize("dropped", [1, 3])
def test_a_few_points_that_were_dropped_are_refused(dropped):
    theta, _ = synthetic(200)
    kept = np.arange(200) >= dropped
    assert not fit_domain(theta, kept, ["gg_1h"]).is_inside(theta[:dropped]).any()


def test_terms_are_to_blame_and_not_their_totals():
    assert terms_of(["gg_1h", "gg_total"]) == ["gg_1h"]
    assert terms_of(["gg_total"]) == ["gg_total"]
    assert terms_of(["gm_1h", "gg_total"]) == ["gm_1h", "gg_total"]


def test_a_domain_is_what_its_record_was():
    theta, kept = synthetic(1000)
    domain = fit_domain(theta, kept, ["gg_1h"])
    record = json.loads(json.dumps(domain.as_dict()))
    again = from_record(Domain, record, "domain")
    assert again == domain
    np.testing.assert_array_equal(again.is_inside(theta), domain.is_inside(theta))
    for change, message in (
        ({"features": FEATURES[:9]}, "a domain is told by Om_c, Om_b"),
        ({"low": [0.0]}, "a domain is told by"),
        ({"outputs": []}, "a domain has layers"),
        ({"layers": record["layers"][:2]}, "a domain has layers that give"),
        ({"layers": [{"weight": [[1.0], [1.0, 2.0]], "bias": [0.0, 0.0]}]}, "a layer has rows of"),
        ({"share": "half"}, "domain.share is 'half', not a number"),
        ({"more": 1}, "has the unknown more"),
    ):
        with pytest.raises(ValueError, match=message):
            from_record(Domain, record | change, "domain")


@pytest.fixture(scope="module")
def scarce(spectra):
    """Labels whose gg 1-halo term is negative where alpha is small, as with g3lhalo."""
    labels = spectra.select(np.arange(len(spectra)))
    labels.arrays["gg_1h"] = labels["gg_1h"].copy()
    labels.arrays["gg_1h"][labels.theta[:, ALPHA] < 0.3] *= -1
    return labels


def test_what_a_training_left_out_an_export_refuses(scarce, tmp_path):
    emulator, _ = fit(scarce, replace(QUICK, negative="drop"))
    emulator.save(tmp_path / "emulator.safetensors")
    model = load(to_onnx(tmp_path / "emulator.safetensors", tmp_path / "emulator.onnx"))
    theta = SMALL_SPACE.from_unit(np.random.default_rng(2).random((200, len(Space().names))))
    inside, alpha = model.is_inside(theta), theta[:, ALPHA]
    assert not inside[alpha < 0.2].any()
    assert inside[alpha > 0.6].mean() > 0.9
    with pytest.raises(OutOfRange, match="gg_1h of this halo model is negative"):
        model(theta[alpha < 0.2])
    again = load(to_onnx(tmp_path / "emulator.safetensors", tmp_path / "2.onnx", outputs=["gg_2h"]))
    np.testing.assert_array_equal(again.is_inside(theta), inside)


def test_a_domain_can_be_told_from_other_labels(scarce, label_file, emulator, tmp_path):
    file = tmp_path / "emulator.safetensors"  # of the fixture, which saw nothing negative
    scarce.write(tmp_path / "scarce.h5")
    model = load(to_onnx(file, tmp_path / "a.onnx", domain=[tmp_path / "scarce.h5"]))
    assert not model.is_inside(scarce.theta[scarce.theta[:, ALPHA] < 0.3]).any()
    assert model.metadata["provenance"]["domain"][0]["sha256"] == scarce.hash()
    with pytest.raises(ValueError, match="are positive at all points; leave domain out"):
        to_onnx(file, tmp_path / "b.onnx", domain=[label_file])
    other = scarce.select(np.arange(50))
    for what, change in (
        ("halo model", {"model": scarce.metadata["model"] | {"log10M_min": 9.0}}),
        ("box", {"space": Space().as_dict()}),
        ("box", {"space": replace(SMALL_SPACE, z=Range(0.0, 0.5)).as_dict()}),
    ):
        other.metadata = scarce.metadata | change
        other.write(tmp_path / "other.h5")
        with pytest.raises(ValueError, match=rf"other.h5 has another {what} than the emulator"):
            to_onnx(file, tmp_path / "b.onnx", domain=[tmp_path / "other.h5"])
    assert not (tmp_path / "b.onnx").exists()
