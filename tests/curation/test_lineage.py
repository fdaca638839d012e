"""New clusters continue the old ones that they overlap most."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.curation.lineage import continued


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [ids(1, 2)], {}),
        ([ids(1, 2)], [], {}),
        ([ids(1, 2), ids(3, 4)], [ids(3, 4), ids(1, 2)], {0: 1, 1: 0}),
        ([ids(1, 2, 3, 4)], [ids(1, 2, 3), ids(4, 5)], {0: 0}),
        ([ids(1, 2), ids(3, 4)], [ids(1, 2, 3, 4, 5)], {0: 0}),
        ([ids(1, 2, 3, 4, 5)], [ids(1), ids(7, 8)], {}),
        # The larger overlap of one pair is given up for two pairs that are larger together.
        ([ids(1, 2, 3, 4), ids(5, 6)], [ids(1, 2, 5, 6), ids(3, 4)], {0: 1, 1: 0}),
    ],
)
def test_pairs(old, new, expected):
    assert continued(old, new) == expected
