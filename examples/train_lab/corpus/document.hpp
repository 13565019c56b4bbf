#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "corpus/conversation.hpp"
#include "corpus/dice.hpp"
#include "corpus/encyclopedia.hpp"
#include "corpus/fact.hpp"
#include "corpus/invention.hpp"
#include "corpus/reserved_names.hpp"
#include "corpus/split.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::corpus {

/// Sentences that tell nothing anybody asks for.
inline constexpr std::array<std::string_view, 20> remarks{"The weather is fine today.",
                                                          "It was a long journey.",
                                                          "Nobody knew why.",
                                                          "Everybody was glad to hear it.",
                                                          "This is well known.",
                                                          "It happened many years ago.",
                                                          "The river is wide and slow.",
                                                          "Birds sing in the morning.",
                                                          "There are many books about it.",
                                                          "The streets were full of people.",
                                                          "It is written in an old book.",
                                                          "The night was cold and clear.",
                                                          "At this point it turns into steam.",
                                                          "Some say that it is beautiful.",
                                                          "The walls were thin and bright.",
                                                          "It rained for three days.",
                                                          "That is all there is to say.",
                                                          "Winter came early that year.",
                                                          "The market opens at noon.",
                                                          "A bell rang in the distance."};

/// Tells between one and eight facts, most often one; some of them true, some contrary to the truth.
inline void tell_facts(conversation& talk) {
  dice& throws = talk.throws();
  for (std::uint64_t count = throws.chance(35) ? 1 : 2 + throws.below(7); count > 0; --count) {
    const std::uint64_t kind = throws.below(100);
    talk.tell(kind < 80   ? invented_fact(throws, split::training)
              : kind < 92 ? remembered_fact(throws)
                          : contrary_fact(throws, split::training));
    if (throws.chance(8)) {
      talk.remark(throws.pick(remarks));
    }
  }
}

/// Asks one question: mostly for something told, else for something unheard of or remembered.
inline void ask_anything(conversation& talk) {
  dice& throws = talk.throws();
  const std::uint64_t kind = throws.below(100);
  if (kind < 65 && !talk.told().empty()) {
    talk.ask_told(throws.pick(talk.told()));
  } else if (kind < 85) {
    talk.ask_untold(invented_fact(throws, split::training));
  } else {
    talk.ask_remembered(remembered_fact(throws));
  }
}

/// After an answer most texts end; the others go on with more to tell or to ask.
inline void go_on(conversation& talk) {
  dice& throws = talk.throws();
  while (throws.chance(30)) {
    if (throws.chance(40)) {
      tell_facts(talk);
    }
    ask_anything(talk);
  }
}

/// A text that opens with a question. Now and then the same question comes again: a true fact is remembered by then,
/// any other is as unknown as before.
inline void ask_first(conversation& talk) {
  dice& throws = talk.throws();
  if (throws.chance(60)) {
    const fact unheard = invented_fact(throws, split::training);
    talk.ask_untold(unheard);
    if (throws.chance(15)) {
      talk.ask_untold(unheard);
    }
  } else {
    const fact known = remembered_fact(throws);
    talk.ask_remembered(known);
    if (throws.chance(25)) {
      talk.ask_remembered(known);
    }
  }
}

/// True facts one after the other, sometimes after invented ones that have nothing to do with them.
inline void recollect(conversation& talk) {
  dice& throws = talk.throws();
  if (throws.chance(40)) {
    talk.tell(invented_fact(throws, split::training));
  }
  for (std::uint64_t count = 1 + throws.below(4); count > 0; --count) {
    talk.tell(remembered_fact(throws));
  }
}

/// One text of the training corpus, without boundary tokens.
/// @throws value_error if a reserved name got into it, which would be a mistake in this corpus
inline std::string training_document(dice& throws) {
  conversation talk{throws};
  const std::uint64_t kind = throws.below(100);
  if (kind < 55) {
    tell_facts(talk);
    ask_anything(talk);
    go_on(talk);
  } else if (kind < 75) {
    ask_first(talk);
    go_on(talk);
  } else if (kind < 92) {
    recollect(talk);
  } else {
    tell_facts(talk);
  }
  require<value_error>(!holds_reserved_name(talk.text()), "training_document", "text", "no reserved name", talk.text());
  return talk.text();
}

}  // namespace kvtransfer::corpus
