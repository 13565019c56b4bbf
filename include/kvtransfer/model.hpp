#pragma once

// All headers of models: weights, tokenizers, generation. Including the few that a program uses compiles several times
// faster.

#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/causal_logits.hpp"
#include "kvtransfer/model/chat_format.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"
#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/model/read_chat_template.hpp"
#include "kvtransfer/model/sampling.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/model/stop_reason.hpp"
#include "kvtransfer/model/tokenizer.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"
#include "kvtransfer/model/weights/gguf_header.hpp"
#include "kvtransfer/model/weights/gguf_metadata.hpp"
#include "kvtransfer/model/weights/gguf_tensor_type.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"
