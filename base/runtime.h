// What the two servers ask of the libraries below them.
#pragma once

namespace omics {

// To be called once, by main, before another thread begins.
// - glibc gives freed memory back to the system. Left alone it raises its thresholds whenever a large block is freed,
// up
//   to 64 MiB that each of its arenas may keep: after an ingest that was more than the vectors' graph takes.
//   (mallopt(3), "Dynamic adjustment of the mmap threshold".)
// - Abseil's mutexes, which gRPC is full of, stop looking for lock cycles: Debian builds the library without NDEBUG,
// and
//   so each of them takes a global lock besides its own.
void SetUpRuntime();

}  // namespace omics
