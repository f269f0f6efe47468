"""Experiments from their files to comparisons: runs, sweeps, killed ones, reproduced ones, and what is refused."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.model_selection import StratifiedShuffleSplit

import fastmlp
from fastmlp.cli import main
from fastmlp.cli.experiment import from_text, read_experiment, to_toml
from fastmlp.cli.records import corrected_t_test
from fastmlp.cli.runs import Run
from fastmlp.engine import ISAS

pandas = pytest.importorskip("pandas")
pytest.importorskip("safetensors")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALONE = ["--no-mlflow", "-q"]


@pytest.fixture(scope="module")
def pair(folder):
    """Two runs, the second with more epochs."""
    assert main(["run", "experiment.toml", *ALONE]) == 0
    assert main(["run", "experiment.toml", *ALONE, "-P", "max_iter=40", "-P", "learning_rate_init=0.01"]) == 0
    runs = [Run(path.parent) for path in (folder / "runs").glob("*/run.json")]
    return sorted(runs, key=lambda run: run.params()["max_iter"])


def test_a_run_keeps_all_that_it_is_made_of(pair, folder, call):
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
    code, said, errors = call("run", "experiment.toml", "--json", "--no-mlflow")
    assert code == 0 and "is done already" in errors
    assert json.loads(said)["digest"] == run.state["model"]["digest"]
    assert json.loads(said)["scores"]["accuracy"] == [run.scores("accuracy").mean(), run.scores("accuracy").std()]


def test_a_share_of_the_rows_is_held_out(experiment, folder, tmp_path, call):
    text = experiment.replace("folds = 3", "held_out = 0.25\nrepeats = 2")
    (tmp_path / "experiment.toml").write_text(text)
    run = ["run", tmp_path / "experiment.toml", "--data", "wine.csv", "--runs", tmp_path / "runs", *ALONE]
    assert call(*run)[0] == 0
    (path,) = tmp_path.glob("runs/*/run.json")
    state = json.loads(path.read_text())
    frame = pandas.read_csv("wine.csv")
    X, y = frame.iloc[:, :-1].to_numpy(), frame["cultivar"].to_numpy()
    for number, (rows, test) in enumerate(StratifiedShuffleSplit(2, test_size=0.25, random_state=0).split(X, y)):
        model = fastmlp.MLPClassifier([8], max_iter=5, random_state=0).fit(X[rows], y[rows])
        fold = state["folds"][f"0/{number}"]
        assert fold["rows"] == [133, 45] and fold["scores"]["accuracy"] == model.score(X[test], y[test])
    assert len(state["folds"]) == 2
    assert call("reproduce", path.parent)[1].endswith(f"identical: {state['model']['digest']}\n")


def test_runs_are_ranked_and_show_what_differs(pair, call):
    code, said, _ = call("runs")
    lines = said.splitlines()
    assert code == 0 and lines[0].split() == ["run", "accuracy", "folds", "seconds", "max_iter", "learning_rate_init"]
    assert [line.split()[0] for line in lines[1:]] == [pair[1].name, pair[0].name]
    assert lines[1].split()[-2:] == ["40", "0.01"] and lines[2].split()[-2:] == ["5", "-"]
    rows = json.loads(call("runs", "--json", "--metric", "neg_log_loss")[1])["runs"]
    assert rows[0]["score"] == pair[1].scores("neg_log_loss").mean() and rows[0]["params"]["max_iter"] == 40


def test_comparisons_are_paired_over_folds(pair, folder, call):
    pytest.importorskip("matplotlib")
    a, b = pair
    code, said, _ = call("compare", a.folder, b.name, "-o", "curves.png", "--json")
    result = json.loads(said)
    differences = b.scores("accuracy") - a.scores("accuracy")
    t = differences.mean() / np.sqrt((1 / 3 + 1 / 2) * differences.var(ddof=1))  # a third of the rows is held out
    assert code == 0 and result["params"] == {"max_iter": [5, 40], "learning_rate_init": ["-", 0.01]}
    assert result["t"] == pytest.approx(t, rel=0.02) and result["folds"] == 3
    assert result["p"] == pytest.approx(2 * student.sf(abs(result["t"]), 2))
    assert (folder / "curves.png").read_bytes()[1:4] == b"PNG"
    code, said, _ = call("compare", a.name, b.name)
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
    assert text.count("<svg") == 4
    # all that a browser would load is in it
    assert set(re.findall(r"(?:src|href|data|action)=\"(.)", text)) == set(re.findall(r"url\((.)", text)) == {"#"}
    assert not re.search(r"<(script|link|img|iframe|object|embed|base)\b|@import", text)
    assert f"The best by accuracy: {pair[1].name}" in text and " not set<" in text
    assert pair[1].name in text and pair[0].state["model"]["digest"][:8] in text
    assert main(["report"]) == 0 and (folder / "report.html").read_text() == text


def test_reproduced_with_other_threads_and_instructions_and_by_a_colleague(pair, folder, call, monkeypatch):
    digest = pair[0].state["model"]["digest"]
    handed = shutil.copytree(pair[0].folder, folder / "handed" / "run")
    state = json.loads((handed / "run.json").read_text())
    state["data"]["path"] = "/home/colleague/wine.csv"
    (handed / "run.json").write_text(json.dumps(state))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if "avx2" in ISAS:  # the bits of AVX-512
        monkeypatch.setenv("FASTMLP_ISA", "avx2")
    assert call("reproduce", handed)[:2] == (0, f"identical: {digest}\n")


def test_what_differs_first_is_said(pair, folder, call, monkeypatch):
    run = shutil.copytree(pair[0].folder, folder / "differing" / "run")
    state = json.loads((run / "run.json").read_text())
    changed = pandas.read_csv("wine.csv")
    changed.iloc[0, 0] += 1
    changed.to_csv("changed.csv", index=False)
    code, said, _ = call("reproduce", run, "--data", "changed.csv")
    assert code == 1 and said.startswith("differs: the data") and state["data"]["hash"] in said
    state["folds"]["0/1"]["digest"] = "0" * 32
    state["machine"]["isa"] = "sse"
    (run / "run.json").write_text(json.dumps(state))
    code, said, _ = call("reproduce", run)
    assert code == 1 and said.startswith("differs: isa was sse, is ") and "the arrays of 0/1 differ" in said
    state["versions"]["numpy"] = "1.0"
    (run / "run.json").write_text(json.dumps(state))
    code, said, _ = call("reproduce", run, "--here")
    assert code == 1 and said.startswith(f"differs: numpy was 1.0, is {np.__version__}")


def test_the_code_of_a_run_is_its_commit_with_the_difference(experiment, folder, tmp_path, call, monkeypatch):
    shutil.copy("wine.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GIT_CEILING_DIRECTORIES")
    (tmp_path / "own_models.py").write_text("width = 8\n")
    text = experiment.replace('"MLPClassifier"', '"own_models.make"').replace("hidden_layer_sizes = [8]\n", "")
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
    code, said, _ = call("reproduce", name)
    assert code == 0 and said.endswith(f"identical: {Run(f'runs/{name}').state['model']['digest']}\n")
    assert subprocess.run(["git", "worktree", "list"], capture_output=True).stdout.count(b"\n") == 1


def test_a_killed_run_goes_on_from_its_checkpoint_and_is_reproduced(folder, call, command):
    args = ["experiment.toml", "--runs", "killed"]
    for override in ("max_iter=4000", "n_iter_no_change=4000", "checkpoint_every=200"):
        args += ["-P", override]
    process = command("run", *args, *ALONE)
    while not [*folder.glob("killed/*/checkpoints/0-1.checkpoint")]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (path,) = folder.glob("killed/*/run.json")
    done = json.loads(path.read_text())["folds"]
    assert 0 < len(done) < 3
    _, said, _ = call("runs", "--runs", "killed")
    assert "(interrupted)" in said
    code, said, _ = call("reproduce", path.parent.name, "--runs", "killed")
    state = json.loads(path.read_text())
    assert code == 0 and f"was interrupted after {len(done)} folds and goes on" in said
    assert said.endswith(f"identical: {state['model']['digest']}\n") and state["folds"]["0/0"] == done["0/0"]


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
        (
            '["accuracy", "neg_log_loss"]',
            '["accurcy"]',
            "line 2: there is no score 'accurcy'; did you mean 'accuracy'?",
        ),
        ('"wine.csv"', '"wine.cvs"', "line 5: There is no file"),
        ('"wine.csv"', '"wine.csv"\ndelimiter = ";"', "line 6: "),
        ('"wine.csv"', '"wine.csv"\ndelimiter = ";"', "its delimiter is another, try data.delimiter = ','."),
        ('"cultivar"', '"cultivar"\ndrop = ["hu"]', "line 7: "),
        ('"cultivar"', '"cultivar"\ntask = "regression"\nmetrics = []', "there is no key 'metrics' in [data]"),
        ('"cultivar"', '"cultivr"', "line 6: "),
        ('"cultivar"', '"cultivr"', "has no column 'cultivr'; did you mean 'cultivar'?"),
        ('"MLPClassifier"', '"MLPClasifier"', "line 12: there is no estimator 'MLPClasifier' in fastmlp; did"),
        ('"MLPClassifier"', '"nowhere.Class"', "line 12: 'nowhere.Class' cannot be imported"),
        ("max_iter = 5", "max_itr = 5", "line 16: MLPClassifier has no parameter 'max_itr'; did you mean 'max_iter'?"),
        ("max_iter = 5", "max_iter = 0", "max_iter"),
        ("max_iter = 5", "max_iter = ", "Invalid value (at line 16"),
        ('name = "wine"', 'name = "../wine"', "line 1: name must be of letters"),
        ("[splits]", '[splits]\nkind = "x"', "line 9: there is no key 'kind' in [splits]; there are folds"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(experiment, folder, tmp_path, call, old, new, said):
    assert experiment.count(old) == 1
    shutil.copy("wine.csv", tmp_path)
    (tmp_path / "experiment.toml").write_text(experiment.replace(old, new))
    code, out, errors = call("run", tmp_path / "experiment.toml", "--runs", tmp_path / "runs", *ALONE)
    assert code == 1 and said in errors and errors.count("\n") == 1 and out == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["run", "experiment.toml", "-P", "max_itr=3"],
            "-P max_itr: MLPClassifier has no parameter 'max_itr'; did you",
        ),
        (["run", "experiment.toml", "-P", "data.target=x"], "-P data.target: "),
        (["run", "none.toml"], "There is no file none.toml"),
        (["run", "experiment.toml", "-P", "alpha"], "-P alpha: must be NAME=VALUE"),
        (["run", "experiment.toml", "-P", "splits.folds=x"], "-P splits.folds: splits.folds must be a whole number"),
        (["runs", "--runs", "nowhere"], "nowhere has no runs"),
        (["runs", "--metric", "acc"], "No run has the score 'acc'; did you mean 'accuracy'?"),
        (["compare", "wine", "nothing"], "2 runs begin with 'wine'"),
        (["reproduce", "./nothing"], "nothing is no folder of a run: it has no run.json"),
    ],
)
def test_wrong_arguments_are_said_in_a_sentence(pair, call, args, said):
    code, _, errors = call(*args)
    assert code == 1 and said in errors and errors.count("\n") == 1


def test_a_full_disk_loses_nothing(folder, tmp_path, call):
    """A tmpfs that has no room for the second fold; with room the run goes on."""
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]).returncode:
        pytest.skip("needs to mount a file system")
    try:
        args = ["run", "experiment.toml", "--runs", tmp_path, *ALONE, "-P", "checkpoint_every=100"]
        (tmp_path / "filler").write_bytes(b"0" * 24 * 1024)
        code, _, errors = call(*args)
        assert code == 1 and "No space left on device" in errors and errors.count("\n") == 1
        assert errors.endswith("What is done is kept, and the same command goes on.\n")
        (tmp_path / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", tmp_path], check=True)
        assert call(*args)[0] == 0
    finally:
        subprocess.run(["umount", tmp_path], check=True)


# as many bytes as run.json has with one fold, from then on
FILLING = """
import json, resource
from fastmlp.cli import main, runs

