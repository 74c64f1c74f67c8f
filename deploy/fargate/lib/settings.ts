// The switches of the stack: what must be known when the template is made. They come as CDK context (-c name=value).
// What may differ between two deployments of one template (ids, the image's tag) is a CloudFormation parameter instead.

import * as fs from 'node:fs';
import * as path from 'node:path';

/** Where the collections live. A writable service is one task; a read-only one is as many as the load asks for. */
export type Shape = 'writable' | 'read-only';

export interface Settings {
  /** Host name of the service, and the Route 53 zone that it lies in. */
  readonly domain: string;
  readonly zone: string;
  readonly region: string;
  readonly shape: Shape;
  /** In CPU units (1024 is one vCPU) and MiB, a pair that Fargate has. */
  readonly cpu: number;
  readonly memory: number;
  readonly architecture: 'ARM64' | 'X86_64';
  /** Size of the writable shape's EBS volume. */
  readonly volumeGiB: number;
  /** EBS snapshot that the volume of every new task starts from; empty: from nothing. */
  readonly snapshotId: string;
  /** Hours between two snapshots of the volume, 0: none. */
  readonly snapshotHours: number;
  /** Whether every change is put into a bucket, from which a new task's empty volume is restored. */
  readonly shipping: boolean;
  /** Bounds of the autoscaling of the read-only shape. */
  readonly replicasMin: number;
  readonly replicasMax: number;
  readonly vpc: 'new' | 'existing';
  /** How tasks in a new VPC reach AWS: through one NAT gateway, or by public addresses (cheaper; nothing may come in). */
  readonly egress: 'nat' | 'public-ip';
  /** Whether REST is reachable from the internet or from the VPC alone. */
  readonly exposure: 'public' | 'internal';
  /** Who may reach a public REST listener. */
  readonly allowedCidrs: readonly string[];
  /** Whether services in the VPC get gRPC on port 50051. */
  readonly grpc: boolean;
  /** ARN of a certificate to use; empty: the stack asks for one. */
  readonly certificateArn: string;
  /** ARN of a secret that holds the tokens; empty: the stack makes one. */
  readonly secretArn: string;
  /** The prewarm list, as JSON text, and those of its sources that are S3 objects, as bucket/key. */
  readonly prewarm: string;
  readonly prewarmObjects: readonly string[];
  /** What both programs are told about end users, as environment variables; empty: they take listed tokens alone. */
  readonly endUsers: Readonly<Record<string, string>>;
  /** Refuse to delete the load balancers until this is off. */
  readonly protect: boolean;
}

/** Something that gives context values, such as a construct's node. */
export interface Context {
  tryGetContext(name: string): unknown;
}

// Memory in GiB for each CPU size, as Fargate offers it (first, last, step).
const FARGATE_SIZES: Readonly<Record<number, readonly [number, number, number]>> = {
  512: [1, 4, 1],
  1024: [2, 8, 1],
  2048: [4, 16, 1],
  4096: [8, 30, 1],
  8192: [16, 60, 4],
};

// The intervals that Data Lifecycle Manager offers; 0 is none.
const SNAPSHOT_HOURS: readonly number[] = [0, 1, 2, 3, 4, 6, 8, 12, 24];

// A task definition takes 64 KiB in all; three collections need less than one.
const PREWARM_BYTES_MAX = 16 * 1024;

// The options of the programs that begin with --jwt-.
const END_USER_OPTIONS: readonly string[] = [
  'issuer', 'jwks-url', 'audience', 'token-use', 'leeway-seconds', 'roles', 'role-claim', 'tenant-claim', 'tenant',
];

export const SWITCHES = [
  'domain', 'zone', 'region', 'shape', 'cpu', 'memory', 'architecture', 'volumeGiB', 'snapshotId', 'snapshotHours', 'shipping',
  'replicasMin', 'replicasMax', 'vpc', 'egress', 'exposure', 'allowedCidrs', 'grpc', 'certificateArn', 'secretArn', 'prewarm', 'endUsers',
  'protect',
] as const;

type Switch = (typeof SWITCHES)[number];

class Reader {
  constructor(private readonly context: Context) {}

  text(name: Switch, otherwise: string): string {
    const given = this.context.tryGetContext(name);
    return given === undefined ? otherwise : String(given).trim();
  }

  choice<T extends string>(name: Switch, choices: readonly T[]): T {
    const given = this.text(name, choices[0]!);
    const found = choices.find((choice) => choice === given);
    if (found === undefined) throw new Error(`-c ${name}=${given}: must be ${choices.join(' or ')}`);
    return found;
  }

  flag(name: Switch, otherwise: boolean): boolean {
    return this.choice(name, otherwise ? ['on', 'off'] : ['off', 'on']) === 'on';
  }

  whole(name: Switch, otherwise: number, min: number, max: number): number {
    const given = this.text(name, String(otherwise));
    const value = Number(given);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new Error(`-c ${name}=${given}: must be a whole number from ${min} to ${max}`);
    }
    return value;
  }
}

