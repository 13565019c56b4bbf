"""Writes fixtures/draws.json: what Philox-4x32-10 gives for seeds and steps, as Salmon et al. (SC 2011) define it.

The generator below is written from the paper and checked against the known answers of its authors' library
(Random123, kat_vectors) before anything is written. Run: python make_draw_fixtures.py
"""

import json
import pathlib

MASK = (1 << 32) - 1


def philox(counter, key):
    """Ten rounds over four words of 32 bits."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        first = 0xD2511F53 * a
        second = 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ k0, second & MASK, (first >> 32) ^ d ^ k1, first & MASK
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    return a, b, c, d


def uniform(seed, step):
    """53 bits of the first two words; the seed is the key, the step the upper half of the counter."""
    words = philox((0, 0, step & MASK, step >> 32), (seed & MASK, seed >> 32))
    return (((words[0] << 32) | words[1]) >> 11) / 2**53


assert philox((0, 0, 0, 0), (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
assert philox((MASK,) * 4, (MASK,) * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
assert philox((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)) == (
    0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)

places = [(seed, step) for seed in (0, 1, 7, 2**32 + 5, 2**63 + 11) for step in (0, 1, 2, 39, 2**32 + 3)]
draws = [{"seed": seed, "step": step, "uniform": uniform(seed, step)} for seed, step in places]
target = pathlib.Path(__file__).parent / "fixtures" / "draws.json"
target.write_text(json.dumps({"draws": draws}, indent=1) + "\n")
