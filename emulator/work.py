"""How much a training computes: the same number on every machine, whatever else runs there."""

from copy import deepcopy

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from emulator.module import EmulatorModule

__all__ = ["FLOAT64_COST", "STEP_FLOP", "flop_of_evaluation", "flop_of_step"]

STEP_FLOP = 1e8  # what one core could have multiplied while a step is set up
FLOAT64_COST = 2  # of an operation in float64, in operations in float32: half as many at once
_STEPS = 10  # SOAP turns its axes at one step in ten


def flop_of_step(module: EmulatorModule, batch: tuple[Tensor, Tensor]) -> float:
    """Floating-point operations of a step: network, loss, gradients, optimiser.

    Products of matrices are counted, by PyTorch's counter, and `STEP_FLOP` for all that a step
    costs besides. The module and the random numbers stay as they are.

    Args:
        module: What is trained.
        batch: A batch of its training data.
    """
    with torch.random.fork_rng(devices=[]):
        copy = deepcopy(module).cpu()
        batch = (batch[0].cpu(), batch[1].cpu())
        optimizer = copy.configure_optimizers()
        total = 0.0
        for step in range(_STEPS + 1):
            counter = FlopCounterMode(display=False)
            with counter:
                optimizer.zero_grad()
                copy.loss(batch)[0].backward()
                optimizer.step()
            if step:  # at its first, SOAP only looks around
                total += counter.get_total_flops()
    return total / _STEPS + STEP_FLOP


def flop_of_evaluation(module: EmulatorModule, batch: tuple[Tensor, Tensor], points: int) -> float:
    """Floating-point operations of the loss and its gradient, counted as in `flop_of_step`.

    Args:
        module: What is trained.
        batch: A batch of its training data.
        points: How many points the loss is of.
    """
    copy = deepcopy(module).cpu()
    counter = FlopCounterMode(display=False)
    with counter:
        copy.loss((batch[0].cpu(), batch[1].cpu()))[0].backward()
    return counter.get_total_flops() * points / len(batch[0]) + STEP_FLOP
