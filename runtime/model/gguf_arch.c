/* Names of each architecture's tensors, and the keys that it alone has: see gguf_arch.h. */
#include "model/gguf_arch.h"

#include <string.h>

#define TABLE static const struct ech_gguf_name
#define END                                                                                                  \
    {                                                                                                        \
        NULL, NULL                                                                                           \
    }

/* Llama and those that took its names. */
TABLE outer_llama[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}, END};
#define ATTENTION                                                                                            \
    {"attn_norm", "input_layernorm"}, {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},        \
        {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},                                 \
        {"attn_q_norm", "self_attn.q_norm"},                                                                 \
    {                                                                                                        \
        "attn_k_norm", "self_attn.k_norm"                                                                    \
    }
#define GATED                                                                                                \
    {"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"},                                                \
    {                                                                                                        \
        "ffn_down", "mlp.down_proj"                                                                          \
    }
TABLE inner_llama[] = {ATTENTION, {"ffn_norm", "post_attention_layernorm"}, GATED, END};
TABLE inner_mixtral[] = {ATTENTION,
                         {"ffn_norm", "post_attention_layernorm"},
                         {"ffn_gate_inp", "block_sparse_moe.gate"},
                         {"ffn_gate_exps", "block_sparse_moe.experts.%e.w1"},
                         {"ffn_down_exps", "block_sparse_moe.experts.%e.w2"},
                         {"ffn_up_exps", "block_sparse_moe.experts.%e.w3"},
                         {"ffn_gate", "block_sparse_moe.experts.%e.w1"},
                         {"ffn_down", "block_sparse_moe.experts.%e.w2"},
                         {"ffn_up", "block_sparse_moe.experts.%e.w3"},
                         END};
