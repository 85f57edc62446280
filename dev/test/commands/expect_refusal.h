// What the command line says to a user who got it wrong.
#pragma once
#include <gtest/gtest.h>

#include "dev/test/support/text_search.h"
#include "host/base/error.h"
#include "host/options/options_parse.h"

using Args = std::vector<std::string>;

// The lines of what is wrong with a command line; empty if nothing is.
inline Args refusals(const Args& args) {
    try {
        parse(args);
        return {};
    } catch (const Error& e) {
        EXPECT_EQ(e.code, Exit::usage);
        return e.lines;
    }
}

inline std::string words(const Args& args) {
    std::string all = "train_gpt";
    for (const std::string& a : args) all += " '" + a + "'";
    return all;
}

// One line, and it holds every one of the parts.
inline void expect_refusal(const Args& args, const Args& parts) {
    const Args lines = refusals(args);
    ASSERT_EQ(lines.size(), 1u) << words(args) << (lines.empty() ? "" : ": " + lines[0]);
    EXPECT_FALSE(has(lines[0], "\n"));
    for (const std::string& part : parts)
        EXPECT_TRUE(has(lines[0], part)) << words(args) << ": " << lines[0] << "\nlacks " << part;
}
