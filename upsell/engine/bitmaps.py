"""Sets of ranks as whole numbers: bit n says whether the campaign of rank n is in the set."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator


def bitmap(ranks: Iterable[int], size: int) -> int:
    """Return the set of these ranks, each below ``size``.

    >>> bin(bitmap([0, 3], 8))
    '0b1001'
    """
    bits = bytearray((size >> 3) + 1)
    for rank in ranks:
        bits[rank >> 3] |= 1 << (rank & 7)
    return int.from_bytes(bits, "little")


def members(bits: int) -> Iterator[int]:
    """Yield the ranks in a set, lowest first, without unpacking the rest.

    >>> list(members(0b1001))
    [0, 3]
    """
    size = (bits.bit_length() + 63) // 64 * 8
    for position, (word,) in enumerate(struct.iter_unpack("<Q", bits.to_bytes(size, "little"))):
        while word:
            lowest = word & -word
            yield position * 64 + lowest.bit_length() - 1
            word ^= lowest


class Dimension:
    """One filter of all campaigns (country, group …): empty lets everybody through.

    Keeps the campaigns that restrict nothing as a bitmap and the others as short lists by
    value; a value's bitmap is made when it is first asked for, and at most ``KEPT`` are kept.
    """

    KEPT = 256
    __slots__ = ("_kept", "_named", "_open", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._open = bytearray((size >> 3) + 1)
        self._named: dict[str, array[int]] = {}
        self._kept: dict[frozenset[str], int] = {}

    def add(self, rank: int, values: Iterable[str]) -> None:
        """Note what the campaign of this rank asks for; nothing = open to all."""
        named = False
        for value in values:
            named = True
            ranks = self._named.get(value)
            if ranks is None:
                ranks = self._named[value] = array("I")
            ranks.append(rank)
        if not named:
            self._open[rank >> 3] |= 1 << (rank & 7)

    def accepting(self, values: frozenset[str]) -> int:
        """Return the campaigns that let at least one of these values through."""
        bits = self._kept.get(values)
        if bits is None:
            bits = int.from_bytes(self._open, "little")
            for value in values:
                ranks = self._named.get(value)
                if ranks is not None:
                    bits |= bitmap(ranks, self._size)
            if len(self._kept) >= self.KEPT:
                self._kept.clear()
            self._kept[values] = bits
        return bits
