// The task: vector-service and vector-gateway, two containers of one image that share a unix socket, and the ECS service.
//
// What shapes it:
// - The EBS volume of a service's task is deleted with the task, and a new task gets a new, empty one. So whatever replaces
//   a task needlessly loses data: health checks are liveness only, a crashed container is restarted inside its task, and
//   tokens are polled instead of being injected at the start.
// - A rolling deploy would run two writers, each with a volume of its own. So the writable shape stops the old task first.

import * as cdk from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { Network } from './network';
import { Settings } from './settings';
import { Storage } from './storage';

export const REST_PORT = 8000;
export const GRPC_PORT = 50051;

const SOCKET_DIR = '/run/omics-vector';
const SOCKET = `${SOCKET_DIR}/service.sock`;
const DATA_MOUNT = '/data';
const DATA_DIR = '/data/chroma';
const USER = '10001:10001';
// Running calls end within it after SIGTERM; ECS then waits a little longer before it kills.
const DRAIN = cdk.Duration.seconds(20);
const STOP_TIMEOUT = cdk.Duration.seconds(60);
// With shipping the service takes up to a minute more for what is not in the bucket yet; ECS waits no longer than this.
const STOP_TIMEOUT_SHIPPING = cdk.Duration.seconds(120);

export interface Task {
  readonly cluster: ecs.Cluster;
  readonly definition: ecs.FargateTaskDefinition;
  readonly service: ecs.FargateService;
  readonly serviceLogs: logs.LogGroup;
  readonly gatewayLogs: logs.LogGroup;
}

function logGroup(scope: Construct, id: string): logs.LogGroup {
  return new logs.LogGroup(scope, id, { retention: logs.RetentionDays.THREE_MONTHS, removalPolicy: cdk.RemovalPolicy.RETAIN });
}

// A log service that is slow or away must not hold up the programs: lines are then dropped.
function logDriver(logGroup: logs.LogGroup, streamPrefix: string): ecs.LogDriver {
  return ecs.LogDrivers.awsLogs({
    logGroup, streamPrefix, mode: ecs.AwsLogDriverMode.NON_BLOCKING, maxBufferSize: cdk.Size.mebibytes(8),
  });
}

function image(scope: Construct): ecs.ContainerImage {
  const repository = new cdk.CfnParameter(scope, 'ImageRepository', {
    default: 'omics-vector',
    allowedPattern: '[a-z0-9][a-z0-9._/-]*',
    description: 'Name of the ECR repository in this account and region that holds the image.',
  }).valueAsString;
  const tag = new cdk.CfnParameter(scope, 'ImageTag', {
    allowedPattern: '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}',
    description: 'Tag of the image to run. Give every build its own tag, and make tags immutable in the repository.',
  }).valueAsString;
  return ecs.ContainerImage.fromEcrRepository(ecr.Repository.fromRepositoryName(scope, 'Repository', repository), tag);
}

function environment(settings: Settings, storage: Storage): Record<string, string> {
  return {
    OMICS_VECTOR_TOKENS_SECRET: storage.tokens.secretArn,
    OMICS_VECTOR_AWS_REGION: settings.region,
    OMICS_VECTOR_DRAIN_SECONDS: String(DRAIN.toSeconds()),
    OMICS_VECTOR_LOG_FORMAT: 'json',
    ...settings.endUsers,
  };
}

function serviceEnvironment(settings: Settings, storage: Storage): Record<string, string> {
  return {
    OMICS_VECTOR_DATA_DIR: DATA_DIR,
    // The root is read-only, and SQLite sorts in files of its own while it imports.
    SQLITE_TMPDIR: DATA_MOUNT,
    OMICS_VECTOR_GRPC_UNIX_SOCKET: SOCKET,
    // TLS ends at the load balancer; the security group lets nothing else in.
    OMICS_VECTOR_GRPC_ADDRESS: settings.grpc ? `0.0.0.0:${GRPC_PORT}` : '',
    OMICS_VECTOR_GRPC_BEHIND_PROXY: settings.grpc ? 'on' : 'off',
    OMICS_VECTOR_PREWARM: settings.prewarm,
    ...(storage.shipped && { OMICS_VECTOR_SHIP_TO: `s3://${storage.shipped.bucketName}/vector` }),
  };
}

