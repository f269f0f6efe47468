"""How the recipes of `fastmlp.training.portfolio` were put in order.

    python bench/portfolio.py --data FOLDER --candidates FILE.json --lines FOLDER_OF_RESULTS
    python bench/portfolio.py --data FOLDER                      # the recipes of the portfolio as they are

FILE.json has the candidates: {name: {field of Recipe: value, ...}, ...}. Each is trained on five folds of the sets to
choose by (tabular_sets.PARTS), and on the further regressions that come of predicting a column of them. Then, for
classification and regression apart, that recipe is added to the order which makes the greedily weighted average of
all so far the best on the test rows; a second of a fit counts as 0.1 percent of the error.

What is trained already lies in the folder of results and is not trained again, and several processes may share it.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tabular_sets import PARTS, Table, load, names_in

from fastmlp.data.tables import TableEncoder
from fastmlp.engine import single_threaded_blas
from fastmlp.training.ensembles import folds, greedy_weights
from fastmlp.training.portfolio import CLASSIFICATION, REGRESSION
from fastmlp.training.recipes import Recipe, layers_for, train_member
from fastmlp.training.scores import R2, Accuracy, NegativeBrierScore

FURTHER = ("covertype>Elevation", "adult>age", "magic>fConc", "satimage>5", "spambase>-1")  # set>column, or its place
BASE = {  # RealMLP's, of a quarter of its epochs
    "classification": Recipe(),
    "regression": Recipe(activation="mish", learning_rate=0.2),
}
FOLDS = 5
SHIFT = 0.01  # of errors before their logarithm
PRICE = 0.001  # of a second, in the logarithm of the error


def table_of(folder, name):
    base, _, column = name.partition(">")
    table = load(folder, base)
    if not column:
        return table
    X = table.frame(np.arange(len(table.y)))
    if column.lstrip("-").isdigit():
        column = list(X.select_dtypes("number"))[int(column)]
    y = X.pop(column).to_numpy(float)
    return Table(y, lambda rows: X.iloc[rows].reset_index(drop=True))


class Problem:
    """A draw of a set, and what a recipe comes to on it."""

    def __init__(self, folder, name, seed):
        table = table_of(folder, name)
        X, X_test, self.y, self.y_test = table.draw(seed, 5000, 5000)
        self.task = table.task
        self.encoder = TableEncoder()
        self.train, self.test = self.encoder.fit_transform(X), self.encoder.transform(X_test)
        if self.task == "classification":
            self.classes, self.codes = np.unique(self.y, return_inverse=True)
            self.n_outputs, self.loss, self.target, self.strata = len(self.classes), "log_loss", self.codes, self.codes
        else:
            self.center, self.scale = self.y.mean(), self.y.std()
            self.target = ((self.y - self.center) / self.scale).astype(np.float32)[:, None]
            self.n_outputs, self.loss, self.strata = 1, "squared_error", None

    def score(self, rows):
        """What decides an epoch."""
        return R2(self.target[rows], None) if self.strata is None else Accuracy(self.codes[rows], None)

    def weigher(self):
        """What decides the weights of recipes."""
        return R2(self.target, None) if self.strata is None else NegativeBrierScore(self.codes, None)

    def error(self, outputs):
        """Of the test rows."""
        if self.strata is not None:
            return np.mean(self.classes[outputs.argmax(axis=1)] != self.y_test)
        values = np.clip(outputs[:, 0] * self.scale + self.center, self.y.min(), self.y.max())
        return np.sqrt(np.mean((values - self.y_test) ** 2)) / self.y_test.std()

    def trained(self, recipe, seed):
        """Outputs for the rows that each fold holds out, the mean of those for the test rows, processor seconds."""
        layers, dropout = layers_for(recipe, self.encoder, self.n_outputs)
        smooth = self.strata is not None and recipe.label_smoothing
        options = {"label_smoothing": smooth} if smooth else {}
        rows_of = folds(len(self.y), FOLDS, seed, self.strata)
        held = np.zeros((len(self.y), self.n_outputs), dtype=np.float32)
        test = np.zeros((len(self.y_test), self.n_outputs), dtype=np.float32)
        began = time.process_time()
        for fold in range(FOLDS):
            own, out = rows_of(0, fold)
            data = (*self.train, self.target, None)
            trained = train_member(layers, dropout, data, own, out, recipe, loss=self.loss, loss_options=options,
                                   seed=(seed, fold), score=self.score(out), n_threads=1)  # fmt: skip
            held[out] = trained.network.predict(self.train[0], out, codes=self.train[1])
            test += trained.network.predict(self.test[0], codes=self.test[1]) / FOLDS
        return {"held": held, "test": test, "seconds": time.process_time() - began}


def candidates(chosen, task):
    if chosen.candidates is None:
        return {str(i): recipe for i, recipe in enumerate(CLASSIFICATION if task == "classification" else REGRESSION)}
    read = json.loads(chosen.candidates.read_text())
    given = {name: {**fields, "hidden_layer_sizes": tuple(fields["hidden_layer_sizes"])} if "hidden_layer_sizes" in
             fields else fields for name, fields in read.items()}  # fmt: skip
    return {name: replace(BASE[task], **fields) for name, fields in given.items()}


def complete(chosen, problem, name, seed):
    """Results of all candidates on one draw."""
    results = {}
    for label, recipe in {"base": BASE[problem.task], **candidates(chosen, problem.task)}.items():
        path = chosen.lines / f"{name.replace('>', '-')}@{seed}--{label}.npz"
        lock = path.with_suffix(".lock")
        if not path.exists():
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            with single_threaded_blas():
                np.savez(path, **problem.trained(recipe, seed))
            print(f"{name} {seed} {label}: {problem.error(np.load(path)['test']):.4f}", flush=True)
        results[label] = dict(np.load(path))
    return results


def value(problems, order):
    """Mean logarithm of the error of the weighted average beside that of the base."""
    logs = []
    for problem, results in problems:
        weights = greedy_weights([results[label]["held"] for label in order], problem.weigher())
        outputs = sum(weight * results[label]["test"] for weight, label in zip(weights, order, strict=True))
        base = problem.error(results["base"]["test"])
        logs.append(np.log((problem.error(outputs) + SHIFT) / (base + SHIFT)))
    return np.mean(logs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of sets")
    add("--candidates", type=Path, help="JSON of recipes (default: the portfolio)")
    add("--lines", type=Path, default=Path("portfolio"), help="folder of results (default: portfolio)")
    add("--seeds", type=int, default=1, help="draws of rows of each set (default 1)")
    add("--longest", type=int, default=16, help="recipes in the order (default 16)")
    chosen = parser.parse_args()
    chosen.lines.mkdir(exist_ok=True)
    names = [name for name in names_in(chosen.data) if PARTS.get(name) == "choose"]
    by_task = {"classification": [], "regression": []}
    for name in (*names, *FURTHER):
        for seed in range(chosen.seeds):
            problem = Problem(chosen.data, name, seed)
            by_task[problem.task].append((problem, complete(chosen, problem, name, seed)))
    for task, problems in by_task.items():
        labels = set.intersection(*(set(results) for _, results in problems))
        seconds = {label: np.mean([results[label]["seconds"] for _, results in problems]) for label in labels}
        recipes, order = {"base": BASE[task], **candidates(chosen, task)}, []
        print(f"\n{task}, {len(problems)} draws\n\n| recipe | error | seconds | |\n| --- | ---: | ---: | --- |")
        for _ in range(min(chosen.longest, len(labels))):
            order.append(
                min(labels - {*order}, key=lambda label: value(problems, [*order, label]) + PRICE * seconds[label])
            )
            differs = {k: v for k, v in asdict(recipes[order[-1]]).items() if v != getattr(Recipe(), k)}
            error = 100 * np.expm1(value(problems, order))
            print(f"| {order[-1]} | {error:+.1f} % | {sum(seconds[label] for label in order):.1f} | {differs} |")


if __name__ == "__main__":
    main()
