// How callers come in: REST over HTTPS on port 443, gRPC over TLS on port 50051 from inside the VPC, and their names.

import * as cdk from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as targets from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import { Network } from './network';
import { GRPC_PORT, REST_PORT, Task } from './service';
import { Settings } from './settings';
import { Storage } from './storage';

export interface Entrances {
  readonly rest: elb.ApplicationLoadBalancer;
  readonly restTargets: elb.ApplicationTargetGroup;
  readonly grpcTargets?: elb.ApplicationTargetGroup;
}

// TLS 1.3, and 1.2 with forward secrecy and authenticated ciphers only.
const TLS = elb.SslPolicy.TLS13_RES;
const HTTPS_PORT = 443;
// Shorter than the 75 s of the gateway, so that no request meets a connection that is just being closed.
const REST_IDLE = cdk.Duration.seconds(60);
// The end of a large import may be silent for minutes.
const GRPC_IDLE = cdk.Duration.seconds(300);
// Shorter than the programs' stop timeout: a target is out of rotation before it is killed.
const DEREGISTRATION = cdk.Duration.seconds(30);
const WRITES = ['*/add', '*/upsert', '*/update', '*/delete'];
const READ_ONLY_ANSWER = '{"error":"AuthError","message":"this deployment is read-only: change the sources of its prewarm list"}';

function loadBalancer(scope: Construct, id: string, settings: Settings, network: Network, storage: Storage,
                      internetFacing: boolean, idleTimeout: cdk.Duration): elb.ApplicationLoadBalancer {
  const balancer = new elb.ApplicationLoadBalancer(scope, id, {
    vpc: network.vpc,
    internetFacing,
    vpcSubnets: internetFacing ? { subnetType: ec2.SubnetType.PUBLIC } : network.taskSubnets,
    securityGroup: new ec2.SecurityGroup(scope, `${id}SecurityGroup`, {
      vpc: network.vpc, description: `The load balancer ${id}`, allowAllOutbound: false,
    }),
    desyncMitigationMode: elb.DesyncMitigationMode.STRICTEST,
    dropInvalidHeaderFields: true,
    deletionProtection: settings.protect,
    idleTimeout,
  });
  balancer.logAccessLogs(storage.accessLogs, id.toLowerCase());
  return balancer;
}

function certificate(scope: Construct, settings: Settings, zone: route53.IHostedZone, grpcName: string): acm.ICertificate {
  if (settings.certificateArn !== '') return acm.Certificate.fromCertificateArn(scope, 'Certificate', settings.certificateArn);
  return new acm.Certificate(scope, 'Certificate', {
    domainName: settings.domain,
    subjectAlternativeNames: settings.grpc ? [grpcName] : undefined,
    validation: acm.CertificateValidation.fromDns(zone),
  });
}

/** Every replica has a copy of its own, so a write would reach one of them alone. */
function refuseWrites(listener: elb.ApplicationListener): void {
  const answer = elb.ListenerAction.fixedResponse(403, { contentType: 'application/json', messageBody: READ_ONLY_ANSWER });
  listener.addAction('RefuseWrites', { priority: 10, conditions: [elb.ListenerCondition.pathPatterns(WRITES)], action: answer });
  listener.addAction('RefuseChanges', {
    priority: 11, conditions: [elb.ListenerCondition.httpRequestMethods(['PUT', 'PATCH', 'DELETE'])], action: answer,
  });
}

