// What outlives every task: the tokens, the sources of collections, what is shipped, and the load balancers' access logs.

import * as cdk from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { Settings } from './settings';

export interface Storage {
  readonly tokens: secrets.ISecret;
  readonly sources: s3.Bucket;
  /** Where every change goes; undefined without shipping. */
  readonly shipped: s3.IBucket | undefined;
  readonly accessLogs: s3.Bucket;
}

const CLOSED: s3.BucketProps = {
  blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
  encryption: s3.BucketEncryption.S3_MANAGED,
  enforceSSL: true,
  minimumTLSVersion: 1.2,
  objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
  removalPolicy: cdk.RemovalPolicy.RETAIN,
};

/** A token of 48 letters and digits (285 bits), with the role admin until the secret is given a list of tokens. */
function makeTokens(scope: Construct, settings: Settings): secrets.ISecret {
  if (settings.secretArn !== '') return secrets.Secret.fromSecretCompleteArn(scope, 'Tokens', settings.secretArn);
  return new secrets.Secret(scope, 'Tokens', {
    description: `Tokens of ${settings.domain}. The programs poll it: a new value counts within two minutes, without a deploy.`,
    generateSecretString: { passwordLength: 48, excludePunctuation: true },
    removalPolicy: cdk.RemovalPolicy.RETAIN,
  });
}

// Not versioned: the service removes what newer bundles cover, and nothing else may write there.
function makeShipped(scope: Construct, settings: Settings, accessLogs: s3.IBucket): s3.IBucket | undefined {
  if (!settings.shipping) return undefined;
  return new s3.Bucket(scope, 'Shipped', {
    ...CLOSED,
    serverAccessLogsBucket: accessLogs,
    serverAccessLogsPrefix: 'shipped/',
    lifecycleRules: [{ abortIncompleteMultipartUploadAfter: cdk.Duration.days(1) }],
  });
}

export function makeStorage(scope: Construct, settings: Settings): Storage {
  const accessLogs = new s3.Bucket(scope, 'AccessLogs', {
    ...CLOSED,
    lifecycleRules: [{ expiration: cdk.Duration.days(90), abortIncompleteMultipartUploadAfter: cdk.Duration.days(1) }],
  });
  const sources = new s3.Bucket(scope, 'Sources', {
    ...CLOSED,
    versioned: true,
    serverAccessLogsBucket: accessLogs,
    serverAccessLogsPrefix: 'sources/',
    lifecycleRules: [{
      noncurrentVersionExpiration: cdk.Duration.days(90),
      abortIncompleteMultipartUploadAfter: cdk.Duration.days(1),
    }],
  });
  return { tokens: makeTokens(scope, settings), sources, shipped: makeShipped(scope, settings, accessLogs), accessLogs };
}
