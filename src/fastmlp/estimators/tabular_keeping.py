"""The checkpoint of an ensemble over a table: what tells its fit from others, and the seed that it goes on with."""

from dataclasses import asdict

import numpy as np
from sklearn.utils import check_random_state

from ..training.identity import fingerprint
from ..training.kept_members import MOST_SEED, KeptMembers
from ..training.recipes import Recipe
from .parameters import with_effect

__all__ = ["kept_members", "seed_of"]


def kept_members(estimator, rows, n_members, expected):
    """The members that the checkpoint of an estimator has, and where others go; None without `checkpoint_path`.

    Parameters
    ----------
    estimator : BaseTabularMLP
        In `fit`, once it knows columns and targets.
    rows : _Rows
    n_members, expected
        As `KeptMembers` has them.

    Raises
    ------
    ValueError, OSError
        As those of `fingerprint` and `KeptMembers`.
    """
    path = estimator.checkpoint_path
    if path is None:
        return None
    identity = _identity(estimator, rows)
    return KeptMembers(path, identity, n_members, expected, estimator.n_outputs_, estimator.time_limit is not None)


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


def seed_of(random_state, kept):
    """The seed of folds and members: that of a checkpoint, or one that is drawn, and then goes there.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An instance goes on as if it was drawn from in any case.
    kept : KeptMembers or None
    """
    random_state = check_random_state(random_state)
    resumed = kept is not None and kept.seed is not None
    if resumed and random_state is np.random.mtrand._rand:  # NumPy's own is left as it is
        return kept.seed
    drawn = random_state.randint(MOST_SEED + 1)
    if resumed:
        return kept.seed
    if kept is not None:
        kept.seed = drawn
    return drawn
