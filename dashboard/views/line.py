"""The Line page: what the line does now, readable from three metres."""

from dashboard.cached import live
from dashboard.components import mount


def show() -> None:
    """Mount the live wall; from then on it asks our route itself, without a run of this script."""
    mount("wall")(key="wall", data=live().page().document())


if __name__ == "__main__":
    show()
