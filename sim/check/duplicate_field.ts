/**
 * JSON lets an object name a field twice, and `JSON.parse` takes the last: a line that says two things would be checked
 * for one of them. This looks for such a field.
 */

/** An object or a list that is still open. */
interface Open {
  /** Of an object: the names so far. Null: a list. */
  readonly names: Set<string> | null;
  /** The field or the position that is being read. */
  name: string;
  at: number;
}

/**
 * @param json Has been parsed: nothing but names is looked at.
 * @returns The first field that its object has had before, as in `op.steps[1].key`; null: there is none.
 */
export function duplicateField(json: string): string | null {
  const open: Open[] = [];
  let isNameNext = false;
  for (let at = 0; at < json.length; at++) {
    const top = open.at(-1);
    switch (json[at]) {
      case '{':
        open.push({ names: new Set(), name: '', at: 0 });
        isNameNext = true;
        break;
      case '[':
        open.push({ names: null, name: '', at: 0 });
        isNameNext = false;
        break;
      case '}':
      case ']':
        open.pop();
        isNameNext = false;
        break;
      case ',':
        isNameNext = top !== undefined && top.names !== null;
        if (top !== undefined) top.at++;
        break;
      case '"': {
        const end = endOfString(json, at);
        if (isNameNext && top !== undefined && top.names !== null) {
          top.name = JSON.parse(json.slice(at, end)) as string;
          if (top.names.has(top.name)) return pathOf(open);
          top.names.add(top.name);
          isNameNext = false;
        }
        at = end - 1;
      }
    }
  }
  return null;
}

/** Behind the quotation mark that ends the string which begins at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}

function pathOf(open: readonly Open[]): string {
  const path = open.map(({ names, name, at }) => (names === null ? `[${at}]` : `.${name}`)).join('');
  return path.startsWith('.') ? path.slice(1) : path;
}
