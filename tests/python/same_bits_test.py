"""Checks that our inverse frequencies are transformers' own, bit for bit, where one process computes both.

Run: python tests/python/same_bits_test.py LIBRARY   (LIBRARY: frequencies.cpp, built as a shared library)
"""

import ctypes
import json
import sys

from support import skip_without

skip_without("transformers")

import make_fixtures as fixtures  # of tests/rope
import torch  # before our library, which finds torch's already loaded


def ours(library, config, layer, length):
    room = (ctypes.c_float * 1024)()
    scaling = ctypes.c_double()
    text = json.dumps(config.to_diff_dict()).encode()
    count = library.kvt_inverse_frequencies(text, ctypes.c_int64(layer), ctypes.c_int64(length), room, ctypes.byref(scaling))
    return torch.tensor(room[:count]), scaling.value


def differences(library, name, seed, last):
    """Layers of family `name` whose frequencies differ after a forward pass that ends at position `last`."""
    config, model = fixtures.build(*fixtures.FAMILIES[name], seed)
    streams = 3 if name in fixtures.THREE_STREAMS else 1
    positions = torch.arange(last - fixtures.TOKENS + 1, last + 1)[None].repeat(streams, 1)
    fixtures.run(model, torch.arange(fixtures.TOKENS)[None] + 3, positions)
    for layer in range(config.num_hidden_layers):
        inv_freq, scaling = ours(library, config, layer, last + 1)
        theirs, their_scaling = fixtures.regime(model, layer)
        if len(inv_freq) > 0 and not (torch.equal(inv_freq, theirs) and scaling == their_scaling):
            yield layer


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.kvt_inverse_frequencies.restype = ctypes.c_int64
    torch.set_num_threads(1)
    failed = 0
    for seed, name in enumerate(fixtures.FAMILIES):
        for last in (10, 131071):
            for layer in differences(library, name, seed, last):
                print(f"{name}, layer {layer}, up to position {last}: other bits")
                failed += 1
    print(f"{len(fixtures.FAMILIES)} families, {failed} differences")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
