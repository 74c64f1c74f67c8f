// Who is told what: alarms to one SNS topic, and a dashboard. docs/cloud-chromadb-handoff.md says what to do about each.

import * as cdk from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as events from 'aws-cdk-lib/aws-events';
import * as eventTargets from 'aws-cdk-lib/aws-events-targets';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { Entrances } from './load-balancers';
import { Task } from './service';
import { Settings } from './settings';

const MINUTE = cdk.Duration.minutes(1);
const FIVE_MINUTES = cdk.Duration.minutes(5);

interface Watch {
  readonly name: string;
  readonly what: string;
  readonly metric: cloudwatch.IMetric;
  readonly threshold: number;
  readonly below?: boolean;
  /** Periods in a row that must be bad. */
  readonly periods: number;
  /** What silence means; by default that nothing happened. */
  readonly missing?: cloudwatch.TreatMissingData;
}

function makeTopic(scope: Construct): sns.Topic {
  const topic = new sns.Topic(scope, 'Alarms', { enforceSSL: true });
  topic.addToResourcePolicy(new cdk.aws_iam.PolicyStatement({
    principals: [new cdk.aws_iam.ServicePrincipal('cloudwatch.amazonaws.com')],
    actions: ['sns:Publish'],
    resources: [topic.topicArn],
    conditions: { StringEquals: { 'aws:SourceAccount': cdk.Aws.ACCOUNT_ID } },
  }));
  const address = new cdk.CfnParameter(scope, 'AlarmEmail', { default: '', description: 'Who gets the alarms by e-mail; empty: nobody.' });
  const given = new cdk.CfnCondition(scope, 'HasAlarmEmail', {
    expression: cdk.Fn.conditionNot(cdk.Fn.conditionEquals(address.valueAsString, '')),
  });
  const subscription = new sns.CfnSubscription(scope, 'AlarmSubscription', {
    topicArn: topic.topicArn, protocol: 'email', endpoint: address.valueAsString,
  });
  subscription.cfnOptions.condition = given;
  return topic;
}

// What both programs log, as a warning, when the secret cannot be read or understood.
const STALE_TOKENS = 'the former tokens stay in force';

/** Lines of a program's log that match, summed over five minutes. */
function lines(id: string, group: logs.LogGroup, filterPattern: logs.IFilterPattern): cloudwatch.Metric {
  return new logs.MetricFilter(group, id, {
    logGroup: group,
    filterPattern,
    metricNamespace: 'omics-vector',
    metricName: `${cdk.Names.uniqueResourceName(group, { maxLength: 64 })}${id}`,
    metricValue: '1',
  }).metric({ statistic: 'Sum', period: FIVE_MINUTES });
}

/** ECS gives it for nothing where a volume is attached; the CDK has no method for it. */
function volumeUse(task: Task): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: 'AWS/ECS', metricName: 'EBSFilesystemUtilization', statistic: 'Maximum', period: MINUTE,
    dimensionsMap: { ClusterName: task.cluster.clusterName, ServiceName: task.service.serviceName },
  });
}

interface Metrics {
  readonly requests: cloudwatch.Metric;
  readonly latency: cloudwatch.Metric;
  readonly failures: cloudwatch.Metric;
  readonly refusals: cloudwatch.Metric;
  readonly balancerFailures: cloudwatch.Metric;
  readonly healthy: cloudwatch.Metric;
  readonly cpu: cloudwatch.Metric;
  readonly memory: cloudwatch.Metric;
  readonly volume: cloudwatch.Metric;
  readonly serviceErrors: cloudwatch.Metric;
  readonly gatewayErrors: cloudwatch.Metric;
  readonly staleTokens: cloudwatch.Metric;
}

function readMetrics(task: Task, entrances: Entrances): Metrics {
  const { rest, restTargets } = entrances;
  const errors = logs.FilterPattern.stringValue('$.level', '=', 'error');
  const target = (code: elb.HttpCodeTarget) => restTargets.metrics.httpCodeTarget(code, { statistic: 'Sum', period: FIVE_MINUTES });
  return {
    requests: restTargets.metrics.requestCount({ statistic: 'Sum', period: MINUTE }),
    latency: restTargets.metrics.targetResponseTime({ statistic: 'p99', period: FIVE_MINUTES }),
    failures: target(elb.HttpCodeTarget.TARGET_5XX_COUNT),
    refusals: target(elb.HttpCodeTarget.TARGET_4XX_COUNT),
    balancerFailures: rest.metrics.httpCodeElb(elb.HttpCodeElb.ELB_5XX_COUNT, { statistic: 'Sum', period: FIVE_MINUTES }),
    healthy: restTargets.metrics.healthyHostCount({ statistic: 'Maximum', period: MINUTE }),
    cpu: task.service.metricCpuUtilization({ statistic: 'Average', period: FIVE_MINUTES }),
    memory: task.service.metricMemoryUtilization({ statistic: 'Maximum', period: MINUTE }),
    volume: volumeUse(task),
    serviceErrors: lines('Errors', task.serviceLogs, errors),
    gatewayErrors: lines('Errors', task.gatewayLogs, errors),
    // Both programs read the same secret; the service's word is enough.
    staleTokens: lines('StaleTokens', task.serviceLogs, logs.FilterPattern.stringValue('$.msg', '=', `*${STALE_TOKENS}*`)),
  };
}

