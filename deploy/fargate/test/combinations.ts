// Shapes of the stack that are checked as a whole: by cdk-nag in the tests, by cfn-lint in test.sh.
export const COMBINATIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  writable: {},
  'read-only': { shape: 'read-only' },
  'writable-shipping': { shipping: 'on' },
  'writable-internal-existing': { vpc: 'existing', exposure: 'internal' },
  'writable-public-existing': { vpc: 'existing' },
  'read-only-small': { shape: 'read-only', cpu: '512', memory: '2048', egress: 'public-ip', grpc: 'off', architecture: 'X86_64' },
  'writable-given': {
    certificateArn: 'arn:aws:acm:us-east-1:111122223333:certificate/00000000-0000-0000-0000-000000000000',
    secretArn: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:tokens-AbCdEf',
    snapshotId: 'snap-0123456789abcdef0',
    allowedCidrs: '198.51.100.0/24,203.0.113.7/32',
  },
};
