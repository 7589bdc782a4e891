#include "base/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "base/failure.hpp"

namespace zoo_impl {

// Deep enough for any manifest, shallow enough that no input exhausts the stack.
constexpr int kDeepest = 64;

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  Json whole() {
    Json value = read(0);
    space();
    if (at_ != text_.size()) fail("something follows the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Failure(ZOO_E_CORRUPT, "not valid JSON: " + what + " at byte " + std::to_string(at_));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void space() {
    while (at_ < text_.size() && (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t')) ++at_;
  }

  bool take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) fail("an unknown word");
    at_ += wanted.size();
  }

  Json read(int depth) {
    if (depth > kDeepest) fail("too many nested values");
    space();
    Json value;
    switch (peek()) {
      case '{': read_object(value, depth); break;
      case '[': read_list(value, depth); break;
      case '"':
        value.kind_ = Json::Kind::text;
        value.text_ = read_text();
        break;
      case 't':
      case 'f':
        value.kind_ = Json::Kind::boolean;
        value.boolean_ = peek() == 't';
        word(value.boolean_ ? "true" : "false");
        break;
      case 'n': word("null"); break;
      default:
        value.kind_ = Json::Kind::number;
        value.number_ = read_number();
    }
    return value;
  }

  void read_object(Json& value, int depth) {
    value.kind_ = Json::Kind::object;
    ++at_;
    space();
    if (take('}')) return;
    do {
      space();
      if (peek() != '"') fail("expected a key");
      std::string key = read_text();
      space();
      if (!take(':')) fail("expected ':'");
      value.object_.emplace_back(std::move(key), read(depth + 1));
      space();
    } while (take(','));
    if (!take('}')) fail("expected ',' or '}'");
    // Sorted once and compared with neighbours: quadratic checks would let a small file cost minutes.
    std::vector<std::string_view> keys;
    for (const auto& member : value.object_) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) fail("a key that occurs twice in the object");
  }

  void read_list(Json& value, int depth) {
    value.kind_ = Json::Kind::list;
    ++at_;
    space();
    if (take(']')) return;
    do {
      value.list_.push_back(read(depth + 1));
      space();
    } while (take(','));
    if (!take(']')) fail("expected ',' or ']'");
  }

  double read_number() {
    size_t start = at_;
    take('-');
    if (!take('0')) digits();
    if (take('.')) digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (!take('+')) take('-');
      digits();
    }
    // Not strtod, which reads "0,5" in a program that set a German locale.
    double value = 0;
    if (std::from_chars(text_.data() + start, text_.data() + at_, value).ec != std::errc{}) fail("a number out of range");
    return value;
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("expected a value");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  std::string read_text() {
    ++at_;
    std::string out;
    while (true) {
      if (at_ >= text_.size()) fail("text without an end");
      unsigned char byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        ++at_;
        return out;
      }
      if (byte < 0x20) fail("a control character in text");
      if (byte == '\\') {
        ++at_;
        escape(out);
      } else if (byte < 0x80) {
        out += static_cast<char>(byte);
        ++at_;
      } else {
        utf8(out);
      }
    }
  }

  void escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    char name = peek();
    if (size_t index = kNames.find(name); name != '\0' && index != std::string_view::npos) {
      ++at_;
      out += kMeanings[index];
      return;
    }
    if (name != 'u') fail("an unknown escape");
    uint32_t code = hex();
    if (code >= 0xDC00 && code < 0xE000) fail("half a surrogate pair");
    if (code >= 0xD800 && code < 0xDC00) {
      if (!take('\\') || peek() != 'u') fail("half a surrogate pair");
      uint32_t low = hex();
      if (low < 0xDC00 || low >= 0xE000) fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    // NUL would end the text early for a C program that prints it.
    if (code == 0) fail("NUL in text");
    append(out, code);
  }

  uint32_t hex() {
    ++at_;  // the 'u'
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      char digit = peek();
      code <<= 4;
      if (digit >= '0' && digit <= '9') code += static_cast<uint32_t>(digit - '0');
      else if (digit >= 'a' && digit <= 'f') code += static_cast<uint32_t>(digit - 'a' + 10);
      else if (digit >= 'A' && digit <= 'F') code += static_cast<uint32_t>(digit - 'A' + 10);
      else fail("an unknown escape");
    }
    return code;
  }

  // A multi-byte character as it is, if it is the shortest form of a code point that may occur.
  void utf8(std::string& out) {
    unsigned char first = static_cast<unsigned char>(text_[at_]);
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || at_ + length > text_.size()) fail("bytes that are not UTF-8");
    uint32_t code = first & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; ++i) {
      unsigned char next = static_cast<unsigned char>(text_[at_ + i]);
      if ((next & 0xC0) != 0x80) fail("bytes that are not UTF-8");
      code = code << 6 | (next & 0x3Fu);
    }
    static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail("bytes that are not UTF-8");
    out.append(text_.substr(at_, length));
    at_ += length;
  }

  static void append(std::string& out, uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | code >> 12);
      out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      out += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      out += static_cast<char>(0xF0 | code >> 18);
      out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      out += static_cast<char>(0x80 | (code & 0x3F));
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

Json Json::parse(std::string_view text) { return JsonReader(text).whole(); }

static void expect(bool good, const std::string& where, const char* what) {
  if (!good) throw Failure(ZOO_E_CORRUPT, where + ": expected " + what);
}

const std::string& Json::text(const std::string& where) const {
  expect(kind_ == Kind::text, where, "text");
  return text_;
}

double Json::number(const std::string& where) const {
  expect(kind_ == Kind::number, where, "a number");
  return number_;
}

uint64_t Json::whole(const std::string& where, uint64_t largest) const {
  double value = number(where);
  expect(value >= 0 && value == std::floor(value) && value <= static_cast<double>(largest), where,
         ("a whole number from 0 to " + std::to_string(largest)).c_str());
  return static_cast<uint64_t>(value);
}

const std::vector<Json>& Json::list(const std::string& where) const {
  expect(kind_ == Kind::list, where, "a list");
  return list_;
}

const std::vector<std::pair<std::string, Json>>& Json::object(const std::string& where) const {
  expect(kind_ == Kind::object, where, "an object");
  return object_;
}

const Json* Json::find(const std::string& key) const {
  for (const auto& member : object_)
    if (member.first == key) return &member.second;
  return nullptr;
}

const Json& Json::at(const std::string& key, const std::string& where) const {
  object(where);
  const Json* found = find(key);
  if (found == nullptr) throw Failure(ZOO_E_CORRUPT, where + ": '" + key + "' is missing");
  return *found;
}

void Json::only(std::initializer_list<std::string_view> known, const std::string& where) const {
  for (const auto& member : object(where))
    if (std::find(known.begin(), known.end(), member.first) == known.end())
      throw Failure(ZOO_E_CORRUPT, where + ": '" + member.first + "' is not known to this version");
}

}  // namespace zoo_impl
