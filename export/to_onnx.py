"""Write emulators as one ONNX file: ``python -m export.to_onnx``."""

import base64
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from datagen.cli import run
from datagen.files import atomic
from datagen.occupations import EXTRAS
from datagen.occupations import occupation as by_name
from datagen.occupations.extras import parameters_of
from datagen.record import provenance
from datagen.seal import BLANK, seal
from datagen.space import BACKGROUND
from emulator.emulator import Emulator
from emulator.semianalytic.emulator import (
    OfGalaxies,
    SemiAnalyticEmulator,
    with_finer_grid,
    with_fits,
    with_wavenumbers,
)
from emulator.semianalytic.occupation import Sampled, galaxies_of
from export.assemble import Assembly, units
from export.between import added, joined
from export.galaxies import (
    ADDED,
    PREFIX,
    WEIGHTS,
    Nodes,
    divided,
    named_part,
    sampled,
    with_extras,
    with_galaxies,
)
from export.graph import Graph, Node, Tensor
from export.parity import points_of, verify
from export.runtime import SCHEMA, OnnxEmulator
from export.shipped import SUFFIX, shipped
from export.to_torch import load
from export.weights import left_over

__all__ = ["graph_of", "rewrite", "to_onnx"]

OPSET = 20  # the first with Gelu as an operator
_BETWEEN = 0.999  # 1/Mpc, above which a wavenumber is added between each two
_PAPER = "Linke et al. 2022, A&A 665, A38 (https://arxiv.org/abs/2204.02418)"
_US = "the hodspectra developers, hodspectra (CITATION.cff)"


def to_onnx(
    emulator: Path,
    out: Path,
    merge: Path | None = None,
    outputs: list[str] | None = None,
    domain: list[Path] | None = None,
    mass_function: str = "",
    halo_bias: str = "",
    concentration: str = "",
    mass_def: str = "",
    occupation: str = "",
    finer: int = 1,
    between: bool = True,
) -> Path:
    """Write an emulator as one ONNX file, and check it.

    The graph takes ``theta`` (N, P), float32, raw parameters in the units of the metadata, and
    returns each spectrum (N, K) in Mpc^3, and each number (N,), by name. Names, units, ranges,
    wavenumbers, halo model, versions, data hash, accuracy and citation are in the file's metadata,
    as JSON, with a checksum over all of the file. The written file is read again and compared with
    the emulator on all corners of its space and on random points before it is put in place.

    Args:
        emulator: File of ``emulator.train``, ``emulator.train_semianalytic`` or ``tuning.search``;
            or an ONNX file that holds one emulator, or the name of a shipped one.
        out: The ONNX file to write.
        merge: A second such file whose outputs are added to the same graph, for example the 2-halo
            term to the 1-halo term; their total is added as well.
        outputs: Outputs to write; all by default.
        domain: Label files of the same halo model and box that show where in the box spectra are
            positive, if negative points were excluded from the training; by default the labels of
            the training.
        mass_function: Mass function of a semi-analytic emulator, in place of the one it was trained
            with; the stored accuracy is dropped, see `benchmarks.evaluate.accuracy`.
        halo_bias: Halo bias of a semi-analytic emulator; it must be compatible with the mass
            function.
        concentration: Concentration of a semi-analytic emulator.
        mass_def: Mass definition of a semi-analytic emulator: 200m, 200c, 500c or vir.
        occupation: Occupation of a semi-analytic emulator, by name, with the usual ranges of its
            parameters. Predictions need no new file: use load(..., occupation=...).
        finer: Intervals of the mass grid of a semi-analytic emulator in place of each one, up to
            10: for occupations whose centrals set in within less than 0.2 in ln M, in haloes so
            rare that the grid does not resolve them. Files and times grow with it.
        between: Whether the file of a semi-analytic emulator has halo profiles at more wavenumbers,
            for accurate functions of separation; they take a third of its size.

    Returns:
        The path of the ONNX file.

    Raises:
        ExportMismatch: If outputs of the file differ from those of the emulator.
        ValueError: If emulators or labels do not belong together, or an output is unknown.
    """
    files = [emulator] if merge is None else [emulator, merge]
    fits = {
        "mass_function": mass_function,
        "halo_bias": halo_bias,
        "concentration": concentration,
        "mass_def": mass_def,
    }
    fits = {name: fit for name, fit in fits.items() if fit}
    emulators = [_read(file) for file in files]
    if fits or occupation:
        emulators = [with_fits(one, occupation, **fits) for one in emulators]
    if finer != 1:
        emulators = [with_finer_grid(one, finer) for one in emulators]
    model = Assembly(emulators, outputs or ()).eval()
    if domain:
        model.tell_domain(domain)
    proto, more = graph_of(model, between)
    texts = _metadata(model) | {name: json.dumps(value) for name, value in more.items()}
    with atomic(out) as partial:
        if len(emulators) == 1:
            contents = [proto.SerializeToString(), base64.b64decode(more["spare"])]
            graphs = [Graph.read(content) for content in contents if content]
            texts["weights"] = json.dumps(left_over(emulators[0], *graphs))
        _write(proto, texts, partial)
        worst = verify(model, partial, points_of(model.spec.space))
    print(  # noqa: T201
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, onnxruntime agrees with torch to {worst:.1e}"
    )
    return out


