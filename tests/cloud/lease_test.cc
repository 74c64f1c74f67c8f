#include "cloud/lease.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/cloud/fault_proxy.h"
#include "tests/cloud/moto.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

using testing::Fault;
using testing::FaultProxy;
using testing::Moto;

constexpr std::chrono::seconds kTime{15};

// A clock of its own for each process: one may stand at any time. Waiting passes only this one's.
class Process final : public Waiter {
 public:
  Process(const S3& s3, std::string name, BootTime now) : s3_(s3), name_(std::move(name)), now_(now.count()) {}

  std::chrono::steady_clock::time_point Now() const override { return {}; }
  bool Wait(std::chrono::milliseconds time, const std::atomic<bool>* stop) override {
    if (stop && stop->load()) return false;
    Pass(time);
    waited_ += time;
    if (on_wait) on_wait();
    return true;
  }
  void Pass(BootTime time) { now_ += time.count(); }

  absl::StatusOr<std::unique_ptr<Lease>> Take(const std::atomic<bool>* stop = nullptr) {
    LeaseOptions options;
    options.bucket = "bucket";
    options.key = "p/lease.json";
    options.time = kTime;
    options.host = "host of " + name_;
    options.now = [this] { return BootTime(now_.load()); };
    options.waiter = this;
    const auto choose = [this](const LeaseHolder& last) -> absl::StatusOr<std::string> {
      last_ = last;
      return name_;
    };
    return Lease::Take(s3_, options, choose, stop);
  }

  const LeaseHolder& last() const { return last_; }
  std::chrono::milliseconds waited() const { return waited_; }
  std::function<void()> on_wait;

 private:
  const S3& s3_;
  const std::string name_;
  std::atomic<std::int64_t> now_;
  std::chrono::milliseconds waited_{0};
  LeaseHolder last_;
};

class LeaseTest : public ::testing::Test {
 protected:
  LeaseTest() { moto_.CreateBucket("bucket"); }
  std::unique_ptr<S3> Connect(const std::string& url) const {
    S3Options options;
    options.endpoint = url;
    options.retry.attempts_max = 1;
    return S3::Make(options, testing::TestCredentials()).value();
  }

  // Two processes that have not asked yet, and no lease.
  void Begin() {
    ASSERT_OK(s3_->Delete("bucket", "p/lease.json", nullptr));
    first_.emplace(*s3_, "first", std::chrono::hours(1));
    second_.emplace(*s3_, "second", std::chrono::hours(77));
  }

  Moto moto_;
  const std::unique_ptr<S3> s3_ = Connect(moto_.url());
  std::optional<Process> first_, second_;
};

