#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "omics/vector/v1/admin_service.grpc.pb.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "tools/format.h"

namespace omics::tools {
namespace {

constexpr char kCommand[] = "alias";
constexpr std::chrono::seconds kTimeout{30};

struct AliasOptions {
  ClientOptions client;
  std::string action;
  std::string alias;
  CollectionOptions collection;
};

// One call of a connected stub.
template <typename Call>
absl::Status Ask(const ClientOptions& options, Call call) {
  OMICS_ASSIGN_OR_RETURN(const auto channel, Connect(options));
  grpc::ClientContext context;
  Authenticate(options, context);
  SetTimeout(kTimeout, context);
  const grpc::Status status = call(*pb::AdminService::NewStub(channel), context);
  return status.ok() ? absl::OkStatus() : FromGrpc(status, options);
}

absl::Status Set(const AliasOptions& options) {
  pb::SetAliasRequest request;
  request.set_alias(options.alias);
  *request.mutable_collection() = ToRef(options.collection);
  pb::SetAliasResponse response;
  OMICS_RETURN_IF_ERROR(Ask(options.client, [&](pb::AdminService::Stub& stub, grpc::ClientContext& context) {
    return stub.SetAlias(&context, request, &response);
  }));
  std::printf("%s leads to %s (%s)\n", OneLine(response.alias().name()).c_str(),
              OneLine(response.alias().collection()).c_str(), OneLine(response.alias().collection_id()).c_str());
  return absl::OkStatus();
}

absl::Status Delete(const AliasOptions& options) {
  pb::DeleteAliasRequest request;
  request.set_tenant(options.collection.tenant);
  request.set_database(options.collection.database);
  request.set_alias(options.alias);
  pb::DeleteAliasResponse response;
  OMICS_RETURN_IF_ERROR(Ask(options.client, [&](pb::AdminService::Stub& stub, grpc::ClientContext& context) {
    return stub.DeleteAlias(&context, request, &response);
  }));
  std::printf("%s is no alias any more\n", OneLine(options.alias).c_str());
  return absl::OkStatus();
}

absl::Status List(const AliasOptions& options) {
  pb::ListAliasesRequest request;
  request.set_tenant(options.collection.tenant);
  request.set_database(options.collection.database);
  std::vector<std::vector<std::string>> rows = {{"ALIAS", "COLLECTION", "ID"}};
  do {
    pb::ListAliasesResponse response;
    OMICS_RETURN_IF_ERROR(Ask(options.client, [&](pb::AdminService::Stub& stub, grpc::ClientContext& context) {
      return stub.ListAliases(&context, request, &response);
    }));
    for (const pb::Alias& alias : response.aliases()) {
      rows.push_back({OneLine(alias.name()), OneLine(alias.collection()), OneLine(alias.collection_id())});
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  if (rows.size() > 1) {
    std::fputs(Table(rows).c_str(), stdout);
  } else {
    std::puts("no aliases; `vectorctl alias set ALIAS COLLECTION` makes one");
  }
  return absl::OkStatus();
}

int Usage(std::string_view what) {
  std::fprintf(stderr, "vectorctl alias: %s; see vectorctl alias --help\n", OneLine(what).c_str());
  return 2;
}

}  // namespace

int RunAlias(int argc, const char* const* argv) {
  AliasOptions options;
  Config config("vectorctl alias",
                "Second names of collections: `set ALIAS COLLECTION` makes one or points it elsewhere at once, `delete "
                "ALIAS`, `list`. To change them needs a token with the role admin.");
  config.NoConfigFile();
  config.AddPositional("ACTION", "set, delete or list.", options.action, true);
  config.AddPositional("ALIAS", "The second name.", options.alias, false);
  config.AddPositional("COLLECTION", "What it is to lead to.", options.collection.name, false);
  AddCollectionOptions(config, options.collection);
  AddClientOptions(config, options.client, true);
  config.Examples(
      "  vectorctl alias set cell_type cell_ontology_v2024_01 --token \"$(cat data/token)\"\n"
      "  vectorctl alias list --token \"$(cat data/token)\"");
  if (const auto code = config.Parse(argc, argv)) return *code;

  const int names = (options.alias.empty() ? 0 : 1) + (options.collection.name.empty() ? 0 : 1);
  absl::Status status;
  if (options.action == "set") {
    if (names != 2) return Usage("set takes ALIAS and COLLECTION");
    status = Set(options);
  } else if (options.action == "delete") {
    if (names != 1) return Usage("delete takes ALIAS");
    status = Delete(options);
  } else if (options.action == "list") {
    if (names != 0) return Usage("list takes no names");
    status = List(options);
  } else {
    return Usage(absl::StrCat("there is no action \"", options.action, "\""));
  }
  return status.ok() ? 0 : Fail(kCommand, status);
}

}  // namespace omics::tools
