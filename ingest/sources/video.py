"""A recorded video, frame by frame."""

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from core.errors import SettingsInvalid, SourceUnavailable
from ingest.sources.pace import Pace
from ingest.sources.source import Claim, Grabbed, SourceState

USUAL_RATE = 25.0


class VideoSource:
    """The frames of a video file at a rate (0: the file's own), once or for ever.

    Every frame waits for its reader. Raises SourceUnavailable, on entering, when the file is missing or no video.
    """

    waits = True
    reconnects = 0
    detail = ""

    def __init__(self, path: Path, *, rate: float = 0.0, loop: bool = False) -> None:
        self._path, self._rate, self._loop = path, rate, loop
        self._video: cv2.VideoCapture | None = None
        self._pace = Pace(rate)
        self._frame = 0
        self._ended = False

    def __enter__(self) -> Self:
        if not self._path.is_file():
            raise SourceUnavailable(f"{self._path} is no file; correct the camera's source in the line file")
        self._video = self._open()
        own = float(self._video.get(cv2.CAP_PROP_FPS))
        self._pace = Pace(self._rate or (own if 0 < own < 1000 else USUAL_RATE))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.release()
            self._video = None

    @property
    def state(self) -> SourceState:
        """ENDED after the last frame."""
        return SourceState.ENDED if self._ended else SourceState.OPEN

    def read(self, timeout: float) -> Grabbed | None:
        """The next frame, when it is due."""
        if self._video is None:
            raise SettingsInvalid("the video is read before it is opened; use it in a with statement")
        if self._ended or not self._pace.wait(timeout):
            return None
        found, frame = self._video.read()
        if not found and self._loop and self._frame:
            self._video.release()
            self._video, self._frame = self._open(), 0
            found, frame = self._video.read()
        if not found:
            self._ended = True
            return None
        self._pace.passed()
        self._frame += 1
        picture = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        name = f"{self._path.stem[:48]}-{self._frame - 1}"
        return Grabbed(picture=picture, name=name, part_id=name)

    def claim(self, grabbed: Grabbed, claim: Claim) -> None:
        """A replayed video needs no note."""

    def done(self, grabbed: Grabbed) -> None:
        """A replayed video needs no note."""

    def _open(self) -> cv2.VideoCapture:
        video = cv2.VideoCapture(str(self._path))
        if not video.isOpened():
            video.release()
            raise SourceUnavailable(f"{self._path} cannot be opened as a video; convert it to MP4 or AVI and try again")
        return video
