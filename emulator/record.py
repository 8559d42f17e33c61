"""What a trained emulator says of itself: how it was made, and how accurate it is."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.record import provenance
from datagen.store import Spectra
from emulator.data import SpectraData
from emulator.emulator import Emulator
from emulator.metrics import spectra_accuracy

__all__ = ["log_line", "make_record", "predict", "standardised_errors", "validation_loss"]

_BATCH = 4096


def predict(emulator: Emulator, theta: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Spectra [Mpc^3] of points (N, 10) as arrays (N, K), by name; no check of ranges."""
    with torch.inference_mode():
        parts = [emulator(batch) for batch in torch.tensor(theta).float().split(_BATCH)]
    names = emulator.spec.outputs
    return {name: torch.cat([part[i] for part in parts]).numpy() for i, name in enumerate(names)}


def standardised_errors(emulator: Emulator, features: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean squared (``mse``) and mean absolute (``mae``) error of the standardised ln P.

    These are the figures that the published emulators were judged by; see `emulator.metrics`
    for errors of P.

    Args:
        emulator: The emulator.
        features: Its features, shape (N, 10).
        targets: Standardised ln P, shape (N, O, K).
    """
    with torch.inference_mode():
        y = torch.cat([emulator.standardised(batch) for batch in features.split(_BATCH)])
    difference = (y - targets).double()
    return {"mse": float(difference.square().mean()), "mae": float(difference.abs().mean())}


def validation_loss(path: Path) -> float:
    """Mean squared standardised error on the validation split, from an emulator's own record."""
    return float(Emulator.load(path).spec.record["standardised"]["validation"]["mse"])


def make_record(
    emulator: Emulator,
    data: SpectraData,
    spectra: Spectra,
    settings: dict[str, Any],
    epochs: int,
) -> None:
    """Write into an emulator's spec how it was made and how accurate it is.

    Args:
        emulator: Just trained.
        data: What it was trained and validated on.
        spectra: All labels, the test split included; only their hash and number are taken.
        settings: The training's settings.
        epochs: How many it took.
    """
    validation = data.validation_spectra
    emulator.with_record(
        provenance={
            **provenance(),
            "labels": {"sha256": spectra.hash(), "design": spectra.metadata["design"]},
            "training": settings,
            "points": {
                "train": len(data.train_spectra),
                "validation": len(validation),
                "all": len(spectra),
                "dropped": data.dropped,
            },
            "epochs": epochs,
        },
        record={
            "standardised": {
                "train": standardised_errors(emulator, *data.train.tensors),
                "validation": standardised_errors(emulator, *data.validation.tensors),
            },
            "validation": spectra_accuracy(
                predict(emulator, validation.theta), validation, emulator.spec.space
            ),
        },
    )


def log_line(emulator: Emulator, when: str, test: dict[str, float] | None = None) -> str:
    """One line in the format of NNPowerspectra's log of trials.

    Args:
        emulator: With its record.
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
