#include "kvtransfer/model/chat_format_registry.hpp"

namespace kvtransfer {
namespace {

using enum system_placement;

constexpr bool strips_system = true, keeps_system = false, prints_bos = true, leaves_bos = false;

const std::string llama3_system = "<|start_header_id|>system<|end_header_id|>\n\n";

/// name, before and after the system text, before and after the user's, the prompt for the answer, placement,
/// stripping. Where a family's templates differ in what they strip or whether they print BOS, this is what naming the
/// format gives.
const std::vector<chat_format>& standard_formats() {
  static const std::vector<chat_format> formats{
      // SmolLM2, Qwen 1.5 to 3, and many others.
      {"chatml", "<|im_start|>system\n", "<|im_end|>\n", "<|im_start|>user\n", "<|im_end|>\n",
       "<|im_start|>assistant\n", own_turn, user_strip::nothing, keeps_system, leaves_bos},
      // Models that always think first, such as QwQ and Qwen3-Thinking.
      {"chatml-think", "<|im_start|>system\n", "<|im_end|>\n", "<|im_start|>user\n", "<|im_end|>\n",
       "<|im_start|>assistant\n<think>\n", own_turn, user_strip::nothing, keeps_system, leaves_bos},
      // Models whose thinking is off by default, such as Qwen3.5's smaller ones.
      {"chatml-no-think", "<|im_start|>system\n", "<|im_end|>\n", "<|im_start|>user\n", "<|im_end|>\n",
       "<|im_start|>assistant\n<think>\n\n</think>\n\n", own_turn, user_strip::nothing, keeps_system, leaves_bos},
      // Zephyr, TinyLlama-Chat.
      {"zephyr", "<|system|>\n", "{{ eos_token }}\n", "<|user|>\n", "{{ eos_token }}\n", "<|assistant|>\n", own_turn,
       user_strip::nothing, keeps_system, leaves_bos},
      // Mistral-7B-Instruct 0.1 and 0.2, and their templates of later date. Before llama2, which it equals where a
      // template refuses a system text.
      {"mistral-v1", "", "\n\n", "[INST] ", " [/INST]", "", in_user_turn, user_strip::nothing, keeps_system,
       prints_bos},
      {"mistral-v1-spaced", "", "\n\n", " [INST] ", " [/INST]", "", in_user_turn, user_strip::nothing, keeps_system,
       prints_bos},
      {"llama2", "<<SYS>>\n", "\n<</SYS>>\n\n", "[INST] ", " [/INST]", "", in_user_turn, user_strip::content,
       strips_system, prints_bos},
      {"llama3", llama3_system, "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>",
       "<|start_header_id|>assistant<|end_header_id|>\n\n", own_turn, user_strip::text, strips_system, prints_bos},
      // 3.1, 3.2 and 3.3 with the date that their templates name where no clock is given.
      {"llama3.1", llama3_system + "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n", "<|eot_id|>",
       "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>",
       "<|start_header_id|>assistant<|end_header_id|>\n\n", own_turn, user_strip::text, strips_system, prints_bos},
      // Mistral-7B-Instruct 0.3 and its contemporaries; Nemo's tokenizer (tekken) leaves the spaces out.
      {"mistral-v3", "", "\n\n", "[INST] ", "[/INST]", "", in_user_turn, user_strip::nothing, keeps_system, prints_bos},
      {"mistral-tekken", "", "\n\n", "[INST]", "[/INST]", "", in_user_turn, user_strip::nothing, keeps_system,
       prints_bos},
      // Mistral Large of November 2024; Mistral Small 3 leaves the spaces out.
      {"mistral-v7", "[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]", "[INST] ", "[/INST]", "", own_turn, user_strip::nothing,
       keeps_system, prints_bos},
      {"mistral-v7-tekken", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "", own_turn,
       user_strip::nothing, keeps_system, prints_bos},
      // Gemma 1 and 2 have no system role; Gemma 3 puts the text into the user's turn.
      {"gemma2", "", "", "<start_of_turn>user\n", "<end_of_turn>\n", "<start_of_turn>model\n", refused,
       user_strip::text, keeps_system, prints_bos},
      {"gemma3", "", "\n\n", "<start_of_turn>user\n", "<end_of_turn>\n", "<start_of_turn>model\n", in_user_turn,
       user_strip::text, keeps_system, prints_bos},
      {"phi3", "<|system|>\n", "<|end|>\n", "<|user|>\n", "<|end|>\n", "<|assistant|>\n", own_turn, user_strip::nothing,
       keeps_system, leaves_bos},
      {"phi4", "<|im_start|>system<|im_sep|>", "<|im_end|>", "<|im_start|>user<|im_sep|>", "<|im_end|>",
       "<|im_start|>assistant<|im_sep|>", own_turn, user_strip::nothing, keeps_system, leaves_bos},
      {"phi4-mini", "<|system|>", "<|end|>", "<|user|>", "<|end|>", "<|assistant|>", own_turn, user_strip::nothing,
       keeps_system, leaves_bos},
  };
  return formats;
}

}  // namespace

chat_format_registry chat_format_registry::standard() {
  chat_format_registry registry;
  for (const chat_format& format : standard_formats()) {
    registry.add(format);
  }
  return registry;
}

}  // namespace kvtransfer
