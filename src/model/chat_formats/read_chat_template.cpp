#include "kvtransfer/model/read_chat_template.hpp"

#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"

namespace kvtransfer {
namespace {

/// The template named "default" in a list of objects {name, template}.
std::string default_of(const json_reader& list) {
  std::vector<std::string> names;
  for (const nlohmann::json& each : list.value()) {
    const bool named = each.is_object() && each.contains("name") && each["name"].is_string() &&
                       each.contains("template") && each["template"].is_string();
    if (!named) {
      list.refuse("a template, or a list of objects with a name and a template");
    }
    names.push_back(each["name"].get<std::string>());
    if (names.back() == "default") {
      return each["template"].get<std::string>();
    }
  }
  list.refuse_with("one that is named default", excerpt(names));
}

}  // namespace

std::optional<model_chat_template> read_chat_template(const std::filesystem::path& path) {
  if (const auto stored = find_gguf(path)) {
    const gguf_file opened = gguf_file::open(*stored);
    const auto text = opened.metadata().text("tokenizer.chat_template");
    return text ? std::optional(model_chat_template{std::string(*text), stored->string()}) : std::nullopt;
  }
  std::error_code ignored;
  if (const auto file = path / "chat_template.jinja"; std::filesystem::exists(file, ignored)) {
    return model_chat_template{read_text(file), file.string()};
  }
  const auto file = path / "tokenizer_config.json";
  if (!std::filesystem::exists(file, ignored)) {
    return std::nullopt;
  }
  const nlohmann::json content = read_json_object(file);
  const std::string name = file.string();
  const auto found = json_reader(content, name).find("chat_template");
  if (!found) {
    return std::nullopt;
  }
  if (found->value().is_array() && found->size() > 0) {
    return model_chat_template{default_of(*found), name};
  }
  if (!found->value().is_string()) {
    found->refuse("a template, or a list of objects with a name and a template");
  }
  return model_chat_template{found->text(), name};
}

}  // namespace kvtransfer
