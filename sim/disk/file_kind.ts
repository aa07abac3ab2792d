/** What a file of a node is for, told by its name: faults are aimed at a kind, and damage is booked by it. */

/** `spare` becomes a segment of the log, `temporary` takes another file's place once it is whole. */
export type FileKind = 'log' | 'spare' | 'table' | 'manifest' | 'current' | 'vote' | 'temporary' | 'other';

const PATTERNS: readonly (readonly [RegExp, FileKind])[] = [
  [/(^|\/)\d{6,}\.log$/, 'log'],
  [/(^|\/)spare\.tmp$/, 'spare'],
  [/(^|\/)table-\d+$/, 'table'],
  [/(^|\/)manifest-\d+$/, 'manifest'],
  [/(^|\/)CURRENT$/, 'current'],
  [/(^|\/)vote-[ab]$/, 'vote'],
  [/\.(new|tmp)$/, 'temporary'],
];

export function fileKindOf(path: string): FileKind {
  for (const [pattern, kind] of PATTERNS) if (pattern.test(path)) return kind;
  return 'other';
}
