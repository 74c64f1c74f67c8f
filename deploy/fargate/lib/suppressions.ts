// What cdk-nag (AWS Solutions rules) asks for and this stack does otherwise: where, and why. A test fails on an entry that
// suppresses nothing.

import { NagSuppressions } from 'cdk-nag';
import { IConstruct } from 'constructs';
import { OmicsVectorStack } from './stack';

export interface Suppression {
  /** Path of the construct below the stack. */
  readonly path: string;
  readonly id: string;
  readonly reason: string;
  /** The findings meant, where the rule has several: texts, or regular expressions between slashes. */
  readonly appliesTo?: readonly (string | { regex: string })[];
}

const BALANCER_REASON = 'Public on purpose: clients outside the VPC call REST, every request needs a token, TLS 1.2 is the least, '
  + 'and -c allowedCidrs narrows it. gRPC stays inside the VPC.';

export const SUPPRESSIONS: readonly Suppression[] = [
  {
    path: 'Tokens/Resource', id: 'AwsSolutions-SMG4',
    reason: 'A new token must reach the callers too, so rotation is an operator\'s step; the programs accept old and new during '
      + 'the overlap and take a new value without a restart.',
  },
  {
    path: 'Cluster/Resource', id: 'AwsSolutions-ECS4',
    reason: 'Container Insights cost more than the alarms need: CPU, memory and volume use of a service are free metrics of AWS/ECS.',
  },
  {
    path: 'Task/Resource', id: 'AwsSolutions-ECS2',
    reason: 'Only settings that are no secrets: addresses, names, the ARN of the secret, the public sources of the collections.',
  },
  { path: 'RestBalancerSecurityGroup/Resource', id: 'AwsSolutions-EC23', reason: BALANCER_REASON },
  ...['RestBalancerSecurityGroup', 'GrpcBalancerSecurityGroup'].map((name) => ({
    path: `${name}/Resource`, id: 'CdkNagValidationFailure',
    reason: 'The rule on open address ranges (EC23) cannot read a parameter: with an existing VPC its range is one.',
  })),
  {
    path: 'Volume/EBSRole/Resource', id: 'AwsSolutions-IAM4',
    reason: 'The policy that ECS prescribes for managed volumes; only ECS can take this role.',
    appliesTo: ['Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonECSInfrastructureRolePolicyForVolumes'],
  },
  {
    path: 'SnapshotRole/Resource', id: 'AwsSolutions-IAM4',
    reason: 'The policy that Data Lifecycle Manager prescribes; only it can take this role, for this account.',
    appliesTo: ['Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSDataLifecycleManagerServiceRole'],
  },
  {
    path: 'Task/TaskRole/DefaultPolicy/Resource', id: 'AwsSolutions-IAM5',
    reason: 'All objects of the bucket of sources, to read, and of the bucket of shipped changes: their names carry collections and '
      + 'versions that are not known here.',
    appliesTo: [{ regex: '/^Resource::<(Sources|Shipped).*\\.Arn>\\/\\*$/' }],
  },
  {
    path: 'Task/ExecutionRole/DefaultPolicy/Resource', id: 'AwsSolutions-IAM5',
    reason: 'ecr:GetAuthorizationToken knows no resource; pulling is allowed from the one repository alone.',
    appliesTo: ['Resource::*'],
  },
];

export function suppress(stack: OmicsVectorStack): void {
  for (const { path, id, reason, appliesTo } of SUPPRESSIONS) {
    const construct = path.split('/').reduce<IConstruct | undefined>((at, name) => at?.node.tryFindChild(name), stack);
    if (construct === undefined) continue; // not with these switches
    NagSuppressions.addResourceSuppressions(construct, [{ id, reason, appliesTo: appliesTo && [...appliesTo] }]);
  }
}
