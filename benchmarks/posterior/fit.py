"""Fit measured galaxies with an emulator. ``hodspectra fit --data sample.csv``.

The parameters that fit best come from differential evolution (Storn & Price 1997, J. Glob. Optim.
11, 341), the posterior from chains that start around them. What is measured and how it is written
down says `export.measurements`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution, minimize
from scipy.stats import chi2 as chi2_distribution

from benchmarks.posterior.chains import Chain, Target, sample
from benchmarks.posterior.fit_figures import data_figure, posterior_figure
from benchmarks.posterior.fit_table import render
from benchmarks.posterior.priors import Priors
from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.outputs import NUMBERS
from datagen.record import maker, provenance
from emulator.runs import check_run_config, run_lock
from export.measurements import Measurements
from export.runtime import OnnxEmulator, load

__all__ = ["Fit", "Posterior", "Sampling", "find_best", "fit", "split_r_hat"]

Array = NDArray[np.float64]

_LIBRARIES = ("numpy", "scipy", "onnxruntime", "emcee")  # that the numbers depend on
_MODULES = (
    "benchmarks.posterior.fit",
    "benchmarks.posterior.chains",
    "benchmarks.posterior.priors",
    "export.measurements",
)
_WORST = 1e30  # chi^2 of points without an answer, for the minimisers
_POPULATION = 10  # points of differential evolution for each parameter
_SETTLED = 1e-3  # spread of -2 ln P over its mean, where differential evolution ends
_START = 0.02  # width of the first ball of walkers, of the priors' ranges
_R_HAT = 1.05  # below, and
_LENGTHS = 50  # autocorrelation times or more: a chain that has converged
_DERIVED = 1000  # points of the posterior that numbers such as the satellite fraction are of


@dataclass(frozen=True)
class Sampling:
    """How a posterior is sampled.

    Attributes:
        walkers: Walkers of each chain.
        burn_in: Steps that each chain leaves out at its start.
        steps: Steps after these.
        chains: Chains, each from a search for the best fit of its own.
        generations: Generations of that search, at most.
        seed: Of the random numbers.
    """

    walkers: int = 64
    burn_in: int = 1000
    steps: int = 5000
    chains: int = 2
    generations: int = 400
    seed: int = 1

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse what cannot be sampled with."""
        if min(self.steps, self.chains, self.generations) < 1 or self.burn_in < 0:
            raise ValueError(
                f"steps = {self.steps}, chains = {self.chains} and generations = "
                f"{self.generations} must be at least 1, burn_in = {self.burn_in} at least 0"
            )
        least = 2 * len(names)
        if self.walkers < least:
            raise ValueError(
                f"walkers = {self.walkers} must be at least {least}, twice as many as there are "
                f"parameters to sample ({', '.join(names)})"
            )


class Posterior(Target):
    """ln P of points in the unit cube, up to a constant; -inf where there is no answer.

    Args:
        measured: The data.
        emulator: What predicts them.
        priors: What the unit cube stands for.

    Attributes:
        evaluations: How many points were evaluated.
        seconds: Wall time that took.
    """

    def __init__(self, measured: Measurements, emulator: OnnxEmulator, priors: Priors) -> None:
        super().__init__()
        self._measured, self._emulator, self._priors = measured, emulator, priors

    def ln(self, unit: Array) -> Any:
        """Ln P of points (N, F), shape (N,)."""
        chi2 = self._measured.chi2(self._emulator, self._priors.points(unit))
        return self._priors.ln(unit) - 0.5 * chi2

    def cost(self, unit: Array) -> Array:
        """-2 ln P, never infinite, of points (F, N) or (F,), as scipy's minimisers ask for it."""
        points = np.atleast_2d(unit.T)
        cost = np.minimum(-2 * self(points), _WORST)
        return cost if unit.ndim == 2 else cost[0]


def find_best(
    posterior: Posterior, number: int, generations: int, seed: int
) -> tuple[Array, float]:
    """The point of the unit cube where a posterior is highest, (F,), and -2 ln P there.

    Differential evolution over the whole cube, all points of a generation in one call, and the
    simplex of Nelder & Mead from where it ends.

    Args:
        posterior: Which.
        number: Of its parameters, F.
        generations: At most.
        seed: Of the random numbers.
    """
    bounds = [(0.0, 1.0)] * number
    found = differential_evolution(
        posterior.cost, bounds, popsize=_POPULATION, maxiter=generations, tol=_SETTLED,
        rng=np.random.default_rng(seed), vectorized=True, updating="deferred", polish=False,
    )  # fmt: skip
    polished = minimize(
        posterior.cost, found.x, method="Nelder-Mead", bounds=bounds,
        options={"maxfev": 150 * number, "xatol": 1e-4, "fatol": 1e-3},
    )  # fmt: skip
    best = polished if polished.fun <= found.fun else found
    return best.x, float(best.fun)


