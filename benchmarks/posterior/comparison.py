"""Compare the posteriors of an emulator and of the true code: ``hodspectra posterior``.

Mock measurements of galaxy clustering and galaxy-matter correlation are analysed twice, with an
emulator and with the code that computed its labels. All parameters except dark energy and redshift
are sampled, with flat priors over the box, and with the same sampler, seed and starting points.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.codes.implementations import AGREEMENT, direct
from benchmarks.codes.timing import agree, seconds_per_point
from benchmarks.posterior.chains import Chain, Reweighted, reflected, sample
from benchmarks.posterior.comparison_figures import corner_figure
from benchmarks.posterior.comparison_table import render
from benchmarks.posterior.mock_data import (
    COSMOLOGY,
    FIDUCIAL,
    FIXED,
    OUTPUTS,
    FreeBox,
    Likelihood,
    Mock,
    Spectra,
    Survey,
)
from benchmarks.study import Study
from datagen.figures import save_figure, style
from datagen.halomodel import HaloModelConfig
from datagen.outputs import CORRELATIONS, output, spectra_of
from datagen.record import maker
from datagen.space import BACKGROUND, Space
from emulator.runs import check_run_config
from export.runtime import OnnxEmulator, load

__all__ = ["STUDY", "Sampling", "compare", "posterior", "render"]

Array = NDArray[np.float64]
Call = Callable[[Array], Spectra]

_LIBRARIES = ("numpy", "scipy", "pyccl", "camb")  # that affect the true code's chain
_MODULES = (
    "benchmarks.posterior.chains",
    "benchmarks.posterior.mock_data",
    "datagen.halomodel",
)  # our modules that affect it
_START = 1e-3  # width of the initial distribution of walkers, as a fraction of the box


@dataclass(frozen=True)
class Sampling:
    """Settings of the sampling.

    Attributes:
        walkers: Number of walkers of each chain.
        burn_in: Steps with the emulator, from around the true point, before the chains start.
        discard: Steps that every chain discards at its start.
        steps: Steps of every chain after that.
        chains: Number of chains of the emulator with different seeds; their scatter is the Monte
            Carlo error of the single chain of the true code, whose walkers are correlated.
        reweight: Points of the emulator's chain at which the true code is evaluated.
        seed: Seed of noise and steps.
    """

    walkers: int = 64
    burn_in: int = 2000
    discard: int = 300
    steps: int = 5000
    chains: int = 12
    reweight: int = 4000
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.burn_in, self.steps, self.reweight) < 1 or self.discard < 0:
            raise ValueError(
                f"burn_in = {self.burn_in}, steps = {self.steps} and reweight = {self.reweight} "
                f"must be at least 1, discard = {self.discard} at least 0"
            )
        if self.chains < 2:
            raise ValueError(f"chains = {self.chains} must be at least 2, to have a scatter")

    def check(self, box: FreeBox) -> None:
        """Check the number of walkers.

        Args:
            box: The sampled parameters.

        Raises:
            ValueError: Fewer than two walkers per parameter.
        """
        least = 2 * len(box.names)
        if self.walkers < least:
            raise ValueError(
                f"walkers = {self.walkers} must be at least {least}, twice as many as there are "
                f"parameters to sample ({', '.join(box.names)})"
            )


def posterior(
    out: Path,
    emulator: str = "standard",
    occupation: str = "",
    survey: Survey = Survey(),
    sampling: Sampling = Sampling(),
    fixed: dict[str, float] = FIXED,
) -> dict[str, Any]:
    """Sample the posterior of mock data with an emulator and with the true code, and compare.

    Rerun the command to resume an interrupted run: the chain of the true code, which takes most of
    the time, is stored in ``truth.npz``.

    Args:
        out: Folder for ``posterior.json``, ``posterior.md``, chains and a figure.
        emulator: ONNX file, or the name of a shipped emulator.
        occupation: Name of an occupation in place of the one in the file; semi-analytic emulators
            only. The mock galaxies are those of its ``example``, unless it is linke22.
        survey: Settings of the mock survey.
        sampling: Settings of the sampling.
        fixed: Fixed parameters and their values in the mock data, by name.

    Returns:
        The content of ``posterior.json``.

    Raises:
        ValueError: An emulator without the measured outputs; codes that disagree; a folder with
            another run.
    """
    settings = {
        "emulator": emulator, "occupation": occupation, "survey": asdict(survey),
        "sampling": asdict(sampling), "fixed": dict(fixed),
    }  # fmt: skip
    model = load(emulator, threads=1, occupation=occupation or None)
    _check_measured(model, survey)
    box = _box(model, fixed)
    sampling.check(box)
    made_by = {"content": hashlib.sha256(model.content).hexdigest(), **maker(_LIBRARIES, _MODULES)}
    file = out / "truth.npz"
    check_run_config(out, settings, made_by, paths=("emulator",), begun=file.exists())
    result, chains = _posterior(model, box, survey, sampling, file)
    samples = {
        name: box.coordinates(chain.samples.reshape(-1, len(box.names)))
        for name, chain in chains.items()
    }
    with style():
        save_figure(corner_figure(samples, box), out / "posterior")
    return {**settings, **result}


def _check_measured(model: OnnxEmulator, survey: Survey) -> None:
    """Raise an error if an emulator lacks the measured outputs."""
    if missing := [name for name in OUTPUTS if name not in model.outputs]:
        raise ValueError(
            f"{model.path} has no {', '.join(missing)}, and the survey measures "
            f"{', '.join(OUTPUTS)}; take a semi-analytic emulator, which has all of them"
        )
    survey.rows(model.k)


def _box(model: OnnxEmulator, fixed: Mapping[str, float]) -> FreeBox:
    """The sampled parameters of an emulator's box."""
    space = Space.from_dict(model.metadata["parameters"])
    own = FIDUCIAL
    if space.occupation != "linke22":
        own = COSMOLOGY | {n: x for n, x in model.example.items() if n not in BACKGROUND}
    try:
        return FreeBox(space, fixed, own)
    except ValueError as error:
        raise ValueError(
            f"{model.path} does not cover the true point of the mock data: {error}"
        ) from error


