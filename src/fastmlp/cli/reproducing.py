"""Train a run again from what was recorded, and compare the bits."""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from ..tracking import machine
from .experiment import ExperimentError
from .runs import Run, data_hash, train

__all__ = ["reproduce"]

_PROGRAM = "import sys; from fastmlp.cli import main; sys.exit(main(sys.argv[1:]))"


def reproduce(run, data, here, tell):
    """Train a run again in a scratch folder.

    Parameters
    ----------
    run : Run
        One that is not finished is finished first.
    data : str or None
        The table; None is where it was, or in the folder of the run, or in the current folder.
    here : bool
        Whether to use the environment of this process, whatever versions were recorded.
    tell : callable
        Gets lines.

    Returns
    -------
    code : int
        0 for the same bits, else 1.
    """
    state = run.state
    path = _data(run, data)
    found = data_hash(path)
    if found != state["data"]["hash"]:
        tell(f"differs: the data {path} have the hash {found}, those of the run {state['data']['hash']}")
        return 1
    if not run.finished:
        tell(f"{run.name} was interrupted after {len(state['folds'])} folds and goes on")
        state["data"]["path"] = path
        train(run, tell, recorded=False)
    differing = _other_versions(state["versions"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = _checked_out(run, scratch, tell)
        if folder is None:
            return 1
        try:
            python = sys.executable if here or not differing else _environment(state["versions"], scratch, tell)
            again = _trained(run, path, python, folder, scratch)
        finally:
            _remove_worktree(state, scratch)
    return _compared(run, again, differing if here else {}, tell)


def _data(run, given):
    recorded = run.state["data"]["path"]
    name = os.path.basename(recorded)
    places = [given] if given else [recorded, run.folder / name, Path(name)]
    for place in places:
        if os.path.exists(place):
            return os.path.abspath(place)
    listed = ", ".join(map(str, places))
    raise ExperimentError(f"The data of {run.name} are not there: {listed}. Say with --data where they are.")


def _other_versions(recorded):
    """Recorded and present version of what differs, by name of the distribution."""
    differing = {}
    for name, version in recorded.items():
        try:
            present = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            present = sys.modules["fastmlp"].__version__ if name == "fastmlp" else None
        if present != version:
            differing[name] = version, present
    return differing


def _git(*args, **kwargs):
    return subprocess.run(["git", *map(str, args)], capture_output=True, check=True, **kwargs)


def _checked_out(run, scratch, tell):
    """A folder with the recorded commit and its difference, in which the run was started."""
    git, place = run.state["git"], Path(scratch, "code")
    own = "." not in run.state["experiment"]["estimator"]["name"]
    if git is None:
        place.mkdir()
        return place
    for root in (git["root"], os.getcwd()):
        try:
            _git("-C", root, "worktree", "add", "--detach", place, git["commit"])
        except (OSError, subprocess.CalledProcessError):
            continue
        git["taken"] = root
        patch = run.folder / "difference.patch"
        if patch.exists():
            _git("-C", place, "apply", "--whitespace=nowarn", patch.absolute())
        (place / git["folder"]).mkdir(parents=True, exist_ok=True)
        return place / git["folder"]
    if own:  # the code is fastmlp's
        place.mkdir()
        return place
    tell(f"differs: the code, for commit {git['commit']} is neither in {git['root']} nor in the current folder")
    return None


def _remove_worktree(state, scratch):
    if state["git"] and (root := state["git"].pop("taken", None)):
        _git("-C", root, "worktree", "remove", "--force", Path(scratch, "code"))


def _environment(recorded, scratch, tell):
    """The Python of an environment with the recorded versions."""
    place = Path(scratch, "environment")
    tell(f"an environment with {len(recorded)} packages is made")
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    wanted = [f"{name}=={version}" for name, version in recorded.items()]
    done = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["it failed"]
        raise ExperimentError(
            f"pip cannot install the recorded versions: {said[-1].removeprefix('ERROR: ')}."
            " With --here the run is trained with the versions that are here."
        )
    return str(python)


def _trained(run, path, python, folder, scratch):
    runs = Path(scratch, "runs")
    command = [python, "-c", _PROGRAM, "run", str((run.folder / "experiment.toml").absolute()), "--data", path]
    done = subprocess.run(
        [*command, "--runs", str(runs), "--no-mlflow", "--quiet"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise ExperimentError(f"The run cannot be trained again: {done.stderr.strip() or 'it ended'}")
    return Run(next(runs.glob("*/run.json")).parent)


def _compared(run, again, versions, tell):
    was, found = run.state, again.state
    same = was["model"]["digest"] == found["model"]["digest"]
    folds = [key for key in was["folds"] if was["folds"][key]["digest"] != found["folds"].get(key, {}).get("digest")]
    if same and not folds:
        tell(f"identical: {was['model']['digest']}")
        return 0
    reasons = [f"{name} was {old}, is {new}" for name, (old, new) in versions.items()]
    for before, now in ((was["machine"], machine()), (run.params(), again.params())):
        names = [name for name in before | now if before.get(name) != now.get(name)]
        reasons += [f"{name} was {before.get(name)}, is {now.get(name)}" for name in names]
    where = f"the arrays of {folds[0]}" if folds else "the arrays of the model"
    tell(f"differs: {reasons[0] if reasons else where + ', and nothing that was recorded does'}")
    if reasons:
        tell(f"so {where} differ: {was['model']['digest']} was recorded, {found['model']['digest']} came out")
    return 1
