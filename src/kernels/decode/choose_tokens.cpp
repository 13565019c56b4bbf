#include <torch/library.h>

// The end of a decode step: every sequence's next token is chosen, written down, and what the next step needs to know
// of the sequence with it, so that steps follow one another without a look at any of it.
//
//   choose_tokens_(logits, sequences, state, draws, record, turn)
//
// logits     [rows, vocab_size], float, bfloat16 or half
// sequences  int64 [rows]: whose they are, no sequence twice
// state      int64 [sequences, columns], see sequence_state.hpp
// draws      double [sequences, 1 + most]: the temperature, then the draw of each choice
// record     double [turns, sequences, 3], see sequence_state.hpp; rows of other sequences keep what they held
// turn       int64 [1]: steps before, of which the remainder by `turns` says which part of the record is written
//
// Chosen is what `choose_token` chooses (model/sampling.hpp): the best, or, at a temperature above 0, the token where
// the sum of probabilities passes the draw. Sums are double; in another order than there, so that a draw nearer to a
// boundary than 1e-12 may fall on its other side.

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def(
      "choose_tokens_(Tensor logits, Tensor sequences, Tensor(a!) state, Tensor draws, Tensor(b!) record, Tensor turn) "
      "-> ()");
}
