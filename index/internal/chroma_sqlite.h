// SQLite for a file that a stranger made: read-only, immutable, defensive, bounded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace omics::index {

enum class ChromaColumnType { kNull, kInteger, kReal, kText, kBlob };

// Thread safety: that of its database, one thread at a time.
class ChromaStatement {
 public:
  // Parameters count from 1; text is copied. Binding starts the statement afresh.
  void Bind(int index, std::int64_t value);
  void Bind(int index, std::string_view text);

  // True when there is a row, false at the end (the statement may then be bound and stepped again).
  absl::StatusOr<bool> Step();

  // Columns count from 0. Views hold until the next Step() or Bind().
  ChromaColumnType Type(int column) const;
  bool IsNull(int column) const { return Type(column) == ChromaColumnType::kNull; }
  std::int64_t Int(int column) const;
  double Real(int column) const;
  std::string_view Text(int column) const;  // or the bytes of a blob

 private:
  friend class ChromaDatabase;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

// Thread safety: one thread at a time. Must outlive its statements.
// Errors: whatever SQLite finds wrong is INVALID_ARGUMENT (the file is input), except too much work, memory or a value
// that is too large (RESOURCE_EXHAUSTED) and a file that cannot be read (UNAVAILABLE).
class ChromaDatabase {
 public:
  // Opens and checks the whole file (PRAGMA quick_check).
  static absl::StatusOr<std::unique_ptr<ChromaDatabase>> Open(const std::filesystem::path& file);
  ~ChromaDatabase();

  absl::StatusOr<ChromaStatement> Prepare(std::string_view sql) const;

  // The columns of a table; empty if there is no such table. INVALID_ARGUMENT if the name is a view's or a virtual
  // table's.
  absl::StatusOr<std::set<std::string, std::less<>>> Columns(std::string_view table) const;

  // SQLite's work is bounded in proportion to the size of the file; this starts the count anew for the next operation.
  void RenewBudget() const;

 private:
  struct State;
  explicit ChromaDatabase(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Merges the write-ahead file beside `file` into it. Both must be copies of our own: they are changed.
absl::Status MergeChromaWal(const std::filesystem::path& file);

}  // namespace omics::index
