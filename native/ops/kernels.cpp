#include "ops/kernels.hpp"

#include "base/cpu.hpp"
#include "ops/scalar/kernels_scalar.hpp"
#if ZOO_X86
#include "ops/avx2/kernels_avx2.hpp"
#endif

namespace zoo_ops {
namespace {

constexpr Kernels kScalar = {"scalar",        make_winograd_f43_scalar, make_depthwise_scalar, make_im2col_gemm_scalar,
                             max_pool_scalar, mean_scalar,              levels_scalar};
#if ZOO_X86
constexpr Kernels kAvx2 = {"avx2",        make_winograd_f43_avx2, make_depthwise_avx2, make_im2col_gemm_avx2,
                           max_pool_avx2, mean_avx2,              levels_avx2};
#endif

std::vector<const Kernels*> find_usable() {
  std::vector<const Kernels*> found = {&kScalar};
#if ZOO_X86
  if (zoo_impl::cpu().avx2 && zoo_impl::cpu().fma) found.push_back(&kAvx2);
#endif
  return found;
}

}  // namespace

std::unique_ptr<Convolution> Kernels::make_convolution(const Layer& layer) const {
  if (layer.depthwise) return make_depthwise(layer);
  std::unique_ptr<Convolution> winograd = make_winograd_f43(layer);
  return winograd != nullptr ? std::move(winograd) : make_im2col_gemm(layer);
}

const std::vector<const Kernels*>& usable_kernels() {
  static const std::vector<const Kernels*> once = find_usable();
  return once;
}

}  // namespace zoo_ops