put = runs.Run.put

def put_and_limit(run, name, text):
    put(run, name, text)
    if name == "run.json" and len(json.loads(text)["folds"]) == 1:
        size = len(text.encode())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

runs.Run.put = put_and_limit
raise SystemExit(main())
"""


def test_a_disk_that_fills_up_between_folds_keeps_the_first(folder, call, command):
    pytest.importorskip("resource")
    other = "estimator={name='sklearn.linear_model.LogisticRegression', params={max_iter=9}}"
    args = ["run", "experiment.toml", "--runs", "filling", *ALONE, "-P", other, "--keep-data", "0"]
    process = command(*args, program=FILLING)
    errors = process.communicate()[1]
    assert process.returncode == 1 and "run.json cannot be written: File too large. What is done is kept" in errors
    (path,) = folder.glob("filling/*/run.json")
    done = json.loads(path.read_text())["folds"]
    assert len(done) == 1
    assert call(*args)[0] == 0
    folds = json.loads(path.read_text())["folds"]
    assert len(folds) == 3 and {key: folds[key] for key in done} == done


def test_data_that_change_under_a_run_end_it(folder, tmp_path, call):
    shutil.copy("wine.csv", tmp_path)
    args = ["run", "experiment.toml", "--data", tmp_path / "wine.csv", "--runs", tmp_path / "runs", *ALONE]
    assert call(*args, "--keep-data", "0")[0] == 0
    (path,) = tmp_path.glob("runs/*/run.json")
    state = json.loads(path.read_text())
    del state["model"], state["folds"]["0/2"]
    path.write_text(json.dumps(state))
    with open(tmp_path / "wine.csv", "a") as file:
        file.write("\n")
    code, said, _ = call("reproduce", path.parent, "--data", tmp_path / "wine.csv")
    assert code == 1 and "differs: the data" in said
    path.write_text("{")
    assert "run.json is damaged" in call("reproduce", path.parent)[2]


def test_runs_have_their_data_with_them_if_these_are_small(pair, tmp_path, call, monkeypatch):
    copies = [run.folder / "data" / run.state["data"]["hash"] / "wine.csv" for run in pair]
    assert os.path.samefile(*copies) and copies[0].read_bytes() == open("wine.csv", "rb").read()
    handed = shutil.copytree(pair[0].folder, tmp_path / "handed")
    state = json.loads((handed / "run.json").read_text())
    state["data"]["path"] = str(tmp_path / "wine.csv")
    (handed / "run.json").write_text(json.dumps(state))
    (tmp_path / "wine.csv").write_text("another,table\n1,2\n")  # where they were are others
    monkeypatch.chdir(tmp_path)
    assert call("reproduce", handed)[:2] == (0, f"identical: {state['model']['digest']}\n")
    shutil.rmtree(handed / "data")
    os.unlink("wine.csv")
    code, _, errors = call("reproduce", handed)
    assert code == 1 and str(tmp_path / "wine.csv") in errors and "Say with --data where they are." in errors
    args = ["run", pair[0].folder / "experiment.toml", "--data", copies[0], "--runs", tmp_path / "runs", *ALONE]
    assert call(*args, "-P", "max_iter=1", "--keep-data", "0.001")[0] == 0
    assert not [*tmp_path.glob("runs/*/data")]


def _wheel(folder, version):
    """A wheel of a package with the width of a network, made by hand."""
    info = f"fm_width-{version}.dist-info"
    path = folder / f"fm_width-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("fm_width.py", f"width = {version[0]}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: fm-width\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/top_level.txt", "fm_width\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def test_an_environment_has_the_recorded_versions_without_an_index(experiment, folder, tmp_path, call, monkeypatch):
    """A run with version 3 of a package is reproduced where version 5 is installed, from a folder of wheels."""
    pytest.importorskip("pip")
    wheels, here = tmp_path / "wheels", tmp_path / "here"
    wheels.mkdir()
    for version in ("3.0", "5.0"):
        with zipfile.ZipFile(_wheel(wheels, version)) as file:
            file.extractall(here / version)
    code = "from fm_width import width\nfrom fastmlp import MLPClassifier\n\n\ndef make(**params):\n"
    (tmp_path / "own_widths.py").write_text(f"{code}    return MLPClassifier([width], **params)\n")
    text = experiment.replace('"MLPClassifier"', '"own_widths.make"').replace("hidden_layer_sizes = [8]\n", "")
    (tmp_path / "experiment.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(wheels)), ("PIP_CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(name, value)
    data = ["--data", folder / "wine.csv"]
    monkeypatch.syspath_prepend(here / "3.0")
    assert call("run", "experiment.toml", *data, *ALONE, "-P", "splits.folds=2")[0] == 0
    (path,) = tmp_path.glob("runs/*/run.json")
    state = json.loads(path.read_text())
    assert state["versions"]["fm-width"] == "3.0"
    monkeypatch.syspath_prepend(here / "5.0")
    code, said, errors = call("reproduce", path.parent)
    assert (code, errors) == (0, "") and said.splitlines() == [
        "an environment is made with fm-width==3.0", f"identical: {state['model']['digest']}"
    ]  # fmt: skip
    os.unlink(wheels / "fm_width-3.0-py3-none-any.whl")
    code, _, errors = call("reproduce", path.parent)
    assert code == 1 and "pip cannot install the recorded versions: No matching distribution" in errors


BACKEND = """
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info, name = "fastmlp-0.dist-info", "fastmlp-0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
        file.writestr("fastmlp.pth", os.path.abspath("src"))
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: fastmlp\\nVersion: 0\\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(f"{info}/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path):
    """A repository of fastmlp whose build takes the compiled modules that are here, with a difference in its seeds."""
    package, folder = Path(fastmlp.__file__).parent, tmp_path / "checkout"
    for path in package.rglob("*"):
        copy = folder / "src" / "fastmlp" / path.relative_to(package)
        if path.suffix in (".py", ".so"):
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copy if path.suffix == ".py" else os.symlink)(path, copy)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "fastmlp"\nversion = "0"\n'
    )
    author = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for args in (["init", "-q"], ["add", "-f", "."], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", folder, *args], check=True)
    runs = folder / "src" / "fastmlp" / "cli" / "runs.py"
    text = runs.read_text()
    assert text.count("random_state=seed,") == 1
    runs.write_text(text.replace("random_state=seed,", "random_state=seed + 1,"))
    return folder


def test_fastmlp_itself_is_that_of_the_recorded_commit(checkout, folder, call, command):
    pytest.importorskip("pip")
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    process = command("run", "experiment.toml", "--runs", "by-a-checkout", *ALONE, env=environment)
    assert process.communicate()[1] == ""
    (path,) = folder.glob("by-a-checkout/*/run.json")
    digest = json.loads(path.read_text())["model"]["digest"]
    subprocess.run(["git", "-C", checkout, "checkout", "-q", "src"], check=True)  # the difference has gone
    code, said, errors = call("reproduce", path.parent)
    assert (code, errors) == (0, "") and said.splitlines() == [
        "an environment is made with fastmlp of its commit, which is built", f"identical: {digest}"
    ]  # fmt: skip
    worktrees = subprocess.run(["git", "-C", checkout, "worktree", "list"], capture_output=True).stdout
    assert worktrees.count(b"\n") == 1
    code, said, _ = call("reproduce", path.parent, "--here")
    assert code == 1 and said.startswith("differs: fastmlp was commit ") and digest in said
    state = json.loads(path.read_text())
    del state["model"]
    path.write_text(json.dumps(state))
    code, _, errors = call("reproduce", path.parent)
    assert code == 1 and f"was begun by another fastmlp: it goes on by commit {state['source']['commit']}" in errors


def test_experiments_are_written_as_they_were_read(experiment):
    text = experiment + 'kind = [1.5, true, "a\\"b"]\n[estimator.params.recipe]\n"odd key" = {x = [1]}\n'
    read = from_text(text, "x")
    assert from_text(to_toml(read), "x") == read


def test_a_run_is_recorded_in_mlflow(folder, tmp_path, call, capsys, monkeypatch):
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
    code, _, errors = call("sweep", "experiment.toml", "-q", "--runs", tmp_path / "swept", "-P", "search.trials=2")
    digests = {json.loads(path.read_text())["model"]["digest"] for path in tmp_path.glob("swept/*/run.json")}
    runs = client.search_runs([whole.info.experiment_id])
    assert code == 0 and len(digests) == 2 and digests < {other.data.tags.get("digest") for other in runs}
    os.chmod(tmp_path / "store.db", 0o600)
    (tmp_path / "store.db").write_bytes(b"no database")
    capsys.readouterr()
    code, said, errors = call("run", "experiment.toml", "-q", "--runs", tmp_path / "others")
    assert code == 1 and "MLflow did not record it" in errors and run.state["model"]["digest"] in said
    assert errors.count("\n") == 1
    code, said, errors = call("sweep", "experiment.toml", "-q", "--runs", tmp_path / "more", "-P", "search.trials=1")
    assert code == 1 and "1 runs of wine-sweep-" in said and errors.count("\n") == 1
    assert errors.startswith("fastmlp: the runs are not recorded in MLflow: ")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens, which is said at once
    code, said, errors = call("run", "experiment.toml", "-q", "--runs", tmp_path / "unheard")
    assert code == 1 and run.state["model"]["digest"] in said
    assert errors.endswith("did not record it: there is no server at http://127.0.0.1:9: Connection refused\n")
