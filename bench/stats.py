# SPDX-License-Identifier: Apache-2.0
"""Medians, and the order statistics around them that hold the true median with 95 %."""
import math


def median(values):
    v = sorted(values)
    half = len(v) // 2
    return v[half] if len(v) % 2 else (v[half - 1] + v[half]) / 2


def rank(n, confidence=0.95):
    """The largest k so that the k-th smallest and the k-th largest of n values hold the median with this confidence: at
    most k - 1 of n values lie below it as seldom as heads in n throws of a coin. 0: too few values for any."""
    k, below = 0, 0.0
    while k < n // 2:
        below += math.comb(n, k) / 2 ** n
        if 2 * below > 1 - confidence:
            break
        k += 1
    return k


def interval(values):
    """The 95 % interval of the median; with fewer than six values there is none, and it is all that was seen."""
    v = sorted(values)
    k = max(1, rank(len(v)))
    return v[k - 1], v[-k]


class Summary:
    """Of one list of numbers."""

    def __init__(self, values):
        self.n = len(values)
        self.median = median(values)
        self.low, self.high = interval(values)

    def data(self):
        return {"n": self.n, "median": self.median, "low": self.low, "high": self.high}
