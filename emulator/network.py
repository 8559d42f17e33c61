"""Multilayer perceptrons, with or without residual connections."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "Activation", "NetworkConfig"]

Activation = Literal["relu", "selu", "leaky_relu", "elu", "gelu", "swish", "sigmoid", "tanh"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "swish": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


@dataclass(frozen=True)
class NetworkConfig:
    """Multilayer perceptron with hidden layers of equal width.

    Attributes:
        layers: Number of hidden layers, at least 1.
        units: Width of the hidden layers, at least 1.
        activation: Nonlinearity after each hidden layer; ``swish`` is also known as SiLU.
        dropout: Fraction of hidden units dropped in training, in [0, 1).
        residual: Add the input of each hidden layer after the first to its output (He et al. 2016,
            arXiv:1512.03385).
        components: Number of principal components of the standardised ln P of all spectra
            together that the network predicts; 0 predicts ln P at every k. Omitted components
            are an error that training cannot remove.
    """

    layers: int = 6
    units: int = 160
    activation: Activation = "gelu"
    dropout: float = 0.0
    residual: bool = False
    components: int = 0

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"network.layers = {self.layers} must be at least 1")
        if self.units < 1:
            raise ValueError(f"network.units = {self.units} must be at least 1")
        if self.activation not in get_args(Activation):
            raise ValueError(
                f"network.activation = {self.activation!r} must be one of "
                f"{', '.join(get_args(Activation))}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"network.dropout = {self.dropout:g} must lie in [0, 1)")
        if self.components < 0:
            raise ValueError(f"network.components = {self.components} must not be negative")

    def build(self, inputs: int, outputs: int) -> nn.Sequential:
        """Return the network with initial weights.

        Args:
            inputs: Number of inputs.
            outputs: Number of outputs.
        """
        modules: list[nn.Module] = []
        width = inputs
        for layer in range(self.layers):
            hidden = [nn.Linear(width, self.units), ACTIVATIONS[self.activation]()]
            if self.dropout > 0:
                hidden.append(nn.Dropout(self.dropout))
            modules += [_Added(*hidden)] if self.residual and layer else hidden
            width = self.units
        return nn.Sequential(*modules, nn.Linear(width, outputs))


class _Added(nn.Sequential):
    """Layers with a residual connection: their input is added to their output."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x + layers(x), shape (B, units)."""
        y: Tensor = super().forward(x)
        return x + y
