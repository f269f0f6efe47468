"""What the members of an ensemble over a table are: recipes, rows, plans; and what they come to together."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..data.encoded import EncodedRows
from ..training.recipes import Shuffled

__all__ = ["Ensemble", "Plan", "Rows", "outputs_of_turn", "work"]


class Plan(NamedTuple):
    """What the networks of a recipe are made of, and their shapes."""

    layers: list
    dropout: list
    loss: str
    loss_options: dict
    uses_blas: bool
    shapes: list  # of the parameters


class Ensemble(NamedTuple):
    """What each member is, by its number."""

    recipes: tuple
    plans: list  # one for each recipe
    n_members: int  # the most
    n_folds: int
    division: Callable  # seed -> (repeat, fold) -> the rows that a member trains on, and those that it holds out

    def recipe_of(self, number):
        return self.recipes[self._place(number)[1]]

    def rows_of(self, seed, number):
        repeat, _, fold = self._place(number)
        return self.division(seed)(repeat, fold)

    def plan_of(self, number):
        return self.plans[self._place(number)[1]]

    def expected(self, seed, number):
        """What `KeptMembers` asks for."""
        return self.recipe_of(number), self.plan_of(number).shapes, self.rows_of(seed, number)[1]

    def _place(self, number):
        """Repeat, recipe and fold."""
        turn, fold = divmod(number, self.n_folds)
        return *divmod(turn, len(self.recipes)), fold


class Rows(NamedTuple):
    """Rows as the engine takes them, and the targets as scorers take them; those of a validation set come last."""

    X: np.ndarray
    codes: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None  # of the loss and the default score; with class_weight in it
    labels: np.ndarray
    score_weight: np.ndarray | None  # of other scores
    n_train: int
    files: EncodedRows | None = None  # all rows to train on, if memory has only a sample of them or validation data

    def of_member(self, own, held_out):
        """Data and rows of a member as `train_member` takes them."""
        if self.files is None:
            return (self.X, self.codes, self.y, self.sample_weight), Shuffled(own)
        return self.files.data, self.files.all_but(held_out if self.n_train else held_out[:0])


def outputs_of_turn(turn, n_rows, n_outputs):
    """Outputs of members for the rows that they held out, averaged where several did; NaN elsewhere."""
    total, count = np.zeros((n_rows, n_outputs), dtype=np.float32), np.zeros((n_rows, 1), dtype=np.float32)
    for _, held_out, outputs in turn:
        total[held_out] += outputs
        count[held_out] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def work(n_continuous, n_numbers, recipe):
    """What an epoch of a recipe costs beside one of another: multiplications of a row, roughly."""
    width = recipe.number_width * bool(recipe.frequencies) + recipe.piecewise_width * bool(recipe.n_bins)
    units = [n_continuous * width + n_numbers, *recipe.hidden_layer_sizes]
    embedding = n_continuous * (20 * recipe.frequencies + recipe.number_width * recipe.frequencies + recipe.n_bins)
    return embedding + sum(a * b for a, b in pairwise(units)) + 100 * sum(units)
