// What each switch does to the template, and that every shape of it passes cdk-nag.

import * as assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { describe, it } from 'node:test';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { makeApp } from '../lib/app';
import { readSettings, SWITCHES } from '../lib/settings';
import { SUPPRESSIONS } from '../lib/suppressions';
import { COMBINATIONS } from './combinations';

type Switches = Readonly<Record<string, string>>;
type Json = Record<string, any>;

const made = new Map<string, Template>();

function template(switches: Switches = {}): Template {
  const key = JSON.stringify(switches);
  const known = made.get(key);
  if (known !== undefined) return known;
  const fresh = Template.fromStack(makeApp(switches).stack);
  made.set(key, fresh);
  return fresh;
}

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'stack-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true }));

/** A file that holds `value`. */
function jsonFile(value: unknown): string {
  const file = path.join(scratch, `${fs.readdirSync(scratch).length}.json`);
  fs.writeFileSync(file, JSON.stringify(value));
  return file;
}

function only(from: Template, type: string): Json {
  const found = Object.values(from.findResources(type));
  assert.equal(found.length, 1, `${found.length} resources of type ${type}`);
  return found[0]!.Properties;
}

function all(from: Template, type: string): Json[] {
  return Object.values(from.findResources(type)).map((resource) => resource.Properties ?? {});
}

function container(from: Template, name: string): Json {
  const found = only(from, 'AWS::ECS::TaskDefinition').ContainerDefinitions.find((each: Json) => each.Name === name);
  assert.ok(found, `no container ${name}`);
  return found;
}

function environment(from: Template, name: string): Json {
  return Object.fromEntries(container(from, name).Environment.map((each: Json) => [each.Name, each.Value]));
}

function attributes(balancer: Json): Json {
  return Object.fromEntries(balancer.LoadBalancerAttributes.map((each: Json) => [each.Key, each.Value]));
}

function listener(from: Template, port: number): Json {
  const found = all(from, 'AWS::ElasticLoadBalancingV2::Listener').find((each) => each.Port === port);
  assert.ok(found, `no listener on port ${port}`);
  return found;
}

function targets(from: Template, port: number): Json {
  const found = all(from, 'AWS::ElasticLoadBalancingV2::TargetGroup').find((each) => each.Port === port);
  assert.ok(found, `no target group on port ${port}`);
  return found;
}

function alarmCount(from: Template): number {
  return all(from, 'AWS::CloudWatch::Alarm').length;
}

describe('the writable shape', () => {
  it('is one ARM64 task of 1 vCPU and 4 GB', () => {
    const task = only(template(), 'AWS::ECS::TaskDefinition');
    assert.equal(task.Cpu, '1024');
    assert.equal(task.Memory, '4096');
    assert.equal(task.RuntimePlatform.CpuArchitecture, 'ARM64');
    assert.equal(only(template(), 'AWS::ECS::Service').DesiredCount, 1);
    template().resourceCountIs('AWS::ApplicationAutoScaling::ScalableTarget', 0);
  });

  it('never runs two writers: the old task stops first, and nothing moves it between zones', () => {
    const service = only(template(), 'AWS::ECS::Service');
    assert.equal(service.DeploymentConfiguration.MinimumHealthyPercent, 0);
    assert.equal(service.DeploymentConfiguration.MaximumPercent, 100);
    assert.equal(service.AvailabilityZoneRebalancing, 'DISABLED');
  });

  it('keeps data on an encrypted gp3 volume, mounted in vector-service alone', () => {
    const [volume] = only(template(), 'AWS::ECS::Service').VolumeConfigurations;
    assert.deepEqual(
      [volume.ManagedEBSVolume.SizeInGiB, volume.ManagedEBSVolume.VolumeType, volume.ManagedEBSVolume.Encrypted, volume.ManagedEBSVolume.SnapshotId],
      [10, 'gp3', true, undefined]);
    const mounts = (name: string) => container(template(), name).MountPoints.map((mount: Json) => mount.ContainerPath);
    assert.deepEqual(mounts('vector-service').sort(), ['/data', '/run/omics-vector']);
    assert.deepEqual(mounts('vector-gateway'), ['/run/omics-vector']);
  });

  it('tells of every stopped task, whose volume is gone, and of a volume that fills', () => {
    template().hasResourceProperties('AWS::Events::Rule', {
      EventPattern: { 'detail-type': ['ECS Task State Change'], detail: { lastStatus: ['STOPPED'] } },
    });
    template().hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'EBSFilesystemUtilization', Namespace: 'AWS/ECS' });
  });
});

