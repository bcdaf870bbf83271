"""From a camera's source URL in the line file to a source."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

from core.errors import SettingsInvalid
from ingest.simulator import PRODUCTS, CameraFault, Simulator
from ingest.sources.camera import CameraSource, opener, redacted
from ingest.sources.folder import FolderSource
from ingest.sources.simulator import Look, SimulatorSource
from ingest.sources.source import Source
from ingest.sources.video import VideoSource

Number = TypeVar("Number", int, float)
SCHEMES = {
    "simulator": ("rate", "defects", "subtle", "faults", "seed", "parts", "first"),
    "folder": ("rate", "watch", "loop"),
    "video": ("rate", "loop"),
    "camera": ("rate",),
    "rtsp": ("rate",),
    "rtsps": ("rate",),
}
EXAMPLES = (
    "simulator:ring?rate=10&defects=0.08&seed=1",
    "folder:/pictures?rate=5&watch=1",
    "video:/line.mp4?rate=25",
    "camera:0",
    "rtsp://host/stream",
)


def simulator_of(url: str) -> Simulator:
    """The simulator behind a `simulator:` URL, which knows the truth about each part. Raises SettingsInvalid."""
    source = open_source(url)
    if not isinstance(source, SimulatorSource):
        raise SettingsInvalid(f"source {redacted(url)!r} is no simulator: nobody knows the truth about its parts")
    return source.simulator()


def open_source(url: str, *, notes: Path | None = None, owner: str = "") -> Source:
    """The source that a URL means, not yet opened: use it in a `with` statement.

    notes: folder in which a folder source remembers what it has taken; owner: the camera's name, so that two cameras on
    one folder keep notes of their own. Raises SettingsInvalid for an unknown scheme, option or value.

    simulator:PRODUCT  rate (10), defects (0.08), subtle (0.10), faults (a rate, or `blur@100-120,dark@300-310`),
                       seed (1), parts (0 = no end), first (0)
    folder:PATH        rate (0 = as fast as they are read), watch (0), loop (0)
    video:PATH         rate (0 = its own), loop (0)
    camera:INDEX       rate (0 = every frame)
    rtsp://…, rtsps:// rate (0 = every frame); its other options are the camera's own and are left in place
    """
    scheme, _, rest = url.partition(":")
    if scheme not in SCHEMES or not rest:
        raise SettingsInvalid(
            f"source {redacted(url)!r} is of no known kind; write one like {', '.join(EXAMPLES)}",
        )
    if scheme in ("rtsp", "rtsps"):
        return _stream(url)
    path, _, query = rest.partition("?")
    options = _options(url, scheme, query)
    if scheme == "simulator":
        return _simulator(path, options)
    if scheme == "camera":
        if not path.isdigit():
            raise SettingsInvalid(f"source {url!r}: a USB camera has a number, as in camera:0")
        return CameraSource(opener(path), name=url.partition("?")[0], rate=options.number("rate", 0.0))
    where = Path(path).expanduser()
    if scheme == "video":
        return VideoSource(where, rate=options.number("rate", 0.0), loop=options.flag("loop"))
    return _folder(where, options, notes, owner)


class Options:
    """The options of one source URL; a value that nobody can mean raises SettingsInvalid."""

    def __init__(self, url: str, values: Mapping[str, str]) -> None:
        self._url, self._values = url, values

    def number(self, name: str, default: float, *, most: float = 1e6) -> float:
        """A number from 0 to `most`."""
        return self._read(name, default, float, lambda value: 0.0 <= value <= most, f"a number from 0 to {most:g}")

    def whole(self, name: str, default: int) -> int:
        """A whole number from 0 on."""
        return self._read(name, default, int, lambda value: value >= 0, "a whole number from 0 on")

    def flag(self, name: str) -> bool:
        """0 or 1."""
        return self._read(name, 0, int, lambda value: value in (0, 1), "0 or 1") == 1

    def text(self, name: str) -> str:
        """Anything."""
        return self._values.get(name, "")

    def wrong(self, name: str, wanted: str) -> SettingsInvalid:
        """The error that says what is wrong with an option."""
        return SettingsInvalid(f"source {self._url!r}: {name}={self._values.get(name)} must be {wanted}")

    def _read(
        self, name: str, default: Number, kind: Callable[[str], Number], fits: Callable[[Number], bool], wanted: str
    ) -> Number:
        if name not in self._values:
            return default
        try:
            value = kind(self._values[name])
        except ValueError as problem:
            raise self.wrong(name, wanted) from problem
        if not fits(value):
            raise self.wrong(name, wanted)
        return value


def _options(url: str, scheme: str, query: str) -> Options:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as problem:
        raise SettingsInvalid(f"source {url!r}: options are written name=value and joined by &") from problem
    values = dict(pairs)
    if strangers := sorted(set(values) - set(SCHEMES[scheme])):
        known = ", ".join(SCHEMES[scheme])
        raise SettingsInvalid(f"source {url!r}: unknown option {', '.join(strangers)}; {scheme} knows {known}")
    if len(values) < len(pairs):
        raise SettingsInvalid(f"source {url!r}: an option stands twice")
    return Options(url, values)


def _simulator(product: str, options: Options) -> SimulatorSource:
    if product not in PRODUCTS:
        raise SettingsInvalid(f"unknown simulated product {product!r}: choose one of {', '.join(PRODUCTS)}")
    rate, faults = _faults(options)
    look = Look(
        defects=options.number("defects", 0.08, most=1.0),
        subtle=options.number("subtle", 0.10, most=1.0),
        fault_rate=rate,
        faults=faults,
    )
    return SimulatorSource(
        product,
        seed=options.whole("seed", 1),
        rate=options.number("rate", 10.0),
        parts=options.whole("parts", 0),
        first=options.whole("first", 0),
        look=look,
    )


def _faults(options: Options) -> tuple[float, tuple[tuple[range, CameraFault], ...]]:
    """A rate, or a schedule as `blur@100-120,dark@300`."""
    text = options.text("faults")
    if "@" not in text:
        return options.number("faults", 0.0, most=1.0), ()
    schedule = []
    try:
        for item in text.split(","):
            fault, _, span = item.partition("@")
            first, _, last = span.partition("-")
            schedule.append((range(int(first), int(last or first) + 1), CameraFault(fault)))
    except ValueError as problem:
        names = ", ".join(CameraFault)
        raise options.wrong("faults", f"a rate or like blur@100-120,dark@300, of {names}") from problem
    return 0.0, tuple(schedule)


def _folder(folder: Path, options: Options, notes: Path | None, owner: str) -> FolderSource:
    watch, loop = options.flag("watch"), options.flag("loop")
    if watch and loop:
        raise options.wrong("loop", "left out where watch=1: a folder is either watched or replayed for ever")
    book = None
    if notes is not None and not loop:
        name = hashlib.sha256(f"{owner}\n{folder.absolute()}".encode()).hexdigest()[:16]
        book = notes / f"taken-{name}.sqlite"
    return FolderSource(folder, rate=options.number("rate", 0.0), watch=watch, loop=loop, notes=book)


def _stream(url: str) -> CameraSource:
    """A network camera; only a trailing `rate` of the query is ours, the rest belongs to the camera."""
    base, _, query = url.partition("?")
    kept, rate = [], 0.0
    for item in filter(None, query.split("&")):
        if item.startswith("rate="):
            rate = Options(redacted(url), {"rate": item.removeprefix("rate=")}).number("rate", 0.0)
        else:
            kept.append(item)
    address = base + ("?" + "&".join(kept) if kept else "")
    return CameraSource(opener(address), name=redacted(base), rate=rate)
