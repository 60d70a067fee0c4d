"""Spoils bytes as a hostile peer would: bits, lengths, counts, pieces of other packets.

Knows that integers are little endian and that a frame has its length in front; no packet.
"""

import struct
from random import Random

INTERESTING = (0, 1, 2, 3, 4, 5, 9, 15, 16, 74, 85, 127, 128, 254, 255, 256, 257, 4095, 4096, 4097)
INTERESTING += (8191, 8192, 8193, 32767, 32768, 65535, 65536, 1 << 20, (1 << 20) + 1)
INTERESTING += (2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
MAX_SIZE = 1 << 16
"""Bytes that an input grows to at most."""


def mutated(random: Random, data: bytes, others: list[bytes], framed: bool) -> bytes:
    """``data`` with one to some changes; of a frame, mostly with the length put right again."""
    changed = bytearray(data)
    for _ in range(1 + min(random.getrandbits(3), random.getrandbits(3))):
        _change(random, changed, others)
    if framed and len(changed) >= 5 and random.random() < 0.7:
        changed[1:5] = struct.pack("<I", len(changed) - 5)
        if random.random() < 0.3:
            changed += random.choice(others)
    return bytes(changed[:MAX_SIZE])


def _change(random: Random, data: bytearray, others: list[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    span = min(1 << random.randrange(8), 1 + random.getrandbits(7))
    match random.randrange(10):
        case 0 | 1 if at < len(data):
            data[at] ^= 1 << random.randrange(8)
        case 2 if at < len(data):
            data[at] = random.choice(INTERESTING) & 0xFF
        case 3 | 4:
            size = random.choice((2, 2, 4, 8))
            if at + size <= len(data):
                value = random.choice(INTERESTING) & (256**size - 1)
                data[at : at + size] = value.to_bytes(size, "little")
        case 5:
            data[at:at] = random.randbytes(span)
        case 6:
            del data[at : at + span]
        case 7:
            data[at:at] = data[at : at + span] * random.choice((1, 1, 2, 16))
        case 8:
            other = random.choice(others)
            begin = random.randrange(len(other) + 1)
            data[at : at + random.choice((0, span))] = other[begin : begin + span]
        case 9 if random.random() < 0.3:
            del data[at:]
        case _:
            data[at : at + span] = bytes([random.choice((0, 1, 255))]) * span


def in_pieces(random: Random, data: bytes) -> list[bytes]:
    """The same bytes, cut anywhere."""
    pieces, at = [], 0
    longest = random.choice((1, 3, 20, 300, 1 << 20)) if len(data) < 400 else 5000
    while at < len(data):
        size = random.randint(1, longest)
        pieces.append(data[at : at + size])
        at += size
    return pieces
