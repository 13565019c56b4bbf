#include "model/rotation_check.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

rotary_embedding dynamic_embedding(double factor, std::int64_t trained = 16) {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = trained;
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", factor}};
  return rotary_embeddings_from_config(config).front();
}

std::string rotation_complaint(const rotary_embedding& own, const std::vector<rotary_specification>& written) {
  layer_frame frame{position_map(1, 1, 1, {position_row()}), written};
  position_row row;
  for (std::size_t i = 0; i < written.size(); ++i) {
    row.append({static_cast<std::int64_t>(i), 1, 1, slot_state::rotated(static_cast<std::int32_t>(i))});
  }
  frame.positions = position_map(1, 1, 1, {row});
  return message_of<frame_error>([&] { detail::require_rotated_by(own, frame, "layer 0"); });
}

}  // namespace

TEST_CASE("keys of a text that grew under dynamic NTK are the model's own, at each of its lengths",
          "[model][rotation_check]") {
  const rotary_embedding own = dynamic_embedding(2);
  CHECK(rotation_complaint(own, {own.at(5), own.at(17), own.at(300), own.at(301)}).empty());
}

TEST_CASE(
    "keys under dynamic NTK with another factor or another trained length are refused with the values that differ",
    "[model][rotation_check]") {
  const rotary_embedding own = dynamic_embedding(2);
  CHECK(rotation_complaint(own, {dynamic_embedding(4).at(16)}).empty());  // within the trained length it has no part
  for (const rotary_embedding& other : {dynamic_embedding(4), dynamic_embedding(2, 32)}) {
    const std::string complaint = rotation_complaint(own, {own.at(300), other.at(300)});
    CHECK_THAT(complaint, contains("plan: layer 0: expected keys rotated as the model does at 300 tokens (dynamic: "
                                   "inv_freq[1] "));
    CHECK_THAT(complaint, contains("(the first of 7 that differ)), got dynamic: inv_freq[1] "));
  }
}

TEST_CASE("where nobody wrote down a length, short and endless texts may do", "[model][rotation_check]") {
  rotary_specification short_text = dynamic_embedding(2).at(16);
  rotary_specification longer = dynamic_embedding(2).at(300);
  short_text.length = 0;
  longer.length = 0;
  CHECK(rotation_complaint(dynamic_embedding(2), {short_text}).empty());
  CHECK_FALSE(rotation_complaint(dynamic_embedding(2), {longer}).empty());
}
