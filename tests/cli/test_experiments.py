"""Experiments from their files to comparisons: runs, sweeps, killed ones, reproduced ones, and what is refused."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedShuffleSplit

import fastmlp
from fastmlp.cli import main
from fastmlp.cli.experiment import from_text, read_experiment, to_toml
from fastmlp.cli.experiments import trials_of
from fastmlp.cli.records import corrected_t_test
from fastmlp.cli.runs import Run
from fastmlp.engine import ISAS

pandas = pytest.importorskip("pandas")
pytest.importorskip("safetensors")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

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
ALONE = ["--no-mlflow", "-q"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of scaled numbers and an experiment on it, not in a repository; the tests work there."""
    folder = tmp_path_factory.mktemp("experiments")
    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    frame.iloc[:, :-1] = (frame.iloc[:, :-1] - frame.iloc[:, :-1].mean()) / frame.iloc[:, :-1].std()
    frame.to_csv(folder / "wine.csv", index=False)
    (folder / "experiment.toml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
        yield folder


@pytest.fixture(scope="module")
def pair(folder):
    """Two runs, the second with more epochs."""
    assert main(["run", "experiment.toml", *ALONE]) == 0
    assert main(["run", "experiment.toml", *ALONE, "-P", "max_iter=40", "-P", "learning_rate_init=0.01"]) == 0
    runs = [Run(path.parent) for path in (folder / "runs").glob("*/run.json")]
    return sorted(runs, key=lambda run: run.params()["max_iter"])


def _run(capsys, *args):
    code = main([str(arg) for arg in args])
    return code, *capsys.readouterr()


def _process(*args, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *map(str, args)], stderr=subprocess.PIPE, text=True, **kwargs
    )


def test_a_run_keeps_all_that_it_is_made_of(pair, folder, capsys):
    run = pair[0]
    assert run.finished and sorted(run.state["folds"]) == ["0/0", "0/1", "0/2"]
    again = read_experiment(run.folder / "experiment.toml")
    assert again == run.state["experiment"] and "search" not in again
    model = fastmlp.load(run.folder / "model.fastmlp")
    frame = pandas.read_csv("wine.csv")
    expected = fastmlp.MLPClassifier(hidden_layer_sizes=[8], max_iter=5, random_state=0)
    expected.fit(frame.iloc[:, :-1].to_numpy(), frame["cultivar"])
    assert all((a == b).all() for a, b in zip(model.coefs_, expected.coefs_, strict=True))
    assert f"numpy=={np.__version__}" in (run.folder / "requirements.txt").read_text()
    assert not (run.folder / "checkpoints").exists()
    assert len(run.state["folds"]["0/0"]["curves"]["loss"]) == 5
    code, said, errors = _run(capsys, "run", "experiment.toml", "--json", "--no-mlflow")
    assert code == 0 and "is done already" in errors
    assert json.loads(said)["digest"] == run.state["model"]["digest"]
    assert json.loads(said)["scores"]["accuracy"] == [run.scores("accuracy").mean(), run.scores("accuracy").std()]


def test_a_share_of_the_rows_is_held_out(folder, tmp_path, capsys):
    text = EXPERIMENT.replace("folds = 3", "held_out = 0.25\nrepeats = 2")
    (tmp_path / "experiment.toml").write_text(text)
    run = ["run", tmp_path / "experiment.toml", "--data", "wine.csv", "--runs", tmp_path / "runs", *ALONE]
    assert _run(capsys, *run)[0] == 0
    (path,) = tmp_path.glob("runs/*/run.json")
    state = json.loads(path.read_text())
    frame = pandas.read_csv("wine.csv")
    X, y = frame.iloc[:, :-1].to_numpy(), frame["cultivar"].to_numpy()
    for number, (rows, test) in enumerate(StratifiedShuffleSplit(2, test_size=0.25, random_state=0).split(X, y)):
        model = fastmlp.MLPClassifier([8], max_iter=5, random_state=0).fit(X[rows], y[rows])
        fold = state["folds"][f"0/{number}"]
        assert fold["rows"] == [133, 45] and fold["scores"]["accuracy"] == model.score(X[test], y[test])
    assert len(state["folds"]) == 2
    assert _run(capsys, "reproduce", path.parent)[1].endswith(f"identical: {state['model']['digest']}\n")