describe('snapshots', () => {
  const policy = (switches: Switches = {}) => only(template(switches), 'AWS::DLM::LifecyclePolicy').PolicyDetails;

  it('are taken every hour of the volumes that the tasks get', () => {
    const [volume] = only(template(), 'AWS::ECS::Service').VolumeConfigurations;
    const tags = volume.ManagedEBSVolume.TagSpecifications[0].Tags;
    assert.deepEqual(policy().TargetTags, tags);
    assert.equal(policy().Schedules[0].CreateRule.Interval, 1);
    assert.equal(policy().Schedules[0].CopyTags, true);
  });

  it('snapshotHours: another interval, or none; none for the read-only shape', () => {
    assert.equal(policy({ snapshotHours: '12' }).Schedules[0].CreateRule.Interval, 12);
    template({ snapshotHours: '0' }).resourceCountIs('AWS::DLM::LifecyclePolicy', 0);
    template({ shape: 'read-only' }).resourceCountIs('AWS::DLM::LifecyclePolicy', 0);
  });
});

describe('the containers', () => {
  for (const name of ['vector-service', 'vector-gateway']) {
    it(`${name} runs as uid 10001 on a read-only root and is restarted inside its task`, () => {
      const { User, ReadonlyRootFilesystem, RestartPolicy, Essential, StopTimeout } = container(template(), name);
      assert.deepEqual({ User, ReadonlyRootFilesystem, RestartPolicy, Essential },
        { User: '10001:10001', ReadonlyRootFilesystem: true, RestartPolicy: { Enabled: true, RestartAttemptPeriod: 60 }, Essential: true });
      assert.ok(StopTimeout > Number(environment(template(), name).OMICS_VECTOR_DRAIN_SECONDS), 'killed before it has drained');
    });

    it(`${name} polls its tokens: no secret is injected`, () => {
      assert.equal(container(template(), name).Secrets, undefined);
      assert.deepEqual(Object.keys(environment(template(), name).OMICS_VECTOR_TOKENS_SECRET), ['Ref']);
    });
  }

  it('share a unix socket, and all of the memory', () => {
    const service = environment(template(), 'vector-service');
    assert.equal(environment(template(), 'vector-gateway').OMICS_VECTOR_SERVICE_ADDRESS, `unix:${service.OMICS_VECTOR_GRPC_UNIX_SOCKET}`);
    assert.equal(container(template(), 'vector-service').Memory + container(template(), 'vector-gateway').Memory, 4096);
  });

  it('are judged by liveness alone: a task that is loading or full is not replaced', () => {
    assert.deepEqual(container(template(), 'vector-service').HealthCheck.Command.slice(0, 4), ['CMD', 'vectorctl', 'health', '--live']);
    assert.equal(container(template(), 'vector-gateway').HealthCheck, undefined);
    assert.equal(container(template(), 'vector-gateway').DependsOn[0].Condition, 'START');
    assert.equal(targets(template(), 8000).HealthCheckPath, '/livez');
  });

  it('write to volumes alone: temporary files of SQLite go to the data volume', () => {
    assert.equal(environment(template(), 'vector-service').SQLITE_TMPDIR, '/data');
  });

  it('prewarm the three collections with their aliases', () => {
    const list = JSON.parse(environment(template(), 'vector-service').OMICS_VECTOR_PREWARM);
    assert.deepEqual(list.map((each: Json) => [each.collection, ...each.aliases]), [
      ['mondo_v2024_01', 'disease'], ['uberon_v2024_01', 'tissue'], ['cell_ontology_v2024_01', 'cell_type']]);
  });
});

