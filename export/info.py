"""Metadata of an emulator as a readable card: ``python -m export.info``."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datagen.domain import Domain
from datagen.outputs import output
from datagen.space import SumBelow
from export.command import add_occupation, run
from export.ranges import Parameter
from export.runtime import OnnxEmulator, OnnxEmulatorError, load
from export.shipped import shipped

__all__ = ["card", "listing", "render", "summaries"]

_HALO_MODEL = ("model", "mass_function", "halo_bias", "concentration")
_SHOWN_K = (0.01, 0.1, 1.0, 10.0, 100.0)  # [1/Mpc]; the nearest wavenumbers are shown
_SOURCES = {"linear_power": "P_lin and sigma(M)", "quadrature": "integrals"}
_NAME = 11  # width of the column of names
_INDENT = " " * (_NAME + 2)


def summaries() -> dict[str, str]:
    """One-line descriptions of the shipped emulators, by name."""
    return {name: _summary(load(name)) for name in shipped()}


def _summary(model: OnnxEmulator) -> str:
    meta = model.metadata
    choices = meta["halo_model"]
    part = next(iter(_judged(meta)), "")
    accuracy = meta["record"].get(part, {})
    worst = max((record["all"]["95"] for record in accuracy.values()), default=float("nan"))
    is_part = any(isinstance(domain, Domain) for domain in model.domains)
    return (
        f"{', '.join(str(choices.get(n, '?')) for n in _HALO_MODEL)}, z = {_redshifts(model)}, "
        f"{len(model.outputs)} outputs, 95 % of errors below {100 * worst:.2g} %"
        f"{', on a part of its box' if is_part else ''}"
    )


def _redshifts(model: OnnxEmulator) -> str:
    z = model.parameters[model.names.index("z")]
    return f"{z.low:g}" if z.low == z.high else f"{z.low:g}..{z.high:g}"


def listing() -> str:
    """A line for each shipped emulator."""
    lines = [f"{name:22s} {text}" for name, text in summaries().items()]
    return "\n".join(lines) or "no emulator comes with this package"


def card(model: OnnxEmulator) -> str:
    """The metadata of an emulator on one page.

    Raises:
        OnnxEmulatorError: Metadata that are missing or invalid.
    """
    try:
        return "\n".join(_lines(model))
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise OnnxEmulatorError(
            f"{model.path} has metadata that cannot be shown ({error!r}); export it again"
        ) from None


def _lines(model: OnnxEmulator) -> list[str]:
    meta = model.metadata
    made = meta["provenance"]
    return [
        f"{model.path.name}: {len(model.content) / 1e6:.2f} MB, checksum in order",
        "",
        f"halo model   {', '.join(str(meta['halo_model'].get(n, '?')) for n in _HALO_MODEL)}, "
        f"{_masses(meta['halo_model'])}",
        *_occupation_lines(model),
        f"wavenumbers  {len(model.k)}, from {model.k[0]:g} to {model.k[-1]:g} 1/Mpc",
        f"outputs      {', '.join(f'{n} [{u}]' for n, u in model.units.items())}",
        *_total_lines(model.learnt_totals),
        "",
        *_input_lines(model.parameters),
        *_domain_lines(model.domains, made),
        "",
        *_accuracy_lines(model),
        *_floor_lines(meta.get("floor", {})),
        *_speed_lines(meta.get("speed", {})),
        *_making_lines(made),
        f"labels       {made['labels']['design']}, sha256 {made['labels']['sha256'][:16]}..."
        if "labels" in made
        else "labels       unknown",
        *(f"and          {one['design']}, for training only" for one in made.get("more", [])),
        f"made with    {_versions(made)}",
        f"written with {_versions(meta['export'])}",
        f"please cite  {meta['citation']}",
        *_further_citations(model),
    ]


def _masses(halo_model: dict[str, Any]) -> str:
    """Definition of the halo mass."""
    if halo_model.get("model") == "g3lhalo":
        return "each fit at masses of its own"
    return f"masses {halo_model.get('mass_def', '?')}"


def _occupation_lines(model: OnnxEmulator) -> Iterator[str]:
    """The occupation of each population, and whether it can be changed."""
    label = "occupation"
    for one in model.populations.each:
        prefix = f"{one.prefix.removesuffix('_')}: " if one.prefix else ""
        yield f"{label:{_NAME + 1}s} {prefix}{one.occupation.name} ({one.occupation.source})"
        label = ""
    if model.can_change:
        if others := model.metadata["record"].get("occupations"):
            yield f"{_INDENT}accuracy recorded with --occupation: {', '.join(others)}"
        yield f"{_INDENT}others: load(..., occupation=...); hodspectra occupations lists names"
    else:
        yield f"{_INDENT}learnt; it cannot be changed"


def _total_lines(learnt: Sequence[str]) -> Iterator[str]:
    """Totals that are learnt rather than summed."""
    for total in learnt:
        one, two = output(total).terms
        yield f"{_INDENT}{total} is learnt separately: it is not the sum of {one} and {two}"


def _input_lines(parameters: Sequence[Parameter]) -> Iterator[str]:
    """Names, units and ranges of the inputs."""
    name = max(_NAME, *(len(p.name) for p in parameters))
    unit = max(6, *(len(p.unit) for p in parameters))
    yield f"{'input':{name}s} {'unit':{unit}s} from      to        sampling"
    for p in parameters:
        yield f"{p.name:{name}s} {p.unit:{unit}s} {p.low:<9g} {p.high:<9g} {p.sampling}"


def _further_citations(model: OnnxEmulator) -> Iterator[str]:
    """Sources of occupations other than the file's own."""
    whose = model.populations.each if model.occupation else ()
    for source in dict.fromkeys(one.occupation.source for one in whose):
        yield f"{_INDENT}and, for the occupation, {source}"


