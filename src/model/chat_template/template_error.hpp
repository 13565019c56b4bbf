#pragma once

#include <string>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// A template that can't be read, or that uses something which this reader does not have: `what()` names it.
class template_error : public error {
 public:
  using error::error;
};

/// The template itself refuses its messages: it called raise_exception, whose text `what()` is.
class template_refusal : public error {
 public:
  using error::error;
};

}  // namespace kvtransfer::detail