describe('access', () => {
  it('the task may read its secret and the sources, and nothing else', () => {
    const [policy] = all(template(), 'AWS::IAM::Policy').filter((each) => JSON.stringify(each).includes('secretsmanager'));
    const actions = policy!.PolicyDocument.Statement.flatMap((each: Json) => each.Action);
    assert.deepEqual(actions.sort(), ['s3:GetObject', 's3:ListBucket', 'secretsmanager:GetSecretValue']);
    assert.ok(policy!.PolicyDocument.Statement.every((each: Json) => each.Resource !== '*'));
  });

  it('no role may do everything, and only ecr:GetAuthorizationToken is allowed on every resource', () => {
    const statements = all(template(), 'AWS::IAM::Policy').flatMap((each) => each.PolicyDocument.Statement);
    const wide = statements.filter((each: Json) => each.Resource === '*').flatMap((each: Json) => each.Action);
    assert.deepEqual(wide, ['ecr:GetAuthorizationToken']);
    assert.ok(!JSON.stringify(statements).includes('"*:*"'));
  });

  it('tasks take connections from the load balancers alone and open them to port 443 alone', () => {
    const groups = all(template(), 'AWS::EC2::SecurityGroup').filter((each) => each.GroupDescription.startsWith('The tasks'));
    assert.equal(groups[0]!.SecurityGroupIngress, undefined);
    assert.deepEqual(groups[0]!.SecurityGroupEgress.map((each: Json) => each.ToPort), [443]);
    for (const rule of all(template(), 'AWS::EC2::SecurityGroupIngress')) assert.ok(rule.SourceSecurityGroupId, 'a rule without a group');
  });

  it('buckets are private, encrypted, TLS only, and stay when the stack goes', () => {
    for (const bucket of Object.values(template().findResources('AWS::S3::Bucket'))) {
      assert.equal(bucket.DeletionPolicy, 'Retain');
      assert.equal(bucket.Properties.PublicAccessBlockConfiguration.RestrictPublicBuckets, true);
      assert.ok(bucket.Properties.BucketEncryption);
    }
    const policies = all(template(), 'AWS::S3::BucketPolicy');
    assert.equal(policies.filter((each) => JSON.stringify(each).includes('aws:SecureTransport')).length, 2);
  });

  it('nothing of an account is in the template', () => {
    assert.ok(!/\b\d{12}\b/.test(JSON.stringify(template().toJSON()).replaceAll('127311923021', '')), 'an account id (other than ELB\'s own)');
  });
});

describe('the load balancers', () => {
  it('take TLS 1.2 and newer only, and refuse ambiguous and invalid requests', () => {
    for (const each of all(template(), 'AWS::ElasticLoadBalancingV2::Listener')) {
      assert.equal(each.Protocol, 'HTTPS');
      assert.equal(each.SslPolicy, 'ELBSecurityPolicy-TLS13-1-2-Res-2021-06');
    }
    for (const each of all(template(), 'AWS::ElasticLoadBalancingV2::LoadBalancer')) {
      const given = attributes(each);
      assert.equal(given['routing.http.desync_mitigation_mode'], 'strictest');
      assert.equal(given['routing.http.drop_invalid_header_fields.enabled'], 'true');
      assert.equal(given['deletion_protection.enabled'], 'true');
      assert.equal(given['access_logs.s3.enabled'], 'true');
    }
  });

  it('close idle REST connections before the gateway does, after 75 s', () => {
    const [rest] = all(template(), 'AWS::ElasticLoadBalancingV2::LoadBalancer').filter((each) => each.Scheme === 'internet-facing');
    assert.ok(Number(attributes(rest!)['idle_timeout.timeout_seconds']) < 75);
  });

  it('take targets out of rotation within the time that a task has to stop', () => {
    for (const group of all(template(), 'AWS::ElasticLoadBalancingV2::TargetGroup')) {
      const given = Object.fromEntries(group.TargetGroupAttributes.map((each: Json) => [each.Key, each.Value]));
      assert.ok(Number(given['deregistration_delay.timeout_seconds']) < container(template(), 'vector-gateway').StopTimeout);
    }
  });

  it('ask gRPC by its own health protocol, where any answer is life', () => {
    const group = targets(template(), 50051);
    assert.equal(group.ProtocolVersion, 'GRPC');
    assert.equal(group.HealthCheckPath, '/grpc.health.v1.Health/Check');
    assert.equal(group.Matcher.GrpcCode, '0');
    assert.equal(only(template(), 'AWS::ECS::Service').HealthCheckGracePeriodSeconds, 600);
  });

  it('have names in the zone', () => {
    const names = all(template(), 'AWS::Route53::RecordSet').map((each) => each.Name).sort();
    assert.deepEqual(names, ['grpc.vector.omics-os.com.', 'vector.omics-os.com.']);
  });
});

