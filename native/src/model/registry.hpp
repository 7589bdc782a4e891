// Plug-ins: found in folders, loaded once, asked for their score.
#pragma once

#include <string>
#include <vector>

#include "zoo/backend.h"

namespace zoo_impl {

struct Candidate {
  std::string name, file;
  zoo_backend_table table{};
  int32_t score = 0;
  std::string reason;  // why the score is 0
};

// Every plug-in that is found, best first; equal scores by name.
std::vector<Candidate> candidates(const zoo_options& options, const zoo_backend_request& request);

// The one to use: the one that `options` names or the best. Throws Failure that says why each was rejected.
Candidate choose(const zoo_options& options, const zoo_backend_request& request);

}  // namespace zoo_impl
