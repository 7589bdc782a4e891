// A plug-in for a version of libzoo that does not exist: it refuses every host.
#include "zoo/backend.h"

extern "C" ZOO_API zoo_status zoo_backend_entry(uint32_t, zoo_backend_table*) { return ZOO_E_VERSION; }
