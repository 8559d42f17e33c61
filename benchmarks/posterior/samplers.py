"""Comparison of emcee and NUTS on one posterior: ``hodspectra samplers --data sample.csv``.

Without data, the posterior is that of the mock data of ``hodspectra posterior``, with the emulator
only. Each sampler starts from its own searches for the best fit; times include all steps.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.posterior.chains import Chain, Target
from benchmarks.posterior.fit import Posterior
from benchmarks.posterior.mock_data import FIXED, OUTPUTS, FreeBox, Likelihood, Mock, Survey
from benchmarks.posterior.priors import Priors
from benchmarks.posterior.sampling import Sampling, draw
from benchmarks.study import Study
from datagen.space import Space
from export.measurements import Measurements
from export.runtime import OnnxEmulator, load

__all__ = ["STUDY", "render", "samplers"]

Array = NDArray[np.float64]

_LABELS = {"emcee": "emcee", "nuts": "NUTS"}


class _MockPosterior(Likelihood):
    """Posterior of mock data with an emulator."""

    def __init__(self, emulator: OnnxEmulator, mock: Mock, box: FreeBox) -> None:
        super().__init__(partial(emulator, outputs=OUTPUTS), mock, box)
        self._emulator = emulator

    def in_jax(self) -> Callable[[Any], Any]:
        """See `benchmarks.posterior.chains.Target`."""
        import jax
        import jax.numpy as jnp

        from export.to_jax import function

        mock, box = self._mock, self._box
        free = [box.space.names.index(name) for name in box.names]
        low, high = box.coordinates(np.array([[0.0] * len(free), [1.0] * len(free)]))
        log, others = box.space.is_log[free], box.points(np.zeros((1, len(free))))[0]

        def ln(unit: Any) -> Any:
            x = low + unit * (high - low)
            theta = jnp.asarray(others).at[np.array(free)].set(jnp.where(log, 10.0**x, x))
            spectra = {name: value[None] for name, value in predict(theta).items()}
            return -0.5 * mock.chi2(spectra, jnp)[0]

        with jax.enable_x64(True):
            predict = function(self._emulator, OUTPUTS, dtype="float64")
        return ln


def samplers(
    data: Path | None = None,
    fixed: dict[str, float] | None = None,
    priors: dict[str, Any] | None = None,
    z: float | None = None,
    emulator: str = "",
    occupation: str | None = None,
    emcee: Sampling = Sampling(),
    nuts: Sampling = Sampling(sampler="nuts"),
) -> dict[str, Any]:
    """Sample one posterior with both samplers, and compare.

    Args:
        data: File of measurements, see `export.measurements`; default: mock data.
        fixed: Values of fixed parameters, by name; see ``hodspectra fit``.
        priors: Priors by name; see ``hodspectra fit``.
        z: Redshift, in place of z in fixed.
        emulator: ONNX file, or the name of a shipped emulator; default: tinker10, or standard for
            mock data.
        occupation: Name of an occupation; default: zheng07, or that of the emulator for mock data.
        emcee: Settings of emcee.
        nuts: Settings of NUTS.

    Returns:
        ``name``, ``emulator``, ``occupation``; ``samplers``, costs and results of each;
        ``parameters``, the agreement of each parameter.

    Raises:
        ValueError: Data that cannot be fitted; settings of other samplers.
    """
    if (emcee.sampler, nuts.sampler) != ("emcee", "nuts"):
        raise ValueError(f"sampler = {emcee.sampler!r}, {nuts.sampler!r}: must be emcee, nuts")
    if data is None:
        model = load(emulator or "standard", threads=1, occupation=occupation)
        make, names, coordinates = _mock(model, fixed or FIXED)
    else:
        model = load(emulator or "tinker10", threads=1, occupation=occupation or "zheng07")
        measured = Measurements.read(data)
        more = [name for one in measured.statistics for name in one.parameters]
        held = {**(fixed or {}), **({} if z is None else {"z": z})}
        known = Priors(model, held, priors or {}, more)
        make, names = partial(Posterior, measured, model, known), known.names
        coordinates = known.coordinates
    result: dict[str, Any] = {
        "name": data.name.partition(".")[0] if data else "mock",
        "emulator": emulator or ("tinker10" if data else "standard"),
        "occupation": model.populations.said,
        "samplers": {},
    }
    chains: dict[str, Array] = {}
    for sampling in (emcee, nuts):
        sampling.check(names)
        found, chain = _timed(make(), names, sampling)
        result["samplers"][sampling.sampler] = found
        chains[sampling.sampler] = coordinates(chain.samples.reshape(-1, len(names)))
    result["parameters"] = _agreement(names, chains, result["samplers"])
    return result


def _mock(
    model: OnnxEmulator, fixed: dict[str, float]
) -> tuple[Callable[[], Target], tuple[str, ...], Callable[[Array], Array]]:
    """Mock data: the posterior, its parameters, and their values at points of the unit cube."""
    box = FreeBox(Space.from_dict(model.metadata["parameters"]), fixed)
    outputs = [*OUTPUTS, "mm_total"]
    truth = {name: values[0] for name, values in model(box.fiducial, outputs).items()}
    mock = Mock(Survey(), model.k, truth, 1)
    return partial(_MockPosterior, model, mock, box), tuple(box.names), box.coordinates


def _timed(
    target: Target, names: tuple[str, ...], sampling: Sampling
) -> tuple[dict[str, Any], Chain]:
    """Sample a posterior with one sampler, and measure its costs."""
    begun, clock = time.process_time(), time.perf_counter()
    ends, chain = draw(target, len(names), sampling)
    seconds, wall = time.process_time() - begun, time.perf_counter() - clock
    effective = chain.effective
    return {
        "sampling": sampling.as_dict(),
        "searches": [_short(end.cost) for end in ends],
        "search_evaluations": [end.evaluations for end in ends],
        "evaluations": target.evaluations,
        "cpu_seconds": _short(seconds),
        "wall_seconds": _short(wall),
        "effective": dict(zip(names, map(int, effective), strict=True)),
        "effective_per_cpu_second": _short(effective.min() / seconds),
        "r_hat": dict(zip(names, map(_short, chain.r_hat), strict=True)),
        "divergences": chain.divergences,
        "is_converged": chain.is_converged,
        "steps": chain.steps * chain.samples.shape[1],
    }, chain


def _agreement(
    names: tuple[str, ...], chains: dict[str, Array], found: dict[str, Any]
) -> dict[str, Any]:
    """Mean and standard deviation of each parameter, and the shift between the means.

    The shift is that of NUTS minus emcee, in standard deviations of NUTS. Its Monte Carlo error
    follows from the effective numbers of samples.
    """
    result = {}
    for i, name in enumerate(names):
        mean = {which: x[:, i].mean() for which, x in chains.items()}
        std = {which: x[:, i].std() for which, x in chains.items()}
        errors = [std[which] / np.sqrt(found[which]["effective"][name]) for which in chains]
        result[name] = {
            "mean": {which: _short(value) for which, value in mean.items()},
            "std": {which: _short(value) for which, value in std.items()},
            "shift": _short((mean["nuts"] - mean["emcee"]) / std["nuts"]),
            "shift_error": _short(np.hypot(*errors) / std["nuts"]),
        }
    return result


def _short(value: Any) -> float:
    return float(f"{value:.5g}")


def render(result: dict[str, Any]) -> str:
    """Format the comparison as Markdown."""
    both = result["samplers"]
    lines = [
        f"{result['name']}, {result['emulator']} with {result['occupation']}, "
        f"{len(result['parameters'])} parameters",
        "",
        "| | " + " | ".join(_LABELS[name] for name in both) + " |",
        "|---|" + "---|" * len(both),
    ]

    def row(title: str, cell: Callable[[dict[str, Any]], str]) -> None:
        lines.append(f"| {title} | {' | '.join(cell(one) for one in both.values())} |")

    row("lowest -2 ln P of each search", lambda one: ", ".join(f"{x:.2f}" for x in one["searches"]))
    row(
        "evaluations of each search",
        lambda one: ", ".join(f"{x:,}" for x in one["search_evaluations"]),
    )
    row("evaluations, of ln P or its gradient", lambda one: f"{one['evaluations']:,}")
    row("processor time, all included [s]", lambda one: f"{one['cpu_seconds']:.0f}")
    row("fewest effective samples", lambda one: f"{min(one['effective'].values()):,}")
    row("the same in a second", lambda one: f"{one['effective_per_cpu_second']:.2g}")
    row("largest R-hat", lambda one: f"{max(one['r_hat'].values()):.3f}")
    row(
        "divergences",
        lambda one: (
            f"{one['divergences']} of {one['steps']:,}"
            if one["sampling"]["sampler"] == "nuts"
            else ""
        ),
    )
    lines += [
        "",
        "| parameter | emcee | NUTS | shift / standard deviation |",
        "|---|---|---|---|",
    ]
    for name, one in result["parameters"].items():
        cells = [f"{one['mean'][which]:.4g} +- {one['std'][which]:.2g}" for which in both]
        shift = f"{one['shift']:+.3f} +- {one['shift_error']:.3f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {shift} |")
    return "\n".join(lines)


STUDY = Study("samplers", samplers, render)
main = STUDY.main

if __name__ == "__main__":
    main()
