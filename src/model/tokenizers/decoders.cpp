#include "model/tokenizers/decoders.hpp"

#include <fmt/format.h>

#include <utility>

#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/byte_alphabet.hpp"
#include "model/tokenizers/normalizers.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

using next_sink = std::unique_ptr<token_sink>;

struct collect final : token_sink {
  explicit collect(std::string& into) : text(into) {}
  void take(std::string_view token) override { text += token; }
  void finish() override {}
  std::string& text;
};

struct link : token_sink {
  explicit link(next_sink behind) : next(std::move(behind)) {}
  void finish() override { next->finish(); }
  next_sink next;
};

struct replace_link final : link {
  replace_link(const replace_step& chosen, next_sink behind) : link(std::move(behind)), step(chosen) {}
  void take(std::string_view token) override {
    constexpr std::size_t most = std::size_t{1} << 24;  // a few such steps could fill any memory
    const std::string text = replaced(token, step.pattern, step.content);
    if (text.size() > most && text.size() > token.size()) {
      fail<value_error>("decode", "replaced text", fmt::format("at most {} bytes", most),
                        fmt::format("{}", text.size()));
    }
    next->take(text);
  }
  const replace_step& step;
};

struct byte_fallback_link final : link {
  using link::link;
  void take(std::string_view token) override {
    if (const int byte = byte_of_token(token); byte >= 0) {
      bytes += static_cast<char>(byte);
    } else {
      flush();
      next->take(token);
    }
  }
  void finish() override {
    flush();
    next->finish();
  }
  void flush() {
    const std::string run = std::exchange(bytes, {});
    if (valid_utf8(run) == run) {
      if (!run.empty()) {
        next->take(run);
      }
    } else {
      for (std::size_t i = 0; i < run.size(); ++i) {
        next->take("\xEF\xBF\xBD");
      }
    }
  }
  std::string bytes;
};

/// Length of the run of `content` that a text begins with, at most `most`: in characters.
std::size_t leading(std::string_view text, std::string_view content, std::size_t most) {
  std::size_t count = 0;
  while (count < most && text.substr(count * content.size()).starts_with(content)) {
    ++count;
  }
  return count;
}

std::size_t trailing(std::string_view text, std::string_view content, std::size_t most) {
  std::size_t count = 0;
  while (count < most && text.substr(0, text.size() - count * content.size()).ends_with(content)) {
    ++count;
  }
  return count;
}

struct strip_base : link {
  strip_base(const strip_step& chosen, next_sink behind) : link(std::move(behind)), step(chosen) {
    append_utf8(content, step.content);
  }
  const strip_step& step;
  std::string content;
};

/// Strips each token by itself.
struct strip_link final : strip_base {
  using strip_base::strip_base;
  void take(std::string_view token) override {
    const std::size_t begin = leading(token, content, step.start) * content.size();
    const std::size_t end = token.size() - trailing(token, content, step.stop) * content.size();
    next->take(end > begin ? token.substr(begin, end - begin) : std::string_view());
  }
};

/// Strips a text that comes in chunks. What may turn out to be its end is held back.
struct strip_fused_link final : strip_base {
  using strip_base::strip_base;
  void take(std::string_view chunk) override {
    held += chunk;
    if (at_start) {
      const std::size_t count = leading(held, content, step.start - stripped);
      held.erase(0, count * content.size());
      stripped += count;
      at_start = held.empty() && stripped < step.start;
    }
    const std::size_t certain =
        step.stop == 0 ? held.size() : held.size() - trailing(held, content, held.size()) * content.size();
    next->take(held.substr(0, certain));
    held.erase(0, certain);
  }
  void finish() override {
    held.resize(held.size() - trailing(held, content, step.stop) * content.size());
    next->take(held);
    next->finish();
  }
  std::string held;
  bool at_start = true;
  std::size_t stripped = 0;
};

