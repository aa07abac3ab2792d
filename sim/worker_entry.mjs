// Node 20 does not hand a loader down to worker threads: each registers it anew before it loads the sources.
import '../scripts/typescript.mjs';

await import('./worker.ts');
