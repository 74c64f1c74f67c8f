import * as cdk from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { makeAlarms } from './alarms';
import { makeSnapshots } from './backup';
import { makeEntrances } from './load-balancers';
import { makeNetwork } from './network';
import { makeTask } from './service';
import { Settings } from './settings';
import { makeStorage } from './storage';

export const STACK_NAME = 'omics-vector';

/** omics-vector on ECS Fargate behind application load balancers. Made for a region, for any account. */
export class OmicsVectorStack extends cdk.Stack {
  constructor(scope: Construct, settings: Settings) {
    super(scope, STACK_NAME, {
      env: { region: settings.region },
      description: `omics-vector at ${settings.domain}, ${settings.shape}`,
    });
    const network = makeNetwork(this, settings);
    const storage = makeStorage(this, settings);
    const task = makeTask(this, settings, network, storage);
    makeSnapshots(this, settings);
    const entrances = makeEntrances(this, settings, network, storage, task);
    const topic = makeAlarms(this, settings, task, entrances);

    const output = (id: string, value: string, description: string) => new cdk.CfnOutput(this, id, { value, description });
    output('RestUrl', `https://${settings.domain}`, 'REST, for Chroma clients');
    if (settings.grpc) output('GrpcAddress', `grpc.${settings.domain}:50051`, 'gRPC over TLS, from inside the VPC');
    output('TokensSecret', storage.tokens.secretArn, 'The secret that holds the tokens');
    output('SourcesBucket', storage.sources.bucketName, 'Bucket for sources of the prewarm list');
    output('ClusterName', task.cluster.clusterName, 'ECS cluster');
    output('ServiceName', task.service.serviceName, 'ECS service');
    output('ServiceLogGroup', task.serviceLogs.logGroupName, 'Log of vector-service');
    output('GatewayLogGroup', task.gatewayLogs.logGroupName, 'Log of vector-gateway');
    output('AlarmTopic', topic.topicArn, 'SNS topic of the alarms');
  }
}
