"""Train a semi-analytic emulator: ``python -m emulator.train_semianalytic``."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.halomodel import HaloModelConfig
from datagen.parallel import RayConfig
from datagen.power import linear_power
from datagen.record import code_hash, provenance
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.emulator import SemiAnalyticEmulator
from emulator.figures import accuracy_figure
from emulator.record import accuracy_table, make_record
from emulator.runs import check_run_config, run_lock
from emulator.semianalytic.emulator import SemiAnalyticConfig, make_semianalytic
from emulator.semianalytic.fit import FitConfig, halo_model_units
from emulator.train import EMULATOR_FILE

__all__ = ["check_labels", "of_labels", "train_semianalytic"]


def train_semianalytic(
    out: Path,
    space: Space = Space(),
    model: HaloModelConfig = HaloModelConfig(),
    semianalytic: SemiAnalyticConfig = SemiAnalyticConfig(),
    fit: FitConfig = FitConfig(),
    data: Path | None = None,
    split: Split = Split(),
    ray: RayConfig = RayConfig(),
) -> Path:
    """Train a semi-analytic emulator of all nine spectra, which computes the integrals over mass.

    Its network is fitted to sigma(R) and the linear power, in minutes and without labels. Further
    outputs are P_lin, the galaxy density n_g, the effective bias and the satellite fraction.
    Writes ``emulator.safetensors``, ``config.yaml`` and, with labels, a figure of the validation
    errors over k. If the folder contains the emulator of the same settings, labels and code
    already, nothing is done.

    Args:
        out: Folder for the results.
        space: Ranges of the parameters.
        model: Halo model; must be a ``standard`` one.
        semianalytic: Network, and grid of halo masses.
        fit: Settings of the fit of the network.
        data: Label file of ``datagen.generate`` for validation, of the same space and model.
        split: Sizes of the splits of these labels; the test split is not used.
        ray: Where CAMB runs, if a new table of linear power is needed.

    Returns:
        Path of the emulator.

    Raises:
        ValueError: The halo model has no such emulator, the grid does not cover its box, the
            labels are of another space or model, the folder contains another run, or another
            training is running in it.
    """
    spectra = _labels(data, space, model) if data else None
    settings: dict[str, Any] = {
        "space": space.as_dict(), "model": asdict(model), "semianalytic": asdict(semianalytic),
        "fit": asdict(fit), "split": asdict(split),
    }  # fmt: skip
    file = out / EMULATOR_FILE
    with run_lock(out, "training"):
        check_run_config(
            out,
            {"out": str(out), "data": str(data), **json.loads(json.dumps(settings))},
            {
                "labels": spectra.hash() if spectra else "none",
                "code": code_hash("emulator.train_semianalytic"),
            },
            paths=("data", "out"),
            begun=file.exists(),
        )
        if file.exists():
            print(f"{file} is there already and answers this request")  # noqa: T201
            return file
        begun = time.monotonic()
        emulator = _make(space, model, semianalytic, fit, ray)
        notes = {"seconds": time.monotonic() - begun}
        training = {name: settings[name] for name in ("semianalytic", "fit", "split")}
        _record(emulator, spectra, split, training, notes, out)
        emulator.save(file)  # last: if it exists, everything is done
    return file


def of_labels(
    spectra: Spectra, config: SemiAnalyticConfig, fit: FitConfig, split: Split
) -> SemiAnalyticEmulator:
    """Train a semi-analytic emulator for the space and halo model of labels, and validate it.

    If there is no table of linear power for the space, CAMB runs on this machine.

    Args:
        spectra: Labels.
        config: Network, and grid of halo masses.
        fit: Settings of the fit.
        split: Sizes of the splits of the labels; the test split is not used.

    Raises:
        ValueError: The halo model has no such emulator, or the grid does not cover its box.
    """
    begun = time.monotonic()
    emulator = _make(*_of(spectra), config, fit, RayConfig())
    training = {"semianalytic": asdict(config), "fit": asdict(fit), "split": asdict(split)}
    notes: dict[str, Any] = {"seconds": time.monotonic() - begun}
    make_record(emulator, spectra, _parts(spectra, split), training, **notes)
    return emulator


def check_labels(spectra: Spectra, config: SemiAnalyticConfig) -> None:
    """Check that a semi-analytic emulator can be trained for the space and model of labels.

    Raises:
        ValueError: The halo model has no such emulator, or the grid does not cover the box.
    """
    space, model = _of(spectra)
    halo_model_units(model, space, config.grid)


def _of(spectra: Spectra) -> tuple[Space, HaloModelConfig]:
    """Space and halo model of labels."""
    metadata = spectra.metadata
    return Space.from_dict(metadata["space"]), HaloModelConfig.from_dict(metadata["model"])


def _make(
    space: Space,
    model: HaloModelConfig,
    config: SemiAnalyticConfig,
    fit: FitConfig,
    ray: RayConfig,
) -> SemiAnalyticEmulator:
    """Train the emulator; impossible settings raise a ValueError before CAMB runs."""
    halo_model_units(model, space, config.grid)
    table = linear_power(model, space, ray)
    assert table is not None  # `halo_model_units` raises for models that run CAMB at every point
    return make_semianalytic(space, model, table, config, fit)


def _parts(spectra: Spectra, split: Split) -> dict[str, Spectra]:
    return {
        part: spectra.select(split.rows(len(spectra), part)) for part in ("train", "validation")
    }


def _labels(data: Path, space: Space, model: HaloModelConfig) -> Spectra:
    """Read labels for validation, and check that they are of this space and model."""
    spectra = Spectra.read(data)
    theirs = {name: spectra.metadata[name] for name in ("space", "model")}
    ours = json.loads(json.dumps({"space": space.as_dict(), "model": asdict(model)}))
    for name in theirs:
        if theirs[name] != ours[name]:
            raise ValueError(
                f"{data} is of another {name} than this emulator; leave data out, or give labels "
                f"of the same {name}"
            )
    return spectra


def _record(
    emulator: SemiAnalyticEmulator,
    spectra: Spectra | None,
    split: Split,
    training: dict[str, Any],
    notes: dict[str, Any],
    out: Path,
) -> None:
    """Add provenance and, with labels, accuracy to the description of an emulator."""
    if spectra is None:
        emulator.update_spec(provenance={**provenance(), "training": training, **notes})
        return
    make_record(emulator, spectra, _parts(spectra, split), training, **notes)
    with style():
        records = emulator.spec.record["validation"]
        save_figure(accuracy_figure(spectra.k, records), out / "accuracy")
    print(accuracy_table(emulator))  # noqa: T201


def main(argv: list[str] | None = None) -> None:
    """Command line of `train_semianalytic`."""
    run(train_semianalytic, "python -m emulator.train_semianalytic", argv)


if __name__ == "__main__":
    main()
