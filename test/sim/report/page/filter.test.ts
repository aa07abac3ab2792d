import { describe, expect, it } from 'vitest';
import { makeFilter, maskOf, search } from '../../../../sim/report/page/filter.js';
import { buildItems, CLASSES } from '../../../../sim/report/page/items.js';
import { SAMPLE } from '../sample.ts';

const items = buildItems(SAMPLE);

function shown(filter: ReturnType<typeof makeFilter>): string[] {
  const mask = maskOf(items, filter);
  return items.filter(({ id }) => mask[id] === 1).map(({ title }) => title);
}

describe('the filter', () => {
  it('knows the class of every item', () => {
    const names = new Set(CLASSES.map(({ name }) => name));
    for (const { className } of items) expect(names).toContain(className);
  });

  it('hides a class', () => {
    const filter = makeFilter();
    filter.classes.delete('append');
    expect(shown(makeFilter())).toContain('append 1 node 1 → node 2');
    expect(shown(filter)).not.toContain('append 1 node 1 → node 2');
  });

  it('hides replies alone', () => {
    const titles = shown({ ...makeFilter(), replies: 'hidden' });
    expect(titles).toContain('append 1 node 1 → node 2');
    expect(titles).not.toContain('accepted 1 node 2 → node 1');
  });

  it('hides a lane with all messages from it and to it', () => {
    const titles = shown({ ...makeFilter(), hiddenLanes: new Set([2]) });
    expect(titles.filter((title) => title.includes('node 2'))).toEqual([]);
    expect(titles).toContain('leads term 1');
  });

  it('never hides what contradicts a check, unless its lane is hidden', () => {
    const filter = { ...makeFilter(), classes: new Set<string>() };
    expect(shown(filter)).toEqual(['get 0/k', 'linearizability: key 0/k']);
    expect(shown({ ...filter, hiddenLanes: new Set([3]) })).toEqual(['linearizability: key 0/k']);
  });

  it('finds lines that hold every word, and words in quotation marks together', () => {
    const lines = ['node 1 append 12', 'node 2 append 13', 'node 2 vote'].map((text) => ({
      text,
      lower: text,
    }));
    expect(search(lines, 'APPEND  "node 2"')).toEqual([1]);
    expect(search(lines, 'append 2')).toEqual([0, 1]);
    expect(search(lines, 'node')).toEqual([0, 1, 2]);
    expect(search(lines, ' ')).toEqual([]);
    expect(search(lines, 'nothing')).toEqual([]);
  });
});
