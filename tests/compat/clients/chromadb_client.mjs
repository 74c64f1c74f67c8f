// Drives whichever JavaScript chromadb the environment holds: one JSON request a line on standard input, one answer a
// line on standard output, {"result": ...} or {"error": class name, "message": text}.
//   node chromadb_client.mjs ENVIRONMENT
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const chromadb = require("chromadb");
const [major, minor] = require("./package.json").dependencies.chromadb.split(".").map(Number);
const write = process.stdout.write.bind(process.stdout);
for (const level of ["log", "info", "warn", "debug", "error"]) console[level] = (...words) => process.stderr.write(words.join(" ") + "\n");

// Every vector is given, so no embedding function is ever asked.
const noEmbedding = {
  name: "none",
  generate: async () => {
    throw new Error("a test gives its embeddings itself");
  },
};
const without = major >= 3 ? { embeddingFunction: null } : { embeddingFunction: noEmbedding };
let address, client;

const basic = (token) => Buffer.from(`someone:${token}`).toString("base64");

function access(token, spelling) {
  if (token == null) return {};
  if (major >= 3) {
    if (spelling === "basic") return { headers: { Authorization: `Basic ${basic(token)}` } };
    return { headers: spelling === "bearer" ? { Authorization: `Bearer ${token}` } : { "X-Chroma-Token": token } };
  }
  if (spelling === "basic") return { auth: { provider: "basic", credentials: `someone:${token}` } };
  const tokenHeaderType = spelling === "bearer" ? "AUTHORIZATION" : "X_CHROMA_TOKEN";
  const old = major === 1 && minor < 9; // the same choice under another name
  return { auth: { provider: "token", credentials: token, ...(old ? { providerOptions: { headerType: tokenHeaderType } } : { tokenHeaderType }) } };
}

async function connect({ host, port, token, spelling = "headers", tenant, database }) {
  address = { ...(major >= 3 ? { host, port, ssl: false } : { path: `http://${host}:${port}` }), ...access(token, spelling) };
  client = new chromadb.ChromaClient({ ...address, ...(tenant ? { tenant, database } : {}) });
  const beat = await client.heartbeat();
  await listed(); // the constructor asks nothing: the first call shows whether the token is taken
  return beat;
}

// Clients before 1.9 return some refusals instead of throwing them.
function told(answer) {
  if (answer?.error !== undefined) throw new Error(String(answer.error));
  return answer;
}

async function listed(page) {
  return told(await client.listCollections(page)).map((found) => found.name ?? found);
}

const admin = () => new chromadb.AdminClient(major >= 3 ? address : { ...address, tenant: "default_tenant", database: "default_database" });
const collection = (name) => client.getCollection({ name, ...(major >= 3 ? {} : { embeddingFunction: noEmbedding }) });
const described = ({ id, name, metadata }) => ({ id, name, metadata });
const on = (method) => async ({ name, ...given }) => told((await (await collection(name))[method](given)) ?? null);
const choice = ({ where_document, ...rest }) => (where_document ? { whereDocument: where_document, ...rest } : rest);

async function create({ name, metric, metadata, get_or_create, configuration }) {
  const given = { ...(metadata ?? {}) };
  const options = { name, ...without };
  if (configuration || (metric && major >= 3)) options.configuration = { ...(metric ? { hnsw: { space: metric } } : {}), ...configuration };
  else if (metric) given["hnsw:space"] = metric;
  if (Object.keys(given).length) options.metadata = given;
  return described(told(await (get_or_create ? client.getOrCreateCollection(options) : client.createCollection(options))));
}

const operations = {
  connect,
  version: () => client.version(),
  heartbeat: () => client.heartbeat(),
  create,
  get_collection: async ({ name }) => described(await collection(name)),
  configuration: async ({ name }) => (await collection(name)).configuration,
  list: listed,
  count_collections: () => client.countCollections(),
  modify: async ({ name, metadata, configuration, ...rest }) =>
    void told(await (await collection(name)).modify({ name: rest.new_name, metadata, configuration })),
  delete_collection: async ({ name }) => void told(await client.deleteCollection({ name })),
  add: on("add"),
  upsert: on("upsert"),
  update: on("update"),
  delete: ({ name, ...given }) => on("delete")({ name, ...choice(given) }),
  count: on("count"),
  peek: on("peek"),
  get: ({ name, ...given }) => on("get")({ name, ...choice(given) }),
  query: ({ name, embeddings, n, ...given }) => on("query")({ name, queryEmbeddings: embeddings, nResults: n, ...choice(given) }),
  search: async ({ name, embedding }) =>
    void (await (await collection(name)).search(new chromadb.Search().rank(chromadb.Knn({ query: embedding })).limit(1))),
  fork: async ({ name, new_name }) => void (await (await collection(name)).fork({ name: new_name })),
  reset: async () => told(await client.reset()),
  create_tenant: async ({ name }) => void told(await admin().createTenant({ name })),
  get_tenant: async ({ name }) => {
    const found = told(await admin().getTenant({ name }));
    return found?.name ?? found;
  },
  create_database: async ({ name, tenant }) => void told(await admin().createDatabase({ name, tenant, tenantName: tenant })),
  get_database: async ({ name, tenant }) => told(await admin().getDatabase({ name, tenant, tenantName: tenant })).name,
  list_databases: async ({ tenant }) => (await admin().listDatabases({ tenant, tenantName: tenant })).map(({ name }) => name),
  delete_database: async ({ name, tenant }) => void (await admin().deleteDatabase({ name, tenant, tenantName: tenant })),
  use: ({ tenant, database }) => {
    client = new chromadb.ChromaClient({ ...address, tenant, database });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await operations[op](request)) ?? null };
  } catch (error) {
    // Clients before 1.9 throw the bare answer from some calls.
    if (error?.ok === false) answer = { error: "Response", message: String(error.status) };
    else answer = { error: error?.name ?? "Error", message: String(error?.message ?? error) };
  }
  write(JSON.stringify(answer) + "\n");
}
