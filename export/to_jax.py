"""An emulator as a pure function of JAX, from the same ONNX file.

The graph of the file is translated operator by operator; its weights become constants. ``jit``,
``vmap``, ``grad`` and ``jacfwd`` work on all devices that JAX supports. Other occupations, any
wavenumbers and functions of separation are available as in `export.runtime`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf

from datagen.columns import check_names
from datagen.large_scales import features
from datagen.outputs import output
from datagen.space import SumBelow
from export.graph import Graph, Node
from export.interpolate import AtK
from export.ranges import OutOfRange
from export.runtime import OnnxEmulator
from export.statistics import Statistic
from export.statistics.evaluate import Scaled, lagrange, summands
from export.statistics.growth import growth_rate
from export.statistics.kinds import LONGEST, SHORTEST, Wp

__all__ = ["JaxFunction", "function"]

_LN_0 = -1e30
_ROUNDING = 1e-6  # relative tolerance of scales at the ends of their range
_FLOAT, _TYPES = 1, {7: jnp.int32, 9: jnp.bool_}  # types of ONNX


def function(
    emulator: str | Path | OnnxEmulator,
    outputs: str | Statistic | Sequence[str | Statistic] | None = None,
    k: Any = None,
    *,
    extrapolate: bool = False,
    occupation: Any = None,
    dtype: str = "float32",
    out_of_range: str = "raise",
) -> "JaxFunction":
    """Return an emulator as a pure function of one point, for jit, vmap and derivatives.

    Args:
        emulator: A file, the name of a shipped emulator, or an open emulator.
        outputs: Names of outputs and statistics; all names by default.
        k: Wavenumbers [1/Mpc], shape (K',); those of the emulator by default.
        extrapolate: Whether k may lie below those of the emulator, see `export.interpolate`.
        occupation: Name of an occupation, with or without additions; see `OnnxEmulator`.
        dtype: ``float32`` or ``float64``. The latter uses the weights of the file without rounding,
            and must be enabled in JAX (``jax.config.update("jax_enable_x64", True)``).
        out_of_range: Treatment of points outside the trained ranges: ``raise`` (within jit, vmap
            and derivatives, where values are unknown, NaN instead), ``nan``, or ``ignore``, which
            extrapolates.

    Returns:
        The function, from a dictionary of parameters to a dictionary of outputs.

    Raises:
        FileNotFoundError: No such file or name.
        ValueError: Unknown output, occupation, type or policy; unsupported options: occupations
            that are integrated in Python, two populations, halo exclusion, scale-dependent bias.

    Examples:
        >>> import jax
        >>> from hodspectra import load
        >>> from hodspectra.jax import function
        >>> point = load("tinker10", occupation="zheng07").example
        >>> P = function("tinker10", ["gg_total", "n_g"], occupation="zheng07")
        >>> P(point)["gg_total"].shape
        (50,)
        >>> slopes = jax.jacfwd(P)(point)
        >>> slopes["gg_total"]["sigma_8"].shape
        (50,)
    """
    if not isinstance(emulator, OnnxEmulator):
        emulator = OnnxEmulator(emulator, occupation=occupation)
    elif occupation is not None:
        raise ValueError("occupation: the emulator is open already; give its file or name")
    return JaxFunction(emulator, outputs, k, extrapolate, dtype, out_of_range)


class JaxFunction:
    """Function from one point to outputs by name: spectra (K,), statistics (R,), numbers ().

    A point is a dictionary of numbers, or an array (P,) in the order of `names`. Parameters with a
    default may be omitted from a dictionary. Use ``jax.vmap`` for many points.

    Attributes:
        names: Names of the P parameters.
        outputs: Names of the outputs.
    """

    def __init__(
        self,
        emulator: OnnxEmulator,
        outputs: Any,
        k: Any,
        extrapolate: bool,
        dtype: str,
        out_of_range: str,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype = {dtype!r} must be 'float32' or 'float64'")
        if dtype == "float64" and not jax.config.read("jax_enable_x64"):
            raise ValueError(
                "dtype = 'float64': JAX computes in single precision by default; enable double "
                "precision with jax.config.update('jax_enable_x64', True)"
            )
        if out_of_range not in ("raise", "nan", "ignore"):
            raise ValueError(f"out_of_range = {out_of_range!r} must be 'raise', 'nan' or 'ignore'")
        self._emulator, self._dtype, self._policy = emulator, jnp.dtype(dtype), out_of_range
        self.names = emulator.names
        self._defaults = {p.name: p.default for p in emulator.parameters if p.default is not None}
        ends = np.array([[p.low, p.high] for p in emulator.parameters]).T
        self._low, self._high = (end.astype(np.float32) for end in ends)
        given = emulator.outputs if outputs is None else outputs
        given = [given] if isinstance(given, str | Statistic) else list(given)
        statistics = [one for one in given if isinstance(one, Statistic)]
        self._plain = tuple(
            dict.fromkeys(name for name in given if not isinstance(name, Statistic))
        )
        self._parts: list[Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = []
        needed = list(self._plain)
        if unknown := [name for name in self._plain if name not in emulator.outputs]:
            raise ValueError(
                f"no output {', '.join(map(str, unknown))}; there are {', '.join(emulator.outputs)}"
            )
        evaluated = emulator if k is None and not statistics else emulator.wider
        self._at_k = None
        if k is not None:
            self._at_k = evaluated.at_wavenumbers(k, extrapolate)
            needed += self._at_k.needed(self._plain, emulator.outputs)
        self._measured = None
        if statistics:
            self._measured = _Statistics(emulator, statistics, self._plain)
            needed += self._measured.needed
        self._own_k: Any = slice(None)
        if evaluated is not emulator:
            self._own_k = np.flatnonzero(np.isin(evaluated.k, emulator.k))
        self._graph = _Translated(evaluated.graph, tuple(dict.fromkeys(needed)), self._dtype)
        self._compiled = jax.jit(self._evaluate)
        self.outputs = (*self._plain, *(n for one in statistics for n in one.outputs))

    def __repr__(self) -> str:
        return (
            f"<JaxFunction of {self._emulator.path.stem}, {self._emulator.populations.said}: "
            f"{', '.join(self.names)} -> {', '.join(self.outputs)}, {self._dtype}>"
        )

    def __call__(self, point: Any) -> dict[str, Any]:
        """Evaluate one point.

        Args:
            point: Parameters by name, or an array (P,).

        Returns:
            Outputs by name, in the precision of `function`.

        Raises:
            OutOfRange: A known value outside the ranges, with the policy ``raise``.
            ValueError: Missing or unknown names; a wrong shape.
        """
        own: dict[str, Any] = {}
        if isinstance(point, Mapping):
            more = self._measured.parameters if self._measured else ()
            check_names(point, (*self.names, *more), optional=self._defaults)
            own = {name: self._number(name, point[name])[None] for name in more}
            values = {name: point.get(name, self._defaults.get(name)) for name in self.names}
            x = jnp.stack([self._number(name, value) for name, value in values.items()])
        elif self._measured and (more := self._measured.parameters):
            raise ValueError(f"the statistics have {', '.join(more)}: give the point by name")
        else:
            x = jnp.asarray(point, self._dtype)
        if x.shape != (len(self.names),):
            raise ValueError(
                f"a point has shape {x.shape}, expected ({len(self.names)},) with {self.names}; "
                f"use jax.vmap for many"
            )
        inside = self._inside(x, own)
        with jax.default_matmul_precision("highest"):  # full single precision, also on a GPU
            results: dict[str, Any] = self._compiled(x, own)
        if inside is None:
            return results
        # multiply by NaN rather than replace, so that derivatives are NaN, too
        known = jnp.where(inside, 1.0, jnp.nan).astype(self._dtype)
        return {name: one * known for name, one in results.items()}

    def _number(self, name: str, value: Any) -> Any:
        try:
            number = jnp.asarray(value, self._dtype)
        except (TypeError, ValueError):
            raise ValueError(f"{name} = {value!r} is not a number") from None
        if number.ndim:
            raise ValueError(
                f"{name} has shape {number.shape}, expected a number; use jax.vmap for many points"
            )
        return number

    def _evaluate(self, x: Any, own: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a point (P,), without a check of ranges; compiled by JAX."""
        found = self._graph(x[None])
        columns = {name: x[None, i] for i, name in enumerate(self.names)}
        results = {
            name: found[name] if found[name].ndim == 1 else found[name][:, self._own_k]
            for name in self._plain
        }
        if self._at_k is not None:
            results = _at(self._at_k, found, columns, self._plain, self._emulator.learnt_totals)
        if self._measured is not None:
            results |= self._measured(found, columns | own)
        return {name: one[0].astype(self._dtype) for name, one in results.items()}

    def _inside(self, x: Any, own: dict[str, Any]) -> Any:
        """Whether a point lies inside the ranges; None if no check is left to do."""
        if self._policy == "ignore":
            return None
        known = not any(isinstance(one, jax.core.Tracer) for one in (x, *own.values()))
        if self._policy == "raise" and known:
            for name, mass in own.items():
                if not (np.isfinite(mass) & (mass >= 0)).all():
                    raise OutOfRange(f"{name} = {mass[0]:g} must be a mass [Msun], not below 0")
            if not self._emulator.is_inside(np.asarray(x)):
                self._emulator(np.asarray(x), self._emulator.outputs[0], out_of_range="raise")
                raise OutOfRange("a point is outside the trained ranges")
            return None
        single = x.astype(jnp.float32)
        inside = jnp.all((single >= self._low) & (single <= self._high))
        for one in self._emulator.domains:
            if isinstance(one, SumBelow):
                total = sum(x[self.names.index(name)] for name in one.names)
                inside = inside & (total < one.below)
            else:
                inside = inside & (one.scored(x[None], jnp)[0] > 0)
        for mass in own.values():
            inside = inside & (mass[0] >= 0) & (mass[0] < jnp.inf)
        return inside


class _Statistics:
    """Statistics from the spectra on an emulator's grid."""

    def __init__(
        self, emulator: OnnxEmulator, statistics: Sequence[Statistic], names: tuple[str, ...]
    ) -> None:
        for one in statistics:
            if one.is_bent:
                raise ValueError(
                    f"{one.name}: scale-dependent bias and halo exclusion are not available in "
                    f"JAX; use hodspectra.load"
                )
        measured = emulator.measured(statistics, names)
        self.needed, self._at, self._learnt = measured.needed, measured.at_nodes, measured.learnt
        self._projection = measured.projection
        self.parameters = self._projection.parameters
        low, high = ({p.name: np.array([getattr(p, end)]) for p in emulator.parameters}
                     for end in ("low", "high"))  # fmt: skip
        low["h"], high["h"] = high["h"], low["h"]  # lengths in Mpc/h scale with 1/h
        self._ends = low, high
        self._moments = []
        for one in statistics:
            moments = [Scaled(one.moment())]
            if isinstance(one, Wp) and one.kaiser:
                moments += [Scaled(one.multipole(order)) for order in (0, 2, 4)]
            self._moments.append([self._scaled(one, moment) for moment in moments])

    def _scaled(self, one: Statistic, moment: Scaled) -> Callable[[Any, Any], Any]:
        """The moment of spectra (1, K) at a scale (1,), as a function of JAX."""
        if one.is_comoving:
            matrix = moment.comoving
            return lambda P, scale: P @ matrix.astype(P.dtype)
        low, high = (float(np.ravel(one.scale(ends))[0]) for ends in self._ends)
        first, matrices = moment.lattice(low, high)
        low, high = max(low, SHORTEST / one.radii[0]), min(high, LONGEST / one.radii[-1])
        low, high = low * (1 - _ROUNDING), high * (1 + _ROUNDING)

        def interpolated(P: Any, scale: Any) -> Any:
            start, weights = lagrange(scale, jnp)
            chosen = jax.lax.dynamic_slice_in_dim(
                jnp.asarray(matrices, P.dtype), start[0].astype(int) - first, weights.shape[-1],
                axis=0,
            )  # fmt: skip
            known = jnp.where((scale >= low) & (scale <= high), 1.0, jnp.nan).astype(P.dtype)
            value = jnp.einsum("nk,jkr,nj->nr", P, chosen, weights.astype(P.dtype))
            return value * known[:, None]

        return interpolated

    def __call__(self, found: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
        """The statistics by name, each (1, R)."""
        names = tuple(name for name in self.needed if found[name].ndim == 2)
        at = _at(self._at, found, point, names, self._learnt)
        results = {}
        for one, moments in zip(self._projection.statistics, self._moments, strict=True):
            scale = None if one.is_comoving else jnp.atleast_1d(one.scale(point, jnp))
            factor: Any = one.factor(point, jnp)
            if len(moments) > 1 and isinstance(one, Wp):
                biases = [found[name].reshape(1) for name in one.biases]
                linear = [moment(at["P_lin"], scale) for moment in moments[1:]]
                moved = one.velocities([growth_rate(point, jnp) / b for b in biases], linear)
                factor = moved if factor is None else moved * factor
            masses = one.point_masses(point, jnp)
            for (name, term), spectrum in zip(
                zip(one.outputs, one.terms, strict=True), one.spectra.values(), strict=True
            ):
                P = sum(at[part] for part in summands(spectrum, self._learnt))
                value = moments[0](P, scale)
                value = value if factor is None else value * factor
                results[name] = value if masses is None or term == "2h" else value + masses
        return results


def _at(
    at: AtK, found: dict[str, Any], point: dict[str, Any], names: Sequence[str], learnt: Any
) -> dict[str, Any]:
    """Spectra at other wavenumbers, as in `AtK`; numbers are unchanged."""
    dtype = next(iter(found.values())).dtype
    m: dict[str, Any] = {
        name: None if one is None else one.astype(dtype) for name, one in at.matrices.items()
    }
    needed = at.needed(names, tuple(found))
    logs = {n: jnp.log(jnp.maximum(found[n], 1e-37)) for n in needed if found[n].ndim == 2}
    missed: Any = 0.0
    if any(output(name).is_linear for name in logs):
        missed = m["offset"]
        if m["wiggles"] is not None:
            missed = missed + logs["P_lin"] @ m["wiggles"]
        if m["below"] is not None:
            missed = missed + features(point, jnp) @ m["below"]
    results: dict[str, Any] = {}
    for name, ln_P in logs.items():
        entry = output(name)
        if entry.is_linear:
            results[name] = jnp.exp(ln_P @ m["others"] + missed)
        else:
            results[name] = jnp.exp(ln_P @ (m["others"] if entry.is_total else m["one_halo"]))
    for name in logs:
        terms = output(name).terms
        if terms and set(terms) <= set(results):
            one, two = terms
            results[name] = results[one] + results[two]
            if name in learnt:
                ratio = logs[name] - jnp.log(found[one] + found[two])
                results[name] = results[name] * jnp.exp(ratio @ m["ratio"])
    return {name: results.get(name, found[name]) for name in names}


class _Translated:
    """The operators of a graph, evaluated in order with JAX.

    Args:
        graph: The graph.
        outputs: Names of the outputs to compute.
        dtype: Type of all floating-point numbers.

    Raises:
        ValueError: An operator or a constant that cannot be translated.
    """

    def __init__(self, graph: Graph, outputs: Sequence[str], dtype: Any) -> None:
        self._outputs, self._dtype = tuple(outputs), dtype
        needed, nodes = set(outputs), []
        for node in reversed(graph.nodes):
            if needed & set(node.outputs):
                nodes.append(node)
                needed |= set(node.inputs)
        self._nodes = [(node, node.attributes) for node in reversed(nodes)]
        if unknown := sorted({node.kind for node in nodes} - _OPERATORS.keys()):
            raise ValueError(f"operators that are not translated to JAX: {', '.join(unknown)}")
        self._constants: dict[str, Any] = {}
        for name, tensor in graph.tensors.items():
            if name in needed:
                array = tensor.array()
                if array is None:
                    raise ValueError(f"constants of a type that is not translated: {name}")
                self._constants[name] = array.astype(dtype) if array.dtype.kind == "f" else array

    def __call__(self, theta: Any) -> dict[str, Any]:
        """Outputs by name at points (N, P): spectra (N, K) and numbers (N,)."""
        values: dict[str, Any] = {"theta": theta, **self._constants}
        for node, attributes in self._nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            if node.kind == "Cast" and attributes["to"] == _FLOAT:
                attributes = {"to": self._dtype}
            result = _OPERATORS[node.kind](inputs, attributes, node)
            found = result if isinstance(result, list | tuple) else (result,)
            values |= zip(node.outputs, found, strict=True)
        return {name: values[name] for name in self._outputs}


def _gemm(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    left = x[0].T if a.get("transA") else x[0]
    right = x[1].T if a.get("transB") else x[1]
    result = a.get("alpha", 1.0) * (left @ right)
    return result if len(x) < 3 or x[2] is None else result + a.get("beta", 1.0) * x[2]


def _log(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    """Replace the log of 0 by a large negative number: its powers and their slopes are then 0."""
    positive = x[0] > 0
    found = jnp.log(jnp.where(positive, x[0], 1.0))
    return jnp.where(positive, found, jnp.where(x[0] == 0, _LN_0, jnp.nan))


def _gelu(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    approximate = a.get("approximate") == "tanh"
    return jax.nn.gelu(x[0], approximate=approximate)


def _split(x: list[Any], a: dict[str, Any], node: Node) -> Any:
    axis = a.get("axis", 0)
    if len(x) > 1 and x[1] is not None:
        return jnp.split(x[0], np.cumsum(np.asarray(x[1]))[:-1].tolist(), axis)
    return jnp.split(x[0], len(node.outputs), axis)


def _slice(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    starts, ends = (np.asarray(one).tolist() for one in x[1:3])
    axes = range(len(starts)) if len(x) < 4 or x[3] is None else np.asarray(x[3]).tolist()
    steps = [1] * len(starts) if len(x) < 5 or x[4] is None else np.asarray(x[4]).tolist()
    index: list[Any] = [slice(None)] * x[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end, step)
    return x[0][tuple(index)]


def _squeeze(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    axes = None if len(x) < 2 or x[1] is None else tuple(np.asarray(x[1]).tolist())
    return jnp.squeeze(x[0], axes)


def _unsqueeze(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    return jnp.expand_dims(x[0], tuple(np.asarray(x[1]).tolist()))


def _reduce_sum(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    axes = None if len(x) < 2 or x[1] is None else tuple(np.asarray(x[1]).tolist())
    return jnp.sum(x[0], axes, keepdims=bool(a.get("keepdims", 1)))


def _scatter(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    values, index, updates = x
    axis = a.get("axis", 0) % values.ndim
    grid = jnp.meshgrid(*(jnp.arange(n) for n in index.shape), indexing="ij")
    grid[axis] = jnp.where(index < 0, index + values.shape[axis], index)
    at = values.at[tuple(grid)]
    updates = jnp.asarray(updates, values.dtype)
    return at.add(updates) if a.get("reduction", "none") == "add" else at.set(updates)


def _cast(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    return jnp.asarray(x[0]).astype(_TYPES.get(a["to"], a["to"]))


def _concat(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    numbers = np if all(isinstance(one, np.ndarray) for one in x) else jnp
    return numbers.concatenate(x, a["axis"])


def _gather(x: list[Any], a: dict[str, Any], _: Node) -> Any:
    numbers = np if all(isinstance(one, np.ndarray) for one in x) else jnp
    return numbers.take(x[0], x[1], a.get("axis", 0))


def _gather_nd(x: list[Any], a: dict[str, Any], node: Node) -> Any:
    if a.get("batch_dims", 0):
        raise ValueError(f"{node.outputs[0]}: GatherND with batch_dims is not translated to JAX")
    return x[0][tuple(jnp.moveaxis(x[1], -1, 0))]


def _reshape(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    shape = [n or x[0].shape[i] for i, n in enumerate(np.asarray(x[1]).tolist())]
    return jnp.reshape(x[0], shape)


def _expand(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    shape = tuple(np.asarray(x[1]).tolist())
    return jnp.broadcast_to(x[0], jnp.broadcast_shapes(x[0].shape, shape))


def _clip(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    low, high = (x[i] if len(x) > i and x[i] is not None else None for i in (1, 2))
    return jnp.clip(x[0], low, high)


def _pow(x: list[Any], _: dict[str, Any], __: Node) -> Any:
    return jnp.power(x[0], x[1])


_OPERATORS: dict[str, Callable[[list[Any], dict[str, Any], Node], Any]] = {
    "Add": lambda x, a, n: x[0] + x[1],
    "Sub": lambda x, a, n: x[0] - x[1],
    "Mul": lambda x, a, n: x[0] * x[1],
    "Div": lambda x, a, n: x[0] / x[1],
    "Neg": lambda x, a, n: -x[0],
    "Pow": _pow,
    "Reciprocal": lambda x, a, n: 1 / x[0],
    "Sqrt": lambda x, a, n: jnp.sqrt(x[0]),
    "Abs": lambda x, a, n: jnp.abs(x[0]),
    "Exp": lambda x, a, n: jnp.exp(x[0]),
    "Log": _log,
    "Sin": lambda x, a, n: jnp.sin(x[0]),
    "Cos": lambda x, a, n: jnp.cos(x[0]),
    "Erf": lambda x, a, n: erf(x[0]),
    "Tanh": lambda x, a, n: jnp.tanh(x[0]),
    "Sigmoid": lambda x, a, n: jax.nn.sigmoid(x[0]),
    "Relu": lambda x, a, n: jax.nn.relu(x[0]),
    "Elu": lambda x, a, n: jax.nn.elu(x[0], a.get("alpha", 1.0)),
    "Gelu": _gelu,
    "Softplus": lambda x, a, n: jax.nn.softplus(x[0]),
    "Ceil": lambda x, a, n: jnp.ceil(x[0]),
    "Floor": lambda x, a, n: jnp.floor(x[0]),
    "Round": lambda x, a, n: jnp.round(x[0]),
    "Max": lambda x, a, n: reduce(jnp.maximum, x),
    "Min": lambda x, a, n: reduce(jnp.minimum, x),
    "Equal": lambda x, a, n: x[0] == x[1],
    "Less": lambda x, a, n: x[0] < x[1],
    "LessOrEqual": lambda x, a, n: x[0] <= x[1],
    "Greater": lambda x, a, n: x[0] > x[1],
    "GreaterOrEqual": lambda x, a, n: x[0] >= x[1],
    "Not": lambda x, a, n: ~x[0],
    "And": lambda x, a, n: x[0] & x[1],
    "Or": lambda x, a, n: x[0] | x[1],
    "Where": lambda x, a, n: jnp.where(x[0], x[1], x[2]),
    "Clip": _clip,
    "Cast": _cast,
    "Gemm": _gemm,
    "MatMul": lambda x, a, n: x[0] @ x[1],
    "ReduceSum": _reduce_sum,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "GatherElements": lambda x, a, n: jnp.take_along_axis(x[0], x[1], a.get("axis", 0)),
    "ScatterElements": _scatter,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda x, a, n: jnp.transpose(x[0], a.get("perm")),
    "Shape": lambda x, a, n: np.array(x[0].shape, np.int64),
    "Expand": _expand,
    "Identity": lambda x, a, n: x[0],
}
