"""Every registered fit against pyccl's own class, with a cosmology that is pyccl's."""

import numpy as np
import pyccl
import pytest
import torch

from emulator.semianalytic.ingredients import Bias, Epoch, MassFunction

SIGMA = np.geomspace(0.05, 20, 60)
A = 1 / (1 + np.array([0.0, 0.3, 1.0, 3.0]))
COSMOS = [
    pyccl.CosmologyCalculator(Omega_c=Om_c, Omega_b=0.05, h=0.7, sigma8=0.8, n_s=0.96, w0=w0, wa=wa)
    for Om_c, w0, wa in ((0.25, -1, 0), (0.55, -0.4, -1.8), (0.11, -0.9, 0.7))
]
FLOAT64 = 1e-6  # pyccl's formulas are the same; a wrong digit of a constant shows at 1e-4
FLOAT32 = 1e-4  # of n and b, where haloes count
COUNTS = np.exp(-60)
PAIRS = [(kind, name, mass_def) for kind in (MassFunction, Bias)
         for name, fit in kind.known.items() for mass_def in fit.mass_defs]  # fmt: skip


def theirs(kind, name, mass_def, cosmology, a):
    """F or b of pyccl, or None where the fit ends for this cosmology."""
    base = pyccl.halos.MassFunc if kind is MassFunction else pyccl.halos.HaloBias
    strict = {} if name == "Bocquet16" else {"mass_def_strict": False}
    fit = base.from_name(name)(mass_def=mass_def, **strict)
    try:
        if kind is MassFunction:
            return fit._get_fsigma(cosmology, SIGMA, a, np.full_like(SIGMA, 30.0))
        return fit._get_bsigma(cosmology, SIGMA, a)
    except ValueError:  # haloes denser than in Tinker's table
        return None


def ours(kind, name, mass_def, cosmology, a, dtype):
    fit = kind.named(name, mass_def)
    share = cosmology.omega_x(a, "matter")
    epoch = Epoch(*(torch.tensor([[value]], dtype=dtype) for value in (np.log(a), share)))
    ln_sigma = torch.tensor(np.log(SIGMA)[None], dtype=dtype)
    values = (fit.ln_f(ln_sigma, epoch) if kind is MassFunction else fit.b(ln_sigma, epoch))[0]
    return np.exp(values.double().numpy()) if kind is MassFunction else values.numpy()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0].kind}-{p[1]}-{p[2]}")
def test_fit_is_pyccl_s(pair):
    compared = 0
    for cosmology in COSMOS:
        for a in A:
            expected = theirs(*pair, cosmology, a)
            if expected is None:
                continue
            compared += 1
            there = expected > 1e-280
            values = ours(*pair, cosmology, a, torch.float64)
            np.testing.assert_allclose(values[there], expected[there], rtol=FLOAT64)
            there = expected > COUNTS
            values = ours(*pair, cosmology, a, torch.float32)
            assert np.isfinite(values).all()
            np.testing.assert_allclose(values[there], expected[there], rtol=FLOAT32)
    assert compared
