/**
 * The atlas: what is damaged on which machine, what may still be damaged, and which failures of nodes that excuses.
 *
 * A replicated store without repair survives damage on a minority of its machines and no more. So a run that is to
 * recover fixes that minority by its seed before anything happens, and damage goes there alone; how much of it, and
 * when, does not matter then. A run of the mode `unrecoverable` damages whatever it likes: then the cluster may have to
 * wait for ever (`isWaitingRight`), but must not answer wrongly meanwhile.
 *
 * Faults differ in what they cost the machine that they strike (`costOf`):
 * - `passing`: an operation fails and nothing durable is harmed. The node may stop, with that error; it may be started
 *   again when the cause is gone, and must then be as good as ever. Any machine can bear that, at any time.
 * - `damage`: what was durable is not any more, and whoever reads it can tell. The node works as long as it does not
 *   meet the place; it is right to stop, or not to start, when it does, and is then down for good.
 *   Of tables and of the log's entries that is otherwise (`isMendable`). Its node mends them from other replicas while it
 *   goes on, so it must not stop because of it. Both are in service until the end, and must be whole then.
 * - `amnesia`: what was durable may vanish so that nobody can tell (a lost write at the end of the log looks like one
 *   that was never made; a log whose sync failed shows in memory what is not on the platter). The running process still
 *   knows it all. Another life of it would not, would vote and be counted as what it is not, and could undo with one
 *   more machine what a majority had: it must never be started. That is what an operator is told of a failed `fsync`,
 *   and of a node that has lost its disk.
 *
 * Where the members of the group change, the minority goes by who they are. Copies that removed members hold do not
 * count; nor does a member whose removal was asked for, as nobody knows when that takes effect. A removal is only begun
 * (`allowsRemoval`) when those who vote for certain, and may not be harmed, are more than those members that may be:
 * so in each configuration that can come of it, the former alone are a majority. A machine that was added may be harmed
 * from when it votes, if there is room for one more then (`admit`).
 *
 * How the world uses it:
 * - the disk of each machine books what strikes: `onInjury: (injury) => atlas.book(id, injury)`;
 * - the nemesis asks `allows` before a stroke, and `mayStart` before a boot;
 * - a node that stops or does not start is handed to `onStopped`: a verdict that is not right is a failure of the run,
 *   and after one that is, the machine may be started again or is down for good;
 * - checks of liveness and of equal replicas are made over the machines that are not `isDownForGood`, and an answer
 *   `-ERR corruption` or `-ERR disk` is only right from one that `isInjured`.
 */
import { CorruptionError, DiskError } from '../src/base/errors.ts';
import { fileKindOf } from './disk/file_kind.ts';
import type { Injury, InjuryKind } from './disk/injury.ts';
import type { SimRandom } from './random.ts';

export type AtlasMode = 'recoverable' | 'unrecoverable';

export type Cost = 'passing' | 'damage' | 'amnesia';

/** Whether a node was right to stop, or not to start. */
export type Verdict =
  | { readonly right: true; readonly next: 'start again' | 'down for good'; readonly why: string }
  | { readonly right: false; readonly why: string };

export interface BookedInjury extends Injury {
  readonly cost: Cost;
}

export interface AtlasOptions {
  readonly machines: number;
  readonly mode: AtlasMode;
  readonly random: SimRandom;
  /** Paths of all files of a machine. */
  readonly filesOf: (machine: number) => readonly string[];
  /** Machines that may be added to those with which a run begins; none unless said. */
  readonly spares?: number;
}

const ADMITTED_PERMILLE = 500;

/** Files that hold one thing together: damage of one can show in another. */
type Part = 'log' | 'tables' | 'vote' | 'any';

export class Atlas {
  /** Of the machines with which a run begins, those that may be damaged, ascending: fewer than half. */
  readonly minority: readonly number[];
  readonly mode: AtlasMode;
  readonly #machines: number;
  readonly #spares: number;
  readonly #random: SimRandom;
  /** The minority, and who was admitted to it. */
  readonly #mayBeHarmed: Set<number>;
  readonly #filesOf: (machine: number) => readonly string[];
  readonly #injuries = new Map<number, BookedInjury[]>();
  readonly #downForGood = new Set<number>();

  /** Machines are numbered from 1. */
  constructor({ machines, mode, random, filesOf, spares = 0 }: AtlasOptions) {
    this.#machines = machines;
    this.#spares = spares;
    this.#random = random.fork('admitted');
    this.mode = mode;
    this.#filesOf = filesOf;
    const candidates = Array.from({ length: machines }, (_none, at) => at + 1);
    const minority: number[] = [];
    for (let left = (machines - 1) >> 1; left > 0; left--) {
      minority.push(...candidates.splice(random.below(candidates.length), 1));
    }
    this.minority = minority.sort((a, b) => a - b);
    this.#mayBeHarmed = new Set(minority);
  }

  /** Whether a fault that can do this may strike the machine. What it will cost is not known before it strikes. */
  allows(machine: number, kind: InjuryKind): boolean {
    return isPassing(kind) || this.mode === 'unrecoverable' || this.#mayBeHarmed.has(machine);
  }