def test_runs_are_ranked_and_show_what_differs(pair, capsys):
    code, said, _ = _run(capsys, "runs")
    lines = said.splitlines()
    assert code == 0 and lines[0].split() == ["run", "accuracy", "folds", "seconds", "max_iter", "learning_rate_init"]
    assert [line.split()[0] for line in lines[1:]] == [pair[1].name, pair[0].name]
    assert lines[1].split()[-2:] == ["40", "0.01"] and lines[2].split()[-2:] == ["5", "-"]
    rows = json.loads(_run(capsys, "runs", "--json", "--metric", "neg_log_loss")[1])["runs"]
    assert rows[0]["score"] == pair[1].scores("neg_log_loss").mean() and rows[0]["params"]["max_iter"] == 40


def test_comparisons_are_paired_over_folds(pair, folder, capsys):
    pytest.importorskip("matplotlib")
    a, b = pair
    code, said, _ = _run(capsys, "compare", a.folder, b.name, "-o", "curves.png", "--json")
    result = json.loads(said)
    differences = b.scores("accuracy") - a.scores("accuracy")
    t = differences.mean() / np.sqrt((1 / 3 + 1 / 2) * differences.var(ddof=1))  # a third of the rows is held out
    assert code == 0 and result["params"] == {"max_iter": [5, 40], "learning_rate_init": ["-", 0.01]}
    assert result["t"] == pytest.approx(t, rel=0.02) and result["folds"] == 3
    assert result["p"] == pytest.approx(2 * student.sf(abs(result["t"]), 2))
    assert (folder / "curves.png").read_bytes()[1:4] == b"PNG"
    code, said, _ = _run(capsys, "compare", a.name, b.name)
    assert "max_iter: 5 -> 40" in said and "than noise at the 5 % level" in said


def test_the_corrected_test_by_its_formula():
    t, p = corrected_t_test(np.array([0.1, 0.2, 0.3]), 90, 10)
    assert t == pytest.approx(0.2 / np.sqrt((1 / 3 + 1 / 9) * 0.01)) and p == pytest.approx(2 * student.sf(t, 2))
    assert corrected_t_test(np.zeros(3), 90, 10) == (0.0, 1.0)
    assert corrected_t_test(np.full(3, -0.5), 90, 10) == (-np.inf, 0.0)


def test_the_report_is_one_page(pair, folder, capsys):
    pytest.importorskip("matplotlib")
    assert main(["report"]) == 0
    text = (folder / "report.html").read_text()
    assert text.count("<svg") == 4 and not re.search(r"(src|href)=\"http", text.replace("xlink:href=\"#", ""))
    assert pair[1].name in text and pair[0].state["model"]["digest"][:8] in text
    assert main(["report"]) == 0 and (folder / "report.html").read_text() == text


def test_reproduced_with_other_threads_and_instructions_and_by_a_colleague(pair, folder, capsys, monkeypatch):
    digest = pair[0].state["model"]["digest"]
    handed = shutil.copytree(pair[0].folder, folder / "handed" / "run")
    shutil.copy("wine.csv", handed)
    state = json.loads((handed / "run.json").read_text())
    state["data"]["path"] = "/home/colleague/wine.csv"
    (handed / "run.json").write_text(json.dumps(state))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if "avx2" in ISAS:  # the bits of AVX-512
        monkeypatch.setenv("FASTMLP_ISA", "avx2")
    assert _run(capsys, "reproduce", handed)[:2] == (0, f"identical: {digest}\n")


def test_what_differs_first_is_said(pair, folder, capsys, monkeypatch):
    run = shutil.copytree(pair[0].folder, folder / "differing" / "run")
    state = json.loads((run / "run.json").read_text())
    changed = pandas.read_csv("wine.csv")
    changed.iloc[0, 0] += 1
    changed.to_csv("changed.csv", index=False)
    code, said, _ = _run(capsys, "reproduce", run, "--data", "changed.csv")
    assert code == 1 and said.startswith("differs: the data") and state["data"]["hash"] in said
    state["folds"]["0/1"]["digest"] = "0" * 32
    state["machine"]["isa"] = "sse"
    (run / "run.json").write_text(json.dumps(state))
    code, said, _ = _run(capsys, "reproduce", run)
    assert code == 1 and said.startswith("differs: isa was sse, is ") and "the arrays of 0/1 differ" in said
    state["versions"]["numpy"] = "1.0"
    (run / "run.json").write_text(json.dumps(state))
    code, said, _ = _run(capsys, "reproduce", run, "--here")
    assert code == 1 and said.startswith(f"differs: numpy was 1.0, is {np.__version__}")


