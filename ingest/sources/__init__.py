"""Where pictures come from: folders, videos, cameras and the simulator, behind one small protocol."""

from ingest.sources.opening import open_source, simulator_of
from ingest.sources.source import Claim, Grabbed, Source, SourceState

__all__ = ["Claim", "Grabbed", "Source", "SourceState", "open_source", "simulator_of"]
