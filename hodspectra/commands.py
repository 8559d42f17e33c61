"""The commands by name: which module each one runs, what it does, and which extra it needs."""

from dataclasses import dataclass

from hodspectra.extras import needs

__all__ = ["COMMANDS", "GROUPS", "Command"]


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        module: Whose ``main`` it runs.
        does: In one line.
    """

    module: str
    does: str

    @property
    def extra(self) -> str:
        """What must be installed for it; empty if the base is enough."""
        return needs(self.module)


GROUPS: dict[str, dict[str, Command]] = {
    "use emulators": {
        "info": Command("export.info", "list the shipped emulators, or print one's card"),
        "occupations": Command("export.occupations", "list the occupations, or describe one"),
        "predict": Command("export.predict", "evaluate an emulator on a table of points"),
        "fit": Command("benchmarks.fit", "fit measured galaxies"),
        "survey-tables": Command("benchmarks.survey_tables", "read published tables to fit"),
        "gallery": Command("benchmarks.gallery", "plot the effect of each parameter"),
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
        "evaluate": Command("benchmarks.judge", "measure errors on fresh labels, and record them"),
        "report": Command("benchmarks.report", "accuracy and speed on the test split, as a page"),
        "worst": Command("benchmarks.worst", "search for the points with the largest errors"),
        "statistics": Command("benchmarks.statistics", "errors and times of xi, w_p, Delta Sigma"),
        "peers": Command(
            "benchmarks.peers", "w_p and Delta Sigma by other codes: values and times"
        ),
        "analyse": Command("benchmarks.analyse", "errors of an emulator in depth, as a page"),
        "compare": Command("benchmarks.compare", "accuracy, time and size of several emulators"),
        "speed": Command("benchmarks.speed", "time compared with the label code and pyccl"),
        "scaling": Command("benchmarks.scaling", "time and memory against points and weights"),
        "learning": Command(
            "benchmarks.learning", "what makes a network accurate: labels, size, optimiser"
        ),
        "posterior": Command(
            "benchmarks.posterior", "posteriors with the emulator and the true code"
        ),
        "published": Command("benchmarks.published", "accuracy compared with published networks"),
        "labels": Command("benchmarks.labels", "time of the labels compared with pyccl"),
        "convergence": Command("benchmarks.convergence", "numerical accuracy of the labels"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