def split_r_hat(samples: Array) -> Array:
    """How far the walkers of chains, each cut in two halves, agree; 1 is perfect. Shape (P,).

    Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, section 11.4.

    Args:
        samples: Shape (steps, walkers, P), of at least 4 steps.
    """
    half = len(samples) // 2
    parts = np.concatenate([samples[:half], samples[-half:]], axis=1)
    within = parts.var(axis=0, ddof=1).mean(axis=0)
    between = parts.mean(axis=0).var(axis=0, ddof=1)
    r_hat: Array = np.sqrt((half - 1) / half + between / within)
    return r_hat


@dataclass(frozen=True)
class Fit:
    """A posterior that was sampled.

    Attributes:
        measured: The data.
        emulator: What predicts them.
        priors: Of its parameters.
        posterior: What was sampled.
        best: Where it is highest, in the unit cube, shape (F,).
        searches: chi^2 with the prior's share at the best point of each search.
        chain: The steps of all chains.
    """

    measured: Measurements
    emulator: OnnxEmulator
    priors: Priors
    posterior: Posterior
    best: Array
    searches: list[float]
    chain: Chain

    @classmethod
    def of(
        cls,
        measured: Measurements,
        emulator: OnnxEmulator,
        priors: Priors,
        sampling: Sampling,
        folder: Path | None = None,
    ) -> "Fit":
        """Search for the best fit and sample around it.

        Args:
            measured: The data.
            emulator: What predicts them.
            priors: Of its parameters.
            sampling: How.
            folder: Where chains are kept, to go on if they are interrupted.

        Raises:
            ValueError: Data that the emulator cannot predict, or no point that has an answer.
        """
        sampling.check(priors.names)
        posterior = Posterior(measured, emulator, priors)
        F = len(priors.names)
        ends, chains = [], []
        for i in range(sampling.chains):
            seed = sampling.seed + i
            ends.append(find_best(posterior, F, sampling.generations, seed))
            if ends[-1][1] >= _WORST:
                raise ValueError(
                    "no point of the priors has an answer: do they leave the emulator's ranges, "
                    "or have no galaxies?"
                )
            noise = np.random.default_rng(seed).standard_normal((sampling.walkers, F))
            start = _reflected(ends[-1][0] + _START * noise)
            file = folder / f"chain_{i + 1}.npz" if folder else None
            chain = sample(
                posterior, start, sampling.burn_in + sampling.steps, seed,
                label=f"chain {i + 1} of {sampling.chains}", file=file,
            )  # fmt: skip
            chains.append(chain.after(sampling.burn_in))
        chain = Chain.joined(chains)
        best, cost = min(ends, key=lambda end: end[1])
        at = np.unravel_index(np.argmax(chain.ln_L), chain.ln_L.shape)
        if -2 * chain.ln_L[at] < cost:
            best = chain.samples[at]
        return cls(measured, emulator, priors, posterior, best, [end[1] for end in ends], chain)

    @property
    def samples(self) -> Array:
        """The parameters at all steps, log10 of some, shape (N, F)."""
        return self.priors.coordinates(self.chain.samples.reshape(-1, len(self.priors.names)))

    def summary(self) -> dict[str, Any]:
        """What was found, as plain numbers."""
        model = self.measured.model(self.emulator, self.priors.points(self.best[None]))[0]
        apart = model - self.measured.data
        chi2 = float(self.measured.chi2_of(model))
        free = len(self.measured) - len(self.priors.free)
        times = self.chain.autocorrelation
        steps, walkers, _ = self.chain.samples.shape
        r_hat = split_r_hat(self.chain.samples)
        best = self.priors.coordinates(self.best[None])[0]
        names = self.priors.names
        result: dict[str, Any] = {
            "measured": repr(self.measured).strip("<>"),
            "numbers": len(self.measured),
            "log10": [one.name for one in self.priors.free if one.is_log],
            "best_chi2": _short(chi2),
            "degrees_of_freedom": free,
            "probability": _short(chi2_distribution.sf(chi2, free)) if free > 0 else None,
            "chi2_of": {
                name: _short(np.square(apart[rows] / self.measured.errors[rows]).sum())
                for name, rows in self.measured.rows.items()
            },
            "searches": [_short(cost, 6) for cost in self.searches],
            "parameters": {
                name: {"best": _short(best[i]), **_interval(self.samples[:, i])}
                for i, name in enumerate(names)
            },
            "derived": self._derived(),
            "convergence": {
                "steps": steps,
                "walkers": walkers,
                "autocorrelation": dict(zip(names, map(_short, times), strict=True)),
                "effective": dict(
                    zip(names, (int(steps * walkers / time) for time in times), strict=True)
                ),
                "r_hat": dict(zip(names, (_short(one, 5) for one in r_hat), strict=True)),
                "is_converged": bool(r_hat.max() < _R_HAT and steps >= _LENGTHS * times.max()),
            },
            "evaluations": self.posterior.evaluations,
            "seconds": _short(self.posterior.seconds, 3),
        }
        return result

    def _derived(self) -> dict[str, Any]:
        """Numbers that the emulator gives beside, at the best fit and over the posterior."""
        names = [name for name in NUMBERS if name in self.emulator.outputs]
        if not names:
            return {}
        some, _ = self.chain.thinned(_DERIVED)
        unit = np.concatenate([self.best[None], some])
        points = self.priors.points(unit)
        own = {name for one in self.measured.statistics for name in one.parameters}
        given = {name: value for name, value in points.items() if name not in own}
        found = self.emulator(given, names, out_of_range="nan")
        return {
            name: {"best": _short(found[name][0]), **_interval(found[name][1:])} for name in names
        }


