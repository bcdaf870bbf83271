"""What its `with` closes."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A part that `close` lets go of, and so does the end of its `with`, whether by an error or not."""

    @abstractmethod
    def close(self) -> None:
        """Let go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