// One moto for all: each TEST is a process of its own under ctest.
TEST_F(LeaseTest, OneHoldsItAtATimeWhoeverComes) {
  {
    SCOPED_TRACE("TheFirstTakesItAtOnceAndItRunsOutUnlessRenewed");
    Begin();
    const auto lease = first_->Take();
    ASSERT_OK(lease);
    EXPECT_EQ((*lease)->epoch(), 1);
    EXPECT_EQ(first_->last().epoch, 0);
    EXPECT_EQ(first_->waited().count(), 0);
    EXPECT_EQ((*lease)->Left(), BootTime(kTime));
    first_->Pass(std::chrono::seconds(14));
    EXPECT_EQ((*lease)->state(), LeaseState::kHeld);
    first_->Pass(std::chrono::seconds(1));
    EXPECT_EQ((*lease)->state(), LeaseState::kLate);
    EXPECT_EQ((*lease)->Left().count(), 0);
    // Nobody took it meanwhile: it is still ours.
    ASSERT_OK((*lease)->Renew());
    EXPECT_EQ((*lease)->state(), LeaseState::kHeld);
    EXPECT_EQ((*lease)->epoch(), 1);
  }
  {
    SCOPED_TRACE("AReleasedLeaseIsTakenAtOnceAndTheNextEpochBegins");
    Begin();
    const auto lease = first_->Take();
    ASSERT_OK(lease);
    ASSERT_OK((*lease)->Release());
    EXPECT_EQ((*lease)->Left().count(), 0);
    const auto next = second_->Take();
    ASSERT_OK(next);
    EXPECT_EQ((*next)->epoch(), 2);
    EXPECT_EQ(second_->waited().count(), 0);
    EXPECT_EQ(second_->last().holder, "first");
    EXPECT_EQ(second_->last().host, "host of first");
    EXPECT_EQ(second_->last().epoch, 1);
  }
  {
    SCOPED_TRACE("ANewcomerWaitsByItsOwnClockUntilTheHolderIsSurelyLate");
    Begin();
    const auto lease = first_->Take();
    ASSERT_OK(lease);
    const auto next = second_->Take();
    ASSERT_OK(next);
    EXPECT_EQ((*next)->epoch(), 2);
    EXPECT_GE(second_->waited(), kTime + kTime / 4);
    EXPECT_LE(second_->waited(), 2 * kTime);
    // The former holder's clock stood still: it learns of it when it asks.
    EXPECT_EQ((*lease)->state(), LeaseState::kHeld);
    EXPECT_THAT((*lease)->Renew(), HasCode(absl::StatusCode::kFailedPrecondition, "host of second (epoch 2)"));
    EXPECT_EQ((*lease)->state(), LeaseState::kTaken);
    EXPECT_EQ((*lease)->Left().count(), 0);
    EXPECT_FALSE((*lease)->Renew().ok());
    ASSERT_OK((*lease)->Release());
    ASSERT_OK((*next)->Renew());
  }
  {
    SCOPED_TRACE("WhileItIsRenewedNobodyElseGetsIt");
    Begin();
    const auto lease = first_->Take();
    ASSERT_OK(lease);
    std::atomic<bool> stop = false;
    int renewals = 0;
    second_->on_wait = [&] {
      if (second_->waited() > (renewals + 1) * std::chrono::seconds(14)) {
        first_->Pass(std::chrono::seconds(14));
        ++renewals;
        EXPECT_OK((*lease)->Renew());
      }
      stop = renewals == 10;
    };
    EXPECT_THAT(second_->Take(&stop), HasCode(absl::StatusCode::kCancelled, "stopped"));
    EXPECT_EQ((*lease)->state(), LeaseState::kHeld);
  }
  {
    SCOPED_TRACE("OfTwoThatWaitOneGetsIt");
    Begin();
    const auto lease = first_->Take();
    ASSERT_OK(lease);
    Process third(*s3_, "third", std::chrono::hours(5));
    absl::StatusOr<std::unique_ptr<Lease>> taken;
    // The third comes in the moment before the second would take it.
    second_->on_wait = [&] {
      if (second_->waited() > kTime + kTime / 4 && !taken.ok()) taken = third.Take();
    };
    std::atomic<bool> stop = false;
    third.on_wait = [&] { stop = false; };
    const auto next = second_->Take();
    ASSERT_OK(next);
    ASSERT_OK(taken);
    EXPECT_EQ((*taken)->epoch(), 2);
    EXPECT_EQ((*next)->epoch(), 3);
    EXPECT_FALSE((*taken)->Renew().ok());
  }
  {
    SCOPED_TRACE("WhatIsNoLeaseIsNotOverwritten");
    Begin();
    ASSERT_OK(s3_->Put("bucket", "p/lease.json", "{\"some\":\"thing\"}", {}, nullptr));
    EXPECT_THAT(first_->Take(), HasCode(absl::StatusCode::kDataLoss, "s3://bucket/p/lease.json is no lease"));
  }
}

TEST_F(LeaseTest, ARenewalThatS3GotAndTheHolderDidNotHearOfIsNoLoss) {
  FaultProxy proxy("127.0.0.1", moto_.port(), 1, {Fault::kLoseAnswer}, 0);
  const auto through = Connect(proxy.url());
  Process process(*through, "first", std::chrono::hours(2));
  const auto lease = process.Take();
  ASSERT_OK(lease);
  process.Pass(std::chrono::seconds(5));
  proxy.SetPercent(100);
  EXPECT_FALSE((*lease)->Renew().ok());
  // Not counted on, since it was not heard of.
  EXPECT_EQ((*lease)->Left(), BootTime(std::chrono::seconds(10)));
  proxy.SetPercent(0);
  ASSERT_OK((*lease)->Renew());
  EXPECT_EQ((*lease)->Left(), BootTime(kTime));
}

TEST_F(LeaseTest, WithoutS3ItRunsOutAndTheThreadSaysSo) {
  FaultProxy proxy("127.0.0.1", moto_.port(), 1, {Fault::kLoseAnswer}, 0);
  const auto through = Connect(proxy.url());
  Process process(*through, "first", std::chrono::hours(2));
  const auto lease = process.Take();
  ASSERT_OK(lease);
  proxy.SetPercent(100);
  process.Pass(std::chrono::seconds(20));
  std::atomic<int> late = 0, held = 0;
  (*lease)->Start([&](LeaseState state) { ++(state == LeaseState::kLate ? late : held); });
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (late == 0 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_EQ(late, 1);
  proxy.SetPercent(0);
  while (held == 0 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_EQ(held, 1);
  EXPECT_EQ((*lease)->state(), LeaseState::kHeld);
}

}  // namespace
}  // namespace omics::cloud
