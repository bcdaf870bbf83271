"""A part's picture with its marks: never stretched, marked so that it shows on any part, heat only on request."""

from urllib.parse import quote

from dashboard import figures, words
from dashboard.drawing.marks import tone_of
from dashboard.markup import Html, div, span, tag
from dashboard.queries.frames import Frame, Region

_MARGIN = 0.012  # of the picture's longer side, so that the frame does not cover the flaw
_MOST_BOXES = 6


def image_url(key: str) -> str:
    """Where the image route serves a blob."""
    return f"/api/img/{quote(key)}"


def heat_url(frame: Frame) -> str | None:
    """Where the heat route draws a frame's map; None where none was kept or no limits give it a scale."""
    if not frame.heat or frame.t_lo is None or frame.heat_min is None or frame.heat_max is None:
        return None
    return f"/api/heat/{quote(frame.id.camera)}/{frame.id.session}/{frame.id.seq}.png"


def part_url(frame: Frame) -> str:
    """Where the part route describes a frame, for holding it."""
    return f"/api/part/{quote(frame.id.camera)}/{frame.id.session}/{frame.id.seq}.json"


def picture_of(frame: Frame) -> str | None:
    """The best picture kept of a frame."""
    key = frame.picture or frame.thumb
    return image_url(key) if key else None


def thumb_of(frame: Frame) -> str | None:
    """The smallest picture kept of a frame."""
    key = frame.thumb or frame.picture
    return image_url(key) if key else None


def photo(source: str | None, alt: str, class_: str = "photo") -> Html:
    """A picture, or words in its place where none was kept."""
    if source is None:
        return div(f"{class_} nophoto", words.NO_PICTURE)
    return tag("img", class_=class_, src=source, alt=alt, decoding="sync", draggable="false")


def stage(frame: Frame) -> Html:
    """The picture in its own aspect, as large as its place allows, with boxes and, on request, heat."""
    width, height = (frame.width, frame.height) if frame.width > 0 and frame.height > 0 else (4, 3)
    heat = heat_url(frame)
    overlay = None if heat is None else tag("img", class_="heat", src=heat, alt="", loading="lazy", draggable="false")
    fit = div("fit", photo(picture_of(frame), _alt(frame)), overlay, *boxes(frame), style=f"--w:{width};--h:{height}")
    return div("stage", fit)


def boxes(frame: Frame) -> list[Html]:
    """The marked places of a frame, those with the highest peak first."""
    if frame.width <= 0 or frame.height <= 0:
        return []
    tone = tone_of(frame.verdict)
    return [_box(region, frame, f"box {tone}") for region in frame.regions[:_MOST_BOXES]]


def _box(region: Region, frame: Frame, class_: str) -> Html:
    margin = _MARGIN * max(frame.width, frame.height)
    left, top = max(0.0, region.x - margin), max(0.0, region.y - margin)
    right = min(float(frame.width), region.x + region.width + margin)
    bottom = min(float(frame.height), region.y + region.height + margin)
    style = (
        f"left:{100 * left / frame.width:.2f}%;top:{100 * top / frame.height:.2f}%;"
        f"width:{100 * (right - left) / frame.width:.2f}%;height:{100 * (bottom - top) / frame.height:.2f}%"
    )
    return span(class_, style=style, title=" · ".join(measures(region)))


def measures(region: Region) -> list[str]:
    """How large a marked place is, and how high the map stands in it."""
    said = [figures.area(region.area, region.area_mm2), words.PEAK.format(peak=figures.score(region.peak))]
    return said if region.mean is None else [*said, words.MEAN.format(mean=figures.score(region.mean))]


def _alt(frame: Frame) -> str:
    return f"{words.VERDICTS.get(frame.verdict, frame.verdict)}, {frame.id}"
