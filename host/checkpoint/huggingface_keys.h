// Keys of config.json that say nothing about what a model computes from tokens to logits, or that its architecture does
// not read: labels, training, defaults of generation, provenance. Of any other key that is not read a warning is made.
#pragma once
#include <algorithm>
#include <array>
#include <string_view>

// clang-format off
constexpr auto harmless_keys = std::to_array<std::string_view>({
    // Where it comes from, and how it is loaded.
    "_commit_hash", "_name_or_path", "architectures", "auto_map", "dtype", "model_type", "name_or_path",
    "rope_interleaved", "is_llama_config", "tokenizer_class", "torch_dtype", "transformers_version",
    "transformers.js_config", "unsloth_fixed", "unsloth_version", "use_bfloat16", "use_cache",
    "use_flash_attention_2", "_attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled",
    "attn_implementation", "gpt_cu",
    // What a call returns, and in what form.
    "chunk_size_feed_forward", "keys_to_ignore_at_inference", "output_attentions", "output_hidden_states",
    "output_past", "output_scores", "output_logits", "return_dict", "return_dict_in_generate", "tf_legacy_loss",
    "torchscript", "use_return_dict", "reorder_and_upcast_attn", "pretraining_tp", "base_model_tp_plan",
    "base_model_pp_plan",
    // Heads for classification, and tasks.
    "classifier_dropout", "finetuning_task", "id2label", "label2id", "num_labels", "predict_special_tokens",
    "prefix", "problem_type", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
    "summary_type", "summary_use_proj", "task_specific_params",
    // Training.
    "gradient_checkpointing", "initializer_range", "embd_pdrop", "attn_pdrop", "resid_pdrop", "attention_dropout",
    "hidden_dropout", "hidden_dropout_prob", "router_aux_loss_coef", "output_router_logits",
    // Generation has flags of its own; special tokens are the tokenizer's.
    "bad_words_ids", "begin_suppress_tokens", "bos_token_id", "decoder_start_token_id", "diversity_penalty",
    "do_sample", "early_stopping", "encoder_no_repeat_ngram_size", "eos_token_id",
    "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id", "length_penalty",
    "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "pad_token_id", "remove_invalid_values", "repetition_penalty", "sep_token_id", "suppress_tokens", "temperature",
    "top_k", "top_p", "typical_p", "unk_token_id",
    // Of encoders and decoders of other kinds.
    "cross_attention_hidden_size", "is_decoder", "is_encoder_decoder", "tie_encoder_decoder",
    // Read where the model has a use for them.
    "attention_bias", "head_dim", "layer_types", "max_window_layers", "mlp_bias", "n_ctx", "rope_parameters",
    "rope_scaling", "rope_theta", "sliding_window", "tie_word_embeddings", "use_sliding_window",
});
// clang-format on

inline bool is_harmless(std::string_view key) {
    return std::find(harmless_keys.begin(), harmless_keys.end(), key) != harmless_keys.end();
}
