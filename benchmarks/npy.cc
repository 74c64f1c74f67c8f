#include "benchmarks/npy.h"

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace omics::benchmarks {

absl::StatusOr<std::vector<std::vector<float>>> ReadNpy(const std::filesystem::path& path) {
  const auto refuse = [&](const char* why) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", why));
  };
  std::ifstream in(path, std::ios::binary);
  char magic[10];
  if (!in.read(magic, sizeof(magic)) || std::string(magic, 6) != "\x93NUMPY") return refuse("not an .npy file");
  std::string header(static_cast<unsigned char>(magic[8]) + 256u * static_cast<unsigned char>(magic[9]), ' ');
  if (!in.read(header.data(), std::ssize(header))) return refuse("the header is cut off");
  const std::size_t shape = header.find("'shape': (");
  std::size_t rows = 0, columns = 0;
  if (header.find("'<f4'") == std::string::npos || header.find("'fortran_order': False") == std::string::npos ||
      shape == std::string::npos || std::sscanf(header.c_str() + shape, "'shape': (%zu, %zu)", &rows, &columns) != 2) {
    return refuse("not a two-dimensional float32 array in C order");
  }
  std::vector<std::vector<float>> vectors(rows, std::vector<float>(columns));
  for (std::vector<float>& vector : vectors) {
    if (!in.read(reinterpret_cast<char*>(vector.data()), std::ssize(vector) * std::int64_t{sizeof(float)})) {
      return refuse("the data are cut off");
    }
  }
  return vectors;
}

}  // namespace omics::benchmarks
