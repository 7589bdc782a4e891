// A strict JSON reader (RFC 8259) for manifests: no comments, no duplicate keys, no lone surrogates, bounded depth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoo_impl {

class Json {
 public:
  enum class Kind { null, boolean, number, text, list, object };

  // Throws Failure(ZOO_E_CORRUPT) that says what is wrong and at which byte.
  static Json parse(std::string_view text);

  Kind kind() const { return kind_; }

  // Each throws Failure(ZOO_E_CORRUPT, "<where>: expected ...") when the value is of another kind.
  const std::string& text(const std::string& where) const;
  double number(const std::string& where) const;
  uint64_t whole(const std::string& where, uint64_t largest) const;
  const std::vector<Json>& list(const std::string& where) const;
  const std::vector<std::pair<std::string, Json>>& object(const std::string& where) const;

  // The member of an object; throws when it is missing.
  const Json& at(const std::string& key, const std::string& where) const;
  const Json* find(const std::string& key) const;

  // Throws when this object has a key that is not among the known ones.
  void only(std::initializer_list<std::string_view> known, const std::string& where) const;

 private:
  friend class JsonReader;
  Kind kind_ = Kind::null;
  bool boolean_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> list_;
  std::vector<std::pair<std::string, Json>> object_;
};

}  // namespace zoo_impl
