#include <filesystem>
#include <utility>

#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer::conditions {

any_condition zero() {
  return at_point({.control = cache_control::zero},
                  {.id = "zero",
                   .title = "Zeros",
                   .injected = "zeros of the source cache's shape; the target is fed at the positions that follow",
                   .tells = "what slots without anything in them do",
                   .reference = "baseline"});
}

any_condition other_source() {
  return at_point({.control = cache_control::other_source},
                  {.id = "other_source",
                   .title = "Another test's source",
                   .injected = "the cache of another test's source, of equal length where there is one; the target is "
                               "fed at the positions that follow",
                   .tells = "what any cache of its kind does: content is what the right one does beyond it",
                   .reference = "baseline"});
}

any_condition shuffled_tokens() {
  return at_point({.control = cache_control::shuffled_tokens},
                  {.id = "shuffled_tokens",
                   .title = "Shuffled tokens",
                   .injected = "the cache of the source's tokens in another order, format and BOS in their places",
                   .tells = "what the words do without their order",
                   .reference = "text_oracle",
                   .random = true});
}

any_condition shuffled_layers() {
  return at_point({.control = cache_control::shuffled_layers},
                  {.id = "shuffled_layers",
                   .title = "Shuffled layers",
                   .injected = "the source's cache, each layer in the place of another that rotates alike",
                   .tells = "whether layers read what others wrote",
                   .reference = "text_oracle",
                   .random = true});
}

any_condition shuffled_heads() {
  return at_point({.control = cache_control::shuffled_heads},
                  {.id = "shuffled_heads",
                   .title = "Shuffled heads",
                   .injected = "the source's cache, each KV head in the place of another of its layer",
                   .tells = "whether heads read what others wrote",
                   .reference = "text_oracle",
                   .random = true});
}

any_condition shuffled_slots() {
  return at_point({.control = cache_control::shuffled_slots},
                  {.id = "shuffled_slots",
                   .title = "Shuffled slots",
                   .injected = "the source's cache with its slots, positions and all, in another order",
                   .tells = "that keys carry their positions: it must equal the text oracle",
                   .reference = "text_oracle",
                   .must_equal_reference = true,
                   .random = true});
}

any_condition from_files(std::filesystem::path folder) {
  condition_point point;
  point.files = std::move(folder);
  return at_point(point, {.id = "from_files:" + point.files->string(),
                          .title = "From files",
                          .injected = "the cache in " + (*point.files / "TEST.safetensors").string() +
                                      "; the target is fed at the positions that follow",
                          .tells = "somebody's caches, as they are",
                          .reference = "text_oracle"});
}

}  // namespace kvtransfer::conditions
