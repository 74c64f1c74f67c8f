// The parts of the OpenAPI document that no route changes: how to authenticate, parameters, schemas. JSON text, without
// the braces around it; openapi.cc puts in what stands between < and >: for a name with a capital a reference to that
// schema, else one of the gateway's constants. Schemas whose names end with V1 or V2 are for one version of the API,
// all others for both.
#pragma once

namespace omics::gateway {

inline constexpr char kComponents[] = R"json("securitySchemes": {
  "chromaToken": {"type": "apiKey", "in": "header", "name": "X-Chroma-Token"},
  "bearer": {"type": "http", "scheme": "bearer"},
  "basic": {"type": "http", "scheme": "basic", "description": "The password is the token; any user name"}
},
"headers": {
  "RetryAfter": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}
},
"parameters": {
  "path.tenant": {"name": "tenant", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}},
  "path.database": {"name": "database", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}},
  "path.collection": {"name": "collection", "in": "path", "required": true, "description": "The collection's id",
    "schema": {"type": "string", "format": "uuid"}},
  "path.collection_name": {"name": "collection", "in": "path", "required": true, "description": "The collection's name",
    "schema": {"type": "string", "minLength": 1}},
  "query.tenant": {"name": "tenant", "in": "query", "schema": {"type": "string", "default": "default_tenant"}},
  "query.database": {"name": "database", "in": "query", "schema": {"type": "string", "default": "default_database"}},
  "query.limit": {"name": "limit", "in": "query", "description": "How many at most; absent: all",
    "schema": <WholeOrEmpty>},
  "query.offset": {"name": "offset", "in": "query", "description": "How many to pass over",
    "schema": <WholeOrEmpty>}
},
"schemas": {
  "Error": {"type": "object", "required": ["error", "message"], "properties": {
    "error": {"type": "string", "description": "The name of Chroma's exception class"},
    "message": {"type": "string"}}},

  "Alive": {"type": "object", "required": ["status"], "properties": {"status": {"const": "alive"}}},
  "Ready": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ready"}}},
  "NotReady": {"type": "object", "required": ["status", "reason"], "properties": {
    "status": {"const": "not ready"}, "reason": {"type": "string"}}},
  "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
  "Heartbeat": {"type": "object", "required": ["nanosecond heartbeat"], "properties": {
    "nanosecond heartbeat": {"type": "integer"}}},
  "Version": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$"},
  "PreFlightChecks": {"type": "object", "required": ["max_batch_size", "supports_base64_encoding"], "properties": {
    "max_batch_size": {"const": <batch_max>}, "supports_base64_encoding": {"const": true}}},
  "IdentityV2": {"type": "object", "required": ["user_id", "tenant", "databases"], "properties": {
    "user_id": {"type": "string"},
    "tenant": {"type": "string", "description": "* where the token is bound to none"},
    "databases": {"type": "array", "minItems": 1, "items": {"type": "string"}}}},
  "IdentityV1": {"allOf": [<IdentityV2>,
    {"required": ["attributes"], "properties": {"attributes": {"type": "null"}}}]},
  "True": {"const": true},
  "DoneV1": {"type": "null"},
  "DoneV2": {"type": "object", "maxProperties": 0},
  "AddedV1": {"const": true},
  "AddedV2": {"type": "object", "maxProperties": 0},
  "Count": {"type": "integer", "minimum": 0},
  "Whole": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 9223372036854775807},
  "Int64OrNull": {"type": ["integer", "null"], "format": "int64", "minimum": -9223372036854775808,
    "maximum": 9223372036854775807},
  "WholeOrEmpty": {"anyOf": [<Whole>, {"type": "string", "maxLength": 0, "description": "As if absent"}]},
  "WholeOrNull": {"anyOf": [<Whole>, {"type": "null"}]},

  "Name": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[^\\u0000-\\u001f\\u007f]*$",
      "description": "3 to 512 bytes"}}},
  "TenantV1": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
  "TenantV2": {"type": "object", "required": ["name", "resource_name"], "properties": {
    "name": {"type": "string"}, "resource_name": {"type": "null"}}},
  "Database": {"type": "object", "required": ["id", "name", "tenant"], "properties": {
    "id": {"type": "string", "format": "uuid"}, "name": {"type": "string"}, "tenant": {"type": "string"}}},
  "Databases": {"type": "array", "items": <Database>},

  "MetadataValue": {"description": "A list has values of one type", "anyOf": [
    {"type": "string"}, {"type": "number"}, {"type": "boolean"},
    {"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "integer"}},
    {"type": "array", "items": {"type": "number"}}, {"type": "array", "items": {"type": "boolean"}}]},
  "MetadataKey": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^#$]"},
  "Metadata": {"type": "object", "maxProperties": 256, "propertyNames": <MetadataKey>,
    "additionalProperties": <MetadataValue>},
  "MetadataWithNulls": {"type": "object", "maxProperties": 256,
    "propertyNames": <MetadataKey>,
    "additionalProperties": {"anyOf": [<MetadataValue>, {"type": "null"}]}},

  "CollectionName": {"type": "string", "minLength": 3, "maxLength": 512, "description": "No IP address",
    "pattern": "^[a-zA-Z0-9](\\.?[a-zA-Z0-9_-])*\\.?[a-zA-Z0-9]$"},
  "CollectionMetadataV1": {"anyOf": [{"type": "null"},
    {"allOf": [<MetadataWithNulls>, {"minProperties": 1}]}]},
  "CollectionMetadataV2": {"anyOf": [{"type": "null"},
    {"allOf": [<Metadata>, {"minProperties": 1}]}]},
  "Space": {"enum": ["l2", "cosine", "ip", null]},
  "EmbeddingFunction": {"description": "Kept and given back, never acted on"},
  "HnswParameters": {"type": "object", "description": "Brought into the service's bounds", "properties": {
    "ef_construction": <Int64OrNull>,
    "ef_search": <Int64OrNull>,
    "max_neighbors": <Int64OrNull>,
    "num_threads": <Int64OrNull>,
    "batch_size": <Int64OrNull>,
    "sync_threshold": <Int64OrNull>,
    "resize_factor": {"type": ["number", "null"]}}},
  "Configuration": {"type": "object", "description": "In the form of 1.x; that of 0.5.4 to 0.6.3 is read as well",
    "properties": {
    "hnsw": {"anyOf": [{"type": "null"}, {"allOf": [<HnswParameters>,
      {"properties": {"space": <Space>}}]}]},
    "embedding_function": <EmbeddingFunction>}},
  "NewConfiguration": {"type": "object", "description": "The metric does not change", "properties": {
    "hnsw": {"anyOf": [{"type": "null"}, {"allOf": [<HnswParameters>,
      {"properties": {"space": {"type": "null"}}}]}]},
    "embedding_function": <EmbeddingFunction>}},
  "CreateCollectionV1": {"type": "object", "required": ["name"], "properties": {
    "name": <CollectionName>,
    "metadata": <CollectionMetadataV1>,
    "get_or_create": {"type": ["boolean", "null"], "default": false},
    "configuration": {"anyOf": [<Configuration>, {"type": "null"}]}}},
  "CreateCollectionV2": {"type": "object", "required": ["name"], "properties": {
    "name": <CollectionName>,
    "metadata": <CollectionMetadataV2>,
    "get_or_create": {"type": ["boolean", "null"], "default": false},
    "configuration": {"anyOf": [<Configuration>, {"type": "null"}]},
    "schema": {"description": "Only its vector_index counts"}}},
  "UpdateCollectionV1": {"type": "object", "properties": {
    "new_name": {"anyOf": [<CollectionName>, {"type": "null"}]},
    "new_metadata": <CollectionMetadataV1>,
    "new_configuration": {"anyOf": [<NewConfiguration>, {"type": "null"}]}}},
  "UpdateCollectionV2": {"type": "object", "properties": {
    "new_name": {"anyOf": [<CollectionName>, {"type": "null"}]},
    "new_metadata": <CollectionMetadataV2>,
    "new_configuration": {"anyOf": [<NewConfiguration>, {"type": "null"}]}}},

  "CollectionHead": {"type": "object", "required": ["id", "name", "metadata"], "properties": {
    "id": {"type": "string", "format": "uuid"},
    "name": <CollectionName>,
    "metadata": {"anyOf": [<Metadata>, {"type": "null"}]},
    "tenant": {"type": "string"},
    "database": {"type": "string"},
    "dimension": {"type": ["integer", "null"], "minimum": 1, "maximum": 65536,
      "description": "null until the first record sets it"},
    "version": {"const": 0}}},
  "CollectionV1": {"allOf": [<CollectionHead>, {
    "required": ["tenant", "database", "dimension", "version", "configuration_json"],
    "properties": {"configuration_json": {"type": "object", "required": ["hnsw_configuration", "_type"], "properties": {
      "_type": {"const": "CollectionConfigurationInternal"},
      "hnsw_configuration": {"type": "object",
        "required": ["space", "ef_construction", "ef_search", "num_threads", "M", "resize_factor", "batch_size",
          "sync_threshold", "_type"],
        "properties": {
          "space": {"enum": ["l2", "cosine", "ip"]},
          "ef_construction": {"type": "integer"}, "ef_search": {"type": "integer"}, "M": {"type": "integer"},
          "num_threads": {"type": "integer"}, "resize_factor": {"type": "number"}, "batch_size": {"type": "integer"},
          "sync_threshold": {"type": "integer"}, "_type": {"const": "HNSWConfigurationInternal"}}}}}}}]},
  "CollectionV2": {"allOf": [<CollectionHead>, {
    "required": ["tenant", "database", "dimension", "version", "configuration_json", "schema", "log_position"],
    "properties": {
      "log_position": {"const": 0},
      "schema": {"type": "object", "required": ["defaults", "keys"], "properties": {
        "defaults": {"type": "object"}, "keys": {"type": "object"}}},
      "configuration_json": {"type": "object", "required": ["hnsw", "spann", "embedding_function"], "properties": {
        "hnsw": {"type": "object",
          "required": ["space", "ef_construction", "ef_search", "max_neighbors", "resize_factor", "sync_threshold"],
          "properties": {
            "space": {"enum": ["l2", "cosine", "ip"]},
            "ef_construction": {"type": "integer"}, "ef_search": {"type": "integer"},
            "max_neighbors": {"type": "integer"}, "resize_factor": {"type": "number"},
            "sync_threshold": {"type": "integer"}}},
        "spann": {"type": "null"},
        "embedding_function": <EmbeddingFunction>}}}}]},
  "CollectionsV1": {"type": "array", "items": {"anyOf": [
    <CollectionV1>,
    {"description": "Where the query gives no tenant", "allOf": [
      <CollectionHead>, {"maxProperties": 3}]}]}},
  "CollectionsV2": {"type": "array", "items": <CollectionV2>},

  "NewIds": {"type": "array", "maxItems": <records_max>,
    "items": {"type": "string", "minLength": 1, "maxLength": 1024}},
  "Vector": {"type": "array", "maxItems": 65536,
    "items": {"type": "number", "exclusiveMinimum": -3.4028235677973366e38, "exclusiveMaximum": 3.4028235677973366e38}},
  "Embedding": {"description": "Of the collection's dimension, which the first record sets", "anyOf": [
    {"allOf": [<Vector>, {"minItems": 1}]},
    {"type": "string", "contentEncoding": "base64", "minLength": 8,
      "description": "32-bit floats, little-endian, all finite",
      "pattern": "^([A-Za-z0-9+/]{16})*([A-Za-z0-9+/]{6}==|[A-Za-z0-9+/]{11}=)?$"}]},
  "Embeddings": {"description": "As many as ids", "type": "array", "maxItems": <records_max>,
    "items": <Embedding>},
  "OptionalEmbeddings": {"description": "As many as ids; a null leaves the record's as it is",
    "type": ["array", "null"], "maxItems": <records_max>, "items": {"anyOf": [<Embedding>, {"type": "null"}]}},
  "Documents": {"description": "As many as ids", "type": ["array", "null"], "maxItems": <records_max>,
    "items": {"type": ["string", "null"], "maxLength": 1048576}},
  "Uris": {"description": "As many as ids", "type": ["array", "null"], "maxItems": <records_max>,
    "items": {"type": ["string", "null"], "maxLength": 8192}},
  "Metadatas": {"description": "As many as ids", "type": ["array", "null"], "maxItems": <records_max>,
    "items": {"anyOf": [<Metadata>, {"type": "null"}]}},
  "MetadatasWithNulls": {"description": "As many as ids", "type": ["array", "null"], "maxItems": <records_max>,
    "items": {"anyOf": [<MetadataWithNulls>, {"type": "null"}]}},
  "Update": {"type": "object", "required": ["ids"], "description": "A null value takes a metadata key away",
    "properties": {
      "ids": <NewIds>, "embeddings": <OptionalEmbeddings>, "metadatas": <MetadatasWithNulls>, "documents": <Documents>,
      "uris": <Uris>}},
  "NeedsEmbeddings": {"anyOf": [
    {"required": ["embeddings"], "properties": {"embeddings": <Embeddings>}},
    {"properties": {"ids": {"maxItems": 0}}}]},
  "AddV1": {"allOf": [<Update>, <NeedsEmbeddings>]},
  "AddV2": {"allOf": [<Update>, <NeedsEmbeddings>, {"properties": {"metadatas": <Metadatas>}}]},
  "UpsertV1": {"description": "Records that are new need an embedding", "allOf": [<Update>]},
  "UpsertV2": {"allOf": [<Update>, <NeedsEmbeddings>]},

  "Scalar": {"type": ["string", "number", "boolean"]},
  "ScalarList": {"description": "Values of one type", "anyOf": [
    {"type": "array", "minItems": 1, "items": {"type": "string"}},
    {"type": "array", "minItems": 1, "items": {"type": "integer"}},
    {"type": "array", "minItems": 1, "items": {"type": "number"}},
    {"type": "array", "minItems": 1, "items": {"type": "boolean"}}]},
  "Condition": {"description": "A value, or one operator", "anyOf": [
    <Scalar>,
    {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": {
      "$eq": <Scalar>, "$ne": <Scalar>,
      "$gt": {"type": "number"}, "$gte": {"type": "number"}, "$lt": {"type": "number"}, "$lte": {"type": "number"},
      "$in": <ScalarList>, "$nin": <ScalarList>,
      "$contains": <Scalar>,
      "$not_contains": <Scalar>}}]},
  "Where": {
    "description": "At most <filter_depth_max> levels, <filter_nodes_max> conditions, 16 regular expressions",
    "type": "object", "minProperties": 1, "maxProperties": 1,
    "properties": {
      "$and": {"type": "array", "items": <Where>},
      "$or": {"type": "array", "items": <Where>},
      "#document": <WhereDocument>},
    "propertyNames": {"pattern": "^([^$]|\\$and$|\\$or$)"},
    "additionalProperties": <Condition>},
  "WhereDocument": {"description": "One condition on the document, or several joined", "type": "object",
    "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
    "properties": {
      "$and": {"type": "array", "items": <WhereDocument>},
      "$or": {"type": "array", "items": <WhereDocument>},
      "$contains": {"type": "string", "maxLength": 4096}, "$not_contains": {"type": "string", "maxLength": 4096},
      "$regex": {"type": "string", "maxLength": 4096, "description": "RE2"},
      "$not_regex": {"type": "string", "maxLength": 4096, "description": "RE2"}}},
  "NoFilter": {"type": ["object", "null"], "maxProperties": 0},
  "WhereV1": {"anyOf": [<Where>, <NoFilter>]},
  "WhereV2": {"anyOf": [<Where>, {"type": "null"}]},
  "WhereDocumentV1": {"anyOf": [<WhereDocument>,
    <NoFilter>]},
  "WhereDocumentV2": {"anyOf": [<WhereDocument>, {"type": "null"}]},
  "IncludeV1": {"type": "array", "maxItems": 16,
    "items": {"enum": ["documents", "embeddings", "metadatas", "distances", "uris", "data"]}},
  "IncludeV2": {"type": "array", "maxItems": 16,
    "items": {"enum": ["documents", "embeddings", "metadatas", "distances", "uris"]}},
  "Ids": {"type": ["array", "null"], "maxItems": <records_max>, "items": {"type": "string"}},
  "DeleteV1": {"type": "object", "anyOf": [
    {"required": ["ids"], "properties": {"ids": {"type": "array", "minItems": 1}}},
    {"required": ["where"], "properties": {"where": <Where>}},
    {"required": ["where_document"], "properties": {"where_document": <WhereDocument>}}], "properties": {
    "ids": <Ids>, "where": <WhereV1>,
    "where_document": <WhereDocumentV1>,
    "limit": <WholeOrNull>}},
  "DeleteV2": {"type": "object", "description": "An empty list of ids needs a filter beside it", "properties": {
    "ids": <Ids>, "where": <WhereV2>,
    "where_document": <WhereDocumentV2>,
    "limit": <WholeOrNull>}},
  "GetV1": {"type": "object", "properties": {
    "ids": <Ids>, "where": <WhereV1>,
    "where_document": <WhereDocumentV1>,
    "limit": {"allOf": [<WholeOrNull>], "description": "0 is no limit"},
    "offset": <WholeOrNull>,
    "include": {"allOf": [<IncludeV1>], "default": ["documents", "metadatas"]}}},
  "GetV2": {"type": "object", "properties": {
    "ids": <Ids>, "where": <WhereV2>,
    "where_document": <WhereDocumentV2>,
    "limit": <WholeOrNull>, "offset": <WholeOrNull>,
    "include": {"allOf": [<IncludeV2>], "default": ["documents", "metadatas"]}}},
  "QueryVectors": {"type": "array", "maxItems": <query_vectors_max>, "items": <Vector>},
  "QueryV1": {"type": "object", "required": ["query_embeddings"], "properties": {
    "query_embeddings": {"allOf": [<QueryVectors>, {"minItems": 1}]},
    "n_results": {"allOf": [<WholeOrNull>], "default": 10},
    "ids": <Ids>, "where": <WhereV1>,
    "where_document": <WhereDocumentV1>,
    "include": {"allOf": [<IncludeV1>], "default": ["documents", "metadatas", "distances"]}}},
  "QueryV2": {"type": "object", "required": ["query_embeddings"], "properties": {
    "query_embeddings": <QueryVectors>,
    "n_results": {"allOf": [<WholeOrNull>], "default": 10},
    "ids": <Ids>, "where": <WhereV2>,
    "where_document": <WhereDocumentV2>,
    "include": {"allOf": [<IncludeV2>], "default": ["documents", "metadatas", "distances"]}}},

  "DeletedV1": {"type": "null"},
  "DeletedV2": {"type": "object", "required": ["deleted"], "properties": {"deleted": <Count>}},
  "IdColumn": {"type": "array", "items": {"type": "string", "minLength": 1}},
  "EmbeddingColumn": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
  "TextColumn": {"type": "array", "items": {"type": ["string", "null"]}},
  "MetadataColumn": {"type": "array", "items": {"anyOf": [<Metadata>, {"type": "null"}]}},
  "GetAnswerV2": {"type": "object", "description": "Columns of equal length; null where not included",
    "required": ["ids", "embeddings", "documents", "uris", "metadatas", "include", "included"], "properties": {
      "ids": <IdColumn>,
      "embeddings": {"anyOf": [<EmbeddingColumn>, {"type": "null"}]},
      "documents": {"anyOf": [<TextColumn>, {"type": "null"}]},
      "uris": {"anyOf": [<TextColumn>, {"type": "null"}]},
      "metadatas": {"anyOf": [<MetadataColumn>, {"type": "null"}]},
      "include": <IncludeV1>, "included": <IncludeV1>}},
  "GetAnswerV1": {"allOf": [<GetAnswerV2>,
    {"required": ["data"], "properties": {"data": {"type": "null"}}}]},
  "QueryAnswerV2": {"type": "object",
    "description": "For each query embedding its hits, nearest first; null where not included",
    "required": ["ids", "embeddings", "documents", "uris", "metadatas", "distances", "include", "included"],
    "properties": {
      "ids": {"type": "array", "items": <IdColumn>},
      "embeddings": {"type": ["array", "null"], "items": <EmbeddingColumn>},
      "documents": {"type": ["array", "null"], "items": <TextColumn>},
      "uris": {"type": ["array", "null"], "items": <TextColumn>},
      "metadatas": {"type": ["array", "null"], "items": <MetadataColumn>},
      "distances": {"type": ["array", "null"], "description": "null also for one beyond the range of 32-bit floats",
        "items": {"type": "array", "items": {"type": ["number", "null"]}}},
      "include": <IncludeV1>, "included": <IncludeV1>}},
  "QueryAnswerV1": {"allOf": [<QueryAnswerV2>,
    {"required": ["data"], "properties": {"data": {"type": "null"}}}]}
})json";

}  // namespace omics::gateway
