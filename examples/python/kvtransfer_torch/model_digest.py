"""The digests by which a cache says which model wrote it: the same as the C++ library's, computed with `xxhash`.

    from kvtransfer_torch.model_digest import model_digest, tokenizer_digest

    model_digest("SmolLM2-135M")           # 32 hexadecimal digits, as `model.digest` in results and cache files
    tokenizer_digest("SmolLM2-135M")       # likewise, `model.tokenizer_digest`; None where there is no tokenizer

Every stored tensor counts, with its name, type, shape and bytes; how tensors are spread over files, and what they are
converted to when they are loaded, does not. Run as a program, it prints both for each path that it is given.
"""

import json
import mmap
import os
import pathlib
import struct
import sys

import xxhash

TOKENIZER_FILES = ("added_tokens.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer.json",
                   "tokenizer.model", "tokenizer_config.json")


def _number(value):
    return struct.pack("<Q", value)


def _text(value):
    encoded = value.encode()
    return _number(len(encoded)) + encoded


def _tensors_of_file(path):
    """Yields name, dtype, shape and bytes of every tensor in a safetensors file; the bytes are mapped, not read."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size > 0 else b""
    header_bytes = struct.unpack("<Q", mapped[:8])[0] if size >= 8 else size
    if 8 + header_bytes > size:
        raise ValueError(f"{path}: header: expected a safetensors file, got {size} bytes that do not hold one")
    try:
        entries = json.loads(mapped[8:8 + header_bytes])
    except ValueError as error:
        raise ValueError(f"{path}: header: expected a safetensors file's, got {error}") from None
    data = memoryview(mapped)[8 + header_bytes:]
    for name, entry in entries.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= len(data):
                raise ValueError(f"{path}: {name}: expected bytes {begin} to {end}, got a file that ends at {len(data)}")
            yield name, entry["dtype"], entry["shape"], data[begin:end]


def _tensors_of_folder(folder):
    single = folder / "model.safetensors"
    if single.exists():
        yield from _tensors_of_file(single)
        return
    shards = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    for shard in sorted(set(shards.values())):
        for tensor in _tensors_of_file(folder / shard):
            if shards.get(tensor[0]) == shard:
                yield tensor


def _tensors_of_gguf(path):
    import gguf  # only such files need it

    for tensor in gguf.GGUFReader(path).tensors:
        yield tensor.name, tensor.tensor_type.name, [int(size) for size in reversed(tensor.shape)], tensor.data.tobytes()


def _gguf_in(path):
    """The GGUF file that `path` is, or that is alone in it; None for a folder in Hugging Face's layout."""
    if path.suffix == ".gguf":
        return path
    files = [] if (path / "config.json").exists() else sorted(path.glob("*.gguf"))
    if len(files) > 1:
        raise ValueError(f"{path}: model: expected config.json, or one file that ends in .gguf, got {len(files)} of them")
    return files[0] if files else None


def digest_of_tensors(tensors):
    """XXH3-128 over (name, dtype, shape, bytes) of tensors in the order of their names, 32 hexadecimal digits."""
    total = xxhash.xxh3_128()
    for name, dtype, shape, data in sorted(tensors, key=lambda tensor: tensor[0].encode()):
        total.update(_text(name) + _text(dtype) + _number(len(shape)) + b"".join(map(_number, shape)))
        total.update(data)
    return total.hexdigest()


def model_digest(path):
    """The digest of every tensor that a model's folder, or its GGUF file, stores."""
    path = pathlib.Path(path)
    stored = _gguf_in(path)
    return digest_of_tensors(_tensors_of_gguf(stored) if stored else _tensors_of_folder(path))


def _gguf_tokenizer_digest(path):
    import gguf

    total = xxhash.xxh3_128()
    found = False
    fields = gguf.GGUFReader(path).fields
    for key in sorted((key for key in fields if key.startswith("tokenizer.")), key=str.encode):
        field = fields[key]
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        # Before the value stand the key's length, the key and the type; of an array, its elements' type and number too.
        count = int(field.parts[4][0]) if is_array else 1
        value = b"".join(part.tobytes() for part in field.parts[5 if is_array else 3:])
        total.update(_text(key) + _number(field.types[-1]) + _number(is_array) + _number(count))
        total.update(_number(len(value)) + value)
        found = True
    return total.hexdigest() if found else None


def tokenizer_digest(path):
    """The digest of what decides on the token ids of a text: names and bytes of the files that say so."""
    path = pathlib.Path(path)
    stored = _gguf_in(path)
    if stored:
        return _gguf_tokenizer_digest(stored)
    unused = "tokenizer.model" if (path / "tokenizer.json").exists() else "tokenizer.json"
    files = [name for name in TOKENIZER_FILES if name != unused and (path / name).exists()]
    if not {"tokenizer.json", "tokenizer.model"} & set(files):
        return None
    total = xxhash.xxh3_128()
    for name in files:
        content = (path / name).read_bytes()
        total.update(_text(name) + _number(len(content)) + content)
    return total.hexdigest()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(f"{argument}\t{model_digest(argument)}\t{tokenizer_digest(argument)}")
