"""What an emulator file says of itself, as a readable card: ``python -m export.info``."""

import argparse
from collections.abc import Iterator
from typing import Any

from export.command import run
from export.runtime import OnnxEmulator, load
from export.shipped import shipped

__all__ = ["card", "listing"]

_HALO_MODEL = ("model", "mass_function", "halo_bias", "concentration")


def listing() -> str:
    """The emulators that come with the package, a line for each."""
    lines = []
    for name in shipped():
        model = load(name)
        part = next(iter(_judged(model.metadata)), "")
        accuracy = model.metadata["record"].get(part, {})
        worst = max((record["all"]["95"] for record in accuracy.values()), default=float("nan"))
        lines.append(
            f"{name:22s} {model.metadata['halo_model'].get('model', '?')}, z = {model.z:g}, "
            f"{len(model.outputs)} outputs, 95 % of errors below {100 * worst:.2g} %"
        )
    return "\n".join(lines) or "no emulator comes with this package"


def card(model: OnnxEmulator) -> str:
    """All that matters of an emulator on one page."""
    meta = model.metadata
    made = meta["provenance"]
    lines = [
        f"{model.path.name}: {len(model.content) / 1e6:.2f} MB, checksum in order",
        "",
        f"halo model   {', '.join(str(meta['halo_model'].get(n, '?')) for n in _HALO_MODEL)}",
        f"redshift     {model.z:g}",
        f"wavenumbers  {len(model.k)}, from {model.k[0]:g} to {model.k[-1]:g} 1/Mpc",
        f"outputs      {', '.join(f'{n} [{u}]' for n, u in model.units.items())}",
        "",
        "input       unit   from      to        drawn in",
        *(
            f"{p.name:11s} {p.unit:6s} {p.low:<9g} {p.high:<9g} {p.sampling}"
            for p in model.parameters
        ),
        "",
        *_accuracy_lines(meta),
        "",
        f"labels       {made['labels']['design']}, sha256 {made['labels']['sha256'][:16]}..."
        if "labels" in made
        else "labels       unknown",
        f"made with    {_versions(made)}",
        f"written with {_versions(meta['export'])}",
        f"please cite  {meta['citation']}",
    ]
    return "\n".join(lines)


def _judged(meta: dict[str, Any]) -> list[str]:
    """Names of the records that count: of test points, or else of the validation split."""
    parts = sorted(part for part in meta["record"] if part.startswith("test"))
    return parts or [part for part in meta["record"] if part == "validation"]


def _accuracy_lines(meta: dict[str, Any]) -> Iterator[str]:
    """Errors on the test points, or of the validation split if there was no test."""
    for part in (parts := _judged(meta)):
        yield from _table(part.replace("_", " "), meta["record"][part], meta["outputs"])
    if not parts:
        yield "accuracy     unknown"


def _table(part: str, found: dict[str, Any], outputs: dict[str, Any]) -> Iterator[str]:
    records = {name: record for name, record in found.items() if name in outputs}
    points = next(iter(records.values()))["points"]
    yield f"abs(P/P_true - 1) in percent on {points} {part} points, over points and wavenumbers"
    yield "output      68 %      95 %      99 %      largest"
    for name, record in records.items():
        errors = (f"{100 * record['all'][q]:<9.3g}" for q in ("68", "95", "99", "100"))
        yield f"{name:11s} {' '.join(errors)}".rstrip()


def _versions(record: dict[str, Any]) -> str:
    names = ("hodspectra", "pyccl", "camb", "torch", "onnx", "onnxruntime")
    there = [f"{n} {record[n]}" for n in names if record.get(n, "not installed") != "not installed"]
    commit, dash, dirty = str(record.get("commit", "unknown")).partition("-")
    return f"{', '.join(there)}, commit {commit[:12]}{dash}{dirty}"


def main(argv: list[str] | None = None) -> None:
    """Print the card of a file, or list the shipped emulators."""
    parser = argparse.ArgumentParser(prog="python -m export.info", description=main.__doc__)
    parser.add_argument("emulator", nargs="?", help="file or name; without, those there are")

    def work(arguments: argparse.Namespace) -> None:
        chosen = arguments.emulator
        print(card(load(chosen)) if chosen else listing())  # noqa: T201

    run(parser, work, argv)


if __name__ == "__main__":
    main()
