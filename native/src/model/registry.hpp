// The plug-ins libzoo_backend_<name>.so: which there are, and which one runs a request.
#pragma once

#include <string>
#include <vector>

#include "zoo/backend.h"

namespace zoo_impl {

struct Candidate {
  std::string name, file;
  zoo_backend_table table{};
  int32_t score = 0;   // 0: it cannot run the request; otherwise the higher the better
  std::string reason;  // why the score is 0
};

// Every plug-in that is there, best first; those with equal scores by name.
std::vector<Candidate> candidates(const zoo_options& options, const zoo_backend_request& request);

// The plug-in to use: the one that `options` names, or else the best. Throws Failure, which says why each was rejected.
Candidate choose(const zoo_options& options, const zoo_backend_request& request);

}  // namespace zoo_impl
