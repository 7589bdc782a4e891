// A minimal test framework: TEST registers a test, CHECK prints which condition of which file and line does not hold.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

struct Test {
  const char* name;
  void (*body)();
};

std::vector<Test>& all_tests();
extern int failures;

struct Registered {
  Registered(const char* name, void (*body)()) { all_tests().push_back({name, body}); }
};

#define TEST(name)                                   \
  static void name();                                \
  static const Registered registered_##name(#name, name); \
  static void name()

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                                   \
    }                                                                               \
  } while (false)

// The work must throw a Failure of this status whose line contains `text`.
#define CHECK_FAILS(expected, text, work)                                                             \
  do {                                                                                                \
    try {                                                                                             \
      work;                                                                                           \
      std::fprintf(stderr, "%s:%d: did not fail: %s\n", __FILE__, __LINE__, #work);                   \
      ++failures;                                                                                     \
    } catch (const zoo_impl::Failure& failure) {                                                      \
      if (failure.status != (expected) || std::string(failure.what()).find(text) == std::string::npos) { \
        std::fprintf(stderr, "%s:%d: failed with %s: %s\n", __FILE__, __LINE__,                       \
                     zoo_status_name(failure.status), failure.what());                                \
        ++failures;                                                                                   \
      }                                                                                               \
    }                                                                                                 \
  } while (false)
