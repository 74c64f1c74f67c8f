// Drives whichever JavaScript chromadb the environment holds: one JSON request a line on standard input, one answer a
// line on standard output, {"result": ...} or {"error": class name, "message": text}.
//   node chromadb_client.mjs ENVIRONMENT
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const chromadb = require("chromadb");
const major = Number(require("./package.json").dependencies.chromadb.split(".")[0]);
const write = process.stdout.write.bind(process.stdout);
for (const level of ["log", "info", "warn", "debug"]) console[level] = console.error;

// Every vector is given, so no embedding function is ever asked.
const noEmbedding = {
  name: "none",
  generate: async () => {
    throw new Error("a test gives its embeddings itself");
  },
};
const spaces = { create: major >= 3 ? { embeddingFunction: null } : { embeddingFunction: noEmbedding } };
let client;

async function connect({ host, port, token, spelling = "headers" }) {
  const headers = token == null ? {} : spelling === "bearer" ? { Authorization: `Bearer ${token}` } : { "X-Chroma-Token": token };
  if (major >= 3) {
    client = new chromadb.ChromaClient({ host, port, ssl: false, headers });
  } else if (token != null) {
    const tokenHeaderType = spelling === "bearer" ? "AUTHORIZATION" : "X_CHROMA_TOKEN";
    client = new chromadb.ChromaClient({ path: `http://${host}:${port}`, auth: { provider: "token", credentials: token, tokenHeaderType } });
  } else {
    client = new chromadb.ChromaClient({ path: `http://${host}:${port}` });
  }
  const beat = await client.heartbeat();
  await client.listCollections(); // the constructor asks nothing: the first call shows whether the token is taken
  return beat;
}

const collection = (name) => client.getCollection({ name, ...(major >= 3 ? {} : { embeddingFunction: noEmbedding }) });
const described = ({ id, name, metadata }) => ({ id, name, metadata });

async function create({ name, metric, metadata, get_or_create }) {
  const told = { ...(metadata ?? {}) };
  const options = { name, ...spaces.create };
  if (metric && major >= 3) options.configuration = { hnsw: { space: metric } };
  else if (metric) told["hnsw:space"] = metric;
  if (Object.keys(told).length) options.metadata = told;
  return described(await (get_or_create ? client.getOrCreateCollection(options) : client.createCollection(options)));
}

const operations = {
  connect,
  version: () => client.version(),
  create,
  get_collection: async ({ name }) => described(await collection(name)),
  list: async () => (await client.listCollections()).map((found) => found.name ?? found),
  delete_collection: async ({ name }) => void (await client.deleteCollection({ name })),
  add: async ({ name, ...records }) => void (await (await collection(name)).add(records)),
  upsert: async ({ name, ...records }) => void (await (await collection(name)).upsert(records)),
  update: async ({ name, ...records }) => void (await (await collection(name)).update(records)),
  delete: async ({ name, ids }) => void (await (await collection(name)).delete({ ids })),
  count: async ({ name }) => (await collection(name)).count(),
  get: async ({ name, ...choice }) => (await collection(name)).get(choice),
  query: async ({ name, embeddings, n, include }) =>
    (await collection(name)).query({ queryEmbeddings: embeddings, nResults: n, include }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await operations[op](request)) ?? null };
  } catch (error) {
    answer = { error: error.name ?? "Error", message: String(error.message) };
  }
  write(JSON.stringify(answer) + "\n");
}
