#include "kvtransfer/cache/file/quantized/quantized_cache_file.hpp"

#include <filesystem>
#include <string>

#include "cache/file/edited_file.hpp"
#include "cache/file/quantized/sample_quantized_cache.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/quantized/save_quantized_cache.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/quantized/concat_quantized.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// What a file makes of a cache, on the way to memory and without leaving the file.
void check_that_it_comes_back(const quantized_cache& kv, const std::filesystem::path& path) {
  save_cache(path, kv);
  const quantized_cache_file file = quantized_cache_file::open(path);
  CHECK(file.stored() == kv.stored());
  CHECK(file.target() == kv.target());
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    CHECK(same_codes(file.stored_keys(i), kv.stored_keys(i)));
    CHECK(same_codes(file.values(i), kv.values(i)));
  }
  CHECK(same_quantized_cache(file.load(any_model), kv));
}

}  // namespace

TEST_CASE("a saved quantized cache comes back bit for bit in every format", "[cache][file][quantized]") {
  const temporary_folder folder;
  for (const code_format format :
       {code_format::int4, code_format::int8, code_format::float8_e4m3fn, code_format::float8_e5m2}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      CAPTURE(to_string(format), at::toString(dtype));
      const cache kv = sample_cache(sample_frame(), dtype);
      check_that_it_comes_back(quantize(kv.view(), sample_key_scheme(format), sample_value_scheme(format)),
                               folder.path() / "a");
      check_that_it_comes_back(quantize(kv.view(), sample_value_scheme(format), sample_key_scheme(format)),
                               folder.path() / "a");
    }
  }
}

TEST_CASE("moves that are pending are saved as pending", "[cache][file][quantized]") {
  const temporary_folder folder;
  quantized_cache kv = sample_quantized_cache();
  kv.shift(40);
  check_that_it_comes_back(kv, folder.path() / "a");
  quantized_cache loaded = quantized_cache_file::open(folder.path() / "a").load(any_model);
  CHECK_FALSE(loaded.materialized());
  CHECK(same_cache(loaded.dequantize().view(), kv.dequantize().view()));
}

TEST_CASE("moved codes are saved with the error they carry", "[cache][file][quantized]") {
  const temporary_folder folder;
  quantized_cache kv = sample_quantized_cache();
  kv.shift(40);
  kv.materialize();
  REQUIRE(kv.keys(0).carried_error.defined());
  check_that_it_comes_back(kv, folder.path() / "a");
}

TEST_CASE("slices and joined caches are saved with the groups they have", "[cache][file][quantized]") {
  const temporary_folder folder;
  const quantized_cache kv = sample_quantized_cache();
  check_that_it_comes_back(kv.slice(1, 4), folder.path() / "a");
  const quantized_cache joined = concat(kv.slice(0, 4), kv.slice(1, 5), position_overlap::allowed);
  CHECK(joined.stored_keys(0).groups.runs().size() > 2);
  check_that_it_comes_back(joined, folder.path() / "a");
}

TEST_CASE("codes and plain keys are not taken for one another", "[cache][file][quantized]") {
  const temporary_folder folder;
  const std::string quantized = (folder.path() / "quantized").string();
  const std::string plain = (folder.path() / "plain").string();
  save_cache(quantized, sample_quantized_cache());
  save_cache(plain, sample_cache());
  CHECK(message_of<file_error>([&] { cache_file::open(quantized); }) ==
        quantized +
            ": metadata: expected a cache of keys and values, got an entry kvtransfer.quantized: open it as a "
            "quantized_cache_file");
  CHECK(message_of<file_error>([&] { quantized_cache_file::open(plain); }) ==
        plain +
            ": metadata: expected an entry kvtransfer.quantized, as the file of a quantized cache has it, got a "
            "safetensors file of 24 tensors without one");
}

TEST_CASE("a quantized cache of another model is refused", "[cache][file][quantized]") {
  const temporary_folder folder;
  const quantized_cache kv = sample_quantized_cache();
  save_cache(folder.path() / "a", kv);
  const quantized_cache_file file = quantized_cache_file::open(folder.path() / "a");
  CHECK_NOTHROW(file.load(kv.stored().model()));
  CHECK_THROWS_AS(file.load(model_identity{"another"}), frame_error);
  CHECK_THROWS_AS(file.stored_keys(2), shape_error);
  CHECK_THROWS_AS(file.values(-1), shape_error);
}

TEST_CASE("damage to codes or scales is found on loading", "[cache][file][quantized]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  for (const char* const damaged : {"layers.0.key.codes", "layers.1.value.scales", "layers.1.key.minimums"}) {
    for (const file_checksums checksums : {file_checksums::crc32, file_checksums::none}) {
      save_cache(path, sample_quantized_cache(), checksums);
      CHECK_NOTHROW(quantized_cache_file::open(path).load(any_model));
      edited_file file = edited_file::opened(path);
      file.set<std::uint8_t>(damaged, 3, 77);
      folder.put("a", file.bytes());
      const quantized_cache_file opened = quantized_cache_file::open(path);
      if (checksums == file_checksums::crc32) {
        CHECK_THAT(message_of<file_error>([&] { opened.load(any_model); }),
                   contains(std::string(": checksum of ") + damaged + ": expected "));
        CHECK_THROWS_AS(opened.verify(), file_error);
      } else {
        CHECK_NOTHROW(opened.load(any_model));
        CHECK_THROWS_AS(opened.verify(), value_error);
      }
    }
  }
}

TEST_CASE("frames with other padding are not one cache", "[cache][quantized]") {
  const quantized_cache kv = sample_quantized_cache();
  cache_frame other(2, {position_map::consecutive(0, 5, 2), kv.stored().layer(0).specifications});
  CHECK_THROWS_AS(
      quantized_cache({kv.stored_keys(0), kv.stored_keys(1)}, {kv.values(0), kv.values(1)}, kv.stored(), other),
      frame_error);
}

TEST_CASE("frames of two caches are not saved as one", "[cache][file][quantized]") {
  const temporary_folder folder;
  const quantized_cache kv = sample_quantized_cache();
  cache_frame other = kv.stored();
  other.set_origin(model_identity{"another"});
  const quantized_cache both({kv.stored_keys(0), kv.stored_keys(1)}, {kv.values(0), kv.values(1)}, kv.stored(), other,
                             as_written);
  CHECK_THROWS_AS(save_cache(folder.path() / "a", both), frame_error);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "a"));
}
