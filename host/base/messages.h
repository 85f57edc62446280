// What the program says on stderr. Names and texts in it come from files and arguments: none of them may move a cursor,
// begin a line or fill a screen.
#pragma once
#include <string>
#include <string_view>

// On one line, valid UTF-8, control characters as \x1b or \u202e,
// and of a text that is very long its begin and its end.
std::string printable(std::string_view text);

// "warning: TEXT" on stderr. Nobody needs to be able to read it: a run goes on.
void warn(const std::string& text);

// Descriptors 0 to 2 that are closed would be given to the next files that are opened, and those written to: they
// become /dev/null. To be called first.
void open_standard_streams();
