"""Train a run again from what was recorded, and compare the bits."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from ..tracking import git_state, machine, own_source
from .experiment import ExperimentError
from .runs import DIFFERENCE, OWN_DIFFERENCE, Run, data_hash, difference_hash, place_of_copy, recorded_code, train

__all__ = ["data_of", "refuse_other_code", "reproduce"]

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
    path = data_of(run, data)
    found = data_hash(path)
    if found != state["data"]["hash"]:
        tell(f"differs: the data {path} have the hash {found}, those of the run {state['data']['hash']}")
        return 1
    if not run.finished:
        tell(f"{run.name} was interrupted after {len(state['folds'])} folds and goes on")
        refuse_other_code(run)
        state["data"]["path"] = path
        run.write()
        train(run, tell, recorded=False)
        state = run.state
    differing = _other_versions(state["versions"])
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = _checked_out(run, scratch, stack, tell)
        if folder is None:
            return 1
        python, source = sys.executable, None
        if not here:
            source = _own_source(run, scratch, stack)
            if source is not None:
                differing.pop("fastmlp", None)
            if differing or source is not None:
                python = _environment(differing, source, scratch, tell)
                differing = {}
        if source is None and _is_other_source(state):
            differing["fastmlp"] = [_told(code) for code in (state["source"], own_source())]
        again = _trained(run, path, python, folder, scratch)
    return _compared(run, again, differing, tell)


def data_of(run, given):
    """Where the data of a run or sweep are: as given; else where they were, in its folder, or in the current one.

    Of several places the first whose data have the recorded hash.
    """
    recorded = run.state["data"]["path"]
    name = os.path.basename(recorded)
    places = [given] if given else [recorded, place_of_copy(run), run.folder / name, Path(name)]
    there = [os.path.abspath(place) for place in places if os.path.exists(place)]
    if not there:
        listed = ", ".join(map(str, places))
        raise ExperimentError(f"The data of {run.name} are not there: {listed}. Say with --data where they are.")
    return next((place for place in there if data_hash(place) == run.state["data"]["hash"]), there[0])


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


@contextmanager
def _worktree(roots, commit, patch, place):
    """A folder with a commit and a difference, if one of some repositories has it; yields the folder or None."""
    for root in roots:
        try:
            _git("-C", root, "worktree", "add", "--detach", place, commit)
        except (OSError, subprocess.CalledProcessError):
            continue
        try:
            if patch.exists():
                _git("-C", place, "apply", "--whitespace=nowarn", patch.absolute())
            yield place
        finally:
            _git("-C", root, "worktree", "remove", "--force", place)
        return
    yield None


def _checked_out(run, scratch, stack, tell):
    """A folder with the recorded commit and its difference, in which the run was started."""
    git, place = run.state["git"], Path(scratch, "code")
    if git is None:  # of its code nothing is known
        return Path.cwd()
    roots = (git["root"], os.getcwd())
    if stack.enter_context(_worktree(roots, git["commit"], run.folder / DIFFERENCE, place)) is not None:
        (place / git["folder"]).mkdir(parents=True, exist_ok=True)
        return place / git["folder"]
    if "." not in run.state["experiment"]["estimator"]["name"]:  # the code is fastmlp's
        place.mkdir()
        return place
    tell(f"differs: the code, for commit {git['commit']} is neither in {git['root']} nor in the current folder")
    return None


def _is_other_source(state):
    """Whether the run was trained by a checkout of fastmlp other than that which is imported."""
    recorded, here = state.get("source"), recorded_code(own_source())
    names = ("commit", "difference")
    return recorded is not None and (here is None or any(recorded[name] != here[name] for name in names))


def _told(source):
    return "an installed release" if source is None else f"commit {source['commit']}"


def _own_source(run, scratch, stack):
    """A folder with the recorded commit of fastmlp; None if it is what is imported, or is nowhere to be found."""
    if not _is_other_source(run.state):
        return None
    recorded, here = run.state["source"], own_source()
    roots = [recorded["root"], *([] if here is None else [here["root"]]), os.getcwd()]
    return stack.enter_context(
        _worktree(roots, recorded["commit"], run.folder / OWN_DIFFERENCE, Path(scratch, "fastmlp"))
    )


def refuse_other_code(run):
    """Refuse to go on with a run or sweep by other code than it began with.

    Raises
    ------
    ExperimentError
    """
    if _is_other_source(run.state):
        raise ExperimentError(
            f"{run.name} is not done, and was begun by another fastmlp: it goes on by commit"
            f" {run.state['source']['commit']} of {run.state['source']['root']} with its {OWN_DIFFERENCE}."
        )
    began, here = run.state["git"], git_state()
    if "." not in run.state["experiment"]["estimator"]["name"] or began is None:
        return  # the code is fastmlp's, or nothing is known of it
    if here is None or (here["commit"], difference_hash(here)) != (began["commit"], began["difference"]):
        raise ExperimentError(
            f"{run.name} is not done, and its code has changed: it goes on in a checkout of {began['commit']}"
            " with its difference.patch."
        )


def _environment(differing, source, scratch, tell):
    """The Python of an environment with what is here, and before it the recorded versions of what differs.

    Parameters
    ----------
    differing : dict of str to tuple
        As `_other_versions` gives it.
    source : path or None
        A checkout of fastmlp to build it from, with the tools that are installed here.
    scratch : str
    tell : callable
    """
    wanted = [f"{name}=={version}" for name, (version, _) in differing.items()]
    shown = wanted if source is None else [*wanted, "fastmlp of its commit, which is built"]
    tell(f"an environment is made with {', '.join(shown)}")
    place = Path(scratch, "environment")
    own_pip = find_spec("pip") is None
    venv.create(place, with_pip=own_pip)
    python = place / "bin" / "python"
    (packages,) = place.glob("lib/python*/site-packages")
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    here = [path for path in map(os.path.abspath, sys.path) if os.path.isdir(path) and path not in standard]
    (packages / "here.pth").write_text("".join(f"{path}\n" for path in here if not path.endswith("lib-dynload")))
    pip = [python, "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", python]
    install = [*pip, "install", "-q", "--no-deps", "--ignore-installed"]
    for what in (wanted, [] if source is None else ["--no-build-isolation", source]):
        done = subprocess.run([*install, *what], capture_output=True, text=True) if what else None
        if done is not None and done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["it failed"]
            raise ExperimentError(
                f"pip cannot install the recorded versions: {said[-1].removeprefix('ERROR: ')}."
                " With --here the run is trained with the versions that are here."
            )
    return str(python)


def _trained(run, path, python, folder, scratch):
    runs = Path(scratch, "runs")
    command = [python, "-c", _PROGRAM, "run", str((run.folder / "experiment.toml").absolute()), "--data", path]
    # what is made goes before what is here, in the environment's own path
    env = os.environ if python == sys.executable else {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [*command, "--runs", str(runs), "--keep-data", "0", "--no-mlflow", "--quiet"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=env,
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
