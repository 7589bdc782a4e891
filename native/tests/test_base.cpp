// What the rest stands on: hashes and JSON.
#include "base/failure.hpp"
#include "base/json.hpp"
#include "base/sha256.hpp"
#include "base/text.hpp"
#include "support/check.hpp"

using namespace zoo_impl;

TEST(sha256_gives_the_published_digests) {
  CHECK(sha256("", 0) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc", 3) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1000000, 'a');
  CHECK(sha256(million.data(), million.size()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(json_reads_what_is_json) {
  const Json json = Json::parse(" {\"a\": [1, -0.5e2, true, false, null, \"\\u00e9\\ud83d\\ude00\\n\"], \"b\": {}} ");
  const std::vector<Json>& list = json.at("a", "x").list("x");
  CHECK(list.size() == 6);
  CHECK(list[0].whole("x", 10) == 1);
  CHECK(list[1].number("x") == -50);
  CHECK(list[5].text("x") == "\xc3\xa9\xf0\x9f\x98\x80\n");
}

TEST(json_refuses_what_is_not) {
  for (const char* text :
       {"", "{", "[1,]", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{'a':1}", "[01]", "[1.]", "[.5]", "[+1]", "[1e]", "[NaN]",
        "[Infinity]", "[1e999]", "[tru]", "\"\t\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u0000\"",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"open", "[1] 2", "// x\n[1]"})
    CHECK_FAILS(ZOO_E_CORRUPT, "JSON", Json::parse(text));
  CHECK_FAILS(ZOO_E_CORRUPT, "twice", Json::parse("{\"a\": 1, \"b\": 2, \"a\": 3}"));
  CHECK_FAILS(ZOO_E_CORRUPT, "nested", Json::parse(std::string(100000, '[')));
}

TEST(text_is_split_and_joined) {
  CHECK((split("a:b", ':') == std::vector<std::string>{"a", "b"}));
  CHECK((split(":a::", ':') == std::vector<std::string>{"", "a", "", ""}));
  CHECK((split("", ':') == std::vector<std::string>{""}));
  CHECK(joined({"a", "b", "c"}, ", ") == "a, b, c" && joined({}, ", ").empty());
}
