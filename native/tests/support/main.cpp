#include <cstring>

#include "support/check.hpp"

int failures = 0;

std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

// zoo_tests [NAME]: all tests, or those whose name contains NAME.
int main(int argc, char** argv) {
  int run = 0;
  for (const Test& test : all_tests()) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
    const int before = failures;
    test.body();
    ++run;
    if (failures != before) std::fprintf(stderr, "FAILED %s\n", test.name);
  }
  std::printf("%d tests, %d checks failed\n", run, failures);
  return failures == 0 && run > 0 ? 0 : 1;
}
