import * as cdk from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { readSettings } from './settings';
import { OmicsVectorStack } from './stack';
import { suppress } from './suppressions';

// Behaviour of the CDK that newer projects get by default.
const FEATURE_FLAGS = {
  '@aws-cdk/aws-ecs:removeDefaultDeploymentAlarm': true,
  '@aws-cdk/aws-iam:minimizePolicies': true,
  '@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy': true,
  '@aws-cdk/core:checkSecretUsage': true,
  '@aws-cdk/core:enablePartitionLiterals': true,
};

/** For tests; else the switches come as context, and the rules' findings with reasons are suppressed. */
interface AppOptions {
  readonly outdir?: string;
  readonly suppressed?: boolean;
}

/** The app with its one stack, checked by the AWS Solutions rules. */
export function makeApp(switches: Readonly<Record<string, string>> = {}, { outdir, suppressed = true }: AppOptions = {}):
    { app: cdk.App; stack: OmicsVectorStack } {
  const app = new cdk.App({ context: { ...FEATURE_FLAGS, ...switches }, outdir });
  const stack = new OmicsVectorStack(app, readSettings(app.node));
  if (suppressed) suppress(stack);
  cdk.Aspects.of(app).add(new AwsSolutionsChecks());
  return { app, stack };
}
