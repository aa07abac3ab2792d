/**
 * Three whole nodes, one of which comes back with an empty disk under its old number, as an operator might start it by
 * mistake, while the others crash and are cut off. It must be turned away, told so, and count for nothing: what was
 * acknowledged stays, and the two others go on.
 */
import { silentLogger } from '../../src/io/logger.ts';
import type { Address } from '../../src/io/network.ts';
import { Node } from '../../src/server/node.ts';
import { SimClock } from '../clock.ts';
import { SimDisk } from '../disk.ts';
import { Invariants } from '../invariants.ts';
import { SimNetwork } from '../network.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { MemberClient } from './member_client.ts';
import { type Mark, runTrial } from './trial.ts';

const PORT = 9000;
const NODES = 3;
const TIMING = { heartbeatMs: 30, electionTimeoutMs: 150 };
const US_PER_MS = 1000;
/** By then all have met each other. */
const ACQUAINTED_MS = 1500;
const STORM_MS = 3500;
const CALM_MS = 15_000;
const STEP_MS = 10;

interface Machine {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  node: Node | null;
  isUp: boolean;
  /** The disk was lost since. */
  isEmpty: boolean;
  /** Why it has stopped. */
  refusal: string | null;
}

/** In one seed of ten. */
export function tryLostDisksNowAndThen(random: SimRandom, mark?: Mark): string | null {
  return random.chance(100) ? tryLostDisk(random.fork('trial'), mark) : null;
}

/** What went wrong, or null. */
export function tryLostDisk(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, [], () => new LostDiskTrial(random).run());
}

class LostDiskTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #network: SimNetwork;
  readonly #machines: Machine[] = [];
  readonly #members: readonly Address[];
  readonly #invariants = new Invariants(NODES);
  readonly #client: MemberClient;
  readonly #lostAtMs: number;
  #boots = 0;
  #failure: Error | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    const scheduler = this.#scheduler;
    const trace = new Trace();
    this.#network = new SimNetwork({ scheduler, random: random.fork('network'), trace, faults: {} });
    for (let id = 1; id <= NODES; id++) this.#machines.push(this.#makeMachine(id, trace));
    this.#members = this.#machines.map(({ host }) => ({ host, port: PORT }));
    const outside = this.#network.attach(new SimProcess('client', scheduler), 'client');
    this.#client = new MemberClient('a', outside, random.fork('client'));
    this.#lostAtMs = random.between(ACQUAINTED_MS, STORM_MS - 500);
  }

  run(): void {
    for (const machine of this.#machines) this.#boot(machine);
    let lost: Machine | null = null;
    while (this.#nowMs < STORM_MS) {
      this.#advance(STEP_MS);
      this.#client.step(this.#nowMs, this.#hosts());
      if (this.#nowMs > ACQUAINTED_MS) this.#stroke();
      if (lost === null && this.#nowMs >= this.#lostAtMs) {
        lost = this.#random.pick(this.#machines);
        this.#lose(lost);
      }
    }
    this.#network.healAll();
    for (const machine of this.#machines) if (!machine.isUp && machine.refusal === null) this.#boot(machine);
    const end = this.#nowMs + CALM_MS;
    const before = this.#client.acknowledged;
    while (this.#client.acknowledged <= before + 2 || lost?.refusal === null) {
      if (this.#nowMs > end) throw new Error(`${CALM_MS} ms into the calm: ${this.#describe()}`);
      this.#advance(STEP_MS);
      this.#client.step(this.#nowMs, this.#hosts());
    }
  }

  get #nowMs(): number {
    return this.#scheduler.nowUs / US_PER_MS;
  }

  #makeMachine(id: number, trace: Trace): Machine {
    const scheduler = this.#scheduler;
    const random = this.#random.fork(`machine${id}`);
    const process = new SimProcess(`node${id}`, scheduler);
    process.onPanic = (error) => {
      this.#failure ??= error;
    };
    const disk = new SimDisk({ scheduler, random: random.fork('disk'), trace, faults: {} });
    const clock = new SimClock(scheduler, process, { offsetMs: random.below(10_000), driftPpm: 0 });
    const host = `node${id}`;
    return { id, host, disk, process, clock, node: null, isUp: false, isEmpty: false, refusal: null };
  }

  #advance(ms: number): void {
    const until = this.#scheduler.nowUs + ms * US_PER_MS;
    while (this.#scheduler.stepUntil(until)) {
      for (const { id, node, isEmpty } of this.#machines) {
        // What it had shown is gone with its disk: the others are held to that.
        if (node !== null && !isEmpty) this.#invariants.check(id, node);
      }
      if (this.#failure !== null) throw this.#failure;
    }
    if (this.#client.problem !== null) throw new Error(this.#client.problem);
    const impostor = this.#machines.find(({ isEmpty, node }) => isEmpty && node?.replica.isLeader === true);
    if (impostor !== undefined) throw new Error(`node ${impostor.id} leads, although its disk was lost`);
  }

  #boot(machine: Machine): void {
    machine.isUp = true;
    const { id, disk, process, clock, host, isEmpty } = machine;
    const onFailure = (error: Error): void => {
      if (machine.isEmpty && (error as { code?: string }).code === 'REFUSED') {
        machine.refusal = error.message;
        machine.node = null;
        machine.isUp = false;
      } else this.#failure ??= error;
    };
    process.run(() => {
      Node.open(
        {
          id,
          members: this.#members,
          // Drawn anew with each directory.
          identity: isEmpty ? 100 + id : id,
          directory: '/data',
          disk: disk.attach(process),
          clock,
          network: this.#network.attach(process, host),
          random: this.#random.fork(`boot${++this.#boots}`),
          logger: silentLogger,
          timing: TIMING,
          timeouts: { noLeaderMs: 600, answerMs: 1000 },
          onFailure,
        },
        (outcome) => {
          if (!outcome.ok) onFailure(outcome.error);
          else machine.node = outcome.value;
        },
      );
    });
  }

  #stroke(): void {
    const random = this.#random;
    if (random.chance(30)) this.#crash(random.pick(this.#machines));
    if (random.chance(20)) this.#cut(random.pick(this.#machines));
    if (random.chance(20)) this.#network.healAll();
    for (const machine of this.#machines) {
      if (!machine.isUp && machine.refusal === null && random.chance(60)) this.#boot(machine);
    }
  }

  #crash(machine: Machine): void {
    if (!machine.isUp) return;
    machine.isUp = false;
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
    machine.process.restart();
  }

  #lose(machine: Machine): void {
    this.#crash(machine);
    machine.disk.wipe();
    machine.isEmpty = true;
    this.#boot(machine);
  }

  #cut(machine: Machine): void {
    for (const { host } of this.#machines) {
      if (host === machine.host) continue;
      this.#network.block(host, machine.host);
      this.#network.block(machine.host, host);
    }
  }

  #hosts(): string[] {
    return this.#machines
      .filter(({ node, isUp, isEmpty }) => isUp && node !== null && !isEmpty)
      .map(({ host }) => host);
  }

  #describe(): string {
    const nodes = this.#machines.map(({ id, node, refusal }) => {
      if (node === null) return `${id} is down${refusal === null ? '' : `: ${refusal}`}`;
      return `${id} is ${node.replica.raft.role} in term ${node.replica.raft.term}`;
    });
    return `${this.#client.acknowledged} writes acknowledged; ${nodes.join('; ')}`;
  }
}
