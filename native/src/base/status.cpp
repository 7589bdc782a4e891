// The functions of zoo.h that need nothing but numbers: versions and the names of statuses.
#include "zoo/zoo.h"

extern "C" {

uint32_t zoo_abi_version(void) { return ZOO_ABI_VERSION; }

const char* zoo_version(void) { return ZOO_RELEASE; }

const char* zoo_status_name(zoo_status status) {
  static const char* const kNames[] = {"ZOO_OK",        "ZOO_E_ARGUMENT", "ZOO_E_NOT_FOUND", "ZOO_E_CORRUPT",
                                       "ZOO_E_HASH",    "ZOO_E_VERSION",  "ZOO_E_BACKEND",   "ZOO_E_DEVICE",
                                       "ZOO_E_SHAPE",   "ZOO_E_SELFTEST", "ZOO_E_MEMORY",    "ZOO_E_BUSY",
                                       "ZOO_E_FORMAT",  "ZOO_E_INTERNAL"};
  const unsigned index = static_cast<unsigned>(status);
  return index < sizeof kNames / sizeof *kNames ? kNames[index] : "unknown status";
}

}  // extern "C"
