// SQLite with absl::Status: one connection, its prepared statements, its transactions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace omics::index {

// A prepared statement. Reset() before it is used again; a Step() that returned false or an error has reset it.
// Thread safety: that of its connection, one thread at a time.
class SqliteStatement {
 public:
  SqliteStatement() = default;

  // Parameters count from 1. Text and blobs are borrowed until Reset() or the last Step().
  void Bind(int index, std::int64_t value);
  void Bind(int index, std::string_view text);
  void Bind(int index, const std::optional<std::string>& text);  // NULL if absent
  void Bind(int index, std::span<const float> floats);           // a blob, in the machine's (little-endian) order
  void BindBlob(int index, std::string_view bytes);
  void BindNull(int index);

  // True when there is a row, false at the end. RESOURCE_EXHAUSTED (DISK_FULL), DATA_LOSS (corrupt file), else
  // UNAVAILABLE.
  absl::StatusOr<bool> Step();
  // Steps a statement that returns no rows.
  absl::Status Run();
  void Reset();

  // Columns count from 0. Views hold until the next Step() or Reset().
  std::int64_t Int(int column) const;
  std::string_view Text(int column) const;  // or the bytes of a blob
  bool IsNull(int column) const;
  std::optional<std::string> OptionalText(int column) const;
  // DATA_LOSS if the blob is not a whole number of floats.
  absl::StatusOr<std::span<const float>> Floats(int column) const;

 private:
  friend class SqliteConnection;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

// Thread safety: one thread at a time.
class SqliteConnection {
 public:
  SqliteConnection() = default;

  // Opens (and makes, unless `must_exist`) a file in WAL mode with synchronous=FULL: a COMMIT that returned is on disk.
  static absl::StatusOr<SqliteConnection> Open(const std::filesystem::path& path, bool must_exist);
  // A connection for reading the same file beside the writer.
  static absl::StatusOr<SqliteConnection> OpenReader(const std::filesystem::path& path);

  // One or more statements without parameters and results.
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<SqliteStatement> Prepare(std::string_view sql);
  // Rows changed by the last statement.
  std::int64_t Changes() const;
  // Rows changed since the connection was opened.
  std::int64_t TotalChanges() const;

  // For a file that a stranger wrote: nothing in its schema is run, damaged pages are noticed, no value is larger than
  // 16 MiB (no part of a record is).
  absl::Status Distrust();
  // Copies the database to a new file, as this connection sees it: in a transaction, as of its first read. `tick` is
  // called once a megabyte or so; its error ends the copy, and what is there of the file is worth nothing then.
  absl::Status CopyTo(const std::filesystem::path& path,
                      absl::FunctionRef<absl::Status(std::int64_t bytes_done, std::int64_t bytes_total)> tick);

 private:
  struct Closer {
    void operator()(sqlite3* connection) const;
  };
  std::unique_ptr<sqlite3, Closer> connection_;
};

// BEGIN IMMEDIATE now, ROLLBACK on destruction unless committed.
class SqliteTransaction {
 public:
  static absl::StatusOr<SqliteTransaction> Begin(SqliteConnection& connection);
  ~SqliteTransaction();
  SqliteTransaction(SqliteTransaction&& other) noexcept;
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;

  // Durable when it returns OK.
  absl::Status Commit();

 private:
  explicit SqliteTransaction(SqliteConnection& connection) : connection_(&connection) {}
  SqliteConnection* connection_;
};

}  // namespace omics::index
