"""Make a closed-form emulator: ``python -m emulator.train_closed``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.halomodel import CORRELATIONS, TERMS, HaloModelConfig
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.closed import ClosedConfig
from emulator.closed_fit import fit_closed
from emulator.emulator import Emulator, Spec
from emulator.figures import accuracy_figure
from emulator.record import accuracy_table, make_record
from emulator.train import EMULATOR_FILE, check_run_config

__all__ = ["OUTPUTS", "make_closed", "train_closed"]

SPECTRA = tuple(f"{xy}_{term}" for xy in CORRELATIONS for term in TERMS)
OUTPUTS = (*SPECTRA, "P_lin", "n_g", "b_eff", "f_sat")


def _settings(closed: ClosedConfig, cosmologies: int, split: Split, seed: int) -> dict[str, Any]:
    return {
        "closed": asdict(closed), "cosmologies": cosmologies, "split": asdict(split), "seed": seed,
    }  # fmt: skip


def make_closed(
    spectra: Spectra, closed: ClosedConfig, cosmologies: int, split: Split, seed: int
) -> Emulator:
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
    emulator = Emulator(spec, fit_closed(closed, space, model, points=cosmologies, seed=seed))
    parts = {
        part: spectra.select(split.rows(len(spectra), part)) for part in ("train", "validation")
    }
    make_record(emulator, spectra, parts, _settings(closed, cosmologies, split, seed))
    return emulator


def train_closed(
    data: Path,
    out: Path,
    closed: ClosedConfig = ClosedConfig(),
    cosmologies: int = 16384,
    split: Split = Split(),
    seed: int = 1,
) -> Path:
    """Make an emulator of all nine spectra that learns the cosmology and integrates over mass.

    Its network is fitted to the halo model's own ingredients (mass function, bias, linear power)
    in less than a minute, not to the labels: they say for which box and halo model, and how
    accurate it is. It also gives P_lin, the galaxy density n_g, the effective bias and the
    satellite fraction. The folder gets ``emulator.safetensors``, a figure of the accuracy on the
    validation split over k, and ``config.yaml``.

    Args:
        data: Label file of ``datagen.generate``, of the ``standard`` model.
        out: Folder for the results.
        closed: Its network and the nodes of its integrals.
        cosmologies: Cosmologies that the network is fitted to.
        split: Which labels validate; those of the test split are not looked at.
        seed: Seed of the cosmologies and of the network's hidden layer.

    Returns:
        The path of the emulator.

    Raises:
        ValueError: A halo model that has no closed form, or nodes that do not cover its box.
    """
    spectra = Spectra.read(data)
    settings = _settings(closed, cosmologies, split, seed)
    check_run_config(out, {"data": str(data), "out": str(out), **settings})
    emulator = make_closed(spectra, closed, cosmologies, split, seed)
    emulator.save(out / EMULATOR_FILE)
    with style():
        records = emulator.spec.record["validation"]
        save_figure(accuracy_figure(spectra.k, records), out / "accuracy")
    print(accuracy_table(emulator))  # noqa: T201
    return out / EMULATOR_FILE


def main(argv: list[str] | None = None) -> None:
    """Command line of `train_closed`."""
    run(train_closed, "python -m emulator.train_closed", argv)


if __name__ == "__main__":
    main()
