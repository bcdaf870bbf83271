"""From what a source gave to what the log takes: decode, gate, encode. One broken picture is a value, not an error."""

from dataclasses import dataclass

from core.errors import BadFrame
from core.verdicts import InvalidReason
from ingest.encoder import Codec, encode
from ingest.gate import Gate, GateResult
from ingest.pictures import Picture, decode, read_header
from ingest.sources.source import Grabbed

MOST_EVIDENCE = 64 << 20
"""Raw bytes that are kept of what is no picture; a file that is none may be of any size."""


@dataclass(frozen=True)
class Prepared:
    """A picture's bytes and what the envelope says of them; width and height are 0 where they are unknown."""

    value: bytes
    encoding: str
    width: int
    height: int
    gate: GateResult


def prepare(grabbed: Grabbed, gate: Gate | None, *, codec: Codec, max_pixels: int) -> Prepared:
    """Judge a picture and bring it into its travelling form.

    A file's JPEG or PNG keeps its bytes; other files and live pixels are encoded. What cannot be decoded keeps its raw
    bytes as evidence up to `MOST_EVIDENCE`, is sent empty beyond, and carries the gate result DECODE_ERROR, so that it
    ends in an INVALID row.
    """
    try:
        if grabbed.problem:
            raise BadFrame(grabbed.problem)
        picture = decode(grabbed.encoded, max_pixels=max_pixels) if grabbed.picture is None else grabbed.picture
        value, encoding = _travelling(grabbed, picture, codec)
    except BadFrame as problem:
        return _refused(grabbed, str(problem))
    height, width = picture.shape[:2]
    result = gate.check(picture) if gate is not None else GateResult()
    return Prepared(value, encoding, width, height, result)


def _travelling(grabbed: Grabbed, picture: Picture, codec: Codec) -> tuple[bytes, str]:
    if grabbed.encoded:
        kind = read_header(grabbed.encoded).kind
        if kind in (Codec.JPEG, Codec.PNG):
            return grabbed.encoded, kind
    return encode(picture, codec), codec


def _refused(grabbed: Grabbed, detail: str) -> Prepared:
    try:
        header = read_header(grabbed.encoded)
        kind, width, height = header.kind, header.width, header.height
    except BadFrame:
        kind, width, height = "unknown", 0, 0
    value = grabbed.encoded
    if len(value) > MOST_EVIDENCE:
        detail = f"{detail} (its {len(value)} bytes are not kept, at most {MOST_EVIDENCE} are)"
        value = b""
    named = f"{grabbed.name}: {detail}" if grabbed.name and grabbed.name not in detail else detail
    return Prepared(value, kind, width, height, GateResult(InvalidReason.DECODE_ERROR, {}, named))
