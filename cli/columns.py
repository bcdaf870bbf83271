"""Aligned columns on standard output, as the books and the ablations print them."""

from collections.abc import Sequence

from cli.console import escape, out


class Columns:
    """Aligned columns that are never cut: a number that a person cannot read is worse than a long line.

    left: names of the columns that begin each row, aligned to the left; right: of the numbers after them.
    """

    def __init__(self, *left: str, right: Sequence[str]) -> None:
        self._left = len(left)
        self._rows: list[tuple[str, list[str]]] = [("bold", [*left, *right])]

    def add(self, *cells: str, style: str = "") -> None:
        """A row, or with fewer cells than columns a remark below one."""
        self._rows.append((style, list(cells)))

    def print(self) -> None:
        """On standard output."""
        widths = [max(map(len, column)) for column in zip(*(r for _, r in self._rows if len(r) > 1), strict=True)]
        for style, cells in self._rows:
            pairs = zip(cells, widths, strict=False)
            padded = [c.ljust(w) if n < self._left else c.rjust(w) for n, (c, w) in enumerate(pairs)]
            out.print(escape("  ".join(padded if len(cells) > 1 else cells)), style=style or None, soft_wrap=True)
