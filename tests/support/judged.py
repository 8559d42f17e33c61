"""Labels that an emulator is wrong about by a known factor, at points that it has not seen."""

from dataclasses import replace

import numpy as np

from emulator.record import predict


def labels_off_by(emulator, spectra, path, factor, **metadata):
    """A label file whose gg spectra are those of an emulator divided by a factor."""
    labels = spectra.select(np.arange(60))
    space = emulator.spec.space
    theta = space.from_unit(np.random.default_rng(9).random((60, len(space.names))))
    predicted = predict(emulator, theta)
    arrays = labels.arrays | {
        name: predicted[name].astype(np.float64) / factor for name in ("gg_1h", "gg_2h")
    }
    design = {"method": "lhs", "points": 60, "seed": 99}
    labels = replace(labels, theta=theta, arrays=arrays)
    labels.metadata = labels.metadata | {"design": design} | metadata
    labels.write(path)
    return path
