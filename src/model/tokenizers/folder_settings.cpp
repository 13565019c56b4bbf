#include "model/tokenizers/folder_settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "model/is_there.hpp"

namespace kvtransfer::detail {

namespace {

nlohmann::json read_if_there(const std::filesystem::path& path) {
  return is_there(path) ? read_json_object(path) : nlohmann::json::object();
}

/// A token's text: plain, or as an object with `content`.
std::string text_of(const json_reader& node) {
  if (!node.value().is_string() && !node.value().is_object()) {
    node.refuse("a token's text");
  }
  return node.value().is_object() ? node.member("content").text() : node.text();
}

added_token read_added(const json_reader& node, std::int32_t id) {
  added_token token{.content = node.member("content").text(), .id = id};
  token.special = node.boolean("special", false);
  token.lstrip = node.boolean("lstrip", false);
  token.rstrip = node.boolean("rstrip", false);
  token.single_word = node.boolean("single_word", false);
  return token;
}

/// A key of added_tokens_decoder.
std::int32_t read_id(const json_reader& node, const std::string& key) {
  const bool digits = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == key.npos;
  if (!digits) {
    fail<file_error>(node.file(), "added_tokens_decoder", "ids for keys", excerpt(key));
  }
  return std::stoi(key);
}

std::vector<std::int64_t> read_ids(const std::optional<json_reader>& node) {
  std::vector<std::int64_t> ids;
  if (node && node->value().is_array()) {
    node->for_each_item([&](const json_reader& id) { ids.push_back(id.integer(0, INT32_MAX)); });
  } else if (node) {
    ids.push_back(node->integer(0, INT32_MAX));
  }
  return ids;
}

/// The tokens that a file names for a purpose.
void read_named(const json_reader& node, const std::filesystem::path& file, bool replaces, folder_settings& settings) {
  const auto read = [&](std::string_view key, named_token& token) {
    if (node.value().contains(key) && (replaces || token.file.empty())) {
      const auto found = node.find(key);
      token = {file, found ? std::optional(text_of(*found)) : std::nullopt};
    }
  };
  read("bos_token", settings.bos);
  read("eos_token", settings.eos);
  for (const std::string_view key :
       {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"}) {
    if (const auto found = node.find(key)) {
      settings.special_texts.insert(text_of(*found));
    }
  }
  for (const std::string_view key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (const auto found = node.find(key); found && found->value().is_array()) {
      found->for_each_item([&](const json_reader& text) { settings.special_texts.insert(text_of(text)); });
    }
  }
}

std::vector<std::int64_t> ids_of(const named_token& named, std::string_view key, bool config_names,
                                 const std::vector<std::int64_t>& config_ids,
                                 const std::vector<std::int64_t>& otherwise,
                                 const std::function<std::optional<std::int64_t>(const std::string&)>& id_of) {
  if (named.file.empty()) {
    return config_names ? config_ids : otherwise;
  }
  if (!named.text) {
    return {};
  }
  const auto id = id_of(*named.text);
  if (!id) {
    fail<file_error>(named.file.string(), key, "a token of the vocabulary or of added_tokens_decoder",
                     excerpt(*named.text));
  }
  return {*id};
}

}  // namespace

folder_settings read_folder_settings(const std::filesystem::path& folder) {
  folder_settings settings;
  const auto open = [&](const char* name) {
    const auto path = folder / name;
    if (is_there(path)) {
      settings.files.push_back(path);
    }
    return std::pair(path, read_if_there(path));
  };
  const auto [main_path, main_content] = open("tokenizer_config.json");
  const auto [map_path, map_content] = open("special_tokens_map.json");
  const auto [added_path, added_content] = open("added_tokens.json");
  const std::string main_name = main_path.string();
  const std::string map_name = map_path.string();
  const std::string added_name = added_path.string();
  const json_reader main(main_content, main_name);

  settings.add_bos_token =
      main.find("add_bos_token") ? std::optional(main.member("add_bos_token").boolean()) : std::nullopt;
  settings.add_eos_token =
      main.find("add_eos_token") ? std::optional(main.member("add_eos_token").boolean()) : std::nullopt;
  settings.add_prefix_space =
      main.find("add_prefix_space") ? std::optional(main.member("add_prefix_space").boolean()) : std::nullopt;
  settings.legacy = main.boolean("legacy", false);
  const auto decoder = main.find("added_tokens_decoder");
  read_named(main, main_path, true, settings);
  read_named({map_content, map_name}, map_path, !decoder, settings);

  if (decoder) {
    for (const auto& [key, value] : decoder->value().items()) {
      const json_reader entry = decoder->member(key);
      settings.added.push_back(read_added(entry, read_id(entry, key)));
    }
  } else {
    const json_reader list(added_content, added_name);
    for (const auto& [text, id] : added_content.items()) {
      settings.added.push_back(
          {.content = text, .id = static_cast<std::int32_t>(list.member(text).integer(0, INT32_MAX))});
    }
  }
  for (added_token& token : settings.added) {
    token.special = token.special || settings.special_texts.contains(token.content);
  }
  std::sort(settings.added.begin(), settings.added.end(),
            [](const added_token& a, const added_token& b) { return a.id < b.id; });

  const auto config_path = folder / "config.json";
  const nlohmann::json config_content = read_if_there(config_path);
  const std::string config_name = config_path.string();
  const json_reader config(config_content, config_name);
  settings.config_names_bos = config_content.contains("bos_token_id");
  settings.config_names_eos = config_content.contains("eos_token_id");
  settings.config_bos = read_ids(config.find("bos_token_id"));
  settings.config_eos = read_ids(config.find("eos_token_id"));
  return settings;
}

boundary_tokens boundaries_of(const folder_settings& settings, const boundary_tokens& around,
                              const std::function<std::optional<std::int64_t>(const std::string&)>& id_of) {
  boundary_tokens result = around;
  const auto bos = ids_of(settings.bos, "bos_token", settings.config_names_bos, settings.config_bos,
                          around.bos ? std::vector<std::int64_t>{*around.bos} : std::vector<std::int64_t>{}, id_of);
  result.bos = bos.empty() ? std::nullopt : std::optional(bos.front());
  result.eos = ids_of(settings.eos, "eos_token", settings.config_names_eos, settings.config_eos, around.eos, id_of);
  if (settings.add_bos_token) {
    result.before.clear();
    if (*settings.add_bos_token && result.bos) {
      result.before.push_back(*result.bos);
    }
  }
  if (settings.add_eos_token) {
    result.behind.clear();
    if (*settings.add_eos_token && !result.eos.empty()) {
      result.behind.push_back(result.eos.front());
    }
  }
  return result;
}

}  // namespace kvtransfer::detail
