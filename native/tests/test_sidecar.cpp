// Built engines: which ones fit this machine, and that no others are loaded.
#include <sys/stat.h>

#include "backends/sidecar.hpp"
#include "support/bundles.hpp"
#include "support/check.hpp"
#include "base/failure.hpp"
#include "base/sha256.hpp"

using namespace zoo_backend;

namespace {

const Processor kGpu{"NVIDIA H200", "9.0", "13.0"};
const char* const kTensorRt = "11.4.0.106";
const std::string kGraph = "the graph", kPlan = "the plan";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  CHECK(at != std::string::npos);
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

// As zoo/bundle/sidecar.py writes it.
std::string sidecar_text() {
  return R"({"schema": "zoo.engine/1", "backend": "tensorrt", "precision": "fp16", "device": "cuda",
    "graph": {"sha256": ")" + zoo_impl::sha256(kGraph.data(), kGraph.size()) + R"(", "bytes": 9,
              "name": "model.fp16.onnx"},
    "artefact": {"sha256": ")" + zoo_impl::sha256(kPlan.data(), kPlan.size()) + R"(", "bytes": 8,
                 "name": "engine.plan"},
    "library": "11.4.0.106", "processor": {"name": "NVIDIA H200", "kind": "9.0", "driver": "13.0"},
    "batch": [1, 8, 32],
    "settings": {"flags": ["X"], "tf32": false, "hardware_compatibility": "NONE", "optimization_level": 3},
    "proof": {"share": 1.0}, "selftest": {"difference": 0.001, "tolerance": 0.02}})";
}

// A bundle's folder with one engine.
struct BuiltBundle {
  BuiltBundle() {
    mkdir((folder.path() + "/engines").c_str(), 0700);
    mkdir((folder.path() + "/engines/" + key).c_str(), 0700);
    mkdir((folder.path() + "/engines/.tensorrt-fp16.lock").c_str(), 0700);
    write(sidecar_text());
    folder.write("engines/" + key + "/engine.plan", kPlan);
  }
  ~BuiltBundle() {
    for (const char* file : {"sidecar.json", "engine.plan"})
      std::remove((folder.path() + "/engines/" + key + "/" + file).c_str());
    for (const std::string& name : {"engines/" + key, std::string("engines/.tensorrt-fp16.lock"), std::string("engines")})
      std::remove((folder.path() + "/" + name).c_str());
  }
  void write(const std::string& text) { folder.write("engines/" + key + "/sidecar.json", text); }
  Built find(const std::string& precision = "fp16", const std::string& graph = kGraph) {
    return find_built(folder.path() + "/model.fp16.onnx", zoo_impl::sha256(graph.data(), graph.size()), "tensorrt",
                      precision, "cuda", [](const Sidecar& about) { return stale(about, kGpu, kTensorRt); });
  }

  const std::string key = "tensorrt-fp16-nvidia-h200-11.4.0.106";
  Folder folder;
};

}  // namespace

TEST(an_engine_that_fits_is_found_and_its_file_checked) {
  BuiltBundle bundle;
  const Built built = bundle.find();
  CHECK(built.about.batch[0] == 1 && built.about.batch[2] == 32 && built.about.has("X"));
  const zoo_impl::Bytes plan = artefact(built);
  CHECK(std::string(plan.begin(), plan.end()) == kPlan);
  for (size_t at = 0; at < kPlan.size(); ++at) {
    std::string broken = kPlan;
    broken[at] = static_cast<char>(broken[at] ^ 1);
    bundle.folder.write("engines/" + bundle.key + "/engine.plan", broken);
    CHECK_FAILS(ZOO_E_HASH, "engine.plan is not the file that was built", artefact(built));
  }
}

TEST(engines_of_other_graphs_and_machines_are_not_used) {
  BuiltBundle bundle;
  CHECK_FAILS(ZOO_E_NOT_FOUND, "is stale: it was built from another model.fp16.onnx", bundle.find("fp16", "changed"));
  CHECK_FAILS(ZOO_E_NOT_FOUND, "no tensorrt engine of model.fp16.onnx for cuda is built: zoo build", bundle.find("fp32"));
  bundle.write(replaced(sidecar_text(), "\"NVIDIA H200\"", "\"NVIDIA L4\""));
  CHECK_FAILS(ZOO_E_NOT_FOUND, "it was built for NVIDIA L4 (compute capability 9.0), here is NVIDIA H200 (9.0)",
              bundle.find());
  bundle.write("{");
  CHECK_FAILS(ZOO_E_NOT_FOUND, "sidecar.json", bundle.find());
}

TEST(a_plan_fits_by_the_rules_of_python) {
  const auto why = [](const std::string& text) { return stale(Sidecar::parse(text), kGpu, kTensorRt); };
  const std::string whole = sidecar_text();
  CHECK(why(whole).empty());
  CHECK(why(replaced(whole, "11.4.0.106", "11.3.0.1")) == "it was built by TensorRT 11.3.0.1, here is 11.4.0.106");
  const std::string moves = replaced(whole, "\"X\"", "\"VERSION_COMPATIBLE\"");
  CHECK(why(replaced(moves, "11.4.0.106", "11.3.0.1")).empty());
  CHECK(why(replaced(moves, "11.4.0.106", "11.10.0.1")) ==
        "it was built by TensorRT 11.10.0.1, and 11.4.0.106 is older");
  CHECK(why(replaced(whole, "\"9.0\"", "\"8.9\"")).find("it was built for NVIDIA H200 (compute capability 8.9)") == 0);
  const std::string anywhere = replaced(replaced(whole, "\"NONE\"", "\"AMPERE_PLUS\""), "\"9.0\"", "\"8.9\"");
  CHECK(why(anywhere).empty());
  CHECK(stale(Sidecar::parse(anywhere), {"NVIDIA T4", "7.5", "13.0"}, kTensorRt) ==
        "it needs compute capability 8.0, the NVIDIA T4 has 7.5");
  CHECK(why(replaced(whole, "\"13.0\"", "\"13.1\"")) ==
        "it was built with a driver for CUDA 13.1, the one here is older: 13.0");
}

TEST(sidecars_are_read_strictly) {
  const std::string whole = sidecar_text();
  CHECK_FAILS(ZOO_E_VERSION, "zoo.engine/2", Sidecar::parse(replaced(whole, "zoo.engine/1", "zoo.engine/2")));
  CHECK_FAILS(ZOO_E_CORRUPT, "extra", Sidecar::parse(replaced(whole, "\"proof\"", "\"extra\": 1, \"proof\"")));
  CHECK_FAILS(ZOO_E_CORRUPT, "artefact.name", Sidecar::parse(replaced(whole, "engine.plan", "../engine.plan")));
  CHECK_FAILS(ZOO_E_CORRUPT, "artefact.name", Sidecar::parse(replaced(whole, "engine.plan", "..")));
  CHECK_FAILS(ZOO_E_CORRUPT, "batch", Sidecar::parse(replaced(whole, "[1, 8, 32]", "[1, 8]")));
  CHECK_FAILS(ZOO_E_CORRUPT, "driver", Sidecar::parse(replaced(whole, ", \"driver\": \"13.0\"", "")));
}
