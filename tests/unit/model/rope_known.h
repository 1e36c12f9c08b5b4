/* Written by make_rope.py, not by hand: frequencies that transformers gives heads of 16 elements. */
enum { KNOWN_DIM = 16 };
static const struct {
    const char *name, *config, *older;
    int64_t context, length;
    double scale, frequency[KNOWN_DIM / 2];
} known_rope[] = {
    {"plain",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": "
     "10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128}",
     128,
     10,
     1,
     {1, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005,
      0.000316227786}},
    {"large base",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": "
     "1000000.0}}",
     "{\"rope_theta\": 1000000.0, \"max_position_embeddings\": 128}",
     128,
     10,
     1,
     {1, 0.177827939, 0.0316227786, 0.00562341325, 0.00100000005, 0.00017782794, 3.16227743e-05,
      5.62341347e-06}},
    {"linear",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4.0, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128, \"rope_scaling\": {\"factor\": 4.0, "
     "\"type\": \"linear\"}}",
     128,
     10,
     1,
     {0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"linear",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4.0, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128, \"rope_scaling\": {\"factor\": 4.0, "
     "\"type\": \"linear\"}}",
     128,
     200,
     1,
     {0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"dynamic",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 2.0, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128, \"rope_scaling\": {\"factor\": 2.0, "
     "\"type\": \"dynamic\"}}",
     128,
     10,
     1,
     {1, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005,
      0.000316227786}},
    {"dynamic",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 2.0, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128, \"rope_scaling\": {\"factor\": 2.0, "
     "\"type\": \"dynamic\"}}",
     128,
     128,
     1,
     {1, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005,
      0.000316227786}},
    {"dynamic",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 2.0, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128, \"rope_scaling\": {\"factor\": 2.0, "
     "\"type\": \"dynamic\"}}",
     128,
     129,
     1,
     {1, 0.315528125, 0.0995580107, 0.0314133503, 0.00991179608, 0.00312745059, 0.000986798666,
      0.000311362732}},
    {"dynamic",
     "{\"max_position_embeddings\": 128, \"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 2.0, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 128, \"rope_scaling\": {\"factor\": 2.0, "
     "\"type\": \"dynamic\"}}",
     128,
     1000,
     1,
     {1, 0.215554819, 0.046463877, 0.0100155128, 0.00215889211, 0.000465359568, 0.000100310499,
      2.16224125e-05}},
    {"llama3",
     "{\"max_position_embeddings\": 8192, \"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8.0, "
     "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 1024, "
     "\"rope_theta\": 500000.0}}",
     "{\"rope_theta\": 500000.0, \"max_position_embeddings\": 8192, \"rope_scaling\": {\"factor\": 8.0, "
     "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 1024, "
     "\"type\": \"llama3\"}}",
     8192,
     10,
     1,
     {1, 0.193922758, 0.0376060307, 0.00131256948, 0.000176776681, 3.42810235e-05, 6.64786967e-06,
      1.28917316e-06}},
    {"llama3, other bands",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 32.0, "
     "\"low_freq_factor\": 2.0, \"high_freq_factor\": 8.0, \"original_max_position_embeddings\": 64, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"rope_scaling\": {\"factor\": 32.0, "
     "\"low_freq_factor\": 2.0, \"high_freq_factor\": 8.0, \"original_max_position_embeddings\": 64, "
     "\"type\": \"llama3\"}}",
     512,
     10,
     1,
     {1, 0.0722270086, 0.00312500005, 0.000988211832, 0.000312499993, 9.88211832e-05, 3.12500015e-05,
      9.88211832e-06}},
    {"yarn",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"original_max_position_embeddings\": 128, \"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"rope_scaling\": {\"factor\": 4.0, "
     "\"original_max_position_embeddings\": 128, \"type\": \"yarn\"}}",
     512,
     10,
     1.13862944,
     {1, 0.237170815, 0.049999997, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"yarn, own factor",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"original_max_position_embeddings\": 128, \"attention_factor\": 1.25, \"beta_fast\": 16.0, "
     "\"beta_slow\": 2.0, \"rope_theta\": 1000000.0}}",
     "{\"rope_theta\": 1000000.0, \"max_position_embeddings\": 512, \"rope_scaling\": {\"factor\": 4.0, "
     "\"original_max_position_embeddings\": 128, \"attention_factor\": 1.25, \"beta_fast\": 16.0, "
     "\"beta_slow\": 2.0, \"type\": \"yarn\"}}",
     512,
     10,
     1.25,
     {1, 0.111142464, 0.00790569466, 0.00140585331, 0.000250000012, 4.44569851e-05, 7.90569356e-06,
      1.40585337e-06}},
    {"yarn, mscale",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"original_max_position_embeddings\": 128, \"mscale\": 0.707, \"mscale_all_dim\": 1.0, \"rope_theta\": "
     "10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"rope_scaling\": {\"factor\": 4.0, "
     "\"original_max_position_embeddings\": 128, \"mscale\": 0.707, \"mscale_all_dim\": 1.0, \"type\": "
     "\"yarn\"}}",
     512,
     10,
     0.964326915,
     {1, 0.237170815, 0.049999997, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"yarn, not truncated",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"truncate\": false, \"original_max_position_embeddings\": 128, \"rope_theta\": 150000.0}}",
     "{\"rope_theta\": 150000.0, \"max_position_embeddings\": 512, \"rope_scaling\": {\"factor\": 4.0, "
     "\"truncate\": false, \"original_max_position_embeddings\": 128, \"type\": \"yarn\"}}",
     512,
     10,
     1.13862944,
     {1, 0.141855359, 0.0131402258, 0.00286355661, 0.000645497232, 0.000145506696, 3.27998277e-05,
      7.39367169e-06}},
    {"longrope",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"longrope\", "
     "\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": [1.05, 1.2, 2.0, 4.0, "
     "7.5, 11.0, 19.0, 30.0], \"original_max_position_embeddings\": 128, \"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"original_max_position_embeddings\": 128, "
     "\"rope_scaling\": {\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": "
     "[1.05, 1.2, 2.0, 4.0, 7.5, 11.0, 19.0, 30.0], \"type\": \"su\"}}",
     512,
     10,
     1.13389342,
     {1, 0.310027212, 0.0909090936, 0.0243252143, 0.00588235306, 0.00158113893, 0.00039999999,
      0.000102008962}},
    {"longrope",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"longrope\", "
     "\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": [1.05, 1.2, 2.0, 4.0, "
     "7.5, 11.0, 19.0, 30.0], \"original_max_position_embeddings\": 128, \"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"original_max_position_embeddings\": 128, "
     "\"rope_scaling\": {\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": "
     "[1.05, 1.2, 2.0, 4.0, 7.5, 11.0, 19.0, 30.0], \"type\": \"su\"}}",
     512,
     128,
     1.13389342,
     {1, 0.310027212, 0.0909090936, 0.0243252143, 0.00588235306, 0.00158113893, 0.00039999999,
      0.000102008962}},
    {"longrope",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"longrope\", "
     "\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": [1.05, 1.2, 2.0, 4.0, "
     "7.5, 11.0, 19.0, 30.0], \"original_max_position_embeddings\": 128, \"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"original_max_position_embeddings\": 128, "
     "\"rope_scaling\": {\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": "
     "[1.05, 1.2, 2.0, 4.0, 7.5, 11.0, 19.0, 30.0], \"type\": \"su\"}}",
     512,
     129,
     1.13389342,
     {0.952381015, 0.263523132, 0.0500000007, 0.00790569466, 0.00133333332, 0.000287479779, 5.2631578e-05,
      1.05409254e-05}},
    {"longrope, own factor",
     "{\"max_position_embeddings\": 512, \"rope_parameters\": {\"rope_type\": \"longrope\", "
     "\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": [1.05, 1.2, 2.0, 4.0, "
     "7.5, 11.0, 19.0, 30.0], \"attention_factor\": 1.5, \"original_max_position_embeddings\": 128, "
     "\"rope_theta\": 10000.0}}",
     "{\"rope_theta\": 10000.0, \"max_position_embeddings\": 512, \"original_max_position_embeddings\": 128, "
     "\"rope_scaling\": {\"short_factor\": [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], \"long_factor\": "
     "[1.05, 1.2, 2.0, 4.0, 7.5, 11.0, 19.0, 30.0], \"attention_factor\": 1.5, \"type\": \"su\"}}",
     512,
     10,
     1.5,
     {1, 0.310027212, 0.0909090936, 0.0243252143, 0.00588235306, 0.00158113893, 0.00039999999,
      0.000102008962}},
};
