# SPDX-License-Identifier: Apache-2.0
"""The figures' arithmetic."""
import random
import unittest

import stats
from table import Row


class Stats(unittest.TestCase):
    def test_median(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertEqual(stats.median([4, 1, 2, 3]), 2.5)

    def test_ranks_are_those_of_the_sign_test(self):
        # From printed tables of the sign test's two-sided 5 % points (critical value + 1).
        for n, k in ((5, 0), (6, 1), (10, 2), (12, 3), (20, 6), (40, 14), (100, 40)):
            self.assertEqual(stats.rank(n), k, n)

    def test_few_values_give_their_range(self):
        self.assertEqual(stats.interval([5, 1, 3]), (1, 5))
        self.assertEqual(stats.interval([7]), (7, 7))

    def test_the_interval_holds_the_median_as_often_as_it_says(self):
        source = random.Random(1)
        held = 0
        for _ in range(1000):
            low, high = stats.interval([source.expovariate(1.0) for _ in range(40)])
            held += low <= 0.6931472 <= high
        self.assertGreater(held, 930)
        self.assertLess(held, 990)

    def test_a_bound_is_for_the_upper_end(self):
        some = [1.0] * 30 + [9.0] * 10  # the median's interval is [1, 1]
        many = [1.0] * 24 + [9.0] * 16  # and now [1, 9]
        self.assertFalse(Row("x", "s", some, bound=5).over)
        self.assertTrue(Row("x", "s", many, bound=5).over)
        self.assertFalse(Row("x", "s", many, bound=9).over)
        self.assertFalse(Row("x", "s", many).over)

    def test_with_pairs_it_is_for_the_difference(self):
        bare = [100.0 + i for i in range(40)]
        row = Row("x", "ms", [b + 7 for b in bare], bare, bound=8)
        self.assertEqual((row.added.low, row.added.high, row.over), (7, 7, False))
        self.assertTrue(Row("x", "ms", [b + 7 for b in bare], bare, bound=6).over)
        cells = row.cells(judged=True)
        self.assertIn("7.0 [7.0, 7.0]", cells)
        self.assertIn("ok", cells)
        self.assertNotIn("ok", row.cells(judged=False))


if __name__ == "__main__":
    unittest.main()
