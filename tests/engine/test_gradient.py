"""The engine's gradient against finite differences of the engine's loss."""

from itertools import product

import numpy as np
import pytest
from networks import bound, copies

from fastmlp.engine import ACTIVATIONS, LOSSES

STEP = 1e-5


def finite_differences(network, arrays, alpha):
    """Central differences of the loss for every element of the arrays.

    scikit-learn's squared error is a mean over the outputs, its gradient that of their sum: the data's part is
    multiplied by the number of outputs, the penalty is not.
    """
    scale = network.layer_units[-1] if network.loss == "squared_error" else 1
    gradients = [np.empty_like(array) for array in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for i in np.ndindex(array.shape):
            middle = array[i]
            array[i] = middle + STEP
            above = network.loss_and_grad(alpha=alpha / scale)[0]
            array[i] = middle - STEP
            below = network.loss_and_grad(alpha=alpha / scale)[0]
            array[i] = middle
            gradient[i] = scale * (above - below) / (2 * STEP)
    return gradients


def check(network, alpha):
    _, coef_grads, intercept_grads = network.loss_and_grad(alpha=alpha)
    gradients = copies(coef_grads + intercept_grads)
    expected = finite_differences(network, network.coefs + network.intercepts, alpha)
    for gradient, differences in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)


# every activation with every loss, in two of the sixteen cases each
CASES = list(product([0, 1, 2, 3], [False, True], [0.0, 3.0]))
ROWS = [
    (activation, loss, *CASES[(5 * i + 3 * j + 8 * half) % len(CASES)])
    for i, activation in enumerate(ACTIVATIONS)
    for j, loss in enumerate(LOSSES)
    for half in range(2)
]


@pytest.mark.parametrize("activation, loss, depth, weights, alpha", ROWS)
def test_gradient(activation, loss, depth, weights, alpha):
    layer_units = (4, *(5, 3, 6)[:depth], 3)
    network = bound(layer_units, activation, loss, np.float64, 11, weights=weights)
    check(network, alpha)


def test_large_batches_in_chunks():
    check(bound((3, 4, 2), "tanh", "log_loss", np.float64, 2100, weights=True), 0.5)


def test_the_gradient_leaves_the_parameters_alone():
    network = bound((3, 4, 2), "tanh", "log_loss", np.float64, 20)
    before = copies(network.coefs + network.intercepts)
    first = network.loss_and_grad(alpha=0.5)[0]
    assert network.loss_and_grad(alpha=0.5)[0] == first
    for array, expected in zip(network.coefs + network.intercepts, before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_the_gradient_s_arrays_are_the_network_s_own():
    network = bound((3, 4, 2), "tanh", "log_loss", np.float64, 20)
    first = network.loss_and_grad()[1:]
    again = network.loss_and_grad(rows=np.arange(5))[1:]
    assert all(a is b for ones, others in zip(first, again, strict=True) for a, b in zip(ones, others, strict=True))
