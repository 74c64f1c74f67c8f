// Where everything stands: a VPC of our own over two availability zones, or the ids of one that is there.

import * as cdk from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { Settings } from './settings';

export interface Network {
  readonly vpc: ec2.IVpc;
  /** Of the whole VPC, for the listeners that only the VPC may reach. */
  readonly cidr: string;
  /** Where the tasks run, and whether they need public addresses there. */
  readonly taskSubnets: ec2.SubnetSelection;
  readonly taskPublicIp: boolean;
}

const CIDR = '10.20.0.0/16';

/**
 * Two public and two private subnets. Zones are parameters, since an account's names say nothing about use1-az3, where
 * Fargate cannot attach EBS volumes. S3 has a gateway endpoint (free), so that prewarming never passes the NAT gateway.
 */
function newNetwork(scope: Construct, settings: Settings): Network {
  const zone = (letter: string) => new cdk.CfnParameter(scope, `AvailabilityZone${letter}`, {
    type: 'AWS::EC2::AvailabilityZone::Name',
    description: 'A zone whose id is not use1-az3, where Fargate cannot attach EBS volumes.',
  }).valueAsString;
  const nat = settings.egress === 'nat';
  const subnetConfiguration: ec2.SubnetConfiguration[] = [
    { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
  ];
  if (nat) subnetConfiguration.push({ name: 'Private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 24 });
  const vpc = new ec2.Vpc(scope, 'Vpc', {
    ipAddresses: ec2.IpAddresses.cidr(CIDR),
    availabilityZones: [zone('A'), zone('B')],
    natGateways: nat ? 1 : 0,
    subnetConfiguration,
    gatewayEndpoints: { S3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
  });
  vpc.addFlowLog('FlowLog', {
    destination: ec2.FlowLogDestination.toCloudWatchLogs(
      new logs.LogGroup(scope, 'FlowLogs', { retention: logs.RetentionDays.ONE_MONTH, removalPolicy: cdk.RemovalPolicy.DESTROY })),
    trafficType: ec2.FlowLogTrafficType.REJECT,
  });
  const taskSubnets = { subnetType: nat ? ec2.SubnetType.PRIVATE_WITH_EGRESS : ec2.SubnetType.PUBLIC };
  return { vpc, cidr: CIDR, taskSubnets, taskPublicIp: !nat };
}

/** Ids come as parameters: nothing is looked up, so the template can be made without an account. */
function existingNetwork(scope: Construct, settings: Settings): Network {
  const parameter = (id: string, type: string, description: string) =>
    new cdk.CfnParameter(scope, id, { type, description }).valueAsString;
  const subnet = (id: string, what: string) => parameter(id, 'AWS::EC2::Subnet::Id', `${what} Its zone's id must not be use1-az3.`);
  const cidr = parameter('VpcCidr', 'String', 'The address range of the VPC, for the listeners that only it may reach.');
  const vpc = ec2.Vpc.fromVpcAttributes(scope, 'Vpc', {
    vpcId: parameter('VpcId', 'AWS::EC2::VPC::Id', 'The VPC to deploy into.'),
    vpcCidrBlock: cidr,
    // Nothing here reads the zones' names; the subnets say where they are.
    availabilityZones: [cdk.Fn.select(0, cdk.Fn.getAzs()), cdk.Fn.select(1, cdk.Fn.getAzs())],
    publicSubnetIds: settings.exposure === 'public'
      ? [subnet('PublicSubnetA', 'For the public load balancer.'), subnet('PublicSubnetB', 'For the public load balancer.')] : undefined,
    privateSubnetIds: [subnet('PrivateSubnetA', 'With a way out, for tasks.'), subnet('PrivateSubnetB', 'With a way out, for tasks.')],
  });
  cdk.Annotations.of(scope).acknowledgeWarning('@aws-cdk/aws-ec2:noSubnetRouteTableId', 'no route is added to them');
  return { vpc, cidr, taskSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS }, taskPublicIp: false };
}

export function makeNetwork(scope: Construct, settings: Settings): Network {
  return settings.vpc === 'new' ? newNetwork(scope, settings) : existingNetwork(scope, settings);
}