def _interval(values: Array) -> dict[str, float]:
    """Median and the ends of the central 68 %."""
    low, median, high = np.nanpercentile(values, [16, 50, 84])
    return {"median": _short(median), "low": _short(low), "high": _short(high)}


def _short(value: Any, digits: int = 4) -> float:
    return float(f"{value:.{digits + 1}g}")


def _reflected(unit: Array) -> Array:
    """Points that left the unit cube by a little, back in it."""
    unit = np.abs(unit)
    return np.clip(1 - np.abs(1 - unit), 1e-6, 1 - 1e-6)


def fit(
    data: Path,
    fixed: dict[str, float] | None = None,
    priors: dict[str, Any] | None = None,
    z: float | None = None,
    emulator: str = "tinker10",
    occupation: str | None = "zheng07",
    covariance: Path | None = None,
    cuts: dict[str, Any] | None = None,
    walkers: int = 64,
    burn_in: int = 1000,
    steps: int = 5000,
    chains: int = 2,
    generations: int = 400,
    seed: int = 1,
    out: Path = Path("runs/fit"),
) -> dict[str, Any]:
    """Fit measured galaxies: the best parameters, their posterior, and figures of both.

    Written as ``fit.json``, ``fit.md``, ``data.png`` and ``posterior.png`` (PDF, too). Rerun the
    command to resume a fit that was interrupted.

    Args:
        data: File of measurements, see `export.measurements`.
        fixed: Parameters that are not fitted, by name: '{h: 0.7, ...}'. Om_m may stand for Om_c.
        priors: Priors by name: '{Om_m: [0.15, 0.55], n_s: {mean: 0.96, sigma: 0.01}}', flat
            between two ends or Gaussian. Parameters of the occupation that are neither here nor
            in fixed are flat over the emulator's range.
        z: Redshift, in place of z in fixed.
        emulator: ONNX file, or the name of a shipped emulator.
        occupation: Of the galaxies; by default, null, the emulator's own.
        covariance: File of the covariance of all rows of the data.
        cuts: Separations to fit, by statistic, in its lengths: '{w_p: [0.5, 40]}'.
        walkers: Walkers of each chain.
        burn_in: Steps that each chain leaves out at its start.
        steps: Steps after these.
        chains: Chains, each from a search for the best fit of its own.
        generations: Generations of that search, at most.
        seed: Of the random numbers.
        out: Folder for the results.

    Returns:
        The content of ``fit.json``.

    Raises:
        FileNotFoundError: No such data or emulator.
        ValueError: Data that cannot be read or predicted; parameters without a value or a prior.
        BusyError: Another process writes in the folder.
    """
    sampling = Sampling(walkers, burn_in, steps, chains, generations, seed)
    if z is not None and "z" in (fixed or {}):
        raise ValueError(f"z = {z:g} and fixed has z, too; leave one")
    held = {**(fixed or {}), **({} if z is None else {"z": z})}
    measured = Measurements.read(data, covariance, cuts)
    model = load(emulator, threads=1, occupation=occupation)
    more = [name for one in measured.statistics for name in one.parameters]
    known = Priors(model, held, priors or {}, more)
    sampling.check(known.names)
    settings = {
        "data": data.name, "emulator": emulator, "occupation": model.populations.said,
        "fixed": known.fixed, "priors": {one.name: one.as_dict() for one in known.free},
        "cuts": cuts or {}, "sampling": asdict(sampling),
    }  # fmt: skip
    made_by = {
        "content": hashlib.sha256(model.content).hexdigest(),
        "measurements": _hash(measured),
        **maker(_LIBRARIES, _MODULES),
    }
    with run_lock(out, "fit"):
        begun = any(out.glob("chain_*.npz"))
        check_run_config(out, settings, made_by, paths=("emulator", "data"), begun=begun)
        done = Fit.of(measured, model, known, sampling, out)
        name = data.name.partition(".")[0]
        result = {"name": name, **settings, **done.summary(), "environment": provenance()}
        for file, text in (("fit.json", json.dumps(result, indent=1)), ("fit.md", render(result))):
            with atomic(out / file) as partial:
                partial.write_text(text + "\n", encoding="utf-8")
        with style():
            best = known.points(done.best[None])
            save_figure(data_figure(measured, model, best), out / "data")
            at = known.coordinates(done.best[None])[0]
            save_figure(posterior_figure(done.samples, known, at), out / "posterior")
    print(render(result))  # noqa: T201
    return result


def _hash(measured: Measurements) -> str:
    content = repr(measured).encode() + measured.data.tobytes() + measured.covariance.tobytes()
    return hashlib.sha256(content).hexdigest()


def main(argv: list[str] | None = None) -> None:
    """Command line of `fit`."""
    run(fit, "python -m benchmarks.posterior.fit", argv)


if __name__ == "__main__":
    main()
