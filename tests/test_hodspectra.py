"""The front door: one package and one command, beside whatever else bears our packages' names."""

import ast
import importlib
import json
import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import hodspectra
from export.ranges import OutOfRange
from export.runtime import OnnxEmulator, load
from export.shipped import shipped
from hodspectra import extras, locate
from hodspectra.cli import main
from hodspectra.commands import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
POINT = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96, "z": 0.5,
         "alpha": 0.8, "sigma": 0.3, "Mth": 1e13, "Mprime": 2e14, "beta": 1.0}  # fmt: skip
OURS = ("benchmarks", "datagen", "emulator", "export", "tuning")


def python(*arguments, cwd, **variables) -> subprocess.CompletedProcess:
    """What a user runs in a folder, in a Python that finds our packages."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def neighbours(tmp_path) -> Path:
    """A folder with files that are called like our packages, and do not work with them."""
    for name in ("export", "benchmarks", "datagen", "tuning"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = {name!r}\n")
    (tmp_path / "emulator.py").write_text("MINE = 'emulator'\n")
    return tmp_path


def test_the_names_are_those_of_the_packages():
    assert hodspectra.load is load
    assert hodspectra.OnnxEmulator is OnnxEmulator
    assert hodspectra.OutOfRange is OutOfRange
    assert set(hodspectra.__all__) <= set(dir(hodspectra))
    with pytest.raises(AttributeError, match="module 'hodspectra' has no attribute 'emulator'"):
        hodspectra.emulator  # noqa: B018


def test_emulators_tells_what_each_of_them_is():
    told = hodspectra.emulators()
    assert set(told) == set(shipped())
    assert told["published-gg"].startswith("g3lhalo, Sheth99, Sheth01, Duffy08, z = 0, 3 outputs,")
    assert "z = 0..3, " in told["standard"]


BOTH = """
import pickle, sys
{first}
from hodspectra import OutOfRange, OutOfRangeWarning, emulators, load
{second}
assert "standard" in emulators()
emulator = pickle.loads(pickle.dumps(load("standard")))
try:
    emulator(dict({point}, h=2.0))
except OutOfRange as error:
    assert isinstance(error, ValueError)
    assert "h = 2" in str(error)
else:
    raise AssertionError
print(emulator({point}, "gg_total", k=[0.1])["gg_total"][0])
"""
MINE = "\n".join(f"import {n}; assert {n}.MINE == {n!r}, {n}.__file__" for n in OURS)


@pytest.mark.parametrize(
    ("first", "second"), [(MINE, ""), ("", MINE), pytest.param("", "", marks=pytest.mark.slow)]
)
def test_a_script_may_have_files_of_our_names_and_use_both(neighbours, first, second):
    (neighbours / "script.py").write_text(BOTH.format(first=first, second=second, point=POINT))
    done = python("script.py", cwd=neighbours)
    assert done.returncode == 0, done.stderr
    expected = load("standard")(POINT, "gg_total", k=[0.1])["gg_total"][0]
    assert float(done.stdout) == pytest.approx(float(expected), rel=1e-6)


def test_a_script_may_itself_be_called_like_one_of_our_packages(tmp_path):
    (tmp_path / "emulator.py").write_text(BOTH.format(first="", second="", point=POINT))
    (tmp_path / "use.py").write_text("import emulator\n")
    for script in ("emulator.py", "use.py"):
        done = python(script, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_adapters_work_beside_files_of_our_names(neighbours):
    for host, name in (("pyccl", "HaloModelPk"), ("cobaya", "HaloModel")):
        pytest.importorskip(host)
        done = python("-W", "ignore", "-c", f"import hodspectra.{host} as a; a.{name}; {MINE!r}; "
                      f"exec({MINE!r})", cwd=neighbours)  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_adapters_are_those_of_the_package():
    pytest.importorskip("pyccl")
    from export.adapters.for_pyccl import HaloModelPk

    assert importlib.import_module("hodspectra.pyccl").HaloModelPk is HaloModelPk


@pytest.mark.filterwarnings("ignore")  # pandas' to cobaya (3.6)
def test_cobaya_finds_its_theory_by_the_short_name(small_file):
    cobaya = pytest.importorskip("cobaya.model")
    asked = {"outputs": ["gg_total"], "k": [0.1]}

    def likelihood(_self=None):
        return float(np.log(_self.provider.get_halo_model()["gg_total"][0]))

    model = cobaya.get_model({
        "theory": {"hodspectra.cobaya.HaloModel": {"emulator": str(small_file)}},
        "likelihood": {"mock": {"external": likelihood, "requires": {"halo_model": asked}}},
        "params": POINT | {"beta": {"prior": {"min": 0.5, "max": 1.5}}},
        "stop_at_error": True,
    })  # fmt: skip
    expected = np.log(load(small_file)(POINT, "gg_total", k=[0.1])["gg_total"][0])
    assert model.loglike({"beta": 1.0})[0] == pytest.approx(float(expected), rel=1e-6)


def test_what_is_pickled_aside_is_read_in_a_process_without_neighbours(neighbours):
    code = "import pickle, sys, hodspectra; e = hodspectra.load('standard'); "
    code += "pickle.dump(e, open('e.pkl', 'wb'))"
    assert python("-c", code, cwd=neighbours).returncode == 0
    with (neighbours / "e.pkl").open("rb") as file:
        emulator = pickle.load(file)
    assert emulator.names == load("standard").names
    assert locate.ours("export.runtime").load is load  # and ours stay in their places


SCRIPT_OF_PIP = [Path(sys.executable).parent / "hodspectra"]
MODULE = [sys.executable, "-m", "hodspectra"]


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (MODULE, ""),
        (SCRIPT_OF_PIP, "."),
        pytest.param(MODULE, ".", marks=pytest.mark.slow),
        pytest.param(SCRIPT_OF_PIP, "", marks=pytest.mark.slow),
    ],
)
def test_commands_run_beside_files_of_our_names(neighbours, command, path):
    for arguments in (["info"], ["design", "--help"]):
        done = subprocess.run(
            [*command, *arguments], cwd=neighbours, env=os.environ | {"PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "hodspectra design" in done.stdout or "standard " in done.stdout


IN_WORKERS = """
from hodspectra.locate import claim
claim()
from datagen.parallel import RayConfig, ray_map, ray_session
from emulator.schedule import ScheduleConfig
with ray_session(RayConfig(cpus=1)):
    print(list(ray_map(ScheduleConfig, ["cosine"], label="")))
