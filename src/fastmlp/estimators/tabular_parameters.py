"""The parameters that the estimators of tables share: constraints, documentation, and the recipes that they name."""

from dataclasses import fields, replace
from numbers import Integral, Real

from sklearn.metrics import get_scorer_names

from ..borrowed import Interval, StrOptions
from ..training.recipes import Recipe
from .parameters import CONSTRAINTS

__all__ = ["DEFAULT_MEMBERS", "TABULAR_CONSTRAINTS", "TABULAR_DOCUMENTATION", "recipes_in_effect"]

DEFAULT_MEMBERS = 15
TABULAR_CONSTRAINTS = {
    "n_members": [Interval(Integral, 1, None, closed="left"), None],
    "time_limit": [Interval(Real, 0, None, closed="neither"), None],
    "scoring": [StrOptions({*get_scorer_names()}), callable, None],
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "max_iter": [*CONSTRAINTS["max_iter"], None],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_jobs": CONSTRAINTS["n_jobs"],
    "callbacks": CONSTRAINTS["callbacks"],
    "checkpoint_path": CONSTRAINTS["checkpoint_path"],
    "verbose": CONSTRAINTS["verbose"],
    "random_state": CONSTRAINTS["random_state"],
    "recipe": [Recipe, dict, None],
}
TABULAR_DOCUMENTATION = {
    # with {n_members}, the default, and {score}, what decides without a scorer
    "network": """\
    n_members : int, default=None
        Networks whose outputs are averaged. Up to nine are trained by one recipe, each on all folds but one, and this
        fold decides its best epoch. Ten and more are trained by several recipes, five by each; the weights of the
        recipes in the average are chosen by what their members predict for the folds that they hold out [2]_. A single
        member is a wider network, trained for longer, which holds out `validation_fraction` of the rows. None is
        {n_members}, or with `time_limit` as many as there is time for; a number given beside `time_limit` is the most
        of them.
    time_limit : float, default=None
        Seconds that `fit` may take. Members then begin while there is time, the last with fewer epochs. A member ends
        where its next epoch would take longer than the time that is left. Without a limit the same `random_state` gives
        the same bits on any number of threads.
    scoring : str, callable or None, default=None
        What decides the best epoch: a scorer of scikit-learn's. None is {score}. Callables get the held-out rows as the
        numbers that the networks see.
    categorical_features : "from_dtype", array-like of str, int or bool, or None, default="from_dtype"
        Columns of categories. "from_dtype": those of strings, categories, bools and objects that are not all numbers or
        dates; else those of these names or positions, or this mask, or none. Others must be numbers or dates.""",
    "training": """\
    max_iter : int, default=None
        Epochs of a member. None is that of the recipe.
    validation_fraction : float, default=0.2
        Share of the rows that a single member holds out. No effect with more members or `X_val`.
    n_jobs : int, default=None
        Most threads, each of which trains a member; -1 is all cores. None is the physical cores. Prediction takes as
        many where the rows are worth it.
    callbacks : callable, list of callable or None, default=None
        Functions of (estimator, epoch, metrics), called after every epoch of a member: an estimator fitted with this
        member alone, as it is then; the number of the epoch from 1; a dict of "member", "loss" and
        "validation_score". One that returns True ends the member. They are called by the members' threads, one at a
        time.
    checkpoint_path : str, path or None, default=None
        File to which `fit` writes each member as it is trained. The same call finds them there, if it was killed or
        interrupted, trains those that are left and comes to the same model bit for bit; after other parameters or data
        the file is refused. With `time_limit` the time starts anew. It stays when `fit` is done.
    verbose : bool or int, default=False
        Print a line for each tenth of a member's epochs; above 1 for each epoch.
    random_state : int, RandomState instance or None, default=None
        Source of folds, initial weights, orders of rows and dropout.
    recipe : Recipe, dict or None, default=None
        Hyperparameters of the networks and their training, see `fastmlp.training.recipes.Recipe`. None is a portfolio
        of recipes, `fastmlp.training.portfolio`; a dict changes all of them, and a `Recipe` takes their place.""",
    # with {shape} and {what} of the predictions
    "attributes": """\
    n_features_in_ : int
        Columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.
    n_outputs_ : int
        Outputs of each network.
    encoder_ : TableEncoder
        Makes numbers and codes of the columns. It was fitted to all training rows, which needs no targets.
    members_ : list of Member
        The networks that have a part in the average. Each has `recipe`, `weight_`, `loss_curve_`, `validation_scores_`
        and `best_epoch_`, the epoch that it kept.
    n_iter_ : int
        Most epochs of a member.
    oof_prediction_ : ndarray of shape {shape}
        Out-of-fold predictions: {what} of each training row by the members that did not train on it; NaN for rows that
        all members trained on. Neither with `X_val`, nor after a fit to a source of more rows than its window, nor in a
        pickle, which does not grow with the rows.
    oof_score_ : float
        Their score, as `scoring` says. The rows have decided the best epochs, which makes it a little too high. Not
        with `X_val`.""",
    "references": """\
    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart: Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular
       Data, 2024.
    .. [2] Caruana, Niculescu-Mizil, Crew, Ksikes: Ensemble Selection from Libraries of Models, 2004.""",
}


def recipes_in_effect(portfolio, given, max_iter, smooths):
    """The recipes of the members, in the order in which they are trained.

    Parameters
    ----------
    portfolio : tuple of Recipe
    given : Recipe, dict or None
        The parameter `recipe`.
    max_iter : int or None
        Epochs in place of those of the recipes.
    smooths : bool
        Whether labels may be smoothed: they are good for classes, and not for probabilities.

    Returns
    -------
    recipes : tuple of Recipe

    Raises
    ------
    ValueError
        If a name or value of `given` is none of a recipe's.
    """
    changed = dict(given) if isinstance(given, dict) else {}
    known = [field.name for field in fields(Recipe)]
    for name in changed:
        if name not in known:
            raise ValueError(f"recipe has {name!r}, which is none of {', '.join(known)}.")
    if max_iter is not None:
        changed["epochs"] = int(max_iter)
    if not smooths:
        changed["label_smoothing"] = 0.0
    recipes = (given,) if isinstance(given, Recipe) else portfolio
    return tuple(replace(recipe, **changed) for recipe in recipes)
