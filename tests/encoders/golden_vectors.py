"""Vectors compared with golden ones."""

from __future__ import annotations

import numpy as np


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The cosine of each row with the same row of another array; both have unit norm."""
    return np.einsum("nd,nd->n", left, right)


def assert_same(found: np.ndarray, expected: np.ndarray, least: float = 0.99999) -> None:
    """Vectors of an encoder are those of its reference, up to rounding."""
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert cosines(found, expected).min() > least
