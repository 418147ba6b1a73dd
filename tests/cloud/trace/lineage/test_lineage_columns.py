"""Many numbers are found where few are."""

import numpy as np
import pytest

from cloud.trace.lineage.columns import places


@pytest.mark.parametrize("count", [100, 60_000])
@pytest.mark.parametrize("spread", [10_000_000, 2**62])
def test_places_are_where_the_numbers_are(count: int, spread: int) -> None:
    random = np.random.default_rng(count)
    known = np.unique(random.integers(-spread // 2, spread // 2, size=count))
    apart = random.integers(-spread, spread, size=count)
    ends = np.array([known[0] - 1, known[0], known[-1], known[-1] + 1])
    wanted = np.concatenate([ends, apart, random.permutation(known)])
    place, there = places(known, wanted)
    assert there.tolist() == np.isin(wanted, known).tolist()
    assert (known[place[there]] == wanted[there]).all()
    assert ((place >= 0) & (place < len(known))).all()
