"""A fit by epochs: all that it carries, the loop over its epochs, and its state as a checkpoint has it.

One engine call does an epoch; what stands here runs between two of them.
"""

import math
import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..engine import shuffle
from .arrays import check_finite, is_finite
from .checkpoint import Checkpoint
from .identity import data_description, fingerprint
from .optimizers import Optimizer
from .progress import Progress
from .resuming import check_rows, check_state, restore, state_of
from .undo import restored_on_error, unchanged_on_error

__all__ = ["INTERRUPTED", "Fit", "check_held_out"]

INTERRUPTED = "Training interrupted by user."
# Bytes of each array that are looked at to see whether the data are those of before
_LOOKED_AT = 1 << 22
_OF_VALIDATION = ("validation_scores_", "best_validation_score_", "validation_loss_curve_")


class Fit:
    """A fit by epochs: fresh, going on from an earlier one, or from a checkpoint.

    Nothing is drawn at random until `keep` has looked for a checkpoint. `begin` comes when the network is bound and
    rows are held out, then `run`. What the estimator takes over at the end are `attributes`.

    Parameters
    ----------
    network : Network
        Trained in place.
    params : mapping
        An estimator's parameters, in Python's types: solver and all that `Optimizer` reads, batch_size, alpha, shuffle,
        max_iter, tol, n_iter_no_change, early_stopping and verbose.
    random_state : RandomState
        Source of the seed of dropout, and of the order of rows, which is shuffled once per epoch.
    data : Data
        Rows to train on, or to hold out with `early_stopping`.
    validation_data : Data, default=None
        Rows for validation. Where they are given, no rows of `data` are held out.
    before : mapping, default={}
        Fitted attributes of the fit that this one goes on from. An incremental one goes on with "_optimizer" too, in
        place where "_network" has `network` and the buffers of the call before.
    incremental : bool, default=False
        Whether this is one epoch of many, each a call, so that nothing warns of the limit on epochs.

    Attributes
    ----------
    optimizer : Optimizer
    progress : Progress
    rows, held_out : intp ndarray or None
        Numbers of the rows to train on, in their present order, and of those held out. None: all in order, and none.
    resumed : dict or None
        The state that a checkpoint had.
    spare : list of ndarray
        Buffers for the next incremental fit of this network.
    """

    checkpoint = identity = resumed = rows = held_out = validation = None
    auto_batch_size = 200  # the most rows of a batch where the parameter is "auto"

    def __init__(self, network, params, random_state, data, validation_data=None, *, before=None, incremental=False):
        self.network, self.random_state = network, random_state
        self.data, self.validation_data = data, validation_data
        self.before, self.incremental = {} if before is None else before, incremental
        self.shuffle, self.verbose, self.early_stopping = params["shuffle"], params["verbose"], params["early_stopping"]
        self.batch_size, self.alpha = params["batch_size"], float(params["alpha"])
        self.max_iter, self.tol, self.n_iter_no_change = params["max_iter"], params["tol"], params["n_iter_no_change"]
        self.n_rows = data.X.shape[0]
        self.validates = self.early_stopping or validation_data is not None
        self.holds_out = self.early_stopping and validation_data is None
        self.parameters, self.progress = network.coefs + network.intercepts, Progress()
        _, known, self.spare = (self.before.get("_network") if incremental else None) or (None, None, None)
        optimizer = self.before.get("_optimizer") if incremental else None
        if optimizer is None or optimizer.name != params["solver"] or not optimizer.fits(network):
            optimizer = Optimizer(params["solver"], params).on(network)
        elif not (known is network and hasattr(optimizer, "state")):
            optimizer = optimizer.on(network)
        self.optimizer = optimizer
        # only what is trained in place has something to lose
        self.in_place = self.parameters + optimizer.state if known is network else []

    @property
    def best(self):
        """The best loss or score so far, or one that any is better than."""
        if self.progress.best is None:
            return -math.inf if self.early_stopping else math.inf
        return self.progress.best

    def keep(self, path, every, params):
        """Write checkpoints from now on; the one that is there already is where to begin.

        Parameters
        ----------
        path, every
            As `Checkpoint` has them.
        params : dict of str to object
            The parameters that a fit of the same results must have.

        Raises
        ------
        ValueError, OSError
            As those of `fingerprint` and `Checkpoint`; or if the generator of the random state is no MT19937.
        """
        sets = {"": self.data} if self.validation_data is None else {"": self.data, "_val": self.validation_data}
        given = {f"{name}{of}": array for of, data in sets.items() for name, array in data.given().items()}
        self.identity = fingerprint(params, given)
        if self.random_state.get_state(legacy=False)["bit_generator"] != "MT19937":
            raise ValueError(f"checkpoint_path needs a RandomState of MT19937, got random_state={self.random_state!r}.")
        self.checkpoint = Checkpoint(path, every)
        self.resumed = self.checkpoint.read(self.identity, partial(check_state, self))
        if self.resumed is not None:
            self._take_held_out(self.resumed)
            if self.random_state is np.random.mtrand._rand:
                self.random_state = np.random.RandomState()  # NumPy's own is left as it is

    def _take_held_out(self, state):
        self.held_out = state["held_out"]

    def hold_out(self, split):
        """Hold rows out, unless the checkpoint says which: `split` gives numbers of rows to train on and of the others.

        Raises
        ------
        ValueError
            If none of them has a weight.
        """
        if self.held_out is None:
            self.rows, self.held_out = split()
        for weights in (self.data.sample_weight, self.data.score_weight):
            if weights is not None:
                check_held_out(weights[self.held_out])

    def begin(self, validation=None, relative_tol=False):
        """All that is left to do before the first epoch.

        Parameters
        ----------
        validation : Validation, default=None
            Called after every epoch: gives the score and the loss of the network on the rows for validation, None for
            the loss unless it is `with_loss`. Its `scoring` says what the score is.
        relative_tol : bool, default=False
            Whether an epoch must improve the best loss or score by ``tol * min(1, abs(best))`` in place of `tol`.

        Warns
        -----
        UserWarning
            If `batch_size` is larger than the number of rows to train on.
        """
        self.validation, self.relative_tol = validation, relative_tol
        self.scored = None if validation is None else (validation.scoring, self.validation_data is not None)
        self.trained_on = None if self.incremental else self._description()
        self.progress = self._earlier()
        self._set_order()
        if self.network.draws:
            self.optimizer.dropout_seed = int(self.random_state.randint(2**63, dtype=np.int64))
        if self.batch_size != "auto" and self.batch_size > self.n_trained:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        self.batch_size = self.batch_of(self.n_trained)
        if self.resumed is not None:
            restore(self, self.resumed)

    def batch_of(self, n_trained):
        """The rows of a batch, out of the given number of rows."""
        return min(self.auto_batch_size if self.batch_size == "auto" else self.batch_size, n_trained)

    def _set_order(self):
        """The number of rows to train on, and their order before the first epoch."""
        self.n_trained = self.n_rows - (0 if self.held_out is None else len(self.held_out))
        if self.rows is None and self.shuffle:
            self.rows = np.arange(self.n_trained, dtype=np.intp)

    def _description(self):
        """What tells the data that the best loss or score is of from others."""
        judged = [self.data, self.validation_data] if self.early_stopping and not self.holds_out else [self.data]
        arrays = [array for data in judged for array in data.telling()]
        return "; ".join(data_description(array, most=_LOOKED_AT) for array in arrays)

    @property
    def _scores_anew(self):
        """Whether the validation scores are others than those of before."""
        return self.before.get("_scored", (None, False)) != self.scored

    def _earlier(self):
        """Where the fit before left off, as far as its attributes serve this one."""
        before, progress = self.before, Progress(t=self.before.get("t_", 0))
        if not self.incremental and before.get("_trained_on", self.trained_on) != self.trained_on:
            return progress
        best = before.get("best_validation_score_" if self.early_stopping else "best_loss_")
        if best is None or (self.early_stopping and self._scores_anew):
            return progress
        if self.early_stopping:
            kept = [*before.get("_best_coefs", ()), *before.get("_best_intercepts", ())]
            if [array.shape for array in kept] != [param.shape for param in self.parameters]:
                return progress
            progress.best_params = [np.array(array, dtype=self.network.dtype) for array in kept]
        progress.best = best
        progress.no_improvement_count = before.get("_no_improvement_count", 0)
        return progress

    # The epochs

    def run(self, epoch_begins=None, epoch_ends=None, part_ends=None):
        """Train until `max_iter` epochs are done, or progress ends; of an incremental fit one epoch.

        Parameters
        ----------
        epoch_begins, epoch_ends : callable, default=None
            Called before each epoch with `n_parts`, and after it; the latter, once all but the checkpoint is done, may
            return True to end the training.
        part_ends : callable, default=None
            Called after each part of an epoch.

        Raises
        ------
        ValueError
            As soon as an epoch leaves a loss and parameters that are not finite, and there is no best epoch to restore.

        Warns
        -----
        ConvergenceWarning
            After `max_iter` epochs, and if the last loss, or every validation score, is not finite.
        UserWarning
            When interrupted; the parameters are those after the last whole batch.
        """
        progress, self._part_ends = self.progress, part_ends
        if self.early_stopping and progress.best_params is None:
            self._keep_best()
        try:
            while progress.n_iter < self.max_iter and not progress.stopped:
                if epoch_begins is not None:
                    epoch_begins(self.n_parts)
                self._epoch()
                if epoch_ends is not None and epoch_ends():
                    progress.stopped = True
                self._write_if_due()
                if self.incremental:
                    break
            else:
                if not progress.stopped:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization"
                        " hasn't converged yet.",
                        ConvergenceWarning,
                    )
        except KeyboardInterrupt:
            warnings.warn(INTERRUPTED)
        never_scored = self.early_stopping and bool(progress.scores) and not math.isfinite(self.best)
        if never_scored:
            self._keep_best()
        elif self.early_stopping:
            self._restore_best()
        self._warn_if_not_finite(never_scored)
        check_finite(self.parameters)

    def _epoch(self):
        """One epoch: training, validation, and what both tell."""
        progress, optimizer = self.progress, self.optimizer
        progress.loss = loss = self._pass()
        progress.n_iter += 1
        progress.t += self.n_trained
        progress.losses.append(loss)
        progress.rates.append(optimizer.rate if optimizer.rates is None else float(optimizer.rates[-1]))
        if self.verbose:
            print(f"Iteration {progress.n_iter}, loss = {loss:.8f}")
        diverged = not math.isfinite(loss) and not self._is_finite()
        if diverged and not (self.early_stopping and math.isfinite(self.best)):
            check_finite(self.parameters)
        if self.validation is not None:
            score, validation_loss = self.validation()
            progress.scores.append(score)
            if validation_loss is not None:
                progress.validation_losses.append(validation_loss)
            if self.verbose:
                print(f"Validation score: {score:f}")
        self._judge()
        if diverged:
            progress.stopped = True
            self._restore_best()

    @property
    def n_parts(self):
        """Parts of an epoch between which it tells how far it is; 0: none."""
        return 0

    def _tell_part(self):
        if self._part_ends is not None:
            self._part_ends()

    @property
    def n_batches(self):
        """Updates of an epoch."""
        return -(-self.n_trained // self.batch_size)

    def _pass(self):
        """Train on all rows once; gives the loss."""
        if self.shuffle:
            shuffle(self.random_state, self.rows)
        self.optimizer.iteration_begins(self.n_batches, self.max_iter)
        return self.network.epoch(self.rows, self.batch_size, self.optimizer, self.alpha)

    def _judge(self):
        """Whether the epoch was the best, whether it was progress, and what follows for the rate or the end."""
        progress, best = self.progress, self.best
        if self.early_stopping:
            what, monitored = "Validation score", progress.scores[-1]
            stalled = _stalls(-monitored, -best, self.tol, self.relative_tol)
            if monitored > best and self._is_finite():
                best = monitored
                self._keep_best()
        else:
            what, monitored = "Training loss", progress.loss
            stalled = _stalls(monitored, best, self.tol, self.relative_tol)
            best = min(best, monitored)  # in this order a NaN is not taken
        progress.best = best
        progress.no_improvement_count = progress.no_improvement_count + 1 if stalled else 0
        self.optimizer.iteration_ends(progress.t, monitored, maximise=self.early_stopping)
        if progress.no_improvement_count > self.n_iter_no_change:
            epochs = f"{self.n_iter_no_change} consecutive epochs"
            message = f"{what} did not improve more than tol={self.tol:f} for {epochs}."
            progress.stopped = self.optimizer.trigger_stopping(message, self.verbose)
            if not progress.stopped:
                progress.no_improvement_count = 0

    def _is_finite(self):
        return all(map(is_finite, self.parameters))

    def _keep_best(self):
        # replaced at once, so that an interrupt finds those of one epoch
        self.progress.best_params = [param.copy() for param in self.parameters]

    def _restore_best(self):
        for kept, param in zip(self.progress.best_params, self.parameters, strict=True):
            param[...] = kept

    def _warn_if_not_finite(self, never_scored):
        progress, said = self.progress, []
        if progress.n_iter > 0 and not math.isfinite(progress.loss):
            first = progress.n_iter
            while first > 1 and not math.isfinite(progress.losses[first - 2]):
                first -= 1
            said.append(f"the loss became non-finite at epoch {first}")
        if never_scored:
            said.append("no validation score was finite, the parameters of the last epoch are kept")
        elif said and self.early_stopping:
            said.append("the parameters with the best validation score are restored")
        if said:
            warnings.warn(f"Stochastic Optimizer: {'; '.join(said)}.", ConvergenceWarning)

    @contextmanager
    def unchanged_on_error(self):
        """Give network and optimizer, where an earlier call has them too, their values back, whatever was raised."""
        with restored_on_error(self.in_place, self.spare) as self.spare, unchanged_on_error(self.optimizer):
            yield

    def attributes(self, extend=False):
        """Fitted attributes that tell of the fit so far, the optimizer apart.

        Curves go on from those of before, which are extended in place if `extend`, else copied.
        """
        progress, before = self.progress, self.before

        def continued(name, values, anew=False):
            earlier = None if anew else before.get(name)
            if not isinstance(earlier, list):
                earlier = []
            if not extend:
                return earlier + values
            earlier.extend(values)
            return earlier

        losses = continued("loss_curve_", progress.losses)
        rates = continued("learning_rate_curve_", progress.rates)
        told = len(rates) - len(progress.rates)
        rates[told:told] = [math.nan] * (len(losses) - len(rates))  # epochs of scikit-learn's, which tell none
        attributes = {name: before[name] for name in ("_scored", "_trained_on") if name in before} | {
            "n_iter_": progress.n_iter,
            "t_": progress.t,
            "loss_": progress.loss,
            "loss_curve_": losses,
            "learning_rate_curve_": rates,
            "_no_improvement_count": progress.no_improvement_count,
            "best_loss_": None if self.early_stopping else self.best,
            "validation_scores_": None,
            "best_validation_score_": None,
        }
        if not self.incremental:
            attributes["_trained_on"] = self.trained_on
        if self.early_stopping or progress.scores:
            anew = self._scores_anew
            attributes["validation_scores_"] = scores = continued("validation_scores_", progress.scores, anew)
            if self.validation.with_loss:
                curve = continued("validation_loss_curve_", progress.validation_losses, anew)
                attributes["validation_loss_curve_"] = curve
        elif self.incremental:  # a call without validation adds nothing
            attributes |= {name: before[name] for name in _OF_VALIDATION if name in before}
        if progress.scores:
            attributes["_scored"] = self.scored
        if self.early_stopping:
            n_coefs = len(self.network.coefs)
            attributes["best_validation_score_"] = self.best
            attributes["_best_coefs"] = progress.best_params[:n_coefs]
            attributes["_best_intercepts"] = progress.best_params[n_coefs:]
        elif progress.scores:
            numbers = [score for score in scores if not math.isnan(score)]
            attributes["best_validation_score_"] = max(numbers, default=math.nan)
        return attributes

    def _write_if_due(self):
        checkpoint, progress = self.checkpoint, self.progress
        if checkpoint is None:
            return
        if checkpoint.due(progress.n_iter) or progress.stopped or progress.n_iter == self.max_iter:
            self._write()

    def _write(self):
        self.checkpoint.write({"identity": self.identity, **state_of(self)})

    # The order of rows in a checkpoint

    def order_state(self):
        """The part of the state that says which rows come next; arrays are not copies."""
        return {"rows": self.rows, "held_out": self.held_out}

    def set_order_state(self, state):
        """The opposite, of a state that was checked."""
        self.rows, self.held_out = state["rows"], state["held_out"]

    def check_order_state(self, state, with_values):
        """Raise an error unless a state has what `order_state` gives.

        Returns
        -------
        n_trained : int
            Rows of an epoch.
        n_begun : int
            Epochs begun beside those that are done.
        """
        return self.n_rows - check_rows(self, state, with_values), 0


def check_held_out(weights):
    """Refuse weights of held-out rows that are all zero.

    Raises
    ------
    ValueError
    """
    if not weights.any():
        raise ValueError("sample_weight or class_weight is zero on all rows of the validation set.")


def _stalls(loss, best, tol, relative):
    """Whether a loss, or a negative score, is no progress from the best before."""
    if not math.isfinite(loss):
        return True
    if relative:
        return loss >= best - tol * min(1.0, abs(best))  # a loss that stays 0 is no progress
    return loss > best - tol
