// The description of the whole REST API as OpenAPI 3.1, served at /openapi.json.
//
// Paths, methods, API version and access come from Routes(); what is said here, by the name of a route, is the rest:
// summary, parameters, bodies, answers and statuses. The schemas say what a client gets that the gateway knows nothing
// particular of; the shapes for Chroma's 0.x clients, told by their User-Agent, are in chroma_shape.h.
//
// Thread safety: all functions may be called from any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gateway/router.h"

namespace omics::gateway {

// What a route is, beside what its table row says. Several words in one text are separated by spaces; a schema's name
// that ends with '*' stands for two, with V1 and V2 in its place.
struct RouteDescription {
  std::string_view route;    // Route::name
  std::string_view summary;  // for people: one line
  std::string_view query;    // names of parameters; those that are in the path already are left out
  std::string_view body;     // the schema; "" if it takes none
  std::string_view answer;   // the schema of the success
  std::string_view errors;   // statuses besides those that follow from access and body
  int status = 200;          // of the success
  bool by_name = false;      // {collection} is a name, else a UUID
};

std::span<const RouteDescription> RouteDescriptions();

// The document, made once. A route without a description is left out; a test makes sure that there is none.
const std::string& OpenApiDocument();

// GET /openapi.json
HandlerResult OpenApi(Call& call);

}  // namespace omics::gateway
