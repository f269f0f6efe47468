"""What notebooks show of a model, within scikit-learn's HTML: layers, parameters, last losses; columns and members."""

from contextlib import suppress
from html import escape

import numpy as np

from ..training.arrays import for_each
from .inputs import hidden_units

__all__ = ["ROWS_OF_TABLES", "NetworkReprMixin"]

_MOST_COLUMNS = 12  # of a kind that are named

_ROW = '<tr class="default"><td style="padding: .5em">{}</td><td style="padding: .5em">{}</td></tr>'
# classes of scikit-learn's table of parameters, which stands below
_TABLE = '<div class="estimator-table"><table class="parameters-table"><tbody>{}</tbody></table></div>'


class NetworkReprMixin:
    """Puts a summary of the network above the parameters in scikit-learn's diagrams, within others' diagrams too."""

    def _get_params_html(self, *args, **kwargs):
        params = super()._get_params_html(*args, **kwargs)
        with suppress(AttributeError):  # this is no interface: where it is another, scikit-learn's HTML stays as it is
            table = params._html_repr
            params._html_repr = lambda: _summary(self) + table()
        return params

    def _told(self):
        """Rows of the summary: name -> function of the estimator that gives a text, if there is one."""
        return _ROWS


def _summary(estimator):
    """A table about the estimator, as HTML."""
    rows = []
    for name, describe in estimator._told().items():
        # fitted attributes may be gone, or anything: what cannot be told of them is left out
        with suppress(Exception):
            if text := describe(estimator):
                rows.append(_ROW.format(escape(name), escape(text)))
    return _TABLE.format("".join(rows)) if rows else ""


def _arrays(estimator):
    return [np.asarray(array) for array in (*estimator.coefs_, *estimator.intercepts_)]


def _layers(estimator):
    if hasattr(estimator, "coefs_"):
        shapes = [np.shape(coef) for coef in estimator.coefs_]
        units = [shapes[0][0], *(n_out for _, n_out in shapes)]
        segments, last = estimator._segments, estimator.out_activation_
        if segments is not None:
            units[-1] = " + ".join(map(str, segments))
    else:
        units, last = ["features", *hidden_units(estimator.hidden_layer_sizes), "outputs"], ""
    hidden = for_each(estimator.activation, len(units) - 2)
    return " → ".join(f"{n} {name}".strip() for n, name in zip(units, ["", *hidden, last], strict=True))


def _size(estimator):
    if not hasattr(estimator, "coefs_"):
        return None
    arrays = _arrays(estimator)
    n_bytes, unit = float(sum(array.nbytes for array in arrays)), "B"
    for larger in ("kB", "MB", "GB"):
        if n_bytes >= 1000:
            n_bytes, unit = n_bytes / 1000, larger
    return f"{sum(array.size for array in arrays):,} parameters ({np.result_type(*arrays)}, {n_bytes:.3g} {unit})"


def _training(estimator):
    if not hasattr(estimator, "loss_"):
        return None
    # n_iter_ is of the last call, the curve of all that went on from one another
    by_epochs = hasattr(estimator, "loss_curve_")
    n, what = (len(estimator.loss_curve_), "epoch") if by_epochs else (estimator.n_iter_, "iteration")
    return f"{n:,} {what}{'' if n == 1 else 's'}, loss {estimator.loss_:.4g}"


def _validation(estimator):
    told = []
    if losses := getattr(estimator, "validation_loss_curve_", None):
        told.append(f"loss {losses[-1]:.4g}")
    if scores := getattr(estimator, "validation_scores_", None):
        told.append(f"score {scores[-1]:.4g}, best {estimator.best_validation_score_:.4g}")
    return ", ".join(told)


_ROWS = {"Layers": _layers, "Size": _size, "Training": _training, "Validation": _validation}


def _columns(roles, more=lambda column: ""):
    """What tells how many columns there are of some roles, and which."""

    def described(estimator):
        columns = [column for column in estimator.encoder_.columns_ if column.role in roles]
        names = [f"{column.name}{more(column)}" for column in columns[:_MOST_COLUMNS]]
        names += ["…"] * (len(columns) > _MOST_COLUMNS)
        return f"{len(columns):,}: {', '.join(names)}" if columns else None

    return described


def _levels(column):
    return f" ({len(column.levels) + column.pooled:,} levels)"


def _range(numbers):
    least, greatest = min(numbers), max(numbers)
    return f"{least:,}" if least == greatest else f"{least:,} to {greatest:,}"


def _members(estimator):
    members = estimator.members_
    sizes = [sum(array.size for array in member.parameters) for member in members]
    n_recipes = len({repr(member.recipe) for member in members})
    recipes = f"{n_recipes} recipes, " if n_recipes > 1 else ""
    best = _range([member.best_epoch_ for member in members])
    return f"{len(members)} of {recipes}{_range(sizes)} parameters, best epochs {best} of {estimator.n_iter_:,}"


ROWS_OF_TABLES = {
    "Numbers": _columns(["number"]),
    "Dates": _columns(["date"], lambda column: f" ({', '.join(column.fields)})"),
    "Categories": _columns(["binary", "onehot", "embedding"], _levels),
    "Empty columns": _columns(["empty"]),
    "Members": _members,
    "Out-of-fold score": lambda estimator: f"{estimator.oof_score_:.4g}",
}