def test_the_code_of_a_run_is_its_commit_with_the_difference(folder, tmp_path, capsys, monkeypatch):
    shutil.copy("wine.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GIT_CEILING_DIRECTORIES")
    (tmp_path / "own_models.py").write_text("width = 8\n")
    text = EXPERIMENT.replace('"MLPClassifier"', '"own_models.make"').replace("hidden_layer_sizes = [8]\n", "")
    (tmp_path / "experiment.toml").write_text(text)
    commit = ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qam"]
    for args in (["init", "-q"], ["add", "own_models.py", "experiment.toml"], [*commit, "first"]):
        subprocess.run(["git", *args], check=True)
    code = (
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\n"
        "from fastmlp import MLPClassifier\n\n\ndef make(**params):\n"
        "    return make_pipeline(StandardScaler(), MLPClassifier([6], **params))\n"
    )
    (tmp_path / "own_models.py").write_text(code)
    assert main(["run", "experiment.toml", *ALONE]) == 0
    (tmp_path / "own_models.py").write_text("gone = True\n")
    subprocess.run(["git", *commit, "second"], check=True)
    (name,) = os.listdir("runs")
    code, said, _ = _run(capsys, "reproduce", name)
    assert code == 0 and said.endswith(f"identical: {Run(f'runs/{name}').state['model']['digest']}\n")
    assert subprocess.run(["git", "worktree", "list"], capture_output=True).stdout.count(b"\n") == 1


def test_a_killed_run_goes_on_from_its_checkpoint_and_is_reproduced(folder, capsys):
    args = ["experiment.toml", "--runs", "killed"]
    for override in ("max_iter=4000", "n_iter_no_change=4000", "checkpoint_every=200"):
        args += ["-P", override]
    process = _process("run", *args, *ALONE)
    while not [*folder.glob("killed/*/checkpoints/0-1.checkpoint")]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (path,) = folder.glob("killed/*/run.json")
    done = json.loads(path.read_text())["folds"]
    assert 0 < len(done) < 3
    _, said, _ = _run(capsys, "runs", "--runs", "killed")
    assert "(interrupted)" in said
    code, said, _ = _run(capsys, "reproduce", path.parent.name, "--runs", "killed")
    state = json.loads(path.read_text())
    assert code == 0 and f"was interrupted after {len(done)} folds and goes on" in said
    assert said.endswith(f"identical: {state['model']['digest']}\n") and state["folds"]["0/0"] == done["0/0"]


def test_an_interrupted_sweep_goes_on_with_what_is_left(folder, capsys):
    trials = trials_of(read_experiment("experiment.toml"))
    alphas = [trial["estimator"]["params"]["alpha"] for trial in trials]
    assert len(set(alphas)) == 3 and all(1e-5 <= alpha <= 0.1 for alpha in alphas)
    args = ["experiment.toml", "--runs", "sweep", *ALONE]
    assert main(["run", *args, "-P", f"alpha={alphas[1]!r}"]) == 0  # one of the trials
    (done,) = folder.glob("sweep/*/run.json")
    written = done.stat().st_mtime_ns
    code, said, _ = _run(capsys, "sweep", *args)
    assert code == 0 and said.splitlines()[-1].endswith("3 runs in sweep")
    assert done.stat().st_mtime_ns == written and len([*folder.glob("sweep/*/run.json")]) == 3
    digests = {path: path.read_text() for path in folder.glob("sweep/*/run.json")}
    assert main(["sweep", *args]) == 0
    assert digests == {path: path.read_text() for path in folder.glob("sweep/*/run.json")}


