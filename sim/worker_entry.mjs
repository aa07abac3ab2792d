// Node 20 does not hand a loader down to worker threads: each registers it anew before it loads the sources.
import { register } from 'tsx/esm/api';

register();
await import('./worker.ts');