function watches(settings: Settings, metrics: Metrics): Watch[] {
  const breaching = cloudwatch.TreatMissingData.BREACHING;
  const all: Watch[] = [
    { name: 'NoHealthyTask', what: 'No task answers.', metric: metrics.healthy, threshold: 1, below: true, periods: 3, missing: breaching },
    { name: 'RequestsFail', what: 'The gateway answers with 5xx.', metric: metrics.failures, threshold: 10, periods: 1 },
    { name: 'BalancerFails', what: 'The load balancer answers with 5xx itself.', metric: metrics.balancerFailures, threshold: 10, periods: 1 },
    { name: 'Slow', what: 'One request in a hundred takes over a second.', metric: metrics.latency, threshold: 1, periods: 3 },
    { name: 'CpuHigh', what: 'The tasks have used most of their CPU for 15 minutes.', metric: metrics.cpu, threshold: 80, periods: 3 },
    { name: 'MemoryHigh', what: 'A task that uses all its memory is killed.', metric: metrics.memory, threshold: 85, periods: 5 },
    { name: 'ServiceErrors', what: 'vector-service has logged an error.', metric: metrics.serviceErrors, threshold: 1, periods: 1 },
    { name: 'GatewayErrors', what: 'vector-gateway has logged an error.', metric: metrics.gatewayErrors, threshold: 1, periods: 1 },
    { name: 'TokensStale', what: 'The secret cannot be read or understood.', metric: metrics.staleTokens, threshold: 1, periods: 1 },
    { name: 'ManyRefusals', what: 'Callers are refused: tokens rotated away, or somebody tries.', metric: metrics.refusals, threshold: 500, periods: 1 },
  ];
  if (settings.shape === 'writable') {
    all.push({ name: 'VolumeFilling', what: 'Writes are refused when the volume is full.', metric: metrics.volume, threshold: 75, periods: 5 });
  }
  return all;
}

function addAlarm(scope: Construct, watch: Watch, topic: sns.Topic): cloudwatch.Alarm {
  const { GREATER_THAN_OR_EQUAL_TO_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator;
  const alarm = new cloudwatch.Alarm(scope, watch.name, {
    metric: watch.metric,
    threshold: watch.threshold,
    evaluationPeriods: watch.periods,
    comparisonOperator: watch.below ? LESS_THAN_THRESHOLD : GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    treatMissingData: watch.missing ?? cloudwatch.TreatMissingData.NOT_BREACHING,
    alarmDescription: `${watch.what} What to do: docs/cloud-chromadb-handoff.md, Operations.`,
  });
  alarm.addAlarmAction(new actions.SnsAction(topic));
  alarm.addOkAction(new actions.SnsAction(topic));
  return alarm;
}

/** A stopped task of the writable shape has taken its volume with it: somebody must look, also after a wanted deploy. */
function tellOfStoppedTasks(scope: Construct, task: Task, topic: sns.Topic): void {
  const rule = new events.Rule(scope, 'TaskStopped', {
    description: 'A task of the writable service has stopped, and its volume is deleted with it.',
    eventPattern: {
      source: ['aws.ecs'],
      detailType: ['ECS Task State Change'],
      detail: { clusterArn: [task.cluster.clusterArn], lastStatus: ['STOPPED'] },
    },
  });
  rule.addTarget(new eventTargets.SnsTopic(topic, {
    message: events.RuleTargetInput.fromText(
      `Task ${events.EventField.fromPath('$.detail.taskArn')} has stopped (${events.EventField.fromPath('$.detail.stoppedReason')}); `
      + 'its volume is deleted. See "Restore" in docs/cloud-chromadb-handoff.md.'),
  }));
}

function addDashboard(scope: Construct, settings: Settings, metrics: Metrics, alarms: cloudwatch.Alarm[]): void {
  const graph = (title: string, ...left: cloudwatch.IMetric[]) => new cloudwatch.GraphWidget({ title, left, width: 8, height: 6 });
  const resources = settings.shape === 'writable' ? [metrics.cpu, metrics.memory, metrics.volume] : [metrics.cpu, metrics.memory];
  new cloudwatch.Dashboard(scope, 'Dashboard', {
    defaultInterval: cdk.Duration.hours(12),
    widgets: [
      [new cloudwatch.AlarmStatusWidget({ title: settings.domain, alarms, width: 24, height: 3 })],
      [graph('Requests a minute', metrics.requests), graph('p99, seconds', metrics.latency), graph('Healthy tasks', metrics.healthy)],
      [
        graph('Failures and refusals', metrics.failures, metrics.balancerFailures, metrics.refusals),
        graph('Used, percent', ...resources),
        graph('Errors in the logs', metrics.serviceErrors, metrics.gatewayErrors),
      ],
    ],
  });
}

export function makeAlarms(scope: Construct, settings: Settings, task: Task, entrances: Entrances): sns.Topic {
  const topic = makeTopic(scope);
  const metrics = readMetrics(task, entrances);
  const alarms = watches(settings, metrics).map((watch) => addAlarm(scope, watch, topic));
  if (settings.shape === 'writable') tellOfStoppedTasks(scope, task, topic);
  addDashboard(scope, settings, metrics, alarms);
  return topic;
}
