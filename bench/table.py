# SPDX-License-Identifier: Apache-2.0
"""The table of figures, and what is over its bound."""
import stats


class Row:
    """One line of the table. bound: what the upper end of the interval (of the difference, for pairs) may be."""

    def __init__(self, name, unit, ours, bare=None, bound=None, note=""):
        self.name, self.unit, self.bound, self.note = name, unit, bound, note
        self.ours = stats.Summary(ours)
        self.bare = self.added = self.ratio = None
        if bare:
            self.bare = stats.Summary(bare)
            self.added = stats.Summary([a - b for a, b in zip(ours, bare)])
            self.ratio = stats.Summary([a / b for a, b in zip(ours, bare)])
        judged = self.added or self.ours
        self.over = bound is not None and judged.high > bound

    def cells(self, judged):
        def spread(s, digits):
            return "%.*f [%.*f, %.*f]" % (digits, s.median, digits, s.low, digits, s.high)

        digits = 1 if self.ours.median >= 10 else 2
        return [self.name, str(self.ours.n), self.unit, spread(self.ours, digits),
                "%.*f" % (digits, self.bare.median) if self.bare else "",
                spread(self.added, digits) if self.added else "",
                spread(self.ratio, 2) if self.ratio else "",
                "" if self.bound is None else "%g" % self.bound,
                "" if self.bound is None or not judged else "OVER" if self.over else "ok",
                self.note]

    def data(self):
        d = {"name": self.name, "unit": self.unit, "serai": self.ours.data(), "bound": self.bound, "over": self.over}
        if self.bare:
            d.update(bare=self.bare.data(), difference=self.added.data(), ratio=self.ratio.data())
        if self.note:
            d["note"] = self.note
        return d


def print_table(rows, judged):
    lines = [["figure", "n", "unit", "median [95 %]", "bare QEMU", "difference [95 %]", "ratio [95 %]", "bound", "", ""]]
    lines += [r.cells(judged) for r in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip())
