#include <ATen/ops/equal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

#include "cache/known_cache.hpp"
#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/halves.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/rope/convert_pairing.hpp"
#include "kvtransfer/rope/move_tensor.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// One sequence of four tokens in two blocks of a paged pool.
layouts::paged_nhd blocks_of(std::int64_t first, std::int64_t second) {
  return {layouts::slot_table(1, 4, {{0, 0, first, 0, 2}, {0, 2, second, 0, 2}}, 2)};
}

cache_frame tokens_in_blocks() { return cache_frame(1, {position_map::consecutive(0, 4), {plain_specification(8)}}); }

}  // namespace

TEST_CASE("a view that was made before a move in place refuses to be read, and names the call", "[cache][stale_view]") {
  known_cache known = known_cache_of(2, 4);
  const cache_view<> view = known.kv.view();
  known.kv.shift(100);
  CHECK_NOTHROW(view.layer(0).keys());  // nothing has moved yet
  known.kv.materialize();
  CHECK(message_of<frame_error>([&] { view.layer(0).keys(); }) ==
        "layer_view: storage: expected keys and values as they were when the frame was taken (make the view anew), got "
        "a change by cache::materialize");
  CHECK_THROWS_AS(view.layer(1).values(), frame_error);
  CHECK_THROWS_AS(view.layer(1).stored_keys(), frame_error);
  CHECK_THROWS_AS(view.layer(1).key_storage(), frame_error);
  CHECK_NOTHROW(known.kv.view().layer(0).keys());
}

TEST_CASE("what was made of a view is as old as the view", "[cache][stale_view]") {
  known_cache known = known_cache_of(2, 4);
  const cache_view<> part = known.kv.view().slice(1, 3);
  const cache_view<> layer = select_layers(known.kv.view(), {1});
  const plan prepended = prepend(known.kv.view(), {{7}});
  known.kv.shift(100);
  known.kv.materialize();
  CHECK_THROWS_AS(part.layer(0).keys(), frame_error);
  CHECK_THROWS_AS(layer.layer(0).keys(), frame_error);
  CHECK_THROWS_AS(prepended.segments(0).front().kv().keys(), frame_error);
  CHECK_THROWS_AS(layer.slice(0, 1), frame_error);
  CHECK_THROWS_AS(cache(part), frame_error);
}

TEST_CASE("layers that do not move leave views of theirs as they are", "[cache][stale_view]") {
  known_cache known = known_cache_of(2, 4);
  const cache_view<> view = known.kv.view();
  known.kv.reframe({known_specification(), known_specification(1.5)});
  known.kv.materialize();
  CHECK_NOTHROW(view.layer(0).keys());
  CHECK_THROWS_AS(view.layer(1).keys(), frame_error);
}

TEST_CASE("moves of one cache leave views of another as they are", "[cache][stale_view]") {
  const known_cache other = known_cache_of(1, 4);
  const cache_view<> view = other.kv.view();
  known_cache moved = known_cache_of(1, 4);
  moved.kv.shift(1);
  moved.kv.materialize();
  CHECK_NOTHROW(view.layer(0).keys());
  CHECK_NOTHROW(other.kv.view());
}

TEST_CASE("of two caches over one tensor, the one that has not moved it refuses to show or move it",
          "[cache][stale_view]") {
  known_cache known = known_cache_of(1, 4);
  const at::Tensor keys = known.kv.view().layer(0).keys();
  const at::Tensor values = known.kv.view().layer(0).values();
  cache second({keys}, {values}, known.kv.stored());
  second.shift(5);
  second.materialize();
  CHECK(
      message_of<frame_error>([&] { known.kv.view(); }) ==
      "cache::view: storage: expected keys and values as they were when the frame was taken (make the view anew), got "
      "a change by cache::materialize");
  known.kv.shift(1);
  const at::Tensor before = keys.clone();
  CHECK_THROWS_AS(known.kv.materialize(), frame_error);
  CHECK_THROWS_AS(known.kv.clone(), frame_error);
  CHECK(at::equal(keys, before));
  CHECK_NOTHROW(second.view());
}

TEST_CASE("a cache finds out about moves through a borrowed one, and the other way round", "[cache][stale_view]") {
  known_cache known = known_cache_of(1, 4);
  borrowed_cache borrowed(known.kv.view());
  borrowed.shift(3);
  CHECK_THAT(message_of<frame_error>([&] { known.kv.view(); }), contains("a change by borrowed_cache::shift"));
  CHECK_NOTHROW(borrowed.view().layer(0).keys());

  known_cache another = known_cache_of(1, 4);
  borrowed_cache late(another.kv.view());
  another.kv.unrotate();
  another.kv.materialize();
  CHECK_THROWS_AS(late.view(), frame_error);
  CHECK_THROWS_AS(late.shift(1), frame_error);
  CHECK_THROWS_AS(late.assume_frame(late.frame()), frame_error);
}

TEST_CASE("sequences of one pool move apart where their blocks are, and not where they share one",
          "[cache][stale_view]") {
  const at::Tensor pool = random_keys({6, 2, 2, 8});
  const at::Tensor values = random_keys({6, 2, 2, 8});
  borrowed_cache first({pool}, {values}, tokens_in_blocks(), blocks_of(0, 1));
  borrowed_cache apart({pool}, {values}, tokens_in_blocks(), blocks_of(4, 2));
  borrowed_cache sharing({pool}, {values}, tokens_in_blocks(), blocks_of(0, 5));
  first.shift(9);
  CHECK_NOTHROW(apart.shift(2));
  CHECK_NOTHROW(first.view());
  CHECK_THROWS_AS(sharing.shift(2), frame_error);
}

