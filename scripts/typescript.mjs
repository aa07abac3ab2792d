// Lets Node run the project's TypeScript sources: `node --import ./scripts/typescript.mjs FILE.ts`. Worker threads
// inherit no loader and import this file themselves, before their sources.
import { register } from 'node:module';

register('./typescript_hooks.mjs', import.meta.url);
process.setSourceMapsEnabled(true);
