"""Record of a trained emulator: provenance and accuracy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datagen.outputs import output
from datagen.record import provenance
from datagen.store import Spectra
from emulator.data import Dropped
from emulator.emulator import Emulator, Spec
from emulator.metrics import spectra_accuracy

__all__ = [
    "accuracy_table",
    "largest_quantile",
    "log_line",
    "make_record",
    "predict",
    "standardised_errors",
    "validation_loss",
]

Array = NDArray[np.float64]

_BATCH = 4096


def predict(emulator: Emulator, theta: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Predict all outputs of points, without a check of ranges.

    Args:
        emulator: Emulator.
        theta: Points, columns ``spec.space.names``, physical units, shape (N, P).

    Returns:
        Spectra [Mpc^3], each (N, K), and numbers, each (N,), by name.
    """
    with torch.inference_mode():
        parts = [emulator(batch) for batch in torch.tensor(theta).float().split(_BATCH)]
    names = emulator.spec.outputs
    return {name: torch.cat([part[i] for part in parts]).numpy() for i, name in enumerate(names)}


def standardised_errors(
    predicted: Mapping[str, NDArray[np.float32]], truth: Spectra, scale: Mapping[str, Array]
) -> dict[str, float]:
    """Return mean squared (``mse``) and mean absolute (``mae``) error of the standardised ln P.

    The published emulators quote these numbers; see `emulator.metrics` for errors of P.

    Args:
        predicted: Spectra [Mpc^3] by name, each (N, K).
        truth: Labels of the same points.
        scale: Standard deviation of ln P in the training split by name, each (K,).
    """
    difference = np.stack(
        [np.log(P / truth[name]) / scale[name] for name, P in predicted.items() if name in scale]
    )
    return {"mse": float(np.square(difference).mean()), "mae": float(np.abs(difference).mean())}


def validation_loss(path: Path) -> float:
    """Return the mean squared error of standardised ln P in the record of an emulator file."""
    return float(Emulator.load(path).spec.record["standardised"]["validation"]["mse"])


def make_record(
    emulator: Emulator,
    spectra: Spectra,
    parts: Mapping[str, Spectra],
    settings: dict[str, Any],
    dropped: Dropped | None = None,
    **notes: Any,
) -> None:
    """Add provenance and accuracy to the description of an emulator, in place.

    Args:
        emulator: Trained emulator.
        spectra: All labels, including the test split; only their hash and number are used.
        parts: Labels of the ``train`` and the ``validation`` split.
        settings: Settings of the training, with ``split``.
        dropped: Excluded points, if the training may exclude points.
        notes: Further entries of the provenance.
    """
    predicted = {part: predict(emulator, labels.theta) for part, labels in parts.items()}
    names = [name for name in emulator.spec.outputs if output(name).correlation]
    scale = {name: np.log(parts["train"][name]).std(axis=0) for name in names}
    emulator.update_spec(
        provenance={
            **provenance(),
            "labels": {"sha256": spectra.hash(), "design": spectra.metadata["design"]},
            "training": settings,
            "points": {part: len(labels) for part, labels in parts.items()} | {"all": len(spectra)},
            **({"dropped": dropped.points} if dropped else {}),
            **notes,
        },
        record={
            "standardised": {
                part: standardised_errors(predicted[part], labels, scale)
                for part, labels in parts.items()
            },
            "validation": spectra_accuracy(
                predicted["validation"], parts["validation"], emulator.spec.space
            ),
            **({"dropped": dropped.as_dict()} if dropped else {}),
        },
    )


def largest_quantile(spec: Spec, quantile: str) -> float:
    """Return a percentile of abs(P/P_true - 1) on the validation split, the largest of all spectra.

    Args:
        spec: Description of an emulator with a record.
        quantile: One of `emulator.metrics.PERCENTILES` as a text: ``95``, ``100``, ...
    """
    records = spec.record["validation"]
    return max(float(records[n]["all"][quantile]) for n in records if output(n).correlation)


def log_line(emulator: Emulator, when: str, test: dict[str, float] | None = None) -> str:
    """Return a line in the format of NNPowerspectra's log of trials.

    Args:
        emulator: Network emulator with a record.
        when: Time stamp, ``2025-07-08_02-24-56``.
        test: ``mse`` and ``mae`` of the test split; None before the final evaluation.
    """
    errors = emulator.spec.record["standardised"]
    network, optimizer = emulator.spec.network, emulator.spec.provenance["training"]["optimizer"]
    parameters = {
        "n_layers": network.layers,
        "n_units": network.units,
        "activation": network.activation,
        "optimizer": optimizer["name"],
        "lr": optimizer["lr"],
        "batchsize": optimizer["batch_size"],
        "dropout_rate": network.dropout,
    }
    mse, mae = (f"{test['mse']:.6f}", f"{test['mae']:.6f}") if test else ("", "")
    return (
        f"{when} test_loss={mse}, validation loss={errors['validation']['mse']:.6f}, "
        f"loss={errors['train']['mse']:.6f}, train_mae={errors['train']['mae']:.6f}, "
        f"val_mae={errors['validation']['mae']:.6f}, test_mae={mae}, params={parameters}"
    )


def accuracy_table(emulator: Emulator) -> str:
    """Return a table of percentiles of the validation errors, one line per output."""
    lines = ["abs(P/P_true - 1) in percent on the validation split", f"{'':10s}68 %   95 %   99 %"]
    for name, record in emulator.spec.record["validation"].items():
        errors = "  ".join(f"{100 * record['all'][q]:5.3g}" for q in ("68", "95", "99"))
        lines.append(f"{name:9s}{errors}")
    return "\n".join(lines)
