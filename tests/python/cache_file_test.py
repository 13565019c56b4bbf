"""Cache files across the fence: transformers and the C++ library go on from each other's, token for token, or refuse them alike.

    cache_file_test.py PROGRAM      the program that continue_cache.cpp makes
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import CHECKOUT, skip_without

skip_without("transformers", "safetensors", "xxhash")

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import CacheFrame, FrameError, cache_file_format
from kvtransfer_torch.cache_file import load_cache, save_cache
from kvtransfer_torch.model_identity import ModelIdentity, model_identity

library = subprocess.Popen([sys.argv.pop(1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
unittest.addModuleCleanup(library.communicate)
LAB = CHECKOUT / "examples/models/lab-llama"
FIXTURES = CHECKOUT / "tests/model/fixtures/architectures"
# Full attention; windows on every layer, on some, beside other frequencies; layers that do not rotate; frequencies of a length.
MODELS = [LAB] + [FIXTURES / name for name in ("mistral", "gemma2", "gemma3", "qwen2", "qwen3", "smollm3", "phi3")]
TEXTS = [[7, 40, 13, 55, 9, 22, 31, 5, 48, 61, 3, 77, 20], [17, 3, 50, 12, 8]]
MORE = [[33, 6, 71], [42, 19, 4]]
NEW = 6

kvtransfer.load()
torch.set_num_threads(1)
torch.set_grad_enabled(False)
transformers.logging.set_verbosity_error()


def opened(path: Path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def ask(**request) -> dict:
    """What the C++ program says. Raises ValueError with its line where it refuses."""
    library.stdin.write(json.dumps(request, default=str) + "\n")
    library.stdin.flush()
    answer = json.loads(library.stdout.readline())
    if "refused" in answer:
        raise ValueError(answer["refused"])
    return answer


def read(frame: CacheFrame, rows: list[list[int]]):
    """Reads rows of any lengths, padding in front. Returns the logits behind the last token."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return frame.forward(ids, attention_mask=mask).logits[:, -1]


def go_on(frame: CacheFrame, rows: list[list[int]], count: int = NEW) -> list[list[int]]:
    """The greedy continuation; the last token is not read, as in the C++ library."""
    said = [read(frame, rows).argmax(-1)]
    while len(said) < count:
        said.append(frame.forward(said[-1][:, None]).logits[:, -1].argmax(-1))
    return torch.stack(said, 1).tolist()


