"""Does the emulator give the posterior of the true code? ``python -m benchmarks.posterior``.

Mock measurements of galaxy clustering and galaxy-matter correlation are analysed twice, with an
emulator and with the code that its labels come from: all ten parameters, flat priors over the
box, the same sampler, seed and starting points.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.chains import Chain, Reweighted, sample
from benchmarks.contenders import AGREEMENT, direct
from benchmarks.posterior_figures import corner_figure
from benchmarks.posterior_table import render
from benchmarks.survey import FIDUCIAL, OUTPUTS, Likelihood, Mock, Spectra, Survey
from benchmarks.timing import agree, seconds_per_point
from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.halomodel import CORRELATIONS, HaloModelConfig
from datagen.record import maker, provenance
from datagen.space import NAMES, Space
from emulator.runs import check_run_config, run_lock
from export.runtime import OnnxEmulator, load
from export.shipped import shipped

__all__ = ["Sampling", "compare", "posterior", "render"]

Array = NDArray[np.float64]
Call = Callable[[Array], Spectra]

_LIBRARIES = ("numpy", "scipy", "pyccl", "camb")  # that the true code's chain depends on
_MODULES = ("benchmarks.chains", "benchmarks.survey", "datagen.halomodel")  # the same, of ours
_START = 1e-3  # width of the first ball of walkers, of the box


@dataclass(frozen=True)
class Sampling:
    """How the posteriors are sampled.

    Attributes:
        walkers: Walkers of each chain.
        burn_in: Steps with the emulator, from around the true point, to where a chain starts.
        discard: Steps that every chain then leaves out, to forget that.
        steps: Steps of every chain after that.
        chains: Chains of the emulator, each of its own seed; their scatter is the Monte Carlo
            error of the one of the true code, as walkers of a chain know of each other.
        reweight: Points of the emulator's chain that the true code is evaluated at.
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
        if self.walkers < 2 * len(NAMES):
            raise ValueError(f"walkers = {self.walkers} must be at least {2 * len(NAMES)}")
        if min(self.burn_in, self.steps, self.reweight) < 1 or self.discard < 0:
            raise ValueError(
                f"burn_in = {self.burn_in}, steps = {self.steps} and reweight = {self.reweight} "
                f"must be at least 1, discard = {self.discard} at least 0"
            )
        if self.chains < 2:
            raise ValueError(f"chains = {self.chains} must be at least 2, to have a scatter")


def posterior(
    out: Path,
    emulator: str = "standard",
    survey: Survey = Survey(),
    sampling: Sampling = Sampling(),
) -> dict[str, Any]:
    """Sample the posterior of mock data with an emulator and with the true code, and compare.

    Written as ``posterior.json`` and a figure. A run that was interrupted goes on when the same
    command is given again: the steps of the true code, which take the time, are in ``truth.npz``.

    Args:
        out: Folder for the results.
        emulator: ONNX file, or the name of a shipped emulator.
        survey: What is measured.
        sampling: How the posteriors are sampled.

    Returns:
        The content of ``posterior.json``.

    Raises:
        ValueError: An emulator that cannot be measured, codes that do not agree, or a folder that
            holds another run.
        BusyError: Another process writes in the folder.
    """
    settings = {"emulator": emulator, "survey": asdict(survey), "sampling": asdict(sampling)}
    model = load(emulator, threads=1)
    _check_measured(model, survey)
    made_by = {"content": hashlib.sha256(model.content).hexdigest(), **maker(_LIBRARIES, _MODULES)}
    with run_lock(out, "benchmark"):
        file = out / "truth.npz"
        check_run_config(out, settings, made_by, paths=("emulator",), begun=file.exists())
        result, chains, space = _posterior(model, survey, sampling, file)
        result = {**settings, **result, "environment": provenance()}
        with atomic(out / "posterior.json") as partial_file:
            partial_file.write_text(json.dumps(result, indent=1))
        samples = {
            name: _coordinates(chain.samples.reshape(-1, 10), space)
            for name, chain in chains.items()
        }
        with style():
            true = _coordinates(space.to_unit(_fiducial()), space)[0]
            save_figure(corner_figure(samples, true, space), out / "posterior")
    print(render(result))  # noqa: T201
    return result


def _check_measured(model: OnnxEmulator, survey: Survey) -> None:
    """Refuse an emulator that the mock measurements cannot be compared with."""
    if missing := [name for name in OUTPUTS if name not in model.outputs]:
        able = [name for name, path in shipped().items() if _has_all(path)]
        raise ValueError(
            f"{model.path} has no {', '.join(missing)}; the survey measures {', '.join(OUTPUTS)}, "
            f"which these emulators have: {', '.join(able)}"
        )
    try:
        Space.from_dict(model.metadata["parameters"]).check(_fiducial())
    except ValueError as error:
        raise ValueError(
            f"{model.path} does not hold the universe of the mock data: {error}"
        ) from error
    survey.rows(model.k)


def _has_all(path: Path) -> bool:
    return set(OUTPUTS) <= set(load(path, threads=1).outputs)


