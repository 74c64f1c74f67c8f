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
// Base64 of the longest token, a signed one of 8 KiB, and a user name; a longer header has no token of ours.
constexpr std::size_t kAuthorizationSizeMax = 12288;
constexpr std::string_view kDigestPrefix = "sha256:";
// Every look-up by a bound token reads its lists.
constexpr std::size_t kScopeEntriesMax = 100;
// The longest name of a tenant, a database or a collection.
constexpr std::size_t kScopeNameSizeMax = 512;

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

bool IsPatternCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '*';
}

absl::StatusOr<std::string> ParsePattern(absl::string_view text) {
  if (text.size() <= kScopeNameSizeMax && std::all_of(text.begin(), text.end(), IsPatternCharacter)) {
    return std::string(text);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a pattern of collections has at most ", kScopeNameSizeMax, " characters of [a-zA-Z0-9._-] and *"));
}

// A tenant's or database's name, of which some bytes may be written as %XX.
absl::StatusOr<std::string> ParseScopeName(absl::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const absl::string_view hex = text.substr(i + 1, 2);
    if (text[i] == '*') return absl::InvalidArgumentError("only collections may have a *: leave it out for all");
    if (text[i] != '%') {
      name.push_back(text[i]);
    } else if (hex.size() == 2 && absl::ascii_isxdigit(static_cast<unsigned char>(hex[0])) &&
               absl::ascii_isxdigit(static_cast<unsigned char>(hex[1]))) {
      name.append(absl::HexStringToBytes(hex));
      i += 2;
    } else {
      return absl::InvalidArgumentError("a % must be followed by two hexadecimal digits: write % itself as %25");
    }
  }
  const auto is_control = [](unsigned char c) { return absl::ascii_iscntrl(c); };
  if (name.size() <= kScopeNameSizeMax && std::none_of(name.begin(), name.end(), is_control)) return name;
  return absl::InvalidArgumentError(
      absl::StrCat("a name has at most ", kScopeNameSizeMax, " bytes and no control characters"));
}

using EntryParser = absl::StatusOr<std::string> (*)(absl::string_view);

absl::StatusOr<std::vector<std::string>> ParseScopeList(absl::string_view text, EntryParser parse) {
  std::vector<std::string> entries;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    if (part.empty()) return absl::InvalidArgumentError("it has an empty name");
    if (entries.size() == kScopeEntriesMax) {
      return absl::InvalidArgumentError(absl::StrCat("it has more than ", kScopeEntriesMax, " names"));
    }
    OMICS_ASSIGN_OR_RETURN(std::string entry, parse(part));
    if (std::find(entries.begin(), entries.end(), entry) != entries.end()) {
      return absl::InvalidArgumentError("it has the same name twice");
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

// One of the columns after the third.
absl::Status ParseScopeColumn(absl::string_view column, Scope& scope) {
  const std::size_t sign = column.find('=');
  const absl::string_view key = column.substr(0, sign);
  const bool collections = key == "collections";
  std::vector<std::string>* const entries = key == "tenant"     ? &scope.tenants
                                            : key == "database" ? &scope.databases
                                            : collections       ? &scope.collections
                                                                : nullptr;
  if (entries == nullptr || sign == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        "after NAME ROLE sha256:HEX only tenant=…, database=… and collections=… may follow");
  }
  if (!entries->empty()) return absl::InvalidArgumentError(absl::StrCat(key, "= stands there twice"));
  auto parsed = ParseScopeList(column.substr(sign + 1), collections ? ParsePattern : ParseScopeName);
  if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat(key, "="));
  *entries = *std::move(parsed);
  return absl::OkStatus();
}

struct TokenLine {
  Principal principal;
  Sha256Digest digest;
};

absl::StatusOr<TokenLine> ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> columns = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (columns.size() < 3) {
    return absl::InvalidArgumentError("expected at least three columns: NAME ROLE sha256:HEX");
  }
  if (columns[0].size() > kTokenNameSizeMax || !IsPrintable(ToStd(columns[0]))) {
    return absl::InvalidArgumentError(absl::StrCat("a name is at most ", kTokenNameSizeMax, " printable characters"));
  }
  const std::optional<Role> role = ParseRole(columns[1]);
  if (!role) return absl::InvalidArgumentError("the role must be read, write or admin");
  OMICS_ASSIGN_OR_RETURN(const Sha256Digest digest, ParseDigest(ToStd(columns[2])));
  TokenLine parsed{{std::string(columns[0]), *role}, digest};
  for (std::size_t i = 3; i < columns.size(); ++i) {
    OMICS_RETURN_IF_ERROR(ParseScopeColumn(columns[i], parsed.principal.scope));
  }
  return parsed;
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

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Goes back to the last `*` only, so the time is bounded by the product of the sizes.
bool MatchesPattern(std::string_view pattern, std::string_view name) {
  std::size_t in_pattern = 0;
  std::size_t in_name = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;  // where in the name the last star's successor is tried
  while (in_name < name.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = in_pattern++;
      resume = in_name;
    } else if (in_pattern < pattern.size() && pattern[in_pattern] == name[in_name]) {
      ++in_pattern;
      ++in_name;
    } else if (star != std::string_view::npos) {
      in_pattern = star + 1;
      in_name = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in_pattern) == std::string_view::npos;
}

}  // namespace

