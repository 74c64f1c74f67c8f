#include "base/resources.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace omics {
namespace {

namespace fs = std::filesystem;

// A root directory with 8 CPUs and 16 GiB, to which tests add cgroups.
class ResourcesTest : public testing::Test {
 protected:
  void SetUp() override {
    Put("proc/self/status", "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-6,9\nMems_allowed:\t1\n");
    Put("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1 kB\n");
  }

  void Put(const std::string& path, const std::string& text) {
    fs::create_directories((root_.path() / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  void Expect(int threads, std::int64_t memory_bytes, const std::string& source) {
    const Resources resources = DetectResources(root_.path().string());
    EXPECT_EQ(resources.threads, threads);
    EXPECT_EQ(resources.memory_bytes, memory_bytes);
    EXPECT_EQ(resources.source, source);
  }

  static constexpr std::int64_t kGiB = std::int64_t{1} << 30;
  const TempDir root_;
};

TEST_F(ResourcesTest, WithoutCgroupsTheMachineIsTheLimit) { Expect(8, 16 * kGiB, "CPU affinity, physical memory"); }

TEST_F(ResourcesTest, V2LimitsOfTheContainer) {
  Put("proc/self/cgroup", "0::/\n");
  Put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  Put("sys/fs/cgroup/memory.max", "1073741824\n");
  Expect(2, kGiB, "cgroup v2 cpu.max, cgroup v2 memory.max");
}

TEST_F(ResourcesTest, V2WithoutLimitsSaysMax) {
  Put("proc/self/cgroup", "0::/user.slice\n");
  Put("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  Put("sys/fs/cgroup/user.slice/memory.max", "max\n");
  Expect(8, 16 * kGiB, "CPU affinity, physical memory");
}

TEST_F(ResourcesTest, V2TheTightestLevelCounts) {
  Put("proc/self/cgroup", "0::/pod/box\n");
  Put("sys/fs/cgroup/pod/box/cpu.max", "400000 100000\n");
  Put("sys/fs/cgroup/pod/box/memory.max", "2147483648\n");
  Put("sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  Put("sys/fs/cgroup/pod/memory.max", "4294967296\n");
  Expect(2, 2 * kGiB, "cgroup v2 cpu.max, cgroup v2 memory.max");
}

TEST_F(ResourcesTest, LessThanOneCpuIsOneThread) {
  Put("proc/self/cgroup", "0::/\n");
  Put("sys/fs/cgroup/cpu.max", "25000 100000\n");
  Expect(1, 16 * kGiB, "cgroup v2 cpu.max, physical memory");
}

TEST_F(ResourcesTest, V1LimitsWithTheHostsPathNotMounted) {
  Put("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472\n");
  Expect(3, 3 * kGiB, "cgroup v1 cpu.cfs_quota_us, cgroup v1 memory.limit_in_bytes");
}

TEST_F(ResourcesTest, V1WithoutLimitsHasMinusOneAndAHugeNumber) {
  Put("proc/self/cgroup", "4:memory:/\n3:cpu,cpuacct:/\n0::/\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Expect(8, 16 * kGiB, "CPU affinity, physical memory");
}

TEST_F(ResourcesTest, UnreadableFilesLeaveOneThread) {
  fs::remove_all(root_ / "proc");
  const Resources resources = DetectResources(root_.path().string() + "/");
  EXPECT_EQ(resources.threads, 1);
}

TEST_F(ResourcesTest, ThisMachineHasSomeOfBoth) {
  const Resources resources = DetectResources();
  EXPECT_GE(resources.threads, 1);
  EXPECT_GT(resources.memory_bytes, 64 << 20);
  EXPECT_GT(ResidentBytes(), 1 << 20);
  EXPECT_LT(ResidentBytes(), resources.memory_bytes);
}

}  // namespace
}  // namespace omics
