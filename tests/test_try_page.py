"""The page that computes in the browser: its files and numbers are the package's own."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import warnings
from base64 import b64encode
from copy import deepcopy
from functools import cache
from itertools import product
from pathlib import Path

import npm
import numpy as np
import onnxruntime
import pytest
import try_page
from npm import Package, UnreachableError

from export.runtime import load
from hodspectra import DeltaSigma, Wp

SCRIPT = Path(__file__).parent / "support" / "try_page.mjs"
FUSED = 1e-5  # rounding of float32: graphs that are cut are fused in another way
POINTS = 2

opened = cache(load)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's files, as they are where npm cannot be reached."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Package, "files", unreachable)
        why = try_page.write(folder)
    assert why == "nowhere cannot be reached"
    return folder


def unreachable(package, *members):
    raise UnreachableError("nowhere cannot be reached")


def session(folder, name):
    content = gzip.decompress((folder / f"{name}.onnx.bin").read_bytes())
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def answers(folder, cases):
    """What the page's scripts say to some cases."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        [node, SCRIPT, folder], input=json.dumps(cases), capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def cases(page):
    """Points of every model, with the outputs of its file there."""
    models = json.loads((page / "try.json").read_text())["models"]
    found = []
    for i, (name, whose) in enumerate(product(try_page.EMULATORS, try_page.OCCUPATIONS)):
        emulator, file = opened(name, occupation=whose), session(page, f"{name}-{whose}")
        drawn = emulator.sample(POINTS)
        points = [{p["name"]: p["start"] for p in models[f"{name}-{whose}"]["parameters"]}]
        points += [{n: float(drawn[n][i]) for n in emulator.names} for i in range(POINTS)]
        for point in points:
            theta = np.array([list(point.values())], np.float32)
            outputs = (one.ravel().tolist() for one in file.run(try_page.OUTPUTS, {"theta": theta}))
            found.append({
                "emulator": name, "occupation": whose, "point": point, "lengths": "Mpc",
                "pi_max": f"{try_page.PI_MAX[i % 3]:g}",
                "outputs": dict(zip(try_page.OUTPUTS, outputs)),
            })  # fmt: skip
    return found


@pytest.fixture
def case(cases):
    """The point that the page begins with."""
    return deepcopy(cases[0])


