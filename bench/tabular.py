"""Tabular learners side by side: errors, ranks and times on sets of frames with numbers, categories and gaps.

    python bench/tabular.py                   # on the sets that scikit-learn ships
    python bench/tabular.py --data FOLDER     # on a folder of sets; tabular_sets.py says what its files hold
    python bench/tabular.py --data FOLDER --learners MLP CatBoost --seeds 1 --timed
    python bench/tabular.py --data FOLDER --also "MLP(max_iter=50)" "CatBoost(iterations=200, depth=4)"
    python bench/tabular.py --data FOLDER --report            # the table of the lines that are there; nothing is run

Every result is a line of a file to which lines are only added. A result that is there already, by the same version of
the learner with the same settings, is not made again: other learners run once, our own whenever its code has changed.
Errors do not depend on what else the machine does; times do, so that only those of a run with --timed are believed.
"""

import argparse
import json
import logging
import sys
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import tabular_report
from compare import machine
from peers import CORES, limit_threads
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
from tabular_learners import LEARNERS, variant
from tabular_sets import PARTS, load, names_in
from timing import PAUSE

HERE = machine()
RESULTS = Path(__file__).with_name("results")
PREDICTIONS = 3  # of which the fastest is kept; those before it have found the caches and threads


def asked(learner, chosen):
    """What a line says about its learner and protocol; settings as they are read from JSON, tuples as lists."""
    settings = json.loads(json.dumps(learner.settings))
    return {"learner": learner.name, "settings": settings, "rows": chosen.rows, "test_rows": chosen.test_rows}


def identity(line):
    """What two lines of the same result have in common."""
    names = ("set", "seed", "rows", "test_rows", "learner", "version", "settings")
    return json.dumps([line[name] for name in names], sort_keys=True)


def read(path):
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def errors(task, y, predicted, classes):
    """The error that ranks, and what stands beside it. Probabilities of classification are (rows, classes)."""
    if task == "regression":
        return {"error": root_mean_squared_error(y, predicted) / np.std(y)}
    positive = predicted[:, 1] if len(classes) == 2 else predicted
    return {
        "error": float(np.mean(classes[predicted.argmax(axis=1)] != y)),
        "log_loss": log_loss(y, predicted, labels=classes),
        "auc": roc_auc_score(y, positive, multi_class="ovr", labels=classes),
    }


def run(learner, table, seed, chosen):
    """One fit of one learner; its errors and seconds."""
    X, X_test, y, y_test = table.draw(seed, chosen.rows, chosen.test_rows)
    model = learner.make(table.task, X, seed, chosen.threads)
    with limit_threads(chosen.threads):
        time.sleep(PAUSE if chosen.timed else 0)
        begin = time.perf_counter()
        model.fit(X, y)
        fit_s = time.perf_counter() - begin
        predict = model.predict_proba if table.task == "classification" else model.predict
        predict_s = []
        for _ in range(PREDICTIONS if chosen.timed else 1):
            begin = time.perf_counter()
            predicted = predict(X_test)
            predict_s.append(time.perf_counter() - begin)
    found = errors(table.task, y_test, np.asarray(predicted, float), getattr(model, "classes_", None))
    times = {"fit_s": fit_s, "predict_s": min(predict_s)}
    facts = {"n_train": len(X), "n_test": len(X_test), "features": X.shape[1], "task": table.task}
    return facts | {name: float(f"{value:.6g}") for name, value in (found | times).items()}


def warm_up(learner, task, threads):
    """A fit and a prediction on a small set: imports and compilation are no part of the times after it."""
    X, y = (load_breast_cancer if task == "classification" else load_diabetes)(return_X_y=True, as_frame=True)
    learner.make(task, X, 0, threads).fit(X, y).predict(X)


