/** The process that holds one store and runs one workload after the other, as it is told. */
import { readFileSync } from 'node:fs';
import type { ContenderName, Statistics } from './contender.ts';
import { contender } from './contenders.ts';
import { drawFrom } from './data.ts';
import { fillLarge, type Outcome, WORKLOADS, type WorkloadName, warmUp } from './workloads.ts';

export type Order =
  | { readonly type: 'open' | 'reopen'; readonly directory: string }
  | { readonly type: 'run'; readonly workload: WorkloadName; readonly keys: number; readonly seed: number }
  | { readonly type: 'look' }
  /** Waits for background work, then looks. */
  | { readonly type: 'settle' }
  | { readonly type: 'fill'; readonly mib: number }
  | { readonly type: 'close' };

export type Reply =
  | { readonly type: 'done'; readonly ms: number }
  | { readonly type: 'outcome'; readonly outcome: Outcome | null }
  | { readonly type: 'seen'; readonly statistics: Statistics | null; readonly memory: Memory }
  | { readonly type: 'failed'; readonly why: string };

/** Resident bytes: of the process itself, and of files that are mapped. */
export interface Memory {
  readonly ownBytes: number;
  readonly mappedBytes: number;
}

const store = contender(process.argv[2] as ContenderName);

async function carryOut(order: Order): Promise<Reply> {
  const start = performance.now();
  switch (order.type) {
    case 'open':
      await store.open(order.directory);
      return { type: 'done', ms: performance.now() - start };
    case 'reopen': {
      await store.close();
      const closed = performance.now();
      await store.open(order.directory);
      return { type: 'done', ms: performance.now() - closed };
    }
    case 'run': {
      const run = WORKLOADS[order.workload];
      await warmUp(store, order.workload, order.keys);
      const before = process.cpuUsage();
      const outcome = await run(store, order.keys, drawFrom(order.seed));
      const { user, system } = process.cpuUsage(before);
      return { type: 'outcome', outcome: outcome === null ? null : { ...outcome, cpuUs: user + system } };
    }
    case 'settle':
      await store.settle();
      return { type: 'seen', statistics: store.statistics(), memory: memory() };
    case 'fill':
      await fillLarge(store, order.mib);
      await store.settle();
      return { type: 'done', ms: performance.now() - start };
    case 'look':
      return { type: 'seen', statistics: store.statistics(), memory: memory() };
    case 'close':
      await store.close();
      return { type: 'done', ms: performance.now() - start };
  }
}

function memory(): Memory {
  const status = readFileSync('/proc/self/status', 'utf8');
  const kib = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return { ownBytes: 1024 * kib('RssAnon'), mappedBytes: 1024 * (kib('RssFile') + kib('RssShmem')) };
}

process.on('message', (order: Order) => {
  carryOut(order).then(
    (reply) => process.send?.(reply),
    (error: unknown) => {
      const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.send?.({ type: 'failed', why } satisfies Reply);
    },
  );
});
process.on('disconnect', () => process.exit());
