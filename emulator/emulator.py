"""The emulator: physical parameters in, power spectra out, and all that describes it."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from datagen.fields import exactly, from_record
from datagen.record import ContentHash, combined_hash
from datagen.space import PARAMETERS, UNITS, Space
from emulator.closed import ClosedConfig, ClosedForm
from emulator.network import NetworkConfig
from emulator.scaling import Features, Standardize
from emulator.storage import EmulatorFileError, read_sealed, write_sealed

__all__ = ["SCHEMA", "Emulator", "EmulatorFileError", "Spec"]

SCHEMA = "hodspectra-emulator-4"


@dataclass(frozen=True)
class Spec:
    """What an emulator predicts and where it holds; it travels with the weights.

    Attributes:
        space: Trained ranges of the parameters, and how points were drawn from them.
        k: Wavenumbers [1/Mpc], shape (K,).
        z: Redshift.
        outputs: Names of the spectra [Mpc^3], such as ``gg_1h``, ``gg_2h``, ``gg_total``.
        total: ``sum`` adds the predicted 1-halo and 2-halo terms, so that the three are
            consistent; ``network`` predicts the total by itself, as published.
        network: The network: a perceptron from parameters to spectra, or a closed form, which
            learns the cosmology and integrates over the halo mass itself.
        halo_model: Choices of the halo model behind the labels.
        provenance: Versions, commit, data hash, seeds and settings of the training.
        record: Accuracy on the validation split.
    """

    space: Space
    k: tuple[float, ...]
    z: float
    outputs: tuple[str, ...]
    total: Literal["sum", "network"]
    network: NetworkConfig | ClosedConfig
    halo_model: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def predicted(self) -> tuple[str, ...]:
        """The outputs that come out of the network itself."""
        if self.total == "network":
            return self.outputs
        return tuple(name for name in self.outputs if not name.endswith("_total"))

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, as stored in files."""
        return asdict(self) | {"space": self.space.as_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Spec":
        """The inverse of `as_dict`.

        Raises:
            ValueError: Something is missing, too much, or of another type; it is named.
        """
        names = [one.name for one in fields(cls)]
        given = {**exactly(data, names, "spec")}
        form = ClosedConfig if "nodes" in given["network"] else NetworkConfig
        given |= {
            "space": Space.from_dict(given["space"]),
            "network": from_record(form, given["network"], "spec.network"),
        }
        return from_record(cls, given, "spec")


class Emulator(nn.Module):
    """Network, scalings, names, ranges and wavenumbers as one object.

    A perceptron: theta -> log10 of masses and of what is sampled so -> standardise -> network
    -> ln P of each term -> exp. A closed form: see `emulator.closed`.
    What is trained is this object, and what is saved, loaded and exported is this object.

    Args:
        spec: What it predicts and where.
        closed: A fitted closed form; without one, a closed form waits for its weights.
    """

    def __init__(self, spec: Spec, closed: ClosedForm | None = None) -> None:
        super().__init__()
        for name in spec.outputs:
            halves = {name.replace("total", term) for term in ("1h", "2h")}
            if name not in spec.predicted and not halves <= set(spec.predicted):
                raise ValueError(f"{name} as a sum needs {' and '.join(sorted(halves))}")
        self.spec = spec
        self.closed: ClosedForm | None = closed
        if isinstance(spec.network, ClosedConfig):
            if spec.total != "sum":
                raise ValueError("total: network needs a perceptron; a closed form adds its terms")
            self.closed = closed or ClosedForm(spec.network, len(spec.k))
            return
        # masses by their log10 however they are drawn: drawn evenly in M, the few small ones, where
        # spectra change fastest, would be as good as equal
        logs = [spec.space[name].is_log or UNITS[name] == "Msun" for name in PARAMETERS]
        self.features = Features(logs)
        self.network = spec.network.build(self.features.inputs, len(spec.predicted) * len(spec.k))
        self.targets = Standardize(len(spec.outputs), len(spec.k))

    def fit_scalings(self, theta: Tensor, ln_spectra: Tensor) -> None:
        """Fit the scalings, on the training split.

        Args:
            theta: Points, shape (N, 10), physical units.
            ln_spectra: ln of the spectra in the order of the outputs, shape (N, O, K).
        """
        self.features.fit(theta)
        self.targets.fit(ln_spectra)

    def ln_spectra(self, x: Tensor) -> Tensor:
        """Ln P [ln Mpc^3] of every output from features x (B, 10), shape (B, O, K)."""
        spec = self.spec
        rows = [spec.outputs.index(name) for name in spec.predicted]
        y = self.network(x).unflatten(-1, (len(rows), len(spec.k)))  # (B, O K) -> (B, O, K)
        ln_P = y * self.targets.std[rows] + self.targets.mean[rows]
        terms = {name: ln_P[:, i] for i, name in enumerate(spec.predicted)}
        for name in spec.outputs:
            if name not in terms:
                terms[name] = torch.logaddexp(
                    terms[name.replace("total", "1h")], terms[name.replace("total", "2h")]
                )
        return torch.stack([terms[name] for name in spec.outputs], dim=1)

    def standardised(self, x: Tensor) -> Tensor:
        """Standardised ln P of every output from features x (B, 10), shape (B, O, K)."""
        y: Tensor = self.targets(self.ln_spectra(x))
        return y

    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """The spectra [Mpc^3], one tensor (B, K) for each of the outputs, in their order.

        Args:
            theta: Points, columns `datagen.space.PARAMETERS`, physical units, shape (B, 10).
        """
        if self.closed is not None:
            spectra = self.closed(theta)
            return tuple(spectra[name] for name in self.spec.outputs)
        return tuple(self.ln_spectra(self.features(theta)).exp().unbind(dim=1))

    def jacobian(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Derivatives dP/dtheta of each of the outputs, in their order, each (B, K, 10).

        In the units of the output over those of the parameter: masses in Msun.

        Args:
            theta: Points, columns `datagen.space.PARAMETERS`, physical units, shape (B, 10).
        """

        def point(row: Tensor) -> tuple[Tensor, ...]:
            return tuple(Pk[0] for Pk in self(row[None]))

        derivatives = torch.func.vmap(torch.func.jacfwd(point))(theta)
        return tuple(derivative.detach() for derivative in derivatives)

    def with_record(self, **changes: Any) -> "Emulator":
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
            emulator = cls(Spec.from_dict(json.loads(texts["spec"])))
            emulator.load_state_dict(weights)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise EmulatorFileError(f"{path} does not describe an emulator: {error}") from error
        return emulator.eval()
