// A program of somebody else's that needs what kvtransfer::model adds.

#include "kvtransfer/model/tokenizer.hpp"

int main() {
  try {
    kvtransfer::tokenizer::open("no such folder");
  } catch (const kvtransfer::file_error&) {
    return 0;
  }
  return 1;
}
