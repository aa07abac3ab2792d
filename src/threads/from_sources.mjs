// Runs the thread that writes runs from the sources: Node 20 does not hand a loader down to worker threads.
import '../../scripts/typescript.mjs';

await import('./run_writer_thread.ts');
