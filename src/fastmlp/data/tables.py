"""Tables as a network takes them: float32 numbers, and int32 codes of levels beside them."""

import math
import warnings
from datetime import date
from itertools import accumulate

import numpy as np
from sklearn.exceptions import NotFittedError

from .columns import as_category, as_dates, as_numbers, of_objects
from .encoding import Encoding
from .fitting import (
    NumericColumn,
    add_levels,
    are_categorical,
    check_most_onehot_levels,
    date_fields,
    fitted_levels,
    fitted_numbers,
    least_rows,
)
from .frames import described, few_rows, read_table
from .states import columns_of, state_of

__all__ = ["TableEncoder"]

_CHUNK = 2048  # rows whose numbers are in the cache together
_LARGE = 1e9  # from here on the smooth clip gives 3 to the last bit of float64
_PER_DAY = {"": 1.0, "days": 1.0, "hour": 24.0}  # derivatives of numbers, and of the fields of dates per day


class TableEncoder:
    """Columns of a table as numbers and codes, learned from training rows.

    A column of numbers is centred, scaled and smoothly clipped: x <- (x - median) / (q75 - q25), then
    x / sqrt(1 + (x / 3)^2), between -3 and 3 [1]_. A gap becomes the median, and sets an indicator if training had
    gaps. Dates become the days since 1970, the year, the month, the day of the week (Monday is 0) and the hour with its
    fraction, as far as these vary, all in UTC; durations and times of the day become seconds.

    A column of levels becomes a code, or a single number if it has two. Levels are told apart by their value, so that
    3, 3.0 and "3" are one (`level_key`), as are True and 1 where a column has only one of them. Missing values are a
    level if training has some, and else are unseen.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of str, int or bool, or None, default="from_dtype"
        Which columns hold levels: those of strings, bools, categories (pandas category, Polars Enum and Categorical,
        Arrow dictionaries) and objects that are not all numbers or dates; or those of these names, positions or this
        mask, or none. The others must be numbers or dates.
    min_frequency : "auto", int or float, default="auto"
        Levels in fewer training rows than this number, or this share of the rows, become one, which stands for unseen
        levels too. "auto": n_rows / 5000, at least 2 and at most 10. Columns of one or two levels are left as they
        are.
    max_onehot_levels : int, default=9
        Columns of more levels, one for missing values included, are to be embedded; the others are "onehot".
    estimator : str, default="TableEncoder"
        The name that messages give to the estimator.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of object
        If all columns have names that are strings.
    columns_ : list of NumericColumn and CategoricalColumn
        In the order of training.
    number_names_ : list of str
        Of the numbers: first the continuous ones, then binary columns, then indicators of gaps.
    n_continuous_ : int
        How many of the numbers are continuous.
    knots_ : list of ndarray of float32
        Of each of these: edges between which there are equally many training rows, ascending.
    code_columns_ : list of CategoricalColumn
        Of the codes: first one-hot columns, then those to be embedded.
    n_onehot_ : int
        How many of the codes are one-hot.
    n_levels_ : ndarray of int32
        Number of codes of each of them.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart: Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular
       Data, 2024.
    """

    def __init__(
        self, *, categorical_features="from_dtype", min_frequency="auto", max_onehot_levels=9, estimator="TableEncoder"
    ):
        self.categorical_features = categorical_features
        self.min_frequency = min_frequency
        self.max_onehot_levels = max_onehot_levels
        self.estimator = estimator

    def fit(self, X, rows=None):
        """Learn scales and levels.

        Parameters
        ----------
        X : table
            See `frames.read_table`.
        rows : ndarray of int or bool or None, default=None
            Which rows are for training; None: all.

        Returns
        -------
        self : TableEncoder

        Raises
        ------
        TypeError, ValueError
            If a column cannot be taken, or a parameter is wrong; then nothing has changed.
        """
        self._fit(read_table(X, self.estimator), rows)
        return self

    def fit_transform(self, X, rows=None):
        """`fit`, and `transform` of all rows, reading them once.

        Returns
        -------
        numbers : ndarray of float32 of shape (n_rows, n_numbers)
        codes : ndarray of int32 of shape (n_rows, n_codes)
        """
        return self._encoded(self._fit(read_table(X, self.estimator), rows))

    def transform(self, X):
        """Numbers and codes of rows.

        Parameters
        ----------
        X : table
            With the columns seen in `fit`, in any order; by position if it has no names.

        Returns
        -------
        numbers : ndarray of float32 of shape (n_rows, n_numbers)
            C-contiguous.
        codes : ndarray of int32 of shape (n_rows, n_codes)
            C-contiguous; negative where a level is unseen or missing and has no code.

        Raises
        ------
        TypeError, ValueError
            If columns lack, are unknown, or have other values.
        """
        if not hasattr(self, "columns_"):
            raise NotFittedError(f"This {self.estimator} instance is not fitted yet. Call 'fit' first.")
        rows = few_rows(X, self._names, self.n_features_in_)
        if rows is not None and (encoded := self._encoded_rows(rows)) is not None:
            if self._names is not None and (rows is X or type(X) is np.ndarray):
                self._warn_of_names(None)
            return encoded
        return self._encoded(self._columns(X))

    def fit_summary(self, summary):
        """Learn scales and levels of rows that came in blocks, of which a sample has stayed in memory.

        Levels, their rows, gaps, and the lowest and the highest number of a column are those of all rows. Medians,
        quartiles and knots are those of the sample: the share of all values below one that has the share p of a sample
        of k values below it is within e of p, but for a probability of 2 exp(-2 k e^2) [1]_; of 131,072 values within
        0.005, but for 1 in 350.

        Parameters
        ----------
        summary : TableSummary
            Of this encoder, with all blocks.

        Returns
        -------
        self : TableEncoder

        References
        ----------
        .. [1] Massart: The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, 1990.
        """
        self._set(summary.fitted(), summary.names)
        return self

    def transform_with_slopes(self, X):
        """`transform`, and how the continuous numbers move with their columns.

        Parameters
        ----------
        X : table
            As of `transform`.

        Returns
        -------
        numbers, codes : ndarray
            As of `transform`.
        slopes : ndarray of float64 of shape (n_rows, n_continuous)
            The derivative of each number with respect to the value in its column, of a date in days; NaN for gaps. The
            year, the month and the day of the week jump, and have 0.

        Raises
        ------
        TypeError, ValueError
            As of `transform`.
        """
        columns = self._columns(X)
        numbers, codes = self._encoded(columns)
        x = np.empty((len(numbers), self.n_continuous_))
        for j, source in enumerate(self._sources(columns)):
            x[:, j] = source
        gaps = np.isnan(x)
        # the derivative of u / sqrt(1 + (u / 3)^2) is (1 + (u / 3)^2)^(-3/2)
        slopes = (1.0 + np.square(self._centred(x) / 3.0)) ** -1.5
        slopes *= self._scale * [_PER_DAY.get(one, 0.0) for _, column, _ in self._numeric for one in column.fields]
        slopes[gaps] = math.nan
        return numbers, codes, slopes

    # fitting

    def _fit(self, table, rows):
        """Set the fitted attributes.

        Returns
        -------
        columns : list of Column
        """
        columns = [table.column(i) for i in range(table.n_columns)]
        names = range(table.n_columns) if table.names is None else table.names
        categorical = are_categorical(self.categorical_features, columns, table.names)
        rows = np.arange(table.n_rows) if rows is None else np.arange(table.n_rows)[rows]
        if len(rows) == 0:
            raise ValueError("rows must be at least one row of X.")
        least = least_rows(self.min_frequency, len(rows))
        check_most_onehot_levels(self.max_onehot_levels)

        def fitted(name, column, is_categorical):
            if not is_categorical:
                return fitted_numbers(name, column, rows)
            column, counts = as_category(column, described(name)), {}
            add_levels(counts, column._replace(values=column.values[rows]))
            return fitted_levels(name, counts, column.ordered, least, self.max_onehot_levels)

        self._set([*map(fitted, names, columns, categorical)], table.names)
        return columns

    def _set(self, fitted, names):
        """Everything that follows from the fitted columns."""
        self._names = names
        self.columns_, self.n_features_in_ = fitted, len(fitted)
        vars(self).pop("feature_names_in_", None)
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.array(names, dtype=object)
        by_role = {role: [] for role in ("number", "date", "empty", "binary", "onehot", "embedding")}
        for position, column in enumerate(fitted):
            by_role[column.role].append((position, column))
        numeric = [(i, column) for i, column in enumerate(fitted) if isinstance(column, NumericColumn)]
        starts = [0, *accumulate(len(column.fields) for _, column in numeric)]
        self._numeric = [(i, column, start) for (i, column), start in zip(numeric, starts[:-1], strict=True)]
        self._center = np.concatenate([np.empty(0), *(column.center for _, column in numeric)])
        self._scale = np.concatenate([np.empty(0), *(column.scale for _, column in numeric)])
        self._binary = [(i, *column.codes(), column.constants.tolist()) for i, column in by_role["binary"]]
        coded = by_role["onehot"] + by_role["embedding"]
        self._coded = [(i, *column.codes()) for i, column in coded]
        with_gaps = [(start, column) for _, column, start in self._numeric if column.indicator is not None]
        self.n_continuous_, self.n_onehot_ = starts[-1], len(by_role["onehot"])
        self.code_columns_ = [column for _, column in coded]
        self.n_levels_ = np.array([column.n_levels for column in self.code_columns_], dtype=np.int32)
        self.number_names_ = [
            *(f"{column.name}: {one}" if one else str(column.name) for _, column in numeric for one in column.fields),
            *(str(column.name) for _, column in by_role["binary"]),
            *(f"{column.name}: missing" for _, column in with_gaps),
        ]
        self._dates = [(i, column, start) for i, column, start in self._numeric if column.role == "date"]
        self._encoding = Encoding(
            self.n_features_in_,
            self._center,
            self._scale,
            [(i, start) for i, column, start in self._numeric if column.role != "date"],
            self._binary,
            self._coded,
            [start for start, _ in with_gaps],
            np.array([column.indicator for _, column in with_gaps]).reshape(-1, 2).T,
        )
        knots = [one[~np.isnan(one)] for _, column in numeric for one in column.knots]
        self.knots_ = [np.unique(self._scaled_of(j, one)) for j, one in enumerate(knots)]

    # encoding

    def _encoded(self, columns):
        """Numbers and codes of columns in the order of training."""
        n = len(columns[0].values)
        numbers = np.empty((n, len(self.number_names_)), dtype=np.float32)
        codes = np.empty((n, len(self._coded)), dtype=np.int32)
        self._fill_continuous(columns, numbers)
        for j, (i, codes_of, unseen, constants) in enumerate(self._binary, self.n_continuous_):
            numbers[:, j] = np.array(constants)[_codes_of(columns[i], codes_of, unseen, self._where(i))]
        for j, (i, codes_of, unseen) in enumerate(self._coded):
            codes[:, j] = _codes_of(columns[i], codes_of, unseen, self._where(i))
        return numbers, codes

    def _columns(self, X):
        """The columns of a table in the order of training."""
        table = read_table(X, self.estimator)
        return [table.column(i) for i in self._positions(table)]

    def _where(self, i):
        return described(self.columns_[i].name)

    def _sources(self, columns):
        """The values of each continuous number, NaN where there is none."""
        n = len(columns[0].values)
        sources = []
        for i, column, _ in self._numeric:
            if column.role == "date":
                sources += date_fields(as_dates(columns[i], self._where(i)), column.fields)
            elif column.role == "empty":
                sources.append(np.broadcast_to(math.nan, n))
            else:
                sources.append(as_numbers(columns[i], self._where(i)))
        return sources

    def _fill_continuous(self, columns, numbers):
        n = len(numbers)
        sources = self._sources(columns)
        x = np.empty((min(n, _CHUNK), len(sources)))
        for start in range(0, n, _CHUNK):
            stop = min(start + _CHUNK, n)
            for j, source in enumerate(sources):
                x[: stop - start, j] = source[start:stop]
            if not self._encoding.fill(x[: stop - start], numbers[start:stop]):
                self._refuse_infinite(x[: stop - start])

    def _refuse_infinite(self, x):
        for j in np.flatnonzero(np.isinf(x).any(axis=0)):
            name = next(column.name for _, column, start in reversed(self._numeric) if start <= j)
            raise ValueError(f"{described(name)} contains infinity or a value too large for float64.")

    def _scaled_of(self, j, values):
        """Values of the j-th continuous column as they are given to networks."""
        x = np.zeros((len(values), self.n_continuous_))
        x[:, j] = values
        numbers = np.empty((len(values), len(self.number_names_)), dtype=np.float32)
        self._encoding.fill(x, numbers)
        return numbers[:, j]

    def _centred(self, x):
        """Centred and scaled numbers, none of them NaN. x is written over."""
        with np.errstate(over="ignore", invalid="ignore"):
            x -= self._center
            x *= self._scale
        return np.fmin(np.fmax(x, -_LARGE, out=x), _LARGE, out=x)

    def _encoded_rows(self, rows):
        """Numbers and codes of rows of plain values, as Python and NumPy have them; None if there are others."""
        fields = None
        if self._dates and (fields := self._fields_of_dates(rows)) is None:
            return None
        return self._encoding.rows(rows, fields)

    def _fields_of_dates(self, rows):
        """What dates are taken apart into, in their slots; None if these are of types that are no dates."""
        x = np.empty((len(rows), self.n_continuous_))
        for i, column, start in self._dates:
            values = [row[i] for row in rows]
            if not all(isinstance(value, date | np.datetime64 | str | None) for value in values):
                return None
            dates = as_dates(of_objects(values, self._where(i)), self._where(i))
            for j, one in enumerate(date_fields(dates, column.fields), start):
                x[:, j] = one
        return x

    # names

    def _positions(self, table):
        """Where the columns of training are in a table."""
        names, n = self._names, self.n_features_in_
        if names is not None and table.names is not None:
            if names == table.names:
                return range(n)
            where, known = {name: i for i, name in enumerate(table.names)}, {*names}
            unknown = [name for name in table.names if name not in known]
            lacking = [name for name in names if name not in where]
            if unknown or lacking:
                raise ValueError(
                    "The feature names should match those that were passed during fit.\n"
                    + _listed("Feature names unseen at fit time:", unknown)
                    + _listed("Feature names seen at fit time, yet now missing:", lacking)
                )
            return [where[name] for name in names]
        if table.n_columns != n:
            raise ValueError(
                f"X has {table.n_columns} features, but {self.estimator} is expecting {n} features as input."
            )
        if (names is None) != (table.names is None):
            self._warn_of_names(table.names)
        return range(n)

    def _warn_of_names(self, names):
        if names is None:
            said = f"X does not have valid feature names, but {self.estimator} was fitted with feature names"
        else:
            said = f"X has feature names, but {self.estimator} was fitted without feature names"
        warnings.warn(said, stacklevel=3)

    # state

    def state(self):
        """The encoder as data: dicts, lists, arrays, numbers and strings, of which `from_state` makes it again.

        Returns
        -------
        state : dict
            Its size does not depend on the rows that it was fitted on.
        """
        state = {name: getattr(self, name) for name in _PARAMETERS}
        if not isinstance(self.categorical_features, str | None):
            state["categorical_features"] = np.asarray(self.categorical_features).tolist()
        if hasattr(self, "columns_"):
            state["names"] = self._names
            state["columns"] = state_of(self.columns_)
        return state

    @classmethod
    def from_state(cls, state):
        """The opposite of `state`.

        Raises
        ------
        ValueError, TypeError, KeyError
            If its columns cannot have been fitted.
        """
        encoder = cls.__new__(cls)
        encoder.__setstate__(state)
        return encoder

    __getstate__ = state

    def __setstate__(self, state):
        for name in _PARAMETERS:
            setattr(self, name, state[name])
        if "columns" in state:
            self._set(columns_of(state["columns"], state["names"]), state["names"])


_PARAMETERS = ("categorical_features", "min_frequency", "max_onehot_levels", "estimator")


def _listed(title, names):
    """A part of scikit-learn's message on names, which lists five at most."""
    more = ["..."] if len(names) > 5 else []
    return "\n".join([title, *(f"- {name}" for name in [*sorted(map(str, names))[:5], *more])]) + "\n" if names else ""


def _codes_of(column, codes_of, unseen, where):
    """The codes of a column's rows."""
    column = as_category(column, where)
    codes = np.array([*(codes_of.get(level, unseen) for level in column.levels), codes_of[None]], dtype=np.int32)
    return codes[column.values]