def _posterior(
    model: OnnxEmulator, box: FreeBox, survey: Survey, sampling: Sampling, file: Path
) -> tuple[dict[str, Any], dict[str, Chain]]:
    """The results, and the chain of each code."""
    codes = direct(HaloModelConfig.from_dict(model.metadata["halo_model"]), box.space)
    truth = partial(_with_totals, codes["labels"])
    more = {}
    if "pyccl" in codes:  # before the chains, which take hours
        theta = box.fiducial
        agree("pyccl", codes["pyccl"], theta, truth(theta), AGREEMENT["pyccl"])
        more["pyccl"] = seconds_per_point(partial(codes["pyccl"], theta), 1, rounds=3)
    result, chains = compare(
        partial(model, outputs=OUTPUTS), truth, model.k, box, survey, sampling, file
    )
    fiducial = dict(zip(box.space.names, box.fiducial[0].tolist(), strict=True))
    return {"fiducial": fiducial, **result, **more}, chains


def compare(
    emulator: Call,
    truth: Call,
    k: Array,
    box: FreeBox,
    survey: Survey,
    sampling: Sampling,
    file: Path | None = None,
) -> tuple[dict[str, Any], dict[str, Chain]]:
    """Sample the posterior of mock data, computed by the true code, with both codes.

    Args:
        emulator: Function of points that returns spectra by name, with the
            `benchmarks.posterior.mock_data.OUTPUTS`.
        truth: The true code, a function with the same results and ``mm_total``.
        k: Wavenumbers of the spectra [1/Mpc].
        box: The sampled parameters.
        survey: Settings of the mock survey.
        sampling: Settings of the sampling.
        file: File that stores the true code's chain.

    Returns:
        The results as numbers, and the chain of each code in the unit cube; chains of the emulator
        are joined.
    """
    at_fiducial = {name: values[0] for name, values in truth(box.fiducial).items()}
    mock = Mock(survey, k, at_fiducial, sampling.seed)
    burn_in, fast, slow = (Likelihood(code, mock, box) for code in (emulator, emulator, truth))
    steps = sampling.discard + sampling.steps
    starts, repeats = [], []
    with tqdm(total=sampling.chains, desc="emulator", unit="chain") as bar:
        for seed in range(sampling.seed, sampling.seed + sampling.chains):
            noise = np.random.default_rng(seed).standard_normal((sampling.walkers, len(box.names)))
            ball = reflected(box.unit(box.fiducial) + _START * noise)
            starts.append(sample(burn_in, ball, sampling.burn_in, seed).samples[-1])
            repeats.append(sample(fast, starts[-1], steps, seed).after(sampling.discard))
            bar.update()
    one = sample(slow, starts[0], steps, sampling.seed, label="true code", file=file)
    chains = {"emulator": Chain.joined(repeats), "truth": one.after(sampling.discard)}
    result: dict[str, Any] = {
        "log10": [name for name in box.names if box.space[name].is_log],
        "measurements": len(mock.data),
        "best_chi2": float(-2 * chains["truth"].ln_L.max()),
        "codes": {name: _summary(chain, box) for name, chain in chains.items()},
    }
    points, ln_L = chains["emulator"].thinned(sampling.reweight)
    result["reweighted"] = _reweighted(points, ln_L, slow, box.names)
    apart = chains["emulator"].mean() - chains["truth"].mean()
    scatter = np.std([chain.mean() for chain in repeats], axis=0, ddof=1)
    errors = scatter * np.sqrt(1 + 1 / len(repeats))
    width = chains["truth"].std()
    result["shift"] = _by_name(box.names, apart / width)
    result["shift_error"] = _by_name(box.names, errors / width)
    return result, chains


