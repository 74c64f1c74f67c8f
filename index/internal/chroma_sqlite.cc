#include "index/internal/chroma_sqlite.h"

#include <sqlite3.h>

#include <array>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

// A budget of virtual-machine steps: the largest honest use seen is 0.2 steps per byte of the file.
constexpr std::int64_t kStepsPerByte = 10;
constexpr std::int64_t kStepsBase = 10'000'000;
constexpr int kStepsPerCallback = 10'000;

struct Limit {
  int what;
  int value;
};
// Chroma's widest table has 9 columns, its statements are ours and short, its schema texts stay below 1 KiB. Documents
// and vectors are single values: 64 MiB is far above what Chroma itself takes in one request.
constexpr std::array kLimits = {
    Limit{SQLITE_LIMIT_LENGTH, 64 << 20},
    Limit{SQLITE_LIMIT_SQL_LENGTH, 64 << 10},
    Limit{SQLITE_LIMIT_COLUMN, 100},
    Limit{SQLITE_LIMIT_EXPR_DEPTH, 50},
    Limit{SQLITE_LIMIT_COMPOUND_SELECT, 5},
    Limit{SQLITE_LIMIT_VDBE_OP, 25'000},
    Limit{SQLITE_LIMIT_FUNCTION_ARG, 8},
    Limit{SQLITE_LIMIT_ATTACHED, 0},
    Limit{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64},
    Limit{SQLITE_LIMIT_VARIABLE_NUMBER, 16},
    Limit{SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    Limit{SQLITE_LIMIT_WORKER_THREADS, 0},
};

struct Closer {
  void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
};
using Handle = std::unique_ptr<sqlite3, Closer>;

absl::Status ToStatus(int code, sqlite3* handle) {
  const std::string message = absl::StrCat("chroma.sqlite3: ", handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_INTERRUPT:
      return absl::ResourceExhaustedError("chroma.sqlite3 takes far more work to read than a Chroma store of its size");
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(message);
    case SQLITE_FULL:
      return WithReason(absl::ResourceExhaustedError(message), "DISK_FULL");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
      return absl::UnavailableError(message);
    default:
      return absl::InvalidArgumentError(absl::StrCat(message, "; the store is damaged"));
  }
}

// A file: URI, in which only letters, digits and a few marks stand for themselves.
std::string ToUri(const std::filesystem::path& file, std::string_view parameters) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string uri = "file:";
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(file, error);
  for (const char c : (error ? file : absolute).string()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    if (plain) {
      uri.push_back(c);
    } else {
      uri.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return uri.append(parameters);
}

absl::Status Execute(sqlite3* handle, const char* sql) {
  const int code = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ToStatus(code, handle);
}

absl::StatusOr<Handle> OpenHandle(const std::string& uri, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(uri.c_str(), &raw, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle handle(raw);
  if (code != SQLITE_OK) return ToStatus(code, raw);
  for (const Limit& limit : kLimits) sqlite3_limit(raw, limit.what, limit.value);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  OMICS_RETURN_IF_ERROR(Execute(
      raw, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA cache_size=-8192"));
  return handle;
}

// SQLite reads a last page that is cut off as if zeros followed.
absl::Status CheckWholePages(const ChromaDatabase& database, std::uintmax_t bytes) {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement statement, database.Prepare("PRAGMA page_size"));
  OMICS_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (row && bytes > 0 && bytes % static_cast<std::uintmax_t>(statement.Int(0)) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError("chroma.sqlite3 is cut off; copy or pack the store again while Chroma is stopped");
}

absl::Status QuickCheck(const ChromaDatabase& database) {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement statement, database.Prepare("PRAGMA quick_check(1)"));
  OMICS_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (row && statement.Text(0) == "ok") return absl::OkStatus();
  const std::string problem = row ? std::string(statement.Text(0)) : "";
  return absl::InvalidArgumentError(absl::StrCat("chroma.sqlite3 is damaged: ", problem));
}

}  // namespace

struct ChromaDatabase::State {
  Handle handle;
  std::int64_t budget = 0;  // of one operation
  std::int64_t steps_left = 0;
};

void ChromaStatement::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void ChromaStatement::Bind(int index, std::int64_t value) {
  sqlite3_reset(statement_.get());
  sqlite3_bind_int64(statement_.get(), index, value);
}

void ChromaStatement::Bind(int index, std::string_view text) {
  sqlite3_reset(statement_.get());
  sqlite3_bind_text64(statement_.get(), index, text.data() ? text.data() : "", text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

absl::StatusOr<bool> ChromaStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) return ToStatus(code, sqlite3_db_handle(statement_.get()));
  sqlite3_reset(statement_.get());
  return false;
}

ChromaColumnType ChromaStatement::Type(int column) const {
  switch (sqlite3_column_type(statement_.get(), column)) {
    case SQLITE_INTEGER:
      return ChromaColumnType::kInteger;
    case SQLITE_FLOAT:
      return ChromaColumnType::kReal;
    case SQLITE_TEXT:
      return ChromaColumnType::kText;
    case SQLITE_BLOB:
      return ChromaColumnType::kBlob;
    default:
      return ChromaColumnType::kNull;
  }
}

std::int64_t ChromaStatement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double ChromaStatement::Real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string_view ChromaStatement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (!bytes) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

ChromaDatabase::ChromaDatabase(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChromaDatabase::~ChromaDatabase() = default;

absl::StatusOr<std::unique_ptr<ChromaDatabase>> ChromaDatabase::Open(const std::filesystem::path& file) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(file, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("open ", file.string()));
  auto state = std::make_unique<State>();
  OMICS_ASSIGN_OR_RETURN(state->handle, OpenHandle(ToUri(file, "?mode=ro&immutable=1"), SQLITE_OPEN_READONLY));
  state->budget = kStepsBase + kStepsPerByte * static_cast<std::int64_t>(bytes);
  const auto count_steps = [](void* context) {
    auto& left = static_cast<State*>(context)->steps_left;
    left -= kStepsPerCallback;
    return left < 0 ? 1 : 0;
  };
  sqlite3_progress_handler(state->handle.get(), kStepsPerCallback, count_steps, state.get());
  std::unique_ptr<ChromaDatabase> database(new ChromaDatabase(std::move(state)));
  database->RenewBudget();
  OMICS_RETURN_IF_ERROR(CheckWholePages(*database, bytes));
  OMICS_RETURN_IF_ERROR(QuickCheck(*database));
  return database;
}

absl::StatusOr<ChromaStatement> ChromaDatabase::Prepare(std::string_view sql) const {
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v3(state_->handle.get(), sql.data(), static_cast<int>(sql.size()), 0, &handle, nullptr);
  if (code != SQLITE_OK) return ToStatus(code, state_->handle.get());
  ChromaStatement statement;
  statement.statement_.reset(handle);
  return statement;
}

absl::StatusOr<std::set<std::string, std::less<>>> ChromaDatabase::Columns(std::string_view table) const {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement kind,
                         Prepare("SELECT type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' FROM sqlite_schema"
                                 " WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')"));
  kind.Bind(1, table);
  std::set<std::string, std::less<>> columns;
  OMICS_ASSIGN_OR_RETURN(const bool exists, kind.Step());
  if (!exists) return columns;
  if (kind.Int(0) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("chroma.sqlite3: ", ToAbsl(table), " is not a plain table"));
  }
  OMICS_ASSIGN_OR_RETURN(ChromaStatement info, Prepare("SELECT name FROM pragma_table_info(?1)"));
  info.Bind(1, table);
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool row, info.Step());
    if (!row) return columns;
    columns.emplace(info.Text(0));
  }
}

void ChromaDatabase::RenewBudget() const { state_->steps_left = state_->budget; }

absl::Status MergeChromaWal(const std::filesystem::path& file) {
  OMICS_ASSIGN_OR_RETURN(const Handle handle, OpenHandle(ToUri(file, "?mode=rw"), SQLITE_OPEN_READWRITE));
  return Execute(handle.get(), "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE");
}

}  // namespace omics::index
