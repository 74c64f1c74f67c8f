// Asks a running vector-service over gRPC and prints what it saw as one line of JSON:
//
//   grpc_load ADDRESS COLLECTION QUERIES.npy --seconds S (--clients C | --rate R) [--token T] [--k K]
//
// --clients: closed loop, C calls always under way on one connection. --rate: open loop, R calls a second begin at
// fixed times whatever is still under way, and latencies count from when a call should have begun. Requests are
// serialised before and answers are not parsed, so that the caller takes little of the cores it shares. SIGINT ends it
// before its time.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/npy.h"
#include "omics/vector/v1/vector_service.pb.h"

namespace {

namespace pb = ::omics::vector::v1;
using Clock = std::chrono::steady_clock;

constexpr const char* kMethod = "/omics.vector.v1.VectorService/Query";
volatile std::sig_atomic_t interrupted = 0;

// More than this many under way at once mean that the rate is beyond the server.
constexpr int kUnderWayMax = 1000;

struct Options {
  std::string address;
  std::string collection;
  std::string queries;
  std::string token;
  double seconds = 5;
  int clients = 0;
  double rate = 0;
  int k = 10;
};

int Usage() {
  std::fprintf(stderr,
               "usage: grpc_load ADDRESS COLLECTION QUERIES.npy --seconds S (--clients C | --rate R) [--token T] [--k "
               "K]\n");
  return 2;
}

bool ParseOptions(int argc, char** argv, Options& options) {
  if (argc < 4 || argc % 2 != 0) return false;
  options.address = argv[1];
  options.collection = argv[2];
  options.queries = argv[3];
  for (int i = 4; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--seconds") {
      options.seconds = std::atof(value);
    } else if (name == "--clients") {
      options.clients = std::atoi(value);
    } else if (name == "--rate") {
      options.rate = std::atof(value);
    } else if (name == "--token") {
      options.token = value;
    } else if (name == "--k") {
      options.k = std::atoi(value);
    } else {
      return false;
    }
  }
  return options.seconds > 0 && (options.clients > 0) != (options.rate > 0);
}

std::vector<grpc::ByteBuffer> Requests(const Options& options, const std::vector<std::vector<float>>& vectors) {
  std::vector<grpc::ByteBuffer> requests;
  for (const std::vector<float>& vector : vectors) {
    pb::QueryRequest request;
    request.mutable_collection()->set_name(options.collection);
    request.add_vectors()->mutable_values()->Add(vector.begin(), vector.end());
    request.set_k(options.k);
    request.mutable_include()->set_document(true);
    request.mutable_include()->set_metadata(true);
    const grpc::Slice slice(request.SerializeAsString());
    requests.emplace_back(&slice, 1);
  }
  return requests;
}

// One call at a time; used again for the next.
struct Caller {
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer answer;
  grpc::Status status;
  Clock::time_point due;
};

class Load {
 public:
  Load(const Options& options, std::vector<grpc::ByteBuffer> requests)
      : options_(options), requests_(std::move(requests)), stub_(Connect(options)) {}

  // False if a call failed, which is said.
  bool Run() {
    started_ = Clock::now();
    ends_ = started_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
    const bool fine = options_.clients > 0 ? RunClosed() : RunOpen();
    finished_ = Clock::now();
    while (under_way_ > 0) Take(Clock::time_point::max());
    return fine && !failed_;
  }

  void Print() {
    std::sort(microseconds_.begin(), microseconds_.end());
    const double seconds = std::chrono::duration<double>(finished_ - started_).count();
    std::printf(
        "{\"calls\": %zu, \"seconds\": %.3f, \"per_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"worst_us\": "
        "%.1f}\n",
        microseconds_.size(), seconds, static_cast<double>(microseconds_.size()) / seconds, Quantile(0.5),
        Quantile(0.99), Quantile(1));
  }

 private:
  static std::shared_ptr<grpc::Channel> Connect(const Options& options) {
    return grpc::CreateChannel(options.address, grpc::InsecureChannelCredentials());
  }

  double Quantile(double share) const {
    if (microseconds_.empty()) return 0;
    return microseconds_[static_cast<std::size_t>(share * static_cast<double>(microseconds_.size() - 1))];
  }

  bool RunClosed() {
    for (int i = 0; i < options_.clients; ++i) Begin(Free(), Clock::now());
    while (!failed_ && interrupted == 0 && Clock::now() < ends_) {
      Caller* caller = Take(Clock::time_point::max());
      Begin(caller, Clock::now());
    }
    return true;
  }

  bool RunOpen() {
    const auto interval = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / options_.rate));
    for (Clock::time_point due = started_; !failed_ && interrupted == 0 && due < ends_; due += interval) {
      while (Clock::now() < due) {
        if (Caller* done = Take(due); done != nullptr) idle_.push_back(done);
      }
      if (under_way_ == kUnderWayMax) {
        std::fprintf(stderr, "grpc_load: the service does not keep up with this rate\n");
        return false;
      }
      Begin(Free(), due);
    }
    return true;
  }

  Caller* Free() {
    if (idle_.empty()) return callers_.emplace_back(std::make_unique<Caller>()).get();
    Caller* caller = idle_.back();
    idle_.pop_back();
    return caller;
  }

  void Begin(Caller* caller, Clock::time_point due) {
    caller->due = due;
    caller->context = std::make_unique<grpc::ClientContext>();
    if (!options_.token.empty()) caller->context->AddMetadata("authorization", "Bearer " + options_.token);
    caller->answer.Clear();
    caller->reader = stub_.PrepareUnaryCall(caller->context.get(), kMethod, requests_[next_], &queue_);
    next_ = (next_ + 1) % requests_.size();
    caller->reader->StartCall();
    caller->reader->Finish(&caller->answer, &caller->status, caller);
    ++under_way_;
  }

  // The next call that is done, or null when `until` came first.
  Caller* Take(Clock::time_point until) {
    void* tag = nullptr;
    bool ok = false;
    gpr_timespec at = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (until != Clock::time_point::max()) {
      const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now()).count();
      at = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos(std::max<std::int64_t>(left, 0), GPR_TIMESPAN));
    }
    if (queue_.AsyncNext(&tag, &ok, at) != grpc::CompletionQueue::GOT_EVENT) return nullptr;
    auto* caller = static_cast<Caller*>(tag);
    --under_way_;
    if (!caller->status.ok() && !failed_) {
      std::fprintf(stderr, "grpc_load: %d %s\n", static_cast<int>(caller->status.error_code()),
                   caller->status.error_message().c_str());
    }
    failed_ |= !caller->status.ok();
    microseconds_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - caller->due).count());
    return caller;
  }

  const Options& options_;
  const std::vector<grpc::ByteBuffer> requests_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Caller>> callers_;
  std::vector<Caller*> idle_;
  std::vector<double> microseconds_;
  std::size_t next_ = 0;
  int under_way_ = 0;
  bool failed_ = false;
  Clock::time_point started_;
  Clock::time_point ends_;
  Clock::time_point finished_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, options)) return Usage();
  const auto vectors = omics::benchmarks::ReadNpy(options.queries);
  if (!vectors.ok() || vectors->empty()) {
    std::fprintf(stderr, "grpc_load: %s\n", vectors.status().ToString().c_str());
    return 1;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  Load load(options, Requests(options, *vectors));
  if (!load.Run()) return 1;
  load.Print();
  return 0;
}
