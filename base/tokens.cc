#include "base/tokens.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "base/status.h"

namespace omics {
namespace {

// 16 characters can hold 96 to 128 bits of randomness; anything shorter is guessable.
constexpr std::size_t kTokenSizeMin = 16;
// Longer than any token format in use, and it bounds the hashing that a stranger can ask for.
constexpr std::size_t kTokenSizeMax = 4096;
// Every check reads every entry.
constexpr std::size_t kTokensMax = 1000;
constexpr std::size_t kTokenNameSizeMax = 128;
constexpr std::size_t kTokensFileSizeMax = 1 << 20;
// Base64 of the longest token and a user name; a longer header has no token of ours.
constexpr std::size_t kAuthorizationSizeMax = 8192;
constexpr std::string_view kDigestPrefix = "sha256:";

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

void Scrub(std::string& text) { OPENSSL_cleanse(text.data(), text.size()); }

absl::Status CheckTokenForm(std::string_view token) {
  if (token.size() < kTokenSizeMin || token.size() > kTokenSizeMax || !IsPrintable(token)) {
    return absl::InvalidArgumentError(absl::StrCat("a token must be ", kTokenSizeMin, " to ", kTokenSizeMax,
                                                   " printable ASCII characters without spaces; `vectorctl token "
                                                   "create` makes one"));
  }
  return absl::OkStatus();
}

std::optional<Role> ParseRole(absl::string_view name) {
  for (const Role role : {Role::kRead, Role::kWrite, Role::kAdmin}) {
    if (name == ToAbsl(RoleName(role))) return role;
  }
  return std::nullopt;
}

// The third column: "sha256:HEX" or the token itself.
absl::StatusOr<Sha256Digest> ParseDigest(std::string_view column) {
  if (column.substr(0, kDigestPrefix.size()) != kDigestPrefix) {
    OMICS_RETURN_IF_ERROR(CheckTokenForm(column));
    return Sha256(column);
  }
  const std::string_view hex = column.substr(kDigestPrefix.size());
  Sha256Digest digest;
  const auto is_hex = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (hex.size() != 2 * digest.size() || !std::all_of(hex.begin(), hex.end(), is_hex)) {
    return absl::InvalidArgumentError("sha256: must be followed by 64 hexadecimal digits");
  }
  const std::string bytes = absl::HexStringToBytes(ToAbsl(hex));
  std::memcpy(digest.data(), bytes.data(), digest.size());
  return digest;
}

struct TokenLine {
  Principal principal;
  Sha256Digest digest;
};

absl::StatusOr<TokenLine> ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> columns = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (columns.size() != 3) return absl::InvalidArgumentError("expected three columns: NAME ROLE sha256:HEX");
  if (columns[0].size() > kTokenNameSizeMax || !IsPrintable(ToStd(columns[0]))) {
    return absl::InvalidArgumentError(absl::StrCat("a name is at most ", kTokenNameSizeMax, " printable characters"));
  }
  const std::optional<Role> role = ParseRole(columns[1]);
  if (!role) return absl::InvalidArgumentError("the role must be read, write or admin");
  OMICS_ASSIGN_OR_RETURN(const Sha256Digest digest, ParseDigest(ToStd(columns[2])));
  return TokenLine{{std::string(columns[0]), *role}, digest};
}

absl::string_view WithoutComment(absl::string_view line) {
  return absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
}

absl::StatusOr<std::string> ReadTokensFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("read the tokens file ", path));
  std::string text(kTokensFileSizeMax + 1, '\0');
  std::size_t size = 0;
  ssize_t got = 1;
  while (size < text.size() && (got = read(fd, text.data() + size, text.size() - size)) != 0) {
    if (got < 0 && errno != EINTR) break;
    size += std::max<ssize_t>(got, 0);
  }
  const int error_number = errno;
  close(fd);
  if (got < 0) return ErrnoStatus(error_number, absl::StrCat("read the tokens file ", path));
  if (size > kTokensFileSizeMax) {
    Scrub(text);
    return absl::InvalidArgumentError(absl::StrCat("the tokens file ", path, " is larger than 1 MiB"));
  }
  text.resize(size);
  return text;
}

absl::StatusOr<TokenSet> LoadTokensFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTokensFile(path);
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  absl::StatusOr<TokenSet> tokens = TokenSet::FromFileText(*text);
  Scrub(*text);
  if (!tokens.ok()) return Annotate(tokens.status(), absl::StrCat("tokens file ", path));
  return tokens;
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kRead:
      return "read";
    case Role::kWrite:
      return "write";
    case Role::kAdmin:
      return "admin";
  }
  std::abort();
}

TokenSet TokenSet::AllowAll() {
  TokenSet set;
  set.allow_all_ = true;
  return set;
}

absl::StatusOr<TokenSet> TokenSet::FromBareToken(std::string_view token) {
  OMICS_RETURN_IF_ERROR(CheckTokenForm(token));
  TokenSet set;
  const Sha256Digest digest = Sha256(token);
  Entry entry{{}, {"", Role::kAdmin}};
  std::memcpy(entry.digest, digest.data(), digest.size());
  set.entries_.push_back(std::move(entry));
  return set;
}