def complete(lines, learners, chosen):
    """Run what is not there: seed by seed, set by set; every result is written as soon as it is known."""
    done = {identity(line) for line in lines if not chosen.timed or trusted(line, chosen)}
    versions = {learner.name: learner.version for learner in learners}
    warm = set()
    for seed in range(chosen.seeds):
        for name in chosen.sets:
            table = None
            for learner in learners:
                line = {"set": name, "seed": seed, "version": versions[learner.name]} | asked(learner, chosen)
                if identity(line) in done:
                    continue
                table = table or load(chosen.data, name)
                try:
                    if chosen.timed and (learner.name, table.task) not in warm:
                        warm_up(learner, table.task, chosen.threads)
                        warm.add((learner.name, table.task))
                    line |= run(learner, table, seed, chosen)
                except Exception as error:
                    print(f"  {name}, {learner.name} left out: {type(error).__name__}: {error}", file=sys.stderr)
                    continue
                line |= {"threads": chosen.threads, "timed": chosen.timed} | HERE
                line["date"] = date.today().isoformat()
                with chosen.lines.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                lines.append(line)
                print(f"{name:14} {seed} {learner.name:24} {line['error']:.4f}  {line['fit_s']:.2f} s", flush=True)


def select(lines, learners, chosen):
    """{(set, seed): {learner: line}} of what was asked for, each by the learner's version that is installed, or newest.

    A change to our own may leave the results of some sets as they are: then these keep those of the version before.
    """
    found = {(name, seed): {} for name in chosen.sets for seed in range(chosen.seeds)}
    for learner in learners:
        same = asked(learner, chosen)
        current = learner.version if learner.installed else None
        for key, of_draw in found.items():
            those = [line for line in lines if line | same == line and (line["set"], line["seed"]) == key]
            versions = [line["version"] for line in those]
            # of two lines of one result the later stays, or the one whose times may be believed
            for line in sorted(those, key=lambda line: trusted(line, chosen)):
                if line["version"] == (current if current in versions else versions[-1]):
                    of_draw[learner.name] = line
    return {key: lines for key, lines in found.items() if lines}


def trusted(line, chosen):
    """Whether the line's times may stand in the table: made alone, on this machine, by the threads asked for."""
    return line["timed"] and line["threads"] == chosen.threads and line["cpu"] == HERE["cpu"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, help="folder of sets (default: the sets that scikit-learn ships)")
    add("--sets", nargs="+", metavar="SET", help="only these sets")
    add("--part", choices=("choose", "confirm"), help="only the sets to choose by, or those to confirm on")
    add("--learners", nargs="*", choices=LEARNERS, metavar="LEARNER", default=list(LEARNERS), help=", ".join(LEARNERS))
    add("--also", nargs="+", type=variant, default=[], metavar="LEARNER(PARAMETER=VALUE,...)", help="further learners")
    add("--seeds", type=int, default=3, help="how many draws of training and test rows (default 3)")
    add("--rows", type=int, default=5000, help="most training rows (default 5000; of smaller sets 80 percent)")
    add("--test-rows", type=int, default=10000, help="most test rows (default 10000)")
    add("--threads", type=int, default=min(2, CORES), help="of every learner (default 2)")
    add("--timed", action="store_true", help="nothing else runs here: the times may be believed")
    add("--report", action="store_true", help="write the table of the lines that are there; run nothing")
    add("--reference", default="CatBoost", help="whose errors the others' are related to (default CatBoost)")
    add("--lines", type=Path, default=RESULTS / "tabular.jsonl", help="file of all results, read and added to")
    add("--out", type=Path, default=RESULTS / "tabular.md", help="where the table is written")
    chosen = parser.parse_args()
    for name in ("seeds", "rows", "test_rows", "threads"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(chosen, name)}")
    try:
        known = names_in(chosen.data)
    except FileNotFoundError as error:
        parser.error(f"--data: {error}")
    unknown = set(chosen.sets or ()) - set(known)
    if unknown:
        parser.error(f"--sets: {', '.join(sorted(unknown))} not among {', '.join(known)}")
    chosen.sets = [name for name in known if chosen.sets is None or name in chosen.sets]
    if chosen.part:
        chosen.sets = [name for name in chosen.sets if PARTS.get(name) == chosen.part]
    return chosen


def main():
    warnings.simplefilter("ignore")  # the learners', about their own defaults
    logging.disable(logging.INFO)
    chosen = arguments()
    learners = [LEARNERS[name] for name in chosen.learners] + chosen.also
    lines = read(chosen.lines)
    if not chosen.report:
        missing = [learner.name for learner in learners if not learner.installed]
        if missing:
            print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        complete(lines, [learner for learner in learners if learner.installed], chosen)
    results = select(lines, learners, chosen)
    names = [learner.name for learner in learners]
    text = tabular_report.write(results, names, chosen, lambda line: trusted(line, chosen))
    chosen.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