/** An unhealthy target's task is replaced: the writable shape, which would lose its volume, is asked for life alone. */
function addRest(scope: Construct, settings: Settings, network: Network, task: Task, balancer: elb.ApplicationLoadBalancer,
                 cert: acm.ICertificate): elb.ApplicationTargetGroup {
  const writable = settings.shape === 'writable';
  const group = new elb.ApplicationTargetGroup(scope, 'RestTargets', {
    vpc: network.vpc,
    port: REST_PORT,
    protocol: elb.ApplicationProtocol.HTTP,
    targetType: elb.TargetType.IP,
    targets: [task.service.loadBalancerTarget({ containerName: 'vector-gateway', containerPort: REST_PORT })],
    deregistrationDelay: DEREGISTRATION,
    loadBalancingAlgorithmType: elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
    healthCheck: {
      path: writable ? '/livez' : '/readyz',
      healthyHttpCodes: '200',
      interval: cdk.Duration.seconds(writable ? 30 : 10),
      timeout: cdk.Duration.seconds(writable ? 20 : 5),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: writable ? 10 : 3,
    },
  });
  const listener = balancer.addListener('Rest', {
    port: HTTPS_PORT, protocol: elb.ApplicationProtocol.HTTPS, certificates: [cert], sslPolicy: TLS, open: false,
    defaultTargetGroups: [group],
  });
  if (!writable) refuseWrites(listener);
  const cidrs = settings.exposure === 'public' ? settings.allowedCidrs : [network.cidr];
  for (const cidr of cidrs) listener.connections.allowDefaultPortFrom(ec2.Peer.ipv4(cidr), 'REST over HTTPS');
  return group;
}

/** gRPC status 0 comes as soon as the service answers, whether it is ready or not: liveness again. */
function addGrpc(scope: Construct, network: Network, task: Task, balancer: elb.ApplicationLoadBalancer,
                 cert: acm.ICertificate): elb.ApplicationTargetGroup {
  const group = new elb.ApplicationTargetGroup(scope, 'GrpcTargets', {
    vpc: network.vpc,
    port: GRPC_PORT,
    protocol: elb.ApplicationProtocol.HTTP,
    protocolVersion: elb.ApplicationProtocolVersion.GRPC,
    targetType: elb.TargetType.IP,
    targets: [task.service.loadBalancerTarget({ containerName: 'vector-service', containerPort: GRPC_PORT })],
    deregistrationDelay: DEREGISTRATION,
    healthCheck: {
      path: '/grpc.health.v1.Health/Check',
      healthyGrpcCodes: '0',
      interval: cdk.Duration.seconds(30),
      timeout: cdk.Duration.seconds(20),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 10,
    },
  });
  const listener = balancer.addListener('Grpc', {
    port: GRPC_PORT, protocol: elb.ApplicationProtocol.HTTPS, certificates: [cert], sslPolicy: TLS, open: false,
    defaultTargetGroups: [group],
  });
  listener.connections.allowDefaultPortFrom(ec2.Peer.ipv4(network.cidr), 'gRPC from the VPC');
  return group;
}

export function makeEntrances(scope: Construct, settings: Settings, network: Network, storage: Storage, task: Task): Entrances {
  const zone = route53.HostedZone.fromHostedZoneAttributes(scope, 'Zone', {
    hostedZoneId: new cdk.CfnParameter(scope, 'HostedZoneId', {
      type: 'AWS::Route53::HostedZone::Id', description: `The Route 53 zone ${settings.zone}.`,
    }).valueAsString,
    zoneName: settings.zone,
  });
  const grpcName = `grpc.${settings.domain}`;
  const cert = certificate(scope, settings, zone, grpcName);
  const record = (id: string, recordName: string, balancer: elb.ApplicationLoadBalancer) => new route53.ARecord(scope, id, {
    zone, recordName, target: route53.RecordTarget.fromAlias(new targets.LoadBalancerTarget(balancer)),
  });

  const isPublic = settings.exposure === 'public';
  const rest = loadBalancer(scope, 'RestBalancer', settings, network, storage, isPublic, REST_IDLE);
  const restTargets = addRest(scope, settings, network, task, rest, cert);
  record('RestRecord', settings.domain, rest);
  if (!settings.grpc) return { rest, restTargets };

  // gRPC is never on the internet: a public REST balancer gets an internal one beside it.
  const grpc = isPublic ? loadBalancer(scope, 'GrpcBalancer', settings, network, storage, false, GRPC_IDLE) : rest;
  const grpcTargets = addGrpc(scope, network, task, grpc, cert);
  record('GrpcRecord', grpcName, grpc);
  return { rest, restTargets, grpcTargets };
}
