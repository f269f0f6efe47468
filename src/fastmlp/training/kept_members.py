"""The members of an ensemble as a checkpoint has them: written after each that is trained, checked, taken over."""

import math
from dataclasses import replace

import numpy as np

from .checkpoint import Checkpoint
from .documents import are_arrays, is_count, require
from .ensembles import Member, Result

__all__ = ["MOST_SEED", "KeptMembers"]

MOST_SEED = 2**31 - 2  # of an ensemble
_STATE = {"identity", "seed", "finished", "members"}
_MEMBER = {"number", "epochs", "parameters", "losses", "scores", "best_epoch", "outputs"}


class KeptMembers:
    """The members of an ensemble in a file, which the same fit goes on from.

    Members are functions of their number and the seed, so that these two, and what has come of them, are all that is
    kept.

    Parameters
    ----------
    path : str or path-like
        As `Checkpoint` has it.
    identity : dict
        The `fingerprint` of the fit.
    n_members : int
        The most members.
    expected : callable
        (seed, number of a member) -> its recipe, the shapes of its parameters and the numbers of the rows that it holds
        out.
    n_outputs : int
    shortened : bool, default=False
        Whether members may have fewer epochs than their recipe.

    Attributes
    ----------
    seed : int or None
        Of the file; None where there is none. It is to be set before the first `write`.
    results : dict of int to Result
        Of the file, by number, ascending.
    finished : bool
        Whether the fit that wrote the file came to its end.

    Raises
    ------
    ValueError, OSError
        As those of `Checkpoint`.
    """

    def __init__(self, path, identity, n_members, expected, n_outputs, shortened=False):
        self.identity, self.n_members = identity, n_members
        self.expected, self.n_outputs, self.shortened = expected, n_outputs, shortened
        self.checkpoint = Checkpoint(path, 1)
        self.seed, self.results, self.finished = None, {}, False
        state = self.checkpoint.read(identity, self.check)
        if state is not None:
            self.seed, self.finished = state["seed"], state["finished"]
            self.results = {member["number"]: self._result(member) for member in state["members"]}

    def write(self, results, finished=False):
        """Put results, by number, in the place of those in the file."""
        members = [_state_of(number, result) for number, result in sorted(results.items())]
        state = {"identity": self.identity, "seed": self.seed, "finished": finished, "members": members}
        self.checkpoint.write(state)

    def _result(self, state):
        """The opposite of `_state_of`, of a state that was checked."""
        recipe, shapes, held_out = self.expected(self.seed, state["number"])
        parts = np.split(state["parameters"], np.cumsum([math.prod(shape) for shape in shapes])[:-1])
        parameters = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        curves = state["losses"].tolist(), state["scores"].tolist()
        member = Member(replace(recipe, epochs=state["epochs"]), parameters, *curves, state["best_epoch"])
        return Result(member, held_out, state["outputs"])

    def check(self, state, with_values):
        """Refuse what `write` gives of no fit like this one.

        Parameters
        ----------
        state : object
        with_values : bool
            Whether its arrays are there, beyond their shapes and dtypes, on which all depends here.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            That says what is wrong.
        """
        require(state.keys() == _STATE, "it has other parts")
        seed, members = state["seed"], state["members"]
        require(is_count(seed) and seed <= MOST_SEED, f"its seed is {seed!r}")
        require(type(state["finished"]) is bool, f"finished is {state['finished']!r}")
        require(isinstance(members, list) and members, "it has no members")
        numbers = [member["number"] for member in members]
        in_range = all(is_count(number) and number < self.n_members for number in numbers)
        require(in_range and sorted({*numbers}) == numbers, f"it has the members {numbers}")
        for member in members:
            self._check_member(seed, member)

    def _check_member(self, seed, member):
        require(member.keys() == _MEMBER, "a member has other parts")
        number, epochs, best = (member[name] for name in ("number", "epochs", "best_epoch"))
        recipe, shapes, held_out = self.expected(seed, number)
        least = 1 if self.shortened else recipe.epochs
        require(is_count(epochs) and least <= epochs <= recipe.epochs, f"member {number} has {epochs!r} epochs")
        curves = [member["losses"], member["scores"]]
        of_floats = are_arrays(curves, "f", 1) and all(curve.dtype == np.float64 for curve in curves)
        require(of_floats, f"member {number} has no curves")
        n_losses, n_scores = map(len, curves)
        # an epoch with a loss that is not finite has no score
        fits = 1 <= n_losses <= epochs and n_scores in (n_losses, n_losses - 1)
        require(fits, f"member {number} has {n_losses} losses and {n_scores} scores of {epochs} epochs")
        require(is_count(best) and best <= n_scores, f"member {number} has its best in epoch {best!r}")
        for name, shape in (
            ("parameters", (sum(map(math.prod, shapes)),)),
            ("outputs", (len(held_out), self.n_outputs)),
        ):
            array = member[name]
            fits = are_arrays([array], "f") and (array.dtype, array.shape) == (np.float32, shape)
            require(fits, f"member {number} has other {name}")


def _state_of(number, result):
    """A result as plain values and arrays; its parameters are one vector."""
    member = result.member
    return {
        "number": number,
        "epochs": member.recipe.epochs,
        "parameters": np.concatenate([array.ravel() for array in member.parameters]),
        "losses": np.array(member.loss_curve_, dtype=np.float64),
        "scores": np.array(member.validation_scores_, dtype=np.float64),
        "best_epoch": member.best_epoch_,
        "outputs": result.outputs,
    }
