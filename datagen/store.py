"""The label file: points, spectra, derived numbers, and everything needed to read them.

One HDF5 file, written whole or not at all::

    theta            (N, 10)  attributes: names, units
    k                (K,)     attribute: units
    P_lin, mm_1h, mm_2h, gm_1h, gm_2h, gg_1h, gg_2h    (N, K)  attribute: units
    n_g, b_eff, f_sat, mean_mass                       (N,)    attribute: units
    failed/index, failed/reason                        points that could not be computed

with the attributes ``schema``, ``metadata`` (JSON: model, space, design, versions, commit) and
``sha256`` (of all arrays). Totals are sums and are not stored.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datagen.files import atomic
from datagen.halomodel import CORRELATIONS, DERIVED
from datagen.record import content_hash
from datagen.space import PARAMETERS, UNITS

__all__ = ["SCHEMA", "Spectra", "StoreError"]

SCHEMA = "hodspectra-labels-1"
STORED: tuple[str, ...] = (
    "P_lin",
    *(f"{xy}_{term}" for xy in CORRELATIONS for term in ("1h", "2h")),
)


class StoreError(ValueError):
    """A label file that is missing something, damaged, or not a label file."""


@dataclass
class Spectra:
    """Points and their spectra, in memory.

    Attributes:
        theta: Points, columns `datagen.space.PARAMETERS`, shape (N, 10).
        k: Wavenumbers [1/Mpc], shape (K,).
        arrays: ``P_lin``, ``mm_1h``, ... [Mpc^3], each (N, K), and the keys of
            `datagen.halomodel.DERIVED`, each (N,); labels from elsewhere may lack the latter.
        metadata: Model, space, design, versions and commit.
        failed: Index in the design and reason of every point that could not be computed; such
            points have no row.
    """

    theta: NDArray[np.float64]
    k: NDArray[np.float64]
    arrays: dict[str, NDArray[np.float64]]
    metadata: dict[str, Any]
    failed: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        N, K = len(self.theta), len(self.k)
        derived = [name for name in DERIVED if name in self.arrays]
        expected = dict.fromkeys(STORED, (N, K)) | dict.fromkeys(derived, (N,))
        expected |= {"theta": (N, len(PARAMETERS))}
        have = self.arrays | {"theta": self.theta}
        for name, shape in expected.items():
            if name not in have:
                raise StoreError(f"labels lack {name}")
            if have[name].shape != shape:
                raise StoreError(f"{name} has shape {have[name].shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A spectrum [Mpc^3], shape (N, K), by name: ``gg_1h``, ``gg_2h``, ``gg_total``, ..."""
        if name.endswith("_total") and name[:2] in CORRELATIONS:
            return self.arrays[f"{name[:2]}_1h"] + self.arrays[f"{name[:2]}_2h"]
        if name not in self.arrays:
            raise KeyError(f"no spectrum {name!r}; there are {', '.join(self.arrays)} and totals")
        return self.arrays[name]

    def select(self, rows: NDArray[np.intp]) -> "Spectra":
        """The given rows, as labels of their own."""
        return Spectra(
            self.theta[rows],
            self.k,
            {name: array[rows] for name, array in self.arrays.items()},
            self.metadata,
        )

    def hash(self) -> str:
        """SHA-256 of points, wavenumbers and spectra."""
        return content_hash(self.arrays | {"theta": self.theta, "k": self.k})

    def write(self, path: Path) -> None:
        """Write the label file; an interrupted write leaves nothing behind."""
        units = dict.fromkeys(STORED, "Mpc^3") | DERIVED
        with atomic(path) as partial, h5py.File(partial, "w") as file:
            file.attrs["schema"] = SCHEMA
            file.attrs["metadata"] = json.dumps(self.metadata, sort_keys=True)
            file.attrs["sha256"] = self.hash()
            theta = file.create_dataset("theta", data=self.theta)
            theta.attrs["names"] = list(PARAMETERS)
            theta.attrs["units"] = [UNITS[name] for name in PARAMETERS]
            file.create_dataset("k", data=self.k).attrs["units"] = "1/Mpc"
            for name, array in self.arrays.items():
                file.create_dataset(name, data=array).attrs["units"] = units[name]
            file.create_dataset("failed/index", data=np.array(list(self.failed), dtype=np.int64))
            file.create_dataset(
                "failed/reason", data=list(self.failed.values()), dtype=h5py.string_dtype()
            )

    @classmethod
    def read(cls, path: Path) -> "Spectra":
        """Read a label file and check that it is whole.

        Raises:
            FileNotFoundError: No such file.
            StoreError: Not a label file of this schema, truncated, or altered.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(
                f"no label file at {path}; make one with python -m datagen.generate --out {path}"
            )
        try:
            with h5py.File(path) as file:
                if file.attrs.get("schema") != SCHEMA:
                    raise StoreError(
                        f"{path} has schema {file.attrs.get('schema')!r}, this version reads "
                        f"{SCHEMA!r}; generate the labels again"
                    )
                names = list(file["theta"].attrs["names"])
                if names != list(PARAMETERS):
                    raise StoreError(f"{path} has columns {names}, expected {list(PARAMETERS)}")
                spectra = cls(
                    theta=file["theta"][()],
                    k=file["k"][()],
                    arrays={
                        name: file[name][()]
                        for name in (*STORED, *(name for name in DERIVED if name in file))
                    },
                    metadata=json.loads(file.attrs["metadata"]),
                    failed={
                        int(i): reason.decode()
                        for i, reason in zip(
                            file["failed/index"], file["failed/reason"], strict=True
                        )
                    },
                )
                expected = file.attrs["sha256"]
        except (OSError, KeyError, json.JSONDecodeError) as error:
            raise StoreError(
                f"{path} is not a whole label file ({error}); generate the labels again"
            ) from error
        if spectra.hash() != expected:
            raise StoreError(f"{path} was altered: its checksum does not match its content")
        return spectra