def _with_totals(halo_model: Call, theta: Array) -> Spectra:
    """Spectra of the true code, with totals."""
    spectra = halo_model(theta)
    totals = [output(name) for name in spectra_of(CORRELATIONS, ["total"])]
    return {**spectra} | {one.name: np.add(*(spectra[n] for n in one.terms)) for one in totals}


def _by_name(names: Sequence[str], values: Array) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in zip(names, values, strict=True)}


def _summary(chain: Chain, box: FreeBox) -> dict[str, Any]:
    values = box.coordinates(chain.samples.reshape(-1, len(box.names)))
    return {
        "mean": _by_name(box.names, values.mean(axis=0)),
        "std": _by_name(box.names, values.std(axis=0)),
        "autocorrelation": _by_name(box.names, chain.autocorrelation),
        "steps": len(chain.samples),
        "evaluations": chain.evaluations,
        "seconds": chain.seconds,
    }


def _reweighted(
    points: Array, ln_L: Array, truth: Likelihood, names: Sequence[str]
) -> dict[str, Any]:
    """The true posterior from points of the emulator's, and differences in chi^2."""
    change = truth(points) - ln_L
    other = Reweighted(points, change)
    shift, error = (x / other.std() for x in other.shift())
    inner = ln_L >= np.percentile(ln_L, 32)  # the best-fitting 68 % of the points
    differences = 2 * np.abs(change)
    return {
        "points": len(points),
        "effective": other.effective(),
        "shift": _by_name(names, shift),
        "shift_error": _by_name(names, error),
        "width": _by_name(names, other.width() - 1),
        "delta_chi2": {
            "median": float(np.median(differences)),
            "95": float(np.percentile(differences, 95)),
            "largest of the best 68 %": float(differences[inner].max()),
        },
    }


STUDY = Study("posterior", posterior, render)
main = STUDY.main

if __name__ == "__main__":
    main()
