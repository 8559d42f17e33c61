"""Steps on a grid against integrals over the true steps."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf

from emulator.steps import Threshold, lower_edge

SPACING = 0.3
X = SPACING * np.arange(-20, 60)
# Fifth-order remainder for slopes up to 1 per unit of ln M; a lost moment costs above 1e-3.
TOLERANCE = 2e-4
# A threshold on the lowest mass itself, just wide enough to be seen: two steps in one.
CLOSE_TOLERANCE = 4e-3


def smooth(x: float | np.ndarray) -> float | np.ndarray:
    return np.exp(-0.7 * x - 0.02 * x**2)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


@pytest.mark.parametrize("edge", [0.0, 0.07, 0.15, 0.29])
def test_the_lower_edge_integrates_and_interpolates(edge: float) -> None:
    step, delta = lower_edge(torch.tensor((X - edge) / (np.sqrt(2) * SPACING))[None])
    integral = (step[0].numpy() * smooth(X)).sum() * SPACING / 2
    assert integral == pytest.approx(quad(smooth, edge, 20)[0], rel=TOLERANCE)
    assert (delta[0].numpy() * smooth(X)).sum() == pytest.approx(smooth(edge), rel=TOLERANCE)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.2, 0.25, 0.26, 0.5, 1.0])
@pytest.mark.parametrize("above", [0.0, 0.02, 0.3, 5.0])
def test_occupation_of_any_width_above_the_lowest_mass(sigma: float, above: float) -> None:
    x_min, x_th = 0.11, 0.11 + above
    threshold = Threshold(SPACING)
    distance = torch.tensor(X - x_th, dtype=torch.float32)[None]
    e, e2, is_narrow = threshold(distance, tensor(sigma), tensor(-above))
    edge = lower_edge(torch.tensor((X - x_min) / (np.sqrt(2) * SPACING))[None])[0]
    cut = torch.where(is_narrow, 2.0, edge)[0].double().numpy() / 2

    def occupation(x: float) -> float:
        return 0.5 * (1 + erf((x - x_th) / (np.sqrt(2) * sigma)))

    for power, weights in ((1, e[0].double().numpy() / 2), (2, e2[0].double().numpy() / 4)):
        points = sorted({x_min, x_th, x_th + 3 * sigma, max(x_min, x_th - 3 * sigma)})
        true = sum(
            quad(lambda x: occupation(x) ** power * smooth(x), a, b)[0]  # noqa: B023
            for a, b in zip(points, [*points[1:], 20.0], strict=True)
        )
        integral = (cut * weights * smooth(X)).sum() * SPACING
        close = above < 0.5 and 0.25 < sigma < 0.6
        tolerance = CLOSE_TOLERANCE if close else TOLERANCE
        assert integral == pytest.approx(true, rel=tolerance)