struct metaspace_link final : link {
  metaspace_link(const metaspace_step& chosen, next_sink behind) : link(std::move(behind)), step(chosen) {}
  void take(std::string_view token) override {
    std::string text;
    for (std::size_t at = 0; at < token.size();) {
      const auto [code_point, bytes] = character_at(token, at);
      if (code_point != step.replacement) {
        text += token.substr(at, bytes);
      } else if (!first || !step.drops_first) {
        text += ' ';
      }
      at += bytes;
    }
    first = false;
    next->take(text);
  }
  const metaspace_step& step;
  bool first = true;
};

struct byte_level_link final : link {
  using link::link;
  void take(std::string_view token) override {
    const auto bytes = from_byte_alphabet(token);
    next->take(repair.push(bytes ? std::string_view(*bytes) : token));
  }
  void finish() override {
    next->take(repair.finish());
    next->finish();
  }
  utf8_repair repair;
};

struct spaced_link final : link {
  using link::link;
  void take(std::string_view token) override {
    if (!std::exchange(first, false)) {
      next->take(" ");
    }
    next->take(token);
  }
  bool first = true;
};

/// Puts chunks of one token together, for a step that must see it whole.
struct hold_link final : link {
  using link::link;
  void take(std::string_view chunk) override { whole += chunk; }
  void finish() override {
    next->take(whole);
    next->finish();
  }
  std::string whole;
};

next_sink link_of(const decode_step& step, bool in_chunks, next_sink behind) {
  if (const auto* chosen = std::get_if<strip_step>(&step); chosen != nullptr && in_chunks) {
    return std::make_unique<strip_fused_link>(*chosen, std::move(behind));
  }
  struct make {
    next_sink operator()(const replace_step& chosen) { return std::make_unique<replace_link>(chosen, std::move(next)); }
    next_sink operator()(const strip_step& chosen) { return std::make_unique<strip_link>(chosen, std::move(next)); }
    next_sink operator()(const metaspace_step& chosen) {
      return std::make_unique<metaspace_link>(chosen, std::move(next));
    }
    next_sink operator()(byte_fallback_step) { return std::make_unique<byte_fallback_link>(std::move(next)); }
    next_sink operator()(byte_level_step) { return std::make_unique<byte_level_link>(std::move(next)); }
    next_sink operator()(spaced_step) { return std::make_unique<spaced_link>(std::move(next)); }
    next_sink operator()(fuse_step) { return std::move(next); }
    next_sink next;
  };
  next_sink made = std::visit(make{std::move(behind)}, step);
  const bool takes_chunks = std::holds_alternative<fuse_step>(step);
  return in_chunks && !takes_chunks ? std::make_unique<hold_link>(std::move(made)) : std::move(made);
}

}  // namespace

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) {
    return -1;
  }
  int byte = 0;
  for (const char digit : token.substr(3, 2)) {
    const std::size_t value = std::string_view("0123456789abcdef0123456789ABCDEF").find(digit);
    if (value == std::string_view::npos) {
      return -1;
    }
    byte = byte * 16 + static_cast<int>(value % 16);
  }
  return byte;
}

std::unique_ptr<token_sink> decoding_chain(const std::vector<decode_step>& steps, std::string& text) {
  // A fused token comes in chunks, until a step has to wait for all of it.
  std::vector<bool> in_chunks;
  bool chunks = false;
  for (const decode_step& step : steps) {
    in_chunks.push_back(chunks);
    const bool joins = std::holds_alternative<fuse_step>(step) || std::holds_alternative<byte_level_step>(step);
    chunks = joins || (chunks && std::holds_alternative<strip_step>(step));
  }
  next_sink chain = std::make_unique<collect>(text);
  for (std::size_t i = steps.size(); i-- > 0;) {
    chain = link_of(steps[i], in_chunks[i], std::move(chain));
  }
  return chain;
}

}  // namespace kvtransfer::detail
