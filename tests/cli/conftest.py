"""A table, an experiment on it, and the command in a process, for the tests of experiments."""

import subprocess
import sys

import pytest
from sklearn.datasets import load_wine

EXPERIMENT = """\
name = "wine"
metrics = ["accuracy", "neg_log_loss"]

[data]
path = "wine.csv"
target = "cultivar"

[splits]
folds = 3

[estimator]
name = "MLPClassifier"

[estimator.params]
hidden_layer_sizes = [8]
max_iter = 5

[search]
trials = 3

[search.space]
alpha = {low = 1e-5, high = 0.1, log = true}
"""
PROGRAM = "import sys; from fastmlp.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="session")
def experiment():
    """The text of an experiment with a search."""
    return EXPERIMENT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of scaled numbers and an experiment on it, not in a repository; the tests work there."""
    pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("experiments")
    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    frame.iloc[:, :-1] = (frame.iloc[:, :-1] - frame.iloc[:, :-1].mean()) / frame.iloc[:, :-1].std()
    frame.to_csv(folder / "wine.csv", index=False)
    (folder / "experiment.toml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
        yield folder


@pytest.fixture
def command():
    """Starts the command in a process."""

    def start(*args, program=PROGRAM, **kwargs):
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, *map(str, args)], stderr=subprocess.PIPE, text=True,
            **kwargs,
        )  # fmt: skip

    return start


@pytest.fixture
def call(capsys):
    """Runs the command in this process; gives its code, its output and its errors."""
    from fastmlp.cli import main

    def run(*args):
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return run
