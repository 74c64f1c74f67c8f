#!/usr/bin/env node
// Makes the template. The switches (lib/settings.ts) come as context: cdk synth -c shape=read-only
import { makeApp } from '../lib/app';

try {
  makeApp().app.synth();
} catch (error) {
  console.error(`omics-vector: ${(error as Error).message}`);
  process.exit(2);
}
