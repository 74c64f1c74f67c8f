#include "index/internal/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

// How long a connection waits for another's lock. Only checkpoints and readers meet here; a second writer cannot exist.
constexpr int kBusyMilliseconds = 10'000;
constexpr int kStrangersValueBytesMax = 16 << 20;
constexpr int kPagesPerStep = 64;  // a megabyte of our pages

absl::Status ToStatus(int code, sqlite3* connection, std::string_view what) {
  const std::string message =
      absl::StrCat(ToAbsl(what), ": ", connection ? sqlite3_errmsg(connection) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return WithReason(absl::ResourceExhaustedError(absl::StrCat(message, "; free disk space and try again")),
                        "DISK_FULL");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (connection && (sqlite3_system_errno(connection) == ENOSPC || sqlite3_system_errno(connection) == EDQUOT)) {
        return ErrnoStatus(ENOSPC, what);
      }
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_TOOBIG:
      return absl::DataLossError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::StatusOr<sqlite3*> OpenHandle(const std::filesystem::path& path, int flags) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_busy_timeout(handle, kBusyMilliseconds);
    return handle;
  }
  const absl::Status status = ToStatus(code, handle, absl::StrCat("open ", path.string()));
  sqlite3_close(handle);
  return status;
}

}  // namespace

void SqliteStatement::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void SqliteStatement::Bind(int index, std::int64_t value) { sqlite3_bind_int64(statement_.get(), index, value); }

void SqliteStatement::Bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), index, text.data() ? text.data() : "", text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void SqliteStatement::Bind(int index, const std::optional<std::string>& text) {
  if (text) {
    Bind(index, std::string_view(*text));
  } else {
    BindNull(index);
  }
}

void SqliteStatement::Bind(int index, std::span<const float> floats) {
  sqlite3_bind_blob64(statement_.get(), index, floats.data(), floats.size_bytes(), SQLITE_STATIC);
}

void SqliteStatement::BindBlob(int index, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), index, bytes.data() ? bytes.data() : "", bytes.size(), SQLITE_STATIC);
}

void SqliteStatement::BindNull(int index) { sqlite3_bind_null(statement_.get(), index); }

absl::StatusOr<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  absl::Status status = absl::OkStatus();
  if (code != SQLITE_DONE) status = ToStatus(code, sqlite3_db_handle(statement_.get()), "SQLite");
  sqlite3_reset(statement_.get());
  if (!status.ok()) return status;
  return false;
}

absl::Status SqliteStatement::Run() { return Step().status(); }

void SqliteStatement::Reset() { sqlite3_reset(statement_.get()); }

std::int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string_view SqliteStatement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

bool SqliteStatement::IsNull(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

std::optional<std::string> SqliteStatement::OptionalText(int column) const {
  if (IsNull(column)) return std::nullopt;
  return std::string(Text(column));
}

absl::StatusOr<std::span<const float>> SqliteStatement::Floats(int column) const {
  const std::string_view bytes = Text(column);
  if (bytes.size() % sizeof(float) != 0) return absl::DataLossError("a stored embedding is cut off");
  return std::span<const float>(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
}

void SqliteConnection::Closer::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

absl::StatusOr<SqliteConnection> SqliteConnection::Open(const std::filesystem::path& path, bool must_exist) {
  OMICS_ASSIGN_OR_RETURN(sqlite3 * handle,
                         OpenHandle(path, SQLITE_OPEN_READWRITE | (must_exist ? 0 : SQLITE_OPEN_CREATE)));
  SqliteConnection connection;
  connection.connection_.reset(handle);
  // 16 KiB pages hold an embedding of 768 floats with a quarter less waste than 4 KiB ones. The cache is small because
  // what answers queries is not read from here.
  OMICS_RETURN_IF_ERROR(connection.Execute(
      "PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-4096;"
      "PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON;"));
  return connection;
}

absl::StatusOr<SqliteConnection> SqliteConnection::OpenReader(const std::filesystem::path& path) {
  OMICS_ASSIGN_OR_RETURN(sqlite3 * handle, OpenHandle(path, SQLITE_OPEN_READWRITE));
  SqliteConnection connection;
  connection.connection_.reset(handle);
  OMICS_RETURN_IF_ERROR(
      connection.Execute("PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA cache_size=-2048;"));
  return connection;
}

absl::Status SqliteConnection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ToStatus(code, connection_.get(), "SQLite");
}

absl::StatusOr<SqliteStatement> SqliteConnection::Prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return ToStatus(code, connection_.get(), "SQLite");
  SqliteStatement statement;
  statement.statement_.reset(handle);
  return statement;
}

std::int64_t SqliteConnection::Changes() const { return sqlite3_changes64(connection_.get()); }

std::int64_t SqliteConnection::TotalChanges() const { return sqlite3_total_changes64(connection_.get()); }

absl::Status SqliteConnection::Distrust() {
  sqlite3* handle = connection_.get();
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kStrangersValueBytesMax);
  return Execute("PRAGMA cell_size_check=ON");
}

absl::Status SqliteConnection::CopyTo(
    const std::filesystem::path& path,
    absl::FunctionRef<absl::Status(std::int64_t bytes_done, std::int64_t bytes_total)> tick) {
  OMICS_ASSIGN_OR_RETURN(sqlite3 * handle, OpenHandle(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  SqliteConnection copy;
  copy.connection_.reset(handle);
  OMICS_RETURN_IF_ERROR(copy.Execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF"));
  OMICS_ASSIGN_OR_RETURN(SqliteStatement page_size, Prepare("PRAGMA page_size"));
  OMICS_RETURN_IF_ERROR(page_size.Step().status());
  const std::int64_t page_bytes = page_size.Int(0);
  page_size.Reset();
  sqlite3_backup* backup = sqlite3_backup_init(handle, "main", connection_.get(), "main");
  if (!backup) return ToStatus(sqlite3_errcode(handle), handle, "copy to " + path.string());
  int code = SQLITE_OK;
  absl::Status told;
  while (code == SQLITE_OK && told.ok()) {
    code = sqlite3_backup_step(backup, kPagesPerStep);
    const std::int64_t pages = sqlite3_backup_pagecount(backup);
    told = tick((pages - sqlite3_backup_remaining(backup)) * page_bytes, pages * page_bytes);
  }
  sqlite3_backup_finish(backup);
  OMICS_RETURN_IF_ERROR(told);
  return code == SQLITE_DONE ? absl::OkStatus() : ToStatus(code, handle, "copy to " + path.string());
}

absl::StatusOr<SqliteTransaction> SqliteTransaction::Begin(SqliteConnection& connection) {
  OMICS_RETURN_IF_ERROR(connection.Execute("BEGIN IMMEDIATE"));
  return SqliteTransaction(connection);
}

SqliteTransaction::SqliteTransaction(SqliteTransaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

SqliteTransaction::~SqliteTransaction() {
  if (connection_) connection_->Execute("ROLLBACK").IgnoreError();
}

absl::Status SqliteTransaction::Commit() {
  OMICS_RETURN_IF_ERROR(connection_->Execute("COMMIT"));
  connection_ = nullptr;
  return absl::OkStatus();
}

}  // namespace omics::index
