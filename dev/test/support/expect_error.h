// Expects an Error of this exit code whose single line holds every one of these words.
#pragma once
#include <gtest/gtest.h>
#include <initializer_list>
#include <string>
#include "host/base/error.h"

template <class F>
void expect_error(Exit code, std::initializer_list<std::string> words, F what) {
    try {
        what();
    } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_EQ(int(error.code), int(code)) << message;
        EXPECT_EQ(message.find('\n'), message.npos) << message;
        for (const std::string& word : words)
            EXPECT_NE(message.find(word), message.npos) << message << "\n  does not say: " << word;
        return;
    }
    ADD_FAILURE() << "no error; expected one that says " << (words.size() ? *words.begin() : "");
}