def rewritten(path: Path, change) -> None:
    """Writes the file anew with what `change(tensors, record)` leaves, its checksums right."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        record = json.loads(file.metadata()[cache_file_format.FRAME])
    change(tensors, record)
    text = json.dumps(record)
    metadata = {"format": "pt", cache_file_format.FRAME: text}
    names = {torch.int64: "I64", torch.int32: "I32", torch.float32: "F32", torch.uint8: "U8"}
    headers = {name: (names[each.dtype], list(each.shape)) for name, each in tensors.items()}
    values = {name: f"{cache_file_format.zlib.crc32(cache_file_format._bytes(each)):08x}" for name, each in tensors.items()}
    values[cache_file_format.FRAME] = f"{cache_file_format.zlib.crc32(text.encode()):08x}"
    header = f"{cache_file_format._header_checksum(headers, metadata):08x}"
    metadata[cache_file_format.CHECKSUM] = json.dumps({"algorithm": "crc32", "header": header, "values": values})
    save_file(tensors, path, metadata)


class AcrossTheFence(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file, self.back = Path(folder.name) / "cache.safetensors", Path(folder.name) / "back.safetensors"

    def test_python_to_the_library_and_back_token_for_token(self):
        for path in MODELS:
            with self.subTest(path.name):
                model = opened(path)
                identity = model_identity(path, model)
                frame = CacheFrame(model)
                read(frame, TEXTS)
                save_cache(frame, self.file, identity)
                expected = go_on(frame, MORE)
                answer = ask(model=path, cache=self.file, ids=MORE, new_tokens=NEW, save=self.back)
                self.assertEqual(answer["identity"], identity.record())
                self.assertEqual(answer["token_ids"], expected)
                back = load_cache(self.back, model, identity)
                self.assertEqual(back.next_position.tolist(), frame.next_position.tolist())
                for ours, theirs, one, other in zip(back.positions, frame.positions, back.valid, frame.valid):
                    self.assertTrue(torch.equal(one, other) and torch.equal(ours.where(one, 0), theirs.where(other, 0)))
                self.assertEqual(go_on(back, MORE), go_on(frame, MORE))

    def test_from_the_library_to_python_token_for_token(self):
        for path in MODELS:
            with self.subTest(path.name):
                model = opened(path)
                ask(model=path, text=TEXTS, save=self.file)
                expected = ask(model=path, text=TEXTS, ids=MORE, new_tokens=NEW)["token_ids"]
                self.assertEqual(go_on(load_cache(self.file, model, model_identity(path, model)), MORE), expected)

    def test_a_position_off_by_one_says_something_else(self):
        """Else equal tokens would say nothing."""
        model = opened(FIXTURES / "gemma3")
        frame, off = CacheFrame(model), CacheFrame(model)
        for each in (frame, off):
            read(each, TEXTS)
        off.go_on_at_(off.next_position + 1)
        self.assertNotEqual(go_on(frame, MORE), go_on(off, MORE))

    def test_moved_cut_and_unrotated_keys(self):
        model = opened(LAB)
        identity = model_identity(LAB, model)
        frame = CacheFrame(model)
        read(frame, TEXTS)
        frame.keep_([torch.tensor([0, 1, 4, 9, 10, 11, 12])] + [torch.arange(13)] * 5)
        frame.shift_(90)
        save_cache(frame, self.file, identity)
        again = load_cache(self.file, model, identity)
        self.assertEqual(again.roundings, 1)
        self.assertEqual(go_on(again, MORE), go_on(frame.copy(), MORE))
        self.assertEqual(ask(model=LAB, cache=self.file, ids=MORE, new_tokens=NEW)["token_ids"], go_on(frame.copy(), MORE))
        frame.unrotate_()
        save_cache(frame, self.file, identity)
        again = load_cache(self.file, model, identity)
        self.assertFalse(again.is_rotated)
        with self.assertRaisesRegex(ValueError, "rotate the cache first"):
            ask(model=LAB, cache=self.file, ids=MORE, new_tokens=1)
        again.rotate_()
        frame.rotate_()
        self.assertEqual(go_on(again, MORE), go_on(frame, MORE))

    def test_token_ids_travel(self):
        model = opened(LAB)
        frame = CacheFrame(model)
        read(frame, TEXTS[:1])
        save_cache(frame, self.file, model_identity(LAB, model), torch.tensor(TEXTS[:1]))
        self.assertEqual(cache_file_format.read(self.file).text.tolist(), TEXTS[:1])
        ask(model=LAB, cache=self.file, save=self.back)
        self.assertEqual(cache_file_format.read(self.back).text.tolist(), TEXTS[:1])

    def test_token_ids_of_layers_that_hold_different_slots_travel(self):
        """There and back: what layers hold, what is not known of one, and what the library's own cache goes on with."""
        model = opened(LAB)
        frame = CacheFrame(model)
        read(frame, TEXTS[:1])
        slots = [torch.tensor([0, 1, 4, 9, 10, 11, 12])] + [torch.arange(13)] * 5
        frame.keep_(slots)
        with self.assertRaisesRegex(FrameError, "token_ids: expected a list with one a layer.*, got one tensor, and other slots in layer 1"):
            save_cache(frame, self.file, model_identity(LAB, model), torch.tensor(TEXTS[:1]))
        tokens = [torch.tensor(TEXTS[:1])[:, each] for each in slots]
        tokens[3] = None
        save_cache(frame, self.file, model_identity(LAB, model), tokens)
        with safe_open(self.file, framework="pt") as file:
            self.assertEqual([name for name in file.keys() if "token_ids" in name], [f"layers.{n}.token_ids" for n in (0, 1, 2, 4, 5)])
        ask(model=LAB, cache=self.file, save=self.back)
        for path in (self.file, self.back):
            found = cache_file_format.read(path)
            self.assertIsNone(found.text)
            self.assertEqual([None if ids is None else ids.tolist() for ids in found.token_ids], [None if ids is None else ids.tolist() for ids in tokens])
        self.assertEqual(go_on(load_cache(self.back, model, model_identity(LAB, model)), MORE[:1]), go_on(frame, MORE[:1]))

    def test_the_one_text_of_an_older_file_is_that_of_layers_that_are_as_long(self):
        def as_before(tensors, record):
            tensors["token_ids"] = tensors.pop("layers.0.token_ids")

        model = opened(LAB)
        identity = model_identity(LAB, model)
        text = torch.tensor(TEXTS[:1])
        for cut, known in ((False, [True] * 6), (True, [True, False, False, False, False, False])):
            frame = CacheFrame(model)
            read(frame, TEXTS[:1])
            if cut:
                frame.keep_([torch.arange(13)] + [torch.tensor([0, 1, 12])] * 5)
            save_cache(frame, self.file, identity, [text, None, None, None, None, None])
            rewritten(self.file, as_before)
            found = cache_file_format.read(self.file).token_ids
            self.assertEqual([ids is not None and ids.tolist() == TEXTS[:1] for ids in found], known)
            ask(model=LAB, cache=self.file, save=self.back)
            self.assertEqual([ids is not None for ids in cache_file_format.read(self.back).token_ids], known)

    def test_token_ids_that_do_not_fit_are_refused_by_both(self):
        def other_layer(tensors, record):
            tensors["layers.6.token_ids"] = tensors["layers.1.token_ids"].clone()

        def twice(tensors, record):
            tensors["token_ids"] = tensors["layers.1.token_ids"].clone()

        def shorter(tensors, record):
            tensors["layers.1.token_ids"] = tensors["layers.1.token_ids"][:, 1:].contiguous()

        def other_type(tensors, record):
            tensors["layers.1.token_ids"] = tensors["layers.1.token_ids"].to(torch.int32)

        model, identity, frame = self.saved()
        ids = torch.zeros(2, 13, dtype=torch.int64)
        save_cache(frame, self.file, identity, [None, ids, None, ids, None, None])
        whole = self.file.read_bytes()
        for change, message in (
            (other_layer, "layers.6.token_ids.*: expected a name that the frame accounts for"),
            (twice, "layers.1.token_ids.*: expected a name that the frame accounts for"),
            (shorter, r"tensor layers.1.token_ids: expected shape \[2, 13\], got \[2, 12\]"),
            (other_type, "tensor layers.1.token_ids: expected I64, got I32"),
        ):
            with self.subTest(change.__name__):
                self.file.write_bytes(whole)
                rewritten(self.file, change)
                self.assert_refused_by_both(message, model, identity)
        for given, message in (([ids] * 5, "one for each of 6 layers"), ([ids] * 5 + [ids[:, 1:]], "one for each slot of layer 5")):
            with self.assertRaisesRegex(ValueError, message):
                save_cache(frame, self.file, identity, given)

    def saved(self, path=LAB):
        model = opened(path)
        identity = model_identity(path, model)
        frame = CacheFrame(model)
        read(frame, TEXTS)
        save_cache(frame, self.file, identity)
        return model, identity, frame

    def assert_refused_by_both(self, message, model, identity, path=LAB):
        """The file, by the same name, on both sides."""
        with self.assertRaisesRegex(FrameError, message):
            load_cache(self.file, model, identity)
        with self.assertRaisesRegex(ValueError, message):
            ask(model=path, cache=self.file, ids=MORE, new_tokens=1)

    def test_the_cache_of_another_model_is_refused_and_the_field_named(self):
        model, identity, frame = self.saved()
        for change, message in {
            "digest": "model: expected digest 77d2d8e61c58cd81f54c2cc0f10a02a4.*, got digest 0{32}",
            "tokenizer": "tokenizer",
            "quantization": "quantization none, got quantization nf4",
            "rms_norm_eps": "configuration.rms_norm_eps 1e-05, got configuration.rms_norm_eps 1e-06",
            "rope_theta": "rotary.rope_theta 10000, got rotary.rope_theta 10001",
        }.items():
            with self.subTest(change):
                text = {"digest": "0" * 32, "tokenizer": "1" * 32, "quantization": "nf4"}.get(change)
                other = dataclasses.replace(identity, **({change: text} if text else {}))
                if change == "rms_norm_eps":
                    other = dataclasses.replace(identity, configuration=identity.configuration | {change: "1e-06"})
                if change == "rope_theta":
                    other = dataclasses.replace(identity, rotary=identity.rotary | {change: "10001"})
                save_cache(frame, self.file, other)
                message = message.replace("77d2d8e61c58cd81f54c2cc0f10a02a4", identity.digest)
                message = message.replace("1e-05", identity.configuration["rms_norm_eps"])
                self.assert_refused_by_both(message, model, identity)

    def test_a_model_with_other_weights_has_no_identity_of_that_path(self):
        model = opened(LAB)
        model.model.layers[3].mlp.up_proj.weight[5, 7] += 1
        with self.assertRaisesRegex(FrameError, "layers.3.mlp.up_proj.weight: expected the weights in .*lab-llama"):
            model_identity(LAB, model)

    def test_a_configuration_that_was_changed_in_memory_is_another_model(self):
        model, identity, _ = self.saved()
        model.config.rms_norm_eps = 1e-3
        with self.assertRaisesRegex(FrameError, "configuration.rms_norm_eps 0.001"):
            load_cache(self.file, model, model_identity(LAB, model))

    def test_what_a_file_may_not_say_is_refused_by_both(self):
        def version(tensors, record):
            record["version"] = 7

        def stray(tensors, record):
            tensors["layers.9.key"] = tensors["layers.0.key"].clone()

        def missing(tensors, record):
            del tensors["layers.2.value"]

        def unknown_state(tensors, record):
            tensors["frames.0.states"][0, 0, 0] = 4

        def shorter(tensors, record):
            tensors["layers.1.key"] = tensors["layers.1.key"][:, :, 1:].contiguous()

        def other_frequencies(tensors, record):
            record["frames"][0]["specifications"][0]["inv_freq"][0] = 0.5

        def member(tensors, record):
            record["note"] = "mine"

        model, identity, _ = self.saved()
        whole = self.file.read_bytes()
        for change, message in (
            (version, "kvtransfer.frame.version: expected .*2, got 7"),
            (stray, "layers.9.key"),
            (missing, "tensor layers.2.value: expected a tensor of that name, got none"),
            (unknown_state, "-2, -1, or the number of one of 1 specifications, got 4"),
            (shorter, "layers.1.key"),
            (other_frequencies, "layer 0: expected keys rotated as the model does"),
            (member, "kvtransfer.frame"),
        ):
            with self.subTest(change.__name__):
                self.file.write_bytes(whole)
                rewritten(self.file, change)
                self.assert_refused_by_both(message, model, identity)

    def test_changed_and_truncated_bytes_are_refused_by_both(self):
        model, identity, _ = self.saved()
        whole = self.file.read_bytes()
        flipped = bytearray(whole)
        flipped[-5] ^= 4
        self.file.write_bytes(flipped)
        self.assert_refused_by_both("checksum of [a-z]+.*: expected [0-9a-f']+, got [0-9a-f]{8}, so", model, identity)
        for length in (0, 7, 200, len(whole) - 1):
            with self.subTest(length):
                self.file.write_bytes(whole[:length])
                self.assert_refused_by_both(str(self.file), model, identity)

    def test_what_a_frame_does_not_keep_is_refused_here(self):
        def edited(tensors, record):
            edit = {"kind": "noise", "half": "both", "layers": [1], "heads": [], "slots": [[1, 2]], "origin": ""}
            record["edits"] = [edit]

        def assumed(tensors, record):
            record["assumed"] = True

        def taken(tensors, record):
            record["origin"]["basis"] = "same_weights"

        model, identity, _ = self.saved()
        whole = self.file.read_bytes()
        for change, message in ((edited, "edits: .*noise"), (assumed, "assumed"), (taken, "basis: .*same_weights")):
            self.file.write_bytes(whole)
            rewritten(self.file, change)
            with self.assertRaisesRegex(FrameError, message):
                load_cache(self.file, model, identity)

    def test_values_that_were_edited_in_place_are_an_edit_of_the_file(self):
        model, identity, frame = self.saved()
        frame.cache.layers[2].values.mul_(0.5)
        frame.shift_(1)
        save_cache(frame, self.file, identity)
        with self.assertRaisesRegex(FrameError, "edits: .*other"):
            load_cache(self.file, model, identity)
        edits = cache_file_format.read(self.file).edits
        count = frame.positions[2].shape[-1]
        expected = {"kind": "other", "half": "values", "layers": [2], "heads": [], "slots": [[0, count]], "origin": "changed in place"}
        self.assertEqual(edits, [expected])
        self.assertEqual(len(ask(model=LAB, cache=self.file, ids=MORE, new_tokens=1)["token_ids"]), len(TEXTS))  # C++ reads it, and knows

    def test_a_model_that_was_changed_has_no_identity_of_before(self):
        model, identity, frame = self.saved()
        other = opened(LAB)
        with self.assertRaisesRegex(FrameError, "identity: expected what model_identity gives for the frame's model, got another's"):
            load_cache(self.file, other, identity)
        model.model.norm.weight.mul_(1.5)
        begun = CacheFrame(model)
        read(begun, TEXTS)
        for use in (
            lambda: save_cache(frame, self.file, identity),
            lambda: save_cache(begun, self.file, identity),
            lambda: load_cache(self.file, model, identity),
        ):
            with self.assertRaisesRegex(FrameError, "model: expected the weights .*, got a change of model.norm.weight"):
                use()

    def test_a_save_keeps_the_files_mode_and_goes_through_a_link(self):
        _, identity, frame = self.saved()
        self.file.chmod(0o640)
        link = self.file.with_name("link")
        link.symlink_to(self.file.name)
        before = self.file.stat().st_ino
        save_cache(frame, link, identity)
        self.assertTrue(link.is_symlink())
        self.assertNotEqual(self.file.stat().st_ino, before)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o640)
        kvtransfer.save_frame(frame, link)
        self.assertTrue(link.is_symlink())
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o640)
        with self.assertRaisesRegex(OSError, "nowhere/cache: expected a file that can be written, got .*No such file"):
            save_cache(frame, self.file.parent / "nowhere" / "cache", identity)
        with self.assertRaisesRegex(FrameError, "save_cache: identity: expected that of a model, got nobody's"):
            save_cache(frame, self.file, None)
        pipe = self.file.with_name("pipe")
        os.mkfifo(pipe)
        with self.assertRaisesRegex(OSError, "expected a regular file or none"):
            save_cache(frame, pipe, identity)
        self.assertTrue(pipe.is_fifo())

    def test_a_window_that_lacks_what_it_shows_is_refused_by_both(self):
        model, identity, frame = self.saved(FIXTURES / "gemma3")
        frame.keep_([torch.tensor([3, 4, 5]), None, None, None])
        save_cache(frame, self.file, identity)
        self.assert_refused_by_both("layer 0: expected the last 6 keys that other layers hold", model, identity, FIXTURES / "gemma3")

    def test_a_frame_that_a_file_could_not_tell_is_not_written(self):
        model, identity, frame = self.saved()
        self.file.unlink()
        with self.assertRaisesRegex(FrameError, "cache: expected tokens"):
            save_cache(CacheFrame(model), self.file, identity)
        frame.go_on_at_(50)
        with self.assertRaisesRegex(FrameError, "next_position: expected behind the last key"):
            save_cache(frame, self.file, identity)
        with self.assertRaisesRegex(FrameError, "identity"):
            save_cache(CacheFrame.adopt(model, *adopted(model)), self.file, ModelIdentity())
        windowed, _, held = self.saved(FIXTURES / "gemma3")
        self.file.unlink()
        held.keep_([torch.tensor([0, 2, 5]), None, None, None])
        with self.assertRaisesRegex(FrameError, "layer 0: expected positions without gaps, for its window of 7"):
            save_cache(held, self.file, model_identity(FIXTURES / "gemma3", windowed))
        self.assertEqual(list(self.file.parent.iterdir()), [])


def adopted(model):
    """A plain DynamicCache, and where its keys stand."""
    cache = transformers.DynamicCache(config=model.config)
    model(torch.tensor(TEXTS[:1]), past_key_values=cache)
    return cache, torch.arange(len(TEXTS[0]))


if __name__ == "__main__":
    unittest.main()
