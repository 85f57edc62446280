// `train_gpt report RUN`: a run as one page of HTML that needs nothing else: no network, no library.
#pragma once
#include <optional>
#include "inspect_model.h"
#include "story.h"

// What the model does inside, or why that is not shown.
struct Insides {
    std::optional<Inspection> seen;
    std::string missing;
};
// Of the text (of no text: of the run's last sample) in the run's checkpoint. Throws Error{input} if that is damaged.
Insides insides_of(const std::string& run, const Story& story, const std::optional<std::string>& text);

// A page of a run that goes on loads itself again.
struct Reload {
    int seconds = 0;      // 0: it does not
    int64_t written = 0;  // when, in seconds since 1970: a page that nobody rewrites any more says so
};
std::string report_page(const Story& story, const Insides& insides, const Reload& reload = {});

std::string report_path(const Options& options);  // --out, or the run's report.html
void write_report(const Options& options);
