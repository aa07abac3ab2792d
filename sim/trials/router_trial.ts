/**
 * Routers alone, over a group that only says what a group may say: leadership moves on, old leaders take requests that
 * come to nothing, connections break, and nodes crash or stop in order and start anew within milliseconds, while answers to
 * their earlier life are under way. What a request did is known here, so each answer can be judged: it belongs to this
 * request; a write that was refused never takes effect, one that was acknowledged has, none does twice, and those of a lane
 * do in order; no read sees less than one before it in its lane. Where all that happens is orderly, of no write the outcome
 * is told to be unknown.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Request, Result } from '../../src/kv/request.ts';
import { Lane, Router } from '../../src/server/router.ts';
import { SimClock } from '../clock.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { UnansweredGroup } from './router_group.ts';
import { RouterLinks } from './router_links.ts';
import { type Mark, runTrial } from './trial.ts';

const TRIALS = 6;
const NODES = 3;
const GROUP = 1;
const CONNECTIONS = 2;
const US_PER_MS = 1000;
const STORM_US = 1500 * US_PER_MS;
const TIMEOUTS = { noLeaderMs: 150, answerMs: 250 };
/** No request is open for longer, with what the sweeps of two nodes add. */
const CALM_US = 2 * (TIMEOUTS.noLeaderMs + TIMEOUTS.answerMs) * US_PER_MS;
const WAITING_MAX = 16;
/** Of a thousand trials: leadership moves between two nodes, back and forth while requests are on their way. */
const FLAPPING_PERMILLE = 350;
const FLAPPING_EVERY_US = 2 * US_PER_MS;
/** Of a thousand of the others: leadership moves and nodes stop, and all of that in order. */
const ORDERLY_PERMILLE = 250;
const DRAIN_LOOK_US = US_PER_MS;
/** A node that stops in order waits no longer for what it has asked others; by then everything has been answered. */
const DRAIN_LOOKS_MAX = 2 * (TIMEOUTS.noLeaderMs + TIMEOUTS.answerMs);
/** Of a thousand requests that a deposed leader has taken, of how many it learns their fate. */
const KNOWN_PERMILLE = 700;

/** A connection: as `src/server/session.ts` does, it has several requests under way only if they are of one kind and for one node. */
interface Connection {
  readonly lane: Lane;
  open: number;
  isWriting: boolean;
  target: number | null;
}

interface RouterNode {
  readonly id: number;
  readonly process: SimProcess;
  readonly clock: SimClock;
  router: Router | null;
  isLeaving: boolean;
  connections: Connection[];
}

/** Runs some trials; what went wrong, or null. */
export function tryRouters(random: SimRandom, mark?: Mark): string | null {
  for (let trial = 0; trial < TRIALS; trial++) {
    const draws = random.fork(`trial ${trial}`);
    const problem = runTrial(draws, mark, [], () => new RouterTrial(draws).run());
    if (problem !== null) return problem;
  }
  return null;
}

class RouterTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #nodes: RouterNode[];
  readonly #group: UnansweredGroup;
  readonly #links: RouterLinks;
  /** What is drawn about nodes that stop in order. */
  readonly #leaving: SimRandom;
  readonly #isOrderly: boolean;
  readonly #leavePermille: number;
  /** Of a thousand goodbyes, how many are lost; and of as many nodes, how many stop before all is answered. */
  readonly #lostGoodbyePermille: number;
  readonly #impatientPermille: number;
  readonly #everyUs: number;
  readonly #delayUsMax: number;
  readonly #crashPermille: number;
  readonly #resetPermille: number;
  readonly #movePermille: number;
  /** Nodes that may lead. */
  readonly #rivals: readonly number[];
  #requests = 0;
  #open = 0;
  #isCalm = false;
  #failure: Error | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#everyUs = random.pick([2, 5, 20]) * US_PER_MS;
    this.#delayUsMax = random.pick([1, 10, 50]) * US_PER_MS;
    this.#crashPermille = random.pick([0, 30, 100, 300]);
    this.#resetPermille = random.pick([0, 30, 100]);
    this.#movePermille = random.pick([10, 50, 200]);
    const flapping = random.fork('flapping');
    const ids = Array.from({ length: NODES }, (_none, at) => at + 1);
    const isFlapping = flapping.chance(FLAPPING_PERMILLE);
    this.#rivals = isFlapping ? ids.filter((id) => id !== NODES) : ids;
    if (isFlapping) {
      this.#everyUs = FLAPPING_EVERY_US;
      this.#delayUsMax = flapping.pick([10, 20, 50]) * US_PER_MS;
      this.#movePermille = 500;
      this.#crashPermille = 0;
      this.#resetPermille = 0;
    }
    this.#leaving = random.fork('leaving');
    this.#leavePermille = this.#leaving.pick([0, 30, 100, 200]);
    this.#lostGoodbyePermille = this.#leaving.pick([0, 0, 300]);
    this.#impatientPermille = this.#leaving.pick([0, 500, 1000]);
    this.#isOrderly = !isFlapping && this.#leaving.chance(ORDERLY_PERMILLE);
    if (this.#isOrderly) {
      this.#everyUs = this.#leaving.pick([5, 20]) * US_PER_MS;
      this.#delayUsMax = this.#leaving.pick([1, 3]) * US_PER_MS;
      this.#crashPermille = 0;
      this.#resetPermille = 0;
      this.#leavePermille = this.#leaving.pick([50, 200]);
      this.#lostGoodbyePermille = 0;
      this.#impatientPermille = 0;
    }
    this.#group = new UnansweredGroup(
      NODES,
      random.fork('group'),
      this.#scheduler,
      this.#delayUsMax,
      this.#isOrderly ? 1000 : KNOWN_PERMILLE,
    );
    this.#nodes = Array.from({ length: NODES }, (_none, at) => this.#makeNode(at + 1));
    this.#links = new RouterLinks({
      nodes: NODES,
      group: GROUP,
      scheduler: this.#scheduler,
      random: random.fork('links'),
      delayUsMax: this.#delayUsMax,
      isRunning: (id) => this.#nodes[id - 1].router !== null,
      onFrame: (from, to, frame) =>
        this.#run(to, (router) => {
          if (frame.kind === 'request') router.onRequest(from, frame.id, frame.request);
          else if (frame.kind === 'response') router.onResponse(from, frame.id, frame.result);
        }),
      onDown: (from, to, lastRead) => this.#run(from, (router) => router.onPeerDown(to, lastRead)),
    });
  }

  run(): void {
    for (const node of this.#nodes) this.#start(node);
    this.#stir();
    this.#advance(STORM_US);
    this.#isCalm = true;
    this.#group.settle();
    for (const node of this.#nodes) if (node.router === null) this.#start(node);
    this.#advance(STORM_US + CALM_US);
    if (this.#open > 0) throw new Error(`${this.#open} requests are never answered`);
  }

  #advance(untilUs: number): void {
    while (this.#scheduler.stepUntil(untilUs)) if (this.#failure !== null) throw this.#failure;
  }

  #makeNode(id: number): RouterNode {
    const process = new SimProcess(`node${id}`, this.#scheduler);
    process.onPanic = (error) => {
      this.#failure ??= error;
    };
    const clock = new SimClock(this.#scheduler, process, { offsetMs: 0, driftPpm: 0 });
    return { id, process, clock, router: null, isLeaving: false, connections: [] };
  }

  #start(node: RouterNode): void {
    const { id, process, clock } = node;
    process.restart();
    node.isLeaving = false;
    node.router = new Router({
      group: GROUP,
      replica: this.#group.replicaOf(id),
      clock,
      random: this.#random.fork(`router ${id} ${this.#scheduler.nowUs}`),
      timeouts: TIMEOUTS,
      waitingMax: WAITING_MAX,
      send: (to, frame) => this.#links.send(id, to, frame),
    });
    // Whoever leads lets itself be heard.
    this.#scheduler.after(1 + this.#random.below(this.#delayUsMax), () => {
      this.#group.learn(id);
      this.#run(id, (router) => router.onLeaderChange());
    });
    node.connections = Array.from({ length: CONNECTIONS }, () => ({
      lane: new Lane(),
      open: 0,
      isWriting: false,
      target: null,
    }));
  }

  #stir(): void {
    this.#scheduler.after(1 + this.#random.below(2 * this.#everyUs), () => {
      if (this.#isCalm) return;
      this.#happen();
      this.#stir();
    });
  }

  #happen(): void {
    const random = this.#random;
    const node = random.pick(this.#nodes);
    if (random.chance(this.#movePermille)) this.#move();
    if (random.chance(this.#crashPermille)) this.#crash(node);
    if (this.#leaving.chance(this.#leavePermille)) this.#leave(this.#leaving.pick(this.#nodes));
    if (random.chance(this.#resetPermille)) {
      const other = random.pick(this.#nodes);
      // Each has a connection to the other: the answers to what was asked by the one come by the other one.
      if (random.chance(500)) this.#lose(node, other);
      else if (node !== other) this.#links.break(node.id, other.id);
    }
    for (let count = random.between(0, 3); count > 0; count--) this.#ask(random.pick(this.#nodes));
  }

  #move(): void {
    this.#group.move(this.#rivals);
    for (const { id } of this.#nodes) {
      // Everybody hears of it in their own time.
      this.#scheduler.after(1 + this.#random.below(this.#delayUsMax), () => {
        this.#group.learn(id);
        this.#run(id, (router) => router.onLeaderChange());
      });
    }
  }

  #crash(node: RouterNode): void {
    if (node.router === null) return;
    node.process.crash();
    node.router = null;
    this.#open -= this.#group.onCrash(node.id);
    for (const other of this.#nodes) if (other !== node) this.#lose(node, other);
    this.#startSoon(node, this.#random);
  }

  #startSoon(node: RouterNode, random: SimRandom): void {
    const quick = random.chance(700);
    // An answer to its next life that leaves by the connection to this one is lost: in order is what comes behind the goodbyes.
    const leastUs = this.#isOrderly ? this.#delayUsMax : 0;
    this.#scheduler.after(leastUs + 1 + random.below((quick ? 3 : 100) * US_PER_MS), () => {
      if (node.router === null) this.#start(node);
    });
  }

  /** Stops in order, as `src/server/departure.ts` does it: now, or once nothing that was asked here is open any more. */
  #leave(node: RouterNode): void {
    const { router } = node;
    if (router === null || node.isLeaving) return;
    node.isLeaving = true;
    router.drain();
    if (this.#leaving.chance(this.#impatientPermille)) this.#close(node);
    else this.#closeWhenIdle(node, router, DRAIN_LOOKS_MAX);
  }

  #closeWhenIdle(node: RouterNode, router: Router, looks: number): void {
    // It has crashed meanwhile.
    if (node.router !== router) return;
    if (router.isIdle || looks === 0) this.#close(node);
    else this.#scheduler.after(DRAIN_LOOK_US, () => this.#closeWhenIdle(node, router, looks - 1));
  }

  #close(node: RouterNode): void {
    this.#run(node.id, (router) => {
      router.stop();
      this.#group.onLeave(node.id);
      this.#links.leave(node.id, () => !this.#leaving.chance(this.#lostGoodbyePermille));
    });
    node.router = null;
    node.process.crash();
    this.#startSoon(node, this.#leaving);
  }

  /** What is under way between two nodes is lost, and both see that. */
  #lose(a: RouterNode, b: RouterNode): void {
    if (a === b) return;
    this.#links.break(a.id, b.id);
    this.#links.break(b.id, a.id);
  }

  #ask(node: RouterNode): void {
    const { router } = node;
    if (router === null) return;
    const connection = this.#random.pick(node.connections);
    const isWrite = this.#random.chance(600);
    const { target } = router;
    if (connection.open > 0 && (connection.isWriting !== isWrite || connection.target !== target)) return;
    connection.open++;
    connection.isWriting = isWrite;
    connection.target = target;
    const id = ++this.#requests;
    const request: Request = isWrite
      ? { type: 'append', bucket: 'b', key: utf8('k'), value: utf8(`${id}`) }
      : { type: 'get', bucket: 'b', key: utf8(`${id}`) };
    this.#group.onAsked(id, node.id, connection.lane, isWrite);
    this.#open++;
    node.process.run(() =>
      router.route(request, connection.lane, (result) => {
        this.#open--;
        connection.open--;
        this.#judge(id, isWrite, result);
      }),
    );
  }

  #judge(id: number, isWrite: boolean, result: Result): void {
    if (result.type === 'error' && result.code === 'unknown' && this.#isOrderly)
      throw new Error(
        `the outcome of ${id} is told to be unknown, though nothing was lost: ${result.message}`,
      );
    if (result.type === 'error')
      this.#group.onAnswered(id, result.code === 'unavailable' ? 'refused' : 'open');
    else {
      const [said, revision] = saidBy(result);
      if (said !== id) throw new Error(`request ${id} gets another's answer: ${JSON.stringify(result)}`);
      this.#group.onAnswered(id, 'done');
      if (!isWrite) this.#group.onRead(id, revision);
    }
  }

  #run(id: number, action: (router: Router) => void): void {
    const { router, process } = this.#nodes[id - 1];
    if (router !== null) process.run(() => action(router));
  }
}

/** Which request it answers and, if that is a read, how many writes that saw. */
function saidBy(result: Result): number[] {
  if (result.type === 'count') return [result.count];
  return result.type === 'value' && result.value !== null
    ? fromUtf8(result.value).split('@').map(Number)
    : [];
}
