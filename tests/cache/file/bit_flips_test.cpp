// Single bits of a saved file: what one changes is found, or changes nothing.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// One layer, two texts, the text known: small, and all parts of a file in it.
cache small_cache() {
  cache_frame frame(1, unequal_rows());
  frame.set_token_ids({{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}});
  frame.set_origin(model_identity{"00ff", "none", "none", "11ee", {{"eps", "1e-06"}}, {{"rope_type", "yarn"}}});
  return sample_cache(frame);
}

/// The cache of a file; nothing where it is refused.
std::optional<cache> loaded(const std::filesystem::path& path) {
  try {
    return cache_file::open(path).load(small_cache().stored().model());
  } catch (const error&) {
    return std::nullopt;
  }
}

}  // namespace

TEST_CASE("no bit of a cache file changes what is loaded without being found", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const cache kv = small_cache();
  save_cache(path, kv);
  const std::string whole = read_text(path);
  std::size_t found = 0;
  std::vector<std::size_t> silent;
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, whole.data(), sizeof header_bytes);
  const std::size_t data_begin = 8 * (sizeof header_bytes + header_bytes);
  std::size_t tried = 0;
  // Every bit of the header, every third behind it.
  for (std::size_t bit = 0; bit < 8 * whole.size(); bit += bit < data_begin ? 1 : 3, ++tried) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    folder.put("a", damaged);
    const std::optional<cache> read = loaded(path);
    if (!read) {
      ++found;
    } else if (!(read->stored() == kv.stored()) || !same_cache(read->view(), kv.view())) {
      silent.push_back(bit);
    }
  }
  CAPTURE(whole.size(), found);
  CHECK(silent.empty());
  // What is left is not the cache's: "format" and its text, upper case of hexadecimal digits.
  CHECK(tried - found < 200);
}
