// libFuzzer harness for all of a cache file that is read before torch sees it: header, frame, checksums, positions, and
// what a quantized one says of its codes.
// (CMakeLists.txt says how to build and run it.) A hostile file may be refused with a file_error, and with
// nothing else; one that is accepted must say the same once more after it is written anew.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "insist.hpp"
#include "kvtransfer/cache/file/detail/code_tensors.hpp"
#include "kvtransfer/cache/file/detail/contents.hpp"
#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "kvtransfer/cache/file/detail/quantized_contents.hpp"
#include "kvtransfer/cache/file/detail/quantized_json.hpp"

namespace {

using namespace kvtransfer;
using namespace kvtransfer::detail;
using kvtransfer::fuzz::insist;
using kvtransfer::fuzz::insist_one_line;

/// Positions are the same after they are spread out and put together again.
void rebuild(const layer_frame& frame) {
  const slot_tensors slots = spread_out(frame.positions);
  const slot_reader reader(slots.shape, std::as_bytes(std::span(slots.positions)),
                           std::as_bytes(std::span(slots.states)), frame.specifications.size());
  insist(reader.read("fuzz", "positions", "states") == frame.positions);
}

/// A whole file: the frame accepted is one that can be written, and its layers lie within the file.
void read_file(std::span<const std::byte> bytes) {
  const cache_contents contents = read_cache_contents(bytes, "fuzz");
  const distinct_frames distinct(contents.stored);
  const frame_record record =
      record_of(contents.stored, distinct, contents.checksums ? file_checksums::crc32 : file_checksums::none);
  insist(parse_frame(format_frame(record), "fuzz") == record);
  insist(frame_tensors(contents.stored, distinct).size() <= contents.header.tensors.size());
  for (const cache_frame::shared_layer& frame : distinct.frames) {
    frame->validate();
    rebuild(*frame);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(contents.stored.layers()); ++i) {
    const safetensors_entry& keys = contents.header.tensors.at(cache_format::key(i));
    insist(keys.end <= bytes.size() - contents.header.data_begin);
    insist(keys.shape.at(2) == contents.stored.layer(static_cast<std::int64_t>(i)).size());
  }
}

/// The file of a quantized cache, likewise, in both of its frames.
void read_quantized_file(std::span<const std::byte> bytes) {
  const quantized_contents contents = read_quantized_contents(bytes, "fuzz");
  distinct_frames distinct(contents.stored);
  quantized_record record = contents.codes;
  record.wanted = distinct.add(contents.target);
  insist(parse_quantized(format_quantized(record), distinct.frames.size(), "fuzz") == record);
  for (const cache_frame::shared_layer& frame : distinct.frames) {
    frame->validate();
    rebuild(*frame);
  }
  for (std::size_t i = 0; i < record.layers.size(); ++i) {
    const position_map& written = contents.stored.layer(static_cast<std::int64_t>(i)).positions;
    insist(written.has_keys_of(contents.target.layer(static_cast<std::int64_t>(i)).positions));
    const auto kv_heads_of = [&](const std::string& prefix, const code_record& codes) {
      const std::vector<code_tensor> tensors = code_tensors(prefix, codes);
      for (const code_tensor& each : tensors) {
        insist(contents.header.tensors.at(each.name).end <= bytes.size() - contents.header.data_begin);
      }
      insist(codes.groups.size() == (codes.scheme.is_per_channel() ? written.size() : 0));
      return contents.header.tensors.at(tensors.front().name).shape.at(1);
    };
    insist(kv_heads_of(cache_format::key(i), record.layers[i].keys) ==
           kv_heads_of(cache_format::value(i), record.layers[i].values));
  }
}

/// The JSON of codes, without a file around it to get past.
void read_codes_record(std::span<const std::byte> bytes) {
  constexpr std::size_t frames = 3;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const quantized_record record = parse_quantized(text, frames, "fuzz");
  insist(parse_quantized(format_quantized(record), frames, "fuzz") == record);
}

/// The JSON of a frame, without a file around it to get past.
void read_record(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const frame_record record = parse_frame(text, "fuzz");
  if (record.checksums) {  // version 1, which does not say, is read, never written
    insist(parse_frame(format_frame(record), "fuzz") == record);
  }
}

void read_checksum_list(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const checksum_record checksums = parse_checksums(text, "fuzz");
  if (checksums.header) {  // version 1 is read, never written
    insist(parse_checksums(format_checksums(*checksums.header, checksums.values), "fuzz") == checksums);
  }
}

/// Positions and states alone: four bytes for the extents, and the rest is data.
void read_slots(std::span<const std::byte> bytes) {
  if (bytes.size() < 4) {
    return;
  }
  std::vector<std::int64_t> shape;
  std::size_t slots = 1;
  for (const std::byte extent : bytes.first(4)) {
    shape.push_back(1 + static_cast<std::int64_t>(extent) % 3);
    slots *= static_cast<std::size_t>(shape.back());
  }
  const std::size_t position_bytes = slots * sizeof(std::int64_t);
  const std::size_t state_bytes = slots / static_cast<std::size_t>(shape[0]) * sizeof(std::int32_t);
  std::vector<std::byte> data(bytes.begin() + 4, bytes.end());
  data.resize(position_bytes + state_bytes);
  const slot_reader reader(shape, std::span(data).first(position_bytes), std::span(data).last(state_bytes), 2);
  layer_frame frame{reader.read("fuzz", "positions", "states"), {{}, {}}};
  frame.validate();
  rebuild(frame);
  rebuild(frame.slice(frame.size() / 2, frame.size()));
}

template <class Read>
void refuse_or_read(Read read, std::span<const std::byte> bytes) {
  try {
    read(bytes);
  } catch (const file_error& refused) {
    insist_one_line(refused);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  refuse_or_read(read_file, bytes);
  refuse_or_read(read_quantized_file, bytes);
  refuse_or_read(read_codes_record, bytes);
  refuse_or_read(read_record, bytes);
  refuse_or_read(read_checksum_list, bytes);
  refuse_or_read(read_slots, bytes);
  return 0;
}
