/**
 * Breaks things, at the mean intervals that the seed drew: crashes with later restarts, whole-cluster blackouts, pauses,
 * partitions of either kind, broken connections. It leaves the repair of everything to its own later strokes and, at
 * last, to the calm at the end of the run; it may take down any number of nodes at a time.
 */

import type { SimRandom } from './random.ts';
import type { Machine, World } from './world.ts';

const US_PER_MS = 1000;

export class Nemesis {
  readonly #world: World;
  readonly #random: SimRandom;
  #stopped = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.fork('nemesis');
  }

  start(): void {
    const { faults } = this.#world.options;
    this.#world.onElection = () => this.#onElection(faults.crashAtElectionPermille);
    this.#repeat(faults.crashEveryMs, () => this.#crashOne());
    this.#repeat(faults.blackoutEveryMs, () => this.#blackout());
    this.#repeat(faults.pauseEveryMs, () => this.#pauseOne());
    this.#repeat(faults.partitionEveryMs, () => this.#partition('symmetric'));
    this.#repeat(faults.oneWayEveryMs, () => this.#partition('one-way'));
    this.#repeat(faults.resetEveryMs, () => this.#reset());
    // A crash inside a disk operation leaves a machine down without a stroke of ours.
    this.#repeat(2000, () => this.#bootAll());
  }

  stop(): void {
    this.#stopped = true;
  }

  #repeat(everyMs: number, stroke: () => void): void {
    if (everyMs === 0) return;
    const next = (): void => {
      if (this.#stopped) return;
      stroke();
      this.#after(this.#random.between(1, 2 * everyMs), next);
    };
    this.#after(this.#random.between(1, 2 * everyMs), next);
  }

  #crashOne(): void {
    const machine = this.#pickMachine();
    if (machine.process.alive) this.#world.crash(machine);
    this.#after(
      this.#random.chance(500) ? this.#random.between(1, 100) : this.#random.between(100, 3000),
      () => this.#bootIfDown(machine),
    );
  }

  /** Votes are fresh and leaders new: the moment at which what was not made durable in time shows. */
  #onElection(permille: number): void {
    if (this.#stopped || !this.#random.chance(permille)) return;
    const machine = this.#pickMachine();
    this.#after(this.#random.below(20), () => {
      if (this.#stopped || !machine.process.alive) return;
      this.#world.crash(machine);
      this.#after(this.#random.between(1, 400), () => this.#bootIfDown(machine));
    });
  }

  #blackout(): void {
    for (const machine of this.#world.machines) {
      if (machine.process.alive) this.#world.crash(machine);
      this.#after(this.#random.between(1, 2000), () => this.#bootIfDown(machine));
    }
  }

  #bootAll(): void {
    for (const machine of this.#world.machines) this.#bootIfDown(machine);
  }

  #bootIfDown(machine: Machine): void {
    if (!machine.process.alive && !this.#stopped) this.#world.boot(machine);
  }

  #pauseOne(): void {
    const machine = this.#pickMachine();
    if (!machine.process.alive || machine.process.paused) return;
    this.#world.note('pause', machine.id);
    machine.process.pause();
    this.#after(this.#random.between(10, 3000), () => {
      if (!machine.process.alive || !machine.process.paused) return;
      this.#world.note('resume', machine.id);
      machine.process.resume();
    });
  }

  /** Cuts a random group of nodes off from the others, clients not included; heals after a while. */
  #partition(kind: 'symmetric' | 'one-way'): void {
    const { machines, network } = this.#world;
    const leader = machines.find(({ node }) => node?.replica.isLeader === true);
    const alone = leader !== undefined && this.#random.chance(500) ? leader : null;
    const inside = machines.filter((machine) =>
      alone === null ? this.#random.chance(500) : machine === alone,
    );
    const outside = machines.filter((machine) => !inside.includes(machine));
    if (inside.length === 0 || outside.length === 0) return;
    this.#world.note(`partition-${kind}`, inside.length, outside.length);
    const cut: [string, string][] = [];
    for (const a of inside) {
      for (const b of outside) {
        cut.push([a.host, b.host]);
        if (kind === 'symmetric') cut.push([b.host, a.host]);
      }
    }
    for (const [from, to] of cut) network.block(from, to);
    this.#after(this.#random.between(10, 5000), () => {
      this.#world.note('heal', cut.length);
      for (const [from, to] of cut) network.unblock(from, to);
    });
  }

  #reset(): void {
    const { machines, network } = this.#world;
    const a = this.#random.pick(machines);
    const b = this.#random.pick(machines);
    if (a === b) return;
    this.#world.note('reset', a.id, b.id);
    network.resetConnections(a.host, b.host);
  }

  #pickMachine(): Machine {
    return this.#random.pick(this.#world.machines);
  }

  #after(ms: number, task: () => void): void {
    this.#world.scheduler.after(ms * US_PER_MS, task);
  }
}
