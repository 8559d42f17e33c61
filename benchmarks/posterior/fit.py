"""Fit measured galaxies with an emulator: ``hodspectra fit --data sample.csv``.

A search finds the best-fitting parameters, and chains that start around them sample the posterior
(`benchmarks.posterior.sampling`). `export.measurements` describes the format of the data.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2 as chi2_distribution

from benchmarks.posterior.chains import Chain, Target
from benchmarks.posterior.fit_figures import data_figure, posterior_figure
from benchmarks.posterior.fit_table import render
from benchmarks.posterior.priors import Priors
from benchmarks.posterior.sampling import Best, Sampler, Sampling, draw
from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.outputs import NUMBERS
from datagen.record import maker, provenance
from emulator.runs import check_run_config, run_lock
from export.measurements import Measurements
from export.runtime import OnnxEmulator, load

__all__ = ["Fit", "Posterior", "fit"]

Array = NDArray[np.float64]

_LIBRARIES: dict[Sampler, tuple[str, ...]] = {  # that affect the results
    "emcee": ("numpy", "scipy", "onnxruntime", "emcee", "jax"),
    "nuts": ("numpy", "scipy", "onnxruntime", "jax", "numpyro"),
}
_MODULES = (
    "benchmarks.posterior.fit",
    "benchmarks.posterior.chains",
    "benchmarks.posterior.gradients",
    "benchmarks.posterior.nuts",
    "benchmarks.posterior.priors",
    "benchmarks.posterior.sampling",
    "export.measurements",
)
_DERIVED = 1000  # points of the posterior for derived numbers, such as the satellite fraction


class Posterior(Target):
    """Posterior of the parameters of an emulator, given measurements; a density on the unit cube.

    Args:
        measured: The data.
        emulator: The emulator that predicts them.
        priors: Priors of its parameters, which define the unit cube.

    Attributes:
        evaluations: Number of points evaluated so far.
        seconds: Wall time of the evaluations [s].
    """

    def __init__(self, measured: Measurements, emulator: OnnxEmulator, priors: Priors) -> None:
        super().__init__()
        self._measured, self._emulator, self._priors = measured, emulator, priors

    def ln(self, unit: Array) -> Any:
        """Return ln P at points (N, F) up to a constant, shape (N,); -inf at invalid points."""
        chi2 = self._measured.chi2(self._emulator, self._priors.points(unit))
        return self._priors.ln(unit) - 0.5 * chi2

    def in_jax(self) -> Any:
        """See `benchmarks.posterior.chains.Target`."""
        import jax
        import jax.numpy as jnp

        from export.to_jax import function

        measured, priors = self._measured, self._priors

        def ln(unit: Any) -> Any:
            point = {name: x[0] for name, x in priors.points(unit[None], jnp).items()}
            model = measured.joined(predict(point), point["h"], jnp)
            return priors.ln(unit[None], jnp)[0] - 0.5 * measured.chi2_of(model, jnp)

        with jax.enable_x64(True):
            predict = function(self._emulator, measured.outputs, dtype="float64")
        return ln


@dataclass(frozen=True)
class Fit:
    """A sampled posterior.

    Attributes:
        measured: The data.
        emulator: The emulator that predicts them.
        priors: Priors of its parameters.
        posterior: The sampled density.
        best: Its highest point, in the unit cube, shape (F,).
        searches: End of each search; the cost is chi^2 minus 2 ln of the prior.
        chain: Steps of all chains.
    """

    measured: Measurements
    emulator: OnnxEmulator
    priors: Priors
    posterior: Posterior
    best: Array
    searches: list[Best]
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
            emulator: The emulator that predicts them.
            priors: Priors of its parameters.
            sampling: Settings of search and sampler.
            folder: Folder that stores the chains, to resume an interrupted run.

        Raises:
            ValueError: Data that the emulator cannot predict; no valid point; for ``nuts``, a
                posterior that cannot be translated to JAX.
            ModuleNotFoundError: For ``nuts``, JAX or NumPyro is not installed.
        """
        sampling.check(priors.names)
        posterior = Posterior(measured, emulator, priors)
        ends, chain = draw(posterior, len(priors.names), sampling, folder)
        end = min(ends, key=lambda end: end.cost)
        best, cost = end.unit, end.cost
        at = np.unravel_index(np.argmax(chain.ln_L), chain.ln_L.shape)
        if -2 * chain.ln_L[at] < cost:
            best = chain.samples[at]
        return cls(measured, emulator, priors, posterior, best, ends, chain)

    @property
    def samples(self) -> Array:
        """Parameters of all samples, some of them as log10, shape (N, F)."""
        return self.priors.coordinates(self.chain.samples.reshape(-1, len(self.priors.names)))

    def summary(self) -> dict[str, Any]:
        """Return the results as plain numbers."""
        model = self.measured.model(self.emulator, self.priors.points(self.best[None]))[0]
        apart = model - self.measured.data
        chi2 = float(self.measured.chi2_of(model))
        free = len(self.measured) - len(self.priors.free)
        chain, times, r_hat = self.chain, self.chain.autocorrelation, self.chain.r_hat
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
            "searches": {
                "by": self.searches[0].by,
                "lowest": [_short(end.cost, 6) for end in self.searches],
            },
            "parameters": {
                name: {"best": _short(best[i]), **_interval(self.samples[:, i])}
                for i, name in enumerate(names)
            },
            "derived": self._derived(),
            "convergence": {
                "steps": chain.steps,
                "walkers": chain.samples.shape[1],
                "autocorrelation": dict(zip(names, map(_short, times), strict=True)),
                "effective": dict(zip(names, map(int, chain.effective), strict=True)),
                "r_hat": dict(zip(names, (_short(one, 5) for one in r_hat), strict=True)),
                "divergences": chain.divergences,
                "is_converged": chain.is_converged,
            },
            "evaluations": self.posterior.evaluations,
            "seconds": _short(self.posterior.seconds, 3),
        }
        return result

    def _derived(self) -> dict[str, Any]:
        """Derived numbers of the emulator, at the best fit and over the posterior."""
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
    """Median and ends of the central 68 %."""
    low, median, high = np.nanpercentile(values, [16, 50, 84])
    return {"median": _short(median), "low": _short(low), "high": _short(high)}