def _domain_lines(domains: Sequence[Domain | SumBelow], made: dict[str, Any]) -> Iterator[str]:
    """Restrictions of the box."""
    for domain in domains:
        yield f"domain       part of this box: points where {domain.reason} are refused"
        if isinstance(domain, Domain):
            yield from _learnt_lines(domain, made)


def _learnt_lines(domain: Domain, made: dict[str, Any]) -> Iterator[str]:
    """Size of a learnt domain, and errors of its fit."""
    dropped, points = made.get("dropped", 0), made.get("points", {})
    if seen := dropped + points.get("train", 0) + points.get("validation", 0):
        share = f"{dropped:,} of {seen:,} points, {100 * dropped / seen:.0f} %"
        yield f"{_INDENT}points left out of the training: {share}"
    yield f"{_INDENT}a fit separates them; of {domain.points:,} test points,"
    accepted, refused = (f"{100 * share:.2g} %" for share in (domain.accepted, domain.refused))
    yield f"{_INDENT}it accepts {accepted} of the negative, and refuses {refused} of the others"


def _judged(meta: dict[str, Any]) -> list[str]:
    """Names of the records to show: of test points, or else of the validation split."""
    parts = sorted(part for part in meta["record"] if part.startswith("test"))
    return parts or [part for part in meta["record"] if part == "validation"]


def _accuracy_lines(model: OnnxEmulator) -> Iterator[str]:
    """Errors on the test points, or on the validation split if there was no test."""
    for part in (parts := _judged(model.metadata)):
        found = model.metadata["record"][part]
        records = {name: record for name, record in found.items() if name in model.outputs}
        yield from _tables(part.replace("_", " "), records, model.k)
    if not parts:
        yield f"accuracy     not measured{_with_other_galaxies(model)}"
        yield ""


def _with_other_galaxies(model: OnnxEmulator) -> str:
    if not model.occupation:
        return ""
    return " with this occupation; omit --occupation for that of the file"


