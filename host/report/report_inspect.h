// The part of the page that shows attention maps and next-token distributions.
#pragma once
#include <string>
#include "host/base/json.h"
#include "inspect_model.h"

std::string inspection_html(const Inspection& insides);  // maps and expectations
Json inspection_data(const Inspection& insides);  // what the page's script steps through; probabilities are the maps'
