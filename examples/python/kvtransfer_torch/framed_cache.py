"""The cache of a CacheFrame: a DynamicCache that is read and changed through its frame alone. Imports transformers."""

import weakref

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from .errors import FrameError


class FramedCache(DynamicCache):
    """A DynamicCache that refuses forward passes and changes which its frame does not know of."""

    frame: weakref.ref
    is_open = False

    def update(self, *args, **kwargs):
        if not self.is_open:
            raise FrameError(
                "cache", "forward pass", "frame.forward() or frame.generate(), which know its positions", "a call without its frame"
            )
        return super().update(*args, **kwargs)

    def crop(self, *args, **kwargs):
        self._refuse("crop", "frame.keep_()")

    def reorder_cache(self, *args, **kwargs):
        self._refuse("reorder_cache", "one beam")

    def batch_repeat_interleave(self, *args, **kwargs):
        self._refuse("batch_repeat_interleave", "rows as they are")

    def batch_select_indices(self, *args, **kwargs):
        self._refuse("batch_select_indices", "rows as they are")

    def reset(self):
        self._refuse("reset", "another CacheFrame")

    def _refuse(self, what: str, instead: str):
        raise FrameError("cache", what, instead, "a change behind its frame's back")


def layers_for(model) -> list:
    """Empty layers for `model`. Raises FrameError for one whose layers are not all of full or windowed attention."""
    layers = DynamicCache(config=model.config).layers
    for index, layer in enumerate(layers):
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise FrameError("CacheFrame", f"layer {index}", "full or sliding attention", type(layer).__name__)
    types = set(getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"])
    if not types <= {"full_attention", "sliding_attention"}:
        raise FrameError("CacheFrame", "layers", "full or sliding attention", ", ".join(sorted(types)))
    return layers


def window_of(layer) -> int | None:
    """Tokens that a query sees in `layer`, itself included; None: all."""
    return layer.sliding_window if isinstance(layer, DynamicSlidingWindowLayer) else None