function checkSize(cpu: number, memory: number): void {
  const size = FARGATE_SIZES[cpu];
  if (size === undefined) throw new Error(`-c cpu=${cpu}: must be one of ${Object.keys(FARGATE_SIZES).join(', ')}`);
  const [first, last, step] = size;
  const gib = memory / 1024;
  if (!Number.isInteger(gib) || gib < first || gib > last || (gib - first) % step !== 0) {
    throw new Error(`-c memory=${memory}: ${cpu} CPU units go with ${first} to ${last} GiB (in MiB) in steps of ${step} GiB`);
  }
}

function readJson(name: Switch, file: string): unknown {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`-c ${name}=${file}: cannot be read: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`-c ${name}=${file}: is not JSON: ${(error as Error).message}`);
  }
}

function readPrewarm(file: string): string {
  const compact = JSON.stringify(readJson('prewarm', file));
  if (compact.length > PREWARM_BYTES_MAX) throw new Error(`-c prewarm=${file}: has more than ${PREWARM_BYTES_MAX} bytes`);
  return compact;
}

/** bucket/key of each s3:// source. What is wrong with the list otherwise, the service says at its start. */
function objectsOf(prewarm: string): string[] {
  return [...prewarm.matchAll(/"url":"s3:\/\/([^"]+)"/g)].map((found) => found[1]!);
}

/** {"issuer": "…"} becomes OMICS_VECTOR_JWT_ISSUER. Whether the values go together, the programs say at their start. */
function readEndUsers(file: string): Record<string, string> {
  if (file === '') return {};
  const parsed = readJson('endUsers', file);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error(`-c endUsers=${file}: must be a JSON object`);
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(parsed)) {
    if (!END_USER_OPTIONS.includes(name)) throw new Error(`-c endUsers=${file}: ${name} must be one of ${END_USER_OPTIONS.join(', ')}`);
    if (typeof value !== 'string') throw new Error(`-c endUsers=${file}: ${name} must be a text`);
    variables[`OMICS_VECTOR_JWT_${name.toUpperCase().replaceAll('-', '_')}`] = value;
  }
  for (const name of ['issuer', 'audience', 'roles']) {
    if (!(name in parsed)) throw new Error(`-c endUsers=${file}: ${name} is missing`);
  }
  return variables;
}

function checkDomain(domain: string, zone: string): void {
  if (domain !== zone && !domain.endsWith(`.${zone}`)) throw new Error(`-c domain=${domain}: does not lie in -c zone=${zone}`);
}

/** Reads and checks all switches. Throws an Error that names the switch and what it takes. */
export function readSettings(context: Context): Settings {
  const read = new Reader(context);
  const shape = read.choice<Shape>('shape', ['writable', 'read-only']);
  const prewarm = readPrewarm(read.text('prewarm', path.join(__dirname, '..', '..', 'prewarm.json')));
  const settings: Settings = {
    domain: read.text('domain', 'vector.omics-os.com'),
    zone: read.text('zone', 'omics-os.com'),
    region: read.text('region', 'us-east-1'),
    shape,
    cpu: read.whole('cpu', 1024, 256, 8192),
    memory: read.whole('memory', 4096, 512, 61440),
    architecture: read.choice('architecture', ['ARM64', 'X86_64']),
    volumeGiB: read.whole('volumeGiB', 10, 1, 16384),
    snapshotId: read.text('snapshotId', ''),
    snapshotHours: read.whole('snapshotHours', 1, 0, 24),
    shipping: read.flag('shipping', false),
    replicasMin: read.whole('replicasMin', 2, 1, 100),
    replicasMax: read.whole('replicasMax', 6, 1, 100),
    vpc: read.choice('vpc', ['new', 'existing']),
    egress: read.choice('egress', ['nat', 'public-ip']),
    exposure: read.choice('exposure', ['public', 'internal']),
    allowedCidrs: read.text('allowedCidrs', '0.0.0.0/0').split(',').map((cidr) => cidr.trim()),
    grpc: read.flag('grpc', true),
    certificateArn: read.text('certificateArn', ''),
    secretArn: read.text('secretArn', ''),
    prewarm,
    prewarmObjects: objectsOf(prewarm),
    endUsers: readEndUsers(read.text('endUsers', '')),
    protect: read.flag('protect', true),
  };
  checkSize(settings.cpu, settings.memory);
  checkDomain(settings.domain, settings.zone);
  if (!SNAPSHOT_HOURS.includes(settings.snapshotHours)) {
    throw new Error(`-c snapshotHours=${settings.snapshotHours}: must be one of ${SNAPSHOT_HOURS.join(', ')}`);
  }
  if (settings.replicasMin > settings.replicasMax) throw new Error('-c replicasMin: must not exceed -c replicasMax');
  if (settings.snapshotId !== '' && shape === 'read-only') {
    throw new Error('-c snapshotId: the read-only shape has no volume; its truth are the sources of the prewarm list');
  }
  if (settings.shipping && shape === 'read-only') {
    throw new Error('-c shipping=on: the read-only shape has nothing to ship; its truth are the sources of the prewarm list');
  }
  if (settings.vpc === 'existing' && settings.egress === 'public-ip') {
    throw new Error('-c egress=public-ip: only for a new VPC; in an existing one the private subnets have their own way out');
  }
  return settings;
}
