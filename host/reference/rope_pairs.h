// Which channels of a head RoPE rotates together, and how Llama 3 stretches its frequencies.
#pragma once

enum class RopePairs { half, interleaved };  // (i, i + HS/2) as Hugging Face, (2i, 2i+1) as Meta and CS336

// Llama-3's stretching of the low RoPE frequencies; factor 1 = none.
struct RopeScaling {
    float factor = 1, low_frequency = 1, high_frequency = 4;
    int original_context = 8192;
};
