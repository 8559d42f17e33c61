"""What the page "Try it in your browser" computes with: ONNX files, matrices, and their ranges.

The page's own sources are in ``try/``. Spectra come out of the emulator's graph, and all after it
is linear in them or in their logarithms, so that the page has the matrices of `export.interpolate`
and `export.statistics` and no numerics of its own.
"""

import gzip
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from npm import ONNXRUNTIME, UnreachableError
from numpy.typing import NDArray

from benchmarks.studies.galaxy_samples import SOURCES, fiducial
from datagen.large_scales import OMEGA_B, OMEGA_M, POWERS_OF_B, POWERS_OF_M
from datagen.occupations import occupation
from datagen.occupations.functions import LN_10
from datagen.space import parameters_of
from export.cut import cut
from export.lowest_mass import FAR, SHARE, SLOPE
from export.ranges import Parameter
from export.runtime import OnnxEmulator, load
from export.statistics import DeltaSigma, Wp
from export.statistics.evaluate import NODES, Scaled
from export.statistics.kinds import RHO_CRITICAL

__all__ = ["EMULATORS", "OCCUPATIONS", "OUTPUTS", "RADII", "WAVENUMBERS", "write"]

SOURCE = Path(__file__).resolve().parent / "try"
EMULATORS = {
    "tinker10": "Tinker et al. 2010",
    "standard": "Sheth & Tormen 1999",
}
"""What the page has, and whose mass function that is."""
OCCUPATIONS = ("zheng07", "more15", "hmq", "linke22")
"""Whose galaxies; the first is what it begins with."""
OUTPUTS = (
    "mm_1h", "mm_2h", "gm_1h", "gm_2h", "gg_1h", "gg_2h", "P_lin", "n_g", "b_eff", "f_sat",
)  # fmt: skip
WAVENUMBERS = np.geomspace(1e-3, 100.0, 201)  # 1/Mpc, of the spectra that are shown
RADII = np.geomspace(0.1, 100.0, 61)  # Mpc, of both statistics
PI_MAX = (60.0, 100.0, math.inf)  # Mpc
_REDSHIFT = 0.3  # that the page begins with
_STEPS = 400  # of a slider, at least


