"""All commands by name, with their modules, descriptions and extras."""

from dataclasses import dataclass

from hodspectra.extras import needs

__all__ = ["COMMANDS", "GROUPS", "Command"]


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        module: Module whose ``main`` it runs.
        does: Description in one line.
    """

    module: str
    does: str

    @property
    def extra(self) -> str:
        """The extra that must be installed; empty if none is needed."""
        return needs(self.module)


def _ours(module: str, does: str) -> Command:
    """A command of ``benchmarks``."""
    return Command(f"benchmarks.{module}", does)


GROUPS: dict[str, dict[str, Command]] = {
    "use emulators": {
        "info": Command("export.info", "list the shipped emulators, or print one's card"),
        "occupations": Command("export.occupations", "list the occupations, or describe one"),
        "predict": Command("export.predict", "evaluate an emulator on a table of points"),
        "fit": _ours("posterior.fit", "fit measured galaxies"),
        "survey-tables": _ours("posterior.survey_tables", "read published tables to fit"),
        "gallery": _ours("studies.gallery", "draw what each parameter does to the outputs"),
        "verify": Command("export.verify", "recompute some points with the halo model"),
    },
    "compute labels (spectra of the halo model)": {
        "design": Command("datagen.design", "sample points of a parameter space"),
        "generate": Command("datagen.generate", "compute the spectra of points"),
        "inspect": Command("datagen.analyse", "summarise a label file as one page"),
        "convert": Command("datagen.nnpowerspectra", "read and write files of NNPowerspectra"),
    },
    "train emulators": {
        "train": Command("emulator.train", "train one network"),
        "finetune": Command("emulator.finetune", "train a network further on its worst points"),
        "train-semianalytic": Command(
            "emulator.train_semianalytic", "train a semi-analytic emulator"
        ),
        "search": Command("tuning.search", "search for the best network, and train it"),
        "search-semianalytic": Command(
            "tuning.semianalytic", "search for the best semi-analytic emulator"
        ),
        "search-finetune": Command("tuning.finetune", "search for the best fine-tuning"),
        "export": Command("export.to_onnx", "write an emulator as one ONNX file"),
    },
    "evaluate emulators": {
        "evaluate": _ours("evaluate.accuracy", "measure errors on fresh labels; write the record"),
        "report": _ours("evaluate.report", "accuracy and speed on the test split, as a page"),
        "worst": _ours("evaluate.worst", "search for the points with the largest errors"),
        "statistics": _ours("evaluate.statistics", "errors and times of xi, w_p, Delta Sigma"),
        "analyse": _ours("evaluate.analyse", "errors over k and parameter space, as a page"),
        "compare": _ours("evaluate.compare", "accuracy, time and size of several emulators"),
        "posterior": _ours("posterior.comparison", "posteriors of an emulator and of its code"),
        "speed": _ours("codes.speed", "speed, compared with the label code and pyccl"),
        "peers": _ours("codes.peers", "w_p and Delta Sigma by other codes: values and times"),
    },
    "studies behind the documentation": {
        "label-speed": _ours("codes.label_speed", "speed of the label code, compared with pyccl"),
        "convergence": _ours("studies.convergence", "numerical accuracy of the labels"),
        "camb-accuracy": _ours("studies.camb_accuracy", "effect of each setting of CAMB"),
        "ingredients": _ours("studies.ingredients", "fits for haloes, compared with pyccl"),
        "scaling": _ours("studies.scaling", "time and memory against points and weights"),
        "learning": _ours("studies.learning", "what makes a network accurate: labels, size, ..."),
        "published": _ours("studies.published", "accuracy, compared with published networks"),
        "search-summary": _ours("studies.search_summary", "what searches found, as a table"),
        "sampler-comparison": _ours(
            "studies.sampler_comparison", "Bayesian and random search, compared"
        ),
        "samplers": _ours("posterior.samplers", "emcee and NUTS on one posterior"),
        "transitions": _ours("posterior.transitions", "fits with models of the 1h-2h transition"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