def expected(case):
    """What Python says to a case."""
    emulator = opened(case["emulator"], occupation=case["occupation"])
    terms = ("total", "1h", "2h")
    names = [f"{pair}_{term}" for pair in ("mm", "gm", "gg") for term in terms]
    r = try_page.RADII
    w_p = Wp(r, float(case["pi_max"]), terms=terms)
    lensing = DeltaSigma(r, units="Msun/pc^2", terms=terms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = emulator(case["point"], names, k=try_page.WAVENUMBERS, extrapolate=True)
        return found | emulator(case["point"], [w_p, lensing, "n_g", "b_eff", "f_sat"])


def test_files_give_what_the_emulators_give(cases):
    for case in cases:
        emulator = opened(case["emulator"], occupation=case["occupation"]).wider
        ours = emulator(case["point"], list(try_page.OUTPUTS))
        for name, values in case["outputs"].items():
            np.testing.assert_allclose(values, np.ravel(ours[name]), rtol=FUSED, atol=1e-30)


def test_the_page_computes_what_python_computes(page, cases):
    some = [case for case in cases if case["occupation"] in ("zheng07", "hmq")]
    for case, answer in zip(some, answers(page, some), strict=True):
        theirs, ours = answer["found"], expected(case)
        assert answer["outside"] == []
        for pair, terms in theirs["spectra"].items():
            for term, P in terms.items():
                np.testing.assert_allclose(P, ours[f"{pair}_{term}"], rtol=FUSED, atol=1e-20)
        for name in ("w_p", "Delta_Sigma"):
            for term, values in theirs[name].items():
                same = ours[name if term == "total" else f"{name}_{term}"]
                largest = np.abs(same).max()
                np.testing.assert_allclose(values, same, rtol=FUSED, atol=FUSED * largest)
        for name in ("n_g", "b_eff", "f_sat"):
            assert theirs[name] == pytest.approx(float(ours[name]), rel=FUSED)


@pytest.mark.parametrize("lengths", ["Mpc", "Mpc/h"])
def test_its_script_for_python_gives_its_numbers(page, case, lengths, capsys):
    case |= {"lengths": lengths}
    answer = answers(page, [case])[0]
    names = {}
    exec(answer["text"], names)
    found, theirs, h = names["found"], answer["found"], case["point"]["h"]
    per_h = h if lengths == "Mpc/h" else 1.0
    P, w_p, lensing = theirs["spectra"]["gg"]["total"], theirs["w_p"], theirs["Delta_Sigma"]
    for ours, shown, factor in (
        (found["gg_total"], P, per_h**3),
        (found["w_p_1h"], w_p["1h"], per_h),
        (found["Delta_Sigma"], lensing["total"], 1 / per_h),
        (found["n_g"], theirs["n_g"], per_h**-3),
    ):
        expected = np.multiply(shown, factor)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(names["k"] * per_h, try_page.WAVENUMBERS)
    np.testing.assert_allclose(names["r"] / per_h, try_page.RADII)


@pytest.mark.parametrize(
    "changed",
    [
        {"sigma_8": 1.31},
        {"h": 0.2, "log10Mmin": 1e13},
        {"w0": -0.5, "wa": 0.5},
        {"w0": -0.35, "wa": 0.25},
        {"z": 3.0001},
    ],
)
def test_it_says_what_is_outside_as_python_does(page, case, changed):
    case["point"] |= changed
    said = answers(page, [case])[0]["outside"]
    assert said
    with pytest.raises(ValueError, match="row 0") as error:
        opened(case["emulator"], occupation=case["occupation"])(case["point"])
    for text in said:
        assert text in str(error.value).replace("1e+13", "10000000000000")


@pytest.mark.parametrize(
    ("whose", "changed"),
    [
        ("zheng07", {"log10Mmin": 11.0, "sigma_logM": 0.6}),
        ("zheng07", {"log10Mmin": 11.0, "sigma_logM": 1.2}),
        ("more15", {"log10Mmin": 11.2, "sigma_logM": 1.4, "alpha_inc": 0.0}),
        ("linke22", {"Mth": 1.1e10, "sigma": 1.0}),
        ("linke22", {"Mth": 1e13, "sigma": 0.3}),
    ],
)
def test_it_warns_of_haloes_that_are_left_out_as_python_does(page, cases, whose, changed):
    case = deepcopy(next(one for one in cases if one["occupation"] == whose))
    case["point"] |= changed
    said = answers(page, [case])[0]["warning"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened(case["emulator"], occupation=whose)(case["point"], "n_g")
    assert bool(said) == bool(caught)
    if caught:
        share, rest = said.split(" of the central galaxies", 1)
        assert f"row 0: {share} of the central galaxies would live below" in str(caught[0].message)
        assert rest.endswith("raise the threshold or narrow it")


def test_without_npm_the_page_says_so(page):
    assert json.loads((page / "try.json").read_text())["missing"] == "nowhere cannot be reached"
    assert not (page / "ort.js").exists()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry in a folder, with one package, and an empty cache."""
    monkeypatch.setenv("npm_config_registry", (tmp_path / "registry").as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "registry" / "@us" / "small" / "-" / "small-1.0.0.tgz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/a.js")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    return path


def package(path):
    digest = hashlib.sha512(path.read_bytes()).digest()
    return Package("@us/small", "1.0.0", b64encode(digest).decode())


def test_packages_come_from_the_registry_once(registry):
    small = package(registry)
    assert small.files("dist/a.js") == {"dist/a.js": b"abc"}
    registry.unlink()
    assert small.files("dist/a.js") == {"dist/a.js": b"abc"}
    with pytest.raises(KeyError, match="@us/small 1.0.0 has no dist/b.js"):
        small.files("dist/b.js")


def test_a_package_that_is_not_the_pinned_one_is_refused(registry):
    small = package(registry)
    registry.write_bytes(registry.read_bytes() + b"more")
    with pytest.raises(UnreachableError, match="is not the file whose SHA-512 is"):
        small.tarball()
    registry.unlink()
    with pytest.raises(UnreachableError, match="small-1.0.0.tgz cannot be reached"):
        small.tarball()


def test_a_damaged_download_is_fetched_again(registry):
    small = package(registry)
    small.tarball().write_bytes(b"cut off")
    assert small.files("dist/a.js") == {"dist/a.js": b"abc"}


def test_scripts_come_from_pinned_packages():
    for one in (npm.ONNXRUNTIME, npm.MATHJAX, npm.CHROMIUM):
        assert one.url.startswith("https://registry.npmjs.org/")
        assert len(one.sha512) == 88
