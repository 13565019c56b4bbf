#include "kvtransfer/cache/file/save_cache.hpp"

#include <filesystem>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("a saved cache comes back bit for bit in every type", "[cache][file]") {
  const temporary_folder folder;
  for (const at::ScalarType dtype :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    CAPTURE(at::toString(dtype));
    const cache kv = sample_cache(sample_frame(), dtype);
    const auto path = folder.path() / at::toString(dtype);
    save_cache(path, kv);
    const cache_file file = cache_file::open(path);
    CHECK(file.frame() == kv.view().frame());
    CHECK(same_cache(file.view(any_model), kv.view()));
    CHECK(same_cache(file.load(kv.view().frame().model()).view(), kv.view()));
  }
}

TEST_CASE("layers that share a frame share it after loading, and equal ones do too", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  std::vector<cache_frame::shared_layer> layers;
  for (int i = 0; i < 3; ++i) {
    layers.push_back(std::make_shared<const layer_frame>(unequal_rows(i == 2 ? 4 : 5)));
  }
  save_cache(path, sample_cache(cache_frame(layers)));
  const cache_frame frame = cache_file::open(path).frame();
  CHECK(frame.shared(0) == frame.shared(1));
  CHECK_FALSE(frame.shared(0) == frame.shared(2));
}

TEST_CASE("NaN, infinities and signed zeros are only bits", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  cache kv = sample_cache(cache_frame(1, unequal_rows()));
  const at::Tensor keys = kv.view().layer(0).keys();
  keys.select(3, 0).fill_(std::numeric_limits<double>::quiet_NaN());
  keys.select(3, 1).fill_(-std::numeric_limits<double>::infinity());
  keys.select(3, 2).fill_(-0.0);
  save_cache(path, kv);
  CHECK(same_bits(cache_file::open(path).layer(0).keys(), keys));
}

TEST_CASE("every layout is saved as the one that files have", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const auto comes_back = [&](const reference_cache& reference, const auto& view) {
    save_cache(path, view, file_checksums::none);
    require_same(cache_file::open(path).view(any_model), reference.view());
  };
  const reference_cache reference = reference_in(at::kBFloat16, padding_side::left);
  for_each_layout(reference, [&](const auto& view) { comes_back(reference, view); });
  const reference_cache latent = latent_reference_in(at::kBFloat16, padding_side::left);
  for_each_latent_layout(latent, [&](const auto& view) { comes_back(latent, view); });
}

TEST_CASE("what is saved stands where it was asked to be", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  cache kv = sample_cache(cache_frame(1, {position_map::consecutive(0, 4, 2), {plain_specification(sample_head_dim)}}));
  kv.shift(10);
  save_cache(path, kv);
  CHECK_FALSE(kv.materialized());  // the cache is as it was
  CHECK(cache_file::open(path).frame().next_position() == 14);
  CHECK(same_cache(cache_file::open(path).view(any_model), kv.view()));
}

TEST_CASE("spare capacity is not saved", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const cache roomy(sample_cache(cache_frame(1, unequal_rows())).view(), 500);
  save_cache(path, roomy);
  CHECK(std::filesystem::file_size(path) < 4096);
  CHECK(same_cache(cache_file::open(path).view(any_model), roomy.view()));
}

TEST_CASE("a gradient is no hindrance", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const cache plain = sample_cache(cache_frame(1, unequal_rows()));
  const at::Tensor keys = plain.view().layer(0).keys().clone().requires_grad_();
  const cache kv({keys}, {plain.view().layer(0).values()}, plain.view().frame());
  save_cache(path, kv);
  CHECK(same_cache(cache_file::open(path).view(any_model), kv.view()));
}

TEST_CASE("a file is saved over the one it was loaded from", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const cache kv = sample_cache();
  save_cache(path, kv);
  const cache_file old = cache_file::open(path);
  save_cache(path, old.view(any_model), file_checksums::none);
  CHECK(same_cache(cache_file::open(path).view(any_model), kv.view()));
  CHECK(same_cache(old.view(any_model), kv.view()));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()) == 1);
}

TEST_CASE("checksums may be left out", "[cache][file]") {
  const temporary_folder folder;
  save_cache(folder.path() / "a", sample_cache());
  save_cache(folder.path() / "b", sample_cache(), file_checksums::none);
  CHECK(cache_file::open(folder.path() / "a").has_checksums());
  CHECK_FALSE(cache_file::open(folder.path() / "b").has_checksums());
}