describe('alarms', () => {
  it('all go to one topic and say where to read on', () => {
    for (const alarm of all(template(), 'AWS::CloudWatch::Alarm')) {
      assert.equal(alarm.AlarmActions.length, 1);
      assert.match(alarm.AlarmDescription, /docs\/cloud-chromadb-handoff\.md/);
    }
  });

  it('count errors in both logs, and a secret that is not read, in the words of the programs', () => {
    const patterns = all(template(), 'AWS::Logs::MetricFilter').map((each) => each.FilterPattern).sort();
    assert.deepEqual(patterns, ['{ $.level = "error" }', '{ $.level = "error" }', '{ $.msg = "*the former tokens stay in force*" }']);
    const names = all(template(), 'AWS::Logs::MetricFilter').map((each) => each.MetricTransformations[0].MetricName);
    assert.equal(new Set(names).size, 3, 'each has a metric of its own');
  });

  it('an e-mail address is asked for, and nobody is subscribed without one', () => {
    const subscription = Object.values(template().findResources('AWS::SNS::Subscription'))[0]!;
    assert.equal(subscription.Condition, 'HasAlarmEmail');
  });
});

describe('switches', () => {
  it('shape=read-only: replicas without volume, rolling deploys, autoscaling, routed to when ready', () => {
    const from = template({ shape: 'read-only', replicasMin: '3', replicasMax: '9' });
    const service = only(from, 'AWS::ECS::Service');
    assert.equal(service.VolumeConfigurations, undefined);
    assert.equal(service.DesiredCount, undefined);
    assert.deepEqual([service.DeploymentConfiguration.MinimumHealthyPercent, service.DeploymentConfiguration.MaximumPercent], [100, 200]);
    from.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { MinCapacity: 3, MaxCapacity: 9 });
    assert.equal(targets(from, 8000).HealthCheckPath, '/readyz');
    from.resourceCountIs('AWS::Events::Rule', 0);
    assert.equal(alarmCount(from), alarmCount(template()) - 1);
  });

  it('shape=read-only: the load balancer refuses writes over REST, which would reach one replica alone', () => {
    const rules = all(template({ shape: 'read-only' }), 'AWS::ElasticLoadBalancingV2::ListenerRule');
    assert.equal(rules.length, 2);
    assert.ok(rules.every((rule) => rule.Actions[0].FixedResponseConfig.StatusCode === '403'));
    assert.ok(JSON.stringify(rules).includes('*/upsert') && JSON.stringify(rules).includes('DELETE'));
    template().resourceCountIs('AWS::ElasticLoadBalancingV2::ListenerRule', 0);
  });

  it('cpu, memory, architecture, volumeGiB, snapshotId', () => {
    const from = template({ cpu: '512', memory: '2048', architecture: 'X86_64', volumeGiB: '50', snapshotId: 'snap-0123456789abcdef0' });
    const task = only(from, 'AWS::ECS::TaskDefinition');
    assert.deepEqual([task.Cpu, task.Memory, task.RuntimePlatform.CpuArchitecture], ['512', '2048', 'X86_64']);
    const volume = only(from, 'AWS::ECS::Service').VolumeConfigurations[0].ManagedEBSVolume;
    assert.deepEqual([volume.SizeInGiB, volume.SnapshotId], [50, 'snap-0123456789abcdef0']);
  });

  it('vpc=existing: ids are parameters, nothing of the network is made or looked up', () => {
    const from = template({ vpc: 'existing' });
    for (const type of ['VPC', 'Subnet', 'NatGateway', 'Route', 'InternetGateway']) from.resourceCountIs(`AWS::EC2::${type}`, 0);
    const parameters = Object.keys(from.findParameters('*'));
    for (const name of ['VpcId', 'VpcCidr', 'PublicSubnetA', 'PublicSubnetB', 'PrivateSubnetA', 'PrivateSubnetB']) assert.ok(parameters.includes(name), name);
    assert.deepEqual(only(from, 'AWS::ECS::Service').NetworkConfiguration.AwsvpcConfiguration.Subnets, [{ Ref: 'PrivateSubnetA' }, { Ref: 'PrivateSubnetB' }]);
  });

  it('vpc=new: the zones are parameters, S3 does not pass the NAT gateway', () => {
    const from = template();
    from.resourceCountIs('AWS::EC2::NatGateway', 1);
    from.resourceCountIs('AWS::EC2::VPCEndpoint', 1);
    assert.deepEqual([...new Set(all(from, 'AWS::EC2::Subnet').map((each) => each.AvailabilityZone.Ref))], ['AvailabilityZoneA', 'AvailabilityZoneB']);
    assert.equal(only(from, 'AWS::ECS::Service').NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp, 'DISABLED');
  });

  it('egress=public-ip: no NAT gateway, tasks with public addresses', () => {
    const from = template({ egress: 'public-ip' });
    from.resourceCountIs('AWS::EC2::NatGateway', 0);
    assert.equal(only(from, 'AWS::ECS::Service').NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp, 'ENABLED');
  });

  it('exposure=internal: one load balancer for both, reachable from the VPC alone', () => {
    const from = template({ exposure: 'internal' });
    assert.equal(only(from, 'AWS::ElasticLoadBalancingV2::LoadBalancer').Scheme, 'internal');
    listener(from, 443);
    listener(from, 50051);
    assert.ok(!JSON.stringify(all(from, 'AWS::EC2::SecurityGroup').map((each) => each.SecurityGroupIngress)).includes('0.0.0.0/0'));
  });

  it('exposure=public: REST on the internet, gRPC on an internal load balancer', () => {
    const balancers = all(template(), 'AWS::ElasticLoadBalancingV2::LoadBalancer').map((each) => each.Scheme).sort();
    assert.deepEqual(balancers, ['internal', 'internet-facing']);
    const [internal] = all(template(), 'AWS::EC2::SecurityGroup').filter((each) => each.GroupDescription.includes('GrpcBalancer'));
    assert.deepEqual(internal!.SecurityGroupIngress.map((each: Json) => [each.CidrIp, each.ToPort]), [['10.20.0.0/16', 50051]]);
  });

  it('allowedCidrs: who may reach REST', () => {
    const groups = all(template({ allowedCidrs: '198.51.100.0/24, 203.0.113.7/32' }), 'AWS::EC2::SecurityGroup');
    const [rest] = groups.filter((each) => each.GroupDescription.includes('RestBalancer'));
    assert.deepEqual(rest!.SecurityGroupIngress.map((each: Json) => each.CidrIp), ['198.51.100.0/24', '203.0.113.7/32']);
  });

  it('grpc=off: no gRPC port, target group, record or second load balancer', () => {
    const from = template({ grpc: 'off' });
    from.resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 1);
    from.resourceCountIs('AWS::ElasticLoadBalancingV2::TargetGroup', 1);
    from.resourceCountIs('AWS::Route53::RecordSet', 1);
    assert.equal(environment(from, 'vector-service').OMICS_VECTOR_GRPC_ADDRESS, '');
    assert.equal(only(from, 'AWS::CertificateManager::Certificate').SubjectAlternativeNames, undefined);
  });

  it('certificateArn and secretArn: what is there is used', () => {
    const certificateArn = 'arn:aws:acm:us-east-1:111122223333:certificate/c';
    const secretArn = 'arn:aws:secretsmanager:us-east-1:111122223333:secret:tokens-AbCdEf';
    const from = template({ certificateArn, secretArn });
    from.resourceCountIs('AWS::CertificateManager::Certificate', 0);
    from.resourceCountIs('AWS::SecretsManager::Secret', 0);
    assert.equal(listener(from, 443).Certificates[0].CertificateArn, certificateArn);
    assert.equal(environment(from, 'vector-gateway').OMICS_VECTOR_TOKENS_SECRET, secretArn);
  });

  it('domain, zone, region, protect', () => {
    const from = template({ domain: 'v.example.org', zone: 'example.org', region: 'us-west-2', protect: 'off' });
    const names = all(from, 'AWS::Route53::RecordSet').map((each) => each.Name).sort();
    assert.deepEqual(names, ['grpc.v.example.org.', 'v.example.org.']);
    assert.equal(environment(from, 'vector-service').OMICS_VECTOR_AWS_REGION, 'us-west-2');
    for (const each of all(from, 'AWS::ElasticLoadBalancingV2::LoadBalancer')) assert.equal(attributes(each)['deletion_protection.enabled'], 'false');
  });

  it('prewarm: another list, whose S3 objects the task may read', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'prewarm-'));
    const file = path.join(folder, 'list.json');
    fs.writeFileSync(file, '[ {"collection": "cells", "url": "s3://private-bucket/v2/cells.tar.gz"} ]');
    const from = template({ prewarm: file });
    assert.equal(environment(from, 'vector-service').OMICS_VECTOR_PREWARM, '[{"collection":"cells","url":"s3://private-bucket/v2/cells.tar.gz"}]');
    assert.match(JSON.stringify(all(from, 'AWS::IAM::Policy')), /:s3:::private-bucket\/v2\/cells.tar.gz"/);
    assert.ok(!JSON.stringify(all(template(), 'AWS::IAM::Policy')).includes(':s3:::'));
    fs.rmSync(folder, { recursive: true });
  });

  it('endUsers: both programs take the tokens of the user pool', () => {
    const file = jsonFile({ issuer: 'https://issuer.example.com', audience: 'app', roles: '*=read', 'tenant-claim': 'custom:tenant' });
    const from = template({ endUsers: file });
    for (const program of ['vector-service', 'vector-gateway']) {
      assert.equal(environment(from, program).OMICS_VECTOR_JWT_ISSUER, 'https://issuer.example.com');
      assert.equal(environment(from, program).OMICS_VECTOR_JWT_TENANT_CLAIM, 'custom:tenant');
      assert.ok(!Object.keys(environment(template(), program)).some((name) => name.includes('JWT')));
    }
  });

  it('shipping: a bucket that the task alone may write, and time to ship the rest', () => {
    const from = template({ shipping: 'on' });
    assert.match(JSON.stringify(environment(from, 'vector-service').OMICS_VECTOR_SHIP_TO), /s3:\/\/.*Shipped.*\/vector/);
    assert.equal(environment(from, 'vector-gateway').OMICS_VECTOR_SHIP_TO, undefined);
    const writing = all(from, 'AWS::IAM::Policy').flatMap((each) => each.PolicyDocument.Statement)
      .filter((each: Json) => [each.Action].flat().includes('s3:PutObject'));
    assert.equal(writing.length, 1);
    assert.ok([writing[0].Action].flat().includes('s3:AbortMultipartUpload'), 'bundles go up in parts');
    assert.match(JSON.stringify(writing[0].Resource), /Shipped/);
    assert.ok(!JSON.stringify(writing[0].Resource).includes('Sources'));
    assert.ok(JSON.stringify(all(from, 'AWS::ECS::TaskDefinition')).includes('"StopTimeout":120'));
    assert.ok(!JSON.stringify(all(template(), 'AWS::ECS::TaskDefinition')).includes('"StopTimeout":120'));
    assert.equal(environment(template(), 'vector-service').OMICS_VECTOR_SHIP_TO, undefined);
  });

  it('every one is covered by the template tests above', () => {
    const source = fs.readFileSync(path.join(__dirname, '..', '..', 'test', 'stack.test.ts'), 'utf8');
    for (const name of SWITCHES) assert.match(source, new RegExp(`\\b${name}\\b.*[:,]`), `no test of ${name}`);
  });
});

