// classify BUNDLE PICTURE...: as classify.c, with one thread for each core; all of them share one model.
#include <zoo/zoo.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <thread>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: " << argv[0] << " BUNDLE PICTURE...\n";
    return 2;
  }
  zoo::Options options;
  options.threads = 1;  // the pictures are shared out between threads, not the work on one picture
  zoo::Result<zoo::Model> model = zoo::load(argv[1], options);
  if (!model) {
    std::cerr << model.error().text << '\n';
    return 2;
  }

  const std::vector<std::string> paths(argv + 2, argv + argc);
  std::vector<std::string> lines(paths.size());
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    for (size_t i = next++; i < paths.size(); i = next++) {
      zoo::Result<zoo::Prediction> answer = model->predict(paths[i]);
      if (!answer) {
        lines[i] = answer.error().text;
        failed = true;
        continue;
      }
      char text[64];
      for (const zoo::Ranked& best : answer->top(3)) {
        std::snprintf(text, sizeof text, " %.4f", static_cast<double>(best.score));
        lines[i] += (lines[i].empty() ? "" : ", ") + best.label + text;
      }
      for (const zoo::Point& point : answer->points) {
        std::snprintf(text, sizeof text, " (%.1f, %.1f)", static_cast<double>(point.x), static_cast<double>(point.y));
        lines[i] += (lines[i].empty() ? "" : ", ") + point.name + text;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < paths.size(); ++i) std::cout << paths[i] << ": " << lines[i] << '\n';
  return failed ? 2 : 0;
}
