// node dist/test/synth-all.js FOLDER: writes the template of every combination into a folder of its own below FOLDER.
import * as path from 'node:path';
import { makeApp } from '../lib/app';
import { COMBINATIONS } from './combinations';

const folder = process.argv[2];
if (folder === undefined) throw new Error('synth-all.js: give the folder to write to');
for (const [name, switches] of Object.entries(COMBINATIONS)) makeApp(switches, { outdir: path.join(folder, name) }).app.synth();
