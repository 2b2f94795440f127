/** The last `capacity` things, oldest first. */
export class Ring<T> {
  readonly #items: T[] = [];
  #start = 0;

  constructor(readonly capacity: number) {}

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#items.length < this.capacity) this.#items.push(item);
    else {
      this.#items[this.#start] = item;
      this.#start = (this.#start + 1) % this.capacity;
    }
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let at = 0; at < this.#items.length; at += 1) yield this.#items[(this.#start + at) % this.#items.length] as T;
  }

  last(): T | undefined {
    return this.#items[(this.#start + this.#items.length - 1) % Math.max(1, this.#items.length)];
  }

  clear(): void {
    this.#items.length = 0;
    this.#start = 0;
  }
}
