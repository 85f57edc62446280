// A plan as tables for people. Lines that do not begin with a blank are headings.
#pragma once
#include <cstdint>
#include <string>
#include "plan.h"

std::string plan_text(const std::string& name, const Plan& plan);
std::string family_text(const std::string& name, const Plan& plan);  // of a preset: its relatives; else ""
std::string remedies_text(const Plan& plan, uint64_t bytes);

std::string bytes_text(uint64_t bytes);  // 8.51 GB: three digits, decimal units
