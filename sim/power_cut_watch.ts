/**
 * At moments of interest, sometimes: what would be left of a node if the power failed now? And is what it says to others
 * durable? See `power_cut.ts` and `promises.ts` for what is compared.
 */
import { setRareProbe } from '../src/base/rare.ts';
import type { Network } from '../src/io/network.ts';
import type { InjuryKind } from './disk.ts';
import type { Machine } from './machine.ts';
import { lossAtPowerCut } from './power_cut.ts';
import { prematurePromise, WatchedNetwork } from './promises.ts';
import type { SimRandom } from './random.ts';
import { compareWithEquals } from './replica_equality.ts';
import { nodeOf } from './strokes.ts';
import type { World } from './world.ts';

const US_PER_MS = 1000;
/** A node is told of these, and may not count on what they were to cover. */
const OF_SYNCS: ReadonlySet<InjuryKind> = new Set(['failed-sync']);
/** How often it is considered, in the first moments of a node's life, what a power cut would leave. */
const YOUNG_CUTS = 2;

export class PowerCutWatch {
  readonly #world: World;
  readonly #random: SimRandom;

  constructor(world: World, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** What a node has found at its start meets, in the next moments, what it writes behind it. */
  considerLater(machine: Machine): void {
    if (this.#world.options.powerCutPermille === 0) return;
    const { syncMsMax, networkDelayMsMax } = this.#world.options.surroundings;
    const withinUs = 10 * (syncMsMax + networkDelayMsMax) * US_PER_MS;
    for (let i = 0; i < YOUNG_CUTS; i++) {
      const delayUs = this.#random.below(withinUs);
      this.#world.scheduler.after(delayUs, () => this.consider(machine));
    }
  }

  /** In runs that look for power cuts, what a node says is held against what is on its disk. */
  watch(machine: Machine, network: Network): Network {
    if (this.#world.options.powerCutPermille === 0) return network;
    return new WatchedNetwork(network, (to, bytes) => {
      const { node, id } = machine;
      if (node === null) return;
      const { raft } = node.replica;
      const { durable } = node.hardState;
      if (raft.term === durable.term && raft.vote === durable.vote) return;
      const { durableIndex } = node.groupLog;
      const problem = prematurePromise(bytes, nodeOf(to.host), durable, node.groupLog.termAt(durableIndex));
      if (problem !== null) this.#world.fail('premature promise', `node ${id} says ${problem}`);
    });
  }

  /** At a moment of interest, sometimes: what would be left of the node if the power failed now? */
  consider(machine: Machine): void {
    const permille = this.#world.options.powerCutPermille;
    // A scenario may be a part of a run: then no draw is what it was, and the moment must not be missed.
    if (permille === 0 || (!this.#world.isScripted && !this.#random.chance(permille))) return;
    this.attempt(machine);
  }

  attempt(machine: Machine): void {
    const { atlas, machines } = this.#world;
    this.#world.scheduler.atEndOfEvent(() => {
      const { node, process, id } = machine;
      if (node === null || !process.alive || this.#world.failed || atlas.isDamaged(id, OF_SYNCS)) return;
      setRareProbe(null);
      const loss = lossAtPowerCut(node, machine.disk, this.#world.lifecycle.settings(id));
      setRareProbe(this.#world.rareProbe);
      if (loss !== null) this.#world.fail('power cut', `if the power of node ${id} failed now: ${loss}`);
      const intact = machines.filter((other) => !atlas.isDamaged(other.id));
      const difference = atlas.isDamaged(id) ? null : compareWithEquals(machine, intact);
      if (difference !== null) this.#world.fail('replica equality', difference);
    });
  }
}
