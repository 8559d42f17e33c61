"""The command lines: shipped configurations are valid, mistakes are named, exit status 2."""

import importlib
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml

from datagen.cli import run
from datagen.configs import find_config

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted((ROOT / "configs").glob("**/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_configurations_are_valid(path, capsys):
    command, *configs = command_of(path)
    options = [part for config in configs for part in ("--config", str(ROOT / config))]
    given = yaml.safe_load(path.read_text())
    options += [] if "out" in given else ["--out", "x.h5"]
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(command).main([*options, "--print_config"])
    assert stop.value.code == 0
    assert holds(yaml.safe_load(capsys.readouterr().out), given)


def command_of(path) -> list[str]:
    """The module and the configurations of the command that a configuration is for.

    Its comment has the command. What has none is a part that several commands share, of labels.
    """
    lines = [line.strip("# \\") for line in path.read_text().splitlines() if line.startswith("#")]
    found = re.search(r"python -m (\S+)((?: --config \S+)*)", " ".join(lines))
    if found is None:
        return ["datagen.generate", str(path.relative_to(ROOT))]
    command = [found[1], *found[2].split()[1::2]]
    assert str(path.relative_to(ROOT)) in command
    return command


def holds(whole, part) -> bool:
    """Whether a configuration has all that another has, with the same values."""
    if not isinstance(part, dict):
        return whole == (float(part) if isinstance(whole, float) else part)  # 1.0e10 is a text
    return all(name in whole and holds(whole[name], value) for name, value in part.items())


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("datagen.generate", ["--out", "x.h5", "--design.poits", "3"], "design.poits"),
        ("datagen.generate", ["--out", "x.h5", "--design.points", "many"], "many"),
        ("emulator.train", ["--data", "x", "--out", "y", "--train.network.layer", "3"], "layer"),
        ("tuning.search", ["--data", "x", "--out", "y", "--budget.trials", "0"], "trials = 0"),
        ("tuning.search", ["--data", "x", "--out", "y", "--sampler", "guess"], "guess"),
        ("export.to_onnx", ["--out", "y"], "emulator"),
        ("benchmarks.evaluate.report", ["--emulator", "x", "--foo", "1"], "foo"),
    ],
)
def test_mistakes_are_named(command, arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(command).main(arguments)
    assert stop.value.code == 2 or named in str(stop.value)
    assert named in capsys.readouterr().err + str(stop.value)


@dataclass(frozen=True)
class Design:
    points: int = 3
    method: Literal["lhs", "sobol"] = "lhs"


def command(
    out: Path,
    design: Design = Design(),
    names: list[str] | None = None,
    ends: tuple[int, int] = (1, 2),
) -> dict:
    return {"out": out, "design": design, "names": names, "ends": ends}


def error_of(arguments, capsys, program=command) -> str:
    """The one line that a command ends with, for a user's mistake."""
    with pytest.raises(SystemExit) as stop:
        run(program, "x", arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("x: error: ")
    return line.removeprefix("x: error: ").removesuffix("; x --help lists the options")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--design.pionts", "3"], "unrecognized arguments: --design.pionts "
         "(did you mean '--design.points'?) 3"),
        (["--out", "x", "--nmaes=3"], "unrecognized arguments: --nmaes=3 "
         "(did you mean '--names'?)"),
        (["--out", "x", "--design.points", "many"], "--design.points: expected int, got many"),
        (["--out", "x", "--design.method", "lsh"], "--design.method: expected lhs | sobol, "
         "got lsh"),
        (["--out", "x", "--design", "3"], "--design: expected options of its own (--design.NAME) "
         "or a YAML file of them, got 3"),
        (["--out", "x", "--ends=3"], "--ends: expected a list ([first, second]), got 3"),
        (["--out", "x", "--names={a: 1}"], "--names: expected a list ([first, second]) or null, "
         "got {'a': 1}"),
        (["--out"], "argument --out: expected one argument"),
        ([], "the following arguments are required: out"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_option_rule_and_value(arguments, line, capsys):
    assert error_of(arguments, capsys) == line


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"out: x\ndesign:\n  pionts: 3\n", "no option design.pionts "
         "(did you mean 'design.points'?)"),
        (b"outt: x\n", "no option outt (did you mean 'out'?)"),
        (b"out: x\nout: y\n", "the configuration FILE gives out twice, again in line 2; keep one "
         "of them"),
        (b"out: x\ndesign:\n  points: 3\n  points: 4\n", "the configuration FILE gives "
         "design.points twice, again in line 4; keep one of them"),
        (b"out: [x\n", "the configuration FILE is not YAML (while parsing a flow sequence at "
         "line 1, column 6"),
        (b"out: \xff\n", "the configuration FILE is not text in UTF-8 ("),
        (b"[" * 5000, "the configuration FILE is not YAML ("),
        (b"- 1\n- 2\n", "the configuration FILE has no options; write them as 'name: value'"),
        (b"", "the configuration FILE has no options; write them as 'name: value'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_configuration_is_named(content, line, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    told = error_of(["--config", str(path)], capsys)
    assert told.startswith(line.replace("FILE", str(path)))
    assert error_of([f"--config={path}"], capsys) == told


def test_a_configuration_that_there_is_not_is_named_with_one_that_ships(
    tmp_path, capsys, monkeypatch
):
    missing = "the configuration configs/quik/labels.yaml does not exist"
    told = error_of(["--config", "configs/quik/labels.yaml"], capsys)
    assert told == f"{missing} (did you mean 'configs/quick/labels.yaml'?)"
    assert error_of(["--config", str(tmp_path)], capsys).endswith(" is not a file")
    assert error_of(["--config"], capsys) == "argument --config: expected one argument"
    monkeypatch.chdir(tmp_path)  # far from the source tree
    assert find_config("configs/quick/labels.yaml").is_file()


def test_help_is_for_people(capsys):
    with pytest.raises(SystemExit, match="0"):
        run(command, "x", ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--out OUT (required, type: Path)" in text
    assert "(type: lhs | sobol, default: lhs)" in text
    assert "<class" not in text


SIGNALLED = """
import sys, time
from datagen.cli import run
def command() -> None:
    try:
        print("ready", flush=True)
        time.sleep({seconds})
    except Exception:
        print("swallowed")
    finally:
        print("cleaned up")
run(command, "x", [])
"""


def process(code, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_command_with_one_line_and_its_status(number, status):
    run = process(SIGNALLED.format(seconds=60))
    assert run.stdout.readline() == "ready\n"
    run.send_signal(number)
    out, error = run.communicate()
    assert (out, error) == ("cleaned up\n", "x: interrupted; rerun the command to resume\n")
    assert run.returncode == status


def test_a_hangup_that_is_ignored_stays_ignored():
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as nohup does
    run = process(ignoring + SIGNALLED.format(seconds=0.2))
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGHUP)
    assert run.communicate() == ("cleaned up\n", "")
    assert run.returncode == 0


@pytest.mark.parametrize("made_of_it", [SystemExit(1), RuntimeError("a wait was broken off")])
def test_a_signal_is_told_whatever_a_library_makes_of_it(capsys, made_of_it):
    """Ray's own waits end with a silent exit of status 1."""

    def command() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise made_of_it from None

    with pytest.raises(SystemExit) as stop:
        run(command, "x", [])
    assert stop.value.code == 143
    assert capsys.readouterr().err == "x: interrupted; rerun the command to resume\n"


def test_handlers_of_signals_are_put_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    inside = run(lambda: signal.getsignal(signal.SIGTERM), "x", [])
    assert inside != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_reader_that_goes_away_is_no_error():
    code = "from datagen.cli import run\ndef command() -> None:\n    print('line\\n' * 100_000)\n"
    run = process(code + "run(command, 'x', [])")
    run.stdout.read(10)
    run.stdout.close()
    assert run.stderr.read() == ""
    assert run.wait() == 141  # 128 + SIGPIPE, as of other programs


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines"), "two lines"),
        (FileNotFoundError(2, "No such file", "a.h5"), "a.h5: No such file"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("as it is"), "as it is"),
        (MemoryError("Unable to allocate 3 TiB"), "not enough memory: Unable to allocate 3 TiB"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),  # of something else than our output
        (ModuleNotFoundError("No module named 'optuna'", name="optuna.samplers"), "this command "
         "trains or examines networks: pip install 'hodspectra[train]' (no module 'optuna')"),
        (ImportError("libcuda.so: cannot open it"), "libcuda.so: cannot open it"),
    ],
)  # fmt: skip
def test_what_a_user_or_a_machine_did_is_one_line(error, line, capsys):
    def fails() -> None:
        raise error

    assert error_of([], capsys, fails) == line


@pytest.mark.parametrize("error", [RuntimeError("bug"), ImportError("bug", name="export.runtime")])
def test_a_fault_of_ours_keeps_its_traceback(error):
    def fails() -> None:
        raise error

    with pytest.raises(type(error), match="bug"):
        run(fails, "x", [])


@pytest.mark.parametrize(
    ("words", "arguments", "found"),
    [
        ("names+", ["a", "b", "--count", "2"], (["a", "b"], 2)),
        ("names+", ["--names", "[c]"], (["c"], 1)),
        ("", ["--names", "c"], (["c"], 1)),
        ("", ["--count", "-2", "--names", "c", "d"], (["c", "d"], -2)),
        ("", ["--names", "c", "d", "--count=3"], (["c", "d"], 3)),
        ("", ["--names", "[c, d]"], (["c", "d"], 1)),
    ],
)
def test_words_are_values_of_options(words, arguments, found):
    def command(names: list[str], count: int = 1) -> tuple[list[str], int]:
        return names, count

    assert run(command, "x", arguments, words) == found


def test_a_single_word_is_not_two(capsys):
    def command(name: str) -> str:
        return name

    assert run(command, "x", ["a"], "name") == "a"
    with pytest.raises(SystemExit, match="2"):
        run(command, "x", ["a", "b"], "name")
    assert (
        capsys.readouterr().err
        == "x: error: unrecognized arguments: b; x --help lists the options\n"
    )