def test_a_killed_sweep_goes_on_to_the_bits_of_its_trials(folder, capsys):
    args = ["experiment.toml", "--runs", "killed-sweep", *ALONE]
    for override in ("max_iter=1000", "n_iter_no_change=1000", "checkpoint_every=100", "search.trials=2"):
        args += ["-P", override]
    process = _process("sweep", *args, "--workers", "2", start_new_session=True)
    while not [*folder.glob("killed-sweep/*/checkpoints/0-1.checkpoint")]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)  # its workers too
    process.wait()
    before = {path: json.loads(path.read_text()) for path in folder.glob("killed-sweep/*/run.json")}
    path = next(path for path, state in before.items() if state["folds"] and "model" not in state)
    code, said, _ = _run(capsys, "sweep", *args)
    assert code == 0 and said.splitlines()[-1].endswith("2 runs in killed-sweep")
    state = json.loads(path.read_text())
    assert state["folds"]["0/0"] == before[path]["folds"]["0/0"]
    args[args.index("killed-sweep")] = "unbroken"
    alpha = state["experiment"]["estimator"]["params"]["alpha"]
    said = json.loads(_run(capsys, "run", *args, "-P", f"alpha={alpha!r}", "--json")[1])
    assert said["digest"] == state["model"]["digest"]


def test_sets_that_are_drawn_twice_are_one_trial():
    text = EXPERIMENT.replace("trials = 3", "trials = 30")
    text = text.replace("alpha = {low = 1e-5, high = 0.1, log = true}", "max_iter = {low = 8, high = 12}")
    trials = trials_of(from_text(text, "x"))
    assert sorted(trial["estimator"]["params"]["max_iter"] for trial in trials) == [8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("target =", "targt =", "experiment.toml, line 6: there is no key 'targt' in [data]; did you mean 'target'?"),
        ("folds = 3", "folds = 1", "line 9: splits.folds must be at least 2"),
        ("folds = 3", 'folds = "3"', "line 9: splits.folds must be a whole number, got '3'"),
        ("folds = 3", "held_out = 1.0", "line 9: splits.held_out must be between 0 and 1"),
        ("folds = 3", "held_out = 2", "line 9: splits.held_out must be a number with a point, got 2"),
        ("folds = 3", "folds = 3\nheld_out = 0.2", "line 10: splits must have folds or held_out, not both"),
        ('path = "wine.csv"\n', "", "line 4: data.path is missing"),
        ('["accuracy", "neg_log_loss"]', "[]", "line 2: metrics must have an entry"),
        ('["accuracy", "neg_log_loss"]', '["accurcy"]', "there is no score 'accurcy'; did you mean 'accuracy'?"),
        ('"wine.csv"', '"wine.cvs"', "There is no file"),
        ('"cultivar"', '"cultivr"', "has no column 'cultivr'; did you mean 'cultivar'?"),
        ('"MLPClassifier"', '"MLPClasifier"', "there is no estimator 'MLPClasifier' in fastmlp; did you mean"),
        ('"MLPClassifier"', '"nowhere.Class"', "'nowhere.Class' cannot be imported"),
        ("max_iter = 5", "max_itr = 5", "MLPClassifier has no parameter 'max_itr'; did you mean 'max_iter'?"),
        ("max_iter = 5", "max_iter = 0", "max_iter"),
        ("max_iter = 5", "max_iter = ", "Invalid value (at line 16"),
        ('name = "wine"', 'name = "../wine"', "line 1: name must be of letters"),
        ("[splits]", '[splits]\nkind = "x"', "line 9: there is no key 'kind' in [splits]; there are folds"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(folder, tmp_path, capsys, old, new, said):
    assert EXPERIMENT.count(old) == 1
    shutil.copy("wine.csv", tmp_path)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT.replace(old, new))
    code, out, errors = _run(capsys, "run", tmp_path / "experiment.toml", "--runs", tmp_path / "runs", *ALONE)
    assert code == 1 and said in errors and errors.count("\n") == 1 and out == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "none.toml"], "There is no file none.toml"),
        (["run", "experiment.toml", "-P", "alpha"], "-P alpha: must be NAME=VALUE"),
        (["run", "experiment.toml", "-P", "splits.folds=x"], "-P splits.folds: splits.folds must be a whole number"),
        (["sweep", "experiment.toml", "-P", "search.space.alpha.low=3"], "search.space.alpha: low must be below high"),
        (["sweep", "experiment.toml", "-P", "search.space.alpha=3"], "a list of values, or low and high, got 3"),
        (["sweep", "experiment.toml", "-P", "search={trials = 3}"], "A sweep needs [search.space]"),
        (["sweep", "experiment.toml", "-P", "search.space.alpa=[1]"], "no parameter 'alpa'; did you mean 'alpha'?"),
        (["runs", "--runs", "nowhere"], "nowhere has no runs"),
        (["runs", "--metric", "acc"], "No run has the score 'acc'; did you mean 'accuracy'?"),
        (["compare", "wine", "nothing"], "2 runs begin with 'wine'"),
        (["reproduce", "./nothing"], "./nothing is no folder of a run: it has no run.json"),
    ],
)
def test_wrong_arguments_are_said_in_a_sentence(pair, capsys, args, said):
    code, _, errors = _run(capsys, *args)
    assert code == 1 and said in errors and errors.count("\n") == 1