def _read(file: str | Path) -> Emulator:
    """Read an emulator from a file of its training, an ONNX file, or a shipped one by name."""
    file = Path(file)
    is_graph = file.suffix == SUFFIX or (str(file) in shipped() and not file.exists())
    return load(file) if is_graph else Emulator.load(file)


def rewrite(path: Path, **fields: Any) -> None:
    """Change fields of the metadata of a file of `to_onnx`, and seal it again."""
    OnnxEmulator(path)  # checks that the file is whole, and of this schema
    proto = onnx.load(path)
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    with atomic(path) as partial:
        _write(proto, texts | {name: json.dumps(value) for name, value in fields.items()}, partial)
        OnnxEmulator(partial)


def _write(proto: onnx.ModelProto, texts: dict[str, str], path: Path) -> None:
    onnx.helper.set_model_props(proto, texts | {"sha256": BLANK})
    path.write_bytes(seal(proto.SerializeToString()))


def graph_of(model: Assembly, between: bool = True) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Convert emulators to an ONNX model with named inputs and outputs and a free batch axis.

    Args:
        model: An emulator, or several.
        between: Whether to add parts at more wavenumbers, if the emulator has them.

    Returns:
        The model, and further parts by name: ``spare``, the part of the graph that the outputs do
        not need, and perhaps ``between``, the part at more wavenumbers; see `OnnxFile.spare` and
        `OnnxFile.between`.
    """
    (emulator, *others), outputs = model.emulators, model.spec.outputs
    more: dict[str, Any] = {"spare": ""}
    if others or not isinstance(emulator, SemiAnalyticEmulator):
        proto = _exported(model, {"theta": len(model.spec.space.names)}, outputs)
    else:
        galaxies = _galaxies(emulator)
        whole = _whole(emulator, outputs, galaxies)
        needed, rest = divided(whole)
        proto = onnx.load_from_string(needed.encode())
        more["spare"] = base64.b64encode(rest.encode()).decode()
        k = np.array(emulator.spec.k)
        other = np.sqrt(k[1:] * k[:-1])[k[:-1] >= _BETWEEN]
        if between and len(other):
            wider = _whole(with_wavenumbers(emulator, other), outputs, galaxies)
            more |= _between(whole, wider, k, other)
    onnx.checker.check_model(proto, full_check=True)  # infers all shapes, too
    return proto, more


def nodes_of(emulator: SemiAnalyticEmulator) -> Nodes:
    """Mass grid of the galaxies of an emulator."""
    grid, units = emulator.model.grid, emulator.spec.network.units
    return Nodes(grid.nodes, grid.spacing, grid.start, units.log10M_min)


def _between(
    own: Graph, wider: Graph, k: NDArray[np.float64], more: NDArray[np.float64]
) -> dict[str, Any]:
    """Part of a graph at wavenumbers [1/Mpc] between its own, by its name in the metadata."""
    try:
        content = added(own, wider, k, more)
    except ValueError as error:
        print(f"no wavenumbers between those of the emulator: {error}")  # noqa: T201
        return {}
    return {"between": {"k": more.tolist(), "graph": base64.b64encode(content).decode()}}


def _whole(
    emulator: SemiAnalyticEmulator,
    outputs: Sequence[str],
    galaxies: tuple[Sequence[Node], dict[str, Tensor]],
) -> Graph:
    """Graph of a semi-analytic emulator, with galaxies as a part that can be replaced."""
    space, grid = emulator.spec.space, emulator.model.grid
    weights = {f"{PREFIX}{name}": grid.nodes for name in WEIGHTS} | {f"{PREFIX}scale": 1}
    added = {f"{ADDED}{p.name}": p.default for p in parameters_of(EXTRAS)}
    inputs = {"background": len(BACKGROUND)} | weights | dict.fromkeys(added, 1)
    module = OfGalaxies(emulator, outputs)
    graph = joined(Graph.read(_exported(module, inputs, module.names).SerializeToString()))
    neutral = {name: Tensor.of(name, np.full((1, 1), value)) for name, value in added.items()}
    kept = {name: graph.outputs[name] for name in outputs}
    graph = replace(graph, tensors={**graph.tensors, **neutral}, outputs=kept)
    whole = with_galaxies(graph, *galaxies, len(_own(emulator)))
    return with_extras(whole, by_name(space.occupation).extras, len(space.names))


def _own(emulator: SemiAnalyticEmulator) -> list[str]:
    """Names of the parameters, without those of effects added to the occupation."""
    return [name for name in emulator.spec.space.names if name not in emulator.model.extras]


def _galaxies(emulator: SemiAnalyticEmulator) -> tuple[Sequence[Node], dict[str, Tensor]]:
    """Part of the graph for the galaxies, which is the same at all wavenumbers."""
    base, own = by_name(emulator.spec.space.occupation.partition("+")[0]), _own(emulator)
    grid, units = emulator.model.grid, emulator.spec.network.units
    galaxies = galaxies_of(base, own, grid, units.log10M_min)
    if isinstance(galaxies, Sampled):
        part = sampled(base, own, nodes_of(emulator))
        return part.nodes, part.tensors
    given = {"theta": len(own), "ln_M": 1, "ln_n": grid.nodes}
    given |= {"n": grid.nodes, "step": grid.nodes}
    names = [f"{PREFIX}{name}" for name in WEIGHTS]
    return named_part(
        Graph.read(_exported(galaxies.eval(), given, names).SerializeToString()), given
    )


def _exported(
    module: nn.Module, inputs: Mapping[str, int], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a module to ONNX, without the notes of the exporter.

    Args:
        module: The module.
        inputs: Number of columns of each input, by name.
        outputs: Names of the outputs.
    """
    examples = tuple(torch.full((2, columns), 0.5) for columns in inputs.values())
    rows = torch.export.Dim("batch")
    shapes: Any = tuple({0: rows} for _ in inputs)
    if len(inputs) > 1 and isinstance(module, OfGalaxies):
        shapes = ({0: rows}, tuple({0: rows} for _ in list(inputs)[1:]))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            module,
            examples,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None  # dynamo returns one
    proto = program.model_proto
    for part in (proto.graph, *proto.graph.node, *proto.graph.initializer, *proto.graph.value_info,
                 *proto.graph.input, *proto.graph.output):  # fmt: skip
        part.ClearField("metadata_props")  # the exporter's notes: source files, lines, traces
        part.ClearField("doc_string")
    return proto


