"""What is installed: the wheel's content, and its use in an environment that has nothing else."""

import os
import re
import shutil
import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from datagen.configs import SHIPPED
from export.runtime import load
from export.shipped import shipped
from hodspectra.commands import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("benchmarks", "datagen", "emulator", "export", "hodspectra", "tuning")
EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
DIGITS = 1e-5


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the tree."""
    source = tmp_path_factory.mktemp("tree") / "source"
    leave = shutil.ignore_patterns(".*", "runs", "build", "site", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=leave)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=True
    )
    return source / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel, names) -> Message:
    (name,) = (n for n in names if n.endswith(".dist-info/METADATA"))
    with ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(name).decode())


def test_it_has_every_module_and_no_test(names):
    ours = {n for n in names if ".dist-info/" not in n}
    assert {n.split("/")[0] for n in ours} == set(PACKAGES)
    assert not [n for n in ours if "conftest" in n or re.search(r"/test\w*\.py$", n)]
    modules = {str(p.relative_to(ROOT)) for name in PACKAGES for p in (ROOT / name).rglob("*.py")}
    assert {n for n in ours if n.endswith(".py")} == modules


def test_it_has_what_its_commands_and_its_users_need(names):
    assert {f"{name}/py.typed" for name in PACKAGES} <= names
    assert {f"export/models/{name}.onnx" for name in shipped()} <= names
    configs = {p.relative_to(SHIPPED).as_posix() for p in SHIPPED.glob("configs/*/*.yaml")}
    assert configs
    assert {f"hodspectra/{config}" for config in configs} <= names
    licences = {Path(n).name for n in names if ".dist-info/licenses/" in n}
    assert licences == {"LICENSE", "CITATION.cff"}


def test_what_it_says_of_itself_is_true_outside_of_the_tree(metadata):
    assert metadata["Author"] == "The hodspectra developers"
    assert metadata["License-Expression"] == "GPL-3.0-or-later"
    assert metadata["Summary"].startswith("Semi-analytic and neural-network emulators")
    assert all(url.split(", ")[1].startswith("https://") for url in metadata.get_all("Project-URL"))
    readme = metadata.get_payload()
    assert readme.count("\n# hodspectra") == 1 or readme.startswith("# hodspectra")
    targets = re.findall(r"\]\(([^)]*)\)", readme)
    assert all(target.startswith(("https://", "#")) for target in targets)


def test_every_extra_that_needs_ray_asks_for_one_with_tokens(metadata):
    ray = [r for r in metadata.get_all("Requires-Dist") if r.startswith("ray")]
    assert ray
    assert all(tuple(map(int, re.search(r">=(\d+)\.(\d+)", r).groups())) >= (2, 59) for r in ray)


@pytest.fixture(scope="module")
def base(wheel, tmp_path_factory) -> Path:
    """The Python of an environment with the wheel, and what it asks for, alone."""
    folder = tmp_path_factory.mktemp("base") / "venv"
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    return python


def used(*command, cwd: Path) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture
def neighbours(tmp_path) -> Path:
    """A user's folder, with files that happen to be called like our packages."""
    for name in ("export", "benchmarks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "emulator.py").write_text("")
    return tmp_path


@pytest.mark.slow
def test_the_readmes_first_example_works_where_nothing_else_is(base, neighbours):
    (neighbours / "example.py").write_text(EXAMPLE)
    done = used(base, "example.py", cwd=neighbours)
    assert done.returncode == 0, done.stderr
    found = [float(word) for word in re.findall(r"[-+.\de]+", done.stdout)]
    values: dict = {}
    exec(EXAMPLE, values)
    outputs = values["result"]
    expected = [*values["emulator"].k[::10], *outputs["gg_total"][::10], *outputs["w_p"].round(1)]
    assert found == pytest.approx(expected, rel=DIGITS)


@pytest.mark.slow
def test_the_commands_of_the_base_work_and_the_others_name_their_extra(base, neighbours):
    installed = used(base, "-m", "pip", "list", "--format=freeze", cwd=neighbours).stdout
    assert not {"torch", "scipy", "h5py"} & {line.split("==")[0] for line in installed.split()}
    hodspectra = base.parent / "hodspectra"
    assert used(hodspectra, "--version", cwd=neighbours).stdout.startswith("hodspectra 0.")
    assert used(hodspectra, "cite", cwd=neighbours).stdout == (ROOT / "CITATION.cff").read_text()
    for name, command in COMMANDS.items():
        for start in ([hodspectra, name], [base, "-m", "hodspectra", name]):
            done = used(*start, "--help", cwd=neighbours)
            if done.returncode:
                assert done.returncode == 2
                assert f"pip install 'hodspectra[{command.extra}]'" in done.stderr
                assert len(done.stderr.splitlines()) == 1
            else:
                assert command.extra == "" or name == "verify"
    done = used(hodspectra, "predict", "standard", "points.csv", "out.csv", cwd=neighbours)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)  # there is no points.csv
    emulator = load("standard")
    middle = {
        p.name: (p.low * p.high) ** 0.5 if p.low > 0 else 0.5 * (p.low + p.high)
        for p in emulator.parameters
    }
    rows = (",".join(middle), ",".join(map(str, middle.values())))
    (neighbours / "points.csv").write_text("\n".join(rows) + "\n")
    done = used(hodspectra, "predict", "standard", "points.csv", "out.csv", cwd=neighbours)
    assert done.returncode == 0, done.stderr
    assert (neighbours / "out.csv").exists()
