"""Sessions of a graph whose galaxies are integrated in Python: custom occupations and pairs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.occupations.extras import totals_of
from datagen.occupations.grid import are_resolved
from datagen.outputs import output
from datagen.space import BACKGROUND
from export.galaxies import (
    ADDED,
    PREFIX,
    WEIGHTS,
    Nodes,
    having_extras,
    sampled,
    together,
    with_extras,
    with_galaxies,
    without_galaxies,
)
from export.graph import Graph, described
from export.onnx_file import OnnxFile
from export.populations import OccupationError, Population, Populations
from export.protobuf import encode
from export.quadrature import Quadrature
from export.ranges import Parameter
from export.sessions import Sessions

__all__ = ["GivenSessions", "is_matter", "outputs_of", "with_populations"]

Array = NDArray[np.float32]

_CROSS_TERMS: dict[str, tuple[str, ...]] = {"gg_1h": ("gg_1h", "n_g"), "gg_2h": ("gm_2h", "mm_2h")}
"""Terms of one population that make up each cross spectrum of two; the total is their sum."""
_CROSS_TERMS["gg_total"] = (*_CROSS_TERMS["gg_1h"], *_CROSS_TERMS["gg_2h"])
_TRIED, _MASSES = 2000, (1e10, 1e17)  # number of points, range of halo masses [Msun]
_OF_ITS_OWN = ("floor", "speed")  # metadata that hold for the file's own galaxies only


def outputs_of(populations: Populations, units: dict[str, str]) -> dict[str, str]:
    """Units of all outputs by name: of matter, of each population, and of their cross spectra.

    Args:
        populations: The galaxies.
        units: Units of the outputs of one population, by name.
    """
    if not populations.is_pair:
        return units
    named = {name: unit for name, unit in units.items() if is_matter(name)}
    for one in populations.each:
        named |= {one.prefix + n: unit for n, unit in units.items() if not is_matter(n)}
    terms = [term for term, parts in _CROSS_TERMS.items() if {term, *parts} <= set(units)]
    return named | {populations.cross + term: units[term] for term in terms}


def is_matter(name: str) -> bool:
    """Whether an output does not depend on galaxies."""
    return output(name).is_matter


def with_populations(file: OnnxFile, whose: Populations, path: Path) -> tuple[OnnxFile, bool]:
    """Replace the galaxies of a file.

    An occupation becomes a part of the graph if the grid of halo masses resolves its ``width``. It
    is integrated in Python otherwise, if it does not use the functions that it is given, or if its
    moments may be negative or exceed single precision.

    Args:
        file: A semi-analytic emulator.
        whose: The new galaxies.
        path: Path of the file, for messages.

    Returns:
        The changed file, and whether its galaxies are integrated in Python.

    Raises:
        OccupationError: An emulator that was trained for one occupation, or already has additions;
            additions that the file has no part for.
    """
    one, *others = whose.each
    if not others and one.is_registered and one.occupation.name == file.occupation:
        return file, False
    if (nodes := file.nodes) is None:
        raise OccupationError(
            f"{path.stem} was trained for one occupation, {file.occupation}; others need a "
            f"semi-analytic emulator (tinker10, standard, or one of hodspectra train-semianalytic)"
        )
    background = tuple(p for p in file.parameters if not p.is_occupation)
    given = tuple(
        Parameter(name, p.unit, *p.range, p.sampling, p.group or "own", p.symbol, p.default)
        for name, p in whose.parameters.items()
    )
    columns = [p.name for p in (*background, *given)]
    if "+" in file.occupation:
        raise OccupationError(
            f"{path.stem} is made for {file.occupation}; load others from the file of "
            f"{file.occupation.partition('+')[0]}, without additions"
        )
    if one.added:
        if file.spare is None:
            raise OccupationError(
                f"{path.stem} does not support {one.occupation.name}; use an occupation without "
                f"additions, or tinker10 or standard"
            )
        file = replace(file, graph=together(file.graph, file.spare))
    graph = None
    if not others and (one.is_registered or _is_plain(one, (*background, *given))):
        graph = _in_graph(file, one, nodes, columns)
    changed = replace(
        file,
        graph=graph or file.graph,
        parameters=(*background, *given),
        units=outputs_of(whose, file.units),
        learnt_totals=tuple(totals_of(one.occupation, file.units)),
        texts=_texts(file, whose, (*background, *given)),
        other=one.occupation.name if one.is_registered and not others else "",
    )
    return changed, graph is None


def _texts(file: OnnxFile, whose: Populations, parameters: Sequence[Parameter]) -> dict[str, str]:
    """Metadata for other galaxies, without the accuracy and speed of the file's own."""
    entries = {p.name: asdict(p) for p in parameters}
    for entry in entries.values():
        del entry["name"]
    said = {
        "parameters": entries,
        "outputs": outputs_of(whose, file.units),
    }
    kept = {name: text for name, text in file.texts.items() if name not in _OF_ITS_OWN}
    return kept | {name: json.dumps(one) for name, one in said.items()}


