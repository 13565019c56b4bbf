#pragma once

#include <array>

#include "corpus/dice.hpp"
#include "corpus/fact.hpp"
#include "corpus/matter.hpp"
#include "corpus/people.hpp"
#include "corpus/places.hpp"
#include "corpus/split.hpp"

namespace kvtransfer::corpus {

/// Makes one fact with names of one split.
using fact_family = fact (*)(dice&, split);

/// The families whose facts are invented: only the text at hand can teach them.
inline constexpr std::array<fact_family, 11> inventions{speaker, home,      age,        work,        colour, travel,
                                                        capital, president, fairy_tale, temperature, formula};

/// One invented fact, every family equally likely.
inline fact invented_fact(dice& throws, split names) { return throws.pick(inventions)(throws, names); }

}  // namespace kvtransfer::corpus
