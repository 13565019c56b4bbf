"""Random operations on a CacheFrame against the slow reference: frame_random_test.py [SEQUENCES [SEED]].

After every forward pass its logits equal those of a model that rotates every key anew in float64. A sequence that differs is
shortened to the fewest operations that still differ, and printed.
"""

import random
import sys

from support import skip_without

skip_without("transformers")

import torch
from slow_model import SlowModel
from small_models import FAMILIES, causal_lm

import kvtransfer_torch as kvtransfer

TOLERANCE = 2e-4  # logits are a few units large; float32 is off by about 5e-6
OPERATIONS = ("read", "shift", "keep", "close_gap", "remap", "around", "gap", "join", "copy")


def read(frame, slow, generator):
    """Some new tokens; padded in front in the first pass of two rows."""
    rows = 1 if frame.positions == [] else len(frame.next_position)
    ids = torch.tensor([[generator.randrange(3, 60) for _ in range(generator.randint(1, 5))] for _ in range(1)]).repeat(rows, 1)
    return compare(frame.forward(ids).logits, slow.forward(ids))


def compare(ours, exact, valid=None):
    off = (ours.double() - exact).abs()
    return float((off if valid is None else off[valid.bool()]).max())


def shift(frame, slow, generator):
    by = generator.choice((-3, 1, 17, 4000))
    frame.shift_(by)
    slow.shift(by)


def keep(frame, slow, generator):
    """Every layer and head chooses for itself; heads of a layer keep equally many."""
    chosen = []
    for layer in slow.slots:
        held = len(layer[0][0])
        count = generator.randint(min(1, held), held)
        chosen.append([[sorted(generator.sample(range(held), count)) for _ in row] for row in layer])
    slots = [torch.tensor(each, dtype=torch.int64) for each in chosen]
    untouched = generator.randrange(-1, len(slots))
    if untouched >= 0:
        slots[untouched] = chosen[untouched] = None
    if any(not any(slot[2] for slot in head) for layer in kept_of(slow, chosen) for row in layer for head in row):
        return  # a head of padding alone has no keys to look at
    frame.keep_(slots)
    slow.keep(chosen)


def kept_of(slow, chosen):
    for layer, of_layer in zip(slow.slots, chosen):
        yield [[[head[i] for i in kept] for head, kept in zip(row, kept_row)] for row, kept_row in zip(layer, of_layer)] if of_layer else layer


def close_gap(frame, slow, generator):
    frame.close_gap_()
    slow.close_gap()


def remap(frame, slow, generator):
    """Ascending positions of every head, with gaps."""
    places = []
    for layer in slow.slots:
        held = len(layer[0][0])
        places.append([[sorted(generator.sample(range(3 * held + 3), held)) for _ in row] for row in layer])
    frame.remap_([torch.tensor(each, dtype=torch.int64).view(len(each), -1, len(each[0][0])) for each in places])
    slow.remap(places)


def around(frame, slow, generator):
    frame.unrotate_()
    frame.rotate_()


def gap(frame, slow, generator):
    by = generator.randint(1, 9)
    frame.go_on_at_(frame.next_position + by)
    slow.next = [each + by for each in slow.next]


class Sequence:
    """A pair of frames and references, so that one can be joined to the other."""

    def __init__(self, family: str, seed: int, keep_written: bool):
        self.model = causal_lm(family, seed=1)
        generator = random.Random(seed)
        self.rows = generator.choice((1, 1, 2))
        self.is_padded = self.rows == 2 and generator.random() < 0.5
        self.frame, self.slow = self._begun(generator, keep_written)
        self.other = None if self.is_padded else self._begun(generator, keep_written)

    def _begun(self, generator, keep_written):
        frame, slow = kvtransfer.CacheFrame(self.model, keep_written=keep_written), SlowModel(self.model)
        ids = torch.tensor([[generator.randrange(3, 60) for _ in range(8)] for _ in range(self.rows)])
        mask = torch.ones_like(ids)
        if self.is_padded:
            mask[1, : generator.randint(1, 6)] = 0
        self.error = compare(frame.forward(ids, attention_mask=mask).logits, slow.forward(ids, mask), mask)
        return frame, slow

    def run(self, operation: str, seed: int) -> float:
        """The error that it shows."""
        generator = random.Random(seed)
        if operation == "join":
            if self.other is not None and self.slow.count < 60:
                self.frame = kvtransfer.join_frames(self.frame, self.other[0])
                self.slow.join(self.other[1])
        elif operation == "copy":
            self.frame = self.frame.copy()
        else:
            return globals()[operation](self.frame, self.slow, generator) or 0.0
        return 0.0


@torch.no_grad()
def error_of(family, seed, keep_written, operations) -> float:
    """The largest error of a sequence; infinite where it is refused."""
    sequence = Sequence(family, seed, keep_written)
    worst = sequence.error
    for operation, own_seed in [*operations, ("read", seed)]:
        worst = max(worst, sequence.run(operation, own_seed))
    return worst


def shortened(family, seed, keep_written, operations):
    """The fewest operations of `operations` that still differ."""
    for index in reversed(range(len(operations))):
        fewer = operations[:index] + operations[index + 1 :]
        if error_of(family, seed, keep_written, fewer) > TOLERANCE:
            operations = fewer
    return operations


def main(count: int = 60, first: int = 0) -> int:
    kvtransfer.load()
    torch.set_num_threads(1)
    worst, failed = 0.0, 0
    for seed in range(first, first + count):
        generator = random.Random(seed)
        family, keep_written = sorted(FAMILIES)[seed % len(FAMILIES)], generator.random() < 0.7
        operations = [(generator.choice(OPERATIONS), generator.randrange(1 << 30)) for _ in range(generator.randint(3, 9))]
        error = error_of(family, seed, keep_written, operations)
        worst = max(worst, error)
        if error > TOLERANCE:
            failed += 1
            print(f"{family}, seed {seed}, keep_written={keep_written}: off by {error}")
            for operation in shortened(family, seed, keep_written, operations):
                print("   ", *operation)
    print(f"{count} sequences, logits off by at most {worst:.1e}, {failed} off by more than {TOLERANCE}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
