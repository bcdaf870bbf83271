"""Damage to bytes, as cables, disks and attackers do it; the same seed gives the same damage."""

import struct
from collections.abc import Iterator, Sequence

import numpy as np

CASES = 10_000  # of each reader


def damaged(seeds: Sequence[bytes], cases: int = CASES, *, seed: int = 20261125) -> Iterator[bytes]:
    """Variations on good examples: flipped bits, changed, cut, repeated, swapped and foreign stretches."""
    random = np.random.default_rng(seed)
    for _ in range(cases):
        data = bytearray(seeds[int(random.integers(len(seeds)))])
        for _ in range(int(random.integers(1, 6))):
            _DAMAGE[random.integers(len(_DAMAGE))](data, random, seeds)
        yield bytes(data)


def _span(data: bytearray, random: np.random.Generator) -> tuple[int, int]:
    first = int(random.integers(0, len(data) + 1))
    return first, min(len(data), first + int(2 ** random.uniform(0, 10)))


def _flip(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    if data:
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))


def _flip_in_the_head(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    if data:  # where sizes and types stand
        data[random.integers(min(len(data), 64))] = int(random.integers(256))


def _cut(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    del data[int(random.integers(0, len(data) + 1)) :]


def _drop(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    first, last = _span(data, random)
    del data[first:last]


def _noise(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    first, last = _span(data, random)
    data[first:last] = random.bytes(last - first)


def _repeat(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    first, last = _span(data, random)
    data[first:first] = data[first:last]


def _splice(data: bytearray, random: np.random.Generator, seeds: Sequence[bytes]) -> None:
    other = bytearray(seeds[int(random.integers(len(seeds)))])
    first, last = _span(other, random)
    place = int(random.integers(0, len(data) + 1))
    data[place:place] = other[first:last]


def _telling_number(data: bytearray, random: np.random.Generator, _: Sequence[bytes]) -> None:
    number = int(random.choice([0, 1, 0x7F, 0x80, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
    place = int(random.integers(0, len(data) + 1))
    data[place : place + 4] = struct.pack(random.choice(["<I", ">I"]), number)


_DAMAGE = [_flip, _flip_in_the_head, _cut, _drop, _noise, _repeat, _splice, _telling_number]
