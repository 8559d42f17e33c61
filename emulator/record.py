"""What a trained emulator says of itself: how it was made, and how accurate it is."""

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
    """Spectra [Mpc^3] of points (N, P) as arrays (N, K), by name; no check of ranges."""
    with torch.inference_mode():
        parts = [emulator(batch) for batch in torch.tensor(theta).float().split(_BATCH)]
    names = emulator.spec.outputs
    return {name: torch.cat([part[i] for part in parts]).numpy() for i, name in enumerate(names)}


def standardised_errors(
    predicted: Mapping[str, NDArray[np.float32]], truth: Spectra, scale: Mapping[str, Array]
) -> dict[str, float]:
    """Mean squared (``mse``) and mean absolute (``mae``) error of the standardised ln P.

    These are the figures that the published emulators were judged by; see `emulator.metrics`
    for errors of P.

    Args:
        predicted: Spectra [Mpc^3] by name, each (N, K).
        truth: The labels of the same points.
        scale: Standard deviation of ln P on the training split by name, each (K,).
    """
    difference = np.stack(
        [np.log(P / truth[name]) / scale[name] for name, P in predicted.items() if name in scale]
    )
    return {"mse": float(np.square(difference).mean()), "mae": float(np.abs(difference).mean())}


def validation_loss(path: Path) -> float:
    """Mean squared standardised error on the validation split, from an emulator's own record."""
    return float(Emulator.load(path).spec.record["standardised"]["validation"]["mse"])


def make_record(
    emulator: Emulator,
    spectra: Spectra,
    parts: Mapping[str, Spectra],
    settings: dict[str, Any],
    dropped: Dropped | None = None,
    **notes: Any,
) -> None:
    """Write into an emulator's spec how it was made and how accurate it is.

    Args:
        emulator: Just trained.
        spectra: All labels, the test split included; only their hash and number are taken.
        parts: Labels of the ``train`` and the ``validation`` split.
        settings: The training's settings, ``split`` among them.
        dropped: Points that the training left out, if it may leave out some.
        notes: What else there is to know of how it was made.
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
    """A quantile of abs(P/P_true - 1) on the validation split, of the spectrum where it is largest.

    Args:
        spec: Of an emulator with its record.
        quantile: One of `emulator.metrics.PERCENTILES` as a text: ``95``, ``100``, ...
    """
    records = spec.record["validation"]
    return max(float(records[n]["all"][quantile]) for n in records if output(n).correlation)


def log_line(emulator: Emulator, when: str, test: dict[str, float] | None = None) -> str:
    """One line in the format of NNPowerspectra's log of trials.

    Args:
        emulator: A network, with its record.
        when: A time stamp, ``2025-07-08_02-24-56``.
        test: ``mse`` and ``mae`` of the test split; left empty before the final evaluation.
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
    """A line for each output: percentiles of its errors on the validation split."""
    lines = ["abs(P/P_true - 1) in percent on the validation split", f"{'':10s}68 %   95 %   99 %"]
    for name, record in emulator.spec.record["validation"].items():
        errors = "  ".join(f"{100 * record['all'][q]:5.3g}" for q in ("68", "95", "99"))
        lines.append(f"{name:9s}{errors}")
    return "\n".join(lines)
