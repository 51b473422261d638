"""The order in which examples are trained on: a pure function of the seed, so that a job resumes by counting."""

import random
from collections import Counter


def order(by_improve: Counter, epochs: float, seed: int) -> list[int]:
    """Indexes of examples. Improve steps follow each other, as they do in ReST; within one, each epoch is shuffled
    anew. A part of an epoch takes that part of the examples."""
    indexes, start = [], 0
    for improve in sorted(by_improve):
        count = by_improve[improve]
        left = max(1, round(count * epochs))
        for epoch in range(-(-left // count)):
            block = list(range(start, start + count))
            random.Random(f"{seed}.{improve}.{epoch}").shuffle(block)
            indexes += block[: min(count, left)]
            left -= count
        start += count
    return indexes
