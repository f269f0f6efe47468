"""The data sets of tabular.py, as frames: numbers, categories of strings, and gaps in both.

A folder of files NAME.npz serves as data, each with
    X_num (rows, n_numeric)        numbers; NaN is a gap
    X_cat (rows, n_categorical)    integer codes of the levels below
    y (rows,)                      integer codes for classification, real numbers for regression
    num_names, cat_names           the columns' names
    cat_levels                     JSON: for each categorical column, the names of its levels
Any table fits in: pandas.factorize gives the codes and the levels of a column. Without a folder, the sets that
scikit-learn ships serve.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

# Defaults are chosen by the sets to choose by, and only confirmed on the others. Each part has sets with categories
# (adult, ames, covertype, diamonds, vote2016; bank, bikeshare, flights, splice), with gaps (adult, ames, vote2016;
# flights), with many classes or columns, of fewer rows than a training takes, and of many more.
TITLES = {"choose": "Sets to choose by", "confirm": "Sets to confirm on", "other": "Other sets"}
PARTS = {
    "adult": "choose",
    "magic": "choose",
    "spambase": "choose",
    "vote2016": "choose",
    "covertype": "choose",
    "optdigits": "choose",
    "satimage": "choose",
    "segment": "choose",
    "ames": "choose",
    "california": "choose",
    "diamonds": "choose",
    "bank": "confirm",
    "electricity": "confirm",
    "letter": "confirm",
    "mnist": "confirm",
    "splice": "confirm",
    "bikeshare": "confirm",
    "concrete": "confirm",
    "flights": "confirm",
}
SHIPPED = {
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}
GAPS = ("?", "<missing>")  # levels that say that a value is missing
TRAIN_SHARE = 0.8  # of a set that is too small for the rows asked for


@dataclass(frozen=True)
class Table:
    """A whole set: `frame(rows)` is the frame of some rows, `y` the targets of all."""

    y: np.ndarray
    frame: Callable

    @property
    def task(self):
        return "classification" if np.issubdtype(self.y.dtype, np.integer) else "regression"

    def draw(self, seed, rows, test_rows):
        """X_train, X_test, y_train, y_test: rows drawn by the seed, by class where there are classes."""
        n = len(self.y)
        n_train = min(rows, int(TRAIN_SHARE * n))
        train, test = train_test_split(
            np.arange(n),
            train_size=n_train,
            test_size=min(test_rows, n - n_train),
            stratify=self.y if self.task == "classification" else None,
            random_state=seed,
        )
        return self.frame(train), self.frame(test), self.y[train], self.y[test]


def names_in(folder):
    """The sets of a folder, those of PARTS first and in its order; without a folder, those that scikit-learn ships."""
    if folder is None:
        return list(SHIPPED)
    found = sorted(path.stem for path in folder.glob("*.npz"))
    if not found:
        raise FileNotFoundError(f"{folder} has no file NAME.npz; bench/tabular_sets.py says what such a file holds")
    return [name for name in PARTS if name in found] + [name for name in found if name not in PARTS]


def load(folder, name):
    """One set as a Table."""
    if folder is None:
        bunch = SHIPPED[name](as_frame=True)
        y = bunch.target.to_numpy()
        # diabetes's target, and the classes of none, are real numbers
        return Table(y if name != "diabetes" else y.astype(float), partial(_rows, bunch.data))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in ("X_num", "X_cat", "y", "num_names", "cat_names")}
        levels = json.loads(str(file["cat_levels"]))
    return Table(arrays["y"], partial(_frame, arrays, levels))


def _rows(frame, rows):
    return frame.iloc[rows].reset_index(drop=True)


def _frame(arrays, levels, rows):
    columns = dict(zip(map(str, arrays["num_names"]), arrays["X_num"][rows].T, strict=True))
    for name, codes, names in zip(arrays["cat_names"], arrays["X_cat"][rows].T, levels, strict=True):
        column = pd.Series(pd.Categorical.from_codes(codes, names))
        columns[str(name)] = column.cat.remove_categories([gap for gap in GAPS if gap in names])
    return pd.DataFrame(columns)
