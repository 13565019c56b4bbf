"""Whether a model is still the one that it was: a cache that it wrote says nothing of what it has become since."""

from __future__ import annotations

import weakref

import torch

from .errors import FrameError
from .rotary import decoder_of, depends_on_length
from .slots import version


class ModelWatch:
    """Which tensors a model's weights and tables are, and how often each had been written to; and the numbers that its modules
    keep beside them, as the scaling of an attention.

    What is written through `.data` or by numpy is not counted by torch, and so not noticed; neither is a weight on meta.
    """

    def __init__(self, model):
        self._model = weakref.ref(model)
        self._tensors = {name: _Seen(tensor) for name, tensor in _tensors_of(model)}
        self._numbers = dict(_numbers_of(model))

    def is_of(self, model) -> bool:
        return self._model() is model

    def require_unchanged(self, where: str, what: str) -> None:
        """Raises FrameError where a tensor was replaced, written to, converted or moved since, or a number is another.

        what  the model's part in that, for the message: "the weights that wrote the cached keys"
        """
        now = dict(_tensors_of(self._model()))
        for name in dict.fromkeys([*self._tensors, *now]):
            if name not in now or name not in self._tensors or not self._tensors[name].is_still(now[name]):
                raise FrameError(where, "model", what, f"a change of {name}")
        numbers = dict(_numbers_of(self._model()))
        for name in dict.fromkeys([*self._numbers, *numbers]):
            if self._numbers.get(name) != numbers.get(name):
                raise FrameError(where, "model", what, f"a change of {name} from {self._numbers.get(name)} to {numbers.get(name)}")


class _Seen:
    def __init__(self, tensor: torch.Tensor):
        self._tensor = weakref.ref(tensor)
        self._state = _state_of(tensor)

    def is_still(self, tensor: torch.Tensor) -> bool:
        if self._state is None or tensor.is_meta:
            return True
        return self._tensor() is tensor and self._state == _state_of(tensor)


def _state_of(tensor: torch.Tensor) -> tuple | None:
    if tensor.is_meta:
        return None
    # Codes of a quantized matrix are put elsewhere by its first product (bitsandbytes' int8).
    place = tensor.data_ptr() if tensor.is_floating_point() else 0
    return version(tensor), place, tensor.dtype, tensor.device, tensor.shape


def _tensors_of(model):
    """Parameters and buffers by name, but for frequencies that a forward pass changes itself: those are compared by value."""
    yield from model.named_parameters()
    changing = depends_on_length(decoder_of(model))
    for name, buffer in model.named_buffers():
        if not (changing and name.endswith("inv_freq")):
            yield name, buffer


def _numbers_of(model):
    """What modules compute with besides tensors, by name. Not what only training uses, and not what a forward pass changes itself."""
    changing = depends_on_length(decoder_of(model))
    for name, module in model.named_modules():
        if changing and "rotary" in name:
            continue
        for key, value in vars(module).items():
            if isinstance(value, float) and "dropout" not in key:
                yield f"{name}.{key}", value
