"""The checkpoint of an ensemble over a table: what tells its fit from others, and the seed that it goes on with."""

from dataclasses import asdict

import numpy as np
from sklearn.utils import check_random_state

from ..training.checkpoint import Checkpoint
from ..training.documents import is_count
from ..training.identity import fingerprint
from ..training.kept_members import MOST_SEED, KeptMembers
from ..training.recipes import Recipe
from .parameters import with_effect

__all__ = ["kept_members", "seed_of"]


def kept_members(estimator, rows, n_members, expected, seed):
    """The members that the checkpoint of an estimator has, and where others go; None without `checkpoint_path`.

    Parameters
    ----------
    estimator : BaseTabularMLP
        In `fit`, once it knows columns and targets.
    rows : _Rows
    n_members, expected
        As `KeptMembers` has them.
    seed : int
        Of `seed_of`.

    Raises
    ------
    ValueError, OSError
        As those of `fingerprint` and `KeptMembers`.
    """
    path = estimator.checkpoint_path
    if path is None:
        return None
    identity = _identity(estimator, rows)
    shortened = estimator.time_limit is not None
    kept = KeptMembers(path, identity, n_members, expected, estimator.n_outputs_, shortened)
    kept.seed = seed
    return kept


def _identity(estimator, rows):
    """What tells a fit from others: the parameters that its members depend on, and the data as they see them."""
    params = with_effect(estimator.get_params(deep=False))
    if isinstance(estimator.recipe, Recipe):
        params["recipe"] = asdict(estimator.recipe)
    params["portfolio"] = [asdict(recipe) for recipe in estimator._own_recipes()]
    n, weight, encoder = rows.n_train, rows.score_weight, estimator.encoder_.state()
    given = {
        "X": (rows.X[:n], rows.codes[:n], encoder["names"], encoder["columns"]),
        "y": rows.labels[:n],
        "sample_weight": None if weight is None else weight[:n],
    }
    if rows.files is not None:
        source = rows.files.source
        X, codes, y, weight = rows.files.data
        given |= {
            "X": (X, codes, encoder["names"], encoder["columns"], source.blocks, source.window_rows),
            "y": y,
            "sample_weight": weight,
        }
    if n < len(rows.X):
        given |= {"X_val": (rows.X[n:], rows.codes[n:]), "y_val": rows.labels[n:]}
    return fingerprint(params, given)


def seed_of(random_state, path):
    """The seed of a sample, of folds and of members: that of the checkpoint at a path, or one that is drawn.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An instance goes on as if it was drawn from in any case.
    path : str, path-like or None

    Raises
    ------
    ValueError, OSError
        As those of `Checkpoint`.
    """
    random_state = check_random_state(random_state)
    state = None if path is None else Checkpoint(path, 1).read()
    kept = state.get("seed") if isinstance(state, dict) else None
    resumed = is_count(kept) and kept <= MOST_SEED  # what else is wrong with it, KeptMembers says
    if resumed and random_state is np.random.mtrand._rand:  # NumPy's own is left as it is
        return kept
    drawn = random_state.randint(MOST_SEED + 1)
    return kept if resumed else drawn