absl::StatusOr<TokenSet> TokenSet::FromFileText(std::string_view text) {
  TokenSet set;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    ++number;
    const absl::string_view content = WithoutComment(line);
    if (content.empty()) continue;
    absl::StatusOr<TokenLine> parsed = ParseLine(content);
    if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat("line ", number));
    Entry entry{{}, std::move(parsed->principal)};
    std::memcpy(entry.digest, parsed->digest.data(), parsed->digest.size());
    const auto same = [&entry](const Entry& other) { return !std::memcmp(entry.digest, other.digest, 32); };
    if (std::any_of(set.entries_.begin(), set.entries_.end(), same)) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": the same token stands on an earlier line"));
    }
    if (set.entries_.size() == kTokensMax) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": more than ", kTokensMax, " tokens"));
    }
    set.entries_.push_back(std::move(entry));
  }
  if (set.entries_.empty()) return absl::InvalidArgumentError("there is no token in it");
  return set;
}

absl::StatusOr<Principal> TokenSet::Check(std::string_view token) const {
  if (allow_all_) return Principal{"", Role::kAdmin};
  if (token.empty()) {
    return WithReason(absl::UnauthenticatedError("no token: send it as `authorization: Bearer TOKEN`"),
                      "TOKEN_MISSING");
  }
  const absl::Status unknown = WithReason(absl::UnauthenticatedError("unknown token"), "TOKEN_INVALID");
  if (token.size() > kTokenSizeMax) return unknown;
  Sha256Digest digest = Sha256(token);
  std::size_t match = 0;  // position + 1
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::size_t equal = CRYPTO_memcmp(digest.data(), entries_[i].digest, digest.size()) == 0;
    match |= (i + 1) & (std::size_t{0} - equal);
  }
  OPENSSL_cleanse(digest.data(), digest.size());
  if (match == 0) return unknown;
  return entries_[match - 1].principal;
}

std::string TokenFromAuthorization(std::string_view value) {
  if (value.size() > kAuthorizationSizeMax) return "";
  const absl::string_view text = absl::StripAsciiWhitespace(ToAbsl(value));
  const std::size_t space = text.find_first_of(" \t");
  const absl::string_view scheme = text.substr(0, space);
  const bool bearer = absl::EqualsIgnoreCase(scheme, "bearer");
  const bool basic = absl::EqualsIgnoreCase(scheme, "basic");
  if (space == absl::string_view::npos) return bearer || basic ? "" : std::string(text);
  const absl::string_view rest = absl::StripLeadingAsciiWhitespace(text.substr(space));
  if (bearer) return std::string(rest);
  if (!basic) return "";
  std::string decoded;
  std::string token;
  if (absl::Base64Unescape(rest, &decoded)) {
    const std::size_t colon = decoded.find(':');
    if (colon != std::string::npos) token = decoded.substr(colon + 1);
  }
  Scrub(decoded);
  return token;
}

absl::StatusOr<TokenSet> LoadTokens(const TokenSources& sources) {
  if (sources.insecure_no_auth) return TokenSet::AllowAll();
  if (!sources.tokens_file.empty()) return LoadTokensFile(sources.tokens_file);
  if (!sources.credentials.empty()) {
    absl::StatusOr<TokenSet> tokens = TokenSet::FromBareToken(sources.credentials);
    return tokens.ok() ? std::move(tokens) : Annotate(tokens.status(), "CHROMA_SERVER_AUTHN_CREDENTIALS");
  }
  return absl::FailedPreconditionError(
      "no token is configured: set CHROMA_SERVER_AUTHN_CREDENTIALS or --tokens-file, or let everyone in with "
      "--insecure-no-auth");
}

struct LiveTokens::State {
  TokenSources sources;

  mutable Mutex mutex;
  std::shared_ptr<const TokenSet> tokens ABSL_GUARDED_BY(mutex);
};

LiveTokens::LiveTokens(TokenSources sources, TokenSet initial) : state_(std::make_unique<State>()) {
  state_->sources = std::move(sources);
  Scrub(state_->sources.credentials);
  MutexLock lock(state_->mutex);
  state_->tokens = std::make_shared<const TokenSet>(std::move(initial));
}

LiveTokens::~LiveTokens() = default;

absl::StatusOr<Principal> LiveTokens::Check(std::string_view token) const {
  std::shared_ptr<const TokenSet> tokens;
  {
    MutexLock lock(state_->mutex);
    tokens = state_->tokens;
  }
  return tokens->Check(token);
}

absl::Status LiveTokens::Reload() {
  if (state_->sources.insecure_no_auth || state_->sources.tokens_file.empty()) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(TokenSet loaded, LoadTokensFile(state_->sources.tokens_file));
  auto tokens = std::make_shared<const TokenSet>(std::move(loaded));
  MutexLock lock(state_->mutex);
  state_->tokens.swap(tokens);
  return absl::OkStatus();
}

std::string MakeToken() {
  std::array<unsigned char, 32> bytes;
  // Fails only when the operating system gives no randomness.
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) std::abort();
  std::string token;
  absl::WebSafeBase64Escape({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, &token);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return token;
}

}  // namespace omics
