"""Base class of emulators: description, prediction, and storage in one file."""

import json
from abc import abstractmethod
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from datagen.fields import RecordError, exactly, from_record
from datagen.outputs import output
from datagen.record import ContentHash, combined_hash
from datagen.space import Space
from emulator.storage import EmulatorFileError, read_sealed, write_sealed

__all__ = ["SCHEMA", "Emulator", "Spec"]

SCHEMA = "hodspectra-emulator-5"


@dataclass(frozen=True)
class Spec:
    """Description of an emulator: outputs, ranges and provenance; saved with the weights.

    Attributes:
        kind: Name of the class of emulators, a key of `Emulator.kinds`.
        space: Trained ranges of the parameters.
        k: Wavenumbers [1/Mpc], shape (K,).
        outputs: Names of the outputs: spectra [Mpc^3], such as ``gg_1h``, ``gg_2h``, ``gg_total``,
            and numbers, such as ``n_g`` [1/Mpc^3].
        total: ``sum`` adds the predicted 1-halo and 2-halo terms, so that the three are
            consistent; ``network`` predicts the total as a separate output, as in the published
            emulators.
        network: Settings of this kind of emulator, of type `Emulator.Config`.
        halo_model: Settings of the halo model, see `datagen.halomodel.HaloModelConfig`.
        bao: Interpolation of the acoustic wiggles in k, see `emulator.bao.fit_bao`.
        provenance: Versions, commit, hash of the labels, seeds and settings of the training.
        record: Accuracy on the validation split, see `emulator.record.make_record`.
    """

    kind: str
    space: Space
    k: tuple[float, ...]
    outputs: tuple[str, ...]
    total: Literal["sum", "network"]
    network: Any
    halo_model: dict[str, Any]
    bao: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def predicted(self) -> tuple[str, ...]:
        """Names of the outputs that the network predicts, in contrast to sums."""
        if self.total == "network":
            return self.outputs
        return tuple(name for name in self.outputs if not output(name).is_total)

    def as_dict(self) -> dict[str, Any]:
        """Return the description as plain numbers, strings and lists, as stored in files."""
        return asdict(self) | {"space": self.space.as_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Spec":
        """Return a description from the output of `as_dict`.

        Raises:
            ValueError: An entry is missing, unknown, or of another type; the message names it.
        """
        given = {**exactly(data, [one.name for one in fields(cls)], "spec")}
        if given["kind"] not in Emulator.kinds:
            known = ", ".join(Emulator.kinds)
            raise RecordError(f"spec.kind is {given['kind']!r}, not one of {known}")
        config = Emulator.kinds[given["kind"]].Config
        given |= {
            "space": Space.from_dict(given["space"]),
            "network": from_record(config, given["network"], "spec.network"),
        }
        return from_record(cls, given, "spec")


class Emulator(nn.Module):
    """Torch module from physical parameters to spectra, with its description.

    This object is trained, saved, loaded and exported as a whole. To add a kind of emulator, write
    a subclass with a ``kind``, a ``Config`` and `forward`.

    Args:
        spec: Description of the emulator.

    Attributes:
        spec: Description of the emulator.
        kinds: All kinds of emulators, by name.
        Config: Class of the settings of this kind.
        packaged: Prefixes of the names of weights that are part of the package and not trained.
    """

    packaged: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[dict[str, type["Emulator"]]] = {}
    Config: ClassVar[type[Any]]

    def __init_subclass__(cls, kind: str) -> None:
        cls.kind = kind  # type: ignore[attr-defined]
        cls.kinds[kind] = cls

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    @classmethod
    def of(cls, spec: Spec) -> "Emulator":
        """Return the emulator of a description, of the right kind, with untrained weights."""
        return cls.kinds[spec.kind](spec)

    @abstractmethod
    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Predict all outputs, without a check of ranges.

        Args:
            theta: Points, columns ``spec.space.names``, physical units, shape (B, P).

        Returns:
            Outputs in the order of ``spec.outputs``: spectra [Mpc^3], each (B, K), and numbers,
            each (B,).
        """

    def jacobian(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Derivatives of all outputs by the parameters, by forward-mode differentiation.

        Args:
            theta: Points, columns ``spec.space.names``, physical units, shape (B, P).

        Returns:
            dP/dtheta in the order of ``spec.outputs``, in units of the output over those of the
            parameter (masses in Msun): for spectra each (B, K, P), for numbers each (B, P).
        """

        def point(row: Tensor) -> tuple[Tensor, ...]:
            return tuple(Pk[0] for Pk in self(row[None]))

        derivatives = torch.func.vmap(torch.func.jacfwd(point))(theta)
        return tuple(derivative.detach() for derivative in derivatives)

    def unknown(self) -> list[str]:
        """Return the names of weights that are NaN, since an ONNX file did not contain them."""
        return [name for name, value in self.state_dict().items() if value.isnan().any()]

    def update_spec(self, **changes: Any) -> Self:
        """Replace fields of the description in place, and return the emulator."""
        self.spec = replace(self.spec, **changes)
        return self

    def hash(self) -> str:
        """Return the SHA-256 of weights, scalings and description."""
        parts = {name: ContentHash.of(array.numpy()) for name, array in self.state_dict().items()}
        return combined_hash(parts | {"spec": json.dumps(self.spec.as_dict(), sort_keys=True)})

    def save(self, path: Path) -> None:
        """Write weights, scalings and description to a safetensors file with a checksum."""
        texts = {"schema": SCHEMA, "spec": json.dumps(self.spec.as_dict())}
        write_sealed(path, self.state_dict(), texts)

    @classmethod
    def load(cls, path: Path) -> "Emulator":
        """Read a file of `save`, and return the emulator in evaluation mode.

        Raises:
            FileNotFoundError: The file does not exist.
            EmulatorFileError: The file is damaged, not an emulator, or of another version.
        """
        path = Path(path)
        weights, texts = read_sealed(path, SCHEMA)
        try:
            emulator = cls.of(Spec.from_dict(json.loads(texts["spec"])))
            emulator.load_state_dict(weights)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise EmulatorFileError(f"{path} does not describe an emulator: {error}") from error
        return emulator.eval()
