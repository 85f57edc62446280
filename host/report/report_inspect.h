// The part of the page that shows attention maps and next-token distributions.
#pragma once
#include <string>
#include "inspect_model.h"

std::string inspection_html(const Inspection& insides);  // maps and expectations
