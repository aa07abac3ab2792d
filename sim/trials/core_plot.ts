/**
 * A schedule for five cores that chance hardly ever finds. A leader's writes reach one other node, the holder; a second
 * leader makes the first one forget them, and nobody else hears of it; the first one leads again and gives their places in
 * the log to other writes; then the holder comes to lead and commits what it holds. Whoever was told that such a write is
 * not executed has been told wrong.
 *
 * It only decides which links carry anything, and when the leader is asked to write; elections take their course.
 */
import type { Term } from '../../src/log/entry.ts';
import type { SimRandom } from '../random.ts';
import type { CoreNode } from './core_node.ts';
import { TIMEOUT_US } from './core_weather.ts';

export interface CorePlotOptions {
  readonly nodes: readonly CoreNode[];
  readonly random: SimRandom;
  /** Only links between these pairs carry anything from now on; null: all do. */
  readonly allow: (pairs: readonly (readonly [CoreNode, CoreNode])[] | null) => void;
  /** Soon, outside of any turn. */
  readonly propose: (leader: CoreNode, count: number) => void;
}

type Scene =
  | { readonly at: 'begin' }
  | { readonly at: 'writing'; readonly first: CoreNode; readonly holder: CoreNode }
  | { readonly at: 'second leader'; readonly first: CoreNode; readonly holder: CoreNode }
  | { readonly at: 'forgetting'; readonly first: CoreNode; readonly holder: CoreNode; readonly term: Term }
  | { readonly at: 'first again'; readonly first: CoreNode; readonly holder: CoreNode }
  | { readonly at: 'holder leads'; readonly holder: CoreNode };

/** A scene that takes longer has gone wrong. */
const SCENE_TIMEOUTS = 8;

export class CorePlot {
  readonly #options: CorePlotOptions;
  #scene: Scene = { at: 'begin' };
  #sinceUs = 0;
  #writes = 0;

  constructor(options: CorePlotOptions) {
    this.#options = options;
  }

  /** Before what `node` has just decided leaves it. */
  onTurn(node: CoreNode, nowUs: number): void {
    if (nowUs > this.#sinceUs + SCENE_TIMEOUTS * TIMEOUT_US) this.#end(nowUs);
    const next = this.#next(node);
    if (next === null) return;
    this.#scene = next;
    this.#sinceUs = nowUs;
  }

  #end(nowUs: number): void {
    this.#scene = { at: 'begin' };
    this.#sinceUs = nowUs;
    this.#options.allow(null);
  }

  #next(node: CoreNode): Scene | null {
    const { nodes, random, allow, propose } = this.#options;
    const scene = this.#scene;
    const leads = node.raft.role === 'leader';
    switch (scene.at) {
      case 'begin': {
        const { lastIndex } = node.log;
        if (!leads || nodes.some(({ isUp, log }) => !isUp || log.durableIndex !== lastIndex)) return null;
        const holder = random.pick(nodes.filter((other) => other !== node));
        this.#writes = random.between(3, 6);
        allow([[node, holder]]);
        propose(node, this.#writes);
        return { at: 'writing', first: node, holder };
      }
      case 'writing': {
        const { first, holder } = scene;
        if (node !== holder || holder.log.durableIndex < first.log.lastIndex) return null;
        if (first.proposals.isIdle) return null;
        allow(pairs(this.#others(scene)));
        return { at: 'second leader', first, holder };
      }
      case 'second leader': {
        const { first, holder } = scene;
        if (!leads || node === first || node === holder) return null;
        allow([[node, first]]);
        return { at: 'forgetting', first, holder, term: node.raft.term };
      }
      case 'forgetting': {
        const { first, holder, term } = scene;
        if (node !== first || first.log.lastTerm !== term) return null;
        const electors = this.#others(scene).filter(({ log }) => log.lastTerm < term);
        allow(electors.map((elector) => [first, elector]));
        return { at: 'first again', first, holder };
      }
      case 'first again': {
        const { first, holder } = scene;
        if (node !== first || !leads) return null;
        const { lastTerm } = holder.log;
        const electors = this.#others(scene).filter(({ log }) => log.lastTerm < lastTerm);
        allow(electors.map((elector) => [holder, elector]));
        propose(first, this.#writes + 2);
        return { at: 'holder leads', holder };
      }
      case 'holder leads':
        if (node !== scene.holder || !leads || node.raft.commitIndex < node.log.lastIndex) return null;
        allow(null);
        return { at: 'begin' };
      default:
        return null;
    }
  }

  #others({ first, holder }: { readonly first: CoreNode; readonly holder: CoreNode }): CoreNode[] {
    return this.#options.nodes.filter((node) => node !== first && node !== holder);
  }
}

function pairs(nodes: readonly CoreNode[]): [CoreNode, CoreNode][] {
  return nodes.flatMap((one, at) => nodes.slice(at + 1).map((other): [CoreNode, CoreNode] => [one, other]));
}
