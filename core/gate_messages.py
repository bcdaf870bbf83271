"""What a gate tells of itself on topic `routes`, beside the parts: its orders, and what is wrong with it.

`GateOrdered`  JSON, at-least-once: an order that it read, or a change that came by itself; dropped by its `key`
`GateStands`   JSON, at-least-once: all its alarms as they are now; the newest one counts
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import BadFrame
from core.messages import PartRouted

Count = Annotated[int, Field(ge=0, lt=1 << 62, strict=True)]  # a number that every database takes
Text = Annotated[str, Field(strict=True, pattern=r"^[^\x00]*$")]


class _OfGate(BaseModel):
    """gate, session, number: which gate, the start of its process in ns UTC, its how manieth word of this kind."""

    model_config = ConfigDict(frozen=True)
    gate: Annotated[Text, Field(min_length=1)]
    session: Count
    number: Count
    at: Count  # ns UTC

    @property
    def key(self) -> str:
        """The same however often it is told."""
        return f"{self.gate}-{self.session}-{self.kind}-{self.number}"  # type: ignore[attr-defined]


class GateOrdered(_OfGate):
    """A gate was ordered something, or changed by itself. `until` ns UTC, 0 = none; `refused`: why it was not done."""

    kind: Literal["order"] = "order"
    action: Text
    who: Text
    why: Text
    control: Text = ""
    until: Count = 0
    refused: Text = ""


class GateStands(_OfGate):
    """A gate's alarms, by kind, each with its reason. `bypass_until` ns UTC, 0 = none is active."""

    kind: Literal["state"] = "state"
    alarms: dict[Text, Text]
    bypass_until: Count = 0


Word = Annotated[GateOrdered | GateStands, Field(discriminator="kind")]
_words: TypeAdapter[GateOrdered | GateStands] = TypeAdapter(Word)


def read(value: bytes) -> PartRouted | GateOrdered | GateStands:
    """A message of topic `routes`. Raises BadFrame for anything else."""
    try:
        return PartRouted.from_json(value)
    except BadFrame as problem:
        try:
            return _words.validate_json(value)
        except ValidationError:
            raise problem from None
