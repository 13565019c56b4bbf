#include "kvtransfer/cache/cache_origin.hpp"

#include <string>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const model_identity known_model{
    "d1", "none", "none", "t1", {{"hidden_size", "64"}}, {{"rope_type", "dynamic"}, {"factor", "2"}}};

std::string origin_complaint(const model_identity& model, const cache_origin& origin = known_model) {
  return message_of<frame_error>([&] { detail::require_origin(origin, model, "plan"); });
}

}  // namespace

TEST_CASE("a refusal names every field that differs, with its values", "[cache][cache_origin]") {
  CHECK(origin_complaint(known_model).empty());
  model_identity other = known_model;
  other.tokenizer = "t2";
  CHECK(origin_complaint(other) == "plan: model: expected tokenizer t2, got tokenizer t1");
  other.adapter = "a";
  other.quantization = "nf4";
  CHECK(origin_complaint(other) ==
        "plan: model: expected quantization nf4, adapter a, tokenizer t2, got quantization none, adapter none, "
        "tokenizer t1");
  other = known_model;
  other.rotary["factor"] = "4";
  other.configuration.erase("hidden_size");
  other.configuration["softcap"] = "30";
  CHECK(origin_complaint(other) ==
        "plan: model: expected configuration.hidden_size nothing, configuration.softcap 30, rotary.factor 4, got "
        "configuration.hidden_size 64, configuration.softcap nothing, rotary.factor 2");
}

TEST_CASE("a tokenizer that one side knows nothing of is no difference; a digest is", "[cache][cache_origin]") {
  model_identity other = known_model;
  other.tokenizer = "";
  CHECK(origin_complaint(other).empty());
  CHECK_FALSE(origin_complaint(known_model, {}).empty());
  CHECK_FALSE(cache_origin(known_model).is_of_same_model({}));
  CHECK(cache_origin().is_of_same_model({}));
}

TEST_CASE("caches of two models are told apart", "[cache][cache_origin]") {
  CHECK_NOTHROW(detail::require_same_model(known_model, known_model, "test", "model"));
  CHECK_NOTHROW(detail::require_same_model({}, {}, "test", "model"));
  CHECK(message_of<frame_error>([] { detail::require_same_model(model_identity{"a"}, {}, "test", "model"); }) ==
        "test: model: expected digest a, got digest unknown");
}

TEST_CASE("of caches joined, the weaker reason counts, and two models are none", "[cache][cache_origin]") {
  const cache_origin assumed = assume_unknown_origin({}, known_model);
  CHECK(assumed.joined_with(known_model).basis() == origin_basis::unknown_origin);
  CHECK(cache_origin(known_model).joined_with(assumed).basis() == origin_basis::unknown_origin);
  CHECK(cache_origin(known_model).joined_with(known_model) == cache_origin(known_model));
  CHECK_FALSE(cache_origin(known_model).joined_with(model_identity{"d2"}).is_known());
}

TEST_CASE("nothing is assumed of what is known, and no same weights of what is not", "[cache][cache_origin]") {
  CHECK_THROWS_AS(assume_unknown_origin(known_model, known_model), frame_error);
  CHECK_THROWS_AS(assume_same_weights({}, known_model), frame_error);
}

TEST_CASE("same weights stored in another way may be quantized, and say less of their configuration",
          "[cache][cache_origin]") {
  model_identity stored = known_model;
  stored.digest = "d2";
  stored.quantization = "nf4";
  stored.configuration["spelling"] = "old";
  CHECK(assume_same_weights(known_model, stored).model() == stored);
  CHECK(assume_same_weights(known_model, stored).basis() == origin_basis::same_weights);
  stored.configuration["hidden_size"] = "32";
  CHECK(message_of<frame_error>([&] { assume_same_weights(known_model, stored); }) ==
        "assume_same_weights: model: expected configuration.hidden_size 32, got configuration.hidden_size 64");
}

TEST_CASE("a basis comes back from its name", "[cache][cache_origin]") {
  for (const origin_basis basis : {origin_basis::recorded, origin_basis::same_weights, origin_basis::unknown_origin}) {
    CHECK(origin_basis_named(to_string(basis)) == basis);
  }
  CHECK_FALSE(origin_basis_named("guessed").has_value());
}
