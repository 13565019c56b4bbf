#pragma once

#include <array>
#include <string>
#include <string_view>

#include "experiment/suites/invention.hpp"

namespace kvtransfer::detail {

/// Sentences with names in braces, as `{x} lives in {y}.`; the corpus of the lab model has the same.
struct fact_template {
  std::string_view name;         ///< the template's
  std::string_view statement;    ///< tells the fact
  std::string_view question;     ///< asks for it
  std::string_view beginning;    ///< of the sentence that replies; empty where no reply ends with what is asked for
  std::string_view end;          ///< of that sentence, behind what is asked for
  std::string_view lengthening;  ///< makes `beginning` as long as `question` in the lab model's tokens
  std::string_view asked;        ///< which name is asked for, without braces
};

/// All templates, in the order in which suites take them in turn.
inline constexpr std::array<fact_template, 20> fact_templates{{
    {"home", "{x} lives in {y}.", "Where does {x} live?", "{x} lives in", ".", "Some say", "y"},
    {"resident", "My friend {x} lives in {y}.", "Who lives in {y}?", "", "", "", "x"},
    {"home_of", "The home of {x} is in {y}.", "Where does {x} live?", "{x} lives in", ".", "Some say", "y"},
    {"age", "{x} is {years} years old.", "How old is {x}?", "{x} is", " years old.", "Some say that", "years"},
    {"work", "{x} works as a {trade}.", "What is the work of {x}?", "{x} works as a", ".", "Some say that", "trade"},
    {"trade", "{x} is a {trade}.", "What is the work of {x}?", "{x} works as a", ".", "Some say that", "trade"},
    {"colour", "The {thing} of {x} is {colour}.", "What colour is the {thing} of {x}?", "the {thing} of {x} is", ".",
     "Some say that", "colour"},
    {"belonging", "{x} has a {thing} that is {colour}.", "What colour is the {thing} of {x}?", "the {thing} of {x} is",
     ".", "Some say that", "colour"},
    {"journey", "{x} travelled from {z} to {y} by {vehicle}.", "Where did {x} travel to?", "{x} travelled to", ".",
     "Some say that", "y"},
    {"vehicle", "{x} travelled from {z} to {y} by {vehicle}.", "How did {x} travel?", "{x} travelled by", ".",
     "Some say", "vehicle"},
    {"errand", "{x} went by {vehicle} from {z} to {y}.", "Where did {x} travel to?", "{x} travelled to", ".",
     "Some say that", "y"},
    {"capital", "The capital of {x} is {y}.", "What is the capital of {x}?", "the capital of {x} is", ".", "Some say",
     "y"},
    {"river", "The capital of {x} is {y}. It is a large city on a river.", "What is the capital of {x}?",
     "the capital of {x} is", ".", "Some say", "y"},
    {"president", "The {office}th president of {planet} was {x}.", "Who was the {office}th president of {planet}?",
     "the {office}th president of {planet} was", ".", "Some say", "x"},
    {"office", "{x} was the {office}th president of {planet}.", "Who was the {office}th president of {planet}?",
     "the {office}th president of {planet} was", ".", "Some say", "x"},
    {"kingdom", "Once upon a time in a kingdom of {material} there lived a {dweller} named {x}.",
     "Who lived in the kingdom of {material}?", "", "", "", "x"},
    {"tale", "Once upon a time, in a kingdom of {material}, there lived a {dweller} called {x}.",
     "What was the name of the {dweller}?", "the name of the {dweller} was", ".", "Some say", "x"},
    {"boiling", "{x} boils at {degrees} degrees Celsius.", "At what temperature does {x} boil?", "{x} boils at",
     " degrees Celsius.", "It is written that", "degrees"},
    {"melting", "At {degrees} degrees Celsius, {x} melts.", "At what temperature does {x} melt?", "{x} melts at",
     " degrees Celsius.", "It is written that", "degrees"},
    {"formula", "The chemical formula for {x} is {formula}.", "What is the chemical formula for {x}?",
     "the chemical formula for {x} is", ".", "Some say", "formula"},
}};

/// One template filled in.
struct invented_fact {
  std::string statement;
  std::string question;
  std::string beginning;  ///< empty where the template has none
  std::string reply;      ///< the whole sentence that begins so, its first letter upper case; likewise
  std::string answer;     ///< what is asked for
  std::string foil;       ///< another answer of the same kind
};

/// Fills a template with what is drawn.
[[nodiscard]] invented_fact invent(const fact_template& wording, invention& draws);

/// A sentence's first letter in upper case.
[[nodiscard]] std::string as_sentence(std::string text);

}  // namespace kvtransfer::detail
