"""Labels of a small box and a network that is trained on them in seconds."""

from datagen.halomodel import HaloModelConfig
from datagen.space import Range, Space
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.schedule import ScheduleConfig
from emulator.train import TrainConfig

__all__ = ["SMALL_MODEL", "SMALL_SPACE", "SMALL_TRAINING"]

SMALL_SPACE = Space(
    Om_c=Range(0.24, 0.28),
    Om_b=Range(0.047, 0.050),
    h=Range(0.67, 0.70),
    Mth=Range(1e12, 1e14, "log10"),
)
SMALL_MODEL = HaloModelConfig()
SMALL_TRAINING = TrainConfig(
    network=NetworkConfig(layers=2, units=64, activation="swish"),
    loss="mse",
    weighting=0.0,
    optimizer=OptimizerConfig("adam", lr=3e-3, batch_size=32),
    schedule=ScheduleConfig("stages", max_epochs=(30, 10), patience=(30, 10)),
)
