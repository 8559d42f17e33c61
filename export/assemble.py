"""Combine one or several emulators, and select the outputs, for one ONNX file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from datagen.messages import shortened
from datagen.occupations import occupation
from datagen.occupations.extras import totals_of
from datagen.outputs import SPECTRA, output
from datagen.shards import differences
from datagen.space import Space
from datagen.store import Spectra
from emulator.domain import fit_domain
from emulator.emulator import Emulator, Spec

__all__ = ["Assembly", "units"]


class Assembly(nn.Module):
    """Emulators of the same box as one module, with totals wherever both terms are present.

    Args:
        emulators: One emulator, or several with different outputs.
        outputs: Names of the outputs to include; default: all.

    Attributes:
        emulators: The emulators.
        spec: Spec of the combination.
        learnt_totals: Totals that are learnt rather than summed from their terms.
        domains: Domains of the emulators that do not hold in their whole box.

    Raises:
        ValueError: Emulators that do not belong together, or an unknown output.
    """

    def __init__(self, emulators: Sequence[Emulator], outputs: Sequence[str] = ()) -> None:
        super().__init__()
        first, *others = (emulator.spec for emulator in emulators)
        for other in others:
            _check_together(first, other)
        names = [name for emulator in emulators for name in emulator.spec.outputs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two emulators have {', '.join(twice)}; leave one of them out")
        names += _sums(names)
        if unknown := [name for name in outputs if name not in names]:
            raise ValueError(f"no output {', '.join(unknown)}; there are {', '.join(names)}")
        self.emulators = tuple(emulators)
        self.parts = nn.ModuleList(emulators)  # makes their weights visible to the exporter
        self.spec = _together(first, others, tuple(outputs) or tuple(names))
        learnt = {n for e in emulators if e.spec.total == "network" for n in e.spec.outputs}
        self.learnt_totals = [
            name for name in self.spec.outputs if output(name).is_total and name in learnt
        ]
        whose = occupation(self.spec.space.occupation)
        self.learnt_totals = self.learnt_totals or totals_of(whose, self.spec.outputs)
        self.domains = [found for e in emulators if (found := _domain_of(e.spec))]

    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in their order, spectra (B, K) and numbers (B,).

        Args:
            theta: Points, columns ``spec.space.names``, physical units, shape (B, P).
        """
        values: dict[str, Tensor] = {}
        for emulator in self.emulators:
            values |= zip(emulator.spec.outputs, emulator(theta), strict=True)
        for name in self.spec.outputs:
            if name not in values:
                one, two = output(name).terms
                values[name] = values[one] + values[two]
        return tuple(values[name] for name in self.spec.outputs)

    def tell_domain(self, labels: Sequence[Path]) -> None:
        """Fit the domain of the emulators, where spectra are positive, to labels.

        Args:
            labels: Label files of the same halo model and box, in any design.

        Raises:
            ValueError: Labels of another halo model or box, or labels that are all positive.
        """
        learnt = [name for emulator in self.emulators for name in emulator.spec.outputs]
        terms = [n for n in learnt if output(n).correlation and not output(n).is_total]
        read = [Spectra.read(path, terms) for path in labels]
        for path, one in zip(labels, read, strict=True):
            space = Space.from_dict(one.metadata["space"])
            for what, ours, theirs in (
                ("halo model", self.spec.halo_model, one.metadata["model"]),
                ("box", _ends(self.spec.space), _ends(space)),
            ):
                if ours != theirs:
                    raise ValueError(f"{path} has another {what} than the emulator")
        positive = {n: np.concatenate([one.is_positive([n]) for one in read]) for n in terms}
        negative = [name for name in terms if not positive[name].all()]
        if not negative:
            raise ValueError(f"{', '.join(terms)} are positive at all points; leave domain out")
        theta = np.concatenate([one.theta for one in read])
        kept = np.all(list(positive.values()), axis=0)
        self.domains = [fit_domain(theta, kept, negative).as_dict()]
        told = [{"sha256": one.hash(), "design": one.metadata["design"]} for one in read]
        self.spec = replace(self.spec, provenance=self.spec.provenance | {"domain": told})


def _sums(names: Sequence[str]) -> list[str]:
    """Totals that are not outputs although both of their terms are."""
    totals = [one for one in map(output, SPECTRA) if one.is_total and set(one.terms) <= set(names)]
    by_first = {one.terms[0]: one.name for one in totals}
    return [by_first[n] for n in names if n in by_first and by_first[n] not in names]


def _domain_of(spec: Spec) -> dict[str, Any] | None:
    """Domain of an emulator from its record; None for the whole box."""
    domain: dict[str, Any] | None = spec.record.get("dropped", {}).get("domain")
    return domain


def _ends(space: Space) -> list[float]:
    return [*space.low.tolist(), *space.high.tolist()]


def units(outputs: Sequence[str]) -> dict[str, str]:
    """Units of outputs by name."""
    return {name: output(name).unit for name in outputs}


def _check_together(first: Spec, other: Spec) -> None:
    one, two = (
        {"space": spec.space.as_dict(), "k": list(spec.k), "halo_model": spec.halo_model}
        for spec in (first, other)
    )
    if differ := differences(one, two):
        shown = "; ".join(shortened(text, 100) for text in differ)
        raise ValueError(f"the emulators differ and cannot be merged: {shown}")


def _together(first: Spec, others: Sequence[Spec], outputs: tuple[str, ...]) -> Spec:
    """Join specs; the provenance of the first one includes that of the others."""
    if not others:
        return replace(first, outputs=outputs)
    record: dict[str, Any] = {}
    if all("validation" in spec.record for spec in (first, *others)):
        of_all = [spec.record["validation"] for spec in (first, *others)]
        record["validation"] = {name: r for one in of_all for name, r in one.items()}
    provenance = first.provenance | {"merged": [spec.provenance for spec in others]}
    return replace(first, outputs=outputs, record=record, provenance=provenance)