describe('a wrong switch', () => {
  const wrong: [Switches, RegExp][] = [
    [{ shape: 'both' }, /shape=both: must be writable or read-only/],
    [{ cpu: '1000' }, /cpu=1000: must be one of 512, 1024/],
    [{ cpu: '1024', memory: '1024' }, /1024 CPU units go with 2 to 8 GiB/],
    [{ volumeGiB: '1.5' }, /volumeGiB=1.5: must be a whole number/],
    [{ snapshotHours: '5' }, /snapshotHours=5: must be one of 0, 1, 2/],
    [{ replicasMin: '7' }, /replicasMin: must not exceed/],
    [{ shape: 'read-only', snapshotId: 'snap-1' }, /read-only shape has no volume/],
    [{ shape: 'read-only', shipping: 'on' }, /read-only shape has nothing to ship/],
    [{ vpc: 'existing', egress: 'public-ip' }, /only for a new VPC/],
    [{ domain: 'vector.example.org' }, /does not lie in -c zone=omics-os.com/],
    [{ prewarm: '/nowhere.json' }, /prewarm=\/nowhere.json: cannot be read/],
    [{ grpc: 'yes' }, /grpc=yes: must be on or off/],
    [{ endUsers: '/nowhere.json' }, /endUsers=\/nowhere.json: cannot be read/],
    [{ endUsers: jsonFile(['issuer']) }, /must be a JSON object/],
    [{ endUsers: jsonFile({ issuers: 'x' }) }, /issuers must be one of issuer, jwks-url/],
    [{ endUsers: jsonFile({ issuer: 1 }) }, /issuer must be a text/],
    [{ endUsers: jsonFile({ issuer: 'x', audience: 'y' }) }, /roles is missing/],
  ];
  for (const [switches, message] of wrong) {
    it(JSON.stringify(switches), () => {
      assert.throws(() => readSettings({ tryGetContext: (name) => switches[name] }), message);
    });
  }
});

