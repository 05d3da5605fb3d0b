"""Keys of config.json for which one value is implemented, and keys without effect (inert)."""


def _keys(words: str) -> frozenset[str]:
    return frozenset(words.split())


FIXED_LANGUAGE = {
    "mlp_hidden_act": "relu2",
    "mamba_hidden_act": "silu",
    "norm_topk_prob": True,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "moe_latent_size": None,
    "num_nextn_predict_layers": 0,
    "sliding_window": None,
    "use_conv_bias": True,
    "use_bias": False,
    "mlp_bias": False,
    "attention_bias": False,
    "mamba_proj_bias": False,
    "tie_word_embeddings": False,
    "residual_in_fp32": False,
    "mamba_ssm_cache_dtype": "float32",
}

FIXED_VISION = {
    "separate_video_embedder": True,
    "video_maintain_aspect_ratio": True,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "num_channels": 3,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
}

FIXED_SOUND = {
    "hidden_act": "silu",
    "attention_bias": False,
    "convolution_bias": False,
    "projection_bias": False,
    "scale_input": False,
    "subsampling_factor": 8,
    "subsampling_conv_kernel_size": 3,
    "subsampling_conv_stride": 2,
    "sampling_rate": 16000,
}

# transformers writes these to every config; none of them changes a result.
INERT_GENERIC = _keys(
    "transformers_version architectures output_hidden_states return_dict dtype torch_dtype "
    "chunk_size_feed_forward is_encoder_decoder id2label label2id problem_type _name_or_path model_type "
    "output_attentions use_cache pad_token_id bos_token_id eos_token_id initializer_range auto_map"
)
# Initialisation, dropout, the choice of kernels, and keys of related models.
INERT_LANGUAGE = _keys(
    "expand time_step_min time_step_max time_step_floor intermediate_size attention_dropout hidden_dropout "
    "num_logits_to_keep use_mamba_kernels output_router_logits moe_shared_expert_overlap "
    "mtp_layers_block_type mtp_hybrid_override_pattern rescale_prenorm_residual rope_theta "
    "partial_rotary_factor rope_scaling rope_parameters"
)
# Dropout, heads that are not stored, and normalisation, which is read from the top level.
INERT_VISION = _keys(
    "preferred_resolution version adaptor_names adaptor_configs vitdet_window_size max_resolution "
    "initializer_factor image_size attention_probs_dropout_prob hidden_dropout_prob drop_path_rate "
    "feature_normalizer_config inter_feature_normalizer_config summary_idxs norm_mean norm_std "
    "patch_dim video_patch_dim"
)
# Dropout, limits that are never reached, and a number of mel bins that is not the one in use.
INERT_SOUND = _keys(
    "dropout dropout_positions layerdrop activation_dropout attention_dropout max_position_embeddings "
    "feat_in num_key_value_heads"
)
INERT_TOP = INERT_GENERIC | _keys(
    "force_image_size image_tag_type use_thumbnail template select_layer dynamic_image_size "
    "max_dynamic_patch min_dynamic_patch "
    "img_context_token img_start_token img_end_token video_context_token "
    "video_context_token_id video_token_id sound_context_token "
    "quantization_config"
)
