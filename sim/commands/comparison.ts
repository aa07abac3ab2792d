/** Two runs that should be the same, line by line; the second is compared while it goes on, and not kept. */
export class Comparison {
  readonly #first: string[] = [];
  #seconds = 0;
  #difference: string | null = null;

  /** The next line of the first run. */
  readonly first = (line: string): void => {
    this.#first.push(line);
  };

  /** The next line of the second, once the first is over. */
  readonly second = (line: string): void => {
    const at = this.#seconds++;
    if (this.#difference === null && line !== this.#first[at])
      this.#difference = differenceAt(at, this.#first[at], line);
  };

  /** The first event that differs, counted from 1, as either run has it; null: none does. Both are over. */
  get difference(): string | null {
    if (this.#difference !== null || this.#seconds === this.#first.length) return this.#difference;
    return differenceAt(this.#seconds, this.#first[this.#seconds], undefined);
  }
}

function differenceAt(at: number, first = '(none)', second = '(none)'): string {
  return `event ${at + 1}:\n  first  ${first}\n  second ${second}`;
}
