"""The golden parts nearest to a part, all cut out at the same place: what normal looks like there.

The worker has laid them side by side in one picture of equal tiles; each is shown through a window of one tile.
"""

from core.records.compared import Compared
from dashboard import figures, words
from dashboard.drawing.picture import image_url
from dashboard.markup import Html, div, join, span, tag
from dashboard.queries.frames import Frame


def golden_card(frame: Frame) -> Html | None:
    """The part and its nearest golden parts in a row; None where the books keep none of it."""
    found = frame.golden
    if found is None:
        return None
    large = tag(
        "button", span("key", "X"), words.LARGER, class_="chip press", type="button", data_beside=True,
        data_keycap="x", aria_pressed="false",
    )  # fmt: skip
    head = div("ends", span("label", words.CLOSEST_GOOD if found.box else words.CLOSEST_GOOD_WHOLE), large)
    return div("card golden", head, div("four", *_cuts(found)))


def beside(frame: Frame) -> Html | None:
    """The same, large, in place of the picture; shown on request."""
    return None if frame.golden is None else div("beside", *_cuts(frame.golden))


def _cuts(found: Compared) -> list[Html]:
    cuts = [_cut(found, 0, words.THIS_PART)]
    for number, distance in enumerate(found.distances, start=1):
        caption = join(span("of", f"{words.GOLDEN} · "), figures.short_score(distance))
        cuts.append(_cut(found, number, caption, title=words.GOLDEN_HINT))
    return cuts


def _cut(found: Compared, number: int, caption: str, title: str | None = None) -> Html:
    tiles = len(found.distances) + 1
    picture = tag(
        "img", src=image_url(found.picture), alt=words.GOLDEN if number else words.THIS_PART, decoding="sync",
        draggable="false", style=f"width:{100 * tiles}%;left:{-100 * number}%",
    )  # fmt: skip
    window = div("cut", picture, _mark(found), style=f"aspect-ratio:{found.width}/{found.height}")
    return div("one", window, div("label", caption), title=title)


def _mark(found: Compared) -> Html | None:
    if found.box is None:
        return None
    x, y, width, height = found.box
    across, down = 100 / found.width, 100 / found.height
    style = f"left:{x * across:.2f}%;top:{y * down:.2f}%;width:{width * across:.2f}%;height:{height * down:.2f}%"
    return span("box", style=style)
