"""Training, predictions and gradients have the bits that golden.json has recorded."""

import golden
import pytest

from fastmlp.engine import ISAS

RECORDED = golden.recorded()


def test_every_case_is_recorded():
    assert list(RECORDED) == list(golden.CASES)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa != "baseline"])
@pytest.mark.parametrize("name", RECORDED)
def test_bits(name, isa, n_threads):
    assert golden.digests(name, isa, n_threads) == RECORDED[name]
