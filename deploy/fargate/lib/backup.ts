// Snapshots of the writable shape's volume. The volume is deleted with its task; its snapshots stay, and -c snapshotId
// makes the next task's volume from one.

import * as cdk from 'aws-cdk-lib';
import * as dlm from 'aws-cdk-lib/aws-dlm';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { Settings } from './settings';

// Two days, at one an hour; they are incremental, so most cost little.
const SNAPSHOTS_KEPT = 48;

export function makeSnapshots(scope: Construct, settings: Settings): void {
  if (settings.shape !== 'writable' || settings.snapshotHours === 0) return;
  const role = new iam.Role(scope, 'SnapshotRole', {
    assumedBy: new iam.ServicePrincipal('dlm.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': cdk.Aws.ACCOUNT_ID } } }),
    managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AWSDataLifecycleManagerServiceRole')],
  });
  new dlm.CfnLifecyclePolicy(scope, 'Snapshots', {
    description: `omics-vector volumes every ${settings.snapshotHours} h`,
    state: 'ENABLED',
    executionRoleArn: role.roleArn,
    policyDetails: {
      policyType: 'EBS_SNAPSHOT_MANAGEMENT',
      resourceTypes: ['VOLUME'],
      targetTags: [{ key: 'Name', value: settings.domain }],
      schedules: [{
        name: 'regular',
        copyTags: true,
        createRule: { interval: settings.snapshotHours, intervalUnit: 'HOURS', times: ['00:00'] },
        retainRule: { count: SNAPSHOTS_KEPT },
      }],
    },
  });
}