"""


@pytest.mark.slow
def test_workers_of_ray_find_our_packages_beside_files_of_their_names(neighbours):
    # emulator.py in particular; of a folder, an editable installation finds our modules as well
    done = python("-P", "-c", IN_WORKERS, cwd=neighbours)
    assert done.returncode == 0, done.stderr
    assert "kind='cosine'" in done.stdout


def test_python_m_finds_our_packages_beside_files_of_their_names(tmp_path):
    (tmp_path / "datagen.py").write_text("raise RuntimeError('not mine')\n")
    done = python("-m", "export.info", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serach"], "no command 'serach'; did you mean search?"),
        (["train_semianalytc"], "no command 'train_semianalytc'; did you mean train-semianalytic"),
        (["datagen.generate"], "no command 'datagen.generate'; did you mean generate?"),
        (["--verion"], "no option '--verion'; hodspectra --help lists the commands"),
        (["help", "nonsense"], "no command 'nonsense'; hodspectra --help lists the commands"),
    ],
)
def test_a_command_that_there_is_not_is_named_with_the_nearest(arguments, line, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error


def test_help_lists_every_command_with_the_extra_that_it_needs(capsys):
    main(["--help"])
    text = capsys.readouterr().out
    main([])
    assert capsys.readouterr().out == text
    lines = {words[0]: words for words in map(str.split, text.splitlines()) if words}
    for name, command in COMMANDS.items():
        assert lines[name][-1] == f"[{command.extra}]" or not command.extra
    assert max(map(len, text.splitlines())) <= 88


def test_version_and_citation(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith(f"hodspectra {hodspectra.__version__} from {ROOT}")
    main(["cite"])
    assert capsys.readouterr().out == (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_calls_itself_as_it_was_called(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"usage: hodspectra {name}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main([name, "--no_such_option", "1"])
    error = capsys.readouterr().err
    assert f"hodspectra {name}" in error
    assert "python -m" not in error.splitlines()[-1]


# The third-party modules that a module imports before it runs, by way of ours.


@cache
def imports(path: Path) -> set[str]:
    found = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        todo += ast.iter_child_nodes(node)
    return found


def third_party(module: str) -> set[str]:
    todo, seen, found = [module], set(), set()
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        path = ROOT.joinpath(*name.split("."))
        files = [f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()]
        if top not in OURS:
            found.add(top)
        elif files and files[0] not in seen:
            seen.add(files[0])
            todo += imports(files[0])
    return found - {*sys.stdlib_module_names, "hodspectra"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_extra_of_a_command_brings_all_that_it_imports(name):
    base, brought = {"numpy", "onnxruntime"}, extras.modules()
    command = COMMANDS[name]
    needed = third_party(command.module) - base - {"sphinx"}
    if command.extra:
        assert needed <= brought[command.extra]
        smaller = list(extras.EXTRAS)[: list(extras.EXTRAS).index(command.extra)]
        assert not any(needed <= brought[extra] for extra in smaller)
    else:
        assert needed <= brought["figures"] | brought["datagen"]  # imported when asked for


def test_every_module_that_is_not_ours_has_an_extra():
    known = set().union(*extras.modules().values()) | {"numpy", "onnxruntime"}
    known |= {"cosmosis", "emu_pk"}  # used where they are installed already
    files = [p for name in (*OURS, "hodspectra") for p in (ROOT / name).rglob("*.py")]
    used = {n.partition(".")[0] for path in files for n in imports(path)}
    assert used - {*sys.stdlib_module_names, *OURS, "hodspectra"} <= known


BLOCKER = """
import sys
class Blocker:
    names = {names}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A folder that, on Python's path, makes an installation look like the base."""
    folder = tmp_path_factory.mktemp("base")
    names = set().union(*extras.modules().values())
    (folder / "sitecustomize.py").write_text(BLOCKER.format(names=names))
    return folder


