/** A bare simulated world: time, a trace, and seams to ask for. */

import type { DiskFaults } from '../../sim/disk/faults.ts';
import { SimDisk } from '../../sim/disk.ts';
import type { NetworkFaults } from '../../sim/network/faults.ts';
import { SimNetwork } from '../../sim/network.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import type { Connection, ConnectionHandler } from '../../src/io/network.ts';

export class Rig {
  readonly scheduler = new Scheduler();
  readonly trace = new Trace();
  readonly random: SimRandom;

  constructor(seed: string) {
    this.random = new SimRandom(seed);
  }

  process(name: string): SimProcess {
    return new SimProcess(name, this.scheduler);
  }

  disk(faults: Partial<DiskFaults> = {}): SimDisk {
    const { scheduler, trace } = this;
    return new SimDisk({ scheduler, trace, random: this.random.fork('disk'), faults });
  }

  network(faults: Partial<NetworkFaults> = {}): SimNetwork {
    const { scheduler, trace } = this;
    return new SimNetwork({ scheduler, trace, random: this.random.fork('network'), faults });
  }

  /** Lets virtual time pass. */
  run(us = 1_000_000): void {
    this.scheduler.runUntil(this.scheduler.nowUs + us);
  }
}

/** A handler that writes down what it is told. */
export class Recorder implements ConnectionHandler {
  readonly events: string[] = [];
  readonly bytes: number[] = [];
  connection: Connection | null = null;

  onOpen(): void {
    this.events.push('open');
  }

  onData(bytes: Uint8Array): void {
    if (this.events.at(-1) !== 'data') this.events.push('data');
    for (const byte of bytes) this.bytes.push(byte);
  }

  onDrain(): void {
    this.events.push('drain');
  }

  onEnd(): void {
    this.events.push('end');
  }

  onClose(error: Error | null): void {
    this.events.push(error === null ? 'close' : `close ${(error as Error & { code?: string }).code}`);
  }
}
