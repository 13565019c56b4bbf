#pragma once

#include "kvtransfer/experiment/suite.hpp"

/// The library's own suites, made by code from a fixed key: the same tests on every machine, in every version that does
/// not say otherwise.
///
/// Their facts are invented, so that only the source can teach them. A model that happens to know a name from its
/// training is no worse a subject for it: which value belongs to the name is drawn here.
namespace kvtransfer::suites {

/// 400 facts of 20 templates, a source that tells one and a question for it. The sentences are those that the lab model
/// was trained on, plain enough for any model of English; with a chat model it wants `--prompt-form chat`. The
/// templates come in turn, so that the first N tests hold all of them alike.
[[nodiscard]] suite recall();

/// 90 facts of 18 templates, each asked for twice: by a question and by the beginning of the sentence that tells it.
/// Both are equally long in the lab model's tokens, and both cut off one sentence.
[[nodiscard]] suite matched_pairs();

/// The report's identity test in 20 wordings of source and target, each as raw text and in chat form: does a model stop
/// at once because of the injection, or because of how it is asked?
[[nodiscard]] suite stalling();

/// 54 questions of 18 templates about facts that no text told, each behind two sources. In one of them such questions
/// are answered all the same (`confabulating`), in the other with "I do not know." (`grounded`). A test is passed where
/// the model goes on in its source's manner.
[[nodiscard]] suite modes();

}  // namespace kvtransfer::suites
