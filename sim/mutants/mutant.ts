/** A known bug to plant: it replaces one piece of text in a copy of the sources. */
export interface Mutant {
  readonly name: string;
  readonly what: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}
