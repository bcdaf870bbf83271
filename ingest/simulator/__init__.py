"""The line simulator: procedural parts under a procedural camera, with seeded and labelled defects."""

from ingest.simulator.dataset import DatasetCounts, write_dataset
from ingest.simulator.parts import CameraFault, DefectKind, SimulatedPart, Truth
from ingest.simulator.simulator import PRODUCTS, Simulator

__all__ = [
    "PRODUCTS",
    "CameraFault",
    "DatasetCounts",
    "DefectKind",
    "SimulatedPart",
    "Simulator",
    "Truth",
    "write_dataset",
]
