"""L-BFGS-B from SciPy on the engine's full-batch loss and gradient."""

import math
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from ..borrowed import check_optimize_result
from .fits import INTERRUPTED

__all__ = ["train"]


def train(network, *, alpha, max_iter, max_fun, tol, verbose, iteration_ends=None):
    """Minimise the penalised loss of a bound float64 network over all its parameters.

    Parameters
    ----------
    network : Network
        Bound to its data; left at the minimum, or when interrupted at the last completed iterate.
    alpha : float
        L2 penalty.
    max_iter, max_fun : int
        Limits on iterations and on evaluations.
    tol : float
        Largest projected gradient at which to stop.
    verbose : bool or int
        Print the loss of every iteration.
    iteration_ends : callable, default=None
        Called with the number of the iteration and its loss, the iterate being in the network; True ends the training.

    Returns
    -------
    n_iter : int
        Iterations done.
    loss : float
        Loss at the parameters left in the network; NaN when interrupted before the first iteration.

    Warns
    -----
    ConvergenceWarning
        When a limit ended it, SciPy gave up, or the loss is not finite.
    UserWarning
        When interrupted.

    References
    ----------
    Zhu, Byrd, Lu and Nocedal (1997), "Algorithm 778: L-BFGS-B", ACM TOMS 23(4).
    """
    params = network.coefs + network.intercepts
    bounds = np.cumsum([0] + [param.size for param in params])

    def to_network(x):
        for param, start, stop in zip(params, bounds[:-1], bounds[1:], strict=True):
            param[...] = x[start:stop].reshape(param.shape)

    def loss_and_gradient(x):
        to_network(x)
        loss, coef_grads, intercept_grads = network.loss_and_grad(None, alpha)
        return loss, np.concatenate([grad.ravel() for grad in (*coef_grads, *intercept_grads)])

    iterate = np.concatenate([param.ravel() for param in params])
    n_iter, last_loss, stopped, raised = 0, math.nan, False, None

    # SciPy looks at this name to decide what to pass
    def heed(intermediate_result):
        nonlocal n_iter, last_loss, stopped, raised
        iterate[:] = intermediate_result.x
        n_iter, last_loss = n_iter + 1, float(intermediate_result.fun)
        if verbose:
            print(f"Iteration {n_iter}, loss = {last_loss:.8f}")
        if iteration_ends is not None:
            to_network(iterate)
            try:
                stopped = iteration_ends(n_iter, last_loss)
            except StopIteration as error:  # which SciPy would take for its own
                stopped, raised = True, error
            if stopped:
                raise StopIteration

    try:
        result = minimize(
            loss_and_gradient,
            iterate.copy(),
            method="L-BFGS-B",
            jac=True,
            callback=heed,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        )
    except KeyboardInterrupt:
        to_network(iterate)
        warnings.warn(INTERRUPTED)
        return n_iter, last_loss
    if raised is not None:
        raise raised
    if stopped:
        to_network(iterate)
        return n_iter, last_loss
    to_network(result.x)
    if not math.isfinite(result.fun):
        warnings.warn(f"lbfgs: the loss became non-finite after {n_iter} iteration(s).", ConvergenceWarning)
    return check_optimize_result("lbfgs", result, max_iter), float(result.fun)