def write(folder: Path) -> str:
    """Write all that the page needs beside it.

    Args:
        folder: Of the page, in the site.

    Returns:
        Why it lacks onnxruntime-web, or nothing if it has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*SOURCE.glob("*.js"), *SOURCE.glob("*.css")):
        (folder / source.name).write_bytes(source.read_bytes())
    missing = _runtime(folder)
    models, arrays = {}, _statistics()
    for name in EMULATORS:
        for whose in OCCUPATIONS:
            emulator = load(name, occupation=whose)
            content = cut(emulator.wider.graph, OUTPUTS).encode()
            _compressed(folder / f"{name}-{whose}.onnx", content)
            models[f"{name}-{whose}"] = _model(emulator, whose)
        arrays |= {f"{name}/{key}": array for key, array in _continued(emulator).items()}
    record: dict[str, Any] = {
        "missing": missing,
        "emulators": EMULATORS,
        "occupations": {name: _source(name) for name in OCCUPATIONS},
        "outputs": OUTPUTS,
        "models": models,
        "arrays": _packed(folder / "arrays.f8", arrays),
        "k": WAVENUMBERS.tolist(),
        "r": RADII.tolist(),
        "pi_max": [_name(pi_max) for pi_max in PI_MAX],
        "rho_critical": RHO_CRITICAL,
        "features": {"omega_m": OMEGA_M, "omega_b": OMEGA_B,
                     "powers": list(zip(POWERS_OF_M.tolist(), POWERS_OF_B.tolist(), strict=True))},
        "lowest_mass": {"far": FAR, "slope": SLOPE, "share": SHARE},
    }  # fmt: skip
    files = sorted(folder.glob("*.bin"))
    record["version"] = hashlib.sha256(b"".join(one.read_bytes() for one in files)).hexdigest()[:12]
    (folder / "try.json").write_text(json.dumps(record))
    return missing


def _runtime(folder: Path) -> str:
    """Put onnxruntime-web beside the page, its WebAssembly for one thread; or say why not."""
    script, binary = "dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"
    try:
        found = ONNXRUNTIME.files(script, binary)
    except UnreachableError as error:
        return str(error)
    (folder / "ort.js").write_bytes(found[script])
    _compressed(folder / "ort.wasm", found[binary])
    return ""


def _compressed(path: Path, content: bytes) -> None:
    """Write a file that the page unpacks itself: no server needs to know how."""
    path.with_name(f"{path.name}.bin").write_bytes(gzip.compress(content, 6, mtime=0))


def _packed(path: Path, arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, list[int]]:
    """Write arrays into one file; where each begins there, and its shape."""
    places, start = {}, 0
    for key, array in arrays.items():
        places[key] = [start, *array.shape]
        start += array.size
    _compressed(path, b"".join(array.astype("<f8").tobytes() for array in arrays.values()))
    return places


def _continued(emulator: OnnxEmulator) -> dict[str, NDArray[np.float64]]:
    """What takes its spectra to the nodes of the statistics and to the wavenumbers shown."""
    k = np.concatenate([NODES, WAVENUMBERS])
    made = emulator.at_wavenumbers(k, extrapolate=True, above=True).matrices
    return {name: made[name] for name in ("one_halo", "others", "wiggles", "below", "offset")}


def _statistics() -> dict[str, NDArray[np.float64]]:
    """What takes spectra at the nodes to the statistics, each (K, R)."""
    w_p = {f"w_p/{_name(pi_max)}": Wp(RADII, pi_max) for pi_max in PI_MAX}
    kinds = w_p | {"Delta_Sigma": DeltaSigma(RADII)}
    return {name: Scaled(kind.moment()).comoving for name, kind in kinds.items()}


def _name(pi_max: float) -> str:
    return f"{pi_max:g}"


def _source(name: str) -> dict[str, str]:
    """Where an occupation is from, and the values that the page begins with."""
    return {"source": occupation(name).source, "start": SOURCES[name]}


def _model(emulator: OnnxEmulator, whose: str) -> dict[str, Any]:
    """Parameters and ranges of an emulator."""
    start = fiducial(whose, _REDSHIFT, {p.name: p for p in emulator.parameters})
    texts = {name: p.text for name, p in parameters_of(whose).items()}
    return {
        "parameters": [_parameter(p, start[p.name], texts[p.name]) for p in emulator.parameters],
        "sums": [
            {"names": d.names, "below": d.below, "reason": d.reason} for d in emulator.domains
        ],
        "threshold": _threshold(whose, start),
        "M_min": 10.0 ** emulator.metadata["halo_model"]["log10M_min"],
    }


def _parameter(p: Parameter, start: float, text: str) -> dict[str, Any]:
    """One of them; its slider moves in steps of a power of ten, of a mass in log10."""
    is_log = p.sampling == "log10"
    width = math.log10(p.high / p.low) if is_log else p.high - p.low
    step = 10.0 ** math.floor(math.log10(width / _STEPS))
    value = float(f"{start:.3e}") if is_log else round(start, -round(math.log10(step)))
    return {
        "name": p.name, "unit": p.unit, "low": p.low, "high": p.high, "group": p.group,
        "is_log": is_log, "step": step, "start": value, "text": text,
    }  # fmt: skip


def _threshold(whose: str, point: Mapping[str, float]) -> dict[str, Any] | None:
    """Which of its parameters are its threshold and the width of that, if it has one.

    Raises:
        ValueError: It has one that the page does not know.
    """
    found = occupation(whose).threshold(point)
    if found is None:
        return None
    for mass, width, scale in (("log10Mmin", "sigma_logM", LN_10 / 2**0.5), ("Mth", "sigma", 1.0)):
        if mass in point:
            M_th = 10.0 ** point[mass] if mass.startswith("log10") else point[mass]
            if np.allclose(found, (M_th, scale * point[width])):
                return {"mass": mass, "width": width, "scale": scale}
    raise ValueError(f"{whose} has a threshold that the page cannot warn of; leave it out")
