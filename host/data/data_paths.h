// The files that --data and --val name.
#pragma once
#include <string>
#include <vector>

bool is_shard(const std::string& path);  // by its name: it holds tokens and ends with .bin

// The files a path stands for: itself if it exists, else, taken as a pattern, those it matches, sorted. Throws Error
// naming the flag where none does.
std::vector<std::string> expand_path(const std::string& flag, const std::string& path);
// Of all the patterns. A file that is named twice, by a link or as ./FILE too, is there once,
// and `warnings` get a line.
std::vector<std::string> expand_paths(const std::string& flag, const std::vector<std::string>& patterns,
                                      std::vector<std::string>& warnings);
std::vector<std::string> expand_paths(const std::string& flag, const std::vector<std::string>& patterns);  // says them
