"""Make a closed-form emulator: ``python -m emulator.train_closed``."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.halomodel import CORRELATIONS, TERMS, HaloModelConfig
from datagen.record import code_hash
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.closed import ClosedConfig
from emulator.closed_fit import FitConfig, fit_closed
from emulator.emulator import Emulator, Spec
from emulator.figures import accuracy_figure
from emulator.record import accuracy_table, make_record
from emulator.runs import check_run_config, run_lock
from emulator.train import EMULATOR_FILE

__all__ = ["OUTPUTS", "make_closed", "train_closed"]

SPECTRA = tuple(f"{xy}_{term}" for xy in CORRELATIONS for term in TERMS)
OUTPUTS = (*SPECTRA, "P_lin", "n_g", "b_eff", "f_sat")


def _settings(closed: ClosedConfig, fit: FitConfig, split: Split) -> dict[str, Any]:
    return {"closed": asdict(closed), "fit": asdict(fit), "split": asdict(split)}


def make_closed(spectra: Spectra, closed: ClosedConfig, fit: FitConfig, split: Split) -> Emulator:
    """A closed form for labels: their box, wavenumbers and halo model; with its record.

    See `train_closed` for the arguments and for what is refused.
    """
    space = Space.from_dict(spectra.metadata["space"])
    model = HaloModelConfig.from_dict(spectra.metadata["model"])
    spec = Spec(
        space=space,
        k=tuple(spectra.k.tolist()),
        z=model.z,
        outputs=OUTPUTS,
        total="sum",
        network=closed,
        halo_model=asdict(model),
    )
    begun = time.monotonic()
    emulator = Emulator(spec, fit_closed(closed, space, model, fit))
    seconds = time.monotonic() - begun
    parts = {
        part: spectra.select(split.rows(len(spectra), part)) for part in ("train", "validation")
    }
    make_record(emulator, spectra, parts, _settings(closed, fit, split), seconds=seconds)
    return emulator


def train_closed(
    data: Path,
    out: Path,
    closed: ClosedConfig = ClosedConfig(),
    fit: FitConfig = FitConfig(),
    split: Split = Split(),
) -> Path:
    """Make an emulator of all nine spectra that learns the cosmology and integrates over mass.

    Its network is fitted to the halo model's own ingredients (mass function, bias, linear power)
    in minutes, not to the labels: they say for which box and halo model, and how
    accurate it is. It also gives P_lin, the galaxy density n_g, the effective bias and the
    satellite fraction. The folder gets ``emulator.safetensors``, a figure of the accuracy on the
    validation split over k, and ``config.yaml``. Where it holds all of this already, for the same
    labels, settings and code, nothing is done.

    Args:
        data: Label file of ``datagen.generate``, of the ``standard`` model.
        out: Folder for the results.
        closed: Its network and the nodes of its integrals.
        fit: How the network is fitted.
        split: Which labels validate; those of the test split are not looked at.

    Returns:
        The path of the emulator.

    Raises:
        ValueError: A halo model that has no closed form, nodes that do not cover its box, or a
            folder that holds another run, or that another one runs in.
    """
    spectra = Spectra.read(data)
    settings, file = _settings(closed, fit, split), out / EMULATOR_FILE
    with run_lock(out, "training"):
        check_run_config(
            out,
            {"data": str(data), "out": str(out), **settings},
            {"labels": spectra.hash(), "code": code_hash("emulator.train_closed")},
            paths=("data", "out"),
            begun=file.exists(),
        )
        if file.exists():
            emulator = Emulator.load(file)
            print(f"{file} is there already and answers this request")  # noqa: T201
        else:
            emulator = make_closed(spectra, closed, fit, split)
            with style():
                records = emulator.spec.record["validation"]
                save_figure(accuracy_figure(spectra.k, records), out / "accuracy")
            emulator.save(file)  # last: where it is, all is done
    print(accuracy_table(emulator))  # noqa: T201
    return file


def main(argv: list[str] | None = None) -> None:
    """Command line of `train_closed`."""
    run(train_closed, "python -m emulator.train_closed", argv)


if __name__ == "__main__":
    main()