describe('cdk-nag', () => {
  const used = new Set<string>();

  // What the rules find at each construct when nothing is suppressed.
  function rememberFindings(switches: Switches): void {
    const { stack } = makeApp(switches, { suppressed: false });
    const findings = [...Annotations.fromStack(stack).findError('*', Match.anyValue()), ...Annotations.fromStack(stack).findWarning('*', Match.anyValue())];
    for (const { id, entry } of findings) {
      for (const each of SUPPRESSIONS) {
        if (id === `/omics-vector/${each.path}` && String(entry.data).includes(each.id)) used.add(`${each.path} ${each.id}`);
      }
    }
  }

  for (const [name, switches] of Object.entries(COMBINATIONS)) {
    it(`finds nothing in ${name}`, () => {
      const annotations = Annotations.fromStack(makeApp(switches).stack);
      const found = [...annotations.findError('*', Match.anyValue()), ...annotations.findWarning('*', Match.anyValue())];
      assert.deepEqual(found.map((each) => `${each.id}: ${String(each.entry.data)}`), []);
      rememberFindings(switches);
    });
  }

  it('every suppression suppresses something and says why', () => {
    for (const each of SUPPRESSIONS) {
      assert.ok(used.has(`${each.path} ${each.id}`), `${each.path} ${each.id} is not needed`);
      assert.ok(each.reason.length > 40, each.reason);
    }
  });
});