/** Only what the programs call: read this secret, the bucket of sources, and the objects of the prewarm list; ship to its bucket. */
function allowTask(role: iam.IGrantable, settings: Settings, storage: Storage): void {
  role.grantPrincipal.addToPrincipalPolicy(new iam.PolicyStatement({
    actions: ['secretsmanager:GetSecretValue'],
    resources: [storage.tokens.secretArn],
  }));
  role.grantPrincipal.addToPrincipalPolicy(new iam.PolicyStatement({
    actions: ['s3:GetObject'],
    resources: [storage.sources.arnForObjects('*'), ...settings.prewarmObjects.map((object) => `arn:${cdk.Aws.PARTITION}:s3:::${object}`)],
  }));
  if (storage.shipped) {
    role.grantPrincipal.addToPrincipalPolicy(new iam.PolicyStatement({
      actions: ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload', 's3:DeleteObject'],
      resources: [storage.shipped.arnForObjects('*')],
    }));
    role.grantPrincipal.addToPrincipalPolicy(new iam.PolicyStatement({ actions: ['s3:ListBucket'], resources: [storage.shipped.bucketArn] }));
  }
  // Without it S3 answers 403 instead of 404 for an object that is not there.
  role.grantPrincipal.addToPrincipalPolicy(new iam.PolicyStatement({ actions: ['s3:ListBucket'], resources: [storage.sources.bucketArn] }));
}

function common(): Omit<ecs.ContainerDefinitionOptions, 'image'> {
  return {
    readonlyRootFilesystem: true,
    user: USER,
    essential: true,
    stopTimeout: STOP_TIMEOUT,
    // Restarted inside the task, so that the volume stays. One that dies within this period is not restarted again.
    enableRestartPolicy: true,
    restartAttemptPeriod: cdk.Duration.seconds(60),
  };
}

// Limits of their own, from which the programs take their budgets: large bodies can end the gateway, never the service.
function gatewayMemory(settings: Settings): number {
  return settings.memory / 4;
}

function addServiceContainer(task: ecs.FargateTaskDefinition, settings: Settings, storage: Storage, from: ecs.ContainerImage,
                             group: logs.LogGroup): ecs.ContainerDefinition {
  return task.addContainer('vector-service', {
    ...common(),
    image: from,
    entryPoint: ['vector-service'],
    stopTimeout: settings.shipping ? STOP_TIMEOUT_SHIPPING : STOP_TIMEOUT,
    memoryLimitMiB: settings.memory - gatewayMemory(settings),
    environment: { ...environment(settings, storage), ...serviceEnvironment(settings, storage) },
    logging: logDriver(group, 'service'),
    portMappings: settings.grpc ? [{ name: 'grpc', containerPort: GRPC_PORT }] : [],
    // Any answer counts: a service that is loading or full is alive, and a replaced task starts from an empty volume.
    healthCheck: {
      command: ['CMD', 'vectorctl', 'health', '--live', '--address', `unix:${SOCKET}`],
      interval: cdk.Duration.seconds(30),
      timeout: cdk.Duration.seconds(10),
      retries: 10,
      startPeriod: cdk.Duration.seconds(300),
    },
  });
}

/** It has no health check of its own: the load balancer asks its /livez. */
function addGatewayContainer(task: ecs.FargateTaskDefinition, settings: Settings, storage: Storage, from: ecs.ContainerImage,
                             group: logs.LogGroup): ecs.ContainerDefinition {
  return task.addContainer('vector-gateway', {
    ...common(),
    image: from,
    entryPoint: ['vector-gateway'],
    memoryLimitMiB: gatewayMemory(settings),
    environment: {
      ...environment(settings, storage),
      OMICS_VECTOR_REST_ADDRESS: `0.0.0.0:${REST_PORT}`,
      OMICS_VECTOR_SERVICE_ADDRESS: `unix:${SOCKET}`,
    },
    logging: logDriver(group, 'gateway'),
    portMappings: [{ name: 'rest', containerPort: REST_PORT }],
  });
}

/** The writable shape's volume; every new task gets one, from the snapshot or empty. */
function addVolume(scope: Construct, settings: Settings): ecs.ServiceManagedVolume {
  return new ecs.ServiceManagedVolume(scope, 'Volume', {
    name: 'data',
    managedEBSVolume: {
      size: cdk.Size.gibibytes(settings.volumeGiB),
      volumeType: ec2.EbsDeviceVolumeType.GP3,
      fileSystemType: ecs.FileSystemType.XFS,
      encrypted: true,
      snapShotId: settings.snapshotId === '' ? undefined : settings.snapshotId,
      tagSpecifications: [{ tags: { Name: settings.domain }, propagateTags: ecs.EbsPropagatedTagSource.SERVICE }],
    },
  });
}

