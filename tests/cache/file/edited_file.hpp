#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/detail/contents.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"

namespace kvtransfer::test {

/// A cache file taken apart, to be put together wrongly.
struct edited_file {
  nlohmann::json header;
  nlohmann::ordered_json frame;  // what its `kvtransfer.frame` says
  std::string data;

  /// The file of a sample cache. Without checksums, so that damage is found by what it damages.
  static edited_file of(const cache_frame& frame = sample_frame(), file_checksums checksums = file_checksums::none) {
    const temporary_folder folder;
    const auto path = folder.path() / "cache";
    save_cache(path, sample_cache(frame), checksums);
    return opened(path);
  }

  /// A file that is there already.
  static edited_file opened(const std::filesystem::path& path) {
    const std::string bytes = read_text(path);
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    edited_file file;
    file.header = nlohmann::json::parse(bytes.substr(sizeof length, length));
    file.frame = nlohmann::ordered_json::parse(file.header["__metadata__"]["kvtransfer.frame"].get<std::string>());
    file.data = bytes.substr(sizeof length + length);
    return file;
  }

  nlohmann::json& metadata() { return header["__metadata__"]; }

  /// Overwrites element `index` of a tensor.
  template <class Scalar>
  void set(const std::string& tensor, std::size_t index, Scalar value) {
    const auto begin = header[tensor]["data_offsets"][0].get<std::size_t>();
    std::memcpy(data.data() + begin + index * sizeof value, &value, sizeof value);
  }

  /// The file's bytes, with `frame` as it is now unless its entry was taken out.
  std::string bytes() const {
    nlohmann::json written = header;
    if (written["__metadata__"].contains("kvtransfer.frame")) {
      written["__metadata__"]["kvtransfer.frame"] = frame.dump();
    }
    const std::string text = written.dump();
    const std::uint64_t length = text.size();
    std::string all(sizeof length, '\0');
    std::memcpy(all.data(), &length, sizeof length);
    return all + text + data;
  }

  /// What reading the file complains of; empty where it does not.
  std::string complaint() const {
    const std::string all = bytes();
    return message_of<file_error>([&] { detail::read_cache_contents(std::as_bytes(std::span(all)), "FILE"); });
  }
};

}  // namespace kvtransfer::test
