"""An experiment as a step of other tools, as docs/experiments.md shows it: MLflow's projects and DVC's stages."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
pytest.importorskip("safetensors")

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
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
