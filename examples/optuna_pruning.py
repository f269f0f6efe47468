"""Prune the trials of an Optuna study from a callback: pip install optuna."""

import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X, X_val, y, y_val = train_test_split(StandardScaler().fit_transform(X), y, random_state=0)


def objective(trial):
    def report(estimator, epoch, metrics):
        trial.report(metrics["validation_loss"], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned  # ends fit, and the trial

    model = MLPClassifier(
        hidden_layer_sizes=(trial.suggest_int("units", 8, 128, log=True),),
        learning_rate_init=trial.suggest_float("learning_rate_init", 1e-4, 0.1, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        early_stopping=True,
        scoring="loss",
        max_iter=40,
        random_state=0,
        callbacks=report,
    )
    return -model.fit(X, y, X_val=X_val, y_val=y_val).best_validation_score_


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.MedianPruner(n_warmup_steps=5)
    )
    study.optimize(objective, n_trials=30)
    states = [trial.state.name for trial in study.trials]
    print(f"{states.count('COMPLETE')} trials completed, {states.count('PRUNED')} pruned")
    print(f"best validation loss {study.best_value:.4f} with {study.best_params}")