bool Scope::CoversTenant(std::string_view tenant) const { return tenants.empty() || Contains(tenants, tenant); }

bool Scope::CoversDatabase(std::string_view tenant, std::string_view database) const {
  return CoversTenant(tenant) && (databases.empty() || Contains(databases, database));
}

bool Scope::CoversWholeDatabase(std::string_view tenant, std::string_view database) const {
  return CoversDatabase(tenant, database) && collections.empty();
}

bool Scope::CoversCollection(std::string_view tenant, std::string_view database, std::string_view collection) const {
  return CoversDatabase(tenant, database) && CoversCollectionName(collection);
}

bool Scope::CoversCollectionName(std::string_view collection) const {
  return collections.empty() || std::any_of(collections.begin(), collections.end(), [&](const std::string& pattern) {
           return MatchesPattern(pattern, collection);
         });
}

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

TokenSet TokenSet::Merge(const TokenSet& first, const TokenSet& second) {
  TokenSet both = first;
  both.allow_all_ = first.allow_all_ || second.allow_all_;
  for (const Entry& entry : second.entries_) {
    const auto same = [&entry](const Entry& other) { return !std::memcmp(entry.digest, other.digest, 32); };
    if (std::none_of(first.entries_.begin(), first.entries_.end(), same)) both.entries_.push_back(entry);
  }
  return both;
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
  if (sources.insecure_no_auth && sources.end_users) {
    return absl::InvalidArgumentError("--insecure-no-auth lets everyone in and --jwt-issuer does not: leave one out");
  }
  if (sources.insecure_no_auth) return TokenSet::AllowAll();
  if (!sources.tokens_file.empty()) return LoadTokensFile(sources.tokens_file);
  if (!sources.credentials.empty()) {
    absl::StatusOr<TokenSet> tokens = TokenSet::FromBareToken(sources.credentials);
    return tokens.ok() ? std::move(tokens) : Annotate(tokens.status(), "CHROMA_SERVER_AUTHN_CREDENTIALS");
  }
  if (!sources.tokens_secret.empty() || sources.end_users) return TokenSet();
  return absl::FailedPreconditionError(
      "no token is configured: set CHROMA_SERVER_AUTHN_CREDENTIALS, --tokens-file, --tokens-secret or --jwt-issuer, or "
      "let everyone in with --insecure-no-auth");
}

struct LiveTokens::State {
  TokenSources sources;

  mutable Mutex mutex;
  TokenSet own ABSL_GUARDED_BY(mutex);  // of the file, or the bare token
  std::optional<TokenSet> secret ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const TokenSet> tokens ABSL_GUARDED_BY(mutex);  // what both come to
  std::shared_ptr<TokenVerifier> verifier ABSL_GUARDED_BY(mutex);

  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const bool own_counts = !secret || !sources.tokens_file.empty() || own.allows_all();
    tokens = std::make_shared<const TokenSet>(!secret ? own : own_counts ? TokenSet::Merge(own, *secret) : *secret);
  }
  std::shared_ptr<const TokenSet> Present() const {
    MutexLock lock(mutex);
    return tokens;
  }
  std::shared_ptr<TokenVerifier> PresentVerifier() const {
    MutexLock lock(mutex);
    return verifier;
  }
};

LiveTokens::LiveTokens(TokenSources sources, TokenSet initial) : state_(std::make_unique<State>()) {
  state_->sources = std::move(sources);
  Scrub(state_->sources.credentials);
  MutexLock lock(state_->mutex);
  state_->own = std::move(initial);
  state_->Publish();
}

LiveTokens::~LiveTokens() = default;

absl::StatusOr<Principal> LiveTokens::Check(std::string_view token) const {
  const auto tokens = state_->Present();
  if (tokens->allows_all()) return tokens->Check(token);
  const auto verifier = state_->PresentVerifier();
  return verifier != nullptr && verifier->Recognizes(token) ? verifier->Verify(token) : tokens->Check(token);
}

absl::Status LiveTokens::Reload() {
  if (state_->sources.insecure_no_auth || state_->sources.tokens_file.empty()) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(TokenSet loaded, LoadTokensFile(state_->sources.tokens_file));
  MutexLock lock(state_->mutex);
  state_->own = std::move(loaded);
  state_->Publish();
  return absl::OkStatus();
}

void LiveTokens::SetSecret(TokenSet tokens) {
  MutexLock lock(state_->mutex);
  state_->secret = std::move(tokens);
  state_->Publish();
}

void LiveTokens::SetVerifier(std::shared_ptr<TokenVerifier> verifier) {
  MutexLock lock(state_->mutex);
  state_->verifier = std::move(verifier);
}

bool LiveTokens::empty() const {
  const auto tokens = state_->Present();
  return tokens->size() == 0 && !tokens->allows_all();
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