def test_a_full_disk_loses_nothing(folder, tmp_path, capsys):
    """A tmpfs that has no room for the second fold; with room the run goes on."""
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]).returncode:
        pytest.skip("needs to mount a file system")
    try:
        args = ["run", "experiment.toml", "--runs", tmp_path, *ALONE, "-P", "checkpoint_every=100"]
        (tmp_path / "filler").write_bytes(b"0" * 24 * 1024)
        code, _, errors = _run(capsys, *args)
        assert code == 1 and "No space left on device" in errors and errors.count("\n") == 1
        (tmp_path / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", tmp_path], check=True)
        assert _run(capsys, *args)[0] == 0
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_data_that_change_under_a_run_end_it(folder, tmp_path, capsys):
    shutil.copy("wine.csv", tmp_path)
    run = ["run", "experiment.toml", "--data", tmp_path / "wine.csv", "--runs", tmp_path / "runs", *ALONE]
    assert _run(capsys, *run)[0] == 0
    (path,) = tmp_path.glob("runs/*/run.json")
    state = json.loads(path.read_text())
    del state["model"], state["folds"]["0/2"]
    path.write_text(json.dumps(state))
    with open(tmp_path / "wine.csv", "a") as file:
        file.write("\n")
    code, said, _ = _run(capsys, "reproduce", path.parent)
    assert code == 1 and "differs: the data" in said
    path.write_text("{")
    assert "run.json is damaged" in _run(capsys, "reproduce", path.parent)[2]


def test_experiments_are_written_as_they_were_read():
    text = EXPERIMENT + 'kind = [1.5, true, "a\\"b"]\n[estimator.params.recipe]\n"odd key" = {x = [1]}\n'
    experiment = from_text(text, "x")
    assert from_text(to_toml(experiment), "x") == experiment


def test_a_run_is_recorded_in_mlflow(folder, tmp_path, capsys, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["run", "experiment.toml", "-q", "--runs", str(tmp_path / "runs")]) == 0
    (path,) = tmp_path.glob("runs/*/run.json")
    run = Run(path.parent)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("wine").experiment_id])
    (whole,) = [other for other in runs if "mlflow.parentRunId" not in other.data.tags]
    assert whole.data.metrics["accuracy"] == pytest.approx(run.scores("accuracy").mean())
    assert whole.data.params["max_iter"] == "5" and whole.data.tags["digest"] == run.state["model"]["digest"]
    below = {other.info.run_name: other for other in runs if other is not whole}
    assert sorted(below) == ["0/0", "0/1", "0/2", "model"]
    assert below["0/1"].data.metrics["accuracy"] == run.scores("accuracy")[1]
    history = [metric.value for metric in client.get_metric_history(below["0/1"].info.run_id, "loss")]
    assert history == run.state["folds"]["0/1"]["curves"]["loss"]
    os.chmod(tmp_path / "store.db", 0o600)
    (tmp_path / "store.db").write_bytes(b"no database")
    capsys.readouterr()
    code, said, errors = _run(capsys, "run", "experiment.toml", "-q", "--runs", tmp_path / "others")
    assert code == 1 and "MLflow did not record it" in errors and run.state["model"]["digest"] in said
