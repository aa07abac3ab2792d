/** A recorded run as text: a head, then one line for each thing that happened, in order of time. */
import { buildItems } from './page/items.js';
import { buildLines, formatLine } from './page/lines.js';
import type { RunRecord } from './record.ts';

export function formatTranscript(record: RunRecord): string {
  const { seed, commit, replay, check, message, hash } = record.header;
  const head = [
    `# seed ${seed}: ${check === null ? 'every check held' : `failed: ${check}`}`,
    `# commit ${commit ?? 'unknown'}, hash ${hash}`,
    `# replay: ${replay}`,
    ...(message === null ? [] : message.split('\n').map((line) => `# ${line}`)),
  ];
  const lines = buildLines(buildItems(record), record.lanes).map((line) => formatLine(line, record.lanes));
  return `${[...head, ...lines].join('\n')}\n`;
}
