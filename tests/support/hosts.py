"""One point under the names of all hosts, and what stands in for CosmoSIS where it is missing."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np

COSMOLOGY = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96}
OCCUPATION = {"alpha": 0.9, "sigma": 0.3, "Mth": 1e12, "Mprime": 2e13, "beta": 1.0}
POINT = COSMOLOGY | OCCUPATION
ZHENG07 = {"log10Mmin": 12.1, "sigma_logM": 0.3, "log10M0": 11.5, "log10M1": 13.3, "alpha": 1.0}


class Block:
    """As much of cosmosis.datablock.DataBlock as modules use: values by section and name."""

    def __init__(self):
        self._values = {}

    def __setitem__(self, key, value):
        self._values[key[0], key[1].lower()] = value

    def __getitem__(self, key):
        return self._values[key[0], key[1].lower()]

    def has_value(self, section, name):
        return (section, name.lower()) in self._values

    def has_section(self, section):
        return any(home == section for home, _ in self._values)

    def keys(self, section):
        return [key for key in self._values if key[0] == section]

    def get_string(self, section, name, default=None):
        return self[section, name] if self.has_value(section, name) else default

    def put_grid(self, section, name_x, x, name_y, y, name_z, z):
        assert np.shape(z) == (len(x), len(y))
        for name, value in ((name_x, x), (name_y, y), (name_z, z)):
            self[section, name] = value

    def put_metadata(self, section, name, key, value):
        self[section, f"cosmosis_metadata:{name}:{key}:"] = value

    def get_metadata(self, section, name, key):
        return self[section, f"cosmosis_metadata:{name}:{key}:"]


class SectionOptions:
    """The options of one module."""

    def __init__(self, block):
        self.block = block

    def has_value(self, name):
        return self.block.has_value("module_options", name)

    def get_string(self, name, default=None):
        return self.block.get_string("module_options", name, default)

    def __getitem__(self, name):
        return self.block["module_options", name]


def datablock() -> ModuleType:
    """cosmosis.datablock, or its stand-in, which is then what an import of it finds."""
    if importlib.util.find_spec("cosmosis") is None:
        module = ModuleType("cosmosis.datablock")
        module.DataBlock, module.SectionOptions = Block, SectionOptions
        module.option_section = "module_options"
        module.names = SimpleNamespace(cosmological_parameters="cosmological_parameters")
        package = ModuleType("cosmosis")
        package.datablock, package.__path__ = module, []
        package.__spec__ = importlib.util.spec_from_loader("cosmosis", None)
        sys.modules |= {"cosmosis": package, "cosmosis.datablock": module}
    import cosmosis.datablock

    return cosmosis.datablock