TABLE inner_moe[] = {ATTENTION,
                     {"ffn_norm", "post_attention_layernorm"},
                     GATED,
                     {"ffn_gate_inp", "mlp.gate"},
                     {"ffn_gate_exps", "mlp.experts.%e.gate_proj"},
                     {"ffn_up_exps", "mlp.experts.%e.up_proj"},
                     {"ffn_down_exps", "mlp.experts.%e.down_proj"},
                     {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                     {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                     {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
                     {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
                     END};
TABLE inner_gemma2[] = {ATTENTION,
                        {"post_attention_norm", "post_attention_layernorm"},
                        {"ffn_norm", "pre_feedforward_layernorm"},
                        {"post_ffw_norm", "post_feedforward_layernorm"},
                        GATED,
                        END};
TABLE inner_olmo2[] = {ATTENTION,
                       {"post_attention_norm", "post_attention_layernorm"},
                       {"post_ffw_norm", "post_feedforward_layernorm"},
                       GATED,
                       END};
TABLE inner_phi3[] = {{"attn_norm", "input_layernorm"},
                      {"attn_qkv", "self_attn.qkv_proj"},
                      {"attn_output", "self_attn.o_proj"},
                      {"ffn_norm", "post_attention_layernorm"},
                      {"ffn_up", "mlp.gate_up_proj"},
                      {"ffn_down", "mlp.down_proj"},
                      END};
TABLE inner_starcoder2[] = {ATTENTION,
                            {"ffn_norm", "post_attention_layernorm"},
                            {"ffn_up", "mlp.c_fc"},
                            {"ffn_down", "mlp.c_proj"},
                            END};
TABLE outer_phi[] = {{"token_embd", "model.embed_tokens"},
                     {"output_norm", "model.final_layernorm"},
                     {"output", "lm_head"},
                     END};
TABLE inner_phi[] = {{"attn_norm", "input_layernorm"},
                     {"attn_q", "self_attn.q_proj"},
                     {"attn_k", "self_attn.k_proj"},
                     {"attn_v", "self_attn.v_proj"},
                     {"attn_output", "self_attn.dense"},
                     {"ffn_up", "mlp.fc1"},
                     {"ffn_down", "mlp.fc2"},
                     END};
/* Those before Llama. */
TABLE outer_gpt2[] = {{"token_embd", "transformer.wte"},
                      {"position_embd", "transformer.wpe"},
                      {"output_norm", "transformer.ln_f"},
                      {"output", "lm_head"},
                      END};
TABLE inner_gpt2[] = {{"attn_norm", "ln_1"},
                      {"attn_qkv", "attn.c_attn"},
                      {"attn_output", "attn.c_proj"},
                      {"ffn_norm", "ln_2"},
                      {"ffn_up", "mlp.c_fc"},
                      {"ffn_down", "mlp.c_proj"},
                      END};
TABLE outer_neox[] = {{"token_embd", "gpt_neox.embed_in"},
                      {"output_norm", "gpt_neox.final_layer_norm"},
                      {"output", "embed_out"},
                      END};
TABLE inner_neox[] = {{"attn_norm", "input_layernorm"},
                      {"attn_qkv", "attention.query_key_value"},
                      {"attn_output", "attention.dense"},
                      {"ffn_norm", "post_attention_layernorm"},
                      {"ffn_up", "mlp.dense_h_to_4h"},
                      {"ffn_down", "mlp.dense_4h_to_h"},
                      END};
TABLE outer_bloom[] = {{"token_embd", "transformer.word_embeddings"},
                       {"token_embd_norm", "transformer.word_embeddings_layernorm"},
                       {"output_norm", "transformer.ln_f"},
                       {"output", "lm_head"},
                       END};
TABLE inner_bloom[] = {{"attn_norm", "input_layernorm"},
                       {"attn_qkv", "self_attention.query_key_value"},
                       {"attn_output", "self_attention.dense"},
                       {"ffn_norm", "post_attention_layernorm"},
                       {"ffn_up", "mlp.dense_h_to_4h"},
                       {"ffn_down", "mlp.dense_4h_to_h"},
                       END};
TABLE inner_falcon[] = {
    {"attn_norm", "input_layernorm"},        {"attn_qkv", "self_attention.query_key_value"},
    {"attn_output", "self_attention.dense"}, {"ffn_up", "mlp.dense_h_to_4h"},
    {"ffn_down", "mlp.dense_4h_to_h"},       END};
/* Two norms side by side: the 40B style. */
TABLE inner_falcon2[] = {{"attn_norm", "ln_mlp"},
                         {"attn_norm_2", "ln_attn"},
                         {"attn_qkv", "self_attention.query_key_value"},
                         {"attn_output", "self_attention.dense"},
                         {"ffn_up", "mlp.dense_h_to_4h"},
                         {"ffn_down", "mlp.dense_4h_to_h"},
                         END};
/* Encoders. */
TABLE outer_bert[] = {{"token_embd", "embeddings.word_embeddings"},
                      {"position_embd", "embeddings.position_embeddings"},
                      {"token_types", "embeddings.token_type_embeddings"},
                      {"token_embd_norm", "embeddings.LayerNorm"},
                      {"cls", "classifier.dense"},
                      {"cls.output", "classifier.out_proj"},
                      END};
TABLE inner_bert[] = {{"attn_q", "attention.self.query"},
                      {"attn_k", "attention.self.key"},
                      {"attn_v", "attention.self.value"},
                      {"attn_output", "attention.output.dense"},
                      {"attn_output_norm", "attention.output.LayerNorm"},
                      {"ffn_up", "intermediate.dense"},
                      {"ffn_down", "output.dense"},
                      {"layer_output_norm", "output.LayerNorm"},
                      END};
TABLE outer_nomic[] = {{"token_embd", "embeddings.word_embeddings"},
                       {"token_types", "embeddings.token_type_embeddings"},
                       {"token_embd_norm", "emb_ln"},
                       END};
TABLE inner_nomic[] = {{"attn_qkv", "attn.Wqkv"},      {"attn_output", "attn.out_proj"},
                       {"attn_output_norm", "norm1"},  {"ffn_up", "mlp.fc11"},
                       {"ffn_gate", "mlp.fc12"},       {"ffn_down", "mlp.fc2"},
                       {"layer_output_norm", "norm2"}, END};
TABLE outer_t5[] = {{"token_embd", "shared"},
                    {"enc.output_norm", "encoder.final_layer_norm"},
                    {"dec.output_norm", "decoder.final_layer_norm"},
                    {"output", "lm_head"},
                    END};
#define T5_SELF(side, long_side)                                                                             \
    {side "attn_norm", long_side ".block.%l.layer.0.layer_norm"},                                            \
        {side "attn_q", long_side ".block.%l.layer.0.SelfAttention.q"},                                      \
        {side "attn_k", long_side ".block.%l.layer.0.SelfAttention.k"},                                      \
        {side "attn_v", long_side ".block.%l.layer.0.SelfAttention.v"},                                      \
        {side "attn_o", long_side ".block.%l.layer.0.SelfAttention.o"},                                      \
    {                                                                                                        \
        side "attn_rel_b", long_side ".block.%l.layer.0.SelfAttention.relative_attention_bias"               \
    }
#define T5_FFN(side, long_side, n)                                                                           \
    {side "ffn_norm", long_side ".block.%l.layer." n ".layer_norm"},                                         \
        {side "ffn_gate", long_side ".block.%l.layer." n ".DenseReluDense.wi_0"},                            \
        {side "ffn_up", long_side ".block.%l.layer." n ".DenseReluDense.wi_1"},                              \
    {                                                                                                        \
        side "ffn_down", long_side ".block.%l.layer." n ".DenseReluDense.wo"                                 \
    }
#define T5_CROSS                                                                                             \
    {"dec.cross_attn_norm", "decoder.block.%l.layer.1.layer_norm"},                                          \
        {"dec.cross_attn_q", "decoder.block.%l.layer.1.EncDecAttention.q"},                                  \
        {"dec.cross_attn_k", "decoder.block.%l.layer.1.EncDecAttention.k"},                                  \
        {"dec.cross_attn_v", "decoder.block.%l.layer.1.EncDecAttention.v"},                                  \
    {                                                                                                        \
        "dec.cross_attn_o", "decoder.block.%l.layer.1.EncDecAttention.o"                                     \
    }
TABLE inner_t5_gated[] = {T5_SELF("enc.", "encoder"),     T5_FFN("enc.", "encoder", "1"),
                          T5_SELF("dec.", "decoder"),     T5_CROSS,
                          T5_FFN("dec.", "decoder", "2"), END};
/* Without a gate the one matrix is wi: it stands before the pair of the gated ones. */
TABLE inner_t5[] = {{"enc.ffn_up", "encoder.block.%l.layer.1.DenseReluDense.wi"},
                    {"dec.ffn_up", "decoder.block.%l.layer.2.DenseReluDense.wi"},
                    T5_SELF("enc.", "encoder"),
                    T5_FFN("enc.", "encoder", "1"),
                    T5_SELF("dec.", "decoder"),
                    T5_CROSS,
                    T5_FFN("dec.", "decoder", "2"),
                    END};

#define NAMES(...)                                                                                           \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

/* Where names alone do not decide, a tensor does; the first row that fits is taken. */
static const struct ech_gguf_arch archs[] = {
    {NAMES("llama"), "mixtral", "model.layers.", "blk.0.ffn_gate_inp.weight", outer_llama, inner_mixtral,
     ECH_GGUF_INTERLEAVED | ECH_GGUF_RMS, ech_gguf_config_mixtral},
    {NAMES("llama", "mistral"), "llama", "model.layers.", NULL, outer_llama, inner_llama,
     ECH_GGUF_INTERLEAVED | ECH_GGUF_RMS, ech_gguf_config_silu},
    {NAMES("smollm3"), "smollm3", "model.layers.", NULL, outer_llama, inner_llama,
     ECH_GGUF_INTERLEAVED | ECH_GGUF_RMS, ech_gguf_config_smollm3},
    {NAMES("qwen2"), "qwen2", "model.layers.", NULL, outer_llama, inner_llama,
     ECH_GGUF_RMS | ECH_GGUF_SPLIT_QKV, ech_gguf_config_silu},
    {NAMES("qwen3"), "qwen3", "model.layers.", NULL, outer_llama, inner_llama, ECH_GGUF_RMS,
     ech_gguf_config_silu},
    {NAMES("qwen2moe"), "qwen2_moe", "model.layers.", NULL, outer_llama, inner_moe, ECH_GGUF_RMS,
     ech_gguf_config_moe},
    {NAMES("qwen3moe"), "qwen3_moe", "model.layers.", NULL, outer_llama, inner_moe, ECH_GGUF_RMS,
     ech_gguf_config_moe},
    {NAMES("gemma"), "gemma", "model.layers.", NULL, outer_llama, inner_llama,
     ECH_GGUF_RMS | ECH_GGUF_PLUS_ONE, ech_gguf_config_gemma},
    {NAMES("gemma2"), "gemma2", "model.layers.", NULL, outer_llama, inner_gemma2,
     ECH_GGUF_RMS | ECH_GGUF_PLUS_ONE, ech_gguf_config_gemma},
    {NAMES("gemma3"), "gemma3_text", "model.layers.", NULL, outer_llama, inner_gemma2,
     ECH_GGUF_RMS | ECH_GGUF_PLUS_ONE, ech_gguf_config_gemma},
    {NAMES("olmo2"), "olmo2", "model.layers.", NULL, outer_llama, inner_olmo2, ECH_GGUF_RMS,
     ech_gguf_config_silu},
    {NAMES("phi3"), "phi3", "model.layers.", NULL, outer_llama, inner_phi3, ECH_GGUF_RMS,
     ech_gguf_config_silu},
    {NAMES("starcoder2"), "starcoder2", "model.layers.", NULL, outer_llama, inner_starcoder2, 0,
     ech_gguf_config_starcoder2},
    {NAMES("phi2"), "phi", "model.layers.", NULL, outer_phi, inner_phi, ECH_GGUF_SPLIT_QKV,
     ech_gguf_config_phi},
    {NAMES("gpt2"), "gpt2", "transformer.h.", NULL, outer_gpt2, inner_gpt2, ECH_GGUF_OUT_IN,
     ech_gguf_config_gpt2},
    {NAMES("gptneox"), "gpt_neox", "gpt_neox.layers.", NULL, outer_neox, inner_neox, ECH_GGUF_STACKED,
     ech_gguf_config_neox},
    {NAMES("bloom"), "bloom", "transformer.h.", NULL, outer_bloom, inner_bloom, ECH_GGUF_STACKED,
     ech_gguf_config_bloom},
    {NAMES("falcon"), "falcon", "transformer.h.", "blk.0.attn_norm_2.weight", outer_bloom, inner_falcon2,
     ECH_GGUF_STACKED, ech_gguf_config_falcon},
    {NAMES("falcon"), "falcon", "transformer.h.", NULL, outer_bloom, inner_falcon, ECH_GGUF_STACKED,
     ech_gguf_config_falcon},
    {NAMES("bert"), "bert", "encoder.layer.", NULL, outer_bert, inner_bert,
     ECH_GGUF_ENCODER | ECH_GGUF_SPLIT_QKV, ech_gguf_config_bert},
    {NAMES("nomic-bert"), "nomic_bert", "encoder.layers.", NULL, outer_nomic, inner_nomic, ECH_GGUF_ENCODER,
     ech_gguf_config_nomic},
    {NAMES("t5"), "t5", "", "enc.blk.0.ffn_gate.weight", outer_t5, inner_t5_gated, ECH_GGUF_RMS,
     ech_gguf_config_t5},
    {NAMES("t5"), "t5", "", NULL, outer_t5, inner_t5, ECH_GGUF_RMS, ech_gguf_config_t5},
};

const struct ech_gguf_arch *ech_gguf_arch_find(const struct ech_gguf *g)
{
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        if (archs[i].needs && !ech_gguf_named(&g->tensors, archs[i].needs))
            continue;
        for (const char *const *name = archs[i].names; *name; name++)
            if (strcmp(*name, g->architecture) == 0)
                return &archs[i];
    }
    return NULL;
}