  /**
   * Whether an operator may ask for the removal of the machine. See the head of this file.
   *
   * @param voters Those who vote for certain: their removal was not asked for.
   * @param members All that may belong to the group.
   */
  allowsRemoval(machine: number, voters: readonly number[], members: readonly number[]): boolean {
    const harmed = members.filter((id) => this.#mayBeHarmed.has(id)).length;
    return this.#sound(machine, voters) > harmed;
  }

  /** The machine votes from now on: sometimes, where there is room for it, it may be harmed like one of the minority. */
  admit(machine: number, voters: readonly number[], members: readonly number[]): void {
    const harmed = members.filter((id) => id === machine || this.#mayBeHarmed.has(id)).length;
    if (this.#random.chance(ADMITTED_PERMILLE) && this.#sound(machine, voters) > harmed)
      this.#mayBeHarmed.add(machine);
  }

  /** Of the voters, the machine aside, those that may not be harmed. */
  #sound(machine: number, voters: readonly number[]): number {
    return voters.filter((id) => id !== machine && !this.#mayBeHarmed.has(id)).length;
  }

  /** Takes down what has struck. */
  book(machine: number, injury: Injury): void {
    const booked = { ...injury, cost: costOf(injury, this.#filesOf(machine)) };
    const known = this.#injuries.get(machine);
    if (known === undefined) this.#injuries.set(machine, [booked]);
    else known.push(booked);
  }

  injuries(machine: number): readonly BookedInjury[] {
    return this.#injuries.get(machine) ?? [];
  }

  /** Something has struck it, be it only in passing: its node may answer with errors of the disk. */
  isInjured(machine: number): boolean {
    return this.injuries(machine).length > 0;
  }

  /** False when the process of the machine must not be started any more. */
  mayStart(machine: number): boolean {
    return !this.#downForGood.has(machine) && !this.#has(machine, 'amnesia');
  }

  /** Something durable is harmed: not for ever can it do without repair. Injuries of the kinds given do not count. */
  isDamaged(machine: number, apartFrom: ReadonlySet<InjuryKind> = NOTHING): boolean {
    return this.injuries(machine).some(({ cost, kind }) => cost !== 'passing' && !apartFrom.has(kind));
  }

  /**
   * All that is harmed its node itself mends, where there are other replicas: tables, and entries of the log. Not so a
   * sector of the log that cannot be read: at the end of what was written, nobody knows whether something was durable there.
   */
  isMendable(machine: number): boolean {
    if (this.#isAlone) return false;
    return this.injuries(machine).every(
      ({ cost, kind, path }) => cost === 'passing' || isMended(kind, path) || isOfEntries(kind, path, cost),
    );
  }

  /** Entries of its log are harmed: a start finds that. */
  hasRottenLog(machine: number): boolean {
    return this.injuries(machine).some(({ cost, kind, path }) => isOfEntries(kind, path, cost));
  }

  /** An operator takes the machine out of service. */
  retire(machine: number): void {
    this.#downForGood.add(machine);
  }

  /** It has stopped rightly and will not come back. One with amnesia that still runs is not, yet. */
  isDownForGood(machine: number): boolean {
    return this.#downForGood.has(machine);
  }

  /** The process of the machine has ended, for whatever reason: with amnesia that is for good. */
  onEnded(machine: number): void {
    if (!this.mayStart(machine)) this.#downForGood.add(machine);
  }

  /** There are no other replicas, and will be none. */
  get #isAlone(): boolean {
    return this.#machines + this.#spares === 1;
  }

  /** Not enough machines are left for a majority: a cluster that answers nothing does the right thing. */
  get isWaitingRight(): boolean {
    return this.#downForGood.size * 2 >= this.#machines;
  }

  /** The node has stopped, or did not start, with this error. Keeps in mind that it is down for good, if so. */
  onStopped(machine: number, error: Error): Verdict {
    const verdict = this.verdictFor(machine, error);
    if (verdict.right && verdict.next === 'down for good') this.#downForGood.add(machine);
    return verdict;
  }

  /** Whether what has struck the machine explains the error. */
  verdictFor(machine: number, error: Error): Verdict {
    if (error instanceof CorruptionError) return this.#verdictForCorruption(machine, error);
    if (error instanceof DiskError) return this.#verdictForDisk(machine, error);
    return { right: false, why: `${error.name} is no error that a disk can cause` };
  }

  /** For reports: one line per injury. */
  describe(): string[] {
    const lines: string[] = [];
    for (const [machine, injuries] of [...this.#injuries].sort(([a], [b]) => a - b)) {
      for (const { kind, path, start, end, cost } of injuries) {
        lines.push(`node ${machine}: ${kind} ${path}${end > start ? ` ${start}-${end}` : ''} (${cost})`);
      }
    }
    return lines;
  }

  #verdictForCorruption(machine: number, error: CorruptionError): Verdict {
    if (fileKindOf(error.path) === 'table' && !this.#isAlone) {
      return { right: false, why: `${error.path} is a table, which other replicas could have mended` };
    }
    const cause = this.#find(machine, error.path, ({ cost }) => cost !== 'passing');
    if (cause === null) return { right: false, why: `nothing has harmed ${error.path} of node ${machine}` };
    // A start that cannot do without what is lost names no segment.
    if (fileKindOf(error.path) === 'log' && this.isMendable(machine)) {
      return { right: false, why: `entries in ${error.path} could have been had from other replicas` };
    }
    return { right: true, next: 'down for good', why: explain(cause) };
  }

  #verdictForDisk(machine: number, { errno, path, operation }: DiskError): Verdict {
    if (operation === 'view' && errno === 'EIO' && fileKindOf(path) === 'table' && this.#machines > 1) {
      return { right: false, why: `${path} is a table, which other replicas could have mended` };
    }
    const kinds = KINDS_OF_ERRNO.get(errno) ?? [];
    const cause = this.#find(machine, path, ({ kind }) => kinds.includes(kind));
    if (cause === null) {
      return { right: false, why: `nothing on node ${machine} explains ${errno} at ${path}` };
    }
    const mayGoOn = cause.cost === 'passing' && this.mayStart(machine);
    return { right: true, next: mayGoOn ? 'start again' : 'down for good', why: explain(cause) };
  }

  /** The dearest of the injuries that qualify and touch what the path is a part of. */
  #find(machine: number, path: string, qualifies: (injury: BookedInjury) => boolean): BookedInjury | null {
    const part = partOf(path);
    let found: BookedInjury | null = null;
    for (const injury of this.injuries(machine)) {
      const its = partOf(injury.path);
      const touches = its === part || its === 'any' || part === 'any';
      if (!touches || !qualifies(injury)) continue;
      if (found === null || found.cost === 'passing') found = injury;
    }
    return found;
  }

  #has(machine: number, cost: Cost): boolean {
    return this.injuries(machine).some((injury) => injury.cost === cost);
  }
}

/** Whoever reads it can tell, and goes on without. */
function isMended(kind: InjuryKind, path: string): boolean {
  return kind !== 'wiped' && fileKindOf(path) === 'table';
}

function isOfEntries(kind: InjuryKind, path: string, cost: Cost): boolean {
  return cost === 'damage' && (kind === 'rot' || kind === 'overwritten') && fileKindOf(path) === 'log';
}

const NOTHING: ReadonlySet<InjuryKind> = new Set();

const KINDS_OF_ERRNO: ReadonlyMap<string, readonly InjuryKind[]> = new Map([
  ['EIO', ['failed-read', 'failed-write', 'failed-sync', 'bad-sector']],
  ['ENOSPC', ['full']],
  ['ENOENT', ['lost-name', 'wiped']],
]);

function isPassing(kind: InjuryKind): kind is 'failed-read' | 'failed-write' | 'full' {
  return kind === 'failed-read' || kind === 'failed-write' || kind === 'full';
}

/**
 * What the injury costs its machine; see the head of this file.
 *
 * @param files Paths of all files of the machine: only the end of the log can be lost unnoticed, as all before it is
 * attested by what follows.
 */
export function costOf({ kind, path }: Injury, files: readonly string[]): Cost {
  if (isPassing(kind)) return 'passing';
  if (kind === 'wiped') return 'amnesia';
  const file = fileKindOf(path);
  switch (kind) {
    case 'failed-sync':
      // A table, a manifest or a file under a temporary name is written anew by the next life; the log, the vote and
      // names are read back as the memory of the system shows them.
      return file === 'log' || file === 'vote' || file === 'other' ? 'amnesia' : 'passing';
    case 'bad-sector':
      return 'damage';
    case 'lost-write':
      // Who is told of it later, when the log has gone on, still finds the gap; but it may go on too little for that.
      return file === 'log' || file === 'vote' ? 'amnesia' : 'damage';
    case 'rot':
    case 'overwritten':
    case 'lost-name':
      return file === 'log' && path === newestSegment(files, path) ? 'amnesia' : 'damage';
  }
}

/** @param lost Counts although its name may be gone. */
function newestSegment(files: readonly string[], lost: string): string {
  let newest = lost;
  for (const path of files) {
    if (fileKindOf(path) !== 'log') continue;
    // Longer numbers are higher ones.
    if (path.length > newest.length || (path.length === newest.length && path > newest)) newest = path;
  }
  return newest;
}

function partOf(path: string): Part {
  if (/(^|\/)vote-/.test(path)) return 'vote';
  if (/(^|\/)(tables(\/|$)|table-|manifest-|CURRENT)/.test(path)) return 'tables';
  if (/(^|\/)log(\/|$)|\.log$|(^|\/)spare\.tmp$/.test(path)) return 'log';
  return 'any';
}

function explain({ kind, path, start, end }: BookedInjury): string {
  return `${kind}${path === '' ? '' : ` of ${path}`}${end > start ? ` from ${start} to ${end}` : ''}`;
}
