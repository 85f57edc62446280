// The names of what we write into a run's directory: whatever else lies there is somebody's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

std::string checkpoint_name(int64_t step);                        // step_00000500
std::optional<int64_t> checkpoint_step(const std::string& name);  // nothing for a name that is none of ours
bool is_checkpoint_file(const std::string& name);                 // of those that every checkpoint may have

// RUN/latest and RUN/best lead to one checkpoint each: symbolic links, or, where a file system has none, files that
// hold its name. After a copy that followed the links they may be directories.

// The step's name, "" if it leads nowhere.
std::string pointed_at(const std::string& run, const std::string& link);
// Throws Error{io} if nothing can be made there, or something of somebody else stands there.
void point_at(const std::string& run, const std::string& link, const std::string& name);
