"""Rebuild the torch emulator of an ONNX file: ``from hodspectra.torch import load``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emulator.emulator import Emulator, Spec
from emulator.semianalytic.emulator import with_fits
from export.onnx_file import OnnxEmulatorError, OnnxFile
from export.parity import ExportMismatch, points_of, verify
from export.shipped import find
from export.weights import weights

__all__ = ["load"]

_POINTS = 256  # number of points at which it is compared with its file


def load(path_or_name: str | Path, occupation: str = "", **fits: str) -> Emulator:
    """Rebuild the torch emulator that a file of `export.to_onnx` was written from.

    The emulator is a `torch.nn.Module` in evaluation mode. It maps points (B, P), with columns
    ``spec.space.names``, to outputs in the order of ``spec.outputs``: spectra [Mpc^3] (B, K) and
    numbers (B,), with gradients. Its method ``save`` writes a file for `export.to_onnx` and
    ``hodspectra finetune``.

    Args:
        path_or_name: A file, or the name of a shipped emulator.
        occupation: Name of an occupation in place of the one in the file; semi-analytic emulators
            only.
        fits: ``mass_function``, ``halo_bias``, ``concentration`` or ``mass_def`` in place of those
            of the file; semi-analytic emulators only.

    Returns:
        The emulator, checked against the outputs of the file.

    Raises:
        FileNotFoundError: No such file or name.
        OnnxEmulatorError: A file that is damaged, contains several emulators, or lacks weights
            that its outputs need.
        ValueError: Unknown occupation or fits, or fits that need weights that the file lacks.

    Examples:
        >>> from hodspectra.torch import load
        >>> emulator = load("standard")
        >>> emulator.spec.outputs[:2]
        ('mm_1h', 'mm_2h')
    """
    path = find(path_or_name)
    content = path.read_bytes()
    file = OnnxFile.read(content, path)
    meta = {name: json.loads(text) for name, text in file.texts.items()}
    emulator = Emulator.of(_spec(meta, path)).eval()
    found = weights(file, emulator)
    state = {
        name: torch.from_numpy(found[name].copy())
        if name in found
        else torch.full_like(value, torch.nan)
        for name, value in emulator.state_dict().items()
    }
    try:
        emulator.load_state_dict(state)
    except RuntimeError as error:  # of other shapes
        raise OnnxEmulatorError(
            f"{path} does not hold the weights of one emulator: {error}"
        ) from error
    _check(emulator, path)
    return with_fits(emulator, occupation, **fits) if occupation or fits else emulator


def _spec(meta: Mapping[str, Any], path: Path) -> Spec:
    """Read the spec of the emulator from the metadata of its file."""
    if "merged" in meta["provenance"]:
        raise OnnxEmulatorError(
            f"{path} holds several emulators as one; export each of them to a file of its own"
        )
    is_learnt = meta["kind"] == "network" and meta["learnt_totals"]
    own = {
        name: meta[name] for name in ("kind", "k", "network", "halo_model", "bao", "provenance",
                                      "record")
    }  # fmt: skip
    return Spec.from_dict(
        own
        | {
            "space": meta["parameters"],
            "outputs": list(meta["outputs"]),
            "total": "network" if is_learnt else "sum",
        }
    )


def _check(emulator: Emulator, path: Path) -> None:
    """Raise an error if the emulator does not reproduce the outputs of its file."""
    lacking = ", ".join(emulator.unknown()) or "none"
    try:
        verify(emulator, path, points_of(emulator.spec.space)[-_POINTS:])
    except ExportMismatch as error:
        raise OnnxEmulatorError(
            f"the weights of {path} do not give what its graph gives: {error}; weights that are "
            f"not in it: {lacking}; export it again with hodspectra export, which stores them"
        ) from None
    emulator.float()
