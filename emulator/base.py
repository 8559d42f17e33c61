"""What all emulators are: a spec, spectra of points, and one file."""

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
    """What an emulator predicts and where it holds; it travels with the weights.

    Attributes:
        kind: Which class of emulators it is of, see `Emulator.kinds`.
        space: Trained ranges of the parameters.
        k: Wavenumbers [1/Mpc], shape (K,).
        outputs: Names of the spectra [Mpc^3], such as ``gg_1h``, ``gg_2h``, ``gg_total``, and of
            numbers of the galaxies.
        total: ``sum`` adds the predicted 1-halo and 2-halo terms, so that the three are
            consistent; ``network`` predicts the total by itself, as published.
        network: Settings of this kind of emulator.
        halo_model: Choices of the halo model behind the labels.
        bao: How to interpolate the acoustic oscillations in k, see `emulator.bao`.
        provenance: Versions, commit, data hash, seeds and settings of the training.
        record: Accuracy on the validation split.
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
        """The outputs that come out of the network itself."""
        if self.total == "network":
            return self.outputs
        return tuple(name for name in self.outputs if not output(name).is_total)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, as stored in files."""
        return asdict(self) | {"space": self.space.as_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Spec":
        """The inverse of `as_dict`.

        Raises:
            ValueError: Something is missing, too much, or of another type; it is named.
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
    """Physical parameters in, spectra out, and all that describes it, as one object.

    What is trained is this object, and what is saved, loaded and exported is this object. A new
    kind of emulator is a subclass with a name, its settings, and `forward`.

    Attributes:
        kinds: All kinds of emulators, by name.
        Config: Settings of this kind.
        packaged: What names of weights begin with that come with the package, and not from a
            training.

    Args:
        spec: What it predicts and where.
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
        """The emulator of a spec, of whatever kind, without its weights."""
        return cls.kinds[spec.kind](spec)

    @abstractmethod
    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order: spectra [Mpc^3], each (B, K), and numbers, each (B,).

        Args:
            theta: Points, columns ``spec.space.names``, physical units, shape (B, P).
        """

    def jacobian(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Derivatives dP/dtheta of each of the outputs, in their order, each (B, K, P).

        In the units of the output over those of the parameter: masses in Msun.

        Args:
            theta: Points, columns ``spec.space.names``, physical units, shape (B, P).
        """

        def point(row: Tensor) -> tuple[Tensor, ...]:
            return tuple(Pk[0] for Pk in self(row[None]))

        derivatives = torch.func.vmap(torch.func.jacfwd(point))(theta)
        return tuple(derivative.detach() for derivative in derivatives)

    def unknown(self) -> list[str]:
        """Names of weights that are NaN: an ONNX file that was read does not hold them."""
        return [name for name, value in self.state_dict().items() if value.isnan().any()]

    def update_spec(self, **changes: Any) -> Self:
        """This emulator, its spec changed in the given fields."""
        self.spec = replace(self.spec, **changes)
        return self

    def hash(self) -> str:
        """SHA-256 of weights, scalings and spec: equal for equal emulators, wherever they lie."""
        parts = {name: ContentHash.of(array.numpy()) for name, array in self.state_dict().items()}
        return combined_hash(parts | {"spec": json.dumps(self.spec.as_dict(), sort_keys=True)})

    def save(self, path: Path) -> None:
        """Write weights, scalings and spec as one safetensors file, with a checksum over all."""
        texts = {"schema": SCHEMA, "spec": json.dumps(self.spec.as_dict())}
        write_sealed(path, self.state_dict(), texts)

    @classmethod
    def load(cls, path: Path) -> "Emulator":
        """Read what `save` wrote, ready to predict.

        Raises:
            FileNotFoundError: No such file.
            EmulatorFileError: A damaged or foreign file, or one of another schema.
        """
        path = Path(path)
        weights, texts = read_sealed(path, SCHEMA)
        try:
            emulator = cls.of(Spec.from_dict(json.loads(texts["spec"])))
            emulator.load_state_dict(weights)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise EmulatorFileError(f"{path} does not describe an emulator: {error}") from error
        return emulator.eval()
