"""What the recipes of `fastmlp.training.portfolio` are worth, alone and in their order; how others are put in order.

    python bench/portfolio.py --data FOLDER                            # the portfolio, in its order
    python bench/portfolio.py --data FOLDER --candidates FILE.json     # chooses an order of others
    python bench/portfolio.py --data FOLDER --ingredients              # changes to one recipe, on single sets

Each recipe is trained on five folds of the sets to choose by (tabular_sets.PARTS), and on the further regressions that
come of predicting a column of them. Errors stand beside those of RealMLP's own recipe with 64 epochs. FILE.json has
{name: {field of Recipe: value, ...}, ...}, fields that differ from that recipe; an order adds the recipe that makes the
weighted average the best on the test rows, and takes a second of a fit for 0.1 percent of the error.

What is trained lies in a folder (--lines) and is not trained again, and several processes may share it.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabular_sets import PARTS, Table, load, names_in

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.training.ensembles import greedy_weights
from fastmlp.training.portfolio import CLASSIFICATION, REGRESSION
from fastmlp.training.recipes import Recipe
from fastmlp.training.scores import R2, NegativeBrierScore

FURTHER = ("covertype>Elevation", "adult>age", "magic>fConc")  # set>column
KINDS = {
    "classification": (TabularMLPClassifier, CLASSIFICATION, Recipe()),
    "regression": (TabularMLPRegressor, REGRESSION, Recipe(activation="mish", learning_rate=0.2)),
}
FOLDS = 5
SHIFT = 0.01  # of errors before their logarithm
PRICE = 0.001  # of a second, in the logarithm of the error
SMALL = {
    "hidden_layer_sizes": (64, 64), "activation": "mish", "dropout": 0.44, "frequency_scale": 3.2, "frequencies": 8,
    "beta_2": 0.966, "number_rate": 0.2, "label_smoothing": 0.05, "learning_rate": 0.028, "weight_decay": 0.002,
    "category_width": 16, "epochs": 128,
}  # fmt: skip
INGREDIENTS = {
    "RealMLP's recipe": {},
    "256 epochs": {"epochs": 256},
    "3 x 128 units": {"hidden_layer_sizes": (128, 128, 128)},
    "no embedding of numbers": {"frequencies": 0},
    "frequencies of 1 in place of 0.1": {"frequency_scale": 1.0},
    "dropout 0.3": {"dropout": 0.3},
    "and 48 bins": {"n_bins": 48},
    "a small net, no bins": SMALL,
    "a small net, 32 bins": {**SMALL, "n_bins": 32},
}
OF_INGREDIENTS = ("adult", "california")


def table_of(folder, name):
    base, _, column = name.partition(">")
    table = load(folder, base)
    if not column:
        return table
    X = table.frame(np.arange(len(table.y)))
    y = X.pop(column).to_numpy(float)
    return Table(y, lambda rows: X.iloc[rows].reset_index(drop=True))


class Draw:
    """A draw of rows of a set, and what recipes come to on it."""

    def __init__(self, chosen, name, seed):
        table = table_of(chosen.data, name)
        self.X, self.X_test, self.y, self.y_test = table.draw(seed, 5000, 5000)
        self.task, self.seed, self.name = table.task, seed, name
        self.file = f"{chosen.lines}/{name.replace('>', '-')}@{seed}--{{}}.npz"
        self.results = {}  # by label

    def add(self, label, recipe):
        """Train a recipe, or read what it came to; nothing if another process is at it."""
        path = Path(self.file.format(label.replace(" ", "-")))
        if not path.exists():
            try:
                os.close(os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            model = KINDS[self.task][0](FOLDS, recipe=recipe, random_state=self.seed, n_jobs=1)
            began = time.process_time()
            model.fit(self.X, self.y)
            seconds = time.process_time() - began
            predict = model.predict_proba if self.task == "classification" else model.predict
            np.savez(path, held=model.oof_prediction_, test=predict(self.X_test), seconds=seconds)
        self.results[label] = dict(np.load(path))
        print(f"{self.name} {self.seed} {label}: {self.error([label]):.4f}", flush=True)

    def error(self, order):
        """Of the test rows, by the weighted average of some recipes."""
        held, test = ([self.results[label][part] for label in order] for part in ("held", "test"))
        if self.task == "classification":
            classes, codes = np.unique(self.y, return_inverse=True)
            weights = greedy_weights(held, NegativeBrierScore(codes, None))
            return np.mean(classes[np.tensordot(weights, test, 1).argmax(axis=1)] != self.y_test)
        weights = greedy_weights([one[:, None] for one in held], R2(self.y[:, None], None))
        return np.sqrt(np.mean((weights @ test - self.y_test) ** 2)) / self.y_test.std()

    def logarithm(self, order):
        return np.log((self.error(order) + SHIFT) / (self.error(["base"]) + SHIFT))


def mean(draws, order):
    """The error beside that of the base, in percent, geometric over draws."""
    return 100 * np.expm1(np.mean([draw.logarithm(order) for draw in draws]))


def order_of(draws, labels, seconds, longest):
    """The order that adds the best recipe again and again."""
    order = []
    while len(order) < longest and len(order) < len(labels):
        order.append(
            min(
                (label for label in labels if label not in order),
                key=lambda label: np.log1p(mean(draws, [*order, label]) / 100) + PRICE * seconds[label],
            )
        )
    return order


def show_orders(chosen):
    names = [name for name in names_in(chosen.data) if PARTS.get(name) == "choose"]
    draws = [Draw(chosen, name, seed) for name in (*names, *FURTHER) for seed in range(chosen.seeds)]
    given = None if chosen.candidates is None else json.loads(chosen.candidates.read_text())
    for task, (_, portfolio, base) in KINDS.items():
        recipes = dict(zip(map(str, range(1, 100)), portfolio, strict=False))
        if given is not None:
            recipes = {label: replace(base, **changes) for label, changes in given.items()}
        own = [draw for draw in draws if draw.task == task]
        for draw in own:
            for label, recipe in {"base": base, **recipes}.items():
                draw.add(label, recipe)
        labels = [label for label in recipes if all(label in draw.results for draw in own)]
        seconds = {label: np.mean([draw.results[label]["seconds"] for draw in own]) for label in labels}
        order = labels if given is None else order_of(own, labels, seconds, chosen.longest)
        print(f"\n{task}: {', '.join(draw.name for draw in own)}\n")
        print("| recipe | alone | average so far | s |\n| ---: | ---: | ---: | ---: |")
        for n, label in enumerate(order, 1):
            alone, so_far = mean(own, [label]), mean(own, order[:n])
            print(f"| {label} | {alone:+.1f} % | {so_far:+.1f} % | {seconds[label]:.1f} |")


def show_ingredients(chosen):
    draws = [Draw(chosen, name, 0) for name in OF_INGREDIENTS]
    for draw in draws:
        for label, changes in INGREDIENTS.items():
            draw.add(label, replace(KINDS[draw.task][2], **changes))
    print(f"\n| | {' | '.join(OF_INGREDIENTS)} | s |\n| --- | ---: | ---: | ---: |")
    for label in INGREDIENTS:
        errors = " | ".join(f"{100 * draw.error([label]):.1f}" for draw in draws)
        print(f"| {label} | {errors} | {np.mean([draw.results[label]['seconds'] for draw in draws]):.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of sets")
    add("--candidates", type=Path, help="JSON of recipes (default: the portfolio)")
    add("--ingredients", action="store_true", help="changes to one recipe, on single sets")
    add("--lines", type=Path, default=Path("portfolio"), help="folder of what is trained (default: portfolio)")
    add("--seeds", type=int, default=1, help="draws of rows of each set (default 1)")
    add("--longest", type=int, default=16, help="recipes in an order (default 16)")
    chosen = parser.parse_args()
    chosen.lines.mkdir(exist_ok=True)
    (show_ingredients if chosen.ingredients else show_orders)(chosen)


if __name__ == "__main__":
    main()
