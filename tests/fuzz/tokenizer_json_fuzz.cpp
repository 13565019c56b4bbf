// libFuzzer harness for tokenizer.json: vocabulary, merges, expressions and every other part. (CMakeLists.txt says how
// to build and run it.) A hostile file may be refused with the library's own errors, and with nothing else; one that is
// accepted gives ids of its own vocabulary, no special token for a plain text, and valid UTF-8 back.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "insist.hpp"
#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/byte_pair_tokenizer.hpp"
#include "model/tokenizers/tokenizer_json.hpp"
#include "model/tokenizers/utf8.hpp"

namespace {

using namespace kvtransfer;
using kvtransfer::fuzz::insist;
using kvtransfer::fuzz::insist_one_line;

constexpr std::string_view texts[] = {"", " Hello  world's 12 <s>\n", "a\xff\xe2\x82 é\xcc\x81 \xf0\x9f\x98\x80 ▁",
                                      "aaaaaaaaaaaaaaaaaaaaaaaa!"};

void use(const std::shared_ptr<const detail::byte_pair_parts>& parts) {
  const detail::byte_pair_tokenizer tokens(parts);
  for (const std::string_view text : texts) {
    for (const bool plain : {true, false}) {
      const std::vector<std::int64_t> ids = plain ? tokens.encode(text) : tokens.encode_markup(text);
      for (const std::int64_t id : ids) {
        insist(id >= 0 && id < tokens.vocab_size());
        const bool unknown = tokens.token_text(id) == parts->model.unk_token;
        insist(!plain || unknown || !parts->model.special.contains(id));
      }
      const std::string back = tokens.decode(ids);
      insist(detail::valid_utf8(back) == back);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  std::shared_ptr<const detail::byte_pair_parts> parts;
  try {
    parts = std::make_shared<const detail::byte_pair_parts>(detail::read_tokenizer_json(content, "fuzz"));
  } catch (const file_error& refused) {
    insist_one_line(refused);
    return 0;
  } catch (const value_error& refused) {  // an added token that normalizes to too much
    insist_one_line(refused);
    return 0;
  }
  try {
    use(parts);
  } catch (const file_error& refused) {  // an expression that takes too long on a text
    insist_one_line(refused);
  } catch (const value_error& refused) {
    insist_one_line(refused);
  }
  return 0;
}
