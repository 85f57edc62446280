// The tokenizers and answers of dev/oracle/tokenizing.json, which tokenizers and tiktoken made.
#pragma once
#include <gtest/gtest.h>
#include <string>
#include <vector>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/tokenizer.h"

inline const nlohmann::json& tokenizing_goldens() {
    static const nlohmann::json all = nlohmann::json::parse(files::read_file("dev/oracle/tokenizing.json", 1 << 20));
    return all;
}

inline const nlohmann::json& golden_case(const std::string& name) {
    for (const auto& row : tokenizing_goldens()["cases"])
        if (row["name"] == name) return row;
    throw Error(Exit::internal, name, "no such golden", "run dev/oracle again");
}

// Random text of every kind of piece there is, and of marks, half characters excepted.
std::string hostile_text(uint64_t seed, int pieces);
