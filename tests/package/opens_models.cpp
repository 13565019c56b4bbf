// A program of somebody else's that needs what kvtransfer::model adds.

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

int main() {
  try {
    (void)kvtransfer::open_tokenizer("no such folder");
  } catch (const kvtransfer::file_error&) {
    return 0;
  }
  return 1;
}
