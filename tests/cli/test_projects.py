"""An experiment as a step of other tools, as docs/experiments.md shows it: MLflow's projects and DVC's stages."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

from fastmlp.cli import main, parser
from fastmlp.cli.runs import Run

yaml = pytest.importorskip("yaml")
pytest.importorskip("safetensors")

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
TEAMS = PAGE.with_name("teams.md")
SHORT = ["-P", "max_iter=2", "-P", "n_members=1", "-P", "splits.folds=2", "--no-mlflow", "-q"]
# a second run in MLflow takes a quarter of a minute, and is no business of the tools that start the command
PROGRAM = "import sys; from fastmlp.cli import main; sys.exit(main([*sys.argv[1:], '--no-mlflow']))"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the pages are in a checkout alone")


@pytest.fixture
def project(folder, experiment, tmp_path, monkeypatch):
    """A repository with an experiment, and the files of the page; `fastmlp` is a command."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    for name, key in (("MLproject", "entry_points"), ("dvc.yaml", "stages")):
        (text,) = [block for block in blocks if key in yaml.safe_load(block)]
        (tmp_path / name).write_text(text)
    (tmp_path / "experiment.toml").write_text(experiment)
    shutil.copy(folder / "wine.csv", tmp_path)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "fastmlp"
    script.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _commands(page):
    """The commands of the page's shell blocks, in words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", "").splitlines()]


def test_a_report_in_five_commands(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    load_wine(as_frame=True).frame.to_csv(tmp_path / "wine.csv", index=False)
    (tmp_path / "wine.toml").write_text(re.search(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    commands = _commands(PAGE)
    assert [words[1] for words in commands] == ["run", "sweep", "runs", "reproduce", "report"]
    for words in commands:
        short = SHORT if words[1] in ("run", "sweep") else []
        more = ["-P", "search.trials=2"] if words[1] == "sweep" else []
        assert main([*words[1:], *short, *more]) == 0
    said = capsys.readouterr().out
    runs = [Run(path.parent) for path in tmp_path.glob("runs/*/run.json")]
    assert len(runs) == 3 and all(run.name in said for run in runs)
    best = re.search(r"^(wine-\w+): identical: (\w+)$", said, re.M)
    assert {run.name: run.state["model"]["digest"] for run in runs}[best[1]] == best[2]
    assert "3 runs, written to report.html" in said and (tmp_path / "report.html").exists()


def test_the_commands_for_teams_have_their_options(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow, dask = pytest.importorskip("mlflow.cli"), pytest.importorskip("distributed.cli")
    groups = {("mlflow", "server"): mlflow.cli.commands["server"]}
    groups |= {
        ("dask", name): pytest.importorskip(f"distributed.cli.dask_{name}").main for name in ("scheduler", "worker")
    }
    found = set()
    for words in _commands(TEAMS):
        words = [word for word in words if not word.startswith("OMP_NUM_THREADS=")]
        if words[0] == "fastmlp":
            parser().parse_args(words[1:])
        elif words[0] != "export":
            groups[tuple(words[:2])].make_context(words[1], words[2:])
            found.add(tuple(words[:2]))
    assert found == groups.keys() and dask


def _run_of(project):
    (path,) = project.glob("runs/*/run.json")
    return json.loads(path.read_text())


def test_mlflow_runs_the_project(project):
    pytest.importorskip("mlflow")
    command = [sys.executable, "-m", "mlflow", "run", ".", "--env-manager=local", "-P", "max_iter=4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert _run_of(project)["experiment"]["estimator"]["params"]["max_iter"] == 4


def test_dvc_runs_the_stage(project):
    dvc = shutil.which("dvc")
    if dvc is None:  # what it would do
        stage = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["run"]
        assert all((project / path).exists() for path in stage["deps"])
        subprocess.run(stage["cmd"], shell=True, check=True, capture_output=True)
        assert [[*out] for out in stage["outs"]] == [["runs"]] and _run_of(project)["model"]
        return
    for command in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "repro", "-q"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    digest = _run_of(project)["model"]["digest"]
    shutil.rmtree(project / "runs")  # DVC has it in its cache
    subprocess.run([dvc, "checkout", "-q"], check=True)
    assert _run_of(project)["model"]["digest"] == digest
