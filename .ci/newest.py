"""Import every module with the newest numpy, scipy and onnxruntime that setup.cfg admits.

The tests run with the versions of constraints.txt; this tells when a newer one breaks us. The
three are put before all else on Python's path, nothing that is installed is changed.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
NEWEST = ("numpy", "scipy", "onnxruntime")
PACKAGES = ("datagen", "emulator", "tuning", "export", "benchmarks", "hodspectra")
HOSTS = ("cosmosis",)  # not on any package index that pip knows, its adapter cannot be imported

USE = f"""
import importlib, sys
from importlib.metadata import version
print({{name: version(name) for name in {NEWEST}}})
for name in sys.argv[1:]:
    importlib.import_module(name)
from hodspectra import emulators, load
for name in emulators():
    emulator = load(name)
    emulator([[p.low for p in emulator.parameters]])
print(len(sys.argv) - 1, "modules imported")
"""


def modules() -> list[str]:
    """Dotted names of all modules that can be imported here."""
    files = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    return [n.removesuffix(".__init__") for n in names if not any(host in n for host in HOSTS)]


def requirements() -> list[str]:
    """What setup.cfg says of the three: ``numpy>=1.26``."""
    found = {re.match(r"[\w.-]+", text)[0]: text.split(";")[0] for text in requires("hodspectra")}
    return [found[name] for name in NEWEST]


with TemporaryDirectory() as folder:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--target", folder, *requirements()], check=True)
    environment = os.environ | {"PYTHONPATH": folder}
    subprocess.run([sys.executable, "-c", USE, *modules()], check=True, cwd=folder, env=environment)
