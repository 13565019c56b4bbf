#pragma once

#include <string>
#include <vector>

namespace kvtransfer::corpus {

/// What a model says when neither the text before nor its memory holds the answer.
inline constexpr const char* unknown_answer = "I do not know.";

/// Something a text may tell, how one asks for it, and the right reply.
struct fact {
  std::string family;                ///< the kind: "capital", "temperature", …
  std::string topic;                 ///< what it is about; a text never tells two facts of one topic
  std::string statement;             ///< one or two sentences that tell it
  std::string question;              ///< one sentence that asks for it
  std::string answer;                ///< one sentence that replies
  std::vector<std::string> markers;  ///< words of the answer that the question doesn't give away
};

}  // namespace kvtransfer::corpus
