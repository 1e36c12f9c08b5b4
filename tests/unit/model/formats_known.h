/* Written by make_known.py, not by hand. Name, rows, columns, first value, sum. */
static const struct known known_aren[] = {
    {"model.encoder.embed_tokens.weight", 51, 32, 0.191889286, -67.7098874},
    {"model.encoder.layers.0.self_attn.q_proj.weight", 32, 32, 0.0615218729, -4.51980754},
    {"model.encoder.layers.5.self_attn.v_proj.bias", 32, 0, 0.000306089409, 0.702314766},
    {"model.decoder.layers.3.encoder_attn.k_proj.weight", 32, 32, -0.173461646, -0.977033734},
    {"model.decoder.layers.3.encoder_attn.v_proj.weight", 32, 32, 0.0364762843, -1.13508947},
    {"model.decoder.layers.0.fc2.weight", 32, 128, -0.0636954531, -0.162296764},
    {"model.decoder.layer_norm.bias", 32, 0, -0.290981501, 0.43184003},
    {"lm_head.weight", 43, 32, 1.35591829, -11.6327557},
};
static const struct known known_whisper[] = {
    {"model.encoder.conv1.weight", 512, 240, 0.00426101685, 89.3043817},
    {"model.encoder.embed_positions.weight", 1500, 512, 0, 159468.281},
    {"model.encoder.layers.2.self_attn.v_proj.bias", 512, 0, 0.0975341797, -1.9805516},
    {"model.decoder.layers.1.encoder_attn.v_proj.weight", 512, 512, 0.0395507812, 0.00354629755},
    {"model.decoder.layers.5.final_layer_norm.weight", 512, 0, 2.265625, 1221.69141},
};
static const struct known known_enpt[] = {
    {"model.shared.weight", 32000, 256, 0.11701227, -18139.3595},
    {"model.encoder.layers.0.self_attn.q_proj.weight", 256, 256, -0.00430527469, 35.4754632},
    {"model.decoder.layers.1.rnn.wf.weight", 256, 256, -0.229386926, 37.6315269},
    {"model.encoder.layers.5.fc1.weight", 1536, 256, 0.0641582236, -94.8579313},
    {"model.decoder.layers.0.encoder_attn.out_proj.weight", 256, 256, 0.139296114, -8.56671105},
    {"model.decoder.layers.0.rnn_layer_norm.weight", 256, 0, 0.716290772, 297.231818},
    {"model.encoder.layers.3.fc2.bias", 256, 0, -0.722755909, -3.99266765},
    {"final_logits_bias", 1, 32000, -1.95005369, -50736.9447},
};