def _is_plain(one: Population, parameters: Sequence[Parameter]) -> bool:
    """Whether all moments at random points are valid in single precision.

    A graph computes in single precision and does not check the moments; the integration in Python
    checks them, and names bad ones.
    """
    rng = np.random.default_rng(0)
    point: dict[str, NDArray[Any]] = {
        p.name: rng.uniform(p.low, p.high, _TRIED).astype(np.float32) for p in parameters
    }
    try:
        one.moments(np.geomspace(*_MASSES, _TRIED, dtype=np.float32), point)
    except ValueError:
        return False
    return True


def _in_graph(
    file: OnnxFile, one: Population, nodes: Nodes, columns: Sequence[str]
) -> Graph | None:
    """The graph with an occupation as a part of it; None if that is not possible."""
    extras = one.occupation.extras
    if one.is_registered and one.base.name == file.occupation:
        return with_extras(file.graph, extras, len(columns))
    if not are_resolved(one.base.width, nodes.spacing):
        return None
    own = columns[: len(columns) - len(one.added)]
    try:
        part = sampled(one.base, own, nodes)
    except (TypeError, AttributeError, ValueError):  # does not use the functions it is given
        return None
    haloes = without_galaxies(file.graph)
    whole = with_galaxies(haloes, part.nodes, part.tensors, len(own))
    return with_extras(whole, extras, len(columns))


