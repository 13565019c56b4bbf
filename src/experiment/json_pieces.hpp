#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvtransfer::detail {

/// The text of a JSON document, given out as its values come, so that nobody holds all of it: what
/// `json_text(document, 1)` of the whole document would be.
class json_pieces {
 public:
  explicit json_pieces(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

  /// Begins an object or an array, as the next value.
  void begin_object() { begin('{', '}'); }
  void begin_array() { begin('[', ']'); }
  /// Ends what was begun last.
  void end();
  /// The name of the next value, in an object.
  void key(const std::string& name);
  /// A value with all that is in it.
  void value(const nlohmann::ordered_json& value);
  /// All of an object's, in the object that was begun last.
  void members(const nlohmann::ordered_json& object);

 private:
  struct level {
    char close;
    bool is_empty = true;
  };

  void begin(char open, char close);
  void begin_line();
  void begin_value();

  std::function<void(std::string_view)> write_;
  std::vector<level> levels_;
  bool has_key_ = false;
};

}  // namespace kvtransfer::detail
