// Who may call: the configured tokens and the check of a presented one. Used by both programs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace omics {

// Each role has the rights of the ones before it.
enum class Role { kRead = 1, kWrite = 2, kAdmin = 3 };

// "read", "write", "admin".
std::string_view RoleName(Role role);

// What a token is bound to: all three must cover what is asked for. An empty list does not restrict. Names are compared
// byte by byte; a pattern may hold `*`, which stands for any number of characters.
//
// Thread safety: const members may be called from any thread.
struct Scope {
  std::vector<std::string> tenants;
  std::vector<std::string> databases;
  std::vector<std::string> collections;  // patterns of names

  bool unbound() const { return tenants.empty() && databases.empty() && collections.empty(); }
  bool CoversTenant(std::string_view tenant) const;
  // May know of the database; what is in it may still be out of scope.
  bool CoversDatabase(std::string_view tenant, std::string_view database) const;
  // The database with whatever is in it, now and later: a token that is bound to collections, be it to `*`, has no
  // right on the database itself.
  bool CoversWholeDatabase(std::string_view tenant, std::string_view database) const;
  bool CoversCollection(std::string_view tenant, std::string_view database, std::string_view collection) const;
  // CoversCollection() in a database that is covered.
  bool CoversCollectionName(std::string_view collection) const;
};

// What a token stands for.
struct Principal {
  std::string name;  // from the tokens file; "" for the environment's token
  Role role = Role::kRead;
  Scope scope = {};
};

// An immutable set of accepted tokens. Tokens are kept as SHA-256 digests only; a check compares the presented token's
// digest with every configured one in constant time.
//
// Thread safety: const after construction; any number of threads may call Check().
class TokenSet {
 public:
  // The set that accepts every caller as admin: --insecure-no-auth.
  static TokenSet AllowAll();

  // One bare token, as Chroma's CHROMA_SERVER_AUTHN_CREDENTIALS has it; its role is admin. Chroma also allows the name
  // of a file there; we do not. INVALID_ARGUMENT if it is shorter than 16 bytes, longer than 4,096 or not printable
  // ASCII.
  static absl::StatusOr<TokenSet> FromBareToken(std::string_view token);

  // The text of a tokens file: one token per line, "NAME ROLE sha256:HEX" (or the token itself in the place of
  // sha256:HEX), then, each at most once and in any order, what it is bound to: "tenant=NAME[,NAME…]",
  // "database=NAME[,NAME…]", "collections=PATTERN[,PATTERN…]". In names, what the line needs for itself (space, comma,
  // '#', '%', '*') is written as %XX. '#' starts a comment. INVALID_ARGUMENT naming the line for anything else, and for
  // a file with no token: a set that is half understood must not come into force.
  static absl::StatusOr<TokenSet> FromFileText(std::string_view text);

  // Accepts what either accepts; a token of both is what it is in `first`.
  static TokenSet Merge(const TokenSet& first, const TokenSet& second);

  // UNAUTHENTICATED ("no token…" when `token` is empty, "unknown token" otherwise) with the reason TOKEN_MISSING or
  // TOKEN_INVALID. Time does not depend on which configured token matches, or how much of one.
  absl::StatusOr<Principal> Check(std::string_view token) const;

  bool allows_all() const { return allow_all_; }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint8_t digest[32];
    Principal principal;
  };
  bool allow_all_ = false;
  std::vector<Entry> entries_;
};

// Tokens that are not listed anywhere but prove themselves by a signature.
//
// Thread safety: all members may be called from any thread.
class TokenVerifier {
 public:
  virtual ~TokenVerifier() = default;
  // True for a token that Verify() alone decides on, by its looks.
  virtual bool Recognizes(std::string_view token) const = 0;
  // UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED, or UNAVAILABLE NOT_READY while what it takes to decide is
  // missing. Never waits for a network.
  virtual absl::StatusOr<Principal> Verify(std::string_view token) = 0;
};

// The token in the value of an Authorization header (or gRPC `authorization` metadata): "Bearer T", "Basic
// base64(user:T)" where the password is the token, or T alone. "" if there is none.
std::string TokenFromAuthorization(std::string_view value);

struct TokenSources {
  std::string credentials;  // --authn-credentials / CHROMA_SERVER_AUTHN_CREDENTIALS: one bare token
  std::string tokens_file;  // --tokens-file / OMICS_VECTOR_TOKENS_FILE
  bool insecure_no_auth = false;
  std::string tokens_secret = {};  // --tokens-secret / OMICS_VECTOR_TOKENS_SECRET; read elsewhere (cloud/live_secret.h)
  bool end_users = false;          // --jwt-issuer is given: a verifier will be there (cloud/jwt_verifier.h)
};

// The set that `sources` describe. A tokens file wins over the bare token. With nothing but a secret or a
// verifier it is the set that refuses everyone, until LiveTokens::SetSecret(). FAILED_PRECONDITION with the way out if
// nothing is configured; INVALID_ARGUMENT if a source is unreadable, or if everyone is let in and end users are
// checked.
absl::StatusOr<TokenSet> LoadTokens(const TokenSources& sources);

// The set in force, replaceable while running: the tokens of the file (or the bare token) and those of a secret. A
// failed Reload() keeps the last good set.
//
// Thread safety: all members may be called from any thread.
class LiveTokens {
 public:
  LiveTokens(TokenSources sources, TokenSet initial);
  ~LiveTokens();
  absl::StatusOr<Principal> Check(std::string_view token) const;
  // Reads the tokens file again.
  absl::Status Reload();
  // From now on these and those of the tokens file are in force; the bare token no longer counts.
  void SetSecret(TokenSet tokens);
  // From now on `verifier` decides on the tokens that it recognizes, unless everyone is let in.
  void SetVerifier(std::shared_ptr<TokenVerifier> verifier);
  // No listed token is accepted.
  bool empty() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 256 bits of OpenSSL's randomness as 43 characters of base64url.
std::string MakeToken();

}  // namespace omics