TEST_CASE("a cache that is written over another's tensors makes its views stale", "[cache][stale_view]") {
  const known_cache known = known_cache_of(1, 4);
  const known_cache other = known_cache_of(1, 4);
  const cache_view<> view = known.kv.view();
  convert_into(other.kv.view(), {view.layer(0).stored_keys()}, {view.layer(0).stored_values()},
               layouts::batch_heads_seq_dim());
  CHECK_THAT(message_of<frame_error>([&] { view.layer(0).values(); }), contains("a change by convert_into"));
}

TEST_CASE("tensors that autograd tracks are replaced, so that old views still show what they showed",
          "[cache][stale_view]") {
  known_cache known = known_cache_of(1, 4);
  cache tracked({known.kv.view().layer(0).keys().clone().requires_grad_()}, {known.kv.view().layer(0).values()},
                known.kv.stored());
  const cache_view<> view = tracked.view();
  tracked.shift(3);
  tracked.materialize();
  CHECK_NOTHROW(view.layer(0).keys());
}

TEST_CASE("a mapped file does not show keys that were moved in this process as if they stood as it says",
          "[cache][stale_view]") {
  const temporary_folder folder;
  const std::filesystem::path path = folder.path() / "kv.safetensors";
  const known_cache known = known_cache_of(1, 4);
  save_cache(path, known.kv);
  const cache_file file = cache_file::open(path);
  borrowed_cache borrowed(file.view(any_model));
  borrowed.shift(7);
  CHECK_THAT(message_of<frame_error>([&] { (void)file.view(any_model); }),
             contains("a change by borrowed_cache::shift"));
  CHECK_THROWS_AS(file.layer(0), frame_error);
  CHECK_THROWS_AS(file.load(any_model), frame_error);
  const cache_file again = cache_file::open(path);
  CHECK(at::equal(again.view(any_model).layer(0).keys(), known.kv.view().layer(0).keys()));
}

TEST_CASE("a file that is written to while it is mapped is refused, at every use of a view", "[cache][stale_view]") {
  const temporary_folder folder;
  const std::filesystem::path path = folder.path() / "kv.safetensors";
  const known_cache known = known_cache_of(1, 4);
  save_cache(path, known.kv);
  const cache_file file = cache_file::open(path);
  const cache_view<> view = file.view(any_model);
  CHECK_NOTHROW(view.layer(0).keys());
  {
    std::fstream writer(path, std::ios::in | std::ios::out | std::ios::binary);
    writer.seekp(-8, std::ios::end);
    writer << "changed!";
  }
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::seconds(1));
  CHECK_THAT(message_of<file_error>([&] { view.layer(0).keys(); }), contains("a file that was written to since"));
  CHECK_THROWS_AS(file.view(any_model), file_error);
  CHECK_THROWS_AS(cache(view), file_error);
}

TEST_CASE("a file that is replaced by another of its name goes on being read as it was", "[cache][stale_view]") {
  const temporary_folder folder;
  const std::filesystem::path path = folder.path() / "kv.safetensors";
  known_cache known = known_cache_of(1, 4);
  const at::Tensor before = known.kv.view().layer(0).keys().clone();
  save_cache(path, known.kv);
  const cache_file file = cache_file::open(path);
  known.kv.shift(3);
  save_cache(path, known.kv);
  CHECK(at::equal(file.view(any_model).layer(0).keys(), before));
}

TEST_CASE("keys of a cache that are rotated as plain tensors are not read as if they had stayed",
          "[cache][stale_view]") {
  const known_cache known = known_cache_of(1, 4);
  const cache_view<> view = known.kv.view();
  rope::shift_(view.layer(0).keys(), 5, known_specification());
  CHECK_THAT(message_of<frame_error>([&] { view.layer(0).keys(); }), contains("a change by shift_"));
  CHECK_THROWS_AS(known.kv.view(), frame_error);
}

TEST_CASE("keys of a cache that are put in the other pairing's order are not read as they lay", "[cache][stale_view]") {
  const known_cache known = known_cache_of(1, 4);
  const cache_view<> view = known.kv.view();
  rope::convert_pairing_(view.layer(0).keys(), known_specification(), rope::pairing::interleaved);
  CHECK_THAT(message_of<frame_error>([&] { view.layer(0).keys(); }), contains("a change by convert_pairing_"));
  CHECK_THROWS_AS(known.kv.view(), frame_error);
}

TEST_CASE("values of a file that is written to are not read beside keys that lie elsewhere", "[cache][stale_view]") {
  const temporary_folder folder;
  const std::filesystem::path path = folder.path() / "kv.safetensors";
  const known_cache known = known_cache_of(1, 4);
  save_cache(path, known.kv);
  const cache_file file = cache_file::open(path);
  const cache_view<> mapped = file.view(any_model);
  const cache changed = edited(mapped, {mapped.layer(0).keys().add(1)}, {mapped.layer(0).values()},
                               {edit_kind::other, cache_half::keys, {}, {}, {}, "a test"});
  const cache_view<> mixed = keys_with_values_of(known.kv.view(), mapped);
  CHECK_NOTHROW(mixed.layer(0).values());
  CHECK_NOTHROW(changed.view().layer(0).values());
  {
    std::fstream writer(path, std::ios::in | std::ios::out | std::ios::binary);
    writer.seekp(-8, std::ios::end);
    writer << "changed!";
  }
  CHECK_THAT(message_of<file_error>([&] { mixed.layer(0).values(); }), contains("a file that was written to since"));
  CHECK_THROWS_AS(mixed.layer(0).keys(), file_error);
  CHECK_THROWS_AS(changed.view(), file_error);
}