EACH = """
import contextlib, io, json, sys
from hodspectra.cli import main
told = {{}}
for name in {names}:
    error, status = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        try:
            main([name, "--help"])
        except SystemExit as end:
            status = end.code or 0
    told[name] = status, error.getvalue()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def front_door(base, tmp_path_factory):
    """Status and errors of each command by its name in a base installation, of one process."""
    code = EACH.format(names=list(COMMANDS))
    done = python("-c", code, cwd=tmp_path_factory.mktemp("empty"), PYTHONPATH=str(base))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_in_a_base_installation_a_command_names_its_extra(name, front_door):
    told_of_its_extra(COMMANDS[name], f"hodspectra {name}", *front_door[name])


FEW = ("generate", "train", "info", "fit", "verify")


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one in FEW else pytest.mark.slow) for one in COMMANDS],
)
def test_in_a_base_installation_a_module_names_the_extra_of_its_command(name, base, tmp_path):
    module = COMMANDS[name].module
    done = python("-m", module, "--help", cwd=tmp_path, PYTHONPATH=str(base))
    told_of_its_extra(COMMANDS[name], f"python -m {module}", done.returncode, done.stderr)


def told_of_its_extra(command, called, status, error):
    if command.extra and command.module != "export.verify":
        assert status == 2
        assert error.startswith(f"{called}: error: this command ")
        assert f": pip install 'hodspectra[{command.extra}]' (no module " in error
        assert len(error.splitlines()) == 1
    else:
        assert status == 0, error


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(["verify", "standard"], "datagen"), (["predict", "standard", "p.csv", "p.png"], "figures")],
)
def test_what_a_base_command_imports_late_is_named_with_its_extra(arguments, extra, base, tmp_path):
    names, values = zip(*POINT.items(), strict=True)
    table = f"{','.join(names)}\n{','.join(map(str, values))}\n"
    (tmp_path / "p.csv").write_text(table)
    done = python("-m", "hodspectra", *arguments, cwd=tmp_path, PYTHONPATH=str(base))
    assert done.returncode == 2
    assert f"pip install 'hodspectra[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_adapter_names_the_code_that_is_not_installed(base, tmp_path):
    for host in ("pyccl", "cobaya"):
        done = python("-c", f"import hodspectra.{host}", cwd=tmp_path, PYTHONPATH=str(base))
        assert done.stderr.splitlines()[-1] == (
            f"ModuleNotFoundError: hodspectra.{host} works inside {host}, which is not installed: "
            f"pip install {host}"
        )


def test_a_library_that_is_broken_is_no_missing_extra():
    error = ImportError("libgomp.so.1: cannot open shared object file", name="torch")
    assert extras.advice(error, "emulator.train") == "libgomp.so.1: cannot open shared object file"
    ours = ModuleNotFoundError("No module named 'export.nothing'", name="export.nothing")
    assert not extras.is_foreign(ours)


def test_our_packages_are_not_hidden_here():
    assert locate.hidden() == {}
    assert not locate.hides_ours(ROOT)