def _tables(part: str, records: dict[str, Any], k: Any) -> Iterator[str]:
    """Errors over all points, by wavenumber and by regime."""
    points = next(iter(records.values()))["points"]
    quantiles = ("68", "95", "99", "100")
    yield f"abs(P/P_true - 1) in percent on {points} {part} points, over points and wavenumbers"
    rows = {n: [record["all"][q] for q in quantiles] for n, record in records.items()}
    yield from _grid(["68 %", "95 %", "99 %", "largest"], rows)
    nearest = [int(np.abs(np.log(k / shown)).argmin()) for shown in _SHOWN_K]
    curves = {name: record["per_k"]["95"] for name, record in records.items()}
    rows = {n: [curve[i] for i in nearest] for n, curve in curves.items() if len(curve) == len(k)}
    yield f"95th percentile on the same {part} points, by wavenumber [1/Mpc]"
    yield from _grid([f"{k[i]:.3g}" for i in nearest], rows)
    regimes = list(dict.fromkeys(name for record in records.values() for name in record["regimes"]))
    rows = {
        name: [record["regimes"].get(regime, {}).get("all", {}).get("95") for regime in regimes]
        for name, record in records.items()
    }
    yield f"95th percentile on the same {part} points, by regime"
    yield from _grid(regimes, rows)


def _grid(header: list[str], rows: dict[str, list[float | None]]) -> Iterator[str]:
    """Fractions in percent below their headers, and an empty line."""
    widths = [max(9, len(text)) for text in header]
    head = " ".join(f"{text:{width}s}" for text, width in zip(header, widths, strict=True))
    yield f"{'output':{_NAME}s} {head}".rstrip()
    for name, values in rows.items():
        cells = ("-" if value is None else f"{100 * value:.3g}" for value in values)
        line = " ".join(f"{cell:{width}s}" for cell, width in zip(cells, widths, strict=True))
        yield f"{name:{_NAME}s} {line}".rstrip()
    yield ""


def _floor_lines(floor: dict[str, Any]) -> Iterator[str]:
    """Errors of the labels that the emulator was tested on."""
    sources = {name: found for name, found in floor.items() if "spectra" in found}
    if not sources:
        return
    how = ", ".join(f"{_SOURCES[name]} on {found['points']}" for name, found in sources.items())
    yield f"errors of the labels in percent, over points and wavenumbers ({how} points)"
    names = next(iter(sources.values()))["spectra"]
    header = [f"{_SOURCES[source]}, {q} %" for source in sources for q in ("95", "99")]
    rows = {
        n: [found["spectra"][n][q] for found in sources.values() for q in ("95", "99")]
        for n in names
    }
    yield from _grid(header, rows)


def _speed_lines(speed: dict[str, Any]) -> Iterator[str]:
    """Evaluation times of all outputs."""
    if speed:
        times = ", ".join(f"{t:.3g} for {int(n):,}" for n, t in speed["microseconds"].items())
        yield f"speed        microseconds per point on one core: {times} at once ({speed['cpu']})"


def _making_lines(made: dict[str, Any]) -> Iterator[str]:
    """Settings of the training or fit, and the time that it took."""
    for one in (made, *made.get("merged", ())):
        label = "made by"
        for name, value in one.get("training", {}).items():
            yield f"{label:{_NAME + 1}s} {name}: {_flat(value)}"
            label = ""
        if "seconds" in one:
            yield f"{'in':{_NAME + 1}s} {one['seconds'] / 60:.1f} minutes"


def _flat(value: Any) -> str:
    """Settings on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_flat(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(_flat, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _versions(record: dict[str, Any]) -> str:
    names = ("hodspectra", "pyccl", "camb", "torch", "onnx", "onnxruntime")
    there = [f"{n} {record[n]}" for n in names if record.get(n, "not installed") != "not installed"]
    commit, dash, dirty = str(record.get("commit", "unknown")).partition("-")
    return f"{', '.join(there)}, commit {commit[:12]}{dash}{dirty}"


def render(emulator: Path) -> str:
    """The card of a file, for a page of the documentation."""
    return card(OnnxEmulator(emulator))


def main(argv: list[str] | None = None) -> None:
    """Print the card of a file, or list the shipped emulators."""
    parser = argparse.ArgumentParser(prog="python -m export.info", description=main.__doc__)
    parser.add_argument(
        "emulator", nargs="?", help="file or name; lists all shipped emulators if omitted"
    )
    add_occupation(parser)

    def work(arguments: argparse.Namespace) -> None:
        chosen, occupation = arguments.emulator, arguments.occupation
        if occupation and not chosen:
            raise ValueError("--occupation needs an emulator")
        shown = card(load(chosen, occupation=occupation)) if chosen else listing()
        print(shown)  # noqa: T201

    run(parser, work, argv)


if __name__ == "__main__":
    main()
