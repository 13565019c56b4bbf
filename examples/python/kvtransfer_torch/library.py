"""Finds and loads libkvtransfer_kernels.so, which registers six operators as torch.ops.kvtransfer.*.

    rotate_keys_(keys, from_positions, to_positions, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset,
                 interleaved, model_faithful)
                                             moves keys where they lie
    rotate_keys(... the same ...) -> copies  moved copies, differentiable: the gradient is rotated back
    rotate_blocks_(keys, blocks, ... the same ...)
                                             moves some blocks of every layer, as those of a paged cache
    convert_pairing_(keys, window_offset, rotary_dim, to_interleaved)
                                             reorders the rotary elements of each head, half-split to interleaved or back
    rotate_quantized_keys_(codes, scales, minimums, errors, group_ends, valid, bits, from_positions, ... as rotate_keys_ ...)
                                             moves quantized keys, with new scales
    copy_slots_(to_layers, from_layers, runs)
                                             copies slots between two arrangements of layers, of any strides

keys             the layers of a cache, [batch, kv_heads, seq, head_dim] each: one shape, dtype and device, contiguous
                 head_dim. float32, bfloat16, float16, float8_e4m3fn or float8_e5m2
blocks           int64 [n] on the keys' device: which of their first axis, none twice; positions then are those of n blocks
from_positions   int64 on the keys' device, broadcast to [streams, batch, kv_heads, seq], |position| <= 2**24: where the keys
                 were rotated to; None: they carry no rotation
to_positions     likewise where they shall be; None: they are left without rotation
delta            used where both are None: every key moves by so many tokens under to_inv_freq
from_inv_freq, to_inv_freq
                 float32 [rotary_dim / 2 <= 256] on the CPU, radians per token; each needed where its positions are given
stream_of        uint8 [rotary_dim / 2] on the CPU: which stream of positions each pair follows; None: the first
gain             multiplies what is rotated: new attention scaling / old
window_offset    where the rotary elements of a head begin
interleaved      pairs are elements (2i, 2i + 1) of the window if true, else (i, i + rotary_dim / 2)
model_faithful   false: the angle is q * f_to - p * f_from to 2e-7 radians; true: fl32(q * f_to) - fl32(p * f_from)
codes            uint8 (8 bits, or 4: element 2i in the lower half of byte i) or fp8, one for each layer, [batch, kv_heads, seq,
                 head_dim * bits / 8]
scales, minimums float32, one for each layer: per token [batch, kv_heads, seq, head_dim / group_size], per channel [batch,
                 kv_heads, groups, head_dim]; an element is code * scale + minimum. No minimums for fp8
errors           as scales: how far moves have taken elements off, to which this one's is added; none: nobody asks
group_ends       int64 [groups] on the codes' device, per channel: one past each group's last token; None: per token
valid            bool that broadcasts to [batch, kv_heads, seq]: false for padding, which widens no group's range; None: all
runs             int64 [n, 3]: place in `to`, place in `from`, count, where a place is row * slots + slot; a place of -1 in
                 `from` writes zeros. None: every slot to its like. Places are not checked

What does not fit raises RuntimeError; so do keys that need a gradient, in place, and frequencies that need one. All run under torch.compile(fullgraph=True).
`moves` puts them into the words of a cache.
"""

import functools
import os
from pathlib import Path

import torch

NAME = "libkvtransfer_kernels.so"
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[2]


def load(path: str | os.PathLike | None = None) -> None:
    """Loads the kernels library once: `path`, else $KVTRANSFER_LIBRARY, else the file beside this package's own, else the
    newest in the build folders of the checkout that the package lies in.

    The library goes with the torch it was built with, as every C++ extension does.

    Raises FileNotFoundError where there is none, and OSError where it does not go with this torch.
    """
    if not _is_loaded():
        found = find(path)
        try:
            torch.ops.load_library(found)
        except OSError as error:
            raise OSError(f"load: {found}: expected a library built with torch {torch.__version__}, got {error}") from error
    _let_tables_stay_on_the_cpu()


def operators():
    """torch.ops.kvtransfer. Raises RuntimeError before `load()`."""
    if not _is_loaded():
        raise RuntimeError(f"kvtransfer_torch: {NAME}: expected it loaded by kvtransfer_torch.load(), got no library")
    return torch.ops.kvtransfer


def _is_loaded() -> bool:
    return hasattr(torch.ops.kvtransfer, "rotate_keys_")


@functools.cache
def _let_tables_stay_on_the_cpu() -> None:
    """Frequencies are on the CPU, keys maybe on a GPU: torch.compile takes copies of such a mixture only from a fake in Python.

    The operators in place return nothing, and need no more than the library's own.
    """
    torch.library.register_fake("kvtransfer::rotate_keys", _fake_rotation, allow_override=True)


def find(path: str | os.PathLike | None = None) -> Path:
    """Where the library lies, as `load` looks for it."""
    given = path or os.environ.get("KVTRANSFER_LIBRARY")
    candidates = [Path(given)] if given else [_PACKAGE / NAME, *_built()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    looked_at = ", ".join(map(str, candidates if given else [_PACKAGE / NAME, *_build_folders()]))
    raise FileNotFoundError(
        f"load: expected the kernels library, got nothing at {looked_at}: "
        "build it in a checkout (cmake --preset release && cmake --build --preset release --target kvtransfer_kernels), "
        f"then name it in load(path) or KVTRANSFER_LIBRARY, or put {NAME} beside the package"
    )


def _build_folders() -> list[Path]:
    """Of the checkout that this package is a part of; none where it was installed elsewhere."""
    return [_CHECKOUT / "build"] if (_CHECKOUT / "src" / "kernels").is_dir() else []


def _built() -> list[Path]:
    found = [file for folder in _build_folders() for file in folder.glob(f"*/lib/{NAME}")]
    return sorted(found, key=lambda file: -file.stat().st_mtime)


def _fake_rotation(keys: list[torch.Tensor], *_) -> list[torch.Tensor]:
    return [_place_for(key) for key in keys]


def _place_for(key: torch.Tensor) -> torch.Tensor:
    """As the kernel does: the strides of `key` where its head_dim is contiguous, else contiguous."""
    if key.stride(3) == 1:
        place = torch.empty_like(key)
        if place.stride(3) == 1:
            return place
    return torch.empty_like(key, memory_format=torch.contiguous_format)
