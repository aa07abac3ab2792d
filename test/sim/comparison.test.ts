/** What `npm run sim -- --seed S --twice` says of two runs. */
import { describe, expect, it } from 'vitest';
import { Comparison } from '../../sim/commands/comparison.ts';

function differenceOf(first: readonly string[], second: readonly string[]): string | null {
  const comparison = new Comparison();
  for (const line of first) comparison.first(line);
  for (const line of second) comparison.second(line);
  return comparison.difference;
}

describe('two runs of a seed', () => {
  it('are the same when each event is', () => {
    expect(differenceOf(['a', 'b'], ['a', 'b'])).toBeNull();
    expect(differenceOf([], [])).toBeNull();
  });

  it('differ in the first event that is another one, whatever comes behind it', () => {
    expect(differenceOf(['a', 'b', 'c', 'd'], ['a', 'x', 'c', 'y'])).toBe('event 2:\n  first  b\n  second x');
  });

  it('differ where one of them ends', () => {
    expect(differenceOf(['a', 'b'], ['a'])).toBe('event 2:\n  first  b\n  second (none)');
    expect(differenceOf(['a'], ['a', 'b', 'c'])).toBe('event 2:\n  first  (none)\n  second b');
  });
});