function scale(service: ecs.FargateService, settings: Settings): void {
  const scaling = service.autoScaleTaskCount({ minCapacity: settings.replicasMin, maxCapacity: settings.replicasMax });
  scaling.scaleOnCpuUtilization('Cpu', {
    targetUtilizationPercent: 60,
    scaleOutCooldown: cdk.Duration.seconds(60),
    scaleInCooldown: cdk.Duration.minutes(5),
  });
}

function makeDefinition(scope: Construct, settings: Settings): ecs.FargateTaskDefinition {
  const arm = settings.architecture === 'ARM64';
  return new ecs.FargateTaskDefinition(scope, 'Task', {
    cpu: settings.cpu,
    memoryLimitMiB: settings.memory,
    runtimePlatform: {
      cpuArchitecture: arm ? ecs.CpuArchitecture.ARM64 : ecs.CpuArchitecture.X86_64,
      operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
    },
    volumes: [{ name: 'socket' }],
  });
}

function makeService(scope: Construct, settings: Settings, network: Network, cluster: ecs.Cluster,
                     definition: ecs.FargateTaskDefinition): ecs.FargateService {
  const writable = settings.shape === 'writable';
  const group = new ec2.SecurityGroup(scope, 'TaskSecurityGroup', {
    vpc: network.vpc, description: 'The tasks: in from the load balancers, out to AWS over HTTPS', allowAllOutbound: false,
  });
  group.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), 'S3, Secrets Manager, ECR, CloudWatch');
  return new ecs.FargateService(scope, 'Service', {
    cluster,
    taskDefinition: definition,
    platformVersion: ecs.FargatePlatformVersion.VERSION1_4,
    desiredCount: writable ? 1 : undefined,
    minHealthyPercent: writable ? 0 : 100,
    maxHealthyPercent: writable ? 100 : 200,
    circuitBreaker: { rollback: true },
    // Downloading, checking and loading three ontologies takes seconds; a slow source is given ten minutes.
    healthCheckGracePeriod: cdk.Duration.minutes(10),
    availabilityZoneRebalancing: writable ? ecs.AvailabilityZoneRebalancing.DISABLED : ecs.AvailabilityZoneRebalancing.ENABLED,
    assignPublicIp: network.taskPublicIp,
    vpcSubnets: network.taskSubnets,
    securityGroups: [group],
    enableExecuteCommand: false,
    propagateTags: ecs.PropagatedTagSource.SERVICE,
  });
}

export function makeTask(scope: Construct, settings: Settings, network: Network, storage: Storage): Task {
  const cluster = new ecs.Cluster(scope, 'Cluster', { vpc: network.vpc, containerInsightsV2: ecs.ContainerInsights.DISABLED });
  const definition = makeDefinition(scope, settings);
  allowTask(definition.taskRole, settings, storage);
  const from = image(scope);
  const serviceLogs = logGroup(scope, 'ServiceLogs');
  const gatewayLogs = logGroup(scope, 'GatewayLogs');
  const backend = addServiceContainer(definition, settings, storage, from, serviceLogs);
  const gateway = addGatewayContainer(definition, settings, storage, from, gatewayLogs);
  backend.addMountPoints({ sourceVolume: 'socket', containerPath: SOCKET_DIR, readOnly: false });
  gateway.addMountPoints({ sourceVolume: 'socket', containerPath: SOCKET_DIR, readOnly: true });
  // START, not HEALTHY: the gateway answers 503 by itself while the service loads. It stops before the service does.
  gateway.addContainerDependencies({ container: backend, condition: ecs.ContainerDependencyCondition.START });

  const service = makeService(scope, settings, network, cluster, definition);
  if (settings.shape === 'writable') {
    const volume = addVolume(scope, settings);
    volume.mountIn(backend, { containerPath: DATA_MOUNT, readOnly: false });
    definition.addVolume(volume);
    service.addVolume(volume);
  } else {
    definition.addVolume({ name: 'data' });
    backend.addMountPoints({ sourceVolume: 'data', containerPath: DATA_MOUNT, readOnly: false });
    scale(service, settings);
  }
  return { cluster, definition, service, serviceLogs, gatewayLogs };
}
