#include "model/tokenizers/oniguruma_syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::array<std::string_view, 38> general_categories{
    "l",  "lu", "ll", "lt", "lm", "lo", "m",  "mn", "mc", "me", "n",  "nd", "nl", "no", "p",  "pc", "pd", "ps", "pe",
    "pi", "pf", "po", "s",  "sm", "sc", "sk", "so", "z",  "zs", "zl", "zp", "c",  "cc", "cf", "cn", "co", "cs", "any"};

constexpr std::string_view word_set = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// Outside a set Oniguruma asks a table of Latin-1 first, where superscripts and fractions are part of words.
constexpr std::string_view bare_word_set = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
// Whatever the case, Oniguruma takes these for a ligature or ß too; PCRE2 does not.
constexpr std::array<std::string_view, 5> folded_pairs{"ss", "ff", "fi", "fl", "st"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// Reads a pattern once, from left to right.
class translation {
 public:
  translation(std::string_view pattern, std::string_view where) : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      step();
    }
    return std::move(out_);
  }

 private:
  static constexpr std::size_t no_atom = static_cast<std::size_t>(-1);

  /// @param found in words
  [[noreturn]] void refuse(std::string_view found) const {
    fail<file_error>(where_, "regex", "constructs that are known here", fmt::format("{} at byte {}", found, at_));
  }

  /// @param bytes of the pattern that stand here
  [[noreturn]] void refuse_next(std::size_t bytes) const { refuse(excerpt(in_.substr(at_, bytes))); }

  [[nodiscard]] bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }

  void step() {
    const char before = std::exchange(last_literal_, '\0');
    switch (in_[at_]) {
      case '\\':
        atom_ = out_.size();
        escape(/*in_set=*/false);
        break;
      case '[':
        atom_ = out_.size();
        set();
        break;
      case '(':
        open_group();
        break;
      case ')':
        atom_ = groups_.empty() ? no_atom : groups_.back().begin;
        if (!groups_.empty()) {
          caseless_ = groups_.back().caseless_around;
          groups_.pop_back();
        }
        out_ += in_[at_++];
        break;
      case '{':
        interval();
        break;
      case '*':
      case '+':
      case '?':
        out_ += in_[at_++];
        if (peek() == '?' || peek() == '+') {
          out_ += in_[at_++];  // lazy, possessive
        }
        break;
      case '|':
      case '^':
      case '$':
        atom_ = no_atom;
        out_ += in_[at_++];
        break;
      default:
        check_folding(before);
        character();
    }
  }

  /// Refuses letters that mean more without regard to case than PCRE2 reads into them.
  /// @param before the literal in front; 0 if something else is there
  void check_folding(char before) {
    if (!caseless_) {
      return;
    }
    if (static_cast<unsigned char>(in_[at_]) >= 0x80) {
      refuse("(?i) and letters beyond ASCII");
    }
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    last_literal_ = lower(in_[at_]);
    const std::string pair{before, last_literal_};
    if (std::find(folded_pairs.begin(), folded_pairs.end(), pair) != folded_pairs.end()) {
      refuse(fmt::format("(?i) and {}", pair));
    }
  }

  /// One literal character, with all of its bytes.
  void character() {
    atom_ = out_.size();
    do {
      out_ += in_[at_++];
    } while (at_ < in_.size() && (static_cast<unsigned char>(in_[at_]) & 0xC0) == 0x80);
  }

  void open_group() {
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (next_is(known)) {
        groups_.push_back({out_.size(), caseless_});
        caseless_ = known == "(?i:" || (caseless_ && known != "(?-i:");
        out_ += known;
        at_ += known.size();
        return;
      }
    }
    // Elsewhere Ruby lets it begin a group of its own, around the alternatives that follow.
    if (next_is("(?i)") && at_ == 0) {
      caseless_ = true;
      out_ += "(?i)";
      at_ += 4;
      return;
    }
    if (next_is("(?") || next_is("(*")) {
      refuse_next(3);
    }
    groups_.push_back({out_.size(), caseless_});
    out_ += in_[at_++];
  }

  /// `{2}`, `{2,}`, `{,2}`, `{2,3}`; any other brace is a character.
  void interval() {
    std::size_t end = at_ + 1;
    const auto digits = [&] {
      const std::size_t begin = end;
      while (end < in_.size() && is_digit(in_[end])) {
        ++end;
      }
      return std::string(in_.substr(begin, end - begin));
    };
    const std::string low = digits();
    const bool comma = end < in_.size() && in_[end] == ',';
    end += comma ? 1 : 0;
    const std::string high = comma ? digits() : std::string();
    const bool closed = end < in_.size() && in_[end] == '}';
    if (!closed || (low.empty() && high.empty()) || atom_ == no_atom) {
      atom_ = out_.size();
      out_ += "\\{";
      ++at_;
      return;
    }
    out_ += fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "", high);
    at_ = end + 1;
    if (peek() == '+' || (peek() == '?' && !comma)) {  // applies to the repeated, where PCRE2 would fix or ignore
      out_.insert(atom_, "(?:");
      out_ += ')';
    } else if (peek() == '?') {
      out_ += in_[at_++];
    }
  }

  void escape(bool in_set) {
    const char kind = peek(1);
    if (std::string_view("rntfae").find(kind) != std::string_view::npos && kind != '\0') {
      out_ += {'\\', kind};
    } else if (kind == 's' || kind == 'S') {
      out_ += kind == 's' ? R"(\p{White_Space})" : R"(\P{White_Space})";
    } else if (kind == 'd' || kind == 'D') {
      out_ += kind == 'd' ? R"(\p{Nd})" : R"(\P{Nd})";
    } else if (kind == 'w') {
      out_ += in_set ? std::string(word_set) : fmt::format("[{}]", bare_word_set);
    } else if (kind == 'W' && !in_set) {
      out_ += fmt::format("[^{}]", bare_word_set);
    } else if (kind == 'v') {
      out_ += "\\x0B";
    } else if ((kind == 'A' || kind == 'z' || kind == 'Z') && !in_set) {
      out_ += {'\\', kind};
    } else if (kind == 'p' || kind == 'P') {
      property();
      return;
    } else if (kind == 'x' || kind == 'u') {
      code_point();
      return;
    } else if (kind != '\0' && !is_letter(kind) && !is_digit(kind) && static_cast<unsigned char>(kind) < 0x80) {
      out_ += {'\\', kind};
    } else {
      refuse_next(2);
    }
    at_ += 2;
  }

  /// `\p{L}`, `\P{Han}`, `\p{^L}`
  void property() {
    const std::size_t end = in_.find('}', at_);
    if (peek(2) != '{' || end == in_.npos) {
      refuse_next(3);
    }
    std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const bool named = !name.empty() && std::all_of(name.begin(), name.end(),
                                                    [](char c) { return is_letter(c) || c == '_' || c == ' '; });
    if (!named) {
      refuse_next(end + 1 - at_);
    }
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    const bool category =
        std::find(general_categories.begin(), general_categories.end(), lower) != general_categories.end();
    // Without the prefix PCRE2 takes a script's extensions: characters that other scripts own.
    out_ += fmt::format("\\{}{{{}{}}}", negated ? 'P' : 'p', category ? "" : "sc:", name);
    at_ = end + 1;
  }

  /// `\x41`, `\x{1F600}`, `\u00E9`
  void code_point() {
    const std::size_t begin = at_;
    if (caseless_) {
      refuse("(?i) and a letter by number");
    }
    const bool braces = peek(1) == 'x' && peek(2) == '{';
    const std::size_t most = peek(1) == 'u' ? 4 : braces ? 8 : 2;
    at_ += braces ? 3 : 2;
    std::string digits;
    while (digits.size() < most && is_hex(peek())) {
      digits += in_[at_++];
    }
    const bool ends = !braces || peek() == '}';
    // Two bare digits are a byte, not a code point.
    const bool plain_byte = most != 2 || (!digits.empty() && std::stoi(digits, nullptr, 16) < 0x80);
    if (digits.empty() || !ends || !plain_byte || (most == 4 && digits.size() != 4)) {
      at_ = begin;
      refuse_next(2);
    }
    at_ += braces ? 1 : 0;
    out_ += fmt::format("\\x{{{}}}", digits);
  }

  void set() {
    out_ += in_[at_++];
    if (peek() == '^') {
      out_ += in_[at_++];
    }
    if (peek() == ']') {
      refuse("[]");
    }
    while (at_ < in_.size() && in_[at_] != ']') {
      if (in_[at_] == '[' || next_is("&&")) {  // sets in sets
        refuse_next(2);
      }
      check_folding('\0');
      if (in_[at_] == '\\') {
        escape(/*in_set=*/true);
      } else {
        out_ += in_[at_++];
      }
    }
    if (at_ == in_.size()) {
      refuse("[ without ]");
    }
    out_ += in_[at_++];
  }

  std::string_view in_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = no_atom;  ///< where in `out_` that began which a quantifier would repeat
  struct group {
    std::size_t begin;  ///< in `out_`
    bool caseless_around;
  };
  std::vector<group> groups_;  ///< those that are open
  bool caseless_ = false;
  char last_literal_ = '\0';  ///< the letter just read, where case does not matter; 0: something else
};

}  // namespace

std::string pcre2_of_oniguruma(std::string_view pattern, std::string_view where) {
  return translation(pattern, where).run();
}

}  // namespace kvtransfer::detail
