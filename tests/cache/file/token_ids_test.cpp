#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/file/edited_file.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using token_rows = cache_frame::token_rows;

/// Layers of so many slots each, of two rows; those of one length share their frame.
cache_frame frame_of_lengths(const std::vector<std::int64_t>& lengths) {
  std::vector<cache_frame::shared_layer> layers;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto same = std::find(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(i), lengths[i]);
    const auto first = static_cast<std::size_t>(same - lengths.begin());
    layers.push_back(first < i ? layers[first] : std::make_shared<const layer_frame>(unequal_rows(lengths[i])));
  }
  return cache_frame(layers);
}

/// The frame in a file once `change` was made to it.
template <class Change>
cache_frame reread(const cache_frame& frame, Change&& change) {
  edited_file file = edited_file::of(frame);
  change(file);
  const std::string bytes = file.bytes();
  return detail::read_cache_contents(std::as_bytes(std::span(bytes)), "FILE").stored;
}

/// What a version that had one text for all layers wrote: that of layer 0.
void name_as_before(edited_file& file) {
  file.header["token_ids"] = file.header["layers.0.token_ids"];
  for (std::int64_t layer = 0; layer < 9; ++layer) {
    file.header.erase("layers." + std::to_string(layer) + ".token_ids");
  }
}

}  // namespace

TEST_CASE("layers that hold different tokens keep them in a file, and what follows from them", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  cache_frame frame = frame_of_lengths({5, 5, 5});
  frame.set_token_ids({{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}});
  const cache whole = sample_cache(frame);
  const cache kept =
      gather(whole.view(), std::vector<slot_choice>{std::vector<std::int64_t>{0, 4}, std::vector<std::int64_t>{1, 2, 3},
                                                    std::vector<std::int64_t>{0, 4}});
  save_cache(path, kept);
  const cache_file file = cache_file::open(path);
  CHECK(file.frame() == kept.target());
  CHECK(file.frame().token_ids().empty());
  CHECK(file.frame().token_ids(0) == token_rows{{1, 5}, {-1, 8}});
  CHECK(file.frame().token_ids(1) == token_rows{{2, 3, 4}, {-1, 6, 7}});
  CHECK(file.frame().token_ids(2) == file.frame().token_ids(0));
  save_cache(path, file.view(any_model));
  CHECK(cache_file::open(path).frame() == kept.target());
}

TEST_CASE("one text of all layers stands in a file once, and a layer's that is not known nowhere", "[cache][file]") {
  cache_frame frame = frame_of_lengths({5, 5});
  const token_rows text{{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}};
  frame.set_token_ids(text);
  CHECK(edited_file::of(frame).header.contains("token_ids"));
  CHECK_FALSE(edited_file::of(frame).header.contains("layers.0.token_ids"));
  const auto known = std::make_shared<const token_rows>(text);
  frame.set_tokens(layer_tokens({nullptr, known}));
  const edited_file file = edited_file::of(frame);
  CHECK_FALSE(file.header.contains("token_ids"));
  CHECK_FALSE(file.header.contains("layers.0.token_ids"));
  CHECK(file.header.contains("layers.1.token_ids"));
  const cache_frame back = reread(frame, [](edited_file&) {});
  CHECK(back.token_ids(0).empty());
  CHECK(back.token_ids(1) == text);
}

TEST_CASE("the one text of an older file is that of all layers where they are as long, else of layer 0 and its frame's",
          "[cache][file]") {
  const token_rows text{{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}};
  const auto known = std::make_shared<const token_rows>(text);
  cache_frame unequal = frame_of_lengths({5, 3, 5});
  unequal.set_tokens(layer_tokens({known, nullptr, nullptr}));
  const cache_frame of_unequal = reread(unequal, name_as_before);
  CHECK(of_unequal.token_ids(0) == text);
  CHECK(of_unequal.token_ids(1).empty());
  CHECK(of_unequal.token_ids(2) == text);
  cache_frame equal = frame_of_lengths({5, 5});
  equal.set_tokens(layer_tokens({known, nullptr}));
  CHECK(reread(equal, name_as_before).token_ids() == text);
}

TEST_CASE("tokens that are told twice, of a layer that is not there or of other slots are refused", "[cache][file]") {
  cache_frame frame = frame_of_lengths({5, 3});
  frame.set_tokens(layer_tokens({std::make_shared<const token_rows>(token_rows{{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}}),
                                 std::make_shared<const token_rows>(token_rows{{3, 4, 5}, {-1, 7, 8}})}));
  const auto complaint = [&](const std::string& from, const std::string& to, bool keep) {
    edited_file file = edited_file::of(frame);
    file.header[to] = file.header[from];
    if (keep) {  // a tensor's bytes are its own
      file.header[to]["data_offsets"] = {0, 0};
      file.header[to]["shape"] = {2, 0};
    } else {
      file.header.erase(from);
    }
    return file.complaint();
  };
  CHECK(complaint("layers.1.token_ids", "layers.2.token_ids", false) ==
        "FILE: tensor \"layers.2.token_ids\": expected a name that the frame accounts for, got one of another layer or "
        "frame");
  CHECK(complaint("layers.1.token_ids", "token_ids", false) ==
        "FILE: tensor token_ids: expected shape [2, 5], got [2, 3]");
  CHECK(complaint("layers.0.token_ids", "token_ids", false) ==
        "FILE: tensor \"layers.1.token_ids\": expected a name that the frame accounts for, got one of another layer or "
        "frame");
  CHECK(complaint("layers.1.token_ids", "token_ids", true) ==
        "FILE: tensor token_ids: expected shape [2, 5], got [2, 0]");
}
