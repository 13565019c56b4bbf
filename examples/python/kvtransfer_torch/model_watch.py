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

    What is written in place through `.data` or by numpy is not counted by torch, and so not noticed; neither is a weight on meta.
    Integers, as a quantized model's codes, may lie elsewhere than they did if they are the same: they are summed up once, here.
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
        self._place = 0 if tensor.is_meta else tensor.data_ptr()
        self._sums = _sums_of(tensor) if _may_lie_elsewhere(tensor) else None

    def is_still(self, tensor: torch.Tensor) -> bool:
        if self._state is None or tensor.is_meta:
            return True
        if self._tensor() is not tensor or self._state != _state_of(tensor):
            return False
        if self._place != tensor.data_ptr():
            if self._sums is None or not all(map(torch.equal, self._sums, _sums_of(tensor))):
                return False
            self._place = tensor.data_ptr()
        return True


def _state_of(tensor: torch.Tensor) -> tuple | None:
    return None if tensor.is_meta else (version(tensor), tensor.dtype, tensor.device, tensor.shape)


def _may_lie_elsewhere(tensor: torch.Tensor) -> bool:
    """Codes of a quantized matrix are put elsewhere by its first product (bitsandbytes' int8)."""
    return not (tensor.is_meta or tensor.is_floating_point() or tensor.is_quantized)


def _sums_of(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What tells other integers from the same ones somewhere else: 64-bit words summed by row and by column, and the rest as it is.

    A matrix of words, 1024 a row: no copy of the tensor is made.
    """
    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    words = content[: content.numel() // 8192 * 8192]
    table = (words if words.storage_offset() % 8 == 0 else words.clone()).view(torch.int64).view(words.numel() // 8192, 1024)
    return table.sum(0), table.sum(1), content[words.numel() :].clone()


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
