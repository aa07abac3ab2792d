/** What the commands of a command trial do, and answer, by a map in memory: written from the protocol, not from the code. */
import { fromUtf8 } from '../../src/codec/bytes.ts';
import type { Condition, Guard, Point, Result, Write } from '../../src/kv/request.ts';

export interface Held {
  readonly text: string;
  readonly revision: number;
}

/** By key. There is one bucket. */
export type Values = Map<string, Held>;

/** An answer as text, so that two can be compared: of an error only its code. */
export type Answer = string;

const ABORTED = 'error aborted';

export class CommandModel {
  values: Values = new Map();
  /** Of each session the answers by number. */
  readonly #sessions = new Map<number, Map<number, Answer>>();

  apply(write: Write, revision: number): Answer {
    switch (write.type) {
      case 'session-open':
        this.#sessions.set(revision, new Map());
        return `count ${revision}`;
      case 'session-write': {
        const answers = this.#sessions.get(write.session);
        if (answers === undefined) throw new Error(`session ${write.session} was never opened`);
        const answer = answers.get(write.number) ?? this.apply(write.write, revision);
        answers.set(write.number, answer);
        return answer;
      }
      case 'transaction': {
        const branch = write.guards.every((guard) => this.#holds(guard)) ? 'success' : 'failure';
        const draft: Values = new Map(this.values);
        const answers: Answer[] = [];
        for (const point of write[branch]) {
          const answer = applyPoint(draft, point, revision);
          if (answer.startsWith('error')) return ABORTED;
          answers.push(answer);
        }
        this.values = draft;
        return `${branch} [${answers.join(', ')}]`;
      }
      default:
        return applyPoint(this.values, write as Point, revision);
    }
  }

  #holds(guard: Guard): boolean {
    const held = this.values.get(fromUtf8(guard.key));
    if (guard.type === 'value') return (held?.text === fromUtf8(guard.value)) === (guard.is === '=');
    const revision = held?.revision ?? 0;
    if (guard.is === '=') return revision === guard.revision;
    if (guard.is === '!=') return revision !== guard.revision;
    return guard.is === '<' ? revision < guard.revision : revision > guard.revision;
  }
}

function applyPoint(values: Values, point: Point, revision: number): Answer {
  const name = 'key' in point ? fromUtf8(point.key) : '';
  const held = values.get(name);
  const put = (text: string): void => {
    values.set(name, { text, revision });
  };
  switch (point.type) {
    case 'get':
      return valueAnswer(held);
    case 'exists':
      return `count ${point.keys.filter((key) => values.has(fromUtf8(key))).length}`;
    case 'set':
      put(fromUtf8(point.value));
      return 'ok';
    case 'append':
      put((held?.text ?? '') + fromUtf8(point.value));
      return `count ${values.get(name)?.text.length}`;
    case 'add': {
      const before = held?.text ?? '0';
      if (!/^(0|-?[1-9]\d{0,17})$/.test(before)) return 'error invalid';
      const sum = BigInt(before) + point.by;
      put(String(sum));
      return `integer ${sum}`;
    }
    case 'set-if':
      if (!isMet(point.condition, held)) return 'count 0';
      put(fromUtf8(point.value));
      return 'count 1';
    case 'get-delete':
      values.delete(name);
      return valueAnswer(held);
    case 'delete': {
      let count = 0;
      for (const key of point.keys) if (values.delete(fromUtf8(key))) count++;
      return `count ${count}`;
    }
    default:
      throw new Error(`no trial asks for ${point.type}`);
  }
}

function isMet(condition: Condition, held: Held | undefined): boolean {
  switch (condition.type) {
    case 'always':
      return true;
    case 'absent':
      return held === undefined;
    case 'present':
      return held !== undefined;
    case 'value':
      return held?.text === fromUtf8(condition.value);
    case 'revision':
      return (held?.revision ?? 0) === condition.revision;
  }
}

function valueAnswer(held: Held | undefined): Answer {
  return held === undefined ? 'no value' : `value ${held.text}`;
}

/** An answer of the state machine. */
export function answerOf(result: Result | null): Answer {
  switch (result?.type) {
    case 'ok':
      return 'ok';
    case 'count':
      return `count ${result.count}`;
    case 'integer':
      return `integer ${result.value}`;
    case 'value':
      return result.value === null ? 'no value' : `value ${fromUtf8(result.value)}`;
    case 'transaction':
      return `${result.branch} [${result.results.map(answerOf).join(', ')}]`;
    case 'error':
      return `error ${result.code}`;
    default:
      return JSON.stringify(result);
  }
}
