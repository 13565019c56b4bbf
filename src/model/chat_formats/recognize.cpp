#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <optional>

#include "../chat_template/chat_template.hpp"
#include "../chat_template/template_error.hpp"
#include "eos_pieces.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"

namespace kvtransfer {
namespace {

/// White space at the ends and within, other scripts, what escaping or another template would change.
constexpr std::array<std::string_view, 4> user_probes{
    "Who are you?", " \n\t Two lines,\n\n  and  spaces. \n",
    "\xc2\xa0\xc2\xbfQu\xc3\xa9 tal? \xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x80",
    "{{ 7 * 7 }} {% x %} <b>&amp;</b> '\"\\n 100%"};
constexpr std::array<std::string_view, 3> system_probes{"Answer in one word.", " \nBe brief,\n\nand kind. \n",
                                                        "\xe3\x80\x80<Sei> h\xc3\xb6"
                                                        "flich & {{ kurz }}."};

/// What a template gives for each probe; nothing where it raises an exception of its own.
struct probed_template {
  std::vector<std::optional<std::string>> alone;     ///< by user probe
  std::vector<std::optional<std::string>> together;  ///< by system probe, then user probe
  std::string refusal;                               ///< why the template refused the first that it did
};

probed_template probe(const detail::chat_template& source, const special_token_texts& tokens,
                      const std::optional<std::string>& date) {
  probed_template probed;
  const auto rendered = [&](std::vector<detail::chat_message> messages) -> std::optional<std::string> {
    try {
      return source.render({std::move(messages), tokens.bos, tokens.eos, date});
    } catch (const detail::template_refusal& refusal) {
      probed.refusal = probed.refusal.empty() ? refusal.what() : probed.refusal;
      return std::nullopt;
    }
  };
  for (const std::string_view user : user_probes) {
    probed.alone.push_back(rendered({{"user", std::string(user)}}));
  }
  for (const std::string_view system : system_probes) {
    for (const std::string_view user : user_probes) {
      probed.together.push_back(rendered({{"system", std::string(system)}, {"user", std::string(user)}}));
    }
  }
  return probed;
}

/// Whether a template's text is a format's, or that with a system turn of the template's own in it. SmolLM3's leaves
/// that turn open: it ends where the user's begins.
bool equals_less_default(const std::string& text, const std::string& bos, const chat_format& format,
                         const std::string& expected) {
  if (text == bos + expected) {
    return true;
  }
  const bool inside = format.placement == system_placement::in_user_turn;
  const std::string begin = bos + (inside ? format.before_user : "") + format.before_system;
  const std::string end = expected.substr(inside ? format.before_user.size() : 0);
  const bool recognizable = !format.before_system.empty() && format.placement != system_placement::refused;
  if (!recognizable || text.size() < begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end)) {
    return false;
  }
  const std::string_view own = std::string_view(text).substr(begin.size(), text.size() - begin.size() - end.size());
  return own.ends_with(format.after_system) || (!inside && own.find(format.after_system) == own.npos);
}

bool says_alone(const probed_template& probed, const std::string& bos, const chat_format& format) {
  for (std::size_t i = 0; i < user_probes.size(); ++i) {
    const auto& text = probed.alone[i];
    if (!text || !equals_less_default(*text, bos, format, text_of(render_chat(format, {}, user_probes[i])))) {
      return false;
    }
  }
  return true;
}

bool says_together(const probed_template& probed, const std::string& bos, const chat_format& format) {
  if (format.placement == system_placement::refused) {
    return false;
  }
  for (std::size_t i = 0; i < probed.together.size(); ++i) {
    const auto system = system_probes[i / user_probes.size()], user = user_probes[i % user_probes.size()];
    if (probed.together[i] != bos + text_of(render_chat(format, system, user))) {
      return false;
    }
  }
  return true;
}

/// The format with one choice of what a template may do of its own: BOS and stripping.
template <class Visit>
bool any_variant(const chat_format& format, const special_token_texts& tokens, Visit visit) {
  for (const bool prints_bos : {false, true}) {
    if (prints_bos && tokens.bos.empty()) {
      continue;
    }
    for (const user_strip user : {user_strip::nothing, user_strip::text, user_strip::content}) {
      for (const bool strips_system : {false, true}) {
        chat_format variant = format;
        variant.prints_bos = prints_bos;
        variant.user = user;
        variant.strips_system = strips_system;
        if (visit(variant, prints_bos ? tokens.bos : std::string())) {
          return true;
        }
      }
    }
  }
  return false;
}

std::optional<chat_format> matching(const std::vector<chat_format>& formats, const special_token_texts& tokens,
                                    const probed_template& probed) {
  std::optional<chat_format> found;
  for (const bool with_system : {true, false}) {
    for (const chat_format& each : formats) {
      if (detail::prints_eos(each) && tokens.eos.empty()) {
        continue;
      }
      const bool matches =
          any_variant(detail::with_eos(each, tokens.eos), tokens, [&](const auto& variant, const auto& bos) {
            if (!says_alone(probed, bos, variant) || (with_system && !says_together(probed, bos, variant))) {
              return false;
            }
            found = variant;
            return true;
          });
      if (matches) {
        found->placement = with_system ? found->placement : system_placement::refused;
        return found;
      }
    }
  }
  return found;
}

}  // namespace

chat_format chat_format_registry::recognize(std::string_view chat_template, const special_token_texts& tokens,
                                            std::string_view file) const {
  std::string why = "another one";
  try {
    const detail::chat_template source(chat_template);
    probed_template probed;
    try {
      probed = probe(source, tokens, std::nullopt);
    } catch (const detail::template_error&) {
      // Perhaps it needs a clock. Its mark, in a default system turn, is left out with that; elsewhere it is no
      // format's.
      probed = probe(source, tokens, "(today's date)");
    }
    if (const auto found = matching(formats_, tokens, probed)) {
      return *found;
    }
    if (!probed.alone.front()) {
      why = fmt::format("one that refuses a user's message: {}", probed.refusal.substr(0, 80));
    }
  } catch (const detail::template_error& unreadable) {
    why = fmt::format("one that uses {}", unreadable.what());
  }
  fail<file_error>(file, "chat_template",
                   fmt::format("the template of a known chat format, or one named as chat:NAME with NAME of {}",
                               fmt::join(names(), ", ")),
                   why);
}

}  // namespace kvtransfer
