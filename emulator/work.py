"""Count floating-point operations of a training, independently of machine and load."""

from copy import deepcopy

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from emulator.module import EmulatorModule

__all__ = ["FLOAT64_COST", "STEP_FLOP", "flop_of_evaluation", "flop_of_step"]

STEP_FLOP = 1e8  # overhead of a step, in operations that one core could do in this time
FLOAT64_COST = 2  # cost of an operation in float64, in operations in float32
_STEPS = 10  # SOAP updates its eigenbasis every ten steps


def flop_of_step(module: EmulatorModule, batch: tuple[Tensor, Tensor]) -> float:
    """Floating-point operations of a step: network, loss, gradients, optimiser.

    Counts matrix products with PyTorch's counter, plus `STEP_FLOP` for the overhead of a step.
    Neither the module nor the state of the random numbers is changed.

    Args:
        module: Module to train.
        batch: Batch of its training data: features (B, F) and standardised ln P (B, O, K).

    Returns:
        Operations of a step, averaged over ten steps.
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
            if step:  # SOAP does not update weights in its first step
                total += counter.get_total_flops()
    return total / _STEPS + STEP_FLOP


def flop_of_evaluation(module: EmulatorModule, batch: tuple[Tensor, Tensor], points: int) -> float:
    """Floating-point operations of the loss and its gradient, counted as in `flop_of_step`.

    Args:
        module: Module to train.
        batch: Batch of its training data.
        points: Number of points of the loss.
    """
    copy = deepcopy(module).cpu()
    counter = FlopCounterMode(display=False)
    with counter:
        copy.loss((batch[0].cpu(), batch[1].cpu()))[0].backward()
    return counter.get_total_flops() * points / len(batch[0]) + STEP_FLOP