def _posterior(
    model: OnnxEmulator, survey: Survey, sampling: Sampling, file: Path
) -> tuple[dict[str, Any], dict[str, Chain], Space]:
    """What is found, the chain of each code, and the box."""
    space = Space.from_dict(model.metadata["parameters"])
    codes = direct(HaloModelConfig.from_dict(model.metadata["halo_model"]), space)
    truth = partial(_with_totals, codes["labels"])
    more = {}
    if "pyccl" in codes:  # before the chains, which take hours
        theta = _fiducial()
        agree("pyccl", codes["pyccl"], theta, truth(theta), AGREEMENT["pyccl"])
        more["pyccl"] = seconds_per_point(partial(codes["pyccl"], theta), 1, rounds=3)
    result, chains = compare(
        partial(model, outputs=OUTPUTS), truth, model.k, space, survey, sampling, file
    )
    return {"fiducial": FIDUCIAL, **result, **more}, chains, space


def compare(
    emulator: Call,
    truth: Call,
    k: Array,
    space: Space,
    survey: Survey,
    sampling: Sampling,
    file: Path | None = None,
) -> tuple[dict[str, Any], dict[str, Chain]]:
    """Sample mock data of the true code with both codes.

    Args:
        emulator: Spectra of points by name, with the `benchmarks.survey.OUTPUTS`.
        truth: The same, with ``mm_total``.
        k: Their wavenumbers [1/Mpc].
        space: The box.
        survey: What is measured.
        sampling: How the posteriors are sampled.
        file: Where the true code's chain is kept.

    Returns:
        What is found, as numbers, and the chain of each code, in the unit cube; those of the
        emulator are joined.
    """
    at_fiducial = {name: values[0] for name, values in truth(_fiducial()).items()}
    mock = Mock(survey, k, at_fiducial, sampling.seed)
    burn_in, fast, slow = (Likelihood(code, mock, space) for code in (emulator, emulator, truth))
    steps = sampling.discard + sampling.steps
    starts, repeats = [], []
    with tqdm(total=sampling.chains, desc="emulator", unit="chain") as bar:
        for seed in range(sampling.seed, sampling.seed + sampling.chains):
            noise = np.random.default_rng(seed).standard_normal((sampling.walkers, 10))
            ball = space.to_unit(_fiducial()) + _START * noise
            starts.append(sample(burn_in, ball, sampling.burn_in, seed).samples[-1])
            repeats.append(sample(fast, starts[-1], steps, seed).after(sampling.discard))
            bar.update()
    one = sample(slow, starts[0], steps, sampling.seed, label="true code", file=file)
    chains = {"emulator": Chain.joined(repeats), "truth": one.after(sampling.discard)}
    result: dict[str, Any] = {
        "log10": [name for name in NAMES if space[name].is_log],
        "measurements": len(mock.data),
        "best_chi2": float(-2 * chains["truth"].ln_L.max()),
        "codes": {name: _summary(chain, space) for name, chain in chains.items()},
    }
    points, ln_L = chains["emulator"].thinned(sampling.reweight)
    result["reweighted"] = _reweighted(points, ln_L, slow)
    apart = chains["emulator"].mean() - chains["truth"].mean()
    scatter = np.std([chain.mean() for chain in repeats], axis=0, ddof=1)
    errors = scatter * np.sqrt(1 + 1 / len(repeats))
    width = chains["truth"].std()
    result["shift"] = _by_name(apart / width)
    result["shift_error"] = _by_name(errors / width)
    return result, chains


def _fiducial() -> Array:
    return np.array([[FIDUCIAL[name] for name in NAMES]])


def _with_totals(halo_model: Call, theta: Array) -> Spectra:
    """Spectra of the true code, and their totals."""
    spectra = halo_model(theta)
    totals = {f"{xy}_total": spectra[f"{xy}_1h"] + spectra[f"{xy}_2h"] for xy in CORRELATIONS}
    return {**spectra, **totals}


def _by_name(values: Array) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in zip(NAMES, values, strict=True)}


def _coordinates(unit: Array, space: Space) -> Array:
    """Points (N, 10) of the unit cube as the parameters, masses as their log10."""
    points, log = space.from_unit(unit), space.is_log
    points[:, log] = np.log10(points[:, log])
    return points


def _summary(chain: Chain, space: Space) -> dict[str, Any]:
    low, high = _coordinates(np.stack([np.zeros(10), np.ones(10)]), space)
    return {
        "mean": _by_name(low + chain.mean() * (high - low)),
        "std": _by_name(chain.std() * (high - low)),
        "autocorrelation": _by_name(chain.autocorrelation),
        "steps": len(chain.samples),
        "evaluations": chain.evaluations,
        "seconds": chain.seconds,
    }


def _reweighted(points: Array, ln_L: Array, truth: Likelihood) -> dict[str, Any]:
    """The true posterior through points of the emulator's, and how their chi^2 differ."""
    change = truth(points) - ln_L
    other = Reweighted(points, change)
    shift, error = (x / other.std() for x in other.shift())
    inner = ln_L >= np.percentile(ln_L, 32)  # the 68 % of the points that fit best
    differences = 2 * np.abs(change)
    return {
        "points": len(points),
        "effective": other.effective(),
        "shift": _by_name(shift),
        "shift_error": _by_name(error),
        "width": _by_name(other.width() - 1),
        "delta_chi2": {
            "median": float(np.median(differences)),
            "95": float(np.percentile(differences, 95)),
            "largest of the best 68 %": float(differences[inner].max()),
        },
    }


def main(argv: list[str] | None = None) -> None:
    """Command line of `posterior`."""
    run(posterior, "python -m benchmarks.posterior", argv)


if __name__ == "__main__":
    main()
