"""Emulators that are a neural network from parameters to spectra."""

import torch
from torch import Tensor

from datagen.occupations import occupation
from datagen.outputs import output
from emulator.base import Emulator, Spec
from emulator.network import NetworkConfig
from emulator.scaling import Components, Features, Standardize

__all__ = ["NetworkEmulator"]


class NetworkEmulator(Emulator, kind="network"):
    """Neural network from the parameters to the spectra.

    theta -> features -> network -> standardised ln P of each term -> ln P -> P. With
    `NetworkConfig.components`, the network predicts principal components of the standardised ln P.

    Args:
        spec: Description of the emulator.

    Raises:
        ValueError: A total is to be a sum, but one of its terms is not predicted, or the occupation
            has smoothed transitions.
    """

    Config = NetworkConfig

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if spec.total == "sum" and "transition" in occupation(spec.space.occupation).extras:
            raise ValueError(
                f"total: sum, but totals of {spec.space.occupation} are not the sum of their "
                f"terms; take total: network"
            )
        self.sums = {n: output(n).terms for n in spec.outputs if n not in spec.predicted}
        for name, terms in self.sums.items():
            if not set(terms) <= set(spec.predicted):
                raise ValueError(f"{name} as a sum needs {' and '.join(terms)}")
        self.features = Features(spec.space, spec.halo_model)
        values, number = len(spec.predicted) * len(spec.k), spec.network.components
        self.network = spec.network.build(self.features.inputs, number or values)
        self.components = Components(number, values) if number else None
        self.targets = Standardize(len(spec.outputs), len(spec.k))

    def fit_scalings(self, theta: Tensor, ln_spectra: Tensor) -> None:
        """Fit the scalings of features and targets to the training split.

        Args:
            theta: Points, shape (N, P), physical units.
            ln_spectra: ln P [ln Mpc^3] in the order of ``spec.outputs``, shape (N, O, K).
        """
        self.features.fit(theta)
        self.targets.fit(ln_spectra)
        if self.components:
            self.components.fit(self.targets(ln_spectra)[:, self._predicted].flatten(1))

    @property
    def _predicted(self) -> list[int]:
        """Indices of the outputs that the network predicts."""
        return [self.spec.outputs.index(name) for name in self.spec.predicted]

    def ln_spectra(self, x: Tensor) -> Tensor:
        """Predict ln P [ln Mpc^3] of every output from features x (B, F), shape (B, O, K)."""
        spec, rows = self.spec, self._predicted
        y = self.network(x)
        if self.components:
            y = self.components.inverse(y)  # (B, C) -> (B, O K)
        y = y.unflatten(-1, (len(rows), len(spec.k)))  # (B, O K) -> (B, O, K)
        ln_P = y * self.targets.std[rows] + self.targets.mean[rows]
        terms = {name: ln_P[:, i] for i, name in enumerate(spec.predicted)}
        for name, (one, two) in self.sums.items():
            terms[name] = torch.logaddexp(terms[one], terms[two])
        return torch.stack([terms[name] for name in spec.outputs], dim=1)

    def standardised(self, x: Tensor) -> Tensor:
        """Predict standardised ln P of every output from features x (B, F), shape (B, O, K)."""
        y: Tensor = self.targets(self.ln_spectra(x))
        return y

    def forward(self, theta: Tensor) -> tuple[Tensor, ...]:
        """Predict the spectra; see `Emulator.forward`."""
        return tuple(self.ln_spectra(self.features(theta)).exp().unbind(dim=1))
