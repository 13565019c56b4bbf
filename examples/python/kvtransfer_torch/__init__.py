"""Moves the keys of transformers caches and of vLLM's paged tensors in place, by the operators of libkvtransfer_kernels.so.

    load()                             finds and loads the library: torch.ops.kvtransfer.*
    rotary_of(model)                   how each layer of a transformers model rotates its keys
    shift_, remap_, reframe_, ...      move lists of key tensors
    shift_cache_, remap_cache_, ...    move a DynamicCache, StaticCache or QuantizedCache
    shift_blocks_, remap_blocks_       move the blocks of one sequence in vLLM's tensors
    CacheFrame(model)                  a cache that knows where its keys stand: evict, move, join and go on, right or refused
    verify_moves(model)                one verdict on a model: every move against a prefill, beside what its type costs
    check_moves(model)                 compares a move with a prefill, for a model that nobody has tried yet

kvtransfer_torch.cache_file has save_cache and load_cache for the C++ library's cache files; it needs safetensors and xxhash.

It needs torch alone, except for the functions that take a model or a cache of transformers.
"""

from .check_moves import check_moves
from .errors import FrameError
from .frame import CacheFrame, join_frames
from .library import load
from .moves import reframe_, remap_, rotate_, shift_, unrotate_
from .paged_blocks import paged_keys, remap_blocks_, shift_blocks_
from .rotary import Rotary, rotary_of
from .saved_frame import load_frame, save_frame
from .transformers_cache import held_keys, keep_slots_, keys_in_place, reframe_cache_, remap_cache_, shift_cache_, take_slots
from .verification import Verdict, verify_moves

__all__ = [
    "CacheFrame",
    "FrameError",
    "Rotary",
    "Verdict",
    "check_moves",
    "held_keys",
    "join_frames",
    "keep_slots_",
    "keys_in_place",
    "load",
    "load_frame",
    "paged_keys",
    "reframe_",
    "reframe_cache_",
    "remap_",
    "remap_blocks_",
    "remap_cache_",
    "rotary_of",
    "rotate_",
    "save_frame",
    "shift_",
    "shift_blocks_",
    "shift_cache_",
    "take_slots",
    "unrotate_",
    "verify_moves",
]