def _metadata(model: Assembly) -> dict[str, str]:
    """Metadata of the file, as JSON texts by key."""
    spec = model.spec
    fields: dict[str, Any] = spec.as_dict()
    fields["parameters"] = fields.pop("space")
    fields["outputs"] = units(spec.outputs)
    del fields["total"]  # describes the first emulator alone
    fields["learnt_totals"] = model.learnt_totals
    fields["domains"] = model.domains
    fields["export"] = provenance()
    fields["citation"] = citation(spec.space.occupation)
    first, *others = model.emulators
    fields["nodes"] = {}
    if isinstance(first, SemiAnalyticEmulator) and not others:
        fields["nodes"] = asdict(nodes_of(first))
    fields["limits"] = [asdict(limit) for limit in spec.space.limits()]
    return {"schema": SCHEMA} | {name: json.dumps(value) for name, value in fields.items()}


def citation(occupation: str) -> str:
    """Text on what to cite for spectra of galaxies of an occupation."""
    if occupation == "linke22":
        return f"{_PAPER}, whose halo model and occupation this emulates, and {_US}"
    source = by_name(occupation).source
    return f"{_PAPER}, whose halo model this emulates, {source}, for the occupation, and {_US}"


def main(argv: list[str] | None = None) -> None:
    """Command line of `to_onnx`."""
    run(to_onnx, "python -m export.to_onnx", argv)


if __name__ == "__main__":
    main()
