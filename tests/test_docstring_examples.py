"""Examples in docstrings of what users call give what they say."""

import doctest
import importlib

import pytest

WITH_EXAMPLES = {
    "hodspectra": ["emulators"],
    "export.measurements": ["Measurements"],
    "datagen.design": ["draw"],
    "datagen.growth": ["growth_factor"],
    "datagen.halomodel": ["HaloModel"],
    "datagen.occupations.translate": ["from_h"],
    "datagen.space": ["Space", "parameters_of"],
    "datagen.splits": ["Split.rows"],
    "emulator.metrics": ["fractional_error"],
    "export.runtime": ["OnnxEmulator.__call__", "OnnxEmulator.jacobian", "load"],
    "export.statistics.kinds": ["DeltaSigma", "Wp", "Xi"],
    "export.to_jax": ["function"],
    "export.adapters.for_pyccl": ["HaloModelPk"],
    "export.adapters.pyccl_projections": ["angular_power", "gamma_t", "w_theta"],
}


# test_jax.py has what its example shows
SLOW = {"export.to_jax": pytest.mark.slow}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in WITH_EXAMPLES]
)
def test_examples(name):
    module = importlib.import_module(name)
    found = [one for one in doctest.DocTestFinder().find(module, name) if one.examples]
    assert [one.name for one in found] == [f"{name}.{what}" for what in WITH_EXAMPLES[name]]
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    for one in found:
        runner.run(one)
    assert not runner.failures