class GivenSessions:
    """`Sessions` with galaxies that are integrated in Python.

    One session gives the haloes at the nodes, numpy integrates the galaxies, and a second session
    gives the spectra. Two populations are evaluated as three rows of a batch: each one, and both.

    Args:
        graph: The whole graph, with galaxies of any occupation.
        populations: The galaxies that replace them.
        nodes: The grid of the graph.
        names: Names of the columns of points.
        path: Path of the file, for messages.
        threads: Number of threads of one evaluation.
    """

    def __init__(
        self,
        graph: Graph,
        populations: Populations,
        nodes: Nodes,
        names: Sequence[str],
        path: Path,
        threads: int,
    ) -> None:
        self._populations, self._names = populations, tuple(names)
        self._quadrature = Quadrature(nodes, populations.moments)
        self._added = populations.each[0].added
        if self._added:
            graph = having_extras(graph, populations.each[0].occupation.extras)
        haloes = without_galaxies(graph)
        shapes = {"ln_M": (1,), "ln_n": (nodes.nodes,)}
        background = encode(11, described("background", len(BACKGROUND)))
        given = {f"{PREFIX}{name}": nodes.nodes for name in WEIGHTS} | {f"{PREFIX}scale": 1}
        given |= {f"{ADDED}{name}": 1 for name in self._added}
        inputs = b"".join(encode(11, described(*one)) for one in given.items())
        self.haloes = Sessions(
            Graph(
                haloes.head, background,
                {name: encode(12, described(name, *shape)) for name, shape in shapes.items()},
                haloes.nodes, haloes.tensors,
            ),
            path, threads,
        )  # fmt: skip
        self._spectra = Sessions(
            Graph(haloes.head, background + inputs, graph.outputs, haloes.nodes, haloes.tensors),
            path, threads,
        )  # fmt: skip

    def run(self, names: Sequence[str], x: Array) -> list[NDArray[Any]]:
        """The named outputs of points (N, P)."""
        background = np.ascontiguousarray(x[:, : len(BACKGROUND)])
        if not len(x):
            background = np.zeros((0, len(BACKGROUND)), np.float32)
        ln_M, ln_n = self.haloes.feed(("ln_M", "ln_n"), {"background": background})
        columns = {n: x[:, i].astype(np.float64) for i, n in enumerate(self._names)}
        moments = self._quadrature(columns, ln_M[:, 0].astype(np.float64), ln_n.astype(np.float64))
        added = {f"{ADDED}{n}": columns[n][:, None].astype(np.float32) for n in self._added}
        found = self._found(names, added | {"background": background}, moments)
        return [found[name] for name in names]

    def _found(
        self, names: Sequence[str], given: dict[str, Array], moments: NDArray[np.float64]
    ) -> dict[str, NDArray[Any]]:
        each = self._populations.each
        sets = [moments[4 * i : 4 * i + 4] for i in range(len(each))]
        scales = [_scale(one) for one in sets]
        wanted = {name: self._parts(name) for name in names}
        needed = tuple(dict.fromkeys(part for parts in wanted.values() for part in parts))
        if self._populations.is_pair:
            needed = tuple(dict.fromkeys((*needed, *self._of_cross(names))))
            sets.append(np.array([*sets[0][:2], *moments[8:]]))
            scales.append(scales[0])
        rows = [_weights(*one) for one in zip(sets, scales, strict=True)]
        fed = {n: np.concatenate([row[n] for row in rows]) for n in rows[0]}
        fed |= {name: np.tile(values, (len(rows), 1)) for name, values in given.items()}
        values = dict(zip(needed, self._spectra.feed(needed, fed), strict=True))
        split = {n: np.split(one, len(rows)) for n, one in values.items()}
        if not self._populations.is_pair:
            return {name: split[name][0] for name in names}
        return {name: self._of(name, split) for name in names}

    def _parts(self, name: str) -> tuple[str, ...]:
        """Outputs of the graph that an output of one population needs."""
        if not self._populations.is_pair or is_matter(name):
            return (name,)
        for one in self._populations.each:
            if name.startswith(one.prefix) and not name.startswith(self._populations.cross):
                return (name.removeprefix(one.prefix),)
        return ()

    def _of_cross(self, names: Sequence[str]) -> tuple[str, ...]:
        """Outputs of the graph that the cross spectra need."""
        cross = self._populations.cross
        terms = [name.removeprefix(cross) for name in names if name.startswith(cross)]
        return tuple(part for term in terms for part in _CROSS_TERMS[term])

    def _of(self, name: str, split: dict[str, list[NDArray[Any]]]) -> NDArray[Any]:
        """An output of two populations, from the rows of each one and of both."""
        (part,) = self._parts(name) or ("",)
        if is_matter(name):
            first, second = split[part][:2]
            return np.where(np.isnan(first), second, first)  # the first may have no galaxies
        if part:
            return split[part][name.startswith(self._populations.each[1].prefix)]
        term = name.removeprefix(self._populations.cross)
        one = two = np.float32(0)
        if term != "gg_2h":  # the graph divides by n_1^2
            n_1, n_2 = split["n_g"][:2]
            one = split["gg_1h"][2] * (n_1 / n_2)[:, None]
        if term != "gg_1h":
            gm, mm = split["gm_2h"], split["mm_2h"][0]
            two = gm[0] * (gm[1] / mm)
        return np.asarray(one + two, np.float32)

    def point(self, names: tuple[str, ...], values: Sequence[float]) -> dict[str, Any]:
        """The named outputs of one point."""
        found = self.run(names, np.array([values], np.float32))
        return {name: one[0] for name, one in zip(names, found, strict=True)}

    def check(self, inputs: Sequence[str], outputs: Sequence[str], K: int) -> dict[str, bool]:
        """Whether each output is a number rather than a spectrum; see `Sessions.check`."""
        parts = {name: (self._parts(name) or ("gg_1h",))[0] for name in outputs}
        found = self._spectra.kinds(tuple(dict.fromkeys(parts.values())), K)
        return {name: found[part] for name, part in parts.items()}


def _scale(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scales (N,) that keep numbers of galaxies within float32; 1 without galaxies."""
    most = (moments[0] + moments[1]).max(axis=1)
    return np.where(most > 0, most, 1.0)


def _weights(moments: NDArray[np.float64], scale: NDArray[np.float64]) -> dict[str, Array]:
    """Scaled moments at the nodes, under the names of the graph's inputs."""
    by = np.array([scale, scale, scale**2, scale**2])[..., None]
    fed = dict(zip(WEIGHTS, [*(moments / by), scale[:, None]], strict=True))
    return {f"{PREFIX}{name}": one.astype(np.float32) for name, one in fed.items()}
