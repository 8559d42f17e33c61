"""The network between the scalings: a multilayer perceptron, residual or not."""

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
    """A perceptron with equal hidden layers.

    Attributes:
        layers: Number of hidden layers.
        units: Width of each.
        activation: Nonlinearity after each; ``swish`` is also known as SiLU.
        dropout: Fraction of hidden units dropped in training.
        residual: Add the input of each hidden layer after the first to its output (He et al. 2016,
            arXiv:1512.03385).
        components: Number of principal components of the standardised ln P that the network
            predicts, of all of its spectra together; 0 predicts the value at every k itself.
            What the components left out would add is an error that no training removes.
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
        """The network, freshly initialised."""
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
    """Layers whose result is added to what they get."""

    def forward(self, x: Tensor) -> Tensor:
        """X and what becomes of it, shape (B, units)."""
        y: Tensor = super().forward(x)
        return x + y