def _short(value: Any, digits: int = 4) -> float:
    return float(f"{value:.{digits + 1}g}")


def fit(
    data: Path,
    fixed: dict[str, float] | None = None,
    priors: dict[str, Any] | None = None,
    z: float | None = None,
    emulator: str = "tinker10",
    occupation: str | None = "zheng07",
    covariance: Path | None = None,
    cuts: dict[str, Any] | None = None,
    sampler: Sampler = "emcee",
    walkers: int | None = None,
    burn_in: int | None = None,
    steps: int | None = None,
    chains: int | None = None,
    generations: int | None = None,
    seed: int = 1,
    out: Path = Path("runs/fit"),
) -> dict[str, Any]:
    """Fit measured galaxies: the best parameters, their posterior, and figures of both.

    The results are ``fit.json``, ``fit.md``, ``data.png`` and ``posterior.png``, with PDFs. Rerun
    the command to resume an interrupted fit.

    Args:
        data: File of measurements, see `export.measurements`.
        fixed: Values of fixed parameters, by name: '{h: 0.7, ...}'. Om_m may replace Om_c.
        priors: Priors by name, flat between two ends or Gaussian: '{Om_m: [0.15, 0.55], n_s: {mean:
            0.96, sigma: 0.01}}'. All other parameters of the occupation are flat over the
            emulator's range, unless fixed.
        z: Redshift, in place of z in fixed.
        emulator: ONNX file, or the name of a shipped emulator.
        occupation: Name of an occupation; null for that of the emulator.
        covariance: File with the covariance of all rows of the data.
        cuts: Range of separations to fit, by statistic, in its lengths: '{w_p: [0.5, 40]}'.
        sampler: emcee, or nuts, which uses gradients and needs JAX and NumPyro.
        walkers: Number of walkers of each chain; emcee only, default 32.
        burn_in: Steps of adaptation at the start of each chain, which are discarded; nuts only,
            default 500. emcee discards the first tenth.
        steps: Steps of each chain. emcee stops when converged, after at most 100,000 by default;
            nuts takes 1000 after the burn-in by default.
        chains: Number of chains, each from its own search for the best fit; default 4.
        generations: Largest number of generations of each search for the best fit; emcee only, for
            posteriors without gradients, default 400.
        seed: Seed of the random numbers.
        out: Folder for the results.

    Returns:
        The content of ``fit.json``.

    Raises:
        FileNotFoundError: No such data or emulator.
        ValueError: Data that cannot be read or predicted; parameters without a value or a prior.
        BusyError: Another process writes to the folder.
    """
    sampling = Sampling(walkers, burn_in, steps, chains, generations, seed, sampler)
    if z is not None and "z" in (fixed or {}):
        raise ValueError(f"z = {z:g} and fixed has z, too; give only one of them")
    held = {**(fixed or {}), **({} if z is None else {"z": z})}
    measured = Measurements.read(data, covariance, cuts)
    model = load(emulator, threads=1, occupation=occupation)
    more = [name for one in measured.statistics for name in one.parameters]
    known = Priors(model, held, priors or {}, more)
    sampling.check(known.names)
    settings = {
        "data": data.name, "emulator": emulator, "occupation": model.populations.said,
        "fixed": known.fixed, "priors": {one.name: one.as_dict() for one in known.free},
        "cuts": cuts or {}, "sampling": sampling.as_dict(),
    }  # fmt: skip
    made_by = {
        "content": hashlib.sha256(model.content).hexdigest(),
        "measurements": _hash(measured),
        **maker(_LIBRARIES[sampler], _MODULES),
    }
    with run_lock(out, "fit"):
        begun = any(out.glob("chain*.npz"))
        check_run_config(out, settings, made_by, paths=("emulator", "data"), begun=begun)
        done = Fit.of(measured, model, known, sampling, out)
        name = data.name.partition(".")[0]
        environment = provenance() | maker(_LIBRARIES[sampler])
        result = {
            "name": name,
            **settings,
            **done.summary(),
            "environment": environment,
        }
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
    """Run the command line of `fit`."""
    run(fit, "python -m benchmarks.posterior.fit", argv)


if __name__ == "__main__":
    main()
