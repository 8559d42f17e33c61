"""Accuracy of an emulator on fresh labels: ``hodspectra evaluate``."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.codes.implementations import BATCHES
from benchmarks.codes.timing import by_batch
from benchmarks.evaluate import file_record
from benchmarks.evaluate.file_record import DRAWN, PREFIX
from benchmarks.evaluate.tables import accuracy_table, in_percent
from benchmarks.evaluate.true_spectra import is_made_of, true_spectra
from benchmarks.study import Study
from datagen.error_budget import ErrorBudget, error_budget
from datagen.outputs import SPECTRA
from datagen.space import Space
from datagen.store import Spectra
from emulator.metrics import spectra_accuracy
from export.runtime import OnnxEmulator

__all__ = ["STUDY", "counts", "evaluate", "render"]

N_G_MIN, B_EFF_MAX = 1e-7, 20.0  # [1/Mpc^3], dimensionless
F_SAT_MIN = 1e-6
BUDGET = ErrorBudget(quadrature=64, linear_power=64)


def evaluate(
    emulator: str,
    data: Path,
    name: str = "",
    floor: ErrorBudget = BUDGET,
    write_record: bool = False,
) -> dict[str, Any]:
    """Measure an emulator's errors on fresh labels; optionally write them into its file.

    The file stores them as the record ``test``, which its card shows and ``hodspectra verify``
    compares with, together with the errors of the labels and the speed on one core. Labels in the
    same ranges with another sampling of masses have the record ``test_linear_masses`` or
    ``test_log10_masses``; labels in smaller ranges have a record of their own. Labels of another
    occupation make the record of a semi-analytic emulator for that occupation.

    Points without observable galaxies are left out, see `counts`; their fraction is recorded.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        data: Labels of the same halo model, in the emulator's ranges or smaller ones, that were not
            used to train it.
        name: Suffix of the record for labels in smaller ranges, for example ``published_box``.
        floor: Numbers of points for the errors of the labels themselves; each point for linear
            power takes CAMB some seconds.
        write_record: Write the results into the file.

    Returns:
        ``record``, its name; ``occupation``; ``accuracy``, see
        `emulator.metrics.spectra_accuracy`; ``test``, a description of the labels; for the record
        ``test`` also ``floor`` and ``speed``.

    Raises:
        ValueError: Labels that the emulator was trained on, or of another halo model or wider
            ranges; smaller ranges without a name; a record for a shipped emulator.
    """
    if write_record and not Path(emulator).is_file():
        raise ValueError(f"write_record: {emulator} is not a file; name one, for example a copy")
    labels, own = Spectra.read(data, ()), OnnxEmulator(emulator)
    whose = Space.from_dict(labels.metadata["space"]).occupation
    is_own = whose == own.populations.said
    model = own if is_own else OnnxEmulator(emulator, occupation=whose)
    if is_made_of(model, labels):
        raise ValueError(f"{model.path} was trained on {data}; make labels with another seed")
    truth = true_spectra([model], data)
    counted = truth.labels.select(np.flatnonzero(counts(truth.labels)))
    predicted = model(counted.theta, truth.shared(model))
    made = {name: truth.source[name] for name in ("sha256", "design")}
    made |= {"points": len(counted), "without_galaxies": len(truth.labels) - len(counted)}
    record = _record_name(model, truth.space, name)
    found = {
        "emulator": model.path.stem,
        "occupation": whose,
        "record": record,
        "accuracy": spectra_accuracy(predicted, counted, truth.space),
        "test": made,
    }
    if is_own and record == PREFIX:
        found |= _measured(model, counted, floor)
    if write_record:
        file_record.write_record(Path(emulator), found)
    return found


def counts(labels: Spectra) -> NDArray[np.bool_]:
    """Whether points have observable galaxies, shape (N,).

    Their density is above `N_G_MIN` [1/Mpc^3], their bias below `B_EFF_MAX` (higher values belong
    to haloes on six-sigma peaks, which hardly exist), and their fraction of satellites, which make
    the 1-halo term of gg, above `F_SAT_MIN`. Labels without these numbers all count.

    Args:
        labels: N labels.
    """
    if not {"n_g", "b_eff", "f_sat"} <= labels.arrays.keys():
        return np.ones(len(labels), np.bool_)
    seen = (labels["n_g"] > N_G_MIN) & (labels["b_eff"] < B_EFF_MAX)
    found: NDArray[np.bool_] = seen & (labels["f_sat"] > F_SAT_MIN)
    return found


def _record_name(model: OnnxEmulator, space: Space, name: str) -> str:
    own = Space.from_dict(model.metadata["parameters"])
    if space == own:
        return PREFIX
    same = space.names == own.names and np.array_equal(space.low, own.low)
    if same and np.array_equal(space.high, own.high):  # the same box, sampled differently
        drawn = next(space[n].sampling for n in space.names if space[n] != own[n])
        return f"{PREFIX}_{drawn}_masses"
    if not name:
        raise ValueError(
            "name: the labels are of a box within the emulator's; give their record a name, "
            "for example --name published_box"
        )
    return f"{PREFIX}_{name}"


def _measured(model: OnnxEmulator, labels: Spectra, floor: ErrorBudget) -> dict[str, Any]:
    """Errors of the labels themselves, and evaluation times on one core."""
    model = OnnxEmulator(model.path, threads=1)
    budget = error_budget(labels, floor, tuple(n for n in model.outputs if n in SPECTRA))
    for found in budget.values():
        if "spectra" in found:  # the card needs only errors over all (point, k)
            found["spectra"] = {name: one["all"] for name, one in found["spectra"].items()}
    seconds = by_batch(model, labels.theta, BATCHES["onnxruntime"])
    times = {batch: 1e6 * time["median"] for batch, time in seconds.items()}
    return {
        "floor": budget,
        "speed": {"cpu": platform.processor() or platform.machine(), "microseconds": times},
    }


def render(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    test, name = result["test"], result["record"]
    drawn = DRAWN.get(name, f" of {name.removeprefix(f'{PREFIX}_')}")
    parts = [
        f"`{result['emulator']}` with {result['occupation']}; {test['without_galaxies']:,} more "
        f"points have no galaxies that a survey could see",
        accuracy_table(result["accuracy"], drawn),
    ]
    if "floor" in result:
        largest = {
            source.replace("_", " "): max(error["99"] for error in one["spectra"].values())
            for source, one in result["floor"].items()
            if "spectra" in one
        }
        floors = [f"{source} {in_percent(error)} %" for source, error in largest.items()]
        times = result["speed"]["microseconds"].items()
        parts += [
            f"Of the labels themselves, largest 99 % of any spectrum: {', '.join(floors)}",
            f"Microseconds a point on one core ({result['speed']['cpu']}): "
            + ", ".join(f"{time:.3g} ({int(batch):,} at once)" for batch, time in times),
        ]
    return "\n\n".join(parts)


STUDY = Study("evaluation", evaluate, render)
main = STUDY.main

if __name__ == "__main__":
    main()
