#include <fmt/format.h>

#include <array>
#include <string_view>

#include "kvtransfer/experiment/suites.hpp"

namespace kvtransfer::suites {

namespace {

struct identity_wording {
  std::string_view source;
  std::string_view target;
};

constexpr std::array<identity_wording, 20> identity_wordings{{
    {"Hello, my name is Lyra and I live in Seattle.", "What is your name and where do you live?"},
    {"Hi, I am Lyra and I live in Seattle.", "Who are you and where do you live?"},
    {"My name is Lyra. I live in Seattle.", "What is your name? Where do you live?"},
    {"I live in Seattle and my name is Lyra.", "Where do you live and what is your name?"},
    {"I am called Lyra, and Seattle is where I live.", "What are you called, and where is your home?"},
    {"Good morning! I am Lyra from Seattle.", "Could you tell me your name and where you are from?"},
    {"People call me Lyra. My home is in Seattle.", "What do people call you, and where is your home?"},
    {"Hello there. Lyra is my name, and I come from Seattle.", "Which name do you go by, and where do you come from?"},
    {"This is Lyra speaking, from Seattle.", "Who is speaking, and from where?"},
    {"Let me introduce myself: Lyra, resident of Seattle.", "Would you introduce yourself and say where you reside?"},
    {"I was named Lyra, and I have always lived in Seattle.", "How were you named, and where have you lived?"},
    {"You may call me Lyra. I make my home in Seattle.", "What may I call you, and where do you make your home?"},
    {"Pleased to meet you, I am Lyra. I live in the city of Seattle.", "May I ask your name and the city you live in?"},
    {"Lyra here. Seattle is my city.", "What is your name, and which city is yours?"},
    {"The name is Lyra and the place is Seattle.", "What is the name, and what is the place?"},
    {"They gave me the name Lyra when I moved to Seattle.", "Which name did they give you, and where did you move?"},
    {"I introduce myself as Lyra and I stay in Seattle.", "How do you introduce yourself, and where do you stay?"},
    {"My friends know me as Lyra; my flat is in Seattle.", "How do your friends know you, and where is your flat?"},
    {"Lyra is what I am called. I settled in Seattle.", "What are you called? Where did you settle?"},
    {"Welcome! I am Lyra, and we are in Seattle.", "Who are you, and where are we?"},
}};

}  // namespace

suite stalling() {
  suite made;
  made.name = "stalling";
  made.description =
      "The report's identity test in 20 wordings, each as raw text and in chat form: does a model stop at once because "
      "of the injection, or because of how it is asked?";
  made.metric = "stalled";
  int number = 0;
  for (const identity_wording& wording : identity_wordings) {
    ++number;
    test_case test;
    test.item = fmt::format("identity_{:02}", number);
    test.source = wording.source;
    test.target = wording.target;
    test.markers = {"Lyra", "Seattle"};
    test.whole_words = true;
    for (const char* form : {"raw", "chat"}) {
      test.name = fmt::format("{}_{}", test.item, form);
      test.variant = form;
      test.prompt_form = form;
      made.tests.push_back(test);
    }
  }
  return made;
}

}  // namespace kvtransfer::suites
