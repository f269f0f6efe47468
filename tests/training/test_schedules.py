"""Learning rates: their bounds, ends and shapes, PyTorch's schedulers, and trainings that are cut in two."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from params import PARAMS
from twin import TwinNetwork

from fastmlp.engine import OPTIMIZERS, Network
from fastmlp.training.arrays import Data
from fastmlp.training.fits import Fit
from fastmlp.training.optimizers import Optimizer
from fastmlp.training.schedules import SCHEDULES, schedule_for

PLANNED = [name for name, row in SCHEDULES.items() if row.curve]
# the same examples everywhere, whatever time they take
quick = settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def optimizer_with(schedule, params=None, warmup=0, name="adam", **others):
    return Optimizer(
        name, {**PARAMS, "lr_schedule": schedule, "lr_schedule_params": params, "warmup": warmup, **others}
    )


def course(optimizer, n_batches, n_epochs, *, run=None, monitored=None):
    """The rate of every update of `run` epochs, of `n_epochs` planned, as a training would have them."""
    rates = []
    for epoch in range(n_epochs if run is None else run):
        optimizer.iteration_begins(n_batches, n_epochs)
        rates += [optimizer.rate] * n_batches if optimizer.rates is None else optimizer.rates.tolist()
        assert optimizer.rates is None or (optimizer.rates.shape, optimizer.rates.dtype) == ((n_batches,), np.float64)
        optimizer.t += n_batches
        optimizer.iteration_ends(10 * optimizer.t, None if monitored is None else monitored[epoch])
    return np.array(rates)


@st.composite
def cases(draw, names=tuple(PLANNED)):
    """A planned schedule, its options, batches and epochs."""
    name = draw(st.sampled_from(names))
    options = {
        "step": st.fixed_dictionaries({}, optional={"step_size": st.integers(1, 9), "gamma": st.floats(1e-3, 1)}),
        "exponential": st.fixed_dictionaries({}, optional={"gamma": st.floats(1e-3, 1)}),
        "cosine": st.fixed_dictionaries(
            {"min_lr": st.floats(0, 0.2)}, optional={"restart_every": st.integers(1, 9)}
        ) | st.fixed_dictionaries({"restart_every": st.integers(1, 4), "restart_mult": st.integers(1, 3)}),
        "one_cycle": st.fixed_dictionaries(
            {}, optional={"pct_start": st.floats(0, 1), "div_factor": st.floats(1, 1e3),
                          "final_div_factor": st.floats(1, 1e6)}
        ),
    }  # fmt: skip
    return name, draw(options[name]), draw(st.integers(1, 12)), draw(st.integers(1, 25))


# ---- what every schedule promises ----


@quick
@given(cases(), st.integers(0, 60) | st.floats(0, 1, exclude_max=True))
def test_rates_are_between_zero_and_the_initial_one(case, warmup):
    name, options, n_batches, n_epochs = case
    rates = course(optimizer_with(name, options, warmup), n_batches, n_epochs, run=n_epochs + 3)
    assert np.isfinite(rates).all() and (rates >= 0).all()
    assert (rates <= 0.2 * (1 + 1e-12)).all()
    least = {"cosine": options.get("min_lr", 0.0)}.get(name, 0.0)
    assert warmup or (rates >= least * (1 - 1e-12)).all()


@quick
@given(cases())
def test_after_the_plan_the_last_value_holds(case):
    name, options, n_batches, n_epochs = case
    rates = course(optimizer_with(name, options), n_batches, n_epochs, run=n_epochs + 3)
    np.testing.assert_array_equal(rates[n_batches * n_epochs :], rates[n_batches * n_epochs - 1])


@quick
@given(cases(), st.integers(0, 60) | st.floats(0, 1, exclude_max=True), st.integers(0, 25))
def test_a_training_cut_in_two_has_the_rates_of_the_whole(case, warmup, cut):
    name, options, n_batches, n_epochs = case
    cut = min(cut, n_epochs)
    whole = course(optimizer_with(name, options, warmup), n_batches, n_epochs)
    optimizer = optimizer_with(name, options, warmup)
    first = course(optimizer, n_batches, n_epochs, run=cut)
    optimizer = pickle.loads(pickle.dumps(optimizer))
    second = course(optimizer, n_batches, n_epochs, run=n_epochs - cut)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


@quick
@given(cases(names=("cosine", "one_cycle")))
def test_smooth_schedules_have_no_jumps(case):
    name, options, n_batches, n_epochs = case
    assume("restart_every" not in options)
    planned = n_batches * n_epochs
    rates = course(optimizer_with(name, options), n_batches, n_epochs)
    # the steepest half cosine falls by pi / 2 of the way over its length
    share = options.get("pct_start", 0.3)
    shortest = planned if name == "cosine" else min(share * planned - 1, planned - 1 - max(0, share * planned - 1))
    assume(shortest > 2)
    assert np.abs(np.diff(rates)).max(initial=0) <= 0.2 * math.pi / 2 / shortest * (1 + 1e-9)


@quick
@given(cases(names=("step", "exponential", "cosine")))
def test_schedules_that_only_fall(case):
    name, options, n_batches, n_epochs = case
    assume("restart_every" not in options)
    assert (np.diff(course(optimizer_with(name, options), n_batches, n_epochs)) <= 0).all()


@quick
@given(cases(names=("step", "exponential")))
def test_schedules_of_epochs_change_between_them(case):
    name, options, n_batches, n_epochs = case
    rates = course(optimizer_with(name, options), n_batches, n_epochs).reshape(n_epochs, n_batches)
    assert (rates == rates[:, :1]).all()


@quick
@given(st.integers(1, 12), st.integers(2, 25), st.integers(0, 60) | st.floats(0, 1, exclude_max=True))
def test_warm_up_is_a_line_to_the_schedule_s_own_rates(n_batches, n_epochs, warmup):
    for name in ("constant", "cosine", "one_cycle", "step"):
        warmed = course(optimizer_with(name, None, warmup), n_batches, n_epochs)
        alone = course(optimizer_with(name), n_batches, n_epochs)
        steps = warmup if isinstance(warmup, int) else round(warmup * n_batches * n_epochs)
        factors = np.minimum(1, (1 + np.arange(len(alone))) / max(steps, 1))
        np.testing.assert_allclose(warmed, alone * factors, rtol=1e-15)


# ---- each by itself ----


def test_ends_of_cosine():
    rates = course(optimizer_with("cosine", {"min_lr": 0.05}), 4, 5)
    assert rates[0] == 0.2 and rates[10] == pytest.approx(0.125, rel=1e-15)
    assert rates[-1] == pytest.approx(0.05 + 0.15 * (1 + math.cos(math.pi * 19 / 20)) / 2, rel=1e-14)


def test_restarts_of_cosine():
    rates = course(optimizer_with("cosine", {"restart_every": 2, "restart_mult": 3}), 3, 30)
    tops = np.flatnonzero(rates == 0.2)
    np.testing.assert_array_equal(tops, [0, 6, 24, 78])
    assert rates[3] == pytest.approx(0.1, rel=1e-14) and rates[15] == pytest.approx(0.1, rel=1e-14)
    np.testing.assert_array_equal(
        np.flatnonzero(course(optimizer_with("cosine", {"restart_every": 2}), 3, 5) == 0.2), [0, 6, 12]
    )


def test_ends_of_one_cycle():
    rates = course(optimizer_with("one_cycle"), 10, 10)
    assert rates[0] == pytest.approx(0.2 / 25, rel=1e-13)
    assert rates.argmax() == 29 and rates[29] == 0.2
    assert rates[-1] == pytest.approx(0.2 / 25e4, rel=1e-9)
    assert (np.diff(rates[:30]) > 0).all() and (np.diff(rates[29:]) < 0).all()
    assert course(optimizer_with("one_cycle"), 1, 1).tolist() == [0.2]


def test_steps_and_powers_of_epochs():
    rates = course(optimizer_with("step", {"step_size": 2, "gamma": 0.5}), 3, 5)
    np.testing.assert_allclose(rates, np.repeat([0.2, 0.2, 0.1, 0.1, 0.05], 3), rtol=1e-15)
    np.testing.assert_allclose(course(optimizer_with("exponential"), 1, 4), 0.2 * 0.95 ** np.arange(4), rtol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_solver_obeys_scikit_learn_s_schedules(name):
    optimizer = optimizer_with("invscaling", name=name, power_t=2)
    rates = course(optimizer, 2, 3)
    np.testing.assert_allclose(rates, np.repeat([0.2, 0.2 / 21**2, 0.2 / 41**2], 2), rtol=1e-15)
    adaptive = optimizer_with("adaptive", name=name)
    assert not adaptive.trigger_stopping("No gain.", False)
    assert adaptive.rate == pytest.approx(0.04)
    assert optimizer_with("constant", name=name, learning_rate="adaptive").trigger_stopping("No gain.", False)


def test_a_power_beyond_all_numbers_is_a_rate_of_zero():
    optimizer = optimizer_with("invscaling", power_t=1000.0)
    assert course(optimizer, 2, 2).tolist() == [0.2, 0.2, 0.0, 0.0]


def test_warm_up_over_a_held_rate_leaves_that_rate():
    optimizer = optimizer_with("adaptive", warmup=3)
    optimizer.iteration_begins(2, 5)
    np.testing.assert_allclose(optimizer.rates, [0.2 / 3, 0.4 / 3], rtol=1e-15)
    assert optimizer.rate == 0.2
    optimizer.t = 2
    assert not optimizer.trigger_stopping("No gain.", False)
    optimizer.iteration_begins(2, 5)
    np.testing.assert_allclose(optimizer.rates, [0.04, 0.04], rtol=1e-15)
    optimizer.t = 4
    optimizer.iteration_begins(2, 5)
    assert optimizer.rates is None and optimizer.rate == pytest.approx(0.04)


def test_a_callable_is_told_the_number_of_each_update():
    told = []

    def rate(step):
        told.append(step)
        return np.float32(0.5) / (step + 1) if step else 0

    rates = course(optimizer_with(rate), 3, 2, run=3)
    assert told == list(range(9)) and all(type(step) is int for step in told)
    np.testing.assert_allclose(rates, [0, *(0.5 / np.arange(2, 10))], rtol=1e-7)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e-9, None, "0.1", 1j, True, np.ones(1)], ids=repr)
def test_what_a_callable_must_not_return(value):
    optimizer = optimizer_with(lambda step: value if step == 4 else 0.1)
    optimizer.iteration_begins(3, 2)
    optimizer.t = 3
    with pytest.raises(ValueError, match="lr_schedule must return a finite learning rate >= 0, got .* at step 4"):
        optimizer.iteration_begins(3, 2)


def test_a_plateau_ends_after_more_epochs_than_patience():
    losses = [1.0, 0.9, 0.9, 0.89995, math.nan, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    optimizer = optimizer_with("plateau", {"patience": 2, "factor": 0.5, "min_lr": 0.06})
    rates = course(optimizer, 1, 11, monitored=losses)
    np.testing.assert_allclose(rates, [0.2] * 5 + [0.1] * 4 + [0.06] * 2, rtol=1e-15)


# ---- PyTorch's schedulers ----


def of_pytorch(make, n):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.2)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize(
    "name, options, make, by_epoch",
    [
        ("step", {"step_size": 3, "gamma": 0.3}, lambda s, o: s.StepLR(o, 3, 0.3), True),
        ("exponential", {"gamma": 0.8}, lambda s, o: s.ExponentialLR(o, 0.8), True),
        ("cosine", {"min_lr": 0.01}, lambda s, o: s.CosineAnnealingLR(o, 140, 0.01), False),
        (
            "cosine",
            {"restart_every": 3, "min_lr": 0.01},
            lambda s, o: s.CosineAnnealingWarmRestarts(o, 21, 1, 0.01),
            False,
        ),
        (
            "cosine",
            {"restart_every": 2, "restart_mult": 2},
            lambda s, o: s.CosineAnnealingWarmRestarts(o, 14, 2),
            False,
        ),
        ("one_cycle", {}, lambda s, o: s.OneCycleLR(o, 0.2, 140, cycle_momentum=False), False),
        (
            "one_cycle",
            {"pct_start": 0.57, "div_factor": 7.0, "final_div_factor": 30.0},
            lambda s, o: s.OneCycleLR(o, 0.2, 140, None, None, 0.57, "cos", False, div_factor=7, final_div_factor=30),
            False,
        ),
    ],
    ids=["step", "exponential", "cosine", "restarts", "longer", "one_cycle", "one_cycle-57"],
)
def test_schedules_of_pytorch(name, options, make, by_epoch):
    rates = course(optimizer_with(name, options), 7, 20)
    theirs = of_pytorch(make, 20 if by_epoch else 140)
    np.testing.assert_allclose(rates[::7] if by_epoch else rates, theirs, rtol=1e-11, atol=1e-15)


@quick
@given(
    st.lists(st.floats(0.01, 2) | st.sampled_from([1.0, 0.99995, math.nan]), min_size=1, max_size=40),
    st.integers(0, 4),
    st.booleans(),
)
def test_the_plateau_of_pytorch(seen, patience, maximise):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.2)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, "max" if maximise else "min", 0.5, patience, 1e-4, min_lr=1e-3
    )
    optimizer = optimizer_with("plateau", {"factor": 0.5, "patience": patience, "min_lr": 1e-3})
    for value in seen:
        optimizer.iteration_begins(3, 40)
        optimizer.iteration_ends(0, value, maximise=maximise)
        scheduler.step(value)
        assert optimizer.rate == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        optimizer = pickle.loads(pickle.dumps(optimizer))


# ---- in a training ----


def slower_and_slower(step):
    return 0.1 / (step + 1)


def trained(schedule, params=None, *, kind=Network, name="adamw", warmup=0, parts=(6,), validation=None, **others):
    """Parameters after six planned epochs, one to a call, the optimizer pickled between the parts."""
    network = kind((4, 5, 2), "tanh", "squared_error", np.float64)
    rng = np.random.default_rng(0)
    for array in network.coefs + network.intercepts:
        array[...] = rng.standard_normal(array.shape)
    network.bind(rng.standard_normal((20, 4)), rng.standard_normal((20, 2)))
    optimizer = optimizer_with(schedule, params, warmup, name, **others).on(network)
    params = {"solver": name, "alpha": 0.01, "shuffle": True, "tol": 0.0, "n_iter_no_change": 100, "verbose": False}
    params |= {"batch_size": 8, "max_iter": 6, "early_stopping": validation is not None}
    data, state, before = Data(np.empty((20, 0)), np.empty(20), None, None, None), np.random.RandomState(1), {}
    for k, part in enumerate(parts):
        if k:
            optimizer = pickle.loads(pickle.dumps(optimizer)).on(network)
        for _ in range(part):
            before |= {"_optimizer": optimizer, "_network": (None, network, None)}
            fit = Fit(network, params, state, data, data, before=before, incremental=True)
            fit.begin(validation)
            fit.run()
            before |= fit.attributes()
    return np.concatenate([array.ravel() for array in network.coefs + network.intercepts]), optimizer


@pytest.mark.parametrize("name", ["nadam", "schedule_free_adamw", "sgd"])
@pytest.mark.parametrize("schedule", [*SCHEDULES, slower_and_slower])
def test_trainings_go_on_through_a_pickle(schedule, name):
    whole, optimizer = trained(schedule, name=name, warmup=0.3)
    parts, again = trained(schedule, name=name, warmup=0.3, parts=(1, 3, 2))
    np.testing.assert_array_equal(whole, parts)
    for key in ("t", "rate", "watched", "memory"):
        assert getattr(again, key) == getattr(optimizer, key)
    assert optimizer.t == 18


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("schedule", [*SCHEDULES, slower_and_slower])
def test_the_engine_takes_the_rates_of_the_schedule(schedule, warmup):
    params = {"plateau": {"patience": 0, "threshold": 0.9}, "step": {"step_size": 2}}.get(schedule)
    ours, theirs = (trained(schedule, params, kind=kind, warmup=warmup)[0] for kind in (Network, TwinNetwork))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    constant = trained("constant")[0]
    # adaptive waits for more epochs without progress than there are
    assert np.allclose(ours, constant, rtol=1e-3) == (schedule in ("constant", "adaptive") and not warmup)


def test_a_rate_of_zero_leaves_the_parameters_alone():
    before = trained("constant", parts=())[0]
    np.testing.assert_array_equal(trained(lambda step: 0, name="sgd", weight_decay=0.5)[0], before)
    assert not np.isclose(trained(lambda step: 0.01 * (step == 7), name="sgd")[0], before, rtol=1e-6).any()


def test_the_validation_score_is_what_a_plateau_watches():
    class Scores:
        scoring, with_loss, scores = "told", False, iter([0.5, 0.4, 0.3, 0.6, 0.5, 0.4])

        def __call__(self):
            return next(self.scores), None

    _, optimizer = trained("plateau", {"patience": 0, "factor": 0.5}, validation=Scores())
    assert optimizer.watched == (0.6, 0) and optimizer.rate == pytest.approx(0.2 / 16)


def test_copies_do_not_share_what_a_plateau_has_seen():
    optimizer = optimizer_with("plateau", {"patience": 0})
    other = copy.copy(optimizer)
    for loss in (1.0, 2.0):
        optimizer.iteration_ends(0, loss)
    assert (other.watched, other.rate) == ((None, 0), 0.2) and optimizer.rate == pytest.approx(0.02)


def test_extras_go_to_the_engine_under_their_names():
    given_ = {"weight_decay": 0.1, "clip_norm": 2.0, "clip_value": None, "max_norm": 0}
    assert Optimizer("lion", PARAMS | given_).hyper == {
        "beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1, "clip_norm": 2.0
    }  # fmt: skip


# ---- what is refused ----


@pytest.mark.parametrize("lr_schedule, params, warmup, match", [
    ("cosines", None, 0, r"lr_schedule must be None, a callable or one of \['adaptive', .*\], got 'cosines'"),
    (3, None, 0, "lr_schedule must be .* got 3"),
    (["step"], None, 0, "lr_schedule must be"),
    ("step", [("gamma", 0.1)], 0, "lr_schedule_params must be None or a dict"),
    ("step", {"gama": 0.1}, 0, r"'gama'; options of lr_schedule='step': \['gamma', 'step_size'\]"),
    (None, {"gamma": 0.1}, 0, "'gamma'; options of lr_schedule=None: none"),
    (abs, {"gamma": 0.1}, 0, "'gamma'; options of .*: none"),
    ("constant", {"gamma": 0.1}, 0, "'gamma'; options of lr_schedule='constant': none"),
    ("step", {"gamma": 0.0}, 0, r"lr_schedule_params\['gamma'\] must be a number in \(0, 1\], got 0.0"),
    ("step", {"gamma": math.nan}, 0, r"\['gamma'\] must be .* got nan"),
    ("exponential", {"gamma": 1.1}, 0, r"\['gamma'\] must be"),
    ("step", {"step_size": 2.5}, 0, r"\['step_size'\] must be an integer >= 1, got 2.5"),
    ("step", {"step_size": True}, 0, r"\['step_size'\] must be an integer >= 1, got True"),
    ("cosine", {"min_lr": 0.3}, 0, r"\['min_lr'\] must be a number in \[0, learning_rate_init\], got 0.3"),
    ("cosine", {"restart_every": 0}, 0, r"\['restart_every'\] must be None or an integer >= 1, got 0"),
    ("cosine", {"restart_mult": 2}, 0, r"\['restart_mult'\] > 1 needs 'restart_every'"),
    ("plateau", {"factor": 1.0}, 0, r"\['factor'\] must be a number in \(0, 1\), got 1.0"),
    ("plateau", {"patience": -1}, 0, r"\['patience'\] must be an integer >= 0, got -1"),
    ("plateau", {"threshold": -1}, 0, r"\['threshold'\] must be a finite number >= 0, got -1"),
    ("one_cycle", {"pct_start": 1.5}, 0, r"\['pct_start'\] must be a number in \[0, 1\], got 1.5"),
    ("one_cycle", {"div_factor": 0.5}, 0, r"\['div_factor'\] must be a finite number >= 1, got 0.5"),
    ("one_cycle", {"final_div_factor": math.inf}, 0, r"\['final_div_factor'\] must be"),
    (None, None, -1, r"warmup must be an integer >= 0 or a float in \[0, 1\), got -1"),
    (None, None, 1.0, "warmup must be .* got 1.0"),
    (None, None, math.nan, "warmup must be .* got nan"),
    (None, None, True, "warmup must be .* got True"),
    (None, None, "5", "warmup must be .* got '5'"),
])  # fmt: skip
def test_refused(lr_schedule, params, warmup, match):
    with pytest.raises(ValueError, match=match):
        schedule_for(lr_schedule, params, warmup, learning_rate_init=0.2)
    with pytest.raises(ValueError, match=match):
        optimizer_with(lr_schedule, params, warmup)


def test_numbers_without_end_are_no_trouble():
    huge = 10**30
    for name, options in (
        ("step", {"step_size": huge}),
        ("cosine", {"restart_every": huge}),
        ("cosine", {"restart_every": 1, "restart_mult": huge}),
        ("plateau", {"patience": huge}),
    ):
        rates = course(optimizer_with(name, options), 3, huge, run=2, monitored=[1.0, 2.0])
        assert np.isfinite(rates).all() and rates[0] == 0.2
        warmed = course(optimizer_with(name, options, huge), 3, huge, run=2, monitored=[1.0, 2.0])
        np.testing.assert_allclose(warmed, rates * np.arange(1, 7) / float(huge), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name, row in SCHEDULES.items() if row.options])
def test_numbers_of_numpy_take_no_digits_from_the_rate(name):
    # all of them float32 and int8 to the digit
    exact = {"factor": 0.5, "min_lr": 2**-9, "gamma": 0.75, "pct_start": 0.25, "div_factor": 3.0}
    exact |= {"final_div_factor": 7.0, "patience": 1, "threshold": 0.125}
    exact |= {"step_size": 2, "restart_every": 1, "restart_mult": 2}
    given = {key: exact[key] for key in SCHEDULES[name].options}
    numpy = {key: np.int8(value) if isinstance(value, int) else np.float32(value) for key, value in given.items()}
    monitored = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    rates = course(optimizer_with(name, given), 3, 6, monitored=monitored)
    np.testing.assert_array_equal(course(optimizer_with(name, numpy), 3, 6, monitored=monitored), rates)
